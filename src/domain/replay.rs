//! Telling many events again: which ones, how far it is, and how fast it goes.

use serde::Serialize;

use super::clock::Timestamp;
use super::delivery::DeliveryStatus;
use super::event::EventType;
use super::id::{DeliveryId, EventId, ReplayId};
use super::pace::Rate;

/// Where a replay of many stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayStatus {
    /// More is to be told.
    Running,
    /// All of it was told, or is in the queue.
    Done,
    /// Somebody ended it.
    Cancelled,
}

impl ReplayStatus {
    /// Every status there is.
    pub const ALL: [Self; 3] = [Self::Running, Self::Done, Self::Cancelled];

    /// The word for it, the same everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Which events are told again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    /// Made then or later.
    pub since: Timestamp,
    /// Made before then.
    pub until: Timestamp,
    /// Of this source.
    pub source: Option<String>,
    /// Of this type.
    pub kind: Option<EventType>,
    /// With a delivery that stands so.
    pub delivery_status: Option<DeliveryStatus>,
}

/// So long may go by between the making of an event and its commit: the recorder waits 3 s.
const COMMITTED_WITHIN_MILLIS: i64 = 4000;
/// Clocks of several instances differ by less.
const CLOCKS_DIFFER_MILLIS: i64 = 60_000;

impl Selection {
    /// The ids of its events lie above this one.
    pub fn first(&self) -> String {
        EventId::first_of(self.since).to_string()
    }

    /// The ids of its events lie below this one: what is made after the replay itself is told anyway.
    pub fn end(&self, replay: &ReplayId) -> String {
        let made_before = replay.as_str().replacen("rpl_", "evt_", 1);
        EventId::first_of(self.until).to_string().min(made_before)
    }

    /// The deliveries of its events have ids above this one.
    pub fn first_delivery(&self) -> String {
        DeliveryId::first_of(Timestamp(self.since.0 - CLOCKS_DIFFER_MILLIS)).to_string()
    }

    /// What was delivered, or not, before the replay has ids below this one.
    pub fn end_of_deliveries(replay: &ReplayId) -> String {
        replay.as_str().replacen("rpl_", "dlv_", 1)
    }

    /// How far its events can be read at this moment, so that none is committed behind what was read: up to this id.
    pub fn settled(now: Timestamp) -> String {
        EventId::first_of(Timestamp(now.0 - COMMITTED_WITHIN_MILLIS)).to_string()
    }
}

/// At most so many events in one transaction.
const PAGE: usize = 200;

/// How many events are told at once at this rate: one second's worth, at least one.
pub fn page_size(rate: Option<Rate>) -> usize {
    let a_second =
        rate.map_or(PAGE, |rate| usize::try_from(u64::from(rate.count) / rate.per.as_secs()).unwrap_or(PAGE));
    a_second.clamp(1, PAGE)
}

/// When the next ones are told, after so many at this moment.
pub fn next_page_at(rate: Option<Rate>, now: Timestamp, told: usize) -> Timestamp {
    let Some(rate) = rate else { return now };
    let millis = rate.per.as_millis() as u64 * told as u64;
    now.after(std::time::Duration::from_millis(millis.div_ceil(u64::from(rate.count))))
}

/// How many there are from `first` to `end`, where `many` of them lie between `first` and `counted`: as if they were
/// spread evenly over the time.
pub fn estimate(many: u64, first: Timestamp, counted: Timestamp, end: Timestamp) -> u64 {
    let (part, whole) = (counted.since(first).as_millis().max(1), end.since(first).as_millis());
    u64::try_from(u128::from(many) * whole / part).unwrap_or(u64::MAX).max(many)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(since: i64, until: i64) -> Selection {
        Selection { since: Timestamp(since), until: Timestamp(until), source: None, kind: None, delivery_status: None }
    }

    #[test]
    fn its_bounds_hold_what_was_made_in_its_time_and_before_it() {
        let made = |at: i64| EventId::new(Timestamp(at)).to_string();
        let before = made(2000);
        let replay = ReplayId::new(Timestamp(2000));
        let after = made(2000);
        let open = selection(1000, 9000);
        assert!(made(999) < open.first() && made(1000) > open.first());
        assert!(before < open.end(&replay) && after > open.end(&replay));
        assert!(made(1499) < selection(1000, 1500).end(&replay) && made(1500) > selection(1000, 1500).end(&replay));
        assert!(DeliveryId::new(Timestamp(2000)).to_string() > Selection::end_of_deliveries(&replay));
        assert!(DeliveryId::new(Timestamp(1000)).to_string() > open.first_delivery());
    }

    #[test]
    fn a_rate_is_kept_from_page_to_page() {
        let now = Timestamp(1_000_000);
        for (rate, page, next) in [("50/s", 50, 1000), ("1/s", 1, 1000), ("30/m", 1, 2000), ("5000/s", 200, 40)] {
            let rate = Some(Rate::parse(rate).unwrap());
            assert_eq!(page_size(rate), page);
            assert_eq!(next_page_at(rate, now, page), Timestamp(now.0 + next));
        }
        assert_eq!((page_size(None), next_page_at(None, now, 200)), (200, now));
        assert_eq!(next_page_at(Some(Rate::parse("1/h").unwrap()), now, 0), now, "who tells nothing waits for nothing");
    }

    #[test]
    fn what_was_not_counted_is_estimated_by_its_time() {
        let at = Timestamp;
        assert_eq!(estimate(100, at(0), at(1000), at(10_000)), 1000);
        assert_eq!(estimate(100, at(0), at(0), at(0)), 100);
        assert_eq!(estimate(u64::MAX, at(0), at(1), at(10_000)), u64::MAX);
    }
}
