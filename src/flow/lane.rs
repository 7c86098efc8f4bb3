//! A lane: how much one destination is sent at once. Each has its own, so that one destination's
//! trouble delays nobody else.

use std::time::Duration;

use crate::channels::Limits;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::Outcome;
use crate::domain::pace::Pace;

/// One destination's lane, as this process keeps it.
#[derive(Clone, Debug)]
pub struct Lane {
    limits: Limits,
    pace: Option<Pace>,
    in_flight: usize,
    /// How many may be in flight: one after a throttle, doubled by each success.
    window: usize,
    paused_until: Option<Timestamp>,
    disabled: bool,
}

/// What a lane can take now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// So many, at least one.
    For(usize),
    /// Nothing before this moment.
    NotBefore(Timestamp),
    /// Nothing until one that is in flight ends, or somebody enables it.
    None,
}

impl Room {
    /// How many, where there is room.
    pub fn many(self) -> Option<usize> {
        match self {
            Self::For(many) => Some(many),
            Self::NotBefore(_) | Self::None => None,
        }
    }

    /// When there may be room again, where time alone decides that.
    pub fn not_before(self) -> Option<Timestamp> {
        match self {
            Self::NotBefore(at) => Some(at),
            Self::For(_) | Self::None => None,
        }
    }
}

impl Lane {
    /// An empty lane.
    pub fn new(limits: Limits) -> Self {
        Self {
            pace: limits.rate.map(Pace::new),
            window: limits.concurrency,
            limits,
            in_flight: 0,
            paused_until: None,
            disabled: false,
        }
    }

    /// Takes on other limits, where they were changed.
    pub fn limit(&mut self, limits: Limits) {
        if self.limits != limits {
            *self = Self { in_flight: self.in_flight, ..Self::new(limits) };
        }
    }

    /// Takes over what the database knows of the destination.
    pub fn set_state(&mut self, disabled: bool, paused_until: Option<Timestamp>) {
        self.disabled = disabled;
        self.paused_until = paused_until;
    }

    /// Whether nothing may be sent now, however little is under way.
    pub fn is_shut(&self, now: Timestamp) -> bool {
        self.disabled || self.paused_until.is_some_and(|until| until > now)
    }

    /// How many may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.limits.concurrency
    }

    /// Whether it may be sent so many per time only.
    pub fn is_paced(&self) -> bool {
        self.pace.is_some()
    }

    /// How much may be sent now.
    pub fn room(&self, now: Timestamp) -> Room {
        match self.paused_until.filter(|until| *until > now) {
            _ if self.disabled => Room::None,
            Some(_) if self.in_flight >= self.window => Room::None,
            Some(until) => Room::NotBefore(until),
            None => self.free(now),
        }
    }

    /// How much may be sent now, if it were neither disabled nor paused.
    pub fn free(&self, now: Timestamp) -> Room {
        if self.in_flight >= self.window {
            return Room::None;
        }
        let free = self.window - self.in_flight;
        match &self.pace {
            None => Room::For(free),
            Some(pace) => match pace.available(now).min(free) {
                0 => Room::NotBefore(now.after(pace.wait(now).max(Duration::from_millis(1)))),
                many => Room::For(many),
            },
        }
    }

    /// Notes that so many were begun.
    pub fn begin(&mut self, many: usize, now: Timestamp) {
        self.in_flight += many;
        if let Some(pace) = &mut self.pace {
            pace.spend(now, many);
        }
    }

    /// Notes that one ended.
    pub fn end(&mut self, outcome: &Outcome) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Throttled { .. } => self.window = 1,
            Outcome::Delivered => self.window = (self.window * 2).min(self.limits.concurrency),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pace::Rate;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn lane(rate: Option<&str>) -> Lane {
        Lane::new(Limits { rate: rate.map(|text| Rate::parse(text).unwrap()), concurrency: 4 })
    }

    #[test]
    fn it_takes_as_much_as_may_be_in_flight() {
        let mut lane = lane(None);
        assert_eq!(lane.room(NOW), Room::For(4));
        lane.begin(3, NOW);
        assert_eq!(lane.room(NOW), Room::For(1));
        lane.begin(1, NOW);
        assert_eq!(lane.room(NOW), Room::None);
        lane.end(&Outcome::Delivered);
        assert_eq!(lane.room(NOW), Room::For(1));
    }

    #[test]
    fn after_a_throttle_it_feels_its_way() {
        let mut lane = lane(None);
        lane.begin(2, NOW);
        lane.end(&Outcome::Throttled { reason: String::new(), after: None });
        assert_eq!(lane.room(NOW), Room::None);
        lane.end(&Outcome::Delivered);
        assert_eq!(lane.room(NOW), Room::For(2));
    }

    #[test]
    fn a_pace_a_pause_and_a_disabled_destination_are_kept_to() {
        let mut lane = lane(Some("1/s"));
        assert_eq!(lane.room(NOW), Room::For(1));
        lane.begin(1, NOW);
        assert_eq!(lane.room(NOW), Room::NotBefore(Timestamp(1_001_000)));
        lane.set_state(false, Some(Timestamp(1_005_000)));
        assert_eq!(lane.room(NOW), Room::NotBefore(Timestamp(1_005_000)));
        lane.set_state(true, None);
        assert_eq!(lane.room(Timestamp(2_000_000)), Room::None);
    }
}
