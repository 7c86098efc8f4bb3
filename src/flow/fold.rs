//! The fold: what a batch of messages makes of the tasks it speaks of. Plain code, no effects; the
//! recorder loads the tasks before and writes the outcome after, in one transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::durations::Took;
use super::entry::{Answered, Draft, Entry, Reading, tell};
use super::forward::forward;
use super::intents::{Intents, Standing};
use crate::domain::callback::CallbackOutcome;
use crate::domain::clock::Timestamp;
use crate::domain::event::{Event, EventType};
use crate::domain::follow::{Followed, Turn};
use crate::domain::id::{DeliveryId, EventId, PollId};
use crate::domain::rollup::{Day, RollupKey};
use crate::domain::task::{Observation, Task};
use crate::domain::watch::{Claim, LastPoll, Plan, Said, Saving, Watch};
use crate::providers::api::Told;
use crate::store::{ChangedTask, Intent, JudgedCallback, NewDelivery, NewPoll, SavedWatch, TaskId};

/// What became of one observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The task.
    pub task_id: String,
    /// What the observation was.
    pub outcome: CallbackOutcome,
    /// The event that it made, or that told the same before.
    pub event_id: Option<EventId>,
    /// Why, where there is something to say.
    pub detail: Option<&'static str>,
    /// Whether it is the first that was heard of the task.
    pub is_first: bool,
    /// Whether the end that it speaks of is told: the very same again can then only be a duplicate of that event.
    pub is_final: bool,
}

/// A `task.conflict`, which also goes to every destination that had the first event.
#[derive(Clone, Debug)]
pub struct Contradiction {
    /// The event that told the first end.
    pub told: EventId,
    /// The event that tells the contradiction.
    pub conflict: EventId,
}

/// What is known of a task.
struct Known {
    followed: Followed,
    /// The same before; `None` where nothing was known.
    before: Option<Followed>,
    /// Its plan, where something was folded in.
    folded: Option<Plan>,
    /// Whether its time had come: then that is written anew, whatever it is.
    was_due: bool,
}

/// Everything that a batch makes.
pub struct Fold {
    known: HashMap<TaskId, Known>,
    now: Timestamp,
    /// The relayed requests that made some of them.
    pub intents: Intents,
    /// Events, in the order in which they happened.
    pub events: Vec<(Arc<Event>, usize)>,
    /// Deliveries of those events.
    pub deliveries: Vec<NewDelivery>,
    /// Conflicts among those events.
    pub contradictions: Vec<Contradiction>,
    /// Callbacks that claimed an end, now that it is known.
    pub judged: Vec<JudgedCallback>,
    /// How many claims the provider denied, for the statistics.
    pub disputed: BTreeMap<RollupKey, i64>,
    /// Answers of providers.
    pub polls: Vec<NewPoll>,
    /// How long the tasks took that were completed.
    pub took: Vec<Took>,
    /// Answers that said the same as the one before.
    pub polls_again: Vec<(PollId, Timestamp)>,
}

impl Fold {
    /// Begins with the tasks that are known.
    pub fn new(known: HashMap<TaskId, Followed>, now: Timestamp) -> Self {
        let known = known.into_iter().map(|(id, followed)| {
            let before = Some(followed.clone());
            (id, Known { followed, before, folded: None, was_due: false })
        });
        Self {
            known: known.collect(),
            now,
            intents: Intents::default(),
            events: Vec::new(),
            deliveries: Vec::new(),
            contradictions: Vec::new(),
            judged: Vec::new(),
            disputed: BTreeMap::new(),
            polls: Vec::new(),
            took: Vec::new(),
            polls_again: Vec::new(),
        }
    }

    /// The same, with the relayed requests that its messages and tasks belong to.
    pub fn with_intents(self, intents: Intents) -> Self {
        Self { intents, ..self }
    }

    /// Folds one message in; gives what became of each of its observations.
    pub fn take(&mut self, entry: &Entry) -> Vec<Folded> {
        match &entry.reading {
            Reading::Said(_) | Reading::Opened(_) => {
                let standing = self.intents.stand_for(entry);
                let both = entry.observations().iter().zip(&entry.drafts);
                both.map(|(seen, draft)| self.take_one(entry, seen, draft, standing.as_ref())).collect()
            }
            Reading::Answered(answered) => self.take_answer(entry, answered).into_iter().collect(),
            Reading::Due { task_id } => {
                let passed = |followed: &mut Followed, now| followed.passed(&entry.plan, now);
                let folded = self.take_known(entry, task_id, None, passed);
                let id = (entry.source.clone(), task_id.clone());
                self.known.entry(id).and_modify(|known| known.was_due = true);
                folded.into_iter().collect()
            }
            Reading::Quarantined { .. } => {
                entry.drafts.iter().for_each(|draft| self.take_unread(entry, draft));
                Vec::new()
            }
            Reading::Rejected { .. } => Vec::new(),
        }
    }

    fn take_one(&mut self, entry: &Entry, seen: &Observation, draft: &Draft, standing: Option<&Standing>) -> Folded {
        let id = (entry.source.clone(), seen.task_id.clone());
        let context = |now| {
            let context = entry.context(Some(seen), now);
            standing.map_or_else(|| context.clone(), |standing| standing.over(context.clone()))
        };
        if self.known.contains_key(&id) {
            let folded = self.take_known(entry, &seen.task_id, Some(seen), |followed, now| {
                if let Some(standing) = standing {
                    followed.intent_id.get_or_insert_with(|| standing.intent_id.clone());
                }
                followed.observe(seen, &context(now))
            });
            return folded.unwrap_or_else(|| folded_of(&draft.followed.task, &draft.turn, Some(seen), None));
        }
        let over = standing.map(|standing| {
            let mut draft = entry.draft(seen, &context(self.now));
            draft.followed.intent_id = Some(standing.intent_id.clone());
            draft
        });
        let draft = over.as_ref().unwrap_or(draft);
        let made = draft.event.as_ref().map(|(event, _)| event.id.clone());
        let folded = Folded { is_first: true, ..folded_of(&draft.followed.task, &draft.turn, Some(seen), made) };
        self.known.insert(id, Known::made(draft.followed.clone(), entry.plan));
        if let Some((event, audience)) = &draft.event {
            let task = &draft.followed.task;
            self.took.extend(took(task, event, task.created_at));
            self.deliver(Arc::clone(event), audience);
        }
        folded
    }

    /// Has the provider asked for the task of a message that was not understood.
    fn take_unread(&mut self, entry: &Entry, draft: &Draft) {
        let id = (entry.source.clone(), draft.followed.task.task_id.clone());
        let known = self.known.entry(id);
        let known = known.and_modify(|known| known.followed.unread(&entry.context(None, self.now)));
        known.or_insert_with(|| Known::made(draft.followed.clone(), entry.plan)).folded = Some(entry.plan);
    }

    /// Folds something into a task that is known; `None` where it is not.
    fn take_known(
        &mut self,
        entry: &Entry,
        task_id: &str,
        seen: Option<&Observation>,
        turn: impl FnOnce(&mut Followed, Timestamp) -> Turn,
    ) -> Option<Folded> {
        let id = (entry.source.clone(), task_id.to_owned());
        let Known { followed, folded, .. } = self.known.get_mut(&id)?;
        *folded = Some(entry.plan);
        let (now, roster) = (self.now, &entry.roster);
        let turn = turn(followed, now);
        let event = turn.tell.map(|told| followed.change(now, |task| tell(task, told, roster, now)));
        let made = event.as_ref().map(|(event, _)| event.id.clone());
        let claimed = turn.tell.and_then(|told| told.claimed);
        if let Some((event, _)) = &event {
            let task = &followed.task;
            self.took.extend(took(task, event, task.created_at.or(Some(task.first_seen_at))));
        }
        let folded = folded_of(&followed.task, &turn, seen, made.clone());
        if let (Some(_), Some(conflict), Some(told)) = (claimed, &made, &followed.task.terminal_event) {
            self.contradictions.push(Contradiction { told: told.clone(), conflict: conflict.clone() });
        }
        self.judge(turn, &id, made);
        if let Some((event, audience)) = event {
            self.deliver(event, &audience);
        }
        Some(folded)
    }

    fn take_answer(&mut self, entry: &Entry, answered: &Answered) -> Option<Folded> {
        let Answered { task_id, told, key_works, wait, jitter, .. } = answered;
        let (outcome, detail) = in_words(told);
        let said = match told {
            Told::Task(_) => None,
            Told::NotFound => Some(Said::NotFound { key_works: *key_works }),
            Told::Refused(_) => Some(Said::Refused),
            Told::Throttled => Some(Said::Throttled(*wait)),
            Told::Nothing(_) => Some(Said::Nothing),
        };
        self.note_poll(entry, answered, outcome, detail);
        let mut was_called = false;
        let folded = self.take_known(entry, task_id, None, |followed, now| match (told, said) {
            (Told::Task(seen), _) => {
                let turn = followed.observe(seen, &entry.context(Some(seen), now));
                was_called = !turn.confirmed.is_empty();
                turn
            }
            (_, Some(said)) => followed.unanswered(said, &entry.context(None, now), *jitter),
            (_, None) => followed.passed(&entry.plan, now),
        })?;
        let is_new_end = matches!(told, Told::Task(seen) if seen.status.is_terminal())
            && matches!(folded.outcome, CallbackOutcome::Accepted | CallbackOutcome::Conflict);
        if is_new_end && !was_called {
            self.forward_answer(entry, answered);
        }
        Some(folded)
    }

    /// A client that wanted the callback, which did not come, gets the provider's answer in its place.
    fn forward_answer(&mut self, entry: &Entry, answered: &Answered) {
        let id = (entry.source.clone(), answered.task_id.clone());
        let intent_id = self.followed(&id).and_then(|followed| followed.intent_id.as_deref());
        let Some(url) = intent_id.and_then(|id| self.intents.client_url(id)) else { return };
        let (Some(body), Some(poll)) = (&answered.body, self.polls.last_mut()) else { return };
        if (&poll.source, &poll.task_id) == (&id.0, &id.1) {
            poll.body = Some(body.to_vec());
            self.deliveries.extend(forward(poll.id.as_str(), url, self.now));
        }
    }

    /// Keeps the answer, or counts it where it says the same as the one before.
    fn note_poll(&mut self, entry: &Entry, answered: &Answered, outcome: &str, detail: Option<String>) {
        let id = (entry.source.clone(), answered.task_id.clone());
        let Some(watch) = self.known.get_mut(&id).and_then(|known| known.followed.watch.as_mut()) else { return };
        match &watch.last {
            Some(last) if last.outcome == outcome && last.detail == detail => {
                self.polls_again.push((last.id.clone(), self.now));
            }
            _ => {
                let poll = PollId::new(self.now);
                watch.last = Some(LastPoll { id: poll.clone(), outcome: outcome.to_owned(), detail: detail.clone() });
                self.polls.push(NewPoll {
                    id: poll,
                    source: id.0,
                    task_id: id.1,
                    outcome: outcome.to_owned(),
                    detail,
                    at: self.now,
                    body: None,
                });
            }
        }
    }

    fn judge(&mut self, turn: Turn, id: &TaskId, made: Option<EventId>) {
        for claim in &turn.disputed {
            let known = self.followed(id).and_then(|followed| followed.task.model.clone());
            let model = claim.seen.model.clone().or(known).unwrap_or_default();
            let key = RollupKey { day: Day::of(self.now), source: id.0.clone(), model };
            *self.disputed.entry(key).or_default() += 1;
        }
        let told = made.or_else(|| self.followed(id).and_then(|followed| followed.task.terminal_event.clone()));
        let mut judge = |claims: Vec<Claim>, outcome, event_id: Option<EventId>, detail: Option<&str>| {
            self.judged.extend(claims.into_iter().filter_map(|claim| {
                let detail = detail.map(str::to_owned);
                Some(JudgedCallback { id: claim.callback_id?, outcome, event_id: event_id.clone(), detail })
            }));
        };
        judge(turn.confirmed, None, told, None);
        judge(turn.disputed, Some(CallbackOutcome::Disputed), None, Some("the provider, when asked, denied it"));
        judge(turn.contrary, Some(CallbackOutcome::Conflict), None, Some("another end was claimed before and is told"));
    }

    fn followed(&self, id: &TaskId) -> Option<&Followed> {
        self.known.get(id).map(|known| &known.followed)
    }

    /// Whether the task of an event has ended meanwhile.
    pub fn is_over(&self, event: &Event) -> bool {
        let id = event.source.clone().zip(event.task_id.clone());
        id.and_then(|id| self.followed(&id)).is_some_and(|followed| followed.task.status.is_terminal())
    }

    fn deliver(&mut self, event: Arc<Event>, audience: &[String]) {
        self.deliveries.extend(audience.iter().map(|destination| NewDelivery {
            id: DeliveryId::new(self.now),
            event_id: event.id.clone(),
            event_type: event.kind.as_str(),
            destination: destination.clone(),
            replay_id: None,
            url: None,
        }));
        self.events.push((event, audience.len()));
    }

    fn folded(&self) -> impl Iterator<Item = (&TaskId, &Known, Plan)> {
        self.known.iter().filter_map(|(id, known)| Some((id, known, known.folded?)))
    }

    /// The tasks that were not known, and those that were and have changed.
    pub fn changed_tasks(&self) -> (Vec<Arc<Task>>, Vec<ChangedTask>) {
        let mut folded: Vec<_> = self.folded().collect();
        folded.sort_unstable_by_key(|(id, ..)| *id);
        let (mut made, mut changed) = (Vec::new(), Vec::new());
        for (_, Known { followed, before, .. }, _) in folded {
            let task = Arc::clone(&followed.task);
            match before {
                None => made.push(task),
                Some(before) if Arc::ptr_eq(&before.task, &task) => {}
                Some(before) => changed.push(ChangedTask { before: Arc::clone(&before.task), task }),
            }
        }
        (made, changed)
    }

    /// The relayed requests that were changed, as they are now: the key of one whose task has ended is forgotten.
    pub fn changed_intents(&mut self) -> Vec<&Intent> {
        for (id, known) in self.known.iter().filter(|(_, known)| known.folded.is_some()) {
            if let (None, Some(intent_id)) = (&known.followed.watch, &known.followed.intent_id) {
                self.intents.ended(intent_id, &id.1);
            }
        }
        self.intents.changed()
    }

    /// The tasks as they are now.
    pub fn into_known(self) -> HashMap<TaskId, Followed> {
        self.known.into_iter().map(|(id, known)| (id, known.followed)).collect()
    }

    /// The watches that have changed, and the tasks whose watches end.
    pub fn watches(&self) -> (Vec<SavedWatch<'_>>, Vec<&TaskId>) {
        let (mut saved, mut ended) = (Vec::new(), Vec::new());
        for (id, known, plan) in self.folded() {
            let was_watched = known.before.as_ref().is_some_and(|before| before.watch.is_some());
            match &known.followed.watch {
                Some(watch) => {
                    let intent_id = known.followed.intent_id.as_deref();
                    let (look_at, saving) = (watch.look_at(&plan), known.saving(watch));
                    saved.push(SavedWatch { id, watch, look_at, intent_id, saving });
                }
                None if was_watched => ended.push(id),
                None => {}
            }
        }
        saved.retain(|saved| saved.saving != Saving::Nothing);
        saved.sort_unstable_by_key(|saved| saved.id);
        ended.sort_unstable();
        (saved, ended)
    }
}

impl Known {
    fn made(followed: Followed, plan: Plan) -> Self {
        Self { followed, before: None, folded: Some(plan), was_due: false }
    }

    /// What of its watch is to be written.
    fn saving(&self, watch: &Watch) -> Saving {
        match &self.before {
            Some(Followed { watch: Some(before), intent_id, .. })
                if !self.was_due && *intent_id == self.followed.intent_id =>
            {
                watch.saving(before)
            }
            _ => Saving::All,
        }
    }
}

/// How long a task took that an event tells to be completed, where it is known when it began: at the provider, or for us.
fn took(task: &Task, event: &Event, began: Option<Timestamp>) -> Option<Took> {
    let began = began.filter(|_| event.kind == EventType::TaskCompleted)?;
    let time = task.completed_at.unwrap_or(event.at).since(began);
    Some(Took { source: task.source.clone(), model: task.model.clone()?, time })
}

/// An answer in one word, and what it said, for people.
fn in_words(told: &Told) -> (&'static str, Option<String>) {
    match told {
        Told::Task(seen) => (seen.status.as_str(), None),
        Told::NotFound => ("not_found", None),
        Told::Refused(detail) => ("refused", Some(detail.clone())),
        Told::Throttled => ("throttled", None),
        Told::Nothing(detail) => ("nothing", Some(detail.clone())),
    }
}

fn folded_of(task: &Task, turn: &Turn, seen: Option<&Observation>, made: Option<EventId>) -> Folded {
    let status = seen.map_or(task.status, |seen| seen.status);
    let event_id = match turn.outcome {
        CallbackOutcome::Duplicate => made.or_else(|| task.event_of(status).cloned()),
        _ => made,
    };
    let (task_id, outcome, detail) = (task.task_id.clone(), turn.outcome, turn.detail);
    let is_final = seen.is_some_and(|seen| task.has_told(seen));
    Folded { task_id, outcome, event_id, detail, is_first: false, is_final }
}
