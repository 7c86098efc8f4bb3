//! What is handed to the recorder: one message, what was made of it, and what it would make if nothing is
//! known of its tasks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::roster::Roster;
use crate::domain::callback::{Content, Fingerprint};
use crate::domain::clock::Timestamp;
use crate::domain::event::Event;
use crate::domain::follow::{Context, Followed, Tell, Turn};
use crate::domain::id::CallbackId;
use crate::domain::task::{Observation, Provenance, Task};
use crate::domain::watch::Plan;
use crate::providers::api::Told;
use crate::store::TaskId;

/// What was made of a message's bytes.
#[derive(Clone, Debug)]
pub enum Reading {
    /// It says this, of at least one task.
    Said(Vec<Observation>),
    /// It was not understood.
    Quarantined {
        /// The task, where it was found.
        task_id: Option<String>,
        /// What was not understood, and where.
        detail: String,
    },
    /// Its signature did not hold.
    Rejected {
        /// Why.
        detail: String,
    },
    /// The provider was asked for one task.
    Answered(Answered),
    /// A task was submitted, or found in the provider's list.
    Opened(Opened),
    /// The time of a task has come without an answer.
    Due {
        /// Which.
        task_id: String,
    },
}

/// The provider's answer about one task.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The task.
    pub task_id: String,
    /// What was told of it.
    pub told: Told,
    /// Whether the key has found some task of this source before.
    pub key_works: bool,
    /// After a throttle, how long to wait.
    pub wait: Duration,
    /// In 0..1: spreads what had no answer.
    pub jitter: f64,
    /// The answer as it came, where it is about this task alone.
    pub body: Option<Bytes>,
}

/// A task that somebody stands for.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What is known of it: at least its id.
    pub seen: Observation,
    /// When the user says that it is overdue.
    pub deadline: Option<Duration>,
    /// The relayed request that made it.
    pub made_by: Option<MadeBy>,
}

/// A relayed request that made a task.
#[derive(Clone, Debug)]
pub struct MadeBy {
    /// The intent that it is kept as.
    pub intent_id: String,
    /// The status that the provider answered.
    pub status: u16,
}

/// A callback, to be kept.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Them.
    pub content: Arc<Content>,
    /// What is to be shown beside the outcome, as that metadata was dropped.
    pub note: Option<String>,
    /// The relayed request that it is the callback of, as the URL says.
    pub intent_id: Option<String>,
    /// What tells it from any callback that could be read as something else.
    pub print: Fingerprint,
    /// Whether the client that wants it has had it, as it was kept before and is read again.
    pub was_forwarded: bool,
}

/// One message on its way into the store.
pub struct Entry {
    /// The source it came to.
    pub source: String,
    /// The provider behind it.
    pub provider: &'static str,
    /// What was made of it.
    pub reading: Reading,
    /// Where that comes from.
    pub from: Provenance,
    /// When it came.
    pub received_at: Timestamp,
    /// Its bytes, where it is a callback.
    pub arrival: Option<Arrival>,
    /// The id that the callback gets, unless it repeats one that is kept.
    pub callback_id: CallbackId,
    /// Who was there when it came.
    pub roster: Arc<Roster>,
    /// What the tasks of its source are watched by.
    pub plan: Plan,
    pub(super) drafts: Vec<Draft>,
}

/// What an observation makes if its task is not known yet, prepared before the recorder has it.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) followed: Followed,
    pub(super) turn: Turn,
    pub(super) event: Option<(Arc<Event>, Vec<String>)>,
}

impl Entry {
    /// Takes a message, and prepares what it makes if nothing is known of its tasks: most callbacks are
    /// the first of their task, and then the recorder has only to write.
    pub fn new(
        source: String,
        reading: Reading,
        from: Provenance,
        received_at: Timestamp,
        arrival: Option<Arrival>,
        roster: Arc<Roster>,
    ) -> Self {
        let active = roster.sources.get(&source);
        let mut entry = Self {
            provider: active.map_or("", |active| active.adapter.name()),
            plan: active.map_or_else(Plan::default, |active| active.plan),
            callback_id: CallbackId::new(received_at),
            drafts: Vec::new(),
            source,
            reading,
            from,
            received_at,
            arrival,
            roster,
        };
        entry.drafts = match &entry.reading {
            Reading::Quarantined { task_id: Some(task_id), .. } if entry.plan.can_ask => vec![entry.unread(task_id)],
            _ => {
                let seen = entry.observations().iter();
                seen.map(|seen| entry.draft(seen, &entry.context(Some(seen), received_at))).collect()
            }
        };
        entry
    }

    /// What it says of tasks that it may make known.
    pub(super) fn observations(&self) -> &[Observation] {
        match &self.reading {
            Reading::Said(observations) => observations,
            Reading::Opened(opened) => std::slice::from_ref(&opened.seen),
            Reading::Quarantined { .. } | Reading::Rejected { .. } | Reading::Answered(_) | Reading::Due { .. } => &[],
        }
    }

    /// What it says beside an observation.
    pub(super) fn context(&self, seen: Option<&Observation>, now: Timestamp) -> Context<'_> {
        let opened = match &self.reading {
            Reading::Opened(opened) => Some(opened),
            _ => None,
        };
        let model = seen.and_then(|seen| seen.model.as_deref());
        Context {
            from: &self.from,
            plan: &self.plan,
            callback_id: self.arrival.as_ref().map(|_| &self.callback_id),
            vouches: opened.is_some(),
            expected: seen.and_then(|seen| seen.expected).or_else(|| self.roster.durations.median(&self.source, model)),
            deadline: opened.and_then(|opened| opened.deadline),
            now,
        }
    }

    /// What an observation makes if its task is not known yet.
    pub(super) fn draft(&self, seen: &Observation, context: &Context<'_>) -> Draft {
        let (mut followed, turn) = Followed::begin(&self.source, self.provider, seen, context);
        let event = turn.tell.map(|told| tell(followed.task_mut(), told, &self.roster, self.received_at));
        Draft { followed, turn, event }
    }

    fn unread(&self, task_id: &str) -> Draft {
        let context = self.context(None, self.received_at);
        let followed = Followed::begin_unread(&self.source, self.provider, task_id, &context);
        Draft { followed, turn: Turn::unread(), event: None }
    }

    /// The relayed request that it belongs to, as it says itself.
    pub(super) fn intent_id(&self) -> Option<&str> {
        match &self.reading {
            Reading::Opened(opened) => opened.made_by.as_ref().map(|made_by| made_by.intent_id.as_str()),
            _ => self.arrival.as_ref().and_then(|arrival| arrival.intent_id.as_deref()),
        }
    }

    /// What identifies the tasks it speaks of.
    pub fn task_ids(&self) -> impl Iterator<Item = TaskId> + '_ {
        let one = match &self.reading {
            Reading::Answered(answered) => Some(&answered.task_id),
            Reading::Due { task_id } => Some(task_id),
            _ => None,
        };
        let drafted = self.drafts.iter().map(|draft| &draft.followed.task.task_id);
        drafted.chain(one).map(|task_id| (self.source.clone(), task_id.clone()))
    }
}

/// Makes the event that is to be told, and finds who is told.
pub(super) fn tell(task: &mut Task, told: Tell, roster: &Roster, now: Timestamp) -> (Arc<Event>, Vec<String>) {
    let event = Event::of_task(told.kind, task, told.claimed, now);
    task.note_event(told.kind, event.id.clone());
    let audience = roster.audience(told.kind, &task.source, &event.body);
    (Arc::new(event), audience)
}
