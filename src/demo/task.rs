//! A task as a simulated provider keeps it, and what it says of one at a moment.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::plan::{End, Plan, Says, State, Tempo};
use crate::domain::clock::Timestamp;
use crate::domain::task::Status;

/// The host of every link that was made up by a forger.
pub const FORGED_HOST: &str = "forged.example.com";
/// How long EvoLink says that a task will take (its example; the others say nothing).
pub(super) const ESTIMATE: Duration = Duration::from_secs(180);
/// The host of every true result.
const RESULT_HOST: &str = "results.example.com";

/// What a request for a new task asks for.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Order {
    /// The model, or the type of task where that says it.
    pub(super) model: String,
    /// `video`, `image` or `audio`.
    pub(super) kind: &'static str,
    /// The prompt; of several the first. Empty where there is none.
    pub(super) prompt: String,
    /// How long the result is to be, in seconds.
    pub(super) seconds: u64,
    /// What it costs, in the provider's credits.
    pub(super) credits: f64,
    /// Where to call back, as it was given.
    pub(super) callback_url: Option<String>,
    /// The whole of it.
    pub(super) body: Value,
}

/// A task of a simulated provider.
#[derive(Clone, PartialEq, Debug)]
pub struct SimulatedTask {
    /// The provider's id of it.
    pub id: String,
    /// What will become of it.
    pub plan: Plan,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Where it calls back.
    pub callback_url: Option<Url>,
    /// How long the provider says that it will take, by its own clock.
    pub(super) estimate: Duration,
    pub(super) order: Order,
}

impl SimulatedTask {
    /// The prompt it was made with; of several the first.
    pub fn prompt(&self) -> &str {
        &self.order.prompt
    }

    /// The request it was made with.
    pub fn request(&self) -> &Value {
        &self.order.body
    }

    /// What the provider says of it if asked now.
    pub(super) fn shown(&self, now: Timestamp, tempo: Tempo) -> Moment {
        self.moment(self.plan.shown_at(tempo.planned(now.since(self.created_at))))
    }

    /// What a callback says of it.
    pub(super) fn called(&self, says: Says) -> Moment {
        match says {
            Says::TheEnd => self.moment(self.plan.at(self.plan.ends_after())),
            Says::Processing => self.moment(State { status: Status::Processing, progress: 50 }),
            Says::Forgery => Moment {
                link: self.link(FORGED_HOST),
                error: None,
                ..self.moment(State { status: Status::Completed, progress: 100 })
            },
        }
    }

    fn moment(&self, state: State) -> Moment {
        let error = match &self.plan.end {
            End::Failed { code, message } if state.status == Status::Failed => Some((code.clone(), message.clone())),
            _ => None,
        };
        Moment { status: state.status, progress: state.progress, link: self.link(RESULT_HOST), error }
    }

    fn link(&self, host: &str) -> String {
        let extension = match self.order.kind {
            "image" => "png",
            "audio" => "mp3",
            _ => "mp4",
        };
        format!("https://{host}/{}.{extension}", self.id)
    }
}

/// What is said of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Moment {
    pub(super) status: Status,
    /// In percent.
    pub(super) progress: u32,
    /// Where the result is, for when there is one.
    pub(super) link: String,
    /// Code and message, where it failed.
    pub(super) error: Option<(String, String)>,
}
