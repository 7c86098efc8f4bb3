//! All that happened to a task, a line each, as people read it.

use serde_json::Value;

use super::table::{cell, one_line};

/// The timeline of a task, oldest first.
pub(super) fn told(entries: &[Value]) -> String {
    entries.iter().map(|entry| one_line(&line(entry))).collect::<Vec<_>>().join("\n")
}

fn line(entry: &Value) -> String {
    let kind = cell(entry, "/kind");
    let about = &entry[kind.as_str()];
    let id = match kind.as_str() {
        "event" => cell(entry, "/event_id"),
        "attempt" => cell(entry, "/delivery_id"),
        _ => cell(about, "/id"),
    };
    let said = match kind.as_str() {
        "callback" => {
            joined(&[cell(about, "/outcome"), optional(about, "/trust"), repeats(about), optional(about, "/detail")])
        }
        "poll" => joined(&[cell(about, "/outcome"), repeats(about), optional(about, "/detail")]),
        "event" => cell(entry, "/type"),
        "delivery" | "forward" => {
            joined(&[format!("{} → {}", cell(about, "/status"), place(about)), optional(about, "/reason")])
        }
        "attempt" => attempt(about),
        _ => cell(entry, "/detail"),
    };
    format!("{:<24}  {kind:<8}  {said}  ({id})", cell(entry, "/at"))
}

/// Where a delivery goes.
pub(super) fn place(delivery: &Value) -> String {
    let places = ["/destination", "/url", "/listener"];
    let found = places.into_iter().find(|place| delivery.pointer(place).is_some_and(Value::is_string));
    cell(delivery, found.unwrap_or(places[0]))
}

/// One try in words.
pub(super) fn attempt(attempt: &Value) -> String {
    let code = optional(attempt, "/status_code");
    let next = optional(attempt, "/next_at");
    joined(&[
        format!("try {} {}", cell(attempt, "/number"), cell(attempt, "/outcome")),
        if code.is_empty() { code } else { format!("HTTP {code}") },
        format!("in {} ms", cell(attempt, "/duration_ms")),
        optional(attempt, "/reason"),
        if next.is_empty() { next } else { format!("again at {next}") },
    ])
}

fn repeats(about: &Value) -> String {
    match about["repeats"].as_i64() {
        Some(many) if many > 0 => format!("and {many} more like it"),
        _ => String::new(),
    }
}

fn optional(value: &Value, place: &str) -> String {
    if value.pointer(place).is_none_or(Value::is_null) { String::new() } else { cell(value, place) }
}

fn joined(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_timeline_is_a_line_for_each_thing_and_says_why() {
        let at = "2026-11-21T02:00:00.123Z";
        let told = told(&[
            json!({"at": at, "kind": "callback", "callback": {"id": "cb_1", "outcome": "disputed", "trust": "unsigned",
                   "detail": "the provider\u{1b}[2J says\nprocessing", "repeats": 2}}),
            json!({"at": at, "kind": "event", "event_id": "evt_1", "type": "task.completed"}),
            json!({"at": at, "kind": "delivery", "delivery": {"id": "del_1", "status": "dead", "destination": "ads", "reason": "gone"}}),
            json!({"at": at, "kind": "attempt", "delivery_id": "del_1", "attempt": {"number": 2, "outcome": "failed",
                   "status_code": 500, "duration_ms": 12, "reason": "HTTP 500", "next_at": at}}),
        ]);
        let lines: Vec<&str> = told.lines().collect();
        let prefix = format!("{at}  ");
        let rest: Vec<&str> = lines.iter().map(|line| line.strip_prefix(prefix.as_str()).unwrap()).collect();
        assert_eq!(
            rest,
            [
                "callback  disputed, unsigned, and 2 more like it, the provider\u{FFFD}[2J says processing  (cb_1)",
                "event     task.completed  (evt_1)",
                "delivery  dead → ads, gone  (del_1)",
                "attempt   try 2 failed, HTTP 500, in 12 ms, HTTP 500, again at 2026-11-21T02:00:00.123Z  (del_1)",
            ]
        );
    }
}
