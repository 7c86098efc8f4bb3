//! When a failed delivery is tried again.

use std::time::Duration;

/// The waits between attempts, and when a destination that only fails is given up.
#[derive(Clone, PartialEq, Debug)]
pub struct RetryPolicy {
    /// The wait after the first failure, the second, …; after the last one the delivery is dead.
    pub waits: Vec<Duration>,
    /// A destination is disabled when it has only failed for so long, and at least five times.
    pub disable_after: Duration,
}

/// Failures in a row that it takes at least before a destination is disabled (contract §3).
pub const FAILURES_BEFORE_DISABLING: i64 = 5;

/// A throttled destination is asked again after at least this.
const THROTTLE_MIN: Duration = Duration::from_secs(1);
/// … and at most this, whatever its `Retry-After` says.
const THROTTLE_MAX: Duration = Duration::from_secs(3600);
/// What a 429 without `Retry-After` is taken to ask for.
const THROTTLE_DEFAULT: Duration = Duration::from_secs(30);

impl RetryPolicy {
    /// The wait after `failures` failed attempts (1 is the first), `None` when there is no other try.
    /// `jitter` in 0..1 lengthens it by up to a fifth, so that many do not come back at once.
    pub fn wait_after(&self, failures: u32, jitter: f64) -> Option<Duration> {
        let wait = self.waits.get(failures.checked_sub(1)? as usize)?;
        Some(wait.mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0)))
    }
}

/// How long a destination is left alone that asked for it: what it asked, within 1 s and 1 h.
pub fn throttle_wait(asked: Option<Duration>) -> Duration {
    asked.unwrap_or(THROTTLE_DEFAULT).clamp(THROTTLE_MIN, THROTTLE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_the_schedule_and_then_end() {
        let policy = RetryPolicy {
            waits: vec![Duration::from_secs(5), Duration::from_secs(30)],
            disable_after: Duration::from_secs(86_400),
        };
        assert_eq!(policy.wait_after(1, 0.0), Some(Duration::from_secs(5)));
        assert_eq!(policy.wait_after(1, 1.0), Some(Duration::from_secs(6)));
        assert_eq!(policy.wait_after(2, 0.0), Some(Duration::from_secs(30)));
        assert_eq!(policy.wait_after(3, 0.0), None);
        assert_eq!(policy.wait_after(0, 0.0), None);
    }

    #[test]
    fn what_a_destination_asks_is_kept_within_bounds() {
        assert_eq!(throttle_wait(Some(Duration::ZERO)), Duration::from_secs(1));
        assert_eq!(throttle_wait(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(throttle_wait(Some(Duration::MAX)), Duration::from_secs(3600));
        assert_eq!(throttle_wait(None), Duration::from_secs(30));
    }
}
