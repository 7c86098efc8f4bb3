//! Watching a task until its end is known: when its provider is asked, what the answers mean for ends
//! that somebody claimed and nobody confirmed, and when it is overdue. Pure; contract §4 has the rules.
//!
//! A claim is an end that a callback told without a signature over its body, at a source whose provider
//! can be asked. It is a hint: nothing is told of it before the provider has spoken, or cannot speak.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::id::{CallbackId, PollId};
use super::observation::Observation;
use super::source::{Confirm, Source};
use super::task::Status;

/// A claim that the provider denies is asked about for so long before it is `disputed` (contract §4).
const DENIED_AFTER: Duration = Duration::from_secs(5 * 60);
/// … and at least this often.
const CLAIM_EVERY: Duration = Duration::from_secs(15);
/// A provider that does not know a claimed task is asked this often, for it may be slow to know.
const UNKNOWN_TIMES: u32 = 2;
/// After `task.overdue` the provider is asked for so long …
const SLOW_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// … this often.
const SLOW_EVERY: Duration = Duration::from_secs(3600);

/// What the tasks of a source are watched by. The default asks nobody.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Plan {
    /// Whether there is a key to ask the provider with.
    pub can_ask: bool,
    /// Whether an unsigned end is only a hint.
    pub confirms: bool,
    /// Whether what nobody confirmed is told all the same when the provider cannot be asked.
    pub confirm: Confirm,
    /// After how long.
    pub confirm_within: Duration,
    /// When a task is asked for first, where nothing better is known.
    pub after: Duration,
    /// How long between two questions.
    pub every: Duration,
    /// When it is overdue.
    pub give_up_after: Duration,
}

impl Plan {
    /// The plan of a source. Where the provider does not call back, asking is the main way and does not
    /// wait for a callback first.
    pub fn of(source: &Source, calls_back: bool) -> Self {
        let poll = &source.poll;
        Self {
            can_ask: source.can_ask(),
            confirms: source.confirms(),
            confirm: source.confirm,
            confirm_within: source.confirm_within,
            after: if calls_back { poll.after } else { poll.every.min(poll.after) },
            every: poll.every,
            give_up_after: poll.give_up_after,
        }
    }

    fn claim_every(&self) -> Duration {
        self.every.min(CLAIM_EVERY)
    }
}

/// How far a claim has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClaimState {
    /// The provider is being asked.
    Open,
    /// The provider denied it.
    Disputed,
    /// It came after an end was told, and contradicts it.
    Contrary,
}

/// An end that was claimed and that nobody has confirmed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// How far it has come.
    pub state: ClaimState,
    /// The callback that claimed it first.
    pub callback_id: Option<CallbackId>,
    /// When.
    pub claimed_at: Moment,
    /// What it said.
    pub seen: Observation,
}

/// A moment as it is kept: milliseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self(at.0)
    }
}

impl From<Moment> for Timestamp {
    fn from(at: Moment) -> Self {
        Self(at.0)
    }
}

/// The last answer, to know whether the next one says something new.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastPoll {
    /// Its row.
    pub id: PollId,
    /// What it was, in one word.
    pub outcome: String,
    /// What it said, for people.
    pub detail: Option<String>,
}

/// Whether an end of the task was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// No.
    Open,
    /// Yes, although nobody could confirm it.
    Unconfirmed,
    /// Yes, and it is certain.
    Certain,
}

/// What is to be done about one task until its end is known.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Watch {
    /// When the provider is asked next; `None` where it is not.
    #[serde(skip)]
    pub ask_at: Option<Timestamp>,
    /// Whether somebody stands for the task: it was relayed, registered or listed, or the provider knew it.
    #[serde(skip)]
    pub vouched: bool,
    /// Since when it is watched.
    pub since_at: Moment,
    /// When `task.overdue` is due; `None` once it was told.
    pub overdue_at: Option<Moment>,
    /// Questions in a row to which the provider said that it knows no such task.
    pub unknown: u32,
    /// The ends that were claimed.
    pub claims: Vec<Claim>,
    /// The last answer.
    pub last: Option<LastPoll>,
}

/// What the provider said when asked, as far as it matters for watching.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// The task has this status.
    Status(Status),
    /// It knows no such task. `key_works`: the key has found some task of this source before.
    NotFound {
        /// Whether it can be the task that is wrong, and not the key.
        key_works: bool,
    },
    /// It does not accept our key.
    Refused,
    /// We asked too often, and may ask again after this.
    Throttled(Duration),
    /// Nothing that can be used.
    Nothing,
}

/// What follows from an answer, or from time passing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Consequence {
    /// This end is told although nobody confirmed it.
    pub tell: Option<Claim>,
    /// These are denied.
    pub disputed: Vec<Claim>,
    /// These were claimed, and the end that was told is another one.
    pub contrary: Vec<Claim>,
    /// These were true: the end was told.
    pub confirmed: Vec<Claim>,
    /// `task.overdue` is told.
    pub overdue: bool,
    /// There is nothing left to watch.
    pub done: bool,
}

/// What a claim is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The first of its kind: the provider is asked.
    New,
    /// The same was claimed before, and is being asked about.
    Again,
    /// The same was claimed before, and denied.
    Denied,
}

impl Watch {
    /// Begins to watch. `expected` is how long the task should take, as far as anything is known;
    /// `deadline` is when it is overdue, where the user said so.
    pub fn begin(
        plan: &Plan,
        vouched: bool,
        expected: Option<Duration>,
        deadline: Option<Duration>,
        now: Timestamp,
    ) -> Self {
        Self {
            ask_at: plan.can_ask.then(|| now.after(expected.unwrap_or(plan.after))),
            vouched,
            since_at: now.into(),
            overdue_at: Some(now.after(deadline.unwrap_or(plan.give_up_after)).into()),
            unknown: 0,
            claims: Vec::new(),
            last: None,
        }
    }

    /// When something is to be done without an answer: telling that it is overdue, or what nobody confirmed.
    pub fn look_at(&self, plan: &Plan) -> Option<Timestamp> {
        let unconfirmed = self.open().filter(|_| plan.confirm == Confirm::Auto).map(|claim| told_at(claim, plan)).min();
        self.overdue_at.map(Timestamp::from).into_iter().chain(unconfirmed).min()
    }

    fn open(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(|claim| claim.state == ClaimState::Open)
    }

    /// Hears that the task has ended; what `seen` claims is to be confirmed. `end`: whether another one was told.
    pub fn hear(&mut self, seen: &Observation, callback_id: Option<CallbackId>, end: End, now: Timestamp) -> Heard {
        if let Some(claim) = self.claims.iter().find(|claim| claim.seen.status == seen.status) {
            return if claim.state == ClaimState::Disputed { Heard::Denied } else { Heard::Again };
        }
        let state = if end == End::Open { ClaimState::Open } else { ClaimState::Contrary };
        self.claims.push(Claim { state, callback_id, claimed_at: now.into(), seen: seen.clone() });
        self.ask_at = Some(now);
        self.unknown = 0;
        Heard::New
    }

    /// The end is certain: nothing is left to watch, and every claim is judged by it.
    pub fn close(&mut self, status: Status) -> Consequence {
        let (confirmed, denied): (Vec<Claim>, Vec<Claim>) =
            self.take_claims().into_iter().partition(|claim| claim.seen.status == status);
        let disputed = denied.into_iter().filter(|claim| claim.state == ClaimState::Open).collect();
        self.ask_at = None;
        self.overdue_at = None;
        Consequence { confirmed, disputed, done: true, ..Consequence::default() }
    }

    fn take_claims(&mut self) -> Vec<Claim> {
        let all = std::mem::take(&mut self.claims);
        all.into_iter().filter(|claim| claim.state != ClaimState::Disputed).collect()
    }

    /// Takes an answer in that says nothing of an end. Where an end was told
    /// already, it is asked about because it was not confirmed or was contradicted. `jitter` in 0..1 spreads what had no answer.
    pub fn answered(&mut self, said: Said, plan: &Plan, end: End, now: Timestamp, jitter: f64) -> Consequence {
        match said {
            Said::Status(_) => {
                self.vouched = true;
                self.unknown = 0;
                self.denied(plan, end, now)
            }
            Said::NotFound { key_works } => self.not_found(key_works, plan, end, now),
            Said::Refused => {
                self.again(plan, now, jitter);
                self.unconfirmable(plan)
            }
            Said::Throttled(wait) => {
                self.ask_at = Some(now.after(wait.max(plan.claim_every())));
                self.passed(plan, end, now)
            }
            Said::Nothing => {
                self.again(plan, now, jitter);
                self.passed(plan, end, now)
            }
        }
    }

    /// The provider says that the task goes on.
    fn denied(&mut self, plan: &Plan, end: End, now: Timestamp) -> Consequence {
        let (mut disputed, mut asked) = (Vec::new(), false);
        for claim in &mut self.claims {
            if claim.state == ClaimState::Disputed {
                continue;
            }
            if now.since(claim.claimed_at.into()) >= DENIED_AFTER {
                let was = claim.state;
                claim.state = ClaimState::Disputed;
                if was == ClaimState::Open {
                    disputed.push(claim.clone());
                }
            } else {
                asked = true;
            }
        }
        let wait = if asked { plan.claim_every() } else { self.calm(plan) };
        self.ask_at = (asked || end != End::Certain).then(|| now.after(wait));
        let mut consequence = self.passed(plan, end, now);
        consequence.disputed = disputed;
        consequence
    }

    fn not_found(&mut self, key_works: bool, plan: &Plan, end: End, now: Timestamp) -> Consequence {
        self.unknown = self.unknown.saturating_add(1);
        if self.vouched || !key_works {
            // The task is there: it is our key, or our address, that is wrong.
            self.ask_at = Some(now.after(self.calm(plan)));
            let mut consequence = self.unconfirmable(plan);
            let rest = self.passed(plan, if consequence.tell.is_some() { End::Unconfirmed } else { end }, now);
            consequence.overdue = rest.overdue;
            consequence.done = rest.done;
            return consequence;
        }
        if self.unknown < UNKNOWN_TIMES {
            self.ask_at = Some(now.after(plan.claim_every()));
            return Consequence::default();
        }
        // Somebody made it up. That it was claimed is kept, so that the same is not asked again.
        self.ask_at = None;
        self.overdue_at = None;
        let mut disputed = Vec::new();
        for claim in self.claims.iter_mut().filter(|claim| claim.state != ClaimState::Disputed) {
            if claim.state == ClaimState::Open {
                disputed.push(claim.clone());
            }
            claim.state = ClaimState::Disputed;
        }
        Consequence { disputed, ..Consequence::default() }
    }

    /// However often there was no answer, it is asked again no later than otherwise: when the provider is
    /// back, every task is asked for within one interval. How often a provider that is down is asked at all is
    /// the poller's business.
    fn again(&mut self, plan: &Plan, now: Timestamp, jitter: f64) {
        let wait = if self.open().next().is_some() { plan.claim_every() } else { self.calm(plan) };
        self.ask_at = Some(now.after(wait.mul_f64(1.0 - 0.2 * jitter.clamp(0.0, 1.0))));
    }

    fn calm(&self, plan: &Plan) -> Duration {
        if self.overdue_at.is_none() { SLOW_EVERY.max(plan.every) } else { plan.every }
    }

    /// It cannot be confirmed, and that will not change by itself.
    fn unconfirmable(&mut self, plan: &Plan) -> Consequence {
        let first = self.open().next().is_some();
        if first && plan.confirm == Confirm::Auto { self.tell_first() } else { Consequence::default() }
    }

    /// The first claim is told as it stands, and the others contradict it. The provider goes on being
    /// asked: what it says one day is the truth.
    fn tell_first(&mut self) -> Consequence {
        let Some(first) = self.claims.iter().position(|claim| claim.state == ClaimState::Open) else {
            return Consequence::default();
        };
        let tell = self.claims.remove(first);
        let mut contrary = Vec::new();
        for claim in self.claims.iter_mut().filter(|claim| claim.state == ClaimState::Open) {
            claim.state = ClaimState::Contrary;
            contrary.push(claim.clone());
        }
        self.overdue_at = None;
        Consequence { tell: Some(tell), contrary, ..Consequence::default() }
    }

    /// Time has passed: what is due without an answer.
    pub fn passed(&mut self, plan: &Plan, end: End, now: Timestamp) -> Consequence {
        if plan.confirm == Confirm::Auto && self.open().any(|claim| told_at(claim, plan) <= now) {
            return self.tell_first();
        }
        let mut consequence = Consequence::default();
        if self.overdue_at.is_some_and(|due| Timestamp::from(due) <= now) {
            self.overdue_at = None;
            consequence.overdue = end == End::Open;
            if self.unknown > 0 {
                // The deadline is what an unknown task is asked for until.
                self.ask_at = None;
            } else {
                self.ask_at = self.ask_at.map(|at| at.max(now));
            }
        }
        let last = Timestamp::from(self.since_at).after(plan.give_up_after + SLOW_FOR);
        if now >= last && self.overdue_at.is_none() && self.open().next().is_none() {
            self.ask_at = None;
        }
        consequence.done = end != End::Open && self.ask_at.is_none();
        consequence
    }
}

fn told_at(claim: &Claim, plan: &Plan) -> Timestamp {
    Timestamp::from(claim.claimed_at).after(plan.confirm_within)
}
