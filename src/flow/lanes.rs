//! The lanes of all destinations, and what waits in memory for its turn in each.
//!
//! More is claimed than can be sent at once, so that the end of one delivery is the beginning of the next, and the
//! database is asked for many together. What has to wait longer than a moment is given back: it may be sent by somebody
//! else, or held.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::finished::Finished;
use super::forward::is_url_lane;
use super::lane::{Lane, Room};
use super::roster::Roster;
use crate::channels::Limits;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::Outcome;
use crate::store::{Claimed, DestinationState};

/// So many of a destination wait in memory at most.
const AHEAD_MAX: usize = 256;
/// They wait for so long at most: one that begins then still ends within its lease.
const AHEAD_FOR: Duration = Duration::from_secs(2);

/// The lanes, as this process keeps them.
#[derive(Default)]
pub(super) struct Lanes {
    lines: HashMap<String, Line>,
    ahead_max: usize,
}

/// How many of which destination are written.
pub(super) type Written = HashMap<String, usize>;

/// How much may be taken for each destination that has a lane.
pub(super) type Offers = HashMap<String, Room>;

/// A destination's lane, and what waits for it.
struct Line {
    lane: Lane,
    /// With the time at which it was claimed, the first to go first.
    ready: VecDeque<(Claimed, Timestamp)>,
    /// So many may wait.
    ahead: usize,
    /// Begun, and what became of it not written: it is sent again if the process dies.
    unwritten: usize,
}

impl Lanes {
    /// From now on, more is taken than can be sent at once.
    pub(super) fn work_ahead(&mut self) {
        self.ahead_max = AHEAD_MAX;
        self.lines.values_mut().for_each(|line| line.ahead = AHEAD_MAX);
    }

    /// Takes on the limits of this moment, and gives how much may be taken, whatever the database says of pauses.
    pub(super) fn offers(&mut self, roster: &Roster, now: Timestamp) -> Offers {
        for (name, line) in &mut self.lines {
            if let Some(limits) = limits(roster, name) {
                line.lane.limit(limits);
            }
        }
        self.lines.iter().map(|(name, line)| (name.clone(), line.offer(line.lane.free(now)))).collect()
    }

    /// How many could be sent soon that are not in the queue: none where that has something, which is older.
    pub(super) fn places(&self, behind: &HashSet<String>, now: Timestamp) -> Vec<(String, usize)> {
        let lines = self.lines.iter().filter(|(name, line)| !is_url_lane(name) && !line.lane.is_shut(now));
        let open = lines.filter(|(name, _)| !behind.contains(*name));
        open.filter_map(|(name, line)| Some((name.clone(), line.offer(line.lane.room(now)).many()?))).collect()
    }

    /// Takes over what the database knows of the destinations.
    pub(super) fn learn(&mut self, states: &HashMap<String, DestinationState>) {
        for (name, line) in &mut self.lines {
            let state = states.get(name);
            let disabled = state.is_some_and(|state| state.disabled.is_some());
            line.lane.set_state(disabled, state.and_then(|state| state.paused_until));
        }
    }

    /// Takes in what was claimed at a time; it waits for its turn.
    pub(super) fn put(&mut self, claimed: Claimed, at: Timestamp, roster: &Roster) {
        let ahead = self.ahead_max;
        let line = self.lines.entry(claimed.destination.clone()).or_insert_with_key(|name| {
            // One that was removed meanwhile: it ends at once.
            let limits = limits(roster, name).unwrap_or(Limits { rate: None, concurrency: 1 });
            Line { lane: Lane::new(limits), ready: VecDeque::new(), ahead, unwritten: 0 }
        });
        line.ready.push_back((claimed, at));
    }

    /// The next one that is sent to this destination now, if there is one and room for it. It counts as under way.
    pub(super) fn next(&mut self, destination: &str, now: Timestamp) -> Option<Claimed> {
        let line = self.lines.get_mut(destination)?;
        line.lane.room(now).many()?;
        if line.unwritten >= line.lane.concurrency() {
            return None;
        }
        let (claimed, _) = line.ready.pop_front()?;
        line.lane.begin(1, now);
        line.unwritten += 1;
        Some(claimed)
    }

    /// Notes that what became of so many is written.
    pub(super) fn written(&mut self, written: &Written) {
        for (destination, many) in written {
            if let Some(line) = self.lines.get_mut(destination) {
                line.unwritten = line.unwritten.saturating_sub(*many);
            }
        }
    }

    /// The destinations for which something waits.
    pub(super) fn waiting(&self) -> Vec<String> {
        self.lines.iter().filter(|(_, line)| !line.ready.is_empty()).map(|(name, _)| name.clone()).collect()
    }

    /// Notes how one ended.
    pub(super) fn ended(&mut self, ended: &Finished) {
        let Some(line) = self.lines.get_mut(&ended.claimed.destination) else { return };
        // The URLs of replays share a lane, and one that wants rest must not slow the others.
        let shared = ended.claimed.url.is_some();
        let outcome = if shared { &Outcome::Interrupted } else { &ended.report.outcome };
        line.lane.end(outcome);
        if *outcome == Outcome::Delivered && line.ready.is_empty() {
            line.ahead = (line.ahead + 1).min(self.ahead_max);
        }
    }

    /// What is given back as its turn does not come: of a destination that wants none now, and of a slow one, for which
    /// no more is taken than can be sent at once until it has shown what it can take.
    pub(super) fn give_back(&mut self, now: Timestamp) -> Vec<Claimed> {
        let mut back = Vec::new();
        for line in self.lines.values_mut() {
            let is_slow = line.ready.front().is_some_and(|(_, at)| now.since(*at) >= AHEAD_FOR);
            if is_slow {
                line.ahead = 0;
            }
            if is_slow || line.lane.is_shut(now) {
                back.extend(line.ready.drain(..).map(|(claimed, _)| claimed));
            }
        }
        back
    }

    /// Everything that waits, as nothing more is sent.
    pub(super) fn give_all_back(&mut self) -> Vec<Claimed> {
        self.lines.values_mut().flat_map(|line| line.ready.drain(..)).map(|(claimed, _)| claimed).collect()
    }
}

impl Line {
    /// How much may be taken where so much may be sent at once. Where a pace is kept to, that is all.
    fn offer(&self, free: Room) -> Room {
        let ahead = if self.lane.is_paced() { 0 } else { self.ahead };
        match free {
            Room::NotBefore(at) => Room::NotBefore(at),
            Room::For(_) | Room::None => {
                let many = (free.many().unwrap_or(0) + ahead).saturating_sub(self.ready.len());
                if many > 0 { Room::For(many) } else { Room::None }
            }
        }
    }
}

/// The limits of a destination that is there.
pub(super) fn limits(roster: &Roster, name: &str) -> Option<Limits> {
    match roster.targets.get(name) {
        Some(target) => Some(target.limits),
        None if is_url_lane(name) => crate::channels::channel("webhook").map(|channel| channel.limits()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::Report;

    const START: Timestamp = Timestamp(1_775_001_600_000);

    fn line(ahead: usize) -> Lanes {
        let lane = Lane::new(Limits { rate: None, concurrency: 2 });
        let line = Line { lane, ready: VecDeque::new(), ahead, unwritten: 0 };
        Lanes { lines: HashMap::from([("a".to_owned(), line)]), ahead_max: 4 }
    }

    fn claimed(id: usize) -> Claimed {
        Claimed {
            id: id.to_string(),
            destination: "a".to_owned(),
            lease: 1,
            failures: 0,
            attempts: 0,
            replay_id: None,
            url: None,
            parts_done: Vec::new(),
            superseded: false,
            event_id: String::new(),
            event_type: String::new(),
            event_at: START,
            event_body: String::new(),
            forwarded: None,
        }
    }

    fn put(lanes: &mut Lanes, many: usize) {
        let ready = (0..many).map(|id| (claimed(id), START));
        lanes.lines.get_mut("a").unwrap().ready.extend(ready);
    }

    fn ended(outcome: Outcome) -> Finished {
        Finished { claimed: claimed(0), report: Report::of(outcome), started_at: START, duration: Duration::ZERO }
    }

    fn offer(lanes: &Lanes) -> Room {
        let line = &lanes.lines["a"];
        line.offer(line.lane.free(START))
    }

    #[test]
    fn more_is_taken_than_can_be_sent_and_goes_in_its_order() {
        let mut lanes = line(4);
        assert_eq!(offer(&lanes), Room::For(6));
        put(&mut lanes, 5);
        assert_eq!(offer(&lanes), Room::For(1));
        let sent: Vec<_> = std::iter::from_fn(|| lanes.next("a", START)).map(|claimed| claimed.id).collect();
        assert_eq!(sent, ["0", "1"]);
        assert_eq!((offer(&lanes), lanes.waiting()), (Room::For(1), vec!["a".to_owned()]));
        lanes.ended(&ended(Outcome::Delivered));
        lanes.written(&HashMap::from([("a".to_owned(), 1)]));
        assert_eq!(lanes.next("a", START).map(|claimed| claimed.id), Some("2".to_owned()));
    }

    #[test]
    fn what_waited_too_long_is_given_back_and_less_is_taken_from_then_on() {
        let mut lanes = line(4);
        put(&mut lanes, 5);
        while lanes.next("a", START).is_some() {}
        let later = START.after(AHEAD_FOR);
        assert!(lanes.give_back(START.after(AHEAD_FOR - Duration::from_millis(1))).is_empty());
        assert_eq!(lanes.give_back(later).len(), 3);
        assert_eq!(offer(&lanes), Room::None);
        lanes.ended(&ended(Outcome::Delivered));
        assert_eq!(offer(&lanes), Room::For(2), "it has shown that it takes one more");
    }

    #[test]
    fn of_a_destination_that_wants_none_everything_is_given_back() {
        let mut lanes = line(4);
        put(&mut lanes, 3);
        lanes.lines.get_mut("a").unwrap().lane.set_state(true, None);
        assert!(lanes.next("a", START).is_none());
        assert!(lanes.places(&HashSet::new(), START).is_empty());
        assert_eq!(lanes.give_back(START).len(), 3);
    }

    #[test]
    fn no_more_are_sent_and_not_written_than_may_be_under_way() {
        let mut lanes = line(100);
        put(&mut lanes, 100);
        let send_all = |lanes: &mut Lanes| {
            std::iter::from_fn(|| lanes.next("a", START).map(|_| lanes.ended(&ended(Outcome::Delivered)))).count()
        };
        assert_eq!(send_all(&mut lanes), 2);
        lanes.written(&HashMap::from([("a".to_owned(), 1)]));
        assert_eq!(send_all(&mut lanes), 1);
    }

    #[test]
    fn there_is_no_place_past_a_queue_that_has_something() {
        let lanes = line(4);
        assert_eq!(lanes.places(&HashSet::new(), START), [("a".to_owned(), 6)]);
        assert!(lanes.places(&HashSet::from(["a".to_owned()]), START).is_empty());
    }
}
