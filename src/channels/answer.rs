//! What an HTTP answer means, the same for every channel that posts.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::delivery::{Outcome, Report};
use crate::egress::{Answer, EgressError};

/// The rules of webhooks (contract §5), and what Slack falls back to.
pub(super) fn outcome(answer: &Answer, now: Timestamp) -> Outcome {
    let reason = format!("answered {}", answer.status);
    let after = answer.retry_after.as_deref().and_then(|text| retry_after(text, now));
    match answer.status {
        200..=299 => Outcome::Delivered,
        300..=399 => Outcome::Failed { reason: format!("{reason}; redirects are not followed") },
        410 => Outcome::Gone { reason },
        429 => Outcome::Throttled { reason, after },
        503 if after.is_some() => Outcome::Throttled { reason, after },
        _ => Outcome::Failed { reason },
    }
}

/// The report of a try that was answered.
pub(super) fn answered(answer: Answer, outcome: Outcome) -> Report {
    Report { status_code: Some(answer.status), response: answer.body, ..Report::of(outcome) }
}

/// The report of a try that was not.
pub(super) fn unanswered(error: &EgressError) -> Report {
    Report::of(Outcome::Failed { reason: error.to_string() })
}

/// Longer than any date; what follows is a comment, which RFC 9110 does not allow here.
const DATE_BYTES_MAX: usize = 40;

/// Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or a date. A date in the past is no wait at all;
/// `None` is what cannot be read.
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    if text.len() > DATE_BYTES_MAX {
        return None;
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp(date.timestamp().as_millisecond()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_retry_after_is_read_and_garbage_is_not() {
        let now = Timestamp::parse("1994-11-06T08:49:07Z").unwrap();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (text, expected) in [
            ("0", seconds(0)),
            (" 120 ", seconds(120)),
            ("99999999999999999999999", seconds(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(30)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", seconds(0)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", seconds(0)),
            ("-1", None),
            ("1e9", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(retry_after(text, now), expected, "{text}");
        }
        let nested = format!("Sun, 06 Nov 1994 08:49:37 GMT {}", "(".repeat(100_000));
        assert_eq!(retry_after(&nested, now), None);
    }

    #[test]
    fn each_status_has_its_outcome() {
        let now = Timestamp::default();
        let outcome = |status, retry_after: Option<&str>| {
            let answer = Answer { status, retry_after: retry_after.map(str::to_owned), body: vec![] };
            super::outcome(&answer, now).as_str()
        };
        for (statuses, retry_after, expected) in [
            (&[200, 201, 202, 204, 299][..], None, "delivered"),
            (&[301, 302, 304, 308], None, "failed"),
            (&[400, 401, 403, 404, 408, 422, 500, 502, 503, 504, 599, 999], None, "failed"),
            (&[410], None, "gone"),
            (&[429], None, "throttled"),
            (&[429, 503], Some("5"), "throttled"),
            (&[503], Some("soon"), "failed"),
            (&[500], Some("5"), "failed"),
        ] {
            for status in statuses {
                assert_eq!(outcome(*status, retry_after), expected, "{status} {retry_after:?}");
            }
        }
    }
}
