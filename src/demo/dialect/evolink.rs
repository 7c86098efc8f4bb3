//! EvoLink, after <https://docs.evolink.ai/en/api-manual/task-management/get-task-detail>.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};

use super::{Dialect, Moment, Order, Question, Refusal, SimulatedTask, error_object, prompt, segment, text};
use crate::demo::agenda::Retries;
use crate::demo::draw::Habits;
use crate::domain::clock::Timestamp;
use crate::domain::task::Status;

pub(super) struct EvoLink;

/// "3 retries after failure (at 1/2/4 seconds after failure)".
const WAITS: [Duration; 3] = super::seconds([1, 2, 4]);
/// Credits a second of video at 720p without sound.
const BASE_CREDITS: f64 = 5.4;

const HABITS: Habits = Habits {
    calls_back: true,
    cancels: true,
    failures: &[
        ("content_policy_violation", "Content policy violation."),
        ("invalid_parameters", "The parameters are not valid for this model."),
        ("image_processing_error", "The image could not be processed."),
        ("image_dimension_mismatch", "The image does not have the requested dimensions."),
        ("request_cancelled", "The request was cancelled."),
        ("generation_failed_no_content", "The generation gave no content."),
        ("service_error", "The service failed."),
        ("generation_timeout", "The generation took too long."),
        ("resource_exhausted", "There is no capacity at the moment."),
        ("quota_exceeded", "The quota is used up."),
        ("service_unavailable", "The service is not available."),
        ("resource_not_found", "A resource of the request was not found."),
        ("unknown_error", "An unknown error occurred."),
    ],
};

impl Dialect for EvoLink {
    fn name(&self) -> &'static str {
        "evolink"
    }

    fn habits(&self) -> &'static Habits {
        &HABITS
    }

    fn retries(&self) -> Retries {
        Retries::AfterTheFailure(&WAITS)
    }

    fn calls_public_https_only(&self) -> bool {
        true
    }

    fn knows_idempotency_keys(&self) -> bool {
        true
    }

    fn invalid_code(&self) -> &'static str {
        "invalid_parameters"
    }

    fn question(&self, method: &str, path: &str, _: &str) -> Result<Question, Refusal> {
        let (expected, question) = match path {
            "/v1/tasks/batch" => ("POST", Question::Many),
            "/v1/tasks" => ("GET", Question::List),
            _ if kind(path).is_some() => ("POST", Question::Create),
            _ => ("GET", Question::One(segment(path, "/v1/tasks/").ok_or(Refusal::NoRoute)?.to_owned())),
        };
        if method == expected { Ok(question) } else { Err(Refusal::Method) }
    }

    fn order(&self, path: &str, body: &Map<String, Value>) -> Result<Order, Refusal> {
        let invalid = |message: &str| Refusal::Invalid(self.invalid_code(), message.to_owned());
        let model = text(body, "model").ok_or_else(|| invalid("'model' is required."))?;
        let several = body.get("model_params").and_then(|params| params.get("multi_prompt"));
        let prompt = prompt(body, several);
        if model.ends_with("image-to-video") {
            text(body, "image_start").ok_or_else(|| invalid("'image_start' is required."))?;
        } else if prompt.is_empty() {
            return Err(invalid("'prompt' is required."));
        }
        let seconds = super::duration(body).ok_or_else(|| invalid("'duration' must be 3 to 15 seconds."))?;
        Ok(Order {
            model: model.to_owned(),
            kind: kind(path).ok_or(Refusal::NoRoute)?,
            prompt,
            seconds,
            credits: credits(model, body, seconds),
            callback_url: text(body, "callback_url").map(str::to_owned),
            body: Value::Object(body.clone()),
        })
    }

    fn new_id(&self, _: &Order, rng: &mut StdRng, now: Timestamp) -> String {
        const SIGNS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let end: String = (0..8).map(|_| char::from(SIGNS[rng.random_range(0..SIGNS.len())])).collect();
        format!("task-unified-{}-{end}", now.0 / 1000)
    }

    fn created(&self, task: &SimulatedTask, moment: &Moment) -> Value {
        self.shown(task, moment)
    }

    fn shown(&self, task: &SimulatedTask, moment: &Moment) -> Value {
        let (order, status) = (&task.order, moment.status.as_str());
        let object = format!("{}.generation.task", order.kind);
        match moment.status {
            Status::Pending | Status::Processing => json!({
                "created": task.created_at.0 / 1000,
                "id": task.id,
                "model": order.model,
                "object": object,
                "progress": moment.progress,
                "status": status,
                "task_info": {
                    "can_cancel": true,
                    "estimated_time": task.estimate.as_secs().max(1),
                    "video_duration": order.seconds,
                },
                "type": order.kind,
                "usage": {
                    "billing_rule": "per_second",
                    "credits_reserved": order.credits,
                    "user_group": "default",
                },
            }),
            Status::Completed => json!({
                "created": task.created_at.0 / 1000,
                "id": task.id,
                "model": order.model,
                "object": object,
                "progress": moment.progress,
                "results": [moment.link],
                "status": status,
                "task_info": {"can_cancel": false},
                "type": order.kind,
                "usage": {"credits_used": order.credits},
            }),
            Status::Cancelled => json!({
                "created": task.created_at.0 / 1000,
                "id": task.id,
                "model": order.model,
                "object": object,
                "progress": moment.progress,
                "status": status,
                "task_info": {"can_cancel": false},
                "type": order.kind,
            }),
            Status::Failed => json!({
                "id": task.id,
                "object": object,
                "status": status,
                "model": order.model,
                "progress": moment.progress,
                "error": error(moment),
            }),
        }
    }

    /// The answer to a query, or what its own pages show of a callback: id, status, model, results.
    fn callback(&self, task: &SimulatedTask, moment: &Moment, _: Timestamp) -> (Vec<(&'static str, String)>, Value) {
        if !task.plan.short {
            return (Vec::new(), self.shown(task, moment));
        }
        let mut body = json!({"id": task.id, "status": moment.status.as_str(), "model": task.order.model});
        match moment.status {
            Status::Completed => body["results"] = json!([moment.link]),
            Status::Failed => body["error"] = error(moment),
            _ => {}
        }
        (Vec::new(), body)
    }

    fn listed(&self, task: &SimulatedTask, moment: &Moment) -> Value {
        let is_completed = moment.status == Status::Completed;
        json!({
            "id": task.id,
            "model": task.order.model,
            "type": task.order.kind,
            "status": moment.status.as_str(),
            "progress": moment.progress,
            "created_at": task.created_at.0 / 1000,
            "credits_used": if is_completed { task.order.credits } else { 0.0 },
            "has_results": is_completed,
        })
    }

    fn refused(&self, refusal: &Refusal) -> Value {
        let invalid = "invalid_request_error";
        match refusal {
            Refusal::Key => error_object("invalid_api_key", "The API key is not valid.", "authentication_error"),
            Refusal::Address => {
                error_object("ip_not_allowed", "Requests from this IP are not allowed.", "permission_error")
            }
            Refusal::TooMany => {
                error_object("rate_limit_exceeded", "Too many requests, slow down.", "rate_limit_error")
            }
            Refusal::Down => error_object("service_unavailable", "The service is not available.", "api_error"),
            Refusal::NoTask(id) => error_object("task_not_found", &format!("There is no task {id}."), invalid),
            Refusal::NoModel(model) => error_object("model_not_found", &format!("There is no model {model}."), invalid),
            Refusal::NoRoute => error_object("not_found", "There is no such route.", invalid),
            Refusal::Method => error_object("method_not_allowed", "There is no such method here.", invalid),
            Refusal::Conflict => {
                let message = "This Idempotency-Key was used with another request.";
                error_object("idempotency_conflict", message, invalid)
            }
            Refusal::Invalid(code, message) => error_object(code, message, invalid),
        }
    }
}

/// What is made under a path.
fn kind(path: &str) -> Option<&'static str> {
    match path {
        "/v1/videos/generations" => Some("video"),
        "/v1/images/generations" => Some("image"),
        "/v1/audios/generations" => Some("audio"),
        _ => None,
    }
}

fn error(moment: &Moment) -> Value {
    let (code, message) = moment.error.as_ref().map_or(("unknown_error", ""), |(code, message)| (code, message));
    json!({"code": code, "message": message})
}

/// Its price list: so many credits a second, times a factor for quality and sound.
fn credits(model: &str, body: &Map<String, Value>, seconds: u64) -> f64 {
    let is_o3 = model.starts_with("kling-o3");
    let factor = match (text(body, "quality"), text(body, "sound")) {
        (Some("1080p"), Some("on")) => {
            if is_o3 {
                1.667
            } else {
                2.0
            }
        }
        (Some("1080p"), _) => {
            if is_o3 {
                1.334
            } else {
                1.333
            }
        }
        (_, Some("on")) => {
            if is_o3 {
                1.334
            } else {
                1.5
            }
        }
        _ => 1.0,
    };
    // Ten-thousandths of a credit are as fine as its own list is.
    (BASE_CREDITS * factor * seconds as f64 * 10_000.0).round() / 10_000.0
}
