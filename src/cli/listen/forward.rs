//! Posting an event to the developer's handler: through the webhook channel itself, so that it is the same request.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::channels::{House, Message, Sender, channel};
use crate::cli::events::about;
use crate::cli::table::{cell, one_line};
use crate::domain::clock::{Clock, SystemClock, Timestamp};
use crate::domain::delivery::{Outcome, Report};
use crate::domain::destination::Settings;
use crate::domain::secret::Secret;
use crate::egress::Egress;

/// How long the handler may take: as long as a destination may that sets nothing.
const PATIENCE: Duration = Duration::from_secs(15);

/// The developer's handler.
pub(super) struct Handler {
    sender: Arc<dyn Sender>,
}

/// An event that was posted.
pub(super) struct Sent {
    pub(super) is_taken: bool,
    /// What is told of it.
    pub(super) line: String,
}

impl Handler {
    /// The handler at this URL, which may be on this machine. An error says what is wrong with it.
    pub(super) fn at(url: &str, secret: &Secret) -> Result<Self, String> {
        let webhook = channel("webhook").ok_or("this build has no webhooks")?;
        let text = |text: &str| Value::String(text.to_owned());
        let settings: Settings =
            [("url".to_owned(), text(url)), ("secret".to_owned(), text(secret.expose()))].into_iter().collect();
        let house = House { egress: Egress::operators(), mailer: None, public_url: None };
        let sender = webhook.parse(&settings, &house);
        let option = |field: &str| if field == "url" { "--forward-to" } else { "--secret" };
        Ok(Self { sender: sender.map_err(|wrong| format!("{}: {}", option(wrong.field), wrong.problem))? })
    }

    /// Posts one event, once.
    pub(super) async fn post(&self, event: &Value, body: String, replay_id: Option<String>) -> Sent {
        let (now, begun) = (SystemClock.now(), Instant::now());
        let message = Message {
            event_id: cell(event, "/id"),
            kind: cell(event, "/type"),
            at: now,
            body,
            replay_id,
            now,
            timeout: PATIENCE,
            parts_done: Vec::new(),
        };
        let report = self.sender.send(&message).await;
        let is_taken = matches!(report.outcome, Outcome::Delivered);
        let line = line(event, message.replay_id.as_deref(), &report, now, begun.elapsed());
        Sent { is_taken, line }
    }
}

fn line(event: &Value, replay_id: Option<&str>, report: &Report, now: Timestamp, took: Duration) -> String {
    let place = |place: &str| cell(event, place);
    let code = report.status_code.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
    let mut parts = vec![
        now.to_string(),
        format!("{:<15}", place("/type")),
        about(event),
        format!("→ {code}"),
        format!("{} ms", took.as_millis()),
    ];
    parts.extend(replay_id.map(|id| format!("({id})")));
    if !matches!(report.outcome, Outcome::Delivered) {
        parts.extend(report.outcome.reason().map(str::to_owned));
        parts.push(place("/id"));
    }
    one_line(&parts.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_came_of_it() {
        let event = serde_json::json!({"id": "evt_1", "type": "task.completed", "data": {"task_id": "t\u{1b}[2J"}});
        let report = |outcome, code| Report { status_code: code, ..Report::of(outcome) };
        let told = |report: &Report, replay| line(&event, replay, report, Timestamp(0), Duration::from_millis(12));
        assert_eq!(
            told(&report(Outcome::Delivered, Some(204)), Some("rpl_1")),
            "1970-01-01T00:00:00Z  task.completed   t\u{FFFD}[2J  → 204  12 ms  (rpl_1)"
        );
        let refused = report(Outcome::Failed { reason: "HTTP 500".into() }, Some(500));
        assert!(told(&refused, None).ends_with("→ 500  12 ms  HTTP 500  evt_1"));
        let gone = report(Outcome::Failed { reason: "no connection".into() }, None);
        assert!(told(&gone, None).ends_with("→ no answer  12 ms  no connection  evt_1"));
    }

    #[test]
    fn what_cannot_be_forwarded_to_is_named_by_its_option() {
        let secret = crate::domain::signature::new_secret();
        assert!(Handler::at("http://localhost:3000/hook", &secret).is_ok());
        let wrong = |url: &str, secret: &Secret| Handler::at(url, secret).err().unwrap_or_default();
        assert!(wrong("localhost:3000", &secret).starts_with("--forward-to: "));
        assert!(wrong("http://localhost:3000", &Secret::new("whsec_$")).starts_with("--secret: "));
    }
}
