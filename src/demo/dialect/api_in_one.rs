//! API in One: it never calls back. Its documents show the requests and no answers.

use rand::rngs::StdRng;
use serde_json::{Map, Value};

use super::{Dialect, Moment, Order, Question, Refusal, SimulatedTask, prompt, segment, text, wrapped};
use crate::demo::draw::Habits;
use crate::domain::clock::Timestamp;

pub(super) struct ApiInOne;

/// The model of its documents.
const MODEL: &str = "kling-3";

impl Dialect for ApiInOne {
    fn name(&self) -> &'static str {
        "api-in-one"
    }

    fn habits(&self) -> &'static Habits {
        &wrapped::HABITS
    }

    fn invalid_code(&self) -> &'static str {
        "INVALID_PROMPT"
    }

    fn question(&self, method: &str, path: &str, _: &str) -> Result<Question, Refusal> {
        let (expected, question) = match path {
            "/api/v1/videos/generations" => ("POST", Question::Create),
            _ => ("GET", Question::One(segment(path, "/api/v1/tasks/").ok_or(Refusal::NoRoute)?.to_owned())),
        };
        if method == expected { Ok(question) } else { Err(Refusal::Method) }
    }

    fn order(&self, _: &str, body: &Map<String, Value>) -> Result<Order, Refusal> {
        let invalid = |code: &'static str| Refusal::Invalid(code, String::new());
        let model = text(body, "model").unwrap_or_default();
        if model != MODEL {
            return Err(Refusal::NoModel(model.to_owned()));
        }
        let prompt = prompt(body, body.get("multi_prompt"));
        if prompt.is_empty() || prompt.chars().count() > 2500 {
            return Err(invalid("INVALID_PROMPT"));
        }
        let seconds = super::duration(body).ok_or_else(|| invalid("INVALID_DURATION"))?;
        let a_second = match (text(body, "mode"), wrapped::has_sound(body)) {
            (Some("pro"), true) => 80,
            (Some("pro"), false) => 54,
            (_, true) => 60,
            (_, false) => 40,
        };
        Ok(Order {
            model: model.to_owned(),
            kind: "video",
            prompt,
            seconds,
            credits: (a_second * seconds) as f64,
            callback_url: None,
            body: Value::Object(body.clone()),
        })
    }

    fn new_id(&self, _: &Order, rng: &mut StdRng, _: Timestamp) -> String {
        wrapped::new_id("n75", rng)
    }

    fn created(&self, task: &SimulatedTask, moment: &Moment) -> Value {
        wrapped::created(task, moment)
    }

    fn shown(&self, task: &SimulatedTask, moment: &Moment) -> Value {
        wrapped::shown(task, moment, &task.order.model)
    }

    fn refused(&self, refusal: &Refusal) -> Value {
        wrapped::refused(refusal)
    }
}
