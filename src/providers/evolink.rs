//! EvoLink: video, image, audio and text models behind one task API.
//!
//! Its callback is the answer to a task query, often shortened to id, status, model and results, and
//! comes unsigned after the end of a task. Asked, it answers for fifty tasks at once.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::api::{Api, Ask, Call, CallbackUrl, Listed, Reply, Route, Told};
use super::ask;
use super::links::{Links, dies_at, kind_of_name};
use super::read::{self, Fields, StatusWords};
use super::{About, Inbound, Provider, Unread, Verified};
use crate::domain::clock::Timestamp;
use crate::domain::pace::Rate;
use crate::domain::task::{Category, Observation, OutputKind, Status, Usage};

/// The adapter.
pub(super) struct EvoLink;

/// The words of its documents, and both spellings of the end that they forget.
const WORDS: StatusWords = &[
    ("pending", Status::Pending),
    ("processing", Status::Processing),
    ("completed", Status::Completed),
    ("failed", Status::Failed),
    ("cancelled", Status::Cancelled),
    ("canceled", Status::Cancelled),
];

/// "Generated video links are valid for 24 hours"; so are those of images and sound.
const LINKS_LIVE: Duration = Duration::from_secs(24 * 60 * 60);

/// The code by which a cancellation comes as a failure.
const CANCELLED_CODE: &str = "request_cancelled";

/// The links of one item of `result_data`, the result before what goes along with it.
const RESULT_LINKS: [(&str, Option<OutputKind>); 5] = [
    ("video_url", Some(OutputKind::Video)),
    ("audio_url", Some(OutputKind::Audio)),
    ("stream_audio_url", Some(OutputKind::Audio)),
    ("image_url", Some(OutputKind::Image)),
    ("url", None),
];

/// How many tasks `POST /v1/tasks/batch` takes; a page of the list is as long in EvoLink's own client.
const BATCH: usize = 50;

static API: Api = Api {
    base_url: Some("https://api.evolink.ai"),
    callback_url: CallbackUrl::Body(&["callback_url"]),
    creates: &[
        Route { method: "POST", path: "/v1/videos/generations" },
        Route { method: "POST", path: "/v1/images/generations" },
        Route { method: "POST", path: "/v1/audios/generations" },
    ],
    queries: &[
        Route { method: "GET", path: "/v1/tasks/*" },
        Route { method: "POST", path: "/v1/tasks/batch" },
        Route { method: "GET", path: "/v1/tasks" },
    ],
    // `task_info.can_cancel` says that it can be done, and no document how.
    cancels: &[],
    batch: BATCH,
    lists: true,
    // No number is documented. Each question about an unfinished task has EvoLink ask further up; its own
    // client therefore asks for a video every 8 s at most. Asking each task once a minute, this is enough
    // for 15,000 of them.
    pace: Rate { count: 5, per: Duration::from_secs(1) },
};

impl Provider for EvoLink {
    fn name(&self) -> &'static str {
        "evolink"
    }

    fn about(&self) -> About {
        About {
            title: "EvoLink",
            docs: Some("https://docs.evolink.ai/en/api-manual/task-management/get-task-detail"),
            callback_url_goes: "`callback_url` in the body",
            signs: false,
            retries: "3 times, 1, 2 and 4 seconds after a failure",
            links_live: "24 hours",
        }
    }

    fn interpret(&self, inbound: &Inbound<Verified>) -> Result<Vec<Observation>, Unread> {
        observation(inbound.body(), inbound.received_at()).map(|seen| vec![seen])
    }

    fn ask(&self) -> Option<&'static dyn Ask> {
        Some(&EvoLink)
    }

    fn example(&self, task_id: &str, created: Timestamp) -> String {
        json!({
            "created": created.0 / 1000,
            "id": task_id,
            "model": "kling-o3-text-to-video",
            "object": "video.generation.task",
            "progress": 100,
            "results": ["https://example.com/video.mp4"],
            "status": "completed",
            "task_info": {"can_cancel": false},
            "type": "video",
            "usage": {"credits_used": 27.0},
        })
        .to_string()
    }
}

impl Ask for EvoLink {
    fn api(&self) -> &'static Api {
        &API
    }

    fn created(&self, reply: &Reply<'_>) -> Result<Observation, Unread> {
        let mut seen = ask::created(reply, observation)?;
        // Only here it counts from the beginning: later answers may mean the time that is left.
        let body = read::object(reply.body)?;
        seen.expected = Fields(&body).object("task_info").and_then(|info| info.seconds("estimated_time"));
        Ok(seen)
    }

    fn one(&self, task_id: &str) -> Call {
        Call::get(format!("/v1/tasks/{}", ask::encoded(task_id)))
    }

    fn read_one(&self, task_id: &str, reply: &Reply<'_>) -> Told {
        ask::told(task_id, reply, observation)
    }

    fn many(&self, task_ids: &[&str]) -> Option<Call> {
        let body = Bytes::from(json!({ "task_ids": task_ids }).to_string());
        let call = Call { method: "POST", path: "/v1/tasks/batch".to_owned(), body: Some(body) };
        (1..=BATCH).contains(&task_ids.len()).then_some(call)
    }

    /// A task that is there but cannot be read must not look like one that is missing, so one such row
    /// makes the whole answer say nothing.
    fn read_many(&self, reply: &Reply<'_>) -> Result<Vec<Observation>, Told> {
        if let Some(told) = ask::by_status(reply) {
            return Err(told);
        }
        let rows = read::rows(reply.body).map_err(|unread| ask::nothing(&unread))?;
        let seen = rows.iter().map(|row| task(Fields(row), reply.received_at));
        seen.collect::<Result<_, _>>().map_err(|unread| ask::nothing(&unread))
    }

    fn list(&self, page: u32) -> Option<Call> {
        Some(Call::get(format!("/v1/tasks?page={page}&page_size={BATCH}")))
    }

    fn read_list(&self, reply: &Reply<'_>) -> Result<Vec<Listed>, Told> {
        if let Some(told) = ask::by_status(reply) {
            return Err(told);
        }
        let rows = read::rows(reply.body).map_err(|unread| ask::nothing(&unread))?;
        let listed = rows.iter().map(|row| listed(Fields(row)));
        listed.collect::<Result<_, _>>().map_err(|unread| ask::nothing(&unread))
    }
}

/// A task as a callback and the answer to a query show it.
fn observation(body: &[u8], received_at: Timestamp) -> Result<Observation, Unread> {
    task(Fields(&read::object(body)?), received_at)
}

fn task(fields: Fields<'_>, received_at: Timestamp) -> Result<Observation, Unread> {
    let mut seen = fields.task("id", "status", WORDS)?;
    seen.model = fields.text("model");
    seen.progress = fields.percent("progress");
    seen.created_at = fields.time("created").or_else(|| fields.time("created_at"));
    seen.completed_at = fields.time("completed_at");
    if seen.status == Status::Failed || seen.status == Status::Cancelled {
        seen.error = fields.error(meaning);
    }
    if seen.error.as_ref().is_some_and(|error| error.code.as_deref() == Some(CANCELLED_CODE)) {
        seen.status = Status::Cancelled;
    }
    if seen.status.is_terminal() {
        seen.usage = usage(fields);
    }
    let dies_at = dies_at(&seen, received_at, LINKS_LIVE);
    seen.outputs = links(fields).outputs(hint(fields), |_| Some(dies_at));
    Ok(seen)
}

/// A row of the list has neither links nor the reason of a failure.
fn listed(fields: Fields<'_>) -> Result<Listed, Unread> {
    let task_id = fields.task_id("id")?;
    let word = fields.text("status");
    let status = WORDS.iter().find(|(known, _)| Some(*known) == word.as_deref()).map(|(_, status)| *status);
    Ok(Listed { task_id, created_at: fields.time("created_at").or_else(|| fields.time("created")), status })
}

/// `results` holds links; `result_data` holds one item or several with the links under their kinds.
fn links(fields: Fields<'_>) -> Links {
    let mut links = Links::default();
    if let Some(results) = fields.value("results") {
        links.add_all(results);
    }
    let items = match fields.value("result_data") {
        Some(Value::Array(items)) => items.as_slice(),
        Some(item) => std::slice::from_ref(item),
        None => &[],
    };
    for item in items {
        links.add(item, None);
        let Some(item) = item.as_object() else { continue };
        for (name, kind) in RESULT_LINKS {
            if let Some(link) = item.get(name) {
                links.add(link, kind);
            }
        }
    }
    links
}

/// `type` is `video`, `object` is `video.generation.task`; short callbacks have the model's name only.
fn hint(fields: Fields<'_>) -> Option<OutputKind> {
    ["type", "object", "model"].into_iter().find_map(|name| kind_of_name(&fields.text(name)?))
}

/// What it cost in the end. `credits_reserved` is a deposit and no price.
fn usage(fields: Fields<'_>) -> Option<Usage> {
    let usage = fields.object("usage")?;
    let credits = usage.number("credits_used").or_else(|| usage.object("cost")?.number("credits"))?;
    Some(Usage { credits: Some(credits) })
}

/// What its codes mean, after <https://docs.evolink.ai/en/api-manual/task-management/error-codes>:
/// whether the same request, unchanged, may succeed later.
fn meaning(code: &str) -> (Category, Option<bool>) {
    match code {
        "content_policy_violation" => (Category::ContentPolicy, Some(false)),
        "invalid_parameters" | "image_processing_error" | "image_dimension_mismatch" => {
            (Category::InvalidRequest, Some(false))
        }
        CANCELLED_CODE => (Category::Unknown, Some(true)),
        // A server's fault after its documents, which advise another prompt all the same.
        "generation_failed_no_content" => (Category::Upstream, None),
        "service_error" => (Category::Internal, Some(true)),
        "generation_timeout" => (Category::Timeout, Some(true)),
        "resource_exhausted" | "service_unavailable" => (Category::Upstream, Some(true)),
        "quota_exceeded" => (Category::RateLimited, Some(true)),
        "resource_not_found" => (Category::NotFound, Some(false)),
        "model_unavailable" | "upstream_error" => (Category::Upstream, None),
        // Rules of single models (`invalid_audio`), and EvoLink's own accounts upstream.
        _ if code.starts_with("invalid_") => (Category::InvalidRequest, Some(false)),
        _ if code.starts_with("channel_") => (Category::Upstream, Some(true)),
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
            ("content_policy_violation", ContentPolicy, Some(false)),
            ("invalid_parameters", InvalidRequest, Some(false)),
            ("image_processing_error", InvalidRequest, Some(false)),
            ("image_dimension_mismatch", InvalidRequest, Some(false)),
            ("invalid_audio", InvalidRequest, Some(false)),
            ("generation_failed_no_content", Upstream, None),
            ("service_error", Internal, Some(true)),
            ("generation_timeout", Timeout, Some(true)),
            ("resource_exhausted", Upstream, Some(true)),
            ("service_unavailable", Upstream, Some(true)),
            ("channel_balance", Upstream, Some(true)),
            ("quota_exceeded", RateLimited, Some(true)),
            ("resource_not_found", NotFound, Some(false)),
            ("unknown_error", Unknown, None),
            ("moon_phase", Unknown, None),
        ] {
            assert_eq!(meaning(code), (category, retryable), "{code}");
        }
    }
}
