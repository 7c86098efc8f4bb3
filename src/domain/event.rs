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

    /// Whether it tells of the service itself, and not of a task.
    pub fn is_of_service(self) -> bool {
        self.step() == "service"
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

/// What one of the service's own events speaks of, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject<'a> {
    /// A destination of the team.
    Destination(&'a str),
    /// A source that the team may see.
    Source(&'a str),
}

impl<'a> Subject<'a> {
    /// The name.
    pub fn name(self) -> &'a str {
        match self {
            Self::Destination(name) | Self::Source(name) => name,
        }
    }
}

/// The `data` of one of the service's own events (contract §5).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServiceData<'a> {
    /// Whom it is for; `None` where no team asked to be told.
    pub team: Option<&'a str>,
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject<'a>,
    /// What happened, for people.
    pub reason: &'a str,
    /// When that began.
    pub since: Timestamp,
    /// Of how many deliveries, tries, tasks or callbacks it speaks; 0 where nothing is counted.
    pub count: i64,
}

/// One event, ready to be stored: `body` is what webhooks and the API give, byte for byte.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// What it tells.
    pub kind: EventType,
    /// The source of its task; `None` for one of the service's own.
    pub source: Option<String>,
    /// Its task; `None` for one of the service's own.
    pub task_id: Option<String>,
    /// The team that one of the service's own is for.
    pub team: Option<String>,
    /// When it was made.
    pub at: Timestamp,
    /// As it is told, byte for byte.
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
        let body = Envelope { id: id.as_str(), kind: kind.as_str(), timestamp: now, data }.written();
        let (source, task_id) = (Some(task.source.clone()), Some(task.task_id.clone()));
        Self { id, kind, source, task_id, team: None, at: now, body }
    }

    /// One of the service's own.
    pub fn of_service(kind: EventType, data: ServiceData<'_>, now: Timestamp) -> Self {
        let id = EventId::new(now);
        let body = Envelope { id: id.as_str(), kind: kind.as_str(), timestamp: now, data }.written();
        Self { id, kind, source: None, task_id: None, team: data.team.map(str::to_owned), at: now, body }
    }
}

#[derive(Serialize)]
struct Envelope<'a, D> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Timestamp,
    data: D,
}

impl<D: Serialize> Envelope<'_, D> {
    fn written(&self) -> String {
        // Strings, numbers and lists of them: there is nothing in it that JSON cannot write.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_service_says_whom_it_is_for_and_what_of() {
        let data = |subject| ServiceData {
            team: Some("ops"),
            subject,
            reason: "answered 410",
            since: Timestamp(1_000),
            count: 3,
        };
        for (kind, subject, key) in [
            (EventType::DestinationDisabled, Subject::Destination("hook"), "destination"),
            (EventType::SourceSilent, Subject::Source("hook"), "source"),
        ] {
            let event = Event::of_service(kind, data(subject), Timestamp(2_000));
            let body: serde_json::Value = serde_json::from_str(&event.body).unwrap();
            assert_eq!(
                body,
                serde_json::json!({"id": event.id, "type": kind.as_str(), "timestamp": "1970-01-01T00:00:02Z",
                    "data": {"team": "ops", key: "hook", "reason": "answered 410", "since": "1970-01-01T00:00:01Z",
                        "count": 3}})
            );
            assert_eq!((event.source, event.task_id, event.team.as_deref()), (None, None, Some("ops")));
            assert!(kind.is_of_service() && !EventType::TaskOverdue.is_of_service());
        }
    }
}
