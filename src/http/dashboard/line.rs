//! One event as a line: on the first page, and as it arrives there.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;

use super::media::Media;
use super::parts::task_path;
use super::visit::Frame;
use crate::domain::clock::Timestamp;
use crate::domain::event::EventType;
use crate::domain::task::{Output, TaskError};

/// What of an event's `data` is shown. What its kind lacks is empty.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Data {
    source: Option<String>,
    task_id: Option<String>,
    model: Option<String>,
    outputs: Vec<Output>,
    error: Option<TaskError>,
    metadata: BTreeMap<String, String>,
    destination: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    data: Data,
}

/// An event as it is shown in one line.
pub(super) struct Line {
    /// Its id.
    pub(super) id: String,
    /// Its type.
    pub(super) kind: &'static str,
    /// When it was made.
    pub(super) at: Timestamp,
    /// The source that it is about.
    pub(super) source: Option<String>,
    /// The task that it is about, and the address of its page.
    pub(super) task: Option<(String, String)>,
    /// The destination that it is about.
    pub(super) destination: Option<String>,
    /// The model.
    pub(super) model: Option<String>,
    /// What was made; the first of it is shown.
    pub(super) outputs: Vec<Media>,
    /// What went wrong, or what is the matter.
    pub(super) reason: Option<String>,
    /// The task's metadata.
    pub(super) metadata: BTreeMap<String, String>,
}

impl Line {
    /// An event of these bytes.
    pub(super) fn of(id: &str, kind: EventType, at: Timestamp, body: &str, now: Timestamp) -> Self {
        let data = serde_json::from_str::<Told>(body).unwrap_or_default().data;
        let task = data.source.as_deref().zip(data.task_id.as_deref());
        let failed = data.error.and_then(|error| error.message.or(error.code));
        Self {
            id: id.to_owned(),
            kind: kind.as_str(),
            at,
            task: task.map(|(source, task_id)| (task_id.to_owned(), task_path(source, task_id))),
            source: data.source,
            destination: data.destination,
            model: data.model,
            outputs: data.outputs.iter().map(|output| Media::of(output, now)).collect(),
            reason: failed.or(data.reason),
            metadata: data.metadata,
        }
    }
}

/// What is looked for in events, beside what the API filters by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    model: Option<String>,
    task_id: Option<String>,
    pair: Option<(String, String)>,
}

impl Search {
    /// What somebody wrote: `key=value` is metadata, anything else a task's id.
    pub(super) fn of(model: Option<String>, text: Option<&str>) -> Self {
        let pair = text.and_then(|text| text.split_once('='));
        let pair = pair.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
        let task_id = text.filter(|_| pair.is_none()).map(str::to_owned);
        Self { model, task_id, pair }
    }

    /// The task that is looked for; an index knows it.
    pub(super) fn task_id(&self) -> Option<&str> {
        self.task_id.as_deref()
    }

    /// Whether it looks for what no index knows.
    pub(super) fn is_deep(&self) -> bool {
        self.model.is_some() || self.pair.is_some()
    }

    /// Whether an event is found by it.
    pub(super) fn finds(&self, line: &Line) -> bool {
        let has = |(key, value): &(String, String)| line.metadata.get(key) == Some(value);
        let is_task = |id: &String| line.task.as_ref().is_some_and(|(task_id, _)| task_id == id);
        self.model.as_ref().is_none_or(|model| line.model.as_ref() == Some(model))
            && self.pair.as_ref().is_none_or(has)
            && self.task_id.as_ref().is_none_or(is_task)
    }
}

/// A line that arrives by itself.
#[derive(Template)]
#[template(path = "event_line.html")]
pub(super) struct Arrived<'a> {
    /// In which it is put.
    pub(super) frame: &'a Frame,
    /// The event.
    pub(super) line: &'a Line,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(body: &str) -> Line {
        Line::of("evt_1", EventType::TaskFailed, Timestamp(1), body, Timestamp(2))
    }

    #[test]
    fn a_line_is_found_by_its_model_its_metadata_and_its_task() {
        let told = line(
            r#"{"data":{"source":"s","task_id":"a=b","model":"m","metadata":{"k":"v=w"},"outputs":[],
            "error":{"code":"c","message":null,"category":"unknown","retryable":null}}}"#,
        );
        assert_eq!(told.reason.as_deref(), Some("c"));
        assert_eq!(told.task, Some(("a=b".to_owned(), "/ui/tasks/s/a%3Db".to_owned())));
        let finds = |model: Option<&str>, text| Search::of(model.map(str::to_owned), text).finds(&told);
        assert!(finds(None, None) && finds(Some("m"), None) && finds(Some("m"), Some("k = v=w")));
        assert!(!finds(Some("n"), None) && !finds(None, Some("k=v")) && !finds(None, Some("other")));
    }

    #[test]
    fn an_event_of_the_service_has_a_reason_and_no_task() {
        let told = line(r#"{"data":{"team":"t","destination":"d","reason":"r","since":"x","count":3}}"#);
        assert_eq!((told.destination.as_deref(), told.reason.as_deref(), told.task), (Some("d"), Some("r"), None));
    }
}
