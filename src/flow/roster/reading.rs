//! How a roster is made of the configuration and the database.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;

use super::{ActiveSource, Faults, Roster, Target, Token};
use crate::channels::{House, Limits, channel};
use crate::config::{Config, made_source};
use crate::domain::clock::Timestamp;
use crate::domain::destination::Destination;
use crate::domain::filter::Filter;
use crate::domain::id::SubscriptionId;
use crate::domain::safe::Safe;
use crate::domain::secret::Secret;
use crate::domain::signature::new_secret;
use crate::domain::source::Source;
use crate::domain::subscription::Subscription;
use crate::domain::watch::Plan;
use crate::flow::durations::Durations;
use crate::flow::uses::{Used, Uses};
use crate::providers::api::CallbackUrl;
use crate::providers::{PROVIDERS, provider};
use crate::store::{KeptSecret, Result, Store, StoredSubscription, Tx};

/// So many bytes of its code name a callback token.
const TOKEN_ID_BYTES: usize = 9;

/// What one roster hands to the next.
#[derive(Default)]
pub(super) struct Kept {
    faults: Arc<Faults>,
    durations: Arc<Durations>,
    uses: Arc<Uses>,
}

impl Kept {
    pub(super) fn of(roster: &Roster) -> Self {
        let Roster { faults, durations, uses, .. } = roster;
        Self { faults: Arc::clone(faults), durations: Arc::clone(durations), uses: Arc::clone(uses) }
    }
}

/// What everything is read with.
struct Reading<'a> {
    tx: Tx,
    config: &'a Config,
    house: &'a House,
    safe: &'a Safe,
    now: Timestamp,
}

pub(super) async fn read(
    config: &Config,
    house: &House,
    store: &Store,
    safe: &Safe,
    now: Timestamp,
    kept: Kept,
) -> Result<Roster> {
    let mut reading = Reading { tx: store.write().await?, config, house, safe, now };
    let version = reading.tx.settings_version().await?;
    let retires_at = reading.tx.drop_retired(now).await?;
    let url_key = reading.secret("callback_url", || Secret::random("")).await?;
    let replay_secret = reading.secret("replay", new_secret).await?;
    let sources = reading.sources(&url_key, &kept.uses).await?;
    let targets = reading.targets().await?;
    let subscriptions = reading.subscriptions().await?;
    let made_teams = reading.tx.teams().await?;
    let sweeps = reading.tx.sweeps().await?;
    reading.tx.commit().await?;
    let mut teams: BTreeSet<String> = made_teams.iter().map(|team| team.name.clone()).collect();
    teams.extend(targets.values().map(|target| target.destination.team.clone()));
    teams.extend(sources.values().filter_map(|active| active.source.teams.clone()).flatten());
    let Kept { faults, durations, uses } = kept;
    Ok(Roster {
        sources,
        targets,
        subscriptions,
        teams,
        made_teams,
        sweeps,
        url_key,
        replay_secret,
        faults,
        durations,
        uses,
        retires_at,
        version,
    })
}

impl Reading<'_> {
    /// The newest secret of a purpose that there is once.
    async fn secret(&mut self, purpose: &str, make: impl FnOnce() -> Secret) -> Result<Secret> {
        let kept = self.tx.secrets(self.safe, (purpose, ""), self.now, make).await?;
        Ok(kept.into_iter().next().map_or_else(|| Secret::random(""), |newest| newest.secret))
    }

    async fn sources(&mut self, url_key: &Secret, uses: &Uses) -> Result<HashMap<String, ActiveSource>> {
        let mut all = self.config.sources.clone();
        for made in self.tx.made_sources(self.safe).await? {
            if all.iter().any(|declared| declared.name == made.name) {
                continue;
            }
            match made_source(&made.name, &made.settings, PROVIDERS) {
                Ok(source) => all.push(source),
                Err(mistakes) => {
                    tracing::error!(source.name = made.name, %mistakes, "this source cannot be used");
                }
            }
        }
        let mut sources = HashMap::new();
        for declared in all {
            let name = declared.name.clone();
            if let Some(active) = self.source(declared, url_key, uses).await? {
                sources.insert(name, active);
            }
        }
        Ok(sources)
    }

    async fn source(&mut self, declared: Source, url_key: &Secret, uses: &Uses) -> Result<Option<ActiveSource>> {
        // What is declared was checked against the same registry.
        let Some(adapter) = provider(&declared.provider) else { return Ok(None) };
        let kept = if declared.callback_tokens.is_empty() {
            let (purpose, new_token) = (("callback_token", declared.name.as_str()), || Secret::random(""));
            self.tx.secrets(self.safe, purpose, self.now, new_token).await?
        } else {
            Vec::new()
        };
        let of_file = declared.callback_tokens.iter().map(|secret| (secret.clone(), None));
        let of_ours =
            kept.into_iter().map(|KeptSecret { secret, number, made_at, .. }| (secret, Some((number, made_at))));
        let all: Vec<(Secret, Option<(i64, Timestamp)>)> = of_file.chain(of_ours).collect();
        let token = |(secret, made): &(Secret, Option<(i64, Timestamp)>)| {
            let id = token_id(url_key, &declared.name, secret);
            let used = uses.of(Used::Token { source: declared.name.clone(), id: id.clone() });
            Token { id, made: *made, used }
        };
        let tokens = all.iter().map(token).collect();
        let callback_tokens = all.into_iter().map(|(secret, _)| secret).collect();
        let source = Source { callback_tokens, ..declared };
        let calls_back = adapter.ask().is_none_or(|ask| ask.api().callback_url != CallbackUrl::Nowhere);
        let plan = Plan::of(&source, calls_back);
        Ok(Some(ActiveSource { source, tokens, adapter, plan }))
    }

    async fn targets(&mut self) -> Result<HashMap<String, Target>> {
        let mut all = self.config.destinations.clone();
        for made in self.tx.destinations(self.safe).await? {
            if !all.iter().any(|declared| declared.name == made.name) {
                all.push(made);
            }
        }
        let mut targets = HashMap::new();
        for declared in all {
            let name = declared.name.clone();
            match self.target(declared).await? {
                Ok(target) => {
                    targets.insert(name, target);
                }
                Err(problem) => tracing::error!(destination = name, problem, "this destination cannot be used"),
            }
        }
        Ok(targets)
    }

    async fn target(&mut self, destination: Destination) -> Result<std::result::Result<Target, String>> {
        let Some(channel) = channel(&destination.channel) else {
            return Ok(Err(format!("this build has no channel `{}`", destination.channel)));
        };
        let mut settings = destination.settings.clone();
        if channel.signs() && !settings.contains_key("secret") {
            let purpose = ("destination", destination.name.as_str());
            let made = self.tx.secrets(self.safe, purpose, self.now, new_secret).await?;
            let made = made.iter().map(|kept| Value::from(kept.secret.expose())).collect();
            settings.insert("secret".into(), Value::Array(made));
        }
        let limits = Limits {
            rate: destination.rate.or(channel.limits().rate),
            concurrency: destination.concurrency.unwrap_or(channel.limits().concurrency).max(1),
        };
        Ok(channel
            .parse(&settings, self.house)
            .map(|sender| Target { destination, channel, sender, limits })
            .map_err(|invalid| invalid.to_string()))
    }

    async fn subscriptions(&mut self) -> Result<Vec<Subscription>> {
        let of_file = self.config.subscriptions.iter().zip(1..).map(|(declared, number)| Subscription {
            id: SubscriptionId::stored(format!("sub_file_{number}")),
            destination: declared.destination.clone(),
            events: declared.events.clone(),
            sources: declared.sources.clone(),
            filter: declared.filter.clone(),
            from_file: true,
        });
        let made = self.tx.subscriptions().await?;
        Ok(of_file.chain(made.into_iter().filter_map(subscription)).collect())
    }
}

fn subscription(stored: StoredSubscription) -> Option<Subscription> {
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
}

/// What names a callback token: a code that only we can make, so that nobody can try out tokens on it.
pub(super) fn token_id(key: &Secret, source: &str, token: &Secret) -> String {
    // Any length of key will do for HMAC.
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(key.expose().as_bytes()) else { return String::new() };
    for part in ["token", source, token.expose()] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    format!("tok_{}", URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..TOKEN_ID_BYTES]))
}
