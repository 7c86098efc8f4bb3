//! aivideoapi.ai: video models behind one task API.
//!
//! Its callback is the answer to a task query, sent when a task completed or failed, unsigned, with the
//! event and the task id repeated in headers.

use std::time::Duration;

use serde_json::json;
use url::Url;

use super::api::{Api, Ask, Call, CallbackUrl, Reply, Route, Told};
use super::ask;
use super::links::{Links, kind_of_name};
use super::read::{self, Fields, StatusWords, shown};
use super::{About, Inbound, Provider, Unread, Verified};
use crate::domain::clock::Timestamp;
use crate::domain::pace::Rate;
use crate::domain::task::{Category, Observation, OutputKind, Status};

/// The adapter.
pub(super) struct AiVideoApi;

const WORDS: StatusWords = &[
    ("pending", Status::Pending),
    ("processing", Status::Processing),
    ("completed", Status::Completed),
    ("failed", Status::Failed),
];

/// `task.completed` or `task.failed`.
const EVENT_HEADER: &str = "x-event";
const TASK_ID_HEADER: &str = "x-task-id";

static API: Api = Api {
    base_url: Some("https://api.aivideoapi.ai"),
    callback_url: CallbackUrl::Body(&["callback_url"]),
    creates: &[Route { method: "POST", path: "/v1/videos/generations" }],
    queries: &[Route { method: "GET", path: "/v1/tasks/*" }],
    cancels: &[],
    batch: 1,
    lists: false,
    // It answers 429 and says no number. Asking each task once a minute, this is enough for 120 of them.
    pace: Rate { count: 2, per: Duration::from_secs(1) },
};

impl Provider for AiVideoApi {
    fn name(&self) -> &'static str {
        "aivideoapi"
    }

    fn about(&self) -> About {
        About {
            title: "aivideoapi.ai",
            docs: Some("https://aivideoapi.ai/docs/getting-started/callback"),
            callback_url_goes: "`callback_url` in the body",
            signs: false,
            retries: "2 times, 3 and 10 minutes after the first",
            links_live: "for good, but where a link is signed, as long as it says itself",
        }
    }

    fn read_headers(&self) -> &'static [&'static str] {
        &[EVENT_HEADER, TASK_ID_HEADER]
    }

    fn interpret(&self, inbound: &Inbound<Verified>) -> Result<Vec<Observation>, Unread> {
        let seen = observation(inbound.body())?;
        compare_headers(inbound, &seen)?;
        Ok(vec![seen])
    }

    fn ask(&self) -> Option<&'static dyn Ask> {
        Some(&AiVideoApi)
    }

    fn example(&self, task_id: &str, created: Timestamp) -> String {
        json!({
            "id": task_id,
            "status": "completed",
            "model": "kling-3.0",
            "created_at": created.0 / 1000,
            "completed_at": created.0 / 1000 + 180,
            "output": {
                "urls": ["https://file.aivideoapi.ai/videos/2026/04/04/abc123.mp4"],
                "metadata": {"model": "kling-3.0/video"},
            },
        })
        .to_string()
    }
}

impl Ask for AiVideoApi {
    fn api(&self) -> &'static Api {
        &API
    }

    /// This answer alone is wrapped, and calls the id `taskId`.
    fn created(&self, reply: &Reply<'_>) -> Result<Observation, Unread> {
        ask::created(reply, |body, _| {
            let body = read::object(body)?;
            let fields = Fields(&body);
            fields.object("data").unwrap_or(fields).task("taskId", "status", WORDS)
        })
    }

    fn one(&self, task_id: &str) -> Call {
        Call::get(format!("/v1/tasks/{}", ask::encoded(task_id)))
    }

    fn read_one(&self, task_id: &str, reply: &Reply<'_>) -> Told {
        ask::told(task_id, reply, |body, _| observation(body))
    }
}

/// A task as a callback and the answer to a query show it.
fn observation(body: &[u8]) -> Result<Observation, Unread> {
    let body = read::object(body)?;
    let fields = Fields(&body);
    let mut seen = fields.task("id", "status", WORDS)?;
    seen.model = fields.text("model");
    seen.progress = fields.percent("progress");
    seen.created_at = fields.time("created_at");
    seen.completed_at = fields.time("completed_at");
    if seen.status == Status::Failed {
        seen.error = fields.error(meaning);
    }
    if let Some(output) = fields.object("output") {
        // `metadata.model` is the name with the kind, such as `kling-3.0/video`.
        let name = output.object("metadata").and_then(|metadata| metadata.text("model")).or(seen.model.clone());
        seen.outputs = links(output).outputs(name.as_deref().and_then(kind_of_name), presigned_until);
    }
    Ok(seen)
}

/// The headers say the same as the body, or something between it and us mixed two callbacks up.
fn compare_headers(inbound: &Inbound<Verified>, seen: &Observation) -> Result<(), Unread> {
    let pairs = [
        (TASK_ID_HEADER, "id", seen.task_id.clone()),
        (EVENT_HEADER, "status", format!("task.{}", seen.status.as_str())),
    ];
    for (header, field, expected) in pairs {
        let Some(value) = inbound.header(header).filter(|value| *value != expected) else { continue };
        let detail = format!(
            "the header `{header}` is `{}`, and after `{field}` in the body it should be `{}`",
            shown(value),
            shown(&expected)
        );
        return Err(Unread::Unknown { task_id: seen.task_id.clone(), detail });
    }
    Ok(())
}

fn links(output: Fields<'_>) -> Links {
    let mut links = Links::default();
    if let Some(urls) = output.value("urls") {
        links.add_all(urls);
    }
    // Seedance gives the last picture of a video along, to go on from.
    if let Some(frame) = output.value("last_frame_url") {
        links.add(frame, Some(OutputKind::Image));
    }
    links
}

/// When a link that Volcengine or Amazon signed in its query dies: the moment of signing and the
/// seconds of life. The provider's own links are permanent.
fn presigned_until(url: &Url) -> Option<Timestamp> {
    let read = |family: &str, part: &str| {
        let name = format!("{family}-{part}");
        url.query_pairs().find(|(key, _)| key.eq_ignore_ascii_case(&name)).map(|(_, value)| value)
    };
    ["X-Tos", "X-Amz"].into_iter().find_map(|family| {
        let signed_at = Timestamp::parse(&read(family, "Date")?)?;
        let seconds = read(family, "Expires")?.parse().ok()?;
        Some(signed_at.after(Duration::from_secs(seconds)))
    })
}

/// What its codes mean, after the table in its documents.
fn meaning(code: &str) -> (Category, Option<bool>) {
    match code {
        "invalid_request" => (Category::InvalidRequest, Some(false)),
        "invalid_api_key" => (Category::Authentication, Some(false)),
        "insufficient_credits" => (Category::InsufficientCredits, Some(false)),
        // A limit of an hour or a day passes, one of the key's lifetime does not.
        "spend_limit_exceeded" => (Category::InsufficientCredits, None),
        "ip_not_allowed" => (Category::Permission, Some(false)),
        "model_not_found" | "task_not_found" => (Category::NotFound, Some(false)),
        "rate_limit_exceeded" => (Category::RateLimited, Some(true)),
        "internal_error" => (Category::Internal, Some(true)),
        // Refused content, an outage upstream or a wrong parameter: its documents do not tell them apart.
        "upstream_error" => (Category::Upstream, None),
        _ => (Category::Unknown, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_its_codes_mean() {
        use Category::*;
        for (code, category, retryable) in [
            ("invalid_request", InvalidRequest, Some(false)),
            ("invalid_api_key", Authentication, Some(false)),
            ("insufficient_credits", InsufficientCredits, Some(false)),
            ("spend_limit_exceeded", InsufficientCredits, None),
            ("ip_not_allowed", Permission, Some(false)),
            ("model_not_found", NotFound, Some(false)),
            ("task_not_found", NotFound, Some(false)),
            ("rate_limit_exceeded", RateLimited, Some(true)),
            ("internal_error", Internal, Some(true)),
            ("upstream_error", Upstream, None),
            ("moon_phase", Unknown, None),
        ] {
            assert_eq!(meaning(code), (category, retryable), "{code}");
        }
    }

    #[test]
    fn a_signed_link_says_itself_when_it_dies() {
        let until = |query: &str| presigned_until(&Url::parse(&format!("https://x.example/a.mp4{query}")).unwrap());
        let expected = Timestamp::parse("2026-04-05T10:11:12Z");
        assert!(expected.is_some());
        for family in ["X-Tos", "X-Amz", "x-amz"] {
            let query = format!("?{family}-Date=20260404T101112Z&{family}-Expires=86400&{family}-Signature=ab");
            assert_eq!(until(&query), expected, "{query}");
        }
        for query in [
            "",
            "?X-Tos-Date=20260404T101112Z",
            "?X-Tos-Expires=86400",
            "?X-Tos-Date=20260404T101112Z&X-Amz-Expires=86400",
            "?X-Tos-Date=soon&X-Tos-Expires=86400",
            "?X-Tos-Date=20260404T101112Z&X-Tos-Expires=-1",
        ] {
            assert_eq!(until(query), None, "{query}");
        }
    }
}
