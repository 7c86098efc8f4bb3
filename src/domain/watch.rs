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

/// A claim that the provider denies is asked about for so long before it is `disputed`, and a task that
/// it does not know for so long before it counts as made up (contract §4).
const DENIED_AFTER: Duration = Duration::from_secs(5 * 60);
/// … and at least this often.
const CLAIM_EVERY: Duration = Duration::from_secs(15);
/// After the deadline the provider is asked for so long …
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
    /// Since when the provider denies it.
    pub denied_at: Option<Moment>,
    /// Since when the provider gives no word on it; `None` while it denies it.
    pub unheard_at: Option<Moment>,
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
    /// When the provider is asked next, where it can be asked; `None` where it no longer is. While it is
    /// being asked, when that is given up.
    #[serde(skip)]
    pub ask_at: Option<Timestamp>,
    /// Whether it is being asked at this moment: whatever is to be known then waits for that answer.
    #[serde(skip)]
    pub asking: bool,
    /// Whether somebody stands for the task: it was relayed, registered, listed or signed, or the provider knew it.
    #[serde(skip)]
    pub vouched: bool,
    /// When `task.overdue` is due; `None` where it is not to be told, or was.
    pub overdue_at: Option<Moment>,
    /// Whether it was told.
    pub overdue_told: bool,
    /// The deadline, after which it is asked for less often, and at last no more.
    pub slow_at: Moment,
    /// When the provider last answered, whatever it was.
    pub asked_at: Option<Moment>,
    /// Since when the provider says that it knows no such task.
    pub unknown_at: Option<Moment>,
    /// The ends that were claimed, at most one of each status.
    pub claims: Vec<Claim>,
    /// The last answer.
    pub last: Option<LastPoll>,
}

/// What the provider said when asked, as far as it matters for watching.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// The task has this status, which is not an end.
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
    /// A claim cannot be confirmed, as the provider does not know a task that is there.
    pub misled: bool,
    /// There is nothing left to watch.
    pub done: bool,
}

/// What of a watch is to be written, so that it is kept as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Saving {
    /// Nothing: it has not changed.
    Nothing,
    /// When it is asked about, and what nobody looks for it by.
    Question,
    /// All of it.
    All,
}

/// What a claim is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The first of its kind: the provider is asked.
    New,
    /// The same end was claimed before, and is being asked about.
    Again,
    /// The very same was claimed before, and denied.
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
        let deadline = deadline.unwrap_or(plan.give_up_after);
        let slow_at = now.after(deadline).into();
        Self {
            // Also where nobody can be asked yet: a key may come later.
            ask_at: Some(now.after(expected.unwrap_or(plan.after).min(deadline))),
            asking: false,
            vouched,
            overdue_at: Some(slow_at),
            overdue_told: false,
            slow_at,
            asked_at: None,
            unknown_at: None,
            claims: Vec::new(),
            last: None,
        }
    }

    /// When something is to be done without an answer: telling that it is overdue, or what nobody confirmed.
    pub fn look_at(&self, plan: &Plan) -> Option<Timestamp> {
        let unconfirmed = self.open().filter_map(|claim| told_at(claim, plan)).min();
        self.overdue_at.map(Timestamp::from).into_iter().chain(unconfirmed).min()
    }

    /// What of it is to be written, where it was kept like that before. Most answers move no more than the next question.
    pub fn saving(&self, before: &Self) -> Saving {
        // When a claim is looked at hangs on the plan too, which is not known here.
        let is_looked_at = |watch: &Self| (watch.overdue_at, watch.claims.is_empty());
        if self.vouched != before.vouched || !self.claims.is_empty() || is_looked_at(self) != is_looked_at(before) {
            Saving::All
        } else if self == before {
            Saving::Nothing
        } else {
            Saving::Question
        }
    }

    fn open(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(|claim| claim.state == ClaimState::Open)
    }

    /// Somebody stands for the task from now on, and may say when it is overdue. If it was no longer asked for,
    /// it is again.
    pub fn vouch(&mut self, plan: &Plan, deadline: Option<Duration>, now: Timestamp) {
        self.vouched = true;
        if deadline.is_some() || self.ask_at.is_none() {
            self.slow_at = now.after(deadline.unwrap_or(plan.give_up_after)).into();
            self.overdue_at = (!self.overdue_told).then_some(self.slow_at);
        }
        if self.ask_at.is_none() {
            self.ask_at = Some(now);
            self.unknown_at = None;
        }
    }

    /// Something was said of the task that nobody understood: the provider is asked, soon after the last time.
    pub fn wonder(&mut self, now: Timestamp) {
        if !self.asking && self.ask_at.is_some() {
            let soon = self.asked_at.map_or(now, |at| Timestamp::from(at).after(CLAIM_EVERY).max(now));
            self.ask_at = self.ask_at.min(Some(soon));
        }
    }

    /// Hears that the task has ended; what `seen` claims is to be confirmed. `end`: whether another one was told.
    pub fn hear(&mut self, seen: &Observation, callback_id: Option<CallbackId>, end: End, now: Timestamp) -> Heard {
        match self.claims.iter().find(|claim| claim.seen.status == seen.status) {
            Some(claim) if claim.state != ClaimState::Disputed => return Heard::Again,
            Some(claim) if says_the_same(&claim.seen, seen) => {
                // It may have become true meanwhile.
                self.wonder(now);
                return Heard::Denied;
            }
            _ => {}
        }
        let state = if end == End::Open { ClaimState::Open } else { ClaimState::Contrary };
        self.claims.retain(|claim| claim.seen.status != seen.status);
        let unheard_at = Some(now.into());
        self.claims.push(Claim { state, callback_id, denied_at: None, unheard_at, seen: seen.clone() });
        self.unknown_at = None;
        if !self.asking {
            self.ask_at = Some(now);
        }
        Heard::New
    }

    /// The end is certain: nothing is left to watch, and every claim is judged by it.
    pub fn close(&mut self, status: Status) -> Consequence {
        let all = std::mem::take(&mut self.claims);
        let left = all.into_iter().filter(|claim| claim.state != ClaimState::Disputed);
        let (confirmed, denied): (Vec<Claim>, Vec<Claim>) = left.partition(|claim| claim.seen.status == status);
        let disputed = denied.into_iter().filter(|claim| claim.state == ClaimState::Open).collect();
        self.ask_at = None;
        self.overdue_at = None;
        Consequence { confirmed, disputed, done: true, ..Consequence::default() }
    }

    /// Takes an answer in that says nothing of an end. Where an end was told
    /// already, it is asked about because it was not confirmed or was contradicted. `jitter` in 0..1 spreads what had no answer.
    pub fn answered(&mut self, said: Said, plan: &Plan, end: End, now: Timestamp, jitter: f64) -> Consequence {
        self.asking = false;
        self.asked_at = Some(now.into());
        match said {
            Said::Status(_) => {
                self.vouched = true;
                self.unknown_at = None;
                let (disputed, asked) = self.deny(now);
                let wait = if asked { plan.claim_every() } else { self.calm(plan, now) };
                self.ask_at = (asked || end != End::Certain).then(|| now.after(wait));
                Consequence { disputed, ..self.passed(plan, end, now) }
            }
            Said::NotFound { key_works } if key_works && !self.vouched => self.unknown(plan, end, now),
            Said::NotFound { .. } => {
                // The task is there: it is our key, or our address, that is wrong.
                self.unknown_at.get_or_insert(now.into());
                let misled = self.open().next().is_some();
                self.ask_at = Some(now.after(self.hopeless(plan, end, now)));
                Consequence { misled, ..self.unconfirmable(plan, end, now) }
            }
            Said::Refused => {
                self.ask_at = Some(now.after(spread(self.hopeless(plan, end, now), jitter)));
                self.unconfirmable(plan, end, now)
            }
            Said::Throttled(wait) => {
                self.unheard(now);
                self.ask_at = Some(now.after(wait.max(plan.claim_every())));
                self.passed(plan, end, now)
            }
            Said::Nothing => {
                self.unheard(now);
                // However often there was no answer, it is asked again no later than otherwise: when the provider is
                // back, every task is asked for within one interval. How often a provider that is down is asked at all is
                // the poller's business.
                self.ask_at = Some(now.after(spread(self.eager(plan, now), jitter)));
                self.passed(plan, end, now)
            }
        }
    }

    /// The provider denies every claim: gives those that it has denied for long enough, and whether others are left.
    fn deny(&mut self, now: Timestamp) -> (Vec<Claim>, bool) {
        let (mut disputed, mut left) = (Vec::new(), false);
        for claim in self.claims.iter_mut().filter(|claim| claim.state != ClaimState::Disputed) {
            claim.unheard_at = None;
            let since = *claim.denied_at.get_or_insert(now.into());
            if now.since(since.into()) < DENIED_AFTER {
                left = true;
            } else if std::mem::replace(&mut claim.state, ClaimState::Disputed) == ClaimState::Open {
                disputed.push(claim.clone());
            }
        }
        (disputed, left)
    }

    /// The provider knows no such task, and nobody stands for it.
    fn unknown(&mut self, plan: &Plan, end: End, now: Timestamp) -> Consequence {
        let since = *self.unknown_at.get_or_insert(now.into());
        let (disputed, asked) = self.deny(now);
        if asked || now.since(since.into()) < DENIED_AFTER {
            self.ask_at = Some(now.after(if asked { plan.claim_every() } else { plan.every }));
            return Consequence { disputed, ..self.passed(plan, end, now) };
        }
        // Somebody made it up. What was claimed is remembered, so that the same is not asked again.
        self.ask_at = None;
        self.overdue_at = None;
        Consequence { disputed, done: end != End::Open, ..Consequence::default() }
    }

    /// How long a question waits about which nothing is hurrying us.
    fn calm(&self, plan: &Plan, now: Timestamp) -> Duration {
        if now >= self.slow_at.into() { SLOW_EVERY.max(plan.every) } else { plan.every }
    }

    /// How long it waits while somebody may be waiting for a claim.
    fn eager(&self, plan: &Plan, now: Timestamp) -> Duration {
        let claimed = self.open().next().is_some() && now < self.slow_at.into();
        if claimed { plan.claim_every() } else { self.calm(plan, now) }
    }

    /// How long it waits where we are not let in: what was told already can wait until that is mended.
    fn hopeless(&self, plan: &Plan, end: End, now: Timestamp) -> Duration {
        let told = end != End::Open || plan.confirm == Confirm::Auto && self.open().next().is_some();
        if told { SLOW_EVERY.max(plan.every) } else { self.calm(plan, now) }
    }

    fn unheard(&mut self, now: Timestamp) {
        for claim in &mut self.claims {
            claim.unheard_at.get_or_insert(now.into());
        }
    }

    /// It cannot be confirmed, and that will not change by itself.
    fn unconfirmable(&mut self, plan: &Plan, end: End, now: Timestamp) -> Consequence {
        self.unheard(now);
        let told = if plan.confirm == Confirm::Auto { self.tell_first() } else { None };
        told.unwrap_or_else(|| self.passed(plan, end, now))
    }

    /// The first claim is told as it stands, and the others contradict it. The provider goes on being
    /// asked: what it says one day is the truth.
    fn tell_first(&mut self) -> Option<Consequence> {
        let first = self.claims.iter().position(|claim| claim.state == ClaimState::Open)?;
        let tell = self.claims.remove(first);
        let mut contrary = Vec::new();
        for claim in self.claims.iter_mut().filter(|claim| claim.state == ClaimState::Open) {
            claim.state = ClaimState::Contrary;
            contrary.push(claim.clone());
        }
        self.overdue_at = None;
        Some(Consequence { tell: Some(tell), contrary, ..Consequence::default() })
    }

    /// Time has passed: what is due without an answer.
    pub fn passed(&mut self, plan: &Plan, end: End, now: Timestamp) -> Consequence {
        if self.open().any(|claim| told_at(claim, plan).is_some_and(|at| at <= now))
            && let Some(told) = self.tell_first()
        {
            return told;
        }
        let mut consequence = Consequence::default();
        if self.overdue_at.is_some_and(|due| Timestamp::from(due) <= now) {
            self.overdue_at = None;
            consequence.overdue = end == End::Open && !self.overdue_told;
            self.overdue_told |= consequence.overdue;
        }
        let last = Timestamp::from(self.slow_at);
        // The deadline is what a task is asked for until that the provider does not know.
        let last = if self.unknown_at.is_some() { last } else { last.after(SLOW_FOR) };
        if now >= last {
            self.ask_at = None;
        }
        consequence.done = end != End::Open && self.ask_at.is_none();
        consequence
    }
}

/// When `auto` tells a claim that nobody confirms.
fn told_at(claim: &Claim, plan: &Plan) -> Option<Timestamp> {
    let since = claim.unheard_at.filter(|_| plan.confirm == Confirm::Auto)?;
    Some(Timestamp::from(since).after(plan.confirm_within))
}

/// Whether two messages claim the very same. When links die is counted from when a message came, and says nothing.
fn says_the_same(one: &Observation, other: &Observation) -> bool {
    let links = |seen: &Observation| seen.outputs.iter().map(|output| output.url.clone()).collect::<Vec<_>>();
    one.status == other.status && one.error == other.error && links(one) == links(other)
}

fn spread(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(1.0 - 0.2 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
