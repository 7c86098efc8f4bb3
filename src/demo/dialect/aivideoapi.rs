//! aivideoapi.ai, after <https://aivideoapi.ai/docs/getting-started/callback>.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};

use super::{Dialect, Moment, Order, Question, Refusal, SimulatedTask, error_object, prompt, segment, text};
use crate::demo::agenda::Retries;
use crate::demo::draw::Habits;
use crate::domain::clock::Timestamp;
use crate::domain::task::Status;

pub(super) struct AiVideoApi;

/// "Up to 3 attempts": at once, 3 and 10 minutes later.
const WAITS: [Duration; 2] = super::seconds([3 * 60, 10 * 60]);
/// The model of its documents.
const MODEL: &str = "kling-3.0";

const HABITS: Habits = Habits {
    calls_back: true,
    cancels: false,
    failures: &[
        ("upstream_error", "Video generation failed"),
        ("invalid_request", "A parameter is not supported by this model."),
        ("insufficient_credits", "Your credit balance is too low. Please top up."),
        ("rate_limit_exceeded", "The upstream service refused more requests."),
        ("internal_error", "An internal error occurred."),
    ],
};

impl Dialect for AiVideoApi {
    fn name(&self) -> &'static str {
        "aivideoapi"
    }

    fn habits(&self) -> &'static Habits {
        &HABITS
    }

    fn retries(&self) -> Retries {
        Retries::AfterTheFirst(&WAITS)
    }

    fn invalid_code(&self) -> &'static str {
        "invalid_request"
    }

    fn question(&self, method: &str, path: &str, _: &str) -> Result<Question, Refusal> {
        let (expected, question) = match path {
            "/v1/videos/generations" => ("POST", Question::Create),
            _ => ("GET", Question::One(segment(path, "/v1/tasks/").ok_or(Refusal::NoRoute)?.to_owned())),
        };
        if method == expected { Ok(question) } else { Err(Refusal::Method) }
    }

    fn order(&self, _: &str, body: &Map<String, Value>) -> Result<Order, Refusal> {
        let invalid = |message: &str| Refusal::Invalid(self.invalid_code(), message.to_owned());
        let model = text(body, "model").ok_or_else(|| invalid("'model' is required."))?;
        if model != MODEL {
            return Err(Refusal::NoModel(model.to_owned()));
        }
        let input = body.get("input").and_then(Value::as_object).ok_or_else(|| invalid("'input' is required."))?;
        if !["prompt", "image_urls", "multi_prompt"].iter().any(|name| input.contains_key(*name)) {
            return Err(invalid("One of 'prompt', 'image_urls' and 'multi_prompt' is required."));
        }
        let seconds = super::duration(input).ok_or_else(|| invalid("'duration' must be 3 to 15 seconds."))?;
        let is_multi = input.get("multi_shots").and_then(Value::as_bool).unwrap_or_default();
        let sound = input.get("sound").and_then(Value::as_bool).unwrap_or(is_multi);
        let a_second = match (text(input, "mode"), sound) {
            (Some("pro"), true) => 54,
            (Some("pro"), false) => 36,
            (_, true) => 40,
            (_, false) => 28,
        };
        Ok(Order {
            model: model.to_owned(),
            kind: "video",
            prompt: prompt(input, input.get("multi_prompt")),
            seconds,
            credits: (a_second * seconds) as f64,
            callback_url: text(body, "callback_url").map(str::to_owned),
            body: Value::Object(body.clone()),
        })
    }

    fn new_id(&self, _: &Order, rng: &mut StdRng, _: Timestamp) -> String {
        uuid::Builder::from_random_bytes(rng.random()).into_uuid().to_string()
    }

    fn created(&self, task: &SimulatedTask, _: &Moment) -> Value {
        json!({"code": 200, "msg": "success", "data": {"taskId": task.id}})
    }

    fn shown(&self, task: &SimulatedTask, moment: &Moment) -> Value {
        let mut body = json!({
            "id": task.id,
            "status": moment.status.as_str(),
            "model": task.order.model,
            "created_at": task.created_at.0 / 1000,
        });
        match moment.status {
            Status::Completed => {
                body["completed_at"] = json!(task.ends_at.0 / 1000);
                body["output"] = json!({
                    "urls": [moment.link],
                    "metadata": {"model": format!("{}/video", task.order.model)},
                });
            }
            Status::Failed => {
                let (code, message) = moment.error.clone().unwrap_or_default();
                body["error"] = json!({"code": code, "message": message});
            }
            _ => body["progress"] = Value::Null,
        }
        body
    }

    fn callback(&self, task: &SimulatedTask, moment: &Moment, now: Timestamp) -> (Vec<(&'static str, String)>, Value) {
        let headers = vec![
            ("x-event", format!("task.{}", moment.status.as_str())),
            ("x-task-id", task.id.clone()),
            ("x-timestamp", (now.0 / 1000).to_string()),
        ];
        (headers, self.shown(task, moment))
    }

    fn refused(&self, refusal: &Refusal) -> Value {
        let invalid = "invalid_request_error";
        match refusal {
            Refusal::Key => {
                error_object("invalid_api_key", "The API key is invalid or disabled.", "authentication_error")
            }
            Refusal::Address => {
                error_object("ip_not_allowed", "This IP is not in the key's allow-list.", "permission_error")
            }
            Refusal::TooMany => {
                error_object("rate_limit_exceeded", "Too many requests, slow down.", "rate_limit_error")
            }
            Refusal::Down => error_object("upstream_error", "The AI service is not available.", "upstream_error"),
            Refusal::NoTask(_) => error_object("task_not_found", "The task does not exist.", invalid),
            Refusal::NoModel(model) => {
                error_object("model_not_found", &format!("The model '{model}' does not exist."), invalid)
            }
            Refusal::NoRoute => error_object("invalid_request", "There is no such route.", invalid),
            Refusal::Method => error_object("invalid_request", "There is no such method here.", invalid),
            Refusal::Conflict => error_object("invalid_request", "This request was made before.", invalid),
            Refusal::Invalid(code, message) => error_object(code, message, invalid),
        }
    }
}
