//! An event as facts for people: what Slack and mail say of it, each in its own markup.
//!
//! The texts come from providers and strangers. Here they lose what could make them look like
//! something else (control characters, line breaks, direction overrides) and get their caps; escaping
//! is for the markup, and so for the channel.

use serde_json::{Map, Value};
use url::Url;

use super::Message;
use crate::domain::clock::Timestamp;
use crate::domain::event::EventType;
use crate::domain::silence::{HEARD_AGAIN, NO_CALLBACK};

/// How it sounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mood {
    Good,
    Bad,
    Stopped,
    Busy,
    Warning,
}

/// One fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) value: String,
}

/// One output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Link {
    /// What it is and which host it leads to.
    pub(super) label: String,
    /// Only http and https; `None` is shown as text.
    pub(super) url: Option<Url>,
    /// When it dies.
    pub(super) note: Option<String>,
}

/// Everything that is said of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Summary {
    pub(super) mood: Mood,
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
    /// The provider's own words; may have several lines.
    pub(super) error: Option<String>,
    pub(super) links: Vec<Link>,
    /// Outputs that are not among `links`.
    pub(super) more_links: usize,
    pub(super) metadata: Vec<Row>,
    /// Where it comes from: source, task, event.
    pub(super) origin: Vec<Row>,
    /// What all messages of one task have in common.
    pub(super) thread: Option<(String, String)>,
}

/// Names, ids and words.
const VALUE_CHARS_MAX: usize = 200;
/// An error's message.
const PARAGRAPH_CHARS_MAX: usize = 1500;
/// Outputs that are listed.
const LINKS_MAX: usize = 20;
/// `kind` of an output (contract §5).
const OUTPUT_KINDS: [&str; 5] = ["video", "image", "audio", "text", "file"];
/// Facts of an event of unknown shape.
const ROWS_MAX: usize = 10;

impl Summary {
    /// Reads the event. Whatever is missing or has another shape than expected is left out.
    pub(super) fn of(message: &Message) -> Self {
        let event: Value = serde_json::from_str(&message.body).unwrap_or_default();
        let data = event["data"].as_object().cloned().unwrap_or_default();
        let mut summary = if data.get("task_id").is_some_and(Value::is_string) {
            of_task(&message.kind, &data)
        } else {
            of_service(&message.kind, &data)
        };
        summary.origin.push(row("Event", &message.event_id));
        summary.origin.extend(message.replay_id.as_deref().map(|id| row("Replay", id)));
        summary
    }
}

fn of_task(kind: &str, data: &Map<String, Value>) -> Summary {
    let text = |key: &str| data.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (mood, verb) = match EventType::parse(kind) {
        Some(EventType::TaskProcessing) => (Mood::Busy, "is processing"),
        Some(EventType::TaskCompleted) => (Mood::Good, "completed"),
        Some(EventType::TaskFailed) => (Mood::Bad, "failed"),
        Some(EventType::TaskCancelled) => (Mood::Stopped, "was cancelled"),
        Some(EventType::TaskOverdue) => (Mood::Warning, "is overdue"),
        Some(EventType::TaskConflict) => (Mood::Warning, "ended differently than told"),
        _ => (Mood::Warning, kind),
    };
    let error = data.get("error").and_then(Value::as_object);
    let outputs = data.get("outputs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let source = text("source").unwrap_or_default();
    let task_id = text("task_id").unwrap_or_default();
    let mut origin = vec![row("Source", source), row("Task", task_id)];
    if data.get("confirmed") == Some(&Value::Bool(false)) {
        origin.push(row("Confirmed", "no"));
    }
    Summary {
        mood,
        title: line(&format!("{} {verb}", text("model").unwrap_or("A task")), VALUE_CHARS_MAX),
        rows: task_rows(data, error),
        error: error.and_then(|error| error.get("message")?.as_str()).map(paragraph),
        links: outputs.iter().take(LINKS_MAX).map(link).collect(),
        more_links: outputs.len().saturating_sub(LINKS_MAX),
        metadata: data.get("metadata").and_then(Value::as_object).map(rows).unwrap_or_default(),
        origin,
        thread: Some((source.to_owned(), task_id.to_owned())),
    }
}

fn task_rows(data: &Map<String, Value>, error: Option<&Map<String, Value>>) -> Vec<Row> {
    let of = |label, key: &str| data.get(key).and_then(plain).map(|value| row(label, &value));
    let of_error = |label, key| error.and_then(|error| error.get(key)).and_then(plain).map(|value| row(label, &value));
    let credits = data.get("usage").and_then(|usage| usage.get("credits")).and_then(Value::as_f64);
    let unfinished = data.get("status").and_then(Value::as_str) == Some("processing");
    [
        of("Status", "status").filter(|_| !data.contains_key("claimed_status")),
        of("Recorded", "recorded_status"),
        of("Claimed", "claimed_status"),
        of("Model", "model"),
        of("Progress", "progress").filter(|_| unfinished).map(|row| Row { value: format!("{} %", row.value), ..row }),
        duration(data).map(|duration| row("Duration", &duration)),
        credits.map(|credits| row("Credits", &credits.to_string())),
        of_error("Category", "category"),
        of_error("Error code", "code"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_service(kind: &str, data: &Map<String, Value>) -> Summary {
    let about = |key: &str| data.get(key).and_then(plain).unwrap_or_else(|| "?".to_owned());
    let reason = data.get("reason").and_then(Value::as_str).unwrap_or_default();
    let event_type = EventType::parse(kind);
    let (mood, title) = match event_type {
        Some(EventType::DestinationDisabled) => {
            (Mood::Bad, format!("Destination {} is disabled", about("destination")))
        }
        Some(EventType::DestinationRecovered) => {
            (Mood::Good, format!("Destination {} works again", about("destination")))
        }
        Some(EventType::DeliveryDead) => match data.get("count").and_then(Value::as_i64) {
            Some(many @ 2..) => (Mood::Bad, format!("{many} deliveries to {} are dead", about("destination"))),
            _ => (Mood::Bad, format!("A delivery to {} is dead", about("destination"))),
        },
        // One type tells of all that may be the matter with a source, and of its end.
        Some(EventType::SourceSilent) if reason.starts_with(HEARD_AGAIN) => {
            (Mood::Good, format!("Source {} is heard again", about("source")))
        }
        Some(EventType::SourceSilent) if reason.is_empty() || reason.starts_with(NO_CALLBACK) => {
            (Mood::Warning, format!("Source {} is silent", about("source")))
        }
        Some(EventType::SourceSilent) => (Mood::Warning, format!("Source {} is in trouble", about("source"))),
        _ => (Mood::Warning, kind.to_owned()),
    };
    let mut origin = vec![row("Type", kind)];
    origin.extend(data.get("team").and_then(plain).map(|team| row("Team", &team)));
    Summary {
        mood,
        title: line(&title, VALUE_CHARS_MAX),
        rows: service_rows(event_type, data),
        error: None,
        links: Vec::new(),
        more_links: 0,
        metadata: Vec::new(),
        origin,
        thread: None,
    }
}

fn service_rows(kind: Option<EventType>, data: &Map<String, Value>) -> Vec<Row> {
    let counted = match kind {
        Some(EventType::DestinationDisabled) => "Failed tries",
        Some(EventType::DestinationRecovered | EventType::DeliveryDead) => "Dead deliveries",
        _ => "Count",
    };
    let since = data.get("since").and_then(Value::as_str).and_then(Timestamp::parse);
    let count = data.get("count").filter(|count| count.as_i64() != Some(0)).and_then(plain);
    let next = (kind == Some(EventType::DestinationDisabled))
        .then(|| row("Next", "what waits for it is held until it is enabled"));
    let known = ["team", "destination", "source", "reason", "since", "count"];
    let others = data.iter().filter(|(key, _)| !known.contains(&key.as_str()));
    [
        data.get("reason").and_then(plain).map(|reason| row("Reason", &reason)),
        since.map(|since| row("Since", &format!("{} UTC", minute(since)))),
        count.map(|count| row(counted, &count)),
        next,
    ]
    .into_iter()
    .flatten()
    .chain(others.filter_map(|(key, value)| Some(row(key, &plain(value)?))))
    .take(ROWS_MAX)
    .collect()
}

/// A moment, to the minute.
fn minute(at: Timestamp) -> String {
    at.to_string().get(..16).unwrap_or_default().replace('T', " ")
}

fn row(label: &str, value: &str) -> Row {
    Row { label: line(label, VALUE_CHARS_MAX), value: line(value, VALUE_CHARS_MAX) }
}

fn rows(object: &Map<String, Value>) -> Vec<Row> {
    object.iter().filter_map(|(key, value)| Some(row(key, &plain(value)?))).collect()
}

/// A value as text; `None` for null.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn link(output: &Value) -> Link {
    let text = |key: &str| output.get(key).and_then(Value::as_str);
    // Only our own words stand in the label, so that it cannot say where else it leads.
    let kind = OUTPUT_KINDS.into_iter().find(|kind| text("kind") == Some(kind)).unwrap_or("file");
    // Our own copy outlives the provider's.
    let written = text("archived_url").or_else(|| text("url")).unwrap_or_default();
    let url = Url::parse(written).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let place = url.as_ref().and_then(Url::host_str).unwrap_or(written);
    let expires = text("expires_at").filter(|_| text("archived_url").is_none()).and_then(Timestamp::parse);
    Link {
        label: line(&format!("{kind} on {place}"), VALUE_CHARS_MAX),
        note: expires.map(|at| format!("until {} UTC", minute(at))),
        url,
    }
}

fn duration(data: &Map<String, Value>) -> Option<String> {
    let at = |key: &str| data.get(key).and_then(Value::as_str).and_then(Timestamp::parse);
    let (began, ended) = (at("created_at")?, at("completed_at")?);
    if ended < began {
        return None;
    }
    let seconds = ended.since(began).as_secs_f64();
    let whole = seconds.round() as u64;
    Some(match whole {
        0..60 => format!("{} s", (seconds * 10.0).round() / 10.0),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    })
}

/// One line: every run of white space and control characters is one space, nothing invisible is left,
/// and what is longer than `max` characters ends with an ellipsis.
pub(super) fn line(text: &str, max: usize) -> String {
    let spaced: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    capped(&visible(&words.join(" ")), max)
}

fn paragraph(text: &str) -> String {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let kept: String = unified.chars().filter(|char| *char == '\n' || !char.is_control()).collect();
    capped(visible(&kept).trim(), PARAGRAPH_CHARS_MAX)
}

/// Without the characters that change the order of others or hide between them. Joiners stay: scripts
/// and emoji need them.
fn visible(text: &str) -> String {
    let hidden = |char: &char| matches!(char, '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}');
    text.chars().filter(|char| !hidden(char)).collect()
}

fn capped(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}
