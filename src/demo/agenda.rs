//! Which callbacks are to be posted when, and when again after a failure. No I/O, no clock.

use std::time::Duration;

use super::plan::{Plan, Says, Tempo};
use crate::domain::clock::Timestamp;

/// When a provider posts a callback again that was not answered with 2xx.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retries {
    /// So long after each failure.
    AfterTheFailure(&'static [Duration]),
    /// So long after the first try.
    AfterTheFirst(&'static [Duration]),
}

impl Retries {
    /// When it is tried again after `tries` that failed, the last at `failed_at`; `None` where it is given up.
    fn next(self, tries: u32, first_at: Timestamp, failed_at: Timestamp, tempo: Tempo) -> Option<Timestamp> {
        let (waits, from) = match self {
            Self::AfterTheFailure(waits) => (waits, failed_at),
            Self::AfterTheFirst(waits) => (waits, first_at),
        };
        let wait = waits.get(tries.checked_sub(1)? as usize)?;
        // A try that took longer than the wait for the next is followed by it at once.
        Some(from.after(tempo.on_the_clock(*wait)).max(failed_at))
    }
}

/// A callback to post.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Post {
    pub(super) task_id: String,
    pub(super) says: Says,
    /// Which try it is, from 1.
    pub(super) attempt: u32,
    pub(super) due_at: Timestamp,
    first_at: Timestamp,
}

/// Everything that is to be posted.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    posts: Vec<Post>,
}

impl Agenda {
    /// Notes the callbacks of a task that is made now.
    pub(super) fn plan(&mut self, task_id: &str, plan: &Plan, created_at: Timestamp, tempo: Tempo) {
        self.posts.extend(plan.callbacks().into_iter().map(|due| {
            let due_at = created_at.after(tempo.on_the_clock(due.after));
            Post { task_id: task_id.to_owned(), says: due.says, attempt: 1, due_at, first_at: due_at }
        }));
    }

    /// Takes out the callbacks that are due first, all of the same moment.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<Post> {
        let Some(first) = self.next_at().filter(|at| *at <= now) else { return Vec::new() };
        self.posts.extract_if(.., |post| post.due_at == first).collect()
    }

    /// When something is due next.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.posts.iter().map(|post| post.due_at).min()
    }

    /// Notes that a post failed, and says when it is tried again. A forger does not come back.
    pub(super) fn failed(
        &mut self,
        post: Post,
        retries: Retries,
        failed_at: Timestamp,
        tempo: Tempo,
    ) -> Option<Timestamp> {
        if post.says == Says::Forgery {
            return None;
        }
        let due_at = retries.next(post.attempt, post.first_at, failed_at, tempo)?;
        self.posts.push(Post { attempt: post.attempt + 1, due_at, ..post });
        Some(due_at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Calls;
    use super::*;

    const CREATED: Timestamp = Timestamp(1_000_000);
    const THREE: &[Duration] = &[Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
    const MINUTES: &[Duration] = &[Duration::from_secs(180), Duration::from_secs(600)];

    fn at(seconds: u64) -> Timestamp {
        CREATED.after(Duration::from_secs(seconds))
    }

    fn planned(calls: Calls) -> Agenda {
        let mut agenda = Agenda::default();
        let plan = Plan { queued: Duration::ZERO, processing: Duration::from_secs(100), calls, ..Plan::default() };
        agenda.plan("a", &plan, CREATED, Tempo::new(1.0));
        agenda
    }

    /// When it is posted if each try fails so many seconds after it was begun.
    fn tries(retries: Retries, takes: u64) -> Vec<u64> {
        let mut agenda = planned(Calls::Normal);
        let mut seen = Vec::new();
        while let Some(next) = agenda.next_at() {
            for post in agenda.take_due(next) {
                seen.push(next.since(CREATED).as_secs() - 100);
                let failed_at = next.after(Duration::from_secs(takes));
                agenda.failed(post, retries, failed_at, Tempo::new(1.0));
            }
        }
        seen
    }

    #[test]
    fn waits_count_from_the_failure_or_from_the_first_try() {
        assert_eq!(tries(Retries::AfterTheFailure(THREE), 0), [0, 1, 3, 7]);
        assert_eq!(tries(Retries::AfterTheFailure(THREE), 10), [0, 11, 23, 37]);
        assert_eq!(tries(Retries::AfterTheFirst(MINUTES), 0), [0, 180, 600]);
        assert_eq!(tries(Retries::AfterTheFirst(MINUTES), 10), [0, 180, 600]);
        assert_eq!(tries(Retries::AfterTheFirst(MINUTES), 200), [0, 200, 600]);
    }

    #[test]
    fn nothing_is_due_before_its_time_and_nothing_twice() {
        let mut agenda = planned(Calls::FiveAtOnce);
        assert_eq!(agenda.take_due(at(99)), []);
        assert_eq!(agenda.take_due(at(100)).len(), 5);
        assert_eq!(agenda.take_due(at(100_000)), []);
        assert_eq!(agenda.next_at(), None);
    }

    #[test]
    fn what_is_overdue_comes_in_the_order_of_its_times() {
        let mut agenda = planned(Calls::OutOfOrder);
        let said: Vec<Vec<Says>> =
            (0..3).map(|_| agenda.take_due(at(500)).iter().map(|post| post.says).collect()).collect();
        assert_eq!(said, [vec![Says::TheEnd], vec![Says::Processing], vec![]]);
    }

    #[test]
    fn a_forger_does_not_try_again() {
        let mut agenda = planned(Calls::Forged);
        let forged = agenda.take_due(at(50)).remove(0);
        assert_eq!(forged.says, Says::Forgery);
        assert_eq!(agenda.failed(forged, Retries::AfterTheFailure(THREE), at(50), Tempo::new(1.0)), None);
        assert_eq!(agenda.next_at(), Some(at(100)));
    }

    #[test]
    fn speed_divides_the_waits_too() {
        let tempo = Tempo::new(10.0);
        let mut agenda = Agenda::default();
        agenda.plan("a", &Plan::default(), CREATED, tempo);
        let due_at = CREATED.after(Duration::from_millis(6200));
        let post = agenda.take_due(due_at).remove(0);
        let next = agenda.failed(post, Retries::AfterTheFailure(THREE), due_at, tempo);
        assert_eq!(next, Some(due_at.after(Duration::from_millis(100))));
    }
}
