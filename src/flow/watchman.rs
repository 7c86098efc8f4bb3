//! The watchman: looks every minute whether a source that usually calls has gone silent or fails unusually, and has
//! its teams told, once for each change.
//!
//! What it knows it reads from the database, along indexes; [`crate::domain::silence`] judges it. Who writes the change
//! into the row of the source tells it, so that of several instances one does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::notice::Notices;
use super::roster::{LiveRoster, Roster};
use super::trouble::{self, Made};
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::event::{EventType, ServiceData, Subject};
use crate::domain::silence::{Ailment, Change, Facts, History, Lately, SILENCE_MIN, judge};
use crate::shutdown::Lifecycle;
use crate::store::{Activity, Result, SourceState, SourceTrouble, Store, Tx};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);
/// If its last look is longer ago, the process slept, and what came meanwhile was not heard.
const AWAKE: Duration = Duration::from_secs(15 * 60);
/// What happened lately, in milliseconds.
const LATELY_MS: i64 = 60 * 60 * 1000;
/// What is usual, in milliseconds.
const USUAL_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// What the watchman works with.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Who is there.
    pub roster: Arc<LiveRoster>,
    /// The time.
    pub clock: SharedClock,
    /// Who watches.
    pub notices: Notices,
    /// Notified when there is something to deliver.
    pub wake: Arc<Notify>,
    /// The life of the process.
    pub life: Lifecycle,
}

/// Looks after the sources.
pub struct Watchman {
    parts: Parts,
    /// Since when it listens without a break.
    listening_since: Timestamp,
    looked_at: Timestamp,
    /// What was heard of silent sources before their last callback, which does not change while they are silent.
    histories: HashMap<String, (Timestamp, History)>,
}

impl Watchman {
    /// A watchman who listens from now on.
    pub fn new(parts: Parts) -> Self {
        let now = parts.clock.now();
        Self { parts, listening_since: now, looked_at: now, histories: HashMap::new() }
    }

    /// Looks every minute until the process stops.
    pub async fn run(mut self) {
        let soft = self.parts.life.soft().clone();
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            if let Err(error) = self.tick().await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "how the sources are faring cannot be read; looking again in a minute");
            }
        }
    }

    /// One look at every source. Gives how many events it made.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn tick(&mut self) -> Result<usize> {
        let (now, roster) = (self.parts.clock.now(), self.parts.roster.now());
        if now.since(self.looked_at) > AWAKE {
            self.listening_since = now;
        }
        self.looked_at = now;
        let states = self.states(&roster, now).await?;
        let mut tx = self.parts.store.read().await?;
        let heard = tx.heard(&states.iter().map(|state| state.name.as_str()).collect::<Vec<_>>()).await?;
        self.histories.retain(|name, (until, _)| heard.get(name) == Some(until));
        let mut changes = Vec::new();
        for state in &states {
            let change = self.look(&mut tx, state, heard.get(&state.name).copied(), now).await?;
            changes.extend(change.map(|change| (state, change)));
        }
        tx.commit().await?;
        let mut many = 0;
        for (state, change) in changes {
            let made = self.note(&roster, state, change, now).await?;
            many += made.len();
            if !made.is_empty() {
                trouble::tell(&self.parts.notices, made);
                self.parts.wake.notify_one();
            }
        }
        Ok(many)
    }

    /// What is written of the sources that are there.
    async fn states(&self, roster: &Roster, now: Timestamp) -> Result<Vec<SourceState>> {
        let mut tx = self.parts.store.read().await?;
        let mut states = tx.source_states().await?;
        tx.commit().await?;
        let is_new = |name: &&str| !states.iter().any(|state| state.name == *name);
        let new: Vec<&str> = roster.sources.keys().map(String::as_str).filter(is_new).collect();
        if !new.is_empty() {
            let mut tx = self.parts.store.write().await?;
            tx.add_sources(&new, now);
            states = tx.source_states().await?;
            tx.commit().await?;
        }
        states.retain(|state| roster.sources.contains_key(&state.name));
        Ok(states)
    }

    async fn look(
        &mut self,
        tx: &mut Tx,
        state: &SourceState,
        heard_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Change>> {
        let mut facts = Facts {
            heard_at,
            listening_since: self.listening_since,
            refused: state.refused.as_ref().map(|(since, reason)| (*since, reason.as_str())),
            told: state.trouble.as_ref().map(|trouble| (trouble.ailment, trouble.since)),
            recovered_at: state.recovered_at,
            ..Facts::default()
        };
        match &state.trouble {
            Some(trouble) if trouble.ailment == Ailment::Failing => {
                facts.ends = lately(tx, Activity::Ends, &state.name, trouble.told_at, now).await?;
            }
            Some(trouble) if trouble.ailment == Ailment::Unreadable => {
                facts.callbacks = lately(tx, Activity::Callbacks, &state.name, trouble.told_at, now).await?;
            }
            Some(_) => {}
            None if facts.is_resting(now) => {}
            None => {
                let from = Timestamp(now.0 - LATELY_MS).max(state.recovered_at.unwrap_or_default());
                facts.ends = lately(tx, Activity::Ends, &state.name, from, now).await?;
                facts.callbacks = lately(tx, Activity::Callbacks, &state.name, from, now).await?;
                if let (Some(heard_at), Some(since)) = (heard_at, facts.silent_since())
                    && now.since(since) >= SILENCE_MIN
                {
                    facts.unheard = tx.unheard(&state.name, since, now).await?;
                    if !self.histories.contains_key(&state.name) {
                        let history = tx.history(&state.name, heard_at).await?;
                        self.histories.insert(state.name.clone(), (heard_at, history));
                    }
                    facts.history = self.histories.get(&state.name).map(|(_, history)| history);
                }
            }
        }
        Ok(judge(&facts, now))
    }

    /// Writes a change and what is told of it, unless another instance was faster.
    async fn note(&self, roster: &Roster, state: &SourceState, change: Change, now: Timestamp) -> Result<Vec<Made>> {
        let name = state.name.as_str();
        let mut tx = self.parts.store.write().await?;
        let (is_ours, reason, since, count) = match change {
            Change::Ill { ailment, reason, since, count } => {
                let trouble = SourceTrouble { ailment, told_at: now, since, reason };
                let is_ours = tx.note_trouble(name, &trouble).await?;
                if is_ours {
                    tracing::warn!(source.name = name, reason = trouble.reason, "the source is in trouble");
                }
                (is_ours, trouble.reason, since, count)
            }
            Change::Well(ailment) => {
                let told_at = state.trouble.as_ref().map_or(now, |trouble| trouble.told_at);
                let since = state.trouble.as_ref().map_or(now, |trouble| trouble.since);
                let is_ours = tx.end_trouble(name, told_at, now).await?;
                if is_ours {
                    tracing::info!(source.name = name, reason = ailment.over(), "the source is well again");
                }
                (is_ours, ailment.over().to_owned(), since, 0)
            }
        };
        if !is_ours {
            return Ok(Vec::new());
        }
        let mut teams: Vec<Option<&str>> = roster.teams_that_watch(name).into_iter().map(Some).collect();
        if teams.is_empty() {
            // Kept for whoever looks, although nobody asked to be told.
            teams.push(None);
        }
        let told = teams.into_iter().map(|team| {
            let data = ServiceData { team, subject: Subject::Source(name), reason: &reason, since, count };
            trouble::write(&mut tx, roster, EventType::SourceSilent, data, now)
        });
        let made: Vec<Made> = told.collect();
        tx.commit().await?;
        Ok(made)
    }
}

/// A share since then; what is usual is looked up only where it matters.
async fn lately(tx: &mut Tx, counted: Activity, source: &str, from: Timestamp, now: Timestamp) -> Result<Lately> {
    let until = Timestamp(now.0 + 1);
    let (since, recent) = tx.share(counted, source, (from, until)).await?;
    let mut lately = Lately { since, recent, ..Lately::default() };
    if lately.is_striking() {
        let before = Timestamp(since.0 - USUAL_MS);
        lately.usual = tx.share(counted, source, (before, since)).await?.1;
    }
    Ok(lately)
}
