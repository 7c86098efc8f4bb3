//! Deliveries: one event for one destination, until it is delivered or dead.

use std::time::Duration;

use serde::Serialize;

use super::clock::Timestamp;
use super::retry::{RetryPolicy, throttle_wait};

/// The type of what is handed on to clients, which is no event.
pub const FORWARD: &str = "forward";
/// What the names of lanes begin with in which callbacks are handed on to clients; no destination can have one.
pub const FORWARD_LANES: &str = "@forward:";

/// Where a delivery stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// To be tried, now or later.
    Pending,
    /// The destination has it.
    Delivered,
    /// Its destination is disabled; it waits without ageing.
    Held,
    /// It will not be tried again.
    Dead,
}

impl DeliveryStatus {
    /// Every status there is.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Held, Self::Dead];

    /// The word for it, the same everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Held => "held",
            Self::Dead => "dead",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// How one try went, as the channel saw it. The channel knows nothing of schedules.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// The destination has it.
    Delivered,
    /// It did not work; another try may.
    Failed {
        /// Why, for people: no secret, no body.
        reason: String,
    },
    /// The destination asks to be left alone for a while; costs no attempt of the schedule.
    Throttled {
        /// Why, for people.
        reason: String,
        /// For how long, where it said.
        after: Option<Duration>,
    },
    /// This one can never work there; others may.
    Rejected {
        /// Why, for people.
        reason: String,
    },
    /// The destination is no more: nothing can work there until somebody mends it.
    Gone {
        /// Why, for people.
        reason: String,
    },
    /// We stopped before it was done; as if it had not been tried.
    Interrupted,
}

impl Outcome {
    /// The word for it in the database, metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed { .. } => "failed",
            Self::Throttled { .. } => "throttled",
            Self::Rejected { .. } => "rejected",
            Self::Gone { .. } => "gone",
            Self::Interrupted => "interrupted",
        }
    }

    /// Why it was not delivered.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed { reason }
            | Self::Throttled { reason, .. }
            | Self::Rejected { reason }
            | Self::Gone { reason } => Some(reason),
            Self::Delivered | Self::Interrupted => None,
        }
    }
}

/// At most so much of a destination's answer is kept.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024;

/// What a channel reports of one try.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// How it went.
    pub outcome: Outcome,
    /// The status code of HTTP or SMTP, where there was one.
    pub status_code: Option<u16>,
    /// What the destination answered, at most [`RESPONSE_BYTES_MAX`].
    pub response: Vec<u8>,
    /// Which parts of a delivery are done (an email's recipients), where it has parts. A later try
    /// leaves them out.
    pub parts_done: Vec<String>,
}

impl Report {
    /// A report without code or answer.
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, status_code: None, response: Vec::new(), parts_done: Vec::new() }
    }
}

/// What is to be written after a try.
#[derive(Clone, PartialEq, Debug)]
pub struct Settlement {
    /// Where the delivery stands now.
    pub status: DeliveryStatus,
    /// When it is tried again; only where it is pending.
    pub due_at: Option<Timestamp>,
    /// How many attempts of the schedule it has cost so far.
    pub failures: u32,
    /// Why it is dead or waits.
    pub reason: Option<String>,
    /// Until when the whole destination is left alone.
    pub pause_until: Option<Timestamp>,
    /// Why the whole destination is to be disabled.
    pub disable: Option<String>,
}

/// Decides what becomes of a delivery that had cost `failures` attempts before this try.
/// `jitter` in 0..1.
pub fn settle(failures: u32, outcome: &Outcome, policy: &RetryPolicy, now: Timestamp, jitter: f64) -> Settlement {
    let reason = outcome.reason().map(str::to_owned);
    let settled = |status, due_at, failures| Settlement {
        status,
        due_at,
        failures,
        reason: reason.clone(),
        pause_until: None,
        disable: None,
    };
    match outcome {
        Outcome::Delivered => settled(DeliveryStatus::Delivered, None, failures),
        Outcome::Failed { .. } => match policy.wait_after(failures + 1, jitter) {
            Some(wait) => settled(DeliveryStatus::Pending, Some(now.after(wait)), failures + 1),
            None => settled(DeliveryStatus::Dead, None, failures + 1),
        },
        Outcome::Rejected { .. } => settled(DeliveryStatus::Dead, None, failures + 1),
        Outcome::Throttled { after, .. } => {
            let until = now.after(throttle_wait(*after));
            Settlement { pause_until: Some(until), ..settled(DeliveryStatus::Pending, Some(until), failures) }
        }
        Outcome::Gone { .. } => Settlement { disable: reason.clone(), ..settled(DeliveryStatus::Held, None, failures) },
        Outcome::Interrupted => settled(DeliveryStatus::Pending, Some(now), failures),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn policy() -> RetryPolicy {
        RetryPolicy {
            waits: vec![Duration::from_secs(5), Duration::from_secs(30)],
            disable_after: Duration::from_secs(60),
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed { reason: "answered 500".into() }
    }

    #[test]
    fn a_failure_waits_and_the_last_one_is_the_end() {
        let first = settle(0, &failed(), &policy(), NOW, 0.0);
        assert_eq!(
            (first.status, first.due_at, first.failures),
            (DeliveryStatus::Pending, Some(Timestamp(1_005_000)), 1)
        );
        let last = settle(2, &failed(), &policy(), NOW, 0.0);
        assert_eq!((last.status, last.due_at, last.failures), (DeliveryStatus::Dead, None, 3));
        assert_eq!(last.reason.as_deref(), Some("answered 500"));
    }

    #[test]
    fn a_throttle_pauses_the_destination_and_costs_nothing() {
        let outcome = Outcome::Throttled { reason: "answered 429".into(), after: Some(Duration::from_secs(2)) };
        let settled = settle(2, &outcome, &policy(), NOW, 0.0);
        assert_eq!((settled.status, settled.failures), (DeliveryStatus::Pending, 2));
        assert_eq!(settled.pause_until, Some(Timestamp(1_002_000)));
    }

    #[test]
    fn gone_holds_and_disables() {
        let settled = settle(0, &Outcome::Gone { reason: "answered 410".into() }, &policy(), NOW, 0.0);
        assert_eq!(settled.status, DeliveryStatus::Held);
        assert_eq!(settled.disable.as_deref(), Some("answered 410"));
    }

    #[test]
    fn an_interrupted_try_costs_nothing_and_is_due_at_once() {
        let settled = settle(1, &Outcome::Interrupted, &policy(), NOW, 0.0);
        assert_eq!((settled.status, settled.due_at, settled.failures), (DeliveryStatus::Pending, Some(NOW), 1));
    }
}
