//! Rows as the API shows them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::domain::event::TaskData;
use crate::domain::task::Task;
use crate::store::{AttemptRow, CallbackRow, DeliveryRow, PollRow};

/// An event: the bytes that were told.
pub(super) fn event(body: &str) -> Box<RawValue> {
    RawValue::from_string(body.to_owned()).unwrap_or_default()
}

/// A task: the fields of an event's `data`.
pub(super) fn task(task: &Task) -> Value {
    serde_json::to_value(TaskData::of(task)).unwrap_or_default()
}

/// A delivery, without its attempts.
pub(super) fn delivery(row: &DeliveryRow) -> Value {
    json!({
        "id": row.id,
        "event_id": row.event_id,
        "event_type": row.event_type,
        "destination": row.url.is_none().then_some(&row.destination),
        "url": row.url,
        "replay_id": row.replay_id,
        "status": row.status,
        "due_at": row.due_at,
        "attempts": row.attempts,
        "reason": row.reason,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    })
}

/// What was handed on to a client: which callback or poll, and where to.
pub(super) fn forward(row: &DeliveryRow) -> Value {
    let is_poll = row.event_id.starts_with("pol_");
    json!({
        "id": row.id,
        "callback_id": (!is_poll).then_some(&row.event_id),
        "poll_id": is_poll.then_some(&row.event_id),
        "url": row.url,
        "status": row.status,
        "due_at": row.due_at,
        "attempts": row.attempts,
        "reason": row.reason,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    })
}

/// An attempt; `response` is text where it is text, else base64 in `response_base64`.
pub(super) fn attempt(row: &AttemptRow) -> Value {
    let text = std::str::from_utf8(&row.response).ok();
    json!({
        "id": row.id,
        "number": row.number,
        "started_at": row.started_at,
        "duration_ms": row.duration_ms,
        "outcome": row.outcome,
        "status_code": row.status_code,
        "reason": row.reason,
        "response": text,
        "response_base64": text.is_none().then(|| STANDARD.encode(&row.response)),
        "next_at": row.next_at,
    })
}

/// What the provider answered when it was asked.
pub(super) fn poll(row: &PollRow) -> Value {
    json!({
        "id": row.id,
        "outcome": row.outcome,
        "detail": row.detail,
        "at": row.at,
        "repeats": row.repeats,
        "repeated_at": row.repeated_at,
    })
}

/// A callback, without its bytes.
pub(super) fn callback(row: &CallbackRow) -> Value {
    json!({
        "id": row.id,
        "source": row.source,
        "task_id": row.task_id,
        "outcome": row.outcome,
        "detail": row.detail,
        "trust": row.trust,
        "event_id": row.event_id,
        "received_at": row.received_at,
        "repeats": row.repeats,
        "repeated_at": row.repeated_at,
        "remote": row.remote,
    })
}
