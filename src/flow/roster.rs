//! The roster: the sources, destinations and subscriptions of this moment, from the file and from what
//! was made at run time, ready to be used. A change makes a new one; whoever holds the old one keeps it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde_json::Value;

use self::reading::{Kept, read};
use super::durations::Durations;
use super::uses::{Use, Uses};
use crate::channels::{Channel, House, Limits, Sender};
use crate::config::Config;
use crate::domain::access::{Scope, TeamScope};
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::destination::Destination;
use crate::domain::event::EventType;
use crate::domain::filter::Filter;
use crate::domain::id::SubscriptionId;
use crate::domain::safe::Safe;
use crate::domain::secret::Secret;
use crate::domain::source::Source;
use crate::domain::subscription::Subscription;
use crate::domain::watch::Plan;
use crate::egress::Egress;
use crate::providers::Provider;
use crate::store::{Error, MadeTeam, Result, Store, Sweep, Tx};

mod reading;

/// So often a change is begun anew where others change something at the same moment.
const TRIES: usize = 5;

#[cfg(test)]
mod tests;

/// A source with its adapter.
pub struct ActiveSource {
    /// What was configured, its callback tokens filled in.
    pub source: Source,
    /// What is known of each of its callback tokens, in their order.
    pub tokens: Vec<Token>,
    /// What its provider means.
    pub adapter: &'static dyn Provider,
    /// What its tasks are watched by.
    pub plan: Plan,
}

/// What is known of a callback token beside itself.
pub struct Token {
    /// Its id, which says nothing of it: `tok_…`.
    pub id: String,
    /// Its number among those that are kept, and when it was made; `None` where the file declares it.
    pub made: Option<(i64, Timestamp)>,
    /// When it was last used.
    pub used: Arc<Use>,
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
    /// Those of them that were made at run time.
    pub made_teams: Vec<MadeTeam>,
    /// What is being cleared away.
    pub sweeps: Vec<Sweep>,
    /// What signs the metadata of callback URLs.
    pub url_key: Secret,
    /// What signs a replay to a URL that is no destination's.
    pub replay_secret: Secret,
    /// The filters that could not be evaluated, since the start of the process.
    pub faults: Arc<Faults>,
    /// How long tasks take.
    pub durations: Arc<Durations>,
    /// When keys and callback tokens were last used.
    pub uses: Arc<Uses>,
    /// When the next secret ends that was replaced.
    retires_at: Option<Timestamp>,
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
        if kind.is_of_service() {
            return self.audience_of_service(kind, body);
        }
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

    /// What names a callback token of a source.
    pub fn token_id(&self, source: &str, token: &Secret) -> String {
        reading::token_id(&self.url_key, source, token)
    }

    /// The destinations that are told of an event of the service's own: those of the team that it is for, and never
    /// the one that it speaks of. Of what a source does, only who wants that source is told.
    fn audience_of_service(&self, kind: EventType, body: &str) -> Vec<String> {
        let event: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |key: &str| event["data"][key].as_str();
        let (about, source) = (text("destination"), text("source"));
        let is_told = |name: &str| {
            let team = self.targets.get(name).map(|target| target.destination.team.as_str());
            team.is_some() && team == text("team") && about != Some(name)
        };
        let may_see = |name: &str| source.is_none_or(|source| self.may_see(name, source));
        let mut names: Vec<String> = Vec::new();
        for subscription in &self.subscriptions {
            let name = &subscription.destination;
            let wants = match source {
                Some(source) => subscription.wants(kind, source),
                None => subscription.events.contains(&kind),
            };
            let holds = |filter| self.holds(filter, &event, &subscription.id);
            let is_concerned = wants && !names.contains(name) && is_told(name) && may_see(name);
            if is_concerned && subscription.filter.as_ref().is_none_or(holds) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The teams with a destination that asks to be told when something is the matter with a source.
    pub fn teams_that_watch(&self, source: &str) -> BTreeSet<&str> {
        let wanting = self.subscriptions.iter().filter(|one| one.wants(EventType::SourceSilent, source));
        let visible = wanting.filter(|one| self.may_see(&one.destination, source));
        visible.filter_map(|one| Some(self.targets.get(&one.destination)?.destination.team.as_str())).collect()
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

    pub(super) fn may_see(&self, destination: &str, source: &str) -> bool {
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
    safe: Safe,
    clock: SharedClock,
    current: ArcSwap<Roster>,
}

impl LiveRoster {
    /// Reads the first one; callback tokens and secrets that are not configured are made and kept in the safe.
    ///
    /// # Errors
    /// [`Error::Unusable`] where a secret is sealed with a key that is not there; else as the database gives them.
    pub async fn load(config: Config, house: House, store: Store, safe: Safe, clock: SharedClock) -> Result<Self> {
        let first = read(&config, &house, &store, &safe, clock.now(), Kept::default()).await?;
        Ok(Self { config, house, store, safe, clock, current: ArcSwap::from_pointee(first) })
    }

    /// The roster of this moment.
    pub fn now(&self) -> Arc<Roster> {
        self.current.load_full()
    }

    /// What the channels use of the house.
    pub fn house(&self) -> &House {
        &self.house
    }

    /// The way to a source's `base_url`: `operators` where the file names it, else the one that leads nowhere inside.
    pub fn way_to<'a>(&'a self, source: &Source, operators: &'a Egress) -> &'a Egress {
        if source.from_file { operators } else { &self.house.egress }
    }

    /// What secrets are laid down in.
    pub fn safe(&self) -> &Safe {
        &self.safe
    }

    /// Reads it anew, after a change.
    ///
    /// # Errors
    /// As the database gives them; the old one stays then.
    pub async fn reload(&self) -> Result<()> {
        let kept = Kept::of(&self.now());
        let next = read(&self.config, &self.house, &self.store, &self.safe, self.clock.now(), kept).await?;
        self.current.store(Arc::new(next));
        Ok(())
    }

    /// Reads it anew if another instance has changed something, or a secret has ended.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn follow(&self) -> Result<()> {
        let version = self.store.read().await?.settings_version().await?;
        let current = self.now();
        let retired = current.retires_at.is_some_and(|at| at <= self.clock.now());
        if version == current.version && !retired { Ok(()) } else { self.reload().await }
    }

    /// Begins a change of the settings. Until the transaction ends nobody else changes any, and the roster is as the
    /// database is.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where others change something all the time; else as the database gives them.
    pub async fn change(&self) -> Result<(Tx, Arc<Roster>)> {
        for _ in 0..TRIES {
            self.follow().await?;
            let roster = self.now();
            let mut tx = self.store.write().await?;
            if tx.settings_changed().await? == roster.version + 1 {
                return Ok((tx, roster));
            }
        }
        Err(Error::busy())
    }

    /// Writes down which keys and callback tokens were used, each at most once a minute.
    ///
    /// # Errors
    /// As the database gives them; it is written later then.
    pub async fn write_uses(&self) -> Result<()> {
        self.now().uses.write(&self.store, self.clock.now()).await
    }
}
