//! Rows as the API shows them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::callback::CallbackOutcome;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::event::{EventType, TaskData};
use crate::domain::observation::Trust;
use crate::domain::task::Task;
use crate::http::openapi::words::AttemptOutcome;
use crate::store::{AttemptRow, CallbackRow, DeliveryRow, PollRow};

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Page<T> {
    /// Newest first, unless the list says otherwise.
    pub(in crate::http) items: Vec<T>,
    /// Asks for the next page; null at the end. There may be one where the page is not full: so far has been looked.
    pub(in crate::http) next_cursor: Option<String>,
}

/// An event: the bytes that were told.
pub(super) fn event(body: &str) -> Box<RawValue> {
    RawValue::from_string(body.to_owned()).unwrap_or_default()
}

/// A task: the fields of an event's `data`.
pub(super) fn task(task: &Task) -> TaskData<'_> {
    TaskData::of(task)
}

/// What is said of a delivery wherever it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryHead)]
pub(in crate::http) struct HeadView<'a> {
    id: &'a str,
    event_id: &'a str,
    #[schema(value_type = EventType)]
    event_type: &'a str,
    /// Where it goes; null where a replay named a URL.
    destination: Option<&'a str>,
    /// Where it goes that a replay sends to a URL.
    url: Option<&'a str>,
    /// The replay that made it.
    replay_id: Option<&'a str>,
    status: DeliveryStatus,
    /// When it is tried next.
    due_at: Option<Timestamp>,
    /// Why it is dead or held, or why the last attempt failed.
    reason: Option<&'a str>,
    created_at: Timestamp,
    /// When it was delivered or given up.
    finished_at: Option<Timestamp>,
}

fn head(row: &DeliveryRow) -> HeadView<'_> {
    HeadView {
        id: &row.id,
        event_id: &row.event_id,
        event_type: &row.event_type,
        destination: row.url.is_none().then_some(row.destination.as_str()),
        url: row.url.as_deref(),
        replay_id: row.replay_id.as_deref(),
        status: row.status,
        due_at: row.due_at,
        reason: row.reason.as_deref(),
        created_at: row.created_at,
        finished_at: row.finished_at,
    }
}

/// A delivery, without its attempts.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(in crate::http) struct DeliveryView<'a> {
    #[serde(flatten)]
    head: HeadView<'a>,
    /// How many attempts were made.
    attempts: u32,
}

pub(super) fn delivery(row: &DeliveryRow) -> DeliveryView<'_> {
    DeliveryView { head: head(row), attempts: row.attempts }
}

/// A delivery with its attempts.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryWithAttempts)]
pub(in crate::http) struct TriedView<'a> {
    #[serde(flatten)]
    head: HeadView<'a>,
    /// How many attempts were made.
    attempts_made: u32,
    /// Each attempt, the first first.
    attempts: Vec<AttemptView<'a>>,
}

pub(super) fn tried<'a>(row: &'a DeliveryRow, attempts: &'a [AttemptRow]) -> TriedView<'a> {
    TriedView { head: head(row), attempts_made: row.attempts, attempts: attempts.iter().map(attempt).collect() }
}

/// What was handed on to a client that relayed: which callback or poll, and where to.
#[derive(Serialize, ToSchema)]
#[schema(as = Forward)]
pub(in crate::http) struct ForwardView<'a> {
    id: &'a str,
    /// The callback that was handed on.
    callback_id: Option<&'a str>,
    /// The poll whose answer was handed on.
    poll_id: Option<&'a str>,
    /// The client's own callback URL.
    url: Option<&'a str>,
    status: DeliveryStatus,
    /// When it is tried next.
    due_at: Option<Timestamp>,
    /// How many attempts were made.
    attempts: u32,
    /// Why it is dead, or why the last attempt failed.
    reason: Option<&'a str>,
    created_at: Timestamp,
    /// When it was delivered or given up.
    finished_at: Option<Timestamp>,
}

pub(super) fn forward(row: &DeliveryRow) -> ForwardView<'_> {
    let is_poll = row.event_id.starts_with("pol_");
    ForwardView {
        id: &row.id,
        callback_id: (!is_poll).then_some(row.event_id.as_str()),
        poll_id: is_poll.then_some(row.event_id.as_str()),
        url: row.url.as_deref(),
        status: row.status,
        due_at: row.due_at,
        attempts: row.attempts,
        reason: row.reason.as_deref(),
        created_at: row.created_at,
        finished_at: row.finished_at,
    }
}

/// One try of a delivery.
#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(in crate::http) struct AttemptView<'a> {
    id: &'a str,
    /// From 1; a throttled one counts as well.
    number: u32,
    started_at: Timestamp,
    duration_ms: i64,
    #[schema(value_type = AttemptOutcome)]
    outcome: &'a str,
    /// The status code of HTTP or SMTP.
    status_code: Option<i64>,
    /// Why it did not go.
    reason: Option<&'a str>,
    /// What the destination answered, where it is text; the first kilobytes of it.
    response: Option<&'a str>,
    /// The same where it is no text.
    #[schema(content_encoding = "base64")]
    response_base64: Option<String>,
    /// When the next attempt is due.
    next_at: Option<Timestamp>,
}

pub(super) fn attempt(row: &AttemptRow) -> AttemptView<'_> {
    let text = std::str::from_utf8(&row.response).ok();
    AttemptView {
        id: &row.id,
        number: row.number,
        started_at: row.started_at,
        duration_ms: row.duration_ms,
        outcome: &row.outcome,
        status_code: row.status_code,
        reason: row.reason.as_deref(),
        response: text,
        response_base64: text.is_none().then(|| STANDARD.encode(&row.response)),
        next_at: row.next_at,
    }
}

/// What the provider answered when it was asked.
#[derive(Serialize, ToSchema)]
#[schema(as = Poll)]
pub(in crate::http) struct PollView<'a> {
    id: &'a str,
    /// The status that the provider gave, or why it gave none.
    outcome: &'a str,
    detail: Option<&'a str>,
    at: Timestamp,
    /// How often the same was answered again.
    repeats: i64,
    /// When it last was.
    repeated_at: Option<Timestamp>,
}

pub(super) fn poll(row: &PollRow) -> PollView<'_> {
    PollView {
        id: &row.id,
        outcome: &row.outcome,
        detail: row.detail.as_deref(),
        at: row.at,
        repeats: row.repeats,
        repeated_at: row.repeated_at,
    }
}

/// A callback, without its bytes.
#[derive(Serialize, ToSchema)]
#[schema(as = Callback)]
pub(in crate::http) struct CallbackView<'a> {
    id: &'a str,
    source: &'a str,
    /// Null where no task was found in it.
    task_id: Option<&'a str>,
    outcome: CallbackOutcome,
    /// Why, where there is something to say.
    detail: Option<&'a str>,
    /// How far it can be believed.
    #[schema(value_type = Trust)]
    trust: &'a str,
    /// The event that it made or repeats.
    event_id: Option<&'a str>,
    received_at: Timestamp,
    /// How often the same came again with the same outcome.
    repeats: i64,
    /// When it last did.
    repeated_at: Option<Timestamp>,
    /// The address that it came from.
    remote: Option<&'a str>,
}

pub(super) fn callback(row: &CallbackRow) -> CallbackView<'_> {
    CallbackView {
        id: row.id.as_str(),
        source: &row.source,
        task_id: row.task_id.as_deref(),
        outcome: row.outcome,
        detail: row.detail.as_deref(),
        trust: &row.trust,
        event_id: row.event_id.as_deref(),
        received_at: row.received_at,
        repeats: row.repeats,
        repeated_at: row.repeated_at,
        remote: row.remote.as_deref(),
    }
}
