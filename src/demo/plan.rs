//! A task's life as a plan: what it is at which moment, and which callbacks come of it. No I/O, no clock.
//!
//! All times of a plan are the provider's own, counted from the task's creation; [`Tempo`] says how fast
//! they pass.

use std::time::Duration;

use crate::domain::task::Status;

/// How long after the end an earlier status is posted that was overtaken on its way.
const OVERTAKEN_BY: Duration = Duration::from_secs(2);
/// How often one callback is posted where it comes several times.
const AT_ONCE: usize = 5;
/// The code by which a cancellation comes as a failure (EvoLink's table of codes).
const CANCELLED_CODE: &str = "request_cancelled";

/// What will become of a task. The default is an ordinary one: two seconds in the queue, a minute of
/// work, completed, called back once.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// How long it waits before it is begun.
    pub queued: Duration,
    /// How long it is worked on.
    pub processing: Duration,
    /// In how many steps its progress is shown; 0 where none is.
    pub steps: u32,
    /// How it ends.
    pub end: End,
    /// How its callbacks go.
    pub calls: Calls,
    /// Whether its callbacks are shortened to what is most needed, where the provider does that.
    pub short: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            queued: Duration::from_secs(2),
            processing: Duration::from_secs(60),
            steps: 10,
            end: End::Completed,
            calls: Calls::Normal,
            short: false,
        }
    }
}

/// How a task ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// With a result.
    Completed,
    /// With an error in the provider's words.
    Failed {
        /// Its code.
        code: String,
        /// What is said to people.
        message: String,
    },
    /// By somebody's wish.
    Cancelled,
}

impl End {
    /// A failure with one of the documented codes and its message.
    pub fn failed(code: &str, message: &str) -> Self {
        Self::Failed { code: code.to_owned(), message: message.to_owned() }
    }

    /// What the provider calls it.
    pub fn status(&self) -> Status {
        match self {
            Self::Completed => Status::Completed,
            Self::Failed { .. } => Status::Failed,
            Self::Cancelled => Status::Cancelled,
        }
    }

    /// What it is in truth, and what subscribers should therefore be told: a failure because somebody
    /// cancelled is a cancellation.
    pub fn told(&self) -> Status {
        match self {
            Self::Failed { code, .. } if code == CANCELLED_CODE => Status::Cancelled,
            other => other.status(),
        }
    }
}

/// How a task's callbacks go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Calls {
    /// One at the end.
    Normal,
    /// None at all.
    Never,
    /// Five at the same moment, all alike.
    FiveAtOnce,
    /// The end first, then an earlier status.
    OutOfOrder,
    /// One, so long after the end.
    Late(Duration),
    /// Somebody who knows the URL posts a "completed" in the middle of the work; the true one comes at the end.
    Forged,
    /// One at the end; but who asks hears "processing" for so long after it.
    Lagging(Duration),
}

/// What a task is at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Its status.
    pub status: Status,
    /// How far it is, in percent: below 100 until it is completed, 0 once it ended otherwise.
    pub progress: u32,
}

/// A callback that is to be posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// When, after the creation of the task.
    pub after: Duration,
    /// What it says.
    pub says: Says,
}

/// What a callback says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    /// How the task ended.
    TheEnd,
    /// That it is being worked on.
    Processing,
    /// That it is completed, which somebody made up.
    Forgery,
}

impl Plan {
    /// When it ends, after its creation.
    pub fn ends_after(&self) -> Duration {
        self.queued + self.processing
    }

    /// What the task truly is so long after its creation.
    pub fn at(&self, elapsed: Duration) -> State {
        let ended = elapsed >= self.ends_after();
        match (&self.end, elapsed.checked_sub(self.queued)) {
            (End::Completed, _) if ended => State { status: Status::Completed, progress: 100 },
            (end, _) if ended => State { status: end.status(), progress: 0 },
            (_, None) => State { status: Status::Pending, progress: 0 },
            (_, Some(worked)) => State { status: Status::Processing, progress: self.progress(worked) },
        }
    }

    /// What the provider says of it so long after its creation, if asked.
    pub fn shown_at(&self, elapsed: Duration) -> State {
        let end = self.ends_after();
        match self.calls {
            Calls::Lagging(lag) if elapsed >= end && elapsed < end + lag => {
                State { status: Status::Processing, progress: self.last_progress() }
            }
            _ => self.at(elapsed),
        }
    }

    /// Every callback of the task, in order.
    pub fn callbacks(&self) -> Vec<Due> {
        let end = self.ends_after();
        let the_end = Due { after: end, says: Says::TheEnd };
        match self.calls {
            Calls::Never => Vec::new(),
            Calls::Normal | Calls::Lagging(_) => vec![the_end],
            Calls::FiveAtOnce => vec![the_end; AT_ONCE],
            Calls::OutOfOrder => vec![the_end, Due { after: end + OVERTAKEN_BY, says: Says::Processing }],
            Calls::Late(by) => vec![Due { after: end + by, ..the_end }],
            Calls::Forged => vec![Due { after: self.queued + self.processing / 2, says: Says::Forgery }, the_end],
        }
    }

    /// The callbacks that become due after `from` and until `to`, both counted from the task's creation.
    pub fn callbacks_between(&self, from: Duration, to: Duration) -> Vec<Due> {
        self.callbacks().into_iter().filter(|due| from < due.after && due.after <= to).collect()
    }

    /// What is shown while it is worked on: the last step that was reached.
    fn progress(&self, worked: Duration) -> u32 {
        let reached = worked.as_millis() * u128::from(self.steps) / self.processing.as_millis().max(1);
        let reached = u32::try_from(reached).unwrap_or(u32::MAX).min(self.steps.saturating_sub(1));
        reached * 100 / self.steps.max(1)
    }

    fn last_progress(&self) -> u32 {
        self.progress(self.processing)
    }
}

/// How fast the times of plans pass: at 60, a minute of a plan is a second of the clock.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tempo(f64);

impl Tempo {
    /// So many times as fast as the documents say. What is not above zero is 1.
    pub fn new(speed: f64) -> Self {
        Self(if speed.is_finite() && speed > 0.0 { speed } else { 1.0 })
    }

    /// How long on the clock a time of a plan takes.
    pub fn on_the_clock(self, planned: Duration) -> Duration {
        Duration::try_from_secs_f64(planned.as_secs_f64() / self.0).unwrap_or(Duration::MAX)
    }

    /// How much of a plan has passed in a time on the clock.
    pub fn planned(self, on_the_clock: Duration) -> Duration {
        Duration::try_from_secs_f64(on_the_clock.as_secs_f64() * self.0).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn plan(calls: Calls) -> Plan {
        Plan { queued: s(10), processing: s(100), steps: 4, calls, ..Plan::default() }
    }

    fn failed() -> End {
        End::failed("service_error", "The service failed")
    }

    #[test]
    fn a_task_waits_works_in_steps_and_ends() {
        let plan = plan(Calls::Normal);
        for (seconds, status, progress) in [
            (0, Status::Pending, 0),
            (9, Status::Pending, 0),
            (10, Status::Processing, 0),
            (34, Status::Processing, 0),
            (35, Status::Processing, 25),
            (60, Status::Processing, 50),
            (109, Status::Processing, 75),
            (110, Status::Completed, 100),
            (100_000, Status::Completed, 100),
        ] {
            assert_eq!(plan.at(s(seconds)), State { status, progress }, "after {seconds} s");
            assert_eq!(plan.shown_at(s(seconds)), plan.at(s(seconds)), "after {seconds} s");
        }
    }

    #[test]
    fn a_task_without_a_result_ends_without_progress() {
        for (end, status) in [(failed(), Status::Failed), (End::Cancelled, Status::Cancelled)] {
            let plan = Plan { end, ..plan(Calls::Normal) };
            assert_eq!(plan.at(s(109)), State { status: Status::Processing, progress: 75 });
            assert_eq!(plan.at(s(110)), State { status, progress: 0 });
        }
    }

    #[test]
    fn a_plan_without_steps_or_without_work_shows_no_progress() {
        let plan = Plan { steps: 0, ..plan(Calls::Normal) };
        assert_eq!(plan.at(s(109)), State { status: Status::Processing, progress: 0 });
        let at_once = Plan { queued: s(0), processing: s(0), ..plan };
        assert_eq!(at_once.at(s(0)), State { status: Status::Completed, progress: 100 });
    }

    #[test]
    fn what_lags_shows_the_end_later_than_it_calls_back() {
        let plan = plan(Calls::Lagging(s(30)));
        assert_eq!(plan.callbacks(), [Due { after: s(110), says: Says::TheEnd }]);
        assert_eq!(plan.at(s(110)).status, Status::Completed);
        assert_eq!(plan.shown_at(s(110)), State { status: Status::Processing, progress: 75 });
        assert_eq!(plan.shown_at(s(139)).status, Status::Processing);
        assert_eq!(plan.shown_at(s(140)), State { status: Status::Completed, progress: 100 });
    }

    #[test]
    fn callbacks_go_as_planned() {
        use Says::*;
        for (calls, expected) in [
            (Calls::Normal, vec![(110, TheEnd)]),
            (Calls::Never, vec![]),
            (Calls::FiveAtOnce, vec![(110, TheEnd); 5]),
            (Calls::OutOfOrder, vec![(110, TheEnd), (112, Processing)]),
            (Calls::Late(s(600)), vec![(710, TheEnd)]),
            (Calls::Forged, vec![(60, Forgery), (110, TheEnd)]),
            (Calls::Lagging(s(5)), vec![(110, TheEnd)]),
        ] {
            let due: Vec<(u64, Says)> =
                plan(calls).callbacks().iter().map(|due| (due.after.as_secs(), due.says)).collect();
            assert_eq!(due, expected, "{calls:?}");
        }
    }

    #[test]
    fn each_callback_is_due_in_one_stretch_of_time_only() {
        for calls in [Calls::Normal, Calls::FiveAtOnce, Calls::OutOfOrder, Calls::Forged, Calls::Late(s(7))] {
            let plan = plan(calls);
            for step in [1, 7, 10, 55, 110] {
                let stretches = (0..200).step_by(step).map(|at| (s(at), s(at + step as u64)));
                let met: Vec<Due> = stretches.flat_map(|(from, to)| plan.callbacks_between(from, to)).collect();
                assert_eq!(met, plan.callbacks(), "{calls:?}, every {step} s");
            }
        }
    }

    #[test]
    fn a_failure_because_somebody_cancelled_is_a_cancellation() {
        let cancelled = End::failed("request_cancelled", "Cancelled by the user");
        assert_eq!((cancelled.status(), cancelled.told()), (Status::Failed, Status::Cancelled));
        assert_eq!((failed().status(), failed().told()), (Status::Failed, Status::Failed));
    }

    #[test]
    fn speed_divides_every_time() {
        let tempo = Tempo::new(60.0);
        assert_eq!(tempo.on_the_clock(s(60)), s(1));
        assert_eq!(tempo.planned(s(1)), s(60));
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Tempo::new(wrong), Tempo::new(1.0));
        }
        assert_eq!(Tempo::new(1e-300).on_the_clock(s(1)), Duration::MAX);
    }
}
