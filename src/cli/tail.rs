//! Events as they happen, a line each.

use serde_json::Value;

use super::client::{Client, Query};
use super::stream::{Heard, Stream};
use super::table::{cell, one_line};
use super::{Done, console, events, json};

/// Tells events behind `last`, or behind the newest, until Ctrl-C.
pub(super) async fn follow(client: &Client, query: Query, last: Option<String>, tell: impl Fn(&str)) -> Done {
    let mut stream = Stream::behind(client, query, last).await?;
    loop {
        let heard = tokio::select! {
            heard = stream.next() => heard?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match heard {
            Heard::Event { body, .. } => tell(&body),
            Heard::Lost(why, wait) => console::complain(&format!("{why}; again in {} s", wait.as_secs_f64())),
            Heard::Opened | Heard::At(_) | Heard::Replay { .. } => {}
        }
    }
}

/// Prints one event on one line.
pub(super) fn say_event(event: &str, as_json: bool) {
    if as_json {
        return console::say_line(&json::line(event));
    }
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    console::say_line(&line(&event));
}

/// An event on one line.
fn line(event: &Value) -> String {
    let place = |place: &str| cell(event, place);
    let (at, kind, source) = (place("/timestamp"), place("/type"), place("/data/source"));
    let said = ["/data/error/message", "/data/reason", "/data/model"];
    let said = said.into_iter().find(|place| event.pointer(place).is_some_and(Value::is_string));
    let said = said.map(place).unwrap_or_default();
    one_line(
        format!("{at:<24}  {kind:<20}  {source:<12}  {}  {}  {said}", events::about(event), place("/id")).trim_end(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_the_provider_wrote() {
        let event = serde_json::json!({
            "id": "evt_1", "type": "task.failed", "timestamp": "2026-11-21T02:00:00.123Z",
            "data": {"source": "evolink", "task_id": "t-1", "model": "m", "error": {"message": "no\n\u{1b}]0;x\u{7}"}},
        });
        let expected =
            "2026-11-21T02:00:00.123Z  task.failed           evolink       t-1  evt_1  no \u{FFFD}]0;x\u{FFFD}";
        assert_eq!(line(&event), expected);
    }
}
