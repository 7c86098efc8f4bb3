//! Events: what subscribers are told. Once made, an event is bytes and is never altered.

use serde::Serialize;

use super::clock::Timestamp;
use super::id::EventId;
use super::task::{Metadata, Output, Status, Task, TaskError, Usage, Via};

/// What an event tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum EventType {
    /// A task has begun.
    TaskProcessing,
    /// A task ended well.
    TaskCompleted,
    /// A task ended without a result.
    TaskFailed,
    /// A task was ended by somebody.
    TaskCancelled,
    /// A task has no end by its deadline.
    TaskOverdue,
    /// A contrary end turned out to be true after the first was told.
    TaskConflict,
    /// A destination was disabled.
    DestinationDisabled,
    /// A destination takes deliveries again.
    DestinationRecovered,
    /// A delivery will not be tried again.
    DeliveryDead,
    /// A source that used to call has stopped.
    SourceSilent,
}

impl EventType {
    /// Every type there is.
    pub const ALL: [Self; 10] = [
        Self::TaskProcessing,
        Self::TaskCompleted,
        Self::TaskFailed,
        Self::TaskCancelled,
        Self::TaskOverdue,
        Self::TaskConflict,
        Self::DestinationDisabled,
        Self::DestinationRecovered,
        Self::DeliveryDead,
        Self::SourceSilent,
    ];

    /// What a subscription gets that names no types: the ends, `task.overdue` and `task.conflict`.
    pub const DEFAULT: [Self; 5] =
        [Self::TaskCompleted, Self::TaskFailed, Self::TaskCancelled, Self::TaskOverdue, Self::TaskConflict];

    /// The word for it, the same everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TaskProcessing => "task.processing",
            Self::TaskCompleted => "task.completed",
            Self::TaskFailed => "task.failed",
            Self::TaskCancelled => "task.cancelled",
            Self::TaskOverdue => "task.overdue",
            Self::TaskConflict => "task.conflict",
            Self::DestinationDisabled => "destination.disabled",
            Self::DestinationRecovered => "destination.recovered",
            Self::DeliveryDead => "delivery.dead",
            Self::SourceSilent => "source.silent",
        }
    }

    /// Reads the word back. `None` if there is no such type.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Which of a task's few events it is: the database allows one of each kind of step per task.
    pub fn step(self) -> &'static str {
        match self {
            Self::TaskProcessing => "processing",
            Self::TaskCompleted | Self::TaskFailed | Self::TaskCancelled => "terminal",
            Self::TaskOverdue => "overdue",
            Self::TaskConflict => "conflict",
            _ => "service",
        }
    }
}

/// An event's `data`: the task as it stood when the event was made (contract §5).
#[derive(Serialize)]
#[expect(missing_docs, reason = "the fields are those of contract §5 and of `Task`")]
pub struct TaskData<'a> {
    pub source: &'a str,
    pub provider: &'a str,
    pub task_id: &'a str,
    pub status: Status,
    pub model: Option<&'a str>,
    pub progress: Option<u8>,
    pub outputs: &'a [Output],
    pub error: Option<&'a TaskError>,
    pub usage: Option<&'a Usage>,
    pub created_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub observed_via: Via,
    pub confirmed: bool,
    pub metadata: &'a Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_status: Option<Status>,
}

impl<'a> TaskData<'a> {
    /// What is told of `task` as it stands.
    pub fn of(task: &'a Task) -> Self {
        Self {
            source: &task.source,
            provider: &task.provider,
            task_id: &task.task_id,
            status: task.status,
            model: task.model.as_deref(),
            progress: task.progress,
            outputs: &task.outputs,
            error: task.error.as_ref(),
            usage: task.usage.as_ref(),
            created_at: task.created_at,
            completed_at: task.completed_at,
            observed_via: task.observed_via,
            confirmed: task.confirmed,
            metadata: &task.metadata,
            recorded_status: None,
            claimed_status: None,
        }
    }
}

/// One event, ready to be stored: `body` is what webhooks and the API give, byte for byte.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of contract §5")]
pub struct Event {
    pub id: EventId,
    pub kind: EventType,
    pub source: String,
    pub task_id: String,
    pub at: Timestamp,
    pub body: String,
}

impl Event {
    /// The event that tells `task` as it stands. `claimed` is the contrary status of a `task.conflict`.
    pub fn of_task(kind: EventType, task: &Task, claimed: Option<Status>, now: Timestamp) -> Self {
        let id = EventId::new(now);
        let mut data = TaskData::of(task);
        if let Some(claimed) = claimed {
            data.recorded_status = Some(task.status);
            data.claimed_status = Some(claimed);
        }
        let body = Envelope { id: id.as_str(), kind: kind.as_str(), timestamp: now, data };
        Self {
            kind,
            source: task.source.clone(),
            task_id: task.task_id.clone(),
            at: now,
            // Strings, numbers and lists of them: there is nothing in it that JSON cannot write.
            body: serde_json::to_string(&body).unwrap_or_default(),
            id,
        }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Timestamp,
    data: TaskData<'a>,
}
