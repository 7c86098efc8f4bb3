//! How each provider speaks: its routes, its checks and the shapes of its answers, as its documents show
//! them. Pure functions; one file a provider.

use std::time::Duration;

use rand::rngs::StdRng;
use serde_json::{Map, Value, json};

use super::agenda::Retries;
use super::draw::Habits;
use super::task::{Moment, Order, SimulatedTask};
use crate::domain::clock::Timestamp;

mod aivideoapi;
mod api_in_one;
mod evolink;
mod kling3api;
#[cfg(test)]
mod tests;
mod wrapped;

/// The providers that are simulated.
pub(super) const DIALECTS: &[&dyn Dialect] =
    &[&evolink::EvoLink, &aivideoapi::AiVideoApi, &kling3api::Kling3Api, &api_in_one::ApiInOne];

/// What a request wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Question {
    /// A new task.
    Create,
    /// One task, by its id.
    One(String),
    /// Many tasks, by the ids in the body.
    Many,
    /// A page of all tasks.
    List,
}

/// Why a request is not answered as it wished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// No key, or a wrong one.
    Key,
    /// The key may not be used from this address.
    Address,
    /// Too many requests.
    TooMany,
    /// The service is down.
    Down,
    /// There is no such task.
    NoTask(String),
    /// There is no such model.
    NoModel(String),
    /// There is no such route.
    NoRoute,
    /// There is such a route, but not by this method.
    Method,
    /// The idempotency key was used with another body.
    Conflict,
    /// Something is wrong with the body: a code of the provider, and a sentence.
    Invalid(&'static str, String),
}

impl Refusal {
    /// The HTTP status.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Invalid(..) => 400,
            Self::Key => 401,
            Self::Address => 403,
            Self::NoTask(_) | Self::NoModel(_) | Self::NoRoute => 404,
            Self::Method => 405,
            Self::Conflict => 409,
            Self::TooMany => 429,
            Self::Down => 503,
        }
    }
}

/// One provider's way of speaking.
pub(super) trait Dialect: Send + Sync {
    /// Its name, as in `provider = "…"`.
    fn name(&self) -> &'static str;

    /// What its keys begin with.
    fn key_prefix(&self) -> &'static str {
        "sk-"
    }

    /// What its tasks do.
    fn habits(&self) -> &'static Habits;

    /// When a callback is posted again.
    fn retries(&self) -> Retries {
        Retries::AfterTheFirst(&[])
    }

    /// Whether it calls back to public https addresses only.
    fn calls_public_https_only(&self) -> bool {
        false
    }

    /// Whether a request for a new task can be repeated by its `Idempotency-Key`.
    fn knows_idempotency_keys(&self) -> bool {
        false
    }

    /// The code of a request that is wrong in a way that has no code of its own.
    fn invalid_code(&self) -> &'static str;

    /// What is wanted by a request for this path; `query` is as it stands in the URL.
    ///
    /// # Errors
    /// There is no such route, or not by this method.
    fn question(&self, method: &str, path: &str, query: &str) -> Result<Question, Refusal>;

    /// Reads a request for a new task.
    ///
    /// # Errors
    /// What is wrong with it.
    fn order(&self, path: &str, body: &Map<String, Value>) -> Result<Order, Refusal>;

    /// An id for a new task.
    fn new_id(&self, order: &Order, rng: &mut StdRng, now: Timestamp) -> String;

    /// The answer to a request that made this task.
    fn created(&self, task: &SimulatedTask, moment: &Moment) -> Value;

    /// The answer to a question for this task.
    fn shown(&self, task: &SimulatedTask, moment: &Moment) -> Value;

    /// The headers and the body of a callback.
    fn callback(&self, task: &SimulatedTask, moment: &Moment, now: Timestamp) -> (Vec<(&'static str, String)>, Value) {
        let _ = now;
        (Vec::new(), self.shown(task, moment))
    }

    /// A task as a page of the list shows it.
    fn listed(&self, task: &SimulatedTask, moment: &Moment) -> Value {
        self.shown(task, moment)
    }

    /// The body of a refusal.
    fn refused(&self, refusal: &Refusal) -> Value;
}

/// `{"error": {"code", "message", "type"}}`, which EvoLink and aivideoapi.ai share.
fn error_object(code: &str, message: &str, kind: &str) -> Value {
    json!({"error": {"code": code, "message": message, "type": kind}})
}

/// The text behind a path's beginning, if it is one segment.
fn segment<'a>(path: &'a str, before: &str) -> Option<&'a str> {
    path.strip_prefix(before).filter(|rest| !rest.is_empty() && !rest.contains('/'))
}

/// A text of the body; what is no text counts as none.
fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The prompt, or the first of several.
fn prompt(body: &Map<String, Value>, several: Option<&Value>) -> String {
    let first = || several?.get(0)?.get("prompt")?.as_str();
    text(body, "prompt").or_else(first).unwrap_or_default().to_owned()
}

/// The `duration`: 5 where none is given; `None` where it is not 3 to 15 whole seconds.
fn duration(body: &Map<String, Value>) -> Option<u64> {
    match body.get("duration") {
        None | Some(Value::Null) => Some(5),
        Some(given) => given.as_u64().filter(|seconds| (3..=15).contains(seconds)),
    }
}

const fn seconds<const N: usize>(all: [u64; N]) -> [Duration; N] {
    let mut waits = [Duration::ZERO; N];
    let mut at = 0;
    while at < N {
        waits[at] = Duration::from_secs(all[at]);
        at += 1;
    }
    waits
}
