//! A try of a delivery that has ended: what is written down of it, and who hears of it.

use std::time::Duration;

use rand::RngExt;

use super::notice::{Notice, Notices};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::{DeliveryStatus, Outcome, Report, settle};
use crate::domain::retry::RetryPolicy;
use crate::store::{Claimed, NewAttempt, Settled};

/// One try that has ended.
pub(super) struct Finished {
    pub(super) claimed: Claimed,
    pub(super) report: Report,
    pub(super) started_at: Timestamp,
    pub(super) duration: Duration,
}

/// What follows from it: what the delivery is now, and the attempt as it is kept.
pub(super) fn settled(ended: &Finished, policy: &RetryPolicy, now: Timestamp) -> Settled {
    let Finished { claimed, report, .. } = ended;
    let jitter = rand::rng().random_range(0.0..1.0);
    let outcome = match &report.outcome {
        // There is no destination behind it that somebody could mend and enable.
        Outcome::Gone { reason } if claimed.url.is_some() => &Outcome::Rejected { reason: reason.clone() },
        other => other,
    };
    let settlement = settle(claimed.failures, outcome, policy, now, jitter);
    let tried = !claimed.superseded && report.outcome != Outcome::Interrupted;
    Settled {
        delivery_id: claimed.id.clone(),
        lease: claimed.lease,
        settlement,
        parts_done: report.parts_done.clone(),
        attempt: tried.then(|| NewAttempt {
            number: claimed.attempts + 1,
            started_at: ended.started_at,
            duration_ms: i64::try_from(ended.duration.as_millis()).unwrap_or(i64::MAX),
            outcome: report.outcome.as_str(),
            status_code: report.status_code,
            reason: report.outcome.reason().map(str::to_owned),
            response: report.response.clone(),
        }),
    }
}

/// One line an attempt, readable alone.
pub(super) fn tell(notices: &Notices, ended: &Finished, settled: &Settled) {
    let Finished { claimed, report, .. } = ended;
    let Some(attempt) = &settled.attempt else { return };
    let outcome = report.outcome.as_str();
    tracing::info!(
        event.id = claimed.event_id,
        delivery.id = claimed.id,
        destination = claimed.destination,
        attempt = attempt.number,
        outcome,
        status_code = attempt.status_code,
        duration_ms = attempt.duration_ms,
        reason = attempt.reason,
        status = settled.settlement.status.as_str(),
        "delivery attempted"
    );
    metrics::counter!("callboard_attempts_total", "outcome" => outcome).increment(1);
    if settled.settlement.status == DeliveryStatus::Dead {
        metrics::counter!("callboard_deliveries_dead_total").increment(1);
    }
    notices.tell(|| Notice::Attempt {
        at: ended.started_at,
        event_id: claimed.event_id.clone(),
        destination: claimed.destination.clone(),
        number: attempt.number,
        outcome,
        reason: attempt.reason.clone(),
        next_at: settled.settlement.due_at,
    });
}
