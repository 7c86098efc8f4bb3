//! The fold: what a batch of readings makes of the tasks it speaks of. Plain code, no effects; the
//! recorder loads the tasks before and writes the outcome after, in one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::roster::Roster;
use crate::domain::callback::CallbackOutcome;
use crate::domain::clock::Timestamp;
use crate::domain::event::{Event, EventType};
use crate::domain::id::{DeliveryId, EventId};
use crate::domain::task::{Observation, Provenance, Task, Verdict};
use crate::store::{NewDelivery, TaskId};

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
}

/// The bytes of a callback, to be kept.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The URL's query, as it came.
    pub query: String,
    /// The headers as JSON pairs.
    pub headers: String,
    /// The body as it came.
    pub body: Bytes,
    /// The client's address.
    pub remote: Option<String>,
    /// What is to be shown beside the outcome, as that metadata was dropped.
    pub note: Option<String>,
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
    /// Who was there when it came.
    pub roster: Arc<Roster>,
    drafts: Vec<Draft>,
}

/// What an observation makes if its task is not known yet, prepared before the recorder has it.
#[derive(Clone)]
struct Draft {
    task: Task,
    verdict: Verdict,
    event: Option<(Event, Vec<String>)>,
}

impl Entry {
    /// Takes a message, and prepares what it makes if nothing is known of its tasks: most callbacks are
    /// the first of their task, and then the recorder has only to write.
    pub fn new(
        source: String,
        provider: &'static str,
        reading: Reading,
        from: Provenance,
        received_at: Timestamp,
        arrival: Option<Arrival>,
        roster: Arc<Roster>,
    ) -> Self {
        let drafts = match &reading {
            Reading::Said(observations) => observations
                .iter()
                .map(|seen| {
                    let (mut task, verdict) = Task::first_seen(&source, provider, seen, &from, received_at);
                    let event = tell(&mut task, verdict, seen, &roster, received_at);
                    Draft { task, verdict, event }
                })
                .collect(),
            Reading::Quarantined { .. } | Reading::Rejected { .. } => Vec::new(),
        };
        Self { source, provider, reading, from, received_at, arrival, roster, drafts }
    }

    /// What identifies the tasks it speaks of.
    pub fn task_ids(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.drafts.iter().map(|draft| (self.source.clone(), draft.task.task_id.clone()))
    }
}

/// What became of one observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The task.
    pub task_id: String,
    /// What the observation was.
    pub outcome: CallbackOutcome,
    /// The event that it made, or that told the same before.
    pub event_id: Option<EventId>,
    /// Whether it is the first that was heard of the task.
    pub is_first: bool,
}

/// A `task.conflict`, which also goes to every destination that had the first event.
#[derive(Clone, Debug)]
pub struct Contradiction {
    /// The event that told the first end.
    pub told: EventId,
    /// The event that tells the contradiction.
    pub conflict: EventId,
}

/// Everything that a batch makes.
pub struct Fold {
    tasks: HashMap<TaskId, Task>,
    changed: Vec<TaskId>,
    /// Those that were not known before.
    made: HashSet<TaskId>,
    now: Timestamp,
    /// Events, in the order in which they happened.
    pub events: Vec<(Event, usize)>,
    /// Deliveries of those events.
    pub deliveries: Vec<NewDelivery>,
    /// Conflicts among those events.
    pub contradictions: Vec<Contradiction>,
}

impl Fold {
    /// Begins with the tasks that are known.
    pub fn new(tasks: HashMap<TaskId, Task>, now: Timestamp) -> Self {
        Self {
            tasks,
            changed: Vec::new(),
            made: HashSet::new(),
            now,
            events: Vec::new(),
            deliveries: Vec::new(),
            contradictions: Vec::new(),
        }
    }

    /// Folds one message in; gives what became of each of its observations.
    pub fn take(&mut self, entry: &Entry) -> Vec<Folded> {
        let Reading::Said(observations) = &entry.reading else { return Vec::new() };
        observations.iter().zip(&entry.drafts).map(|(seen, draft)| self.take_one(entry, seen, draft)).collect()
    }

    fn take_one(&mut self, entry: &Entry, seen: &Observation, draft: &Draft) -> Folded {
        let id = (entry.source.clone(), seen.task_id.clone());
        let is_first = !self.tasks.contains_key(&id);
        let (verdict, event) = match self.tasks.get_mut(&id) {
            None => {
                self.made.insert(id.clone());
                self.tasks.insert(id.clone(), draft.task.clone());
                (draft.verdict, draft.event.clone())
            }
            Some(task) => {
                let verdict = task.observe(seen, &entry.from, self.now);
                (verdict, tell(task, verdict, seen, &entry.roster, self.now))
            }
        };
        let task = &self.tasks[&id];
        let folded = Folded { is_first, ..folded(task, verdict, seen, event.as_ref()) };
        if let (Verdict::Conflict { .. }, Some((conflict, _)), Some(told)) = (verdict, &event, &task.terminal_event) {
            self.contradictions.push(Contradiction { told: told.clone(), conflict: conflict.id.clone() });
        }
        self.changed.push(id);
        if let Some((event, audience)) = event {
            self.deliver(event, audience);
        }
        folded
    }

    fn deliver(&mut self, event: Event, audience: Vec<String>) {
        let many = audience.len();
        self.deliveries.extend(audience.into_iter().map(|destination| NewDelivery {
            id: DeliveryId::new(self.now),
            event_id: event.id.clone(),
            destination,
            replay_id: None,
            url: None,
        }));
        self.events.push((event, many));
    }

    /// The tasks that were folded into, each once: those that were not known, and those that were.
    pub fn changed(&self) -> (Vec<&Task>, Vec<&Task>) {
        let mut ids: Vec<&TaskId> = self.changed.iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let changed = ids.into_iter().filter_map(|id| Some((id, self.tasks.get(id)?)));
        let (mut new, mut known) = (Vec::new(), Vec::new());
        for (id, task) in changed {
            if self.made.contains(id) { new.push(task) } else { known.push(task) }
        }
        (new, known)
    }
}

/// Makes the event that a verdict asks for, and finds who is told.
fn tell(
    task: &mut Task,
    verdict: Verdict,
    seen: &Observation,
    roster: &Roster,
    now: Timestamp,
) -> Option<(Event, Vec<String>)> {
    let (kind, claimed) = match verdict {
        Verdict::Advanced(kind) => (kind?, None),
        Verdict::Conflict { tell: true } => (EventType::TaskConflict, Some(seen.status)),
        Verdict::Conflict { tell: false } | Verdict::Duplicate | Verdict::Stale => return None,
    };
    let event = Event::of_task(kind, task, claimed, now);
    task.note_event(kind, event.id.clone());
    let audience = roster.audience(kind, &task.source, &event.body);
    Some((event, audience))
}

fn folded(task: &Task, verdict: Verdict, seen: &Observation, event: Option<&(Event, Vec<String>)>) -> Folded {
    let made = event.map(|(event, _)| event.id.clone());
    let (outcome, event_id) = match verdict {
        Verdict::Advanced(_) => (CallbackOutcome::Accepted, made),
        Verdict::Duplicate => (CallbackOutcome::Duplicate, task.event_of(seen.status).cloned()),
        Verdict::Stale => (CallbackOutcome::Stale, None),
        Verdict::Conflict { .. } => (CallbackOutcome::Conflict, made),
    };
    Folded { task_id: seen.task_id.clone(), outcome, event_id, is_first: false }
}
