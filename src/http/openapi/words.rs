//! The domain's words as the description has them: each list is the domain's own.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::channels::CHANNELS;
use crate::domain::access::Role;
use crate::domain::callback::CallbackOutcome;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::event::EventType;
use crate::domain::observation::Trust;
use crate::domain::replay::ReplayStatus;
use crate::domain::task::{Category, OutputKind, Status, Via};
use crate::http::problem::Code;
use crate::providers::PROVIDERS;

/// Describes each of these types as one of these words.
macro_rules! words {
    ($($kind:ty as $name:literal: $about:literal, $words:expr;)*) => {$(
        impl PartialSchema for $kind {
            fn schema() -> RefOr<Schema> {
                word($about, &json!($words))
            }
        }

        impl ToSchema for $kind {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )*};
}

fn word(about: &str, words: &Value) -> RefOr<Schema> {
    let words = words.as_array().cloned().unwrap_or_default();
    ObjectBuilder::new().schema_type(Type::String).description(Some(about)).enum_values(Some(words)).into()
}

/// How an attempt went, in a word.
pub(in crate::http) struct AttemptOutcome;
/// The `type` of a problem.
pub(in crate::http) struct ProblemType;
/// A provider's name.
pub(in crate::http) struct ProviderName;
/// A channel's name.
pub(in crate::http) struct ChannelName;
/// The `type` of an event about a task.
pub(in crate::http) struct TaskEventType;
/// The `type` of one of the service's own events.
pub(in crate::http) struct ServiceEventType;

words! {
    ReplayStatus as "ReplayStatus": "How far a replay of many has come.", ReplayStatus::ALL;
    Status as "TaskStatus": "How far a task has come; the last three are ends.", Status::ALL;
    OutputKind as "OutputKind": "What an output is.", OutputKind::ALL;
    Category as "ErrorCategory": "What kind of fault it was, in one vocabulary for all providers.", Category::ALL;
    Via as "ObservedVia": "How the task's present status was learned: the provider posted it, answered when asked, or answered the request \
        that made the task.", Via::ALL;
    Trust as "Trust": "How far a callback can be believed: a signature covers its body, or the task's id alone, or it carries a secret, or \
        nothing.", Trust::ALL.map(Trust::as_str);
    CallbackOutcome as "CallbackOutcome": "What became of a callback.", CallbackOutcome::ALL;
    DeliveryStatus as "DeliveryStatus": "Where a delivery stands; `held` is one whose destination is disabled.", DeliveryStatus::ALL;
    EventType as "EventType": "What an event tells.", EventType::ALL.map(EventType::as_str);
    TaskEventType as "TaskEventType": "What an event tells of a task.", of_tasks(true);
    ServiceEventType as "ServiceEventType": "What an event tells of the service itself.", of_tasks(false);
    Role as "Role": "What a key is for. `admin` is for everything; the others are of one team.", Role::ALL.map(Role::as_str);
    AttemptOutcome as "AttemptOutcome": "How an attempt went. `throttled` costs no attempt of the schedule; `rejected` ends the delivery, \
        `gone` disables the destination.", ["delivered", "failed", "throttled", "rejected", "gone"];
    ProblemType as "ProblemType": "What kind of problem it is; to branch on.", Code::ALL.map(Code::urn);
    ProviderName as "Provider": "A provider that this build knows.",
        PROVIDERS.iter().map(|provider| provider.name()).collect::<Vec<_>>();
    ChannelName as "Channel": "A kind of destination.",
        CHANNELS.iter().map(|channel| channel.name()).collect::<Vec<_>>();
}

/// The types of the events about tasks, or of the others.
pub(super) fn of_tasks(wanted: bool) -> Vec<&'static str> {
    EventType::ALL.into_iter().map(EventType::as_str).filter(|word| word.starts_with("task.") == wanted).collect()
}

/// A text, or a list of texts.
pub(super) fn one_or_more() -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let none = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new().item(text()).item(ArrayBuilder::new().items(text()).min_items(Some(1))).item(none).into()
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339 in UTC, with milliseconds where there are any."))
            .examples([json!("2026-11-21T02:00:00.123Z")])
            .into()
    }
}

impl ToSchema for Timestamp {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Time")
    }
}
