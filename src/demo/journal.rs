//! What happens in the simulation, told to whoever narrates it.

use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::plan::{Plan, Says};
use super::told::Told;
use super::trouble::Trouble;
use crate::domain::clock::Timestamp;
use crate::domain::task::Status;

/// Something that happened, and when.
#[derive(Clone, PartialEq, Debug)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum What {
    /// A provider made a task.
    Made {
        /// The task.
        task: TaskName,
        /// What will become of it.
        plan: Plan,
        /// Whether it was given a URL to call back.
        calls_back: bool,
    },
    /// A callback was posted.
    Posted {
        /// The task it speaks of.
        task: TaskName,
        /// Whether it is true.
        says: Says,
        /// The status in it.
        status: Status,
        /// Which try it was, from 1.
        attempt: u32,
        /// How it was taken.
        taken: Taken,
        /// When it is posted again; `None` where it is not.
        next_at: Option<Timestamp>,
    },
    /// A callback was lost on its way.
    Lost {
        /// The task it speaks of.
        task: TaskName,
    },
    /// A provider was asked for a task.
    Asked {
        /// The task.
        task: TaskName,
        /// What was answered.
        status: Status,
    },
    /// A sink was told an event.
    Told {
        /// The sink.
        sink: &'static str,
        /// The event as it can be read.
        event: Told,
    },
    /// A sink got something for people, or refused something.
    Got {
        /// The sink.
        sink: &'static str,
        /// The first line of it, or why it was refused.
        line: String,
        /// Whether it was taken.
        taken: bool,
    },
    /// The service says what became of a forged callback.
    Judged {
        /// The task it spoke of.
        task: TaskName,
        /// Its `outcome`, as the API has it.
        outcome: String,
        /// Why.
        detail: String,
    },
    /// The service says that a delivery did not go through.
    Failed {
        /// The task it speaks of; `None` where it speaks of none.
        task: Option<TaskName>,
        /// The destination.
        destination: String,
        /// Which try it was, from 1.
        attempt: u32,
        /// Why.
        reason: String,
        /// When it is tried again; `None` where it is not.
        next_at: Option<Timestamp>,
    },
    /// A trouble begins or ends.
    Troubled {
        /// What goes wrong.
        trouble: Trouble,
        /// How long it lasts, where it begins.
        lasts: Option<Duration>,
    },
}

/// A task: whose, and which.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TaskName {
    /// The provider, which is the source as well.
    pub source: String,
    /// The provider's id of it.
    pub id: String,
}

/// How a callback was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// With 2xx; and the `outcome` of the answer, where it has one, in words.
    Well(Option<String>),
    /// With another status.
    Badly(u16),
    /// Not at all: why there was no answer.
    NotAtAll(String),
}

/// Where happenings go. Clones are the same; the default tells nobody.
#[derive(Clone, Debug, Default)]
pub struct Journal(Option<UnboundedSender<Happening>>);

impl Journal {
    /// One that is read at the other end. What is not read is kept.
    pub fn read() -> (Self, UnboundedReceiver<Happening>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(sender)), receiver)
    }

    pub(super) fn tell(&self, at: Timestamp, what: What) {
        if let Some(sender) = &self.0 {
            // Whoever read may have gone, and then nobody is told.
            let _ = sender.send(Happening { at, what });
        }
    }
}
