//! A task followed to its end: what each message means for it and for its watch, as one decision.
//!
//! [`Task`] knows what a step is, [`Watch`] what is still to be found out; here they meet. An end that
//! nobody signed is only claimed where the provider can be asked, and is told when the provider has spoken.

use std::sync::Arc;
use std::time::Duration;

use super::callback::CallbackOutcome;
use super::clock::Timestamp;
use super::event::EventType;
use super::id::CallbackId;
use super::observation::{Metadata, MetadataOrigin, Observation, Provenance, Trust, Via};
use super::task::{Status, Task, Verdict};
use super::watch::{Claim, Consequence, End, Heard, Plan, Said, Watch};

/// A task, and what is to be done about it.
#[derive(Clone, PartialEq, Debug)]
pub struct Followed {
    /// The task. It stays the same `Arc` as long as nothing of it changes: then there is nothing to be written.
    pub task: Arc<Task>,
    /// How it is watched; `None` where its end is certain, or nothing is to be done.
    pub watch: Option<Watch>,
    /// The relayed request that made it, while it is watched.
    pub intent_id: Option<String>,
}

/// A message, beside what it says of a task.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Where it comes from.
    pub from: &'a Provenance,
    /// What its source is watched by.
    pub plan: &'a Plan,
    /// The callback that it is.
    pub callback_id: Option<&'a CallbackId>,
    /// Whether it stands for the task: it was relayed, registered, or listed by the provider.
    pub vouches: bool,
    /// How long such a task should take, as far as anything is known.
    pub expected: Option<Duration>,
    /// When the user says that it is overdue, from its beginning.
    pub deadline: Option<Duration>,
    /// The present.
    pub now: Timestamp,
}

/// An event to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tell {
    /// What it tells.
    pub kind: EventType,
    /// The contrary status of a `task.conflict`.
    pub claimed: Option<Status>,
}

/// What a message comes to.
#[derive(Clone, PartialEq, Debug)]
pub struct Turn {
    /// What it was.
    pub outcome: CallbackOutcome,
    /// Why, where there is something to say.
    pub detail: Option<&'static str>,
    /// The event to be made.
    pub tell: Option<Tell>,
    /// Claims that turned out to be true.
    pub confirmed: Vec<Claim>,
    /// Claims that the provider denies.
    pub disputed: Vec<Claim>,
    /// Claims that contradict the end that is told.
    pub contrary: Vec<Claim>,
}

impl Turn {
    fn of(outcome: CallbackOutcome) -> Self {
        let (confirmed, disputed, contrary) = (Vec::new(), Vec::new(), Vec::new());
        Self { outcome, detail: None, tell: None, confirmed, disputed, contrary }
    }

    /// What a message comes to that was not understood.
    pub fn unread() -> Self {
        Self::of(CallbackOutcome::Quarantined)
    }
}

impl Followed {
    /// A task of which nothing is known yet, and the first message of it.
    pub fn begin(source: &str, provider: &str, seen: &Observation, context: &Context<'_>) -> (Self, Turn) {
        let is_claim = is_claim(seen, context);
        let first = if is_claim { &Observation::new(&seen.task_id, Status::Pending) } else { seen };
        let (task, verdict) = Task::first_seen(source, provider, first, context.from, context.now);
        let mut followed = Self { task: Arc::new(task), watch: None, intent_id: None };
        let mut turn = Turn::of(CallbackOutcome::Accepted);
        if is_claim {
            followed.watch(context).hear(seen, context.callback_id.cloned(), End::Open, context.now);
        } else {
            turn.tell = tell(verdict, seen);
            if !seen.status.is_terminal() {
                followed.watch(context);
            }
        }
        (followed, turn)
    }

    /// The task, to be completed before anybody has it.
    pub fn task_mut(&mut self) -> &mut Task {
        Arc::make_mut(&mut self.task)
    }

    /// Does something with the task, which has changed now if it is another one afterwards.
    pub fn change<T>(&mut self, now: Timestamp, change: impl FnOnce(&mut Task) -> T) -> T {
        let mut task = Task::clone(&self.task);
        let came_of_it = change(&mut task);
        if task != *self.task {
            task.updated_at = now;
            self.task = Arc::new(task);
        }
        came_of_it
    }

    /// A task of which nothing is known yet but its id, in a message that was not understood otherwise.
    pub fn begin_unread(source: &str, provider: &str, task_id: &str, context: &Context<'_>) -> Self {
        let seen = Observation::new(task_id, Status::Pending);
        let (mut followed, _) = Self::begin(source, provider, &seen, context);
        followed.unread(context);
        followed
    }

    /// Takes in a message of it that was not understood: the provider is asked what there is to know.
    pub fn unread(&mut self, context: &Context<'_>) {
        self.change(context.now, |task| task.take_metadata(context.from));
        if !self.task.status.is_terminal() {
            self.watch(context).wonder(context.now);
        }
    }

    /// Takes in what a message says.
    pub fn observe(&mut self, seen: &Observation, context: &Context<'_>) -> Turn {
        if is_claim(seen, context) {
            return self.hear(seen, context);
        }
        let verdict = self.change(context.now, |task| task.observe(seen, context.from));
        let mut turn = Turn::of(outcome(verdict));
        turn.tell = tell(verdict, seen);
        if verdict == Verdict::Reused {
            turn.detail = Some(ID_REUSED);
            if context.from.via == Via::Poll {
                // The provider has forgotten the task that it had by this name.
                self.watch = None;
            }
        } else if seen.status.is_terminal() {
            // It is believed, or it would be a claim.
            self.close(seen.status, &mut turn);
        } else {
            if !self.task.status.is_terminal() {
                self.watch(context);
            }
            if context.from.via == Via::Poll {
                self.answered(Said::Status(seen.status), context, 0.0, &mut turn);
            }
        }
        turn
    }

    /// Takes in that the provider was asked and told nothing of the task.
    pub fn unanswered(&mut self, said: Said, context: &Context<'_>, jitter: f64) -> Turn {
        let mut turn = Turn::of(CallbackOutcome::Duplicate);
        self.answered(said, context, jitter, &mut turn);
        turn
    }

    /// Time has passed.
    pub fn passed(&mut self, plan: &Plan, now: Timestamp) -> Turn {
        let mut turn = Turn::of(CallbackOutcome::Duplicate);
        let end = self.end();
        if let Some(watch) = &mut self.watch {
            let consequence = watch.passed(plan, end, now);
            self.carry_out(consequence, now, &mut turn);
        }
        turn
    }

    /// Whether an end was told.
    fn end(&self) -> End {
        match (self.task.status.is_terminal(), self.task.confirmed) {
            (false, _) => End::Open,
            (true, false) => End::Unconfirmed,
            (true, true) => End::Certain,
        }
    }

    fn watch(&mut self, context: &Context<'_>) -> &mut Watch {
        let Context { plan, expected, deadline, now, .. } = *context;
        let vouches = vouches(context);
        if let Some(watch) = &mut self.watch
            && vouches
        {
            watch.vouch(plan, deadline, now);
        }
        self.watch.get_or_insert_with(|| Watch::begin(plan, vouches, expected, deadline, now))
    }

    fn hear(&mut self, seen: &Observation, context: &Context<'_>) -> Turn {
        self.change(context.now, |task| task.take_metadata(context.from));
        let (end, now) = (self.end(), context.now);
        if end != End::Open && self.task.is_another(seen) {
            return Turn { detail: Some(ID_REUSED), ..Turn::of(CallbackOutcome::Conflict) };
        }
        if end != End::Open && self.task.status == seen.status {
            return Turn::of(CallbackOutcome::Duplicate);
        }
        if end != End::Open && self.task.conflict_event.is_some() {
            // That the end was another one is told, and there is nothing more to be found out.
            return Turn::of(CallbackOutcome::Conflict);
        }
        let callback_id = context.callback_id.cloned();
        let heard = self.watch(context).hear(seen, callback_id, end, now);
        Turn::of(match (end, heard) {
            (End::Unconfirmed | End::Certain, _) => CallbackOutcome::Conflict,
            (End::Open, Heard::New) => CallbackOutcome::Accepted,
            (End::Open, Heard::Again) => CallbackOutcome::Duplicate,
            (End::Open, Heard::Denied) => CallbackOutcome::Disputed,
        })
    }

    fn close(&mut self, status: Status, turn: &mut Turn) {
        let Some(mut watch) = self.watch.take() else { return };
        let consequence = watch.close(status);
        (turn.confirmed, turn.disputed) = (consequence.confirmed, consequence.disputed);
    }

    fn answered(&mut self, said: Said, context: &Context<'_>, jitter: f64, turn: &mut Turn) {
        let end = self.end();
        let Some(watch) = &mut self.watch else { return };
        let consequence = watch.answered(said, context.plan, end, context.now, jitter);
        self.carry_out(consequence, context.now, turn);
    }

    fn carry_out(&mut self, consequence: Consequence, now: Timestamp, turn: &mut Turn) {
        let Consequence { tell: claim, disputed, contrary, confirmed, overdue, misled, done } = consequence;
        turn.detail = turn.detail.or(misled.then_some(MISLED));
        turn.disputed.extend(disputed);
        turn.contrary.extend(contrary);
        turn.confirmed.extend(confirmed);
        if let Some(claim) = claim {
            let verdict = self.change(now, |task| task.observe(&claim.seen, &unconfirmed()));
            turn.tell = tell(verdict, &claim.seen);
            turn.confirmed.push(claim);
        } else if overdue {
            turn.tell = Some(Tell { kind: EventType::TaskOverdue, claimed: None });
        }
        if done {
            self.watch = None;
        }
    }
}

/// What another job with the id of an ended one is told as (contract §4, `conflict`).
const ID_REUSED: &str = "id_reused: an ended task has this id, and began at another time";

/// Why an end was told unconfirmed, or is not told, although the provider answers.
const MISLED: &str = "it does not know a task that is there: is `api_key` of the same account, and `base_url` right?";

/// Whether a message stands for its task. Who signs knows the task, even if what it says of it is not signed.
fn vouches(context: &Context<'_>) -> bool {
    context.vouches || context.from.via == Via::Callback && context.from.trust >= Trust::SignedId
}

/// A claim that nobody confirmed, as it was heard.
fn unconfirmed() -> Provenance {
    let (metadata, metadata_origin) = (Metadata::new(), MetadataOrigin::Absent);
    Provenance { via: Via::Callback, trust: Trust::Unsigned, metadata, metadata_origin }
}

fn is_claim(seen: &Observation, context: &Context<'_>) -> bool {
    let Context { from, plan, .. } = context;
    plan.confirms && seen.status.is_terminal() && from.via == Via::Callback && from.trust != Trust::SignedBody
}

fn outcome(verdict: Verdict) -> CallbackOutcome {
    match verdict {
        Verdict::Advanced(_) => CallbackOutcome::Accepted,
        Verdict::Duplicate => CallbackOutcome::Duplicate,
        Verdict::Stale => CallbackOutcome::Stale,
        Verdict::Conflict { .. } | Verdict::Reused => CallbackOutcome::Conflict,
    }
}

fn tell(verdict: Verdict, seen: &Observation) -> Option<Tell> {
    match verdict {
        Verdict::Advanced(kind) => kind.map(|kind| Tell { kind, claimed: None }),
        Verdict::Conflict { tell: true } => Some(Tell { kind: EventType::TaskConflict, claimed: Some(seen.status) }),
        Verdict::Conflict { tell: false } | Verdict::Duplicate | Verdict::Stale | Verdict::Reused => None,
    }
}

#[cfg(test)]
mod tests;
