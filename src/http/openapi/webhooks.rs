//! What we send: one webhook for each type of event.

use serde_json::{Map, Value, json};

use super::words::of_tasks;
use crate::domain::event::EventType;

/// The headers of a delivery, with what they are and whether each delivery has them.
const HEADERS: [(&str, &str, bool); 4] = [
    ("webhook-id", "The event's id: the same on every attempt and in every replay.", true),
    ("webhook-timestamp", "When this attempt was made, in seconds since 1970.", true),
    (
        "webhook-signature",
        "`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`; several with a space between them while secrets change.",
        true,
    ),
    ("callboard-replay", "The replay's id, where it is one.", false),
];

/// Every webhook, by the event's type.
pub(super) fn webhooks() -> Map<String, Value> {
    EventType::ALL.into_iter().map(|kind| (kind.as_str().to_owned(), webhook(kind))).collect()
}

fn webhook(kind: EventType) -> Value {
    let word = kind.as_str();
    let body = if of_tasks(true).contains(&word) { "TaskEvent" } else { "ServiceEvent" };
    let schema = json!({"allOf": [
        {"$ref": format!("#/components/schemas/{body}")},
        {"properties": {"type": {"const": word}}},
    ]});
    let headers = HEADERS.map(|(name, about, required)| {
        json!({"name": name, "in": "header", "required": required, "description": about, "schema": {"type": "string"}})
    });
    json!({"post": {
        "operationId": format!("webhook.{word}"),
        "tags": ["webhooks"],
        "summary": about(kind),
        "description": "It is signed after Standard Webhooks. It may come more than once, and events of a task may come in another \
            order than they were made: `webhook-id` says which are the same.",
        "parameters": headers,
        "requestBody": {"required": true, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "2XX": {"description": "It has arrived."},
            "410": {"description": "Nobody is there any more: the destination is disabled."},
            "429": {"description": "Too much: the destination is left alone for as long as `Retry-After` says, else 30 s."},
            "503": {"description": "With `Retry-After` as 429; without it, and for every other answer, it is tried again by the schedule."},
        },
    }})
}

fn about(kind: EventType) -> &'static str {
    match kind {
        EventType::TaskProcessing => "A task has begun",
        EventType::TaskCompleted => "A task ended well",
        EventType::TaskFailed => "A task ended without a result",
        EventType::TaskCancelled => "A task was ended by somebody",
        EventType::TaskOverdue => "A task has no end by its deadline",
        EventType::TaskConflict => "A contrary end turned out to be true after the first was told",
        EventType::DestinationDisabled => "A destination was disabled",
        EventType::DestinationRecovered => "A destination takes deliveries again",
        EventType::DeliveryDead => "A delivery will not be tried again",
        EventType::SourceSilent => "A source that used to call has stopped",
    }
}
