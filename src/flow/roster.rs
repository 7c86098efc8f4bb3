//! The roster: the sources, destinations and subscriptions of this moment, from the file and from what
//! was made at run time, ready to be used. A change makes a new one; whoever holds the old one keeps it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde_json::Value;

use super::durations::Durations;
use crate::channels::{Channel, House, Limits, Sender, channel};
use crate::config::Config;
use crate::domain::access::{Scope, TeamScope};
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::destination::Destination;
use crate::domain::event::EventType;
use crate::domain::filter::Filter;
use crate::domain::id::SubscriptionId;
use crate::domain::secret::Secret;
use crate::domain::signature::new_secret;
use crate::domain::source::Source;
use crate::domain::subscription::Subscription;
use crate::domain::watch::Plan;
use crate::providers::api::CallbackUrl;
use crate::providers::{Provider, provider};
use crate::store::{Result, Store, StoredSubscription, Tx};

/// A source with its adapter.
pub struct ActiveSource {
    /// What was configured.
    pub source: Source,
    /// What its provider means.
    pub adapter: &'static dyn Provider,
    /// What its tasks are watched by.
    pub plan: Plan,
}

/// A destination, ready to be sent to.
pub struct Target {
    /// What was declared.
    pub destination: Destination,
    /// Its kind.
    pub channel: &'static dyn Channel,
    /// How to send there.
    pub sender: Arc<dyn Sender>,
    /// How much it takes.
    pub limits: Limits,
}

/// Who is there at this moment.
pub struct Roster {
    /// Sources by name.
    pub sources: HashMap<String, ActiveSource>,
    /// Destinations by name.
    pub targets: HashMap<String, Target>,
    /// Every subscription, those of the file first.
    pub subscriptions: Vec<Subscription>,
    /// Every team that exists.
    pub teams: BTreeSet<String>,
    /// What signs the metadata of callback URLs.
    pub url_key: Secret,
    /// What signs a replay to a URL that is no destination's.
    pub replay_secret: Secret,
    /// The filters that could not be evaluated, since the start of the process.
    pub faults: Arc<Faults>,
    /// How long tasks take.
    pub durations: Arc<Durations>,
    version: i64,
}

/// What went wrong with the filters of subscriptions: how often, and what it was the last time.
#[derive(Default)]
pub struct Faults(Mutex<HashMap<String, (u64, String)>>);

impl Faults {
    fn note(&self, subscription: &SubscriptionId, problem: String) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = faults.entry(subscription.to_string()).or_default();
        *fault = (fault.0 + 1, problem);
    }

    /// How often the filter of this subscription failed, and how it failed last.
    pub fn of(&self, subscription: &SubscriptionId) -> Option<(u64, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(subscription.as_str()).cloned()
    }
}

impl Roster {
    /// The destinations that are told of an event: each once, however many subscriptions match.
    pub fn audience(&self, kind: EventType, source: &str, body: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut event: Option<Value> = None;
        for subscription in self.subscriptions.iter().filter(|subscription| subscription.wants(kind, source)) {
            if names.contains(&subscription.destination) || !self.may_see(&subscription.destination, source) {
                continue;
            }
            let holds = subscription.filter.as_ref().is_none_or(|filter| {
                let event = event.get_or_insert_with(|| serde_json::from_str(body).unwrap_or_default());
                self.holds(filter, event, &subscription.id)
            });
            if holds {
                names.push(subscription.destination.clone());
            }
        }
        names
    }

    /// What a team may see at this moment.
    pub fn scope_of(&self, team: &str) -> Scope {
        let sources = self.sources.values().map(|active| &active.source).filter(|source| source.is_visible_to(team));
        let destinations = self.targets.values().map(|target| &target.destination).filter(|made| made.team == team);
        Scope::Team(TeamScope {
            team: team.to_owned(),
            sources: sources.map(|source| source.name.clone()).collect(),
            destinations: destinations.map(|destination| destination.name.clone()).collect(),
        })
    }

    fn may_see(&self, destination: &str, source: &str) -> bool {
        match (self.targets.get(destination), self.sources.get(source)) {
            (Some(target), Some(active)) => active.source.is_visible_to(&target.destination.team),
            _ => false,
        }
    }

    fn holds(&self, filter: &Filter, event: &Value, id: &SubscriptionId) -> bool {
        filter.matches(event).unwrap_or_else(|problem| {
            metrics::counter!("callboard_filter_errors_total", "subscription" => id.to_string()).increment(1);
            tracing::warn!(subscription.id = %id, filter = filter.text(), problem, "the filter failed: no match");
            self.faults.note(id, problem);
            false
        })
    }
}

/// The roster that is in force, and how it is made anew.
pub struct LiveRoster {
    config: Config,
    house: House,
    store: Store,
    clock: SharedClock,
    current: ArcSwap<Roster>,
}

impl LiveRoster {
    /// Reads the first one; callback tokens and secrets that are not configured are made and kept.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn load(config: Config, house: House, store: Store, clock: SharedClock) -> Result<Self> {
        let first = read(&config, &house, &store, clock.now(), Kept::default()).await?;
        Ok(Self { config, house, store, clock, current: ArcSwap::from_pointee(first) })
    }

    /// The roster of this moment.
    pub fn now(&self) -> Arc<Roster> {
        self.current.load_full()
    }

    /// What the channels use of the house.
    pub fn house(&self) -> &House {
        &self.house
    }

    /// Reads it anew, after a change.
    ///
    /// # Errors
    /// As the database gives them; the old one stays then.
    pub async fn reload(&self) -> Result<()> {
        let now = self.now();
        let kept = Kept { faults: Arc::clone(&now.faults), durations: Arc::clone(&now.durations) };
        let next = read(&self.config, &self.house, &self.store, self.clock.now(), kept).await?;
        self.current.store(Arc::new(next));
        Ok(())
    }

    /// Reads it anew if another instance has changed something.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn follow(&self) -> Result<()> {
        let version = self.store.read().await?.settings_version().await?;
        if version == self.now().version { Ok(()) } else { self.reload().await }
    }
}

/// What one roster hands to the next.
#[derive(Default)]
struct Kept {
    faults: Arc<Faults>,
    durations: Arc<Durations>,
}

async fn read(config: &Config, house: &House, store: &Store, now: Timestamp, kept: Kept) -> Result<Roster> {
    let mut tx = store.write().await?;
    let version = tx.settings_version().await?;
    let sources = read_sources(&mut tx, config, now).await?;
    let mut declared = config.destinations.clone();
    for made in tx.destinations().await? {
        if !declared.iter().any(|of_file| of_file.name == made.name) {
            declared.push(made);
        }
    }
    let mut targets = HashMap::new();
    for destination in declared {
        match ready(&mut tx, destination.clone(), house, now).await? {
            Ok(target) => {
                targets.insert(destination.name, target);
            }
            Err(problem) => {
                tracing::error!(destination = destination.name, problem, "this destination cannot be used");
            }
        }
    }
    let mut teams: BTreeSet<String> = tx.teams().await?.into_iter().collect();
    teams.extend(targets.values().map(|target| target.destination.team.clone()));
    teams.extend(config.sources.iter().filter_map(|source| source.teams.clone()).flatten());
    let subscriptions = read_subscriptions(config, tx.subscriptions().await?);
    let url_key = newest(tx.secrets("callback_url", "", now, || Secret::random("")).await?);
    let replay_secret = newest(tx.secrets("replay", "", now, new_secret).await?);
    tx.commit().await?;
    let Kept { faults, durations } = kept;
    Ok(Roster { sources, targets, subscriptions, teams, url_key, replay_secret, faults, durations, version })
}

async fn read_sources(tx: &mut Tx, config: &Config, now: Timestamp) -> Result<HashMap<String, ActiveSource>> {
    let mut sources = HashMap::new();
    for configured in &config.sources {
        // The configuration was checked against the same registry.
        let Some(adapter) = provider(&configured.provider) else { continue };
        let callback_tokens = if configured.callback_tokens.is_empty() {
            tx.secrets("callback_token", &configured.name, now, || Secret::random("")).await?
        } else {
            configured.callback_tokens.clone()
        };
        let source = Source { callback_tokens, ..configured.clone() };
        let calls_back = adapter.ask().is_none_or(|ask| ask.api().callback_url != CallbackUrl::Nowhere);
        let plan = Plan::of(&source, calls_back);
        sources.insert(configured.name.clone(), ActiveSource { source, adapter, plan });
    }
    Ok(sources)
}

async fn ready(
    tx: &mut Tx,
    destination: Destination,
    house: &House,
    now: Timestamp,
) -> Result<std::result::Result<Target, String>> {
    let Some(channel) = channel(&destination.channel) else {
        return Ok(Err(format!("this build has no channel `{}`", destination.channel)));
    };
    let mut settings = destination.settings.clone();
    if channel.signs() && !settings.contains_key("secret") {
        let made = tx.secrets("destination", &destination.name, now, new_secret).await?;
        let made = made.iter().map(|secret| Value::from(secret.expose())).collect();
        settings.insert("secret".into(), Value::Array(made));
    }
    let limits = Limits {
        rate: destination.rate.or(channel.limits().rate),
        concurrency: destination.concurrency.unwrap_or(channel.limits().concurrency).max(1),
    };
    Ok(channel
        .parse(&settings, house)
        .map(|sender| Target { destination, channel, sender, limits })
        .map_err(|invalid| invalid.to_string()))
}

fn read_subscriptions(config: &Config, made: Vec<StoredSubscription>) -> Vec<Subscription> {
    let of_file = config.subscriptions.iter().zip(1..).map(|(declared, number)| Subscription {
        id: SubscriptionId::stored(format!("sub_file_{number}")),
        destination: declared.destination.clone(),
        events: declared.events.clone(),
        sources: declared.sources.clone(),
        filter: declared.filter.clone(),
        from_file: true,
    });
    let of_run_time = made.into_iter().filter_map(|stored| {
        let filter = match stored.filter.as_deref().map(Filter::compile).transpose() {
            Ok(filter) => filter,
            Err(problem) => {
                tracing::error!(subscription.id = stored.id, %problem, "this subscription cannot be used");
                return None;
            }
        };
        Some(Subscription {
            id: SubscriptionId::stored(stored.id),
            destination: stored.destination,
            events: stored.events,
            sources: stored.sources,
            filter,
            from_file: false,
        })
    });
    of_file.chain(of_run_time).collect()
}

fn newest(secrets: Vec<Secret>) -> Secret {
    secrets.into_iter().next().unwrap_or_else(|| Secret::random(""))
}
