//! `{"code", "message", "data"}`: what kling3api.com documents. API in One stands before the same backend
//! and documents no answers, so that its own are taken to be alike.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};

use super::{Moment, Refusal, SimulatedTask};
use crate::demo::draw::Habits;
use crate::domain::task::Status;

/// Neither document names a failed task's words; these are the messages of its error codes.
pub(super) const HABITS: Habits = Habits {
    calls_back: false,
    cancels: false,
    failures: &[
        ("INVALID_PROMPT", "The prompt was refused."),
        ("INTERNAL_ERROR", "The server failed, try again later."),
    ],
};

pub(super) fn success(data: Value) -> Value {
    json!({"code": 200, "message": "success", "data": data})
}

pub(super) fn created(task: &SimulatedTask, moment: &Moment) -> Value {
    success(json!({
        "task_id": task.id,
        "status": word(moment.status),
        "consumed_credits": task.order.credits as u64,
    }))
}

/// `kind` is what it calls the type of the task.
pub(super) fn shown(task: &SimulatedTask, moment: &Moment, kind: &str) -> Value {
    let links: &[&String] = if moment.status == Status::Completed { &[&moment.link] } else { &[] };
    success(json!({
        "task_id": task.id,
        "status": word(moment.status),
        "consumed_credits": task.order.credits as u64,
        "created_at": task.created_at.to_string(),
        "request": task.order.body,
        "response": links,
        "error_message": moment.error.as_ref().map(|(_, message)| message),
        "type": kind,
    }))
}

/// `IN_PROGRESS` and `SUCCESS` are documented; of a failure nothing is.
fn word(status: Status) -> &'static str {
    match status {
        Status::Pending | Status::Processing => "IN_PROGRESS",
        Status::Completed => "SUCCESS",
        Status::Failed | Status::Cancelled => "FAILED",
    }
}

/// The codes of errors are documented, their shape is not.
pub(super) fn refused(refusal: &Refusal) -> Value {
    let said = match refusal {
        Refusal::Key => "INVALID_API_KEY",
        Refusal::Address => "IP_NOT_ALLOWED",
        Refusal::TooMany => "RATE_LIMITED",
        Refusal::Down => "INTERNAL_ERROR",
        Refusal::NoTask(_) => "TASK_NOT_FOUND",
        Refusal::NoModel(_) => "INVALID_TYPE",
        Refusal::NoRoute => "NOT_FOUND",
        Refusal::Method => "METHOD_NOT_ALLOWED",
        Refusal::Conflict => "CONFLICT",
        Refusal::Invalid(code, _) => code,
    };
    json!({"code": refusal.status(), "message": said, "data": null})
}

/// Such as `n75abc123kling3`: the backend's number, and signs.
pub(super) fn new_id(backend: &str, rng: &mut StdRng) -> String {
    format!("{backend}{:012x}", rng.random_range(0..1_u64 << 48))
}

/// What `sound` costs is on unless it is turned off.
pub(super) fn has_sound(body: &Map<String, Value>) -> bool {
    body.get("sound").and_then(Value::as_bool).unwrap_or(true)
}
