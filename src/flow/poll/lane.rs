//! How much one provider is asked at once. Each source has its own lane, so that one provider's trouble
//! delays no other source's questions.

use std::collections::VecDeque;
use std::time::Duration;

use super::listing::Listing;
use crate::domain::clock::Timestamp;
use crate::domain::pace::{Pace, Rate};
use crate::flow::lane::Room;

/// So many requests are under way at one provider at most.
const IN_FLIGHT_MAX: usize = 8;
/// After so many in a row without an answer the provider counts as down: it is asked once at a time.
const DOWN_AFTER: u32 = 3;
/// How long the first of those questions waits; each next one twice as long, at most a task's interval.
const PROBE_MIN: Duration = Duration::from_secs(1);
/// Tasks that nobody stands for take one request of so many: a leaked URL with made-up tasks starves nobody.
const STRANGERS_OF: u32 = 5;

/// How a request went, for its lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Went {
    /// The provider answered.
    Well,
    /// It did not, or said that it has a fault.
    Wrong,
    /// It wants to be left alone for so long.
    Throttled(Duration),
}

/// One source's lane, as this process keeps it.
pub(super) struct Lane {
    pace: Pace,
    /// The part of the pace that tasks nobody stands for may take.
    strangers: Pace,
    in_flight: usize,
    paused_until: Option<Timestamp>,
    faults: u32,
    probe_at: Timestamp,
    every: Duration,
    /// Whether the provider refused to be asked for many at once.
    pub(super) one_by_one: bool,
    /// Claimed tasks that are to be asked for one by one.
    pub(super) singles: VecDeque<String>,
    /// How far the provider's list is read.
    pub(super) listing: Listing,
}

impl Lane {
    pub(super) fn new(rate: Rate, every: Duration) -> Self {
        let slow = Rate { count: rate.count, per: rate.per * STRANGERS_OF };
        Self {
            pace: Pace::even(rate),
            strangers: Pace::even(slow),
            in_flight: 0,
            paused_until: None,
            faults: 0,
            probe_at: Timestamp::default(),
            every,
            one_by_one: false,
            singles: VecDeque::new(),
            listing: Listing::default(),
        }
    }

    /// Takes on another pace, where it was changed.
    pub(super) fn limit(&mut self, rate: Rate, every: Duration) {
        self.every = every;
        if self.pace.rate() != rate {
            let new = Self::new(rate, every);
            (self.pace, self.strangers) = (new.pace, new.strangers);
        }
    }

    /// How many requests may be made now.
    pub(super) fn room(&self, now: Timestamp) -> Room {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Room::NotBefore(until);
        }
        let down = self.faults >= DOWN_AFTER;
        if self.in_flight >= if down { 1 } else { IN_FLIGHT_MAX } {
            return Room::None;
        }
        if down && self.probe_at > now {
            return Room::NotBefore(self.probe_at);
        }
        match self.pace.available(now).min(IN_FLIGHT_MAX - self.in_flight) {
            0 => Room::NotBefore(now.after(self.pace.wait(now).max(Duration::from_millis(1)))),
            many => Room::For(if down { 1 } else { many }),
        }
    }

    /// Whether one of them may be for tasks that nobody stands for.
    pub(super) fn room_for_strangers(&self, now: Timestamp) -> Room {
        match self.strangers.available(now) {
            0 => Room::NotBefore(now.after(self.strangers.wait(now).max(Duration::from_millis(1)))),
            many => Room::For(many),
        }
    }

    /// Notes that a request was begun.
    pub(super) fn begin(&mut self, now: Timestamp, for_strangers: bool) {
        self.in_flight += 1;
        self.pace.spend(now, 1);
        if for_strangers {
            self.strangers.spend(now, 1);
        }
    }

    /// Notes how a request went.
    pub(super) fn end(&mut self, went: Went, now: Timestamp) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match went {
            Went::Well => self.faults = 0,
            Went::Wrong => {
                self.faults = self.faults.saturating_add(1);
                let doubled = PROBE_MIN.saturating_mul(1 << self.faults.saturating_sub(DOWN_AFTER).min(16));
                self.probe_at = now.after(doubled.min(self.every));
            }
            Went::Throttled(wait) => self.paused_until = self.paused_until.max(Some(now.after(wait))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_775_001_600_000);

    fn lane(count: u32) -> Lane {
        Lane::new(Rate { count, per: Duration::from_secs(1) }, Duration::from_secs(60))
    }

    fn after(millis: u64) -> Timestamp {
        START.after(Duration::from_millis(millis))
    }

    #[test]
    fn in_no_second_are_there_more_than_the_pace() {
        let mut lane = lane(5);
        let begun: Vec<u64> = (0..3000)
            .filter(|millis| {
                let now = after(*millis);
                let may = lane.room(now) != Room::None && matches!(lane.room(now), Room::For(_));
                if may {
                    lane.begin(now, false);
                    lane.end(Went::Well, now);
                }
                may
            })
            .collect();
        assert_eq!(begun.len(), 15);
        assert!(begun.iter().all(|at| begun.iter().filter(|other| (*at..at + 1000).contains(other)).count() <= 5));
    }

    #[test]
    fn strangers_take_a_fifth_at_most() {
        let mut lane = lane(5);
        let many = (0..10_000u64).filter(|millis| {
            let may = matches!(lane.room_for_strangers(after(*millis)), Room::For(_));
            if may {
                lane.begin(after(*millis), true);
                lane.end(Went::Well, after(*millis));
            }
            may
        });
        assert_eq!(many.count(), 10);
    }

    #[test]
    fn a_provider_that_is_down_is_asked_once_at_a_time_and_ever_less_often() {
        let mut lane = lane(1000);
        let mut now = START;
        for _ in 0..3 {
            lane.begin(now, false);
            lane.end(Went::Wrong, now);
        }
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(lane.room(now), Room::NotBefore(now.after(Duration::from_secs(wait))));
            now = now.after(Duration::from_secs(wait));
            assert_eq!(lane.room(now), Room::For(1));
            lane.begin(now, false);
            assert_eq!(lane.room(now), Room::None);
            lane.end(Went::Wrong, now);
        }
        now = now.after(Duration::from_secs(60));
        lane.begin(now, false);
        lane.end(Went::Well, now);
        now = now.after(Duration::from_millis(1));
        assert_eq!(lane.room(now), Room::For(1));
    }

    #[test]
    fn a_provider_that_throttles_is_left_alone_for_as_long_as_it_says() {
        let mut lane = lane(5);
        lane.begin(START, false);
        lane.end(Went::Throttled(Duration::from_secs(30)), START);
        assert_eq!(lane.room(after(29_999)), Room::NotBefore(after(30_000)));
        assert_eq!(lane.room(after(30_000)), Room::For(1));
    }
}
