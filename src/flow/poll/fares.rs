//! How sources are faring, as this process knows it: whether their keys find tasks or are refused, and how far
//! their lists are read. The database has it for all instances.

use std::collections::HashMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::domain::clock::Timestamp;
use crate::domain::secret::Secret;
use crate::store::{Result, SourceState, Store};

/// What other instances note is known here after this at the latest.
const FRESH_FOR: Duration = Duration::from_secs(10);

/// What is known of all sources.
#[derive(Default)]
pub(super) struct Fares {
    known: HashMap<String, SourceState>,
    read_at: Option<Timestamp>,
}

/// A key and the place where it is used, as a hash: another key, or another place, has found nothing yet.
pub(super) fn hash(key: &Secret, base_url: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(base_url.as_bytes());
    hash.update([0]);
    hash.update(key.expose().as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Fares {
    /// Reads it anew where that is due, or where one of these is not known yet.
    pub(super) async fn know(&mut self, store: &Store, names: &[&str], now: Timestamp) -> Result<()> {
        let missing = names.iter().any(|name| !self.known.contains_key(*name));
        if !missing && self.read_at.is_some_and(|at| now.since(at) < FRESH_FOR) {
            return Ok(());
        }
        let states = if missing {
            let mut tx = store.write().await?;
            tx.add_sources(names, now);
            let states = tx.source_states().await?;
            tx.commit().await?;
            states
        } else {
            let mut tx = store.read().await?;
            let states = tx.source_states().await?;
            tx.commit().await?;
            states
        };
        self.known = states.into_iter().map(|state| (state.name.clone(), state)).collect();
        self.read_at = Some(now);
        Ok(())
    }

    /// Whether this key has found some task: then one that it does not find is not there.
    pub(super) fn key_works(&self, source: &str, key: &str) -> bool {
        let found = self.known.get(source).and_then(|state| state.found.as_ref());
        found.is_some_and(|(_, with)| with == key)
    }

    /// When a source was first there, and up to when its list is read.
    pub(super) fn listed(&self, source: &str) -> Option<(Timestamp, Option<Timestamp>)> {
        self.known.get(source).map(|state| (state.added_at, state.listed_at))
    }

    /// Notes that a key found a task, or else that it is refused; raises an alert when that begins.
    pub(super) async fn note(
        &mut self,
        store: &Store,
        source: &str,
        (key, found, refused): (&str, bool, Option<&str>),
        now: Timestamp,
    ) -> Result<()> {
        let works = self.key_works(source, key);
        let Some(state) = self.known.get_mut(source) else { return Ok(()) };
        let was_refused = state.refused.as_ref().map(|(_, reason)| reason.as_str());
        if found && (!works || was_refused.is_some()) {
            if was_refused.is_some() {
                tracing::info!(source.name = source, "the provider answers our key again");
            }
            state.refused = None;
            state.found = Some((now, key.to_owned()));
            gauge(source, false);
            let mut tx = store.write().await?;
            tx.note_found(source, key, now).await?;
            return tx.commit().await;
        }
        let Some(reason) = refused.filter(|reason| !found && was_refused != Some(reason)) else { return Ok(()) };
        if was_refused.is_none() {
            tracing::error!(source.name = source, reason, "the provider does not answer our key: check `api_key`");
        }
        let since = state.refused.as_ref().map_or(now, |(since, _)| *since);
        state.refused = Some((since, reason.to_owned()));
        gauge(source, true);
        let mut tx = store.write().await?;
        tx.note_refused(source, reason, now).await?;
        tx.commit().await
    }

    /// Notes up to when a list is read.
    pub(super) async fn note_listed(&mut self, store: &Store, source: &str, up_to: Timestamp) -> Result<()> {
        let Some(state) = self.known.get_mut(source) else { return Ok(()) };
        if state.listed_at.is_some_and(|before| before >= up_to) {
            return Ok(());
        }
        state.listed_at = Some(up_to);
        let mut tx = store.write().await?;
        tx.note_listed(source, up_to).await?;
        tx.commit().await
    }
}

fn gauge(source: &str, refused: bool) {
    metrics::gauge!("callboard_source_refused", "source" => source.to_owned()).set(f64::from(u8::from(refused)));
}
