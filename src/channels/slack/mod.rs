//! Slack, by incoming webhooks; and whatever else takes their JSON.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;
use url::Url;

use super::summary::Summary;
use super::{Channel, Field, FieldKind, House, Invalid, Limits, Message, Sender, answer, settings};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::{Outcome, Report};
use crate::domain::destination::Settings;
use crate::domain::pace::Rate;
use crate::egress::{Answer, Egress, Post, host_of};

mod blocks;

/// A Slack channel.
pub(super) struct Slack;

/// The URL is all that is needed to post, and so is a secret.
const FIELDS: &[Field] = &[Field { name: "url", kind: FieldKind::Text, required: true, secret: true }];

impl Channel for Slack {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn about(&self) -> &'static str {
        "a message in a Slack channel, by an incoming-webhook URL"
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    /// Slack takes one message a second and channel (docs.slack.dev, "Rate limits").
    fn limits(&self) -> Limits {
        Limits { rate: Some(Rate { count: 1, per: Duration::from_secs(1) }), concurrency: 1 }
    }

    fn parse(&self, settings: &Settings, house: &House) -> Result<Arc<dyn Sender>, Invalid> {
        let url = house.egress.check_url(settings::text(settings, "url")?);
        let url = url.map_err(|refused| settings::invalid("url", refused.to_string()))?;
        Ok(Arc::new(IncomingWebhook { url, egress: house.egress.clone() }))
    }
}

struct IncomingWebhook {
    url: Url,
    egress: Egress,
}

impl Sender for IncomingWebhook {
    fn target(&self) -> String {
        host_of(&self.url)
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Report> {
        Box::pin(async move {
            let body = blocks::payload(&Summary::of(message)).to_string();
            let headers = vec![("content-type", "application/json".to_owned())];
            let request = Post { url: &self.url, headers, body: Bytes::from(body) };
            match self.egress.post(request, message.timeout).await {
                Ok(answer) => {
                    let outcome = outcome(&answer, message.now);
                    answer::answered(answer, outcome)
                }
                Err(error) => answer::unanswered(&error),
            }
        })
    }
}

/// The URL is dead or its app may not post there: nothing works until somebody mends it.
const GONE: &[&str] = &[
    "account_inactive",
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "invalid_auth",
    "invalid_token",
    "is_archived",
    "missing_scope",
    "no_active_hooks",
    "no_permission",
    "no_service",
    "no_service_id",
    "no_team",
    "not_authed",
    "not_in_channel",
    "org_login_required",
    "posting_to_general_channel_denied",
    "team_access_not_granted",
    "team_disabled",
    "token_expired",
    "token_revoked",
    "user_not_found",
];

/// This one message is at fault.
const REJECTED: &[&str] = &[
    "invalid_arguments",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_payload",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_text",
    "too_many_attachments",
];

/// Slack says what is wrong in the body, as a word or as JSON with `ok` and `error`, and sometimes
/// with status 200. Server errors and 429 speak for themselves.
fn outcome(answer: &Answer, now: Timestamp) -> Outcome {
    let by_status = answer::outcome(answer, now);
    if answer.status == 429 || answer.status >= 500 {
        return by_status;
    }
    let Some(word) = error_word(&answer.body) else { return by_status };
    let reason = format!("answered {}: {word}", answer.status);
    if GONE.contains(&word.as_str()) {
        Outcome::Gone { reason }
    } else if REJECTED.contains(&word.as_str()) {
        Outcome::Rejected { reason }
    } else if matches!(word.as_str(), "ratelimited" | "rate_limited") {
        Outcome::Throttled { reason, after: None }
    } else if by_status == Outcome::Delivered {
        Outcome::Failed { reason }
    } else {
        by_status
    }
}

/// The error that the body names: of JSON what stands beside `"ok": false`, else the whole body where
/// it is one of the words we know.
fn error_word(body: &[u8]) -> Option<String> {
    if let Ok(Value::Object(said)) = serde_json::from_slice(body) {
        let ok = said.get("ok").and_then(Value::as_bool);
        let word = said.get("error").and_then(Value::as_str).unwrap_or("not ok");
        // Only a word like Slack's own: it is shown, and a stranger may have written it.
        let word =
            if word.len() <= 64 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') { word } else { "not ok" };
        return (ok == Some(false)).then(|| word.to_owned());
    }
    let word = std::str::from_utf8(body).ok()?.trim();
    (GONE.contains(&word) || REJECTED.contains(&word)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slacks_words_decide() {
        for (status, body, expected) in [
            (200, "ok", "delivered"),
            (204, "", "delivered"),
            (200, r#"{"ok":true}"#, "delivered"),
            (200, r#"{"ok":false,"error":"channel_not_found"}"#, "gone"),
            (200, r#"{"ok":false,"error":"ratelimited"}"#, "throttled"),
            (200, r#"{"ok":false,"error":"something_new"}"#, "failed"),
            (200, r#"{"ok":false}"#, "failed"),
            (404, "no_service", "gone"),
            (404, "channel_not_found\n", "gone"),
            (410, "channel_is_archived", "gone"),
            (410, "", "gone"),
            (403, "invalid_token", "gone"),
            (403, "action_prohibited", "gone"),
            (403, r#"{"ok":false,"error":"invalid_auth"}"#, "gone"),
            (400, "user_not_found", "gone"),
            (400, "invalid_payload", "rejected"),
            (400, "invalid_blocks", "rejected"),
            (400, "no_text", "rejected"),
            (400, "what?", "failed"),
            (404, "<html>not here</html>", "failed"),
            (302, "", "failed"),
            (500, "rollup_error", "failed"),
            (503, "no_service", "failed"),
            (429, "no_service", "throttled"),
        ] {
            let answer = Answer { status, retry_after: None, body: body.as_bytes().to_vec() };
            assert_eq!(outcome(&answer, Timestamp::default()).as_str(), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_strangers_words_are_not_repeated() {
        let body = br#"{"ok":false,"error":"<!channel> Click here"}"#.to_vec();
        let answer = Answer { status: 200, retry_after: None, body };
        assert_eq!(outcome(&answer, Timestamp::default()).reason(), Some("answered 200: not ok"));
    }
}
