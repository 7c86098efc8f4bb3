//! How much one provider is asked at once. Each source has its own lane, so that one provider's trouble
//! delays no other source's questions.

use std::collections::VecDeque;
use std::time::Duration;

use super::listing::Listing;
use crate::domain::clock::Timestamp;
use crate::domain::pace::{Pace, Rate};
use crate::flow::lane::Room;
use crate::store::Asked;

/// So many requests are under way at one provider at most.
const IN_FLIGHT_MAX: usize = 8;
/// After so many in a row without an answer the provider counts as down: it is asked once at a time.
const DOWN_AFTER: u32 = 3;
/// How long the first of those questions waits; each next one twice as long, at most a task's interval.
const PROBE_MIN: Duration = Duration::from_secs(1);
/// Tasks that nobody stands for take one request of so many: a leaked URL with made-up tasks starves nobody.
/// So does reading the list.
const SHARE_OF: u32 = 5;
/// So many tasks are claimed together at most.
const AHEAD_MAX: usize = 1000;
/// A provider that refused to be asked for many at once is tried so again after this.
const ONE_BY_ONE_FOR: Duration = Duration::from_secs(3600);

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

/// What there is to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Wants {
    /// For tasks that nobody stands for.
    pub(super) strangers: bool,
    /// For others.
    pub(super) vouched: bool,
    /// For the provider's list, whenever its time has come.
    pub(super) list: bool,
}

/// What is asked next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// A task that has to be asked for by itself, and whether nobody stands for it.
    Single {
        /// Whether nobody stands for it.
        stranger: bool,
    },
    /// A page of the list.
    List(u32),
    /// Tasks that nobody stands for.
    Strangers,
    /// Others.
    Vouched,
}

/// Tasks that were claimed together.
#[derive(Default)]
struct Ready {
    claimed: VecDeque<Asked>,
    until: Timestamp,
}

/// One source's lane, as this process keeps it.
pub(super) struct Lane {
    pace: Pace,
    /// The part of the pace that tasks nobody stands for may take.
    strangers: Pace,
    /// The part that the list may take.
    lists: Pace,
    in_flight: usize,
    paused_until: Option<Timestamp>,
    faults: u32,
    probe_at: Timestamp,
    every: Duration,
    one_by_one_until: Option<Timestamp>,
    /// Tasks that were claimed with others and are asked for when their turn comes: those that somebody stands
    /// for, and the others.
    ready: [Ready; 2],
    /// Claimed tasks that are to be asked for one by one: those that somebody stands for, and the others.
    singles: [VecDeque<String>; 2],
    /// How far the provider's list is read.
    pub(super) listing: Listing,
}

impl Lane {
    pub(super) fn new(rate: Rate, every: Duration) -> Self {
        let share = Pace::even(Rate { count: rate.count, per: rate.per * SHARE_OF });
        Self {
            pace: Pace::even(rate),
            strangers: share.clone(),
            lists: share,
            in_flight: 0,
            paused_until: None,
            faults: 0,
            probe_at: Timestamp::default(),
            every,
            one_by_one_until: None,
            ready: Default::default(),
            singles: Default::default(),
            listing: Listing::default(),
        }
    }

    /// Takes on another pace, where it was changed.
    pub(super) fn limit(&mut self, rate: Rate, every: Duration) {
        self.every = every;
        if self.pace.rate() != rate {
            let new = Self::new(rate, every);
            (self.pace, self.strangers, self.lists) = (new.pace, new.strangers, new.lists);
        }
    }

    /// What is asked next of what there is to ask.
    ///
    /// # Errors
    /// Nothing is; when something may be, where time alone decides that.
    pub(super) fn turn(&self, wants: Wants, now: Timestamp) -> Result<Turn, Option<Timestamp>> {
        let [singles, strangers] = self.singles.each_ref().map(|singles| !singles.is_empty());
        let page = self.listing.page(now).filter(|_| wants.list);
        if !(singles || strangers || page.is_some() || wants.strangers || wants.vouched) {
            return Err(None);
        }
        match self.room(now) {
            Room::For(_) => {}
            Room::NotBefore(at) => return Err(Some(at)),
            Room::None => return Err(None),
        }
        if singles {
            return Ok(Turn::Single { stranger: false });
        }
        let mut next: Option<Timestamp> = None;
        let mut has_share = |pace: &Pace| match wait(pace, now) {
            None => true,
            Some(at) => {
                next = Some(next.map_or(at, |next| next.min(at)));
                false
            }
        };
        if let Some(page) = page
            && has_share(&self.lists)
        {
            return Ok(Turn::List(page));
        }
        if (strangers || wants.strangers) && has_share(&self.strangers) {
            return Ok(if strangers { Turn::Single { stranger: true } } else { Turn::Strangers });
        }
        if wants.vouched { Ok(Turn::Vouched) } else { Err(next) }
    }

    /// How many tasks are claimed together: what a second's requests ask for, as each claim is a transaction;
    /// no more than one request's where the provider may be down, and the others would wait for nothing.
    pub(super) fn ahead(&self, many: usize) -> usize {
        if self.faults > 0 {
            return many;
        }
        let rate = self.pace.rate();
        let per_second = rate.count as usize / usize::try_from(rate.per.as_secs().max(1)).unwrap_or(1);
        (per_second.max(1) * many).clamp(many, AHEAD_MAX.max(many))
    }

    /// Keeps tasks that were claimed, for requests until `until`; what is left then becomes due by itself.
    pub(super) fn keep_ready(&mut self, vouched: bool, claimed: Vec<Asked>, until: Timestamp) {
        self.ready[usize::from(!vouched)] = Ready { claimed: claimed.into(), until };
    }

    /// Up to `many` of the tasks that were claimed.
    pub(super) fn take_ready(&mut self, vouched: bool, many: usize, now: Timestamp) -> Vec<Asked> {
        let ready = &mut self.ready[usize::from(!vouched)];
        if ready.until <= now {
            ready.claimed.clear();
        }
        ready.claimed.drain(..many.min(ready.claimed.len())).collect()
    }

    /// Whether there are such tasks.
    pub(super) fn has_ready(&self, vouched: bool, now: Timestamp) -> bool {
        let ready = &self.ready[usize::from(!vouched)];
        !ready.claimed.is_empty() && ready.until > now
    }

    /// The next of the tasks that have to be asked for by themselves.
    pub(super) fn single(&mut self, stranger: bool) -> Option<String> {
        self.singles[usize::from(stranger)].pop_front()
    }

    /// These have to be asked for by themselves; `refused` where the provider has no other way.
    pub(super) fn single_out(&mut self, task_ids: Vec<String>, strangers: bool, refused: bool, now: Timestamp) {
        self.singles[usize::from(strangers)].extend(task_ids);
        if refused {
            self.one_by_one_until = Some(now.after(ONE_BY_ONE_FOR));
        }
    }

    /// Whether several may be asked for at once.
    pub(super) fn takes_many(&self, now: Timestamp) -> bool {
        self.one_by_one_until.is_none_or(|until| until <= now)
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
        match wait(&self.pace, now) {
            Some(at) => Room::NotBefore(at),
            None if down => Room::For(1),
            None => Room::For(self.pace.available(now).min(IN_FLIGHT_MAX - self.in_flight)),
        }
    }

    /// Notes that a request was begun.
    pub(super) fn begin(&mut self, now: Timestamp, turn: Turn) {
        self.in_flight += 1;
        self.pace.spend(now, 1);
        match turn {
            Turn::Single { stranger: true } | Turn::Strangers => self.strangers.spend(now, 1),
            Turn::List(_) => self.lists.spend(now, 1),
            Turn::Single { stranger: false } | Turn::Vouched => {}
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

/// When a pace lets one through; `None` where it does now.
fn wait(pace: &Pace, now: Timestamp) -> Option<Timestamp> {
    (pace.available(now) == 0).then(|| now.after(pace.wait(now).max(Duration::from_millis(1))))
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
                    lane.begin(now, Turn::Vouched);
                    lane.end(Went::Well, now);
                }
                may
            })
            .collect();
        assert_eq!(begun.len(), 15);
        assert!(begun.iter().all(|at| begun.iter().filter(|other| (*at..at + 1000).contains(other)).count() <= 5));
    }

    /// What is asked in so many seconds, if there is always everything to ask.
    fn turns(lane: &mut Lane, wants: Wants, seconds: u64) -> Vec<Turn> {
        let mut turns = Vec::new();
        for millis in 0..seconds * 1000 {
            let now = after(millis);
            while let Ok(turn) = lane.turn(wants, now) {
                if let Turn::Single { stranger } = turn {
                    lane.single(stranger).unwrap();
                }
                lane.begin(now, turn);
                lane.end(Went::Well, now);
                turns.push(turn);
            }
        }
        turns
    }

    #[test]
    fn strangers_take_a_fifth_and_the_list_another_and_the_rest_is_for_those_that_somebody_stands_for() {
        let wants = Wants { strangers: true, vouched: true, list: true };
        let mut lane = lane(5);
        lane.single_out((0..4).map(|n| n.to_string()).collect(), true, false, START);
        let turns = turns(&mut lane, wants, 10);
        let many = |wanted: fn(&Turn) -> bool| turns.iter().filter(|turn| wanted(turn)).count();
        assert_eq!(turns.len(), 50);
        assert_eq!(many(|turn| matches!(turn, Turn::Single { stranger: true })), 4);
        assert_eq!(many(|turn| *turn == Turn::Strangers), 6);
        assert_eq!(many(|turn| *turn == Turn::List(1)), 10);
        assert_eq!(many(|turn| *turn == Turn::Vouched), 30);
    }

    #[test]
    fn alone_they_take_no_more_and_say_when_they_come_next() {
        let mut lane = lane(5);
        let wants = Wants { strangers: true, ..Wants::default() };
        assert_eq!(turns(&mut lane, wants, 10).len(), 10);
        let now = after(10_000);
        lane.begin(now, Turn::Strangers);
        lane.end(Went::Well, now);
        assert_eq!(lane.turn(wants, after(10_200)), Err(Some(after(11_000))));
        assert_eq!(lane.turn(Wants::default(), after(20_000)), Err(None));
    }

    #[test]
    fn what_has_to_be_asked_for_by_itself_comes_first() {
        let mut lane = lane(1000);
        lane.single_out(vec!["a".into(), "b".into()], false, true, START);
        let wants = Wants { strangers: true, vouched: true, list: false };
        assert_eq!(lane.turn(wants, START), Ok(Turn::Single { stranger: false }));
        assert_eq!(
            (lane.single(false), lane.single(false), lane.single(false)),
            (Some("a".into()), Some("b".into()), None)
        );
        assert_eq!(lane.turn(wants, START), Ok(Turn::Strangers));
        assert!(!lane.takes_many(after(3_599_999)) && lane.takes_many(after(3_600_000)));
    }

    #[test]
    fn a_provider_that_is_down_is_asked_once_at_a_time_and_ever_less_often() {
        let mut lane = lane(1000);
        let mut now = START;
        for _ in 0..3 {
            lane.begin(now, Turn::Vouched);
            lane.end(Went::Wrong, now);
        }
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(lane.room(now), Room::NotBefore(now.after(Duration::from_secs(wait))));
            now = now.after(Duration::from_secs(wait));
            assert_eq!(lane.room(now), Room::For(1));
            lane.begin(now, Turn::Vouched);
            assert_eq!(lane.room(now), Room::None);
            lane.end(Went::Wrong, now);
        }
        now = now.after(Duration::from_secs(60));
        lane.begin(now, Turn::Vouched);
        lane.end(Went::Well, now);
        now = now.after(Duration::from_millis(1));
        assert_eq!(lane.room(now), Room::For(IN_FLIGHT_MAX));
    }

    #[test]
    fn a_provider_that_throttles_is_left_alone_for_as_long_as_it_says() {
        let mut lane = lane(5);
        lane.begin(START, Turn::Vouched);
        lane.end(Went::Throttled(Duration::from_secs(30)), START);
        assert_eq!(lane.room(after(29_999)), Room::NotBefore(after(30_000)));
        assert_eq!(lane.room(after(30_000)), Room::For(1));
    }
}
