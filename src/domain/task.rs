//! A task and its state machine.
//!
//! A task is one generation job at a provider. Whatever is learned of it, by callback, poll or relay,
//! is an [`Observation`]; [`Task::observe`] folds it in and says what it was. Statuses only move
//! forward, `pending` → `processing` → one of the three ends, and the first end stays.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::event::EventType;
use super::id::{EventId, TaskKey};
use super::observation::optional_time;
pub use super::observation::{Metadata, MetadataOrigin, Observation, Provenance, Trust, Via, clean};

/// How far a task has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted by the provider, not begun.
    Pending,
    /// Being worked on.
    Processing,
    /// Ended well; there may be outputs.
    Completed,
    /// Ended without a result.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
}

impl Status {
    /// Every status, in the order in which a task can reach them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Processing, Self::Completed, Self::Failed, Self::Cancelled];

    /// The word for it, the same everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word back. `None` if it is not one of ours.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing comes after it.
    pub fn is_terminal(self) -> bool {
        self.step() == 2
    }

    /// The event that tells this status, where one does.
    pub fn event(self) -> Option<EventType> {
        match self {
            Self::Pending => None,
            Self::Processing => Some(EventType::TaskProcessing),
            Self::Completed => Some(EventType::TaskCompleted),
            Self::Failed => Some(EventType::TaskFailed),
            Self::Cancelled => Some(EventType::TaskCancelled),
        }
    }

    fn step(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Processing => 1,
            Self::Completed | Self::Failed | Self::Cancelled => 2,
        }
    }
}

/// What an output is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each variant is its own word")]
pub enum OutputKind {
    Video,
    Image,
    Audio,
    Text,
    File,
}

impl OutputKind {
    /// Every kind there is.
    pub const ALL: [Self; 5] = [Self::Video, Self::Image, Self::Audio, Self::Text, Self::File];
}

/// One result of a task.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Output {
    /// Where the provider keeps it.
    pub url: String,
    /// What it is.
    pub kind: OutputKind,
    /// When that link dies; `None` where the provider says nothing or says that it stays.
    #[serde(default, with = "optional_time")]
    pub expires_at: Option<Timestamp>,
    /// Our own copy; `None` while there is none.
    pub archived_url: Option<String>,
}

/// What kind of fault it was, in one vocabulary for all providers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is its own word; contract §5 lists them")]
pub enum Category {
    InvalidRequest,
    ContentPolicy,
    Authentication,
    InsufficientCredits,
    Permission,
    NotFound,
    RateLimited,
    Upstream,
    Timeout,
    Internal,
    Unknown,
}

impl Category {
    /// Every category there is.
    pub const ALL: [Self; 11] = [
        Self::InvalidRequest,
        Self::ContentPolicy,
        Self::Authentication,
        Self::InsufficientCredits,
        Self::Permission,
        Self::NotFound,
        Self::RateLimited,
        Self::Upstream,
        Self::Timeout,
        Self::Internal,
        Self::Unknown,
    ];
}

/// Why a task failed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TaskError {
    /// The provider's own code.
    pub code: Option<String>,
    /// The provider's own words.
    pub message: Option<String>,
    /// The same for all providers.
    pub category: Category,
    /// Whether the same request may succeed later; `None` where that is not known.
    pub retryable: Option<bool>,
}

/// What a task cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// In the provider's own credits.
    pub credits: Option<f64>,
}

/// A task id longer than this, in bytes, is no id: no provider documents more than 64 characters, and
/// what we index and put into URLs has to have an end.
pub const TASK_ID_MAX: usize = 512;

/// Two beginnings that lie so far apart are not one, rounded to seconds here and not there.
const ANOTHER_MILLIS: u64 = 2000;

/// One generation job at a provider, identified by (source, task id).
#[derive(Clone, PartialEq, Debug)]
pub struct Task {
    /// Our own id, which orders tasks by when we first knew of them.
    pub key: TaskKey,
    /// The source it belongs to.
    pub source: String,
    /// The provider behind that source.
    pub provider: String,
    /// The provider's id.
    pub task_id: String,
    /// How far it has come.
    pub status: Status,
    /// The model's name.
    pub model: Option<String>,
    /// Percent, 0 to 100.
    pub progress: Option<u8>,
    /// Results so far.
    pub outputs: Vec<Output>,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// What it cost.
    pub usage: Option<Usage>,
    /// When the provider says it began.
    pub created_at: Option<Timestamp>,
    /// When the provider says it ended.
    pub completed_at: Option<Timestamp>,
    /// How we learned of its present status.
    pub observed_via: Via,
    /// Whether that was signed over its body, or said by the provider when asked.
    pub confirmed: bool,
    /// What the user gave along.
    pub metadata: Metadata,
    /// Who gave that.
    pub metadata_origin: MetadataOrigin,
    /// When we first knew of it.
    pub first_seen_at: Timestamp,
    /// When it last changed; what is heard of it again is no change.
    pub updated_at: Timestamp,
    /// The event of its `processing` step.
    pub processing_event: Option<EventId>,
    /// The event of its end; at most one, ever.
    pub terminal_event: Option<EventId>,
    /// The `task.conflict` event; at most one, ever.
    pub conflict_event: Option<EventId>,
}

/// What an observation turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// A step: the task reaches this status for the first time. The event is `None` for `pending`.
    Advanced(Option<EventType>),
    /// The same step again; at most progress and partial outputs changed.
    Duplicate,
    /// An earlier step after a later one.
    Stale,
    /// It speaks of another job: an ended task has this id, and began at another time.
    Reused,
    /// Another end than the one told. `tell` when it is to be told as `task.conflict`: the claim is
    /// certain and no conflict was told of this task before.
    Conflict {
        /// Whether to tell it.
        tell: bool,
    },
}

impl Task {
    /// A task of which nothing is known yet, and its first observation folded in.
    pub fn first_seen(
        source: &str,
        provider: &str,
        seen: &Observation,
        from: &Provenance,
        now: Timestamp,
    ) -> (Self, Verdict) {
        let mut task = Self {
            key: TaskKey::new(now),
            source: source.to_owned(),
            provider: provider.to_owned(),
            task_id: seen.task_id.clone(),
            status: seen.status,
            model: None,
            progress: None,
            outputs: Vec::new(),
            error: None,
            usage: None,
            created_at: None,
            completed_at: None,
            observed_via: from.via,
            confirmed: false,
            metadata: Metadata::new(),
            metadata_origin: MetadataOrigin::Absent,
            first_seen_at: now,
            updated_at: now,
            processing_event: None,
            terminal_event: None,
            conflict_event: None,
        };
        task.take_metadata(from);
        task.advance(seen, from);
        (task, Verdict::Advanced(seen.status.event()))
    }

    /// Folds one more observation in and says what it was.
    ///
    /// The caller makes the event that the verdict asks for and notes it with [`Task::note_event`].
    pub fn observe(&mut self, seen: &Observation, from: &Provenance) -> Verdict {
        // What is certain judges what was not, whenever that is said to have begun.
        let judges = from.trust == Trust::SignedBody && !self.confirmed;
        let another = !judges && self.is_another(seen);
        let verdict = if another { Verdict::Reused } else { self.judge(seen.status, from.trust) };
        match verdict {
            Verdict::Advanced(_) => self.advance(seen, from),
            Verdict::Duplicate if !self.status.is_terminal() => self.update(seen),
            // The end that was told stays as it was told; that it is certain is known from now on.
            Verdict::Duplicate => self.confirmed |= from.trust == Trust::SignedBody,
            Verdict::Reused => return verdict,
            Verdict::Stale | Verdict::Conflict { .. } => {}
        }
        self.take_metadata(from);
        verdict
    }

    /// Whether this speaks of another job: an ended task has its id, and began at another time.
    pub fn is_another(&self, seen: &Observation) -> bool {
        let began = self.created_at.zip(seen.created_at);
        self.status.is_terminal() && began.is_some_and(|(one, other)| one.0.abs_diff(other.0) >= ANOTHER_MILLIS)
    }

    /// Whether the end that this speaks of is told. It stays told, so that whoever says the same again, as trusted as this,
    /// repeats that event and changes nothing.
    pub fn has_told(&self, seen: &Observation) -> bool {
        let is_its_end = self.status.is_terminal() && self.status == seen.status;
        // What is certain is folded even into another job's end, but only the first time.
        is_its_end && self.terminal_event.is_some() && !self.is_another(seen)
    }

    fn judge(&self, claimed: Status, trust: Trust) -> Verdict {
        if claimed == self.status {
            Verdict::Duplicate
        } else if claimed.step() > self.status.step() {
            Verdict::Advanced(claimed.event())
        } else if claimed.is_terminal() {
            Verdict::Conflict { tell: trust == Trust::SignedBody && self.conflict_event.is_none() }
        } else {
            Verdict::Stale
        }
    }

    /// Notes the event that was made of a step or a conflict.
    pub fn note_event(&mut self, kind: EventType, id: EventId) {
        match kind {
            EventType::TaskProcessing => self.processing_event = Some(id),
            EventType::TaskConflict => self.conflict_event = Some(id),
            EventType::TaskCompleted | EventType::TaskFailed | EventType::TaskCancelled => {
                self.terminal_event = Some(id);
            }
            _ => {}
        }
    }

    /// The event that told this status of the task, if one did.
    pub fn event_of(&self, status: Status) -> Option<&EventId> {
        match status {
            Status::Pending => None,
            Status::Processing => self.processing_event.as_ref(),
            _ => self.terminal_event.as_ref(),
        }
    }

    fn advance(&mut self, seen: &Observation, from: &Provenance) {
        self.status = seen.status;
        self.observed_via = from.via;
        self.confirmed = from.trust == Trust::SignedBody;
        self.update(seen);
    }

    fn update(&mut self, seen: &Observation) {
        fn keep<T: Clone>(slot: &mut Option<T>, new: &Option<T>) {
            if new.is_some() {
                slot.clone_from(new);
            }
        }
        keep(&mut self.model, &seen.model);
        keep(&mut self.error, &seen.error);
        keep(&mut self.usage, &seen.usage);
        keep(&mut self.created_at, &seen.created_at);
        keep(&mut self.completed_at, &seen.completed_at);
        // Progress reports can overtake one another, and progress does not go back.
        self.progress = self.progress.max(seen.progress);
        if !seen.outputs.is_empty() {
            self.outputs.clone_from(&seen.outputs);
        }
    }

    /// Joins what the user gave along, where it comes from a better place than what is known.
    pub fn take_metadata(&mut self, from: &Provenance) {
        if from.metadata_origin > self.metadata_origin {
            self.metadata.clone_from(&from.metadata);
            self.metadata_origin = from.metadata_origin;
        }
    }
}
