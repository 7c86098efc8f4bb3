//! The schemas of events and tasks. Events are bytes once they are made, so these types hold no event: they say what is in
//! one, and `tests/it/openapi.rs` holds them against real ones.

use std::borrow::Cow;
use std::collections::BTreeMap;

use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::words::{ProviderName, ServiceEventType, TaskEventType};
use crate::domain::clock::Timestamp;
use crate::domain::task::{Category, OutputKind, Status, Via};

macro_rules! schemas {
    ($($(#[$about:meta])* $name:ident {$($(#[$note:meta])* $field:ident: $kind:ty,)*})*) => {$(
        #[derive(ToSchema)]
        $(#[$about])*
        #[expect(dead_code, reason = "it describes what `domain::event` writes")]
        pub(in crate::http) struct $name {$($(#[$note])* $field: $kind,)*}
    )*};
}

schemas! {
    /// One result of a task.
    #[schema(as = Output)]
    OutputSchema {
        /// Where the provider keeps it.
        url: String,
        kind: OutputKind,
        /// When that link dies; null where the provider says nothing, or says that it stays.
        expires_at: Option<Timestamp>,
        /// A copy of our own; null while there is none.
        archived_url: Option<String>,
    }

    /// Why a task failed.
    #[schema(as = TaskError)]
    ErrorSchema {
        /// The provider's own code.
        code: Option<String>,
        /// The provider's own words.
        message: Option<String>,
        category: Category,
        /// Whether the same request may succeed later; null where that is not known.
        retryable: Option<bool>,
    }

    /// What a task cost.
    #[schema(as = Usage)]
    UsageSchema {
        /// In the provider's own credits.
        credits: Option<f64>,
    }

    /// A task as it stands; in an event, as it stood when that was made. What the provider does not give is null.
    #[schema(as = Task, example = json!({
        "source": "evolink", "provider": "evolink", "task_id": "task-unified-1757169743-o3t2v", "status": "completed",
        "model": "kling-o3-text-to-video", "progress": 100, "outputs": [{"url": "https://example.com/a.mp4", "kind": "video",
        "expires_at": "2025-09-07T14:42:23Z", "archived_url": null}], "error": null, "usage": {"credits": 27.0},
        "created_at": "2025-09-06T14:42:23Z", "completed_at": null, "observed_via": "callback", "confirmed": true,
        "metadata": {"campaign": "spring"},
    }))]
    TaskSchema {
        /// The source that it belongs to, by its name.
        source: String,
        #[schema(value_type = ProviderName)]
        provider: String,
        /// The provider's id of it.
        task_id: String,
        status: Status,
        /// The model, as the provider calls it.
        model: Option<String>,
        /// Percent.
        #[schema(minimum = 0, maximum = 100)]
        progress: Option<u8>,
        outputs: Vec<OutputSchema>,
        error: Option<ErrorSchema>,
        usage: Option<UsageSchema>,
        /// When the provider says it began.
        created_at: Option<Timestamp>,
        /// When the provider says it ended.
        completed_at: Option<Timestamp>,
        observed_via: Via,
        /// Whether that was signed over its body, or said by the provider when asked.
        confirmed: bool,
        /// What its user gave along: string to string.
        metadata: BTreeMap<String, String>,
        /// In a `task.conflict` only: the end that was told.
        #[schema(nullable = false)]
        recorded_status: Option<Status>,
        /// In a `task.conflict` only: the contrary end that turned out to be true.
        #[schema(nullable = false)]
        claimed_status: Option<Status>,
    }

    /// What one of the service's own events tells. It has `destination` or `source`.
    #[schema(as = Notice)]
    NoticeSchema {
        /// The team that it is told to; null for all that see the source.
        team: Option<String>,
        /// The destination that it is about.
        #[schema(nullable = false)]
        destination: Option<String>,
        /// The source that it is about.
        #[schema(nullable = false)]
        source: Option<String>,
        /// Why, in words.
        reason: String,
        /// Since when it is so.
        since: Timestamp,
        /// How many deliveries, or callbacks, it is about.
        count: i64,
    }

    /// An event about a task: one step of it.
    #[schema(as = TaskEvent)]
    TaskEventSchema {
        /// The same on every attempt and in every replay.
        #[schema(examples("evt_01KAH4M5V3W8Q2T7Y9ZB6XCDEF"))]
        id: String,
        r#type: TaskEventType,
        /// When it was made.
        timestamp: Timestamp,
        data: TaskSchema,
    }

    /// An event about the service itself.
    #[schema(as = ServiceEvent)]
    ServiceEventSchema {
        /// The same on every attempt and in every replay.
        #[schema(examples("evt_01KAH4M5V3W8Q2T7Y9ZB6XCDEF"))]
        id: String,
        r#type: ServiceEventType,
        /// When it was made.
        timestamp: Timestamp,
        data: NoticeSchema,
    }
}

/// Describes what is one of these.
macro_rules! either {
    ($($name:ident as $word:literal: $about:literal, $($one:ident)|+;)*) => {$(
        #[doc = $about]
        pub(in crate::http) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let each = OneOfBuilder::new()$(.item(Ref::from_schema_name($one::name())))+;
                each.description(Some($about)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($word)
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                $(
                    schemas.push(($one::name().into(), $one::schema()));
                    $one::schemas(schemas);
                )+
            }
        }
    )*};
}

either! {
    EventSchema as "Event": "An event: the same bytes wherever it is told or shown.", TaskEventSchema | ServiceEventSchema;
    EventData as "EventData": "What an event tells: of a task, or of the service itself.", TaskSchema | NoticeSchema;
}
