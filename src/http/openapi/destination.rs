//! The schemas of destinations: what a channel takes beside what every destination has is the channel's own to say.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::channels::{CHANNELS, Channel, Field, FieldKind};
use crate::domain::destination::CONCURRENCY_MAX;

/// A destination to be made.
pub(in crate::http) struct NewDestination;
/// What a destination is from now on.
pub(in crate::http) struct ChangedDestination;
/// A destination as it was made or changed.
pub(in crate::http) struct MadeDestination;
/// A destination as it stands.
pub(in crate::http) struct Destination;

macro_rules! schemas {
    ($($name:ident = $schema:expr;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                // It is written by hand below, and read as any other would be.
                serde_json::from_value::<Schema>($schema).unwrap_or_default().into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )*};
}

schemas! {
    NewDestination = asked(true);
    ChangedDestination = asked(false);
    MadeDestination = answered(false);
    Destination = answered(true);
}

const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn perhaps(about: &str) -> Value {
    json!({"type": ["string", "null"], "description": about})
}

fn time(about: &str) -> Value {
    json!({"type": ["string", "null"], "format": "date-time", "description": about})
}

/// How many deliveries it takes.
fn limits() -> Map<String, Value> {
    let rate = perhaps("How many deliveries it takes at most, such as `5/s`; null is the channel's default.");
    let concurrency = json!({"type": ["integer", "null"], "minimum": 1, "maximum": CONCURRENCY_MAX,
        "description": "How many at the same time; null is the channel's default."});
    Map::from_iter([("rate".to_owned(), rate), ("concurrency".to_owned(), concurrency)])
}

fn own(field: &Field, about: &str) -> Value {
    let list = json!({"type": "array", "items": {"type": "string"}, "minItems": 1});
    match field.kind {
        FieldKind::Text => text(about),
        FieldKind::Texts => json!({"oneOf": [{"type": "string"}, list], "description": about}),
    }
}

/// One shape for each channel.
fn asked(is_new: bool) -> Value {
    let each: Vec<Value> = CHANNELS.iter().map(|channel| asked_of(*channel, is_new)).collect();
    // What is changed need not say of which channel it is.
    let key = if is_new { "oneOf" } else { "anyOf" };
    json!({
        "description": if is_new { "A destination to be made." } else { "What a destination is from now on; secrets that are left out stay." },
        key: each,
        "example": if is_new {
            json!({"name": "backend", "team": "ads", "channel": "webhook", "url": "https://example.com/hooks"})
        } else {
            json!({"url": "https://example.com/hooks", "rate": "5/s"})
        },
    })
}

fn asked_of(channel: &dyn Channel, is_new: bool) -> Value {
    let mut properties = limits();
    let channel_name = json!({"type": "string", "enum": [channel.name()]});
    let name = json!({"type": "string", "pattern": NAME});
    let fixed = [("name", name), ("team", json!({"type": "string"})), ("channel", channel_name)];
    properties.extend(fixed.map(|(name, schema)| (name.to_owned(), schema)));
    let mut required: Vec<&str> = if is_new { vec!["name", "team", "channel"] } else { Vec::new() };
    for field in channel.fields() {
        let about = if field.secret { "It is never shown again." } else { "" };
        properties.insert(field.name.to_owned(), own(field, about));
        if field.required && (is_new || !field.secret) {
            required.push(field.name);
        }
    }
    json!({"type": "object", "description": channel.about(), "properties": properties, "required": required})
}

fn answered(with_state: bool) -> Value {
    let mut properties = limits();
    let mut required = vec!["name", "team", "channel", "rate", "concurrency", "from_file"];
    let mut add = |name: &str, schema: Value| properties.insert(name.to_owned(), schema);
    add("name", json!({"type": "string"}));
    add("team", text("The team that owns it."));
    add("channel", json!({"$ref": "#/components/schemas/Channel"}));
    add(
        "from_file",
        json!({"type": "boolean", "description": "Whether a file declares it; then it is changed only there."}),
    );
    for channel in CHANNELS {
        for field in channel.fields().iter().filter(|field| !field.secret) {
            let about = format!("Only of the channel `{}`.", channel.name());
            add(field.name, own(field, &about));
        }
    }
    if with_state {
        required.extend(state(&mut add));
    } else {
        add("secret", text("The secret that was made for it, once."));
    }
    let about = if with_state { "A destination as it stands." } else { "A destination as it was made or changed." };
    json!({"type": "object", "description": about, "properties": properties, "required": required})
}

fn state(add: &mut impl FnMut(&str, Value) -> Option<Value>) -> [&'static str; 8] {
    add("target", text("Where it leads, without what is secret."));
    add("status", json!({"type": "string", "enum": ["enabled", "disabled"]}));
    add("disabled_at", time("Since when it is disabled."));
    add("disabled_reason", perhaps("Why."));
    add("paused_until", time("Until when it is left alone, as it asked to be."));
    add("failing_since", time("Since when nothing arrives there."));
    add("trouble_since", time("When its team was told of that; null once it was told that it is over."));
    add("dead_count", json!({"type": "integer", "minimum": 0, "description": "How many deliveries died of that."}));
    [
        "target",
        "status",
        "disabled_at",
        "disabled_reason",
        "paused_until",
        "failing_since",
        "trouble_since",
        "dead_count",
    ]
}
