//! An event as a subscriber reads it.

use serde_json::Value;

use super::journal::TaskName;
use super::task::FORGED_HOST;
use crate::domain::task::Status;

/// What an event says that matters to the narration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The event's id.
    pub event_id: String,
    /// Its type.
    pub kind: String,
    /// The task it speaks of; `None` for events about the service.
    pub task: Option<TaskName>,
    /// The task's status.
    pub status: Option<Status>,
    /// `callback`, `poll` or `relay`.
    pub observed_via: Option<String>,
    /// Whether the provider stands behind it.
    pub confirmed: bool,
    /// Whether it has a link that a forger made up.
    pub forged: bool,
    /// The error's code.
    pub error: Option<String>,
}

impl Told {
    /// Reads the body of a webhook, or an event of the API. `None` where it is neither.
    pub fn read(event: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let data = &event["data"];
        let task = text(&data["source"]).zip(text(&data["task_id"])).map(|(source, id)| TaskName { source, id });
        let links = data["outputs"].as_array().into_iter().flatten().filter_map(|output| output["url"].as_str());
        Some(Self {
            event_id: text(&event["id"])?,
            kind: text(&event["type"])?,
            task,
            status: data["status"].as_str().and_then(Status::parse),
            observed_via: text(&data["observed_via"]),
            confirmed: data["confirmed"].as_bool().unwrap_or_default(),
            forged: links.into_iter().any(|link| link.contains(FORGED_HOST)),
            error: text(&data["error"]["code"]),
        })
    }

    /// Whether it tells the end of a task, which happens once.
    pub fn is_the_end(&self) -> bool {
        matches!(self.kind.as_str(), "task.completed" | "task.failed" | "task.cancelled")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_read_as_the_contract_shows_it() {
        let event = json!({
            "id": "evt_1",
            "type": "task.completed",
            "timestamp": "2026-11-21T02:00:00.123Z",
            "data": {
                "source": "evolink",
                "provider": "evolink",
                "task_id": "task-1",
                "status": "completed",
                "outputs": [{"url": format!("https://{FORGED_HOST}/task-1.mp4"), "kind": "video"}],
                "error": null,
                "observed_via": "poll",
                "confirmed": true,
            },
        });
        let told = Told::read(&event).unwrap();
        assert_eq!(told.task, Some(TaskName { source: "evolink".into(), id: "task-1".into() }));
        assert_eq!((told.status, told.observed_via.as_deref()), (Some(Status::Completed), Some("poll")));
        assert!(told.confirmed && told.forged && told.is_the_end());
        assert_eq!(told.error, None);
    }

    #[test]
    fn an_event_about_the_service_has_no_task() {
        let event = json!({"id": "evt_2", "type": "source.silent", "data": {"team": "ads", "source": "evolink"}});
        let told = Told::read(&event).unwrap();
        assert_eq!((told.task.as_ref(), told.is_the_end()), (None, false));
        assert_eq!(Told::read(&json!({"type": "task.completed"})), None);
    }
}
