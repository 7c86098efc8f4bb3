//! What is told of a task, and when: each rule of contract §4 as a short story.

use super::*;
use crate::domain::clock::Timestamp;
use crate::domain::id::EventId;
use crate::domain::source::Confirm;
use crate::domain::task::{Output, OutputKind};
use crate::domain::watch::ClaimState;

mod again;
mod confirm;
mod interleaved;
mod watching;

const START: Timestamp = Timestamp(1_775_001_600_000);
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const UNKNOWN: Said = Said::NotFound { key_works: true };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn plan(confirm: Confirm) -> Plan {
    Plan {
        can_ask: true,
        confirms: confirm != Confirm::Never,
        confirm,
        confirm_within: seconds(10 * MINUTE),
        after: seconds(5 * MINUTE),
        every: seconds(MINUTE),
        give_up_after: seconds(DAY),
    }
}

/// A task, and what was heard and told of it.
struct Story {
    plan: Plan,
    now: Timestamp,
    followed: Option<Followed>,
    told: Vec<&'static str>,
    last: Option<Turn>,
    callbacks: Vec<CallbackId>,
}

fn story(confirm: Confirm) -> Story {
    let (told, callbacks) = (Vec::new(), Vec::new());
    Story { plan: plan(confirm), now: START, followed: None, told, last: None, callbacks }
}

fn saw(status: Status, link: &str) -> Observation {
    let output = |url: &str| Output { url: url.into(), kind: OutputKind::Video, expires_at: None, archived_url: None };
    Observation { outputs: vec![output(link)], ..Observation::new("t", status) }
}

fn from(via: Via, trust: Trust) -> Provenance {
    Provenance { via, trust, metadata: Metadata::new(), metadata_origin: MetadataOrigin::Absent }
}

impl Story {
    fn take(&mut self, seen: &Observation, from: &Provenance, vouches: bool) -> CallbackOutcome {
        let callback = CallbackId::new(self.now);
        let callback_id = (from.via == Via::Callback).then_some(&callback);
        let (plan, now) = (self.plan, self.now);
        let context = Context { from, plan: &plan, callback_id, vouches, expected: None, deadline: None, now };
        let turn = match &mut self.followed {
            Some(followed) => followed.observe(seen, &context),
            None => {
                let (followed, turn) = Followed::begin("s", "p", seen, &context);
                self.followed = Some(followed);
                turn
            }
        };
        self.callbacks.push(callback);
        self.note(turn)
    }

    fn note(&mut self, turn: Turn) -> CallbackOutcome {
        if let Some(tell) = turn.tell {
            self.told.push(tell.kind.as_str());
            let task = self.followed.as_mut().unwrap().task_mut();
            task.note_event(tell.kind, EventId::new(START));
        }
        let outcome = turn.outcome;
        self.last = Some(turn);
        outcome
    }

    /// An unsigned callback says so.
    fn claims(&mut self, status: Status) -> CallbackOutcome {
        self.claims_with(status, "https://example.com/a.mp4")
    }

    fn claims_with(&mut self, status: Status, link: &str) -> CallbackOutcome {
        self.take(&saw(status, link), &from(Via::Callback, Trust::Unsigned), false)
    }

    /// A callback that is signed over its body says so.
    fn signs(&mut self, status: Status) -> CallbackOutcome {
        self.take(&saw(status, "https://example.com/signed.mp4"), &from(Via::Callback, Trust::SignedBody), false)
    }

    /// The provider, asked, says so.
    fn answers(&mut self, status: Status) {
        self.take(&saw(status, "https://example.com/true.mp4"), &from(Via::Poll, Trust::SignedBody), false);
    }

    /// The provider, asked, does not say a status.
    fn says(&mut self, said: Said) {
        let (plan, now, from) = (self.plan, self.now, from(Via::Poll, Trust::SignedBody));
        let context = Context {
            from: &from,
            plan: &plan,
            callback_id: None,
            vouches: false,
            expected: None,
            deadline: None,
            now,
        };
        let turn = self.followed.as_mut().unwrap().unanswered(said, &context, 0.0);
        self.note(turn);
    }

    fn registers(&mut self) {
        self.take(&Observation::new("t", Status::Pending), &from(Via::Relay, Trust::Unsigned), true);
    }

    /// Time passes; whatever becomes due by itself is done.
    fn pass(&mut self, time: u64) {
        self.now = self.now.after(seconds(time));
        let (plan, now) = (self.plan, self.now);
        let followed = self.followed.as_mut().unwrap();
        while followed.watch.as_ref().and_then(|watch| watch.look_at(&plan)).is_some_and(|at| at <= now) {
            let turn = followed.passed(&plan, now);
            if let Some(tell) = turn.tell {
                self.told.push(tell.kind.as_str());
                followed.task_mut().note_event(tell.kind, EventId::new(START));
            }
            self.last = Some(turn);
        }
    }

    fn task(&self) -> &Task {
        &self.followed.as_ref().unwrap().task
    }

    fn watch(&self) -> Option<&Watch> {
        self.followed.as_ref().unwrap().watch.as_ref()
    }

    /// In how many seconds the provider is asked.
    fn asks_in(&self) -> Option<u64> {
        self.watch()?.ask_at.map(|at| at.since(self.now).as_secs())
    }

    /// The callbacks that the last turn disputed.
    fn disputed(&self) -> Vec<CallbackId> {
        self.last.as_ref().unwrap().disputed.iter().filter_map(|claim| claim.callback_id.clone()).collect()
    }

    fn confirmed(&self) -> Vec<CallbackId> {
        self.last.as_ref().unwrap().confirmed.iter().filter_map(|claim| claim.callback_id.clone()).collect()
    }
}
