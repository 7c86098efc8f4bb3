//! How far behind the service a listener is.

use std::time::Duration;

use crate::domain::clock::Timestamp;

/// Older than this, an event came late.
const LATE: Duration = Duration::from_secs(10);

/// Whether it is behind. The service's clock may be another than ours: each heartbeat says how late it is there.
#[derive(Default)]
pub(super) struct Lag {
    /// How much the service's clock is ahead of ours, in milliseconds; known from the heartbeat that came fastest.
    ahead: Option<i64>,
    is_behind: bool,
}

impl Lag {
    /// Notes a heartbeat; gives what is to be said of it.
    pub(super) fn heartbeat(&mut self, at: Timestamp, now: Timestamp) -> Option<String> {
        let ahead = at.0.saturating_sub(now.0);
        self.ahead = Some(self.ahead.map_or(ahead, |known| known.max(ahead)));
        // What came before a heartbeat that is late is late as well, but there may be nothing to be late with.
        if self.late(at, now) > LATE { None } else { self.caught_up() }
    }

    /// Notes an event; gives what is to be said of it.
    pub(super) fn event(&mut self, at: Timestamp, now: Timestamp) -> Option<String> {
        let late = self.late(at, now);
        if late <= LATE {
            return self.caught_up();
        }
        let was_behind = std::mem::replace(&mut self.is_behind, true);
        (!was_behind).then(|| format!("behind by {}: catching up", words(late)))
    }

    fn caught_up(&mut self) -> Option<String> {
        std::mem::take(&mut self.is_behind).then(|| "caught up".to_owned())
    }

    fn late(&self, at: Timestamp, now: Timestamp) -> Duration {
        Timestamp(now.0.saturating_add(self.ahead.unwrap_or_default())).since(at)
    }
}

fn words(late: Duration) -> String {
    match late.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_once_that_it_is_behind_and_once_that_it_caught_up() {
        let at = |seconds: i64| Timestamp(1_000_000_000 + seconds * 1000);
        let mut lag = Lag::default();
        // The service's clock is 100 s ahead of ours.
        assert_eq!(lag.heartbeat(at(100), at(0)), None);
        assert_eq!(lag.event(at(98), at(1)), None);
        assert_eq!(lag.event(at(-200), at(2)).as_deref(), Some("behind by 5 min: catching up"));
        assert_eq!(lag.event(at(-100), at(3)), None);
        assert_eq!(lag.heartbeat(at(80), at(4)), None, "a heartbeat that waited long changes nothing");
        assert_eq!(lag.event(at(100), at(5)).as_deref(), Some("caught up"));
        assert_eq!(lag.event(at(101), at(6)), None);
        assert!(lag.event(at(60), at(7)).is_some());
        assert_eq!(lag.heartbeat(at(107), at(8)).as_deref(), Some("caught up"));
    }
}
