//! Time as a value. The system clock is read in this file and nowhere else.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// A moment, in whole milliseconds since 1970 in UTC. Written as RFC 3339, with milliseconds where there are any.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

/// 9999-12-31T23:59:59.999Z: what RFC 3339 can still write with four digits of a year.
const LATEST_MILLIS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// From a provider's seconds since 1970. `None` outside the years 1970 to 9999.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let millis = seconds * 1000.0;
        (millis >= 0.0 && millis <= LATEST_MILLIS as f64).then_some(Self(millis as i64))
    }

    /// Reads RFC 3339 (an offset is needed). `None` if it is not one, or outside the years 1970 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        let millis = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
        (0..=LATEST_MILLIS).contains(&millis).then_some(Self(millis))
    }

    /// This moment and `wait` more; it stops at the end of the year 9999.
    pub fn after(self, wait: Duration) -> Self {
        let wait = i64::try_from(wait.as_millis()).unwrap_or(LATEST_MILLIS);
        Self(self.0.saturating_add(wait).min(LATEST_MILLIS))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) if self.0 % 1000 == 0 => write!(f, "{at:.0}"),
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where `now` comes from: the system's clock in the service, a hand-moved one in tests.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// A clock that several parts hold.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the system clock is read")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::default().after(since)
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.store(self.now().after(by).0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp(1_757_169_743_120).to_string(), "2025-09-06T14:42:23.120Z");
        assert_eq!(Timestamp(1_757_169_743_000).to_string(), "2025-09-06T14:42:23Z");
        assert_eq!(Timestamp::parse("2025-09-06T16:42:23.12+02:00"), Some(Timestamp(1_757_169_743_120)));
        assert_eq!(Timestamp::from_seconds(1_757_169_743.0), Timestamp::parse("2025-09-06T14:42:23Z"));
    }

    #[test]
    fn moments_that_cannot_be_written_are_refused() {
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e18] {
            assert_eq!(Timestamp::from_seconds(seconds), None, "{seconds}");
        }
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp(5).after(Duration::MAX), Timestamp(LATEST_MILLIS));
    }
}
