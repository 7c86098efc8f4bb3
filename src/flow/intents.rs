//! The relayed requests that the messages of a batch belong to, and what they stand for. Plain code; the
//! writer loads them before and writes them after.

use std::collections::{BTreeSet, HashMap};

use super::entry::{Entry, Reading};
use crate::domain::follow::Context;
use crate::domain::task::{MetadataOrigin, Provenance};
use crate::store::Intent;

/// Relayed requests by their ids.
#[derive(Default)]
pub struct Intents {
    known: HashMap<String, Intent>,
    changed: BTreeSet<String>,
}

/// What a relayed request says of the tasks of a message.
pub(super) struct Standing {
    pub(super) intent_id: String,
    from: Provenance,
}

impl Standing {
    /// What is said beside an observation, now that somebody stands for its task.
    pub(super) fn over<'a>(&'a self, context: Context<'a>) -> Context<'a> {
        Context { from: &self.from, vouches: true, ..context }
    }
}

impl Intents {
    /// Those that were found; what a URL names beside them was made up.
    pub fn of(intents: Vec<Intent>) -> Self {
        let known = intents.into_iter().map(|intent| (intent.id.to_string(), intent)).collect();
        Self { known, changed: BTreeSet::new() }
    }

    /// Where the client of an intent wants its callbacks.
    pub fn client_url(&self, id: &str) -> Option<&str> {
        self.known.get(id)?.client_url.as_deref()
    }

    /// Finds the request that a message belongs to, and notes in it what the message says. A callback belongs to
    /// one only if no other task is known of it: whoever knows its URL cannot make it stand for a task of theirs.
    pub(super) fn stand_for(&mut self, entry: &Entry) -> Option<Standing> {
        let intent = self.known.get_mut(entry.intent_id()?).filter(|intent| intent.source == entry.source)?;
        let seen = entry.observations();
        match &entry.reading {
            Reading::Opened(opened) => {
                intent.status = opened.made_by.as_ref().map(|made_by| made_by.status);
                intent.task_id = Some(opened.seen.task_id.clone());
            }
            _ => {
                let task_id =
                    intent.task_id.get_or_insert_with(|| seen.first().map_or_else(String::new, |s| s.task_id.clone()));
                if !seen.iter().any(|seen| seen.task_id == *task_id) {
                    return None;
                }
                intent.called_back = true;
            }
        }
        let id = intent.id.to_string();
        self.changed.insert(id.clone());
        let mut from = entry.from.clone();
        if !intent.metadata.is_empty() {
            from.metadata.clone_from(&intent.metadata);
            from.metadata_origin = MetadataOrigin::Registered;
        }
        Some(Standing { intent_id: id, from })
    }

    /// A task has ended: its request's key is needed no more.
    pub(super) fn ended(&mut self, id: &str, task_id: &str) {
        let Some(intent) = self.known.get_mut(id) else { return };
        if intent.task_id.as_deref() == Some(task_id) && intent.sealed_key.take().is_some() {
            self.changed.insert(id.to_owned());
        }
    }

    /// Those that were changed, in the order of their ids.
    pub(super) fn changed(&self) -> Vec<&Intent> {
        self.changed.iter().filter_map(|id| self.known.get(id)).collect()
    }
}
