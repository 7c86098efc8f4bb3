//! kling3api.com: it never calls back, and is asked by query parameter.

use rand::rngs::StdRng;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{Dialect, Moment, Order, Question, Refusal, SimulatedTask, prompt, text, wrapped};
use crate::demo::draw::Habits;
use crate::domain::clock::Timestamp;

pub(super) struct Kling3Api;

/// Its types, and the credits of each: a second without and with sound, or as a whole.
const TYPES: [(&str, Price); 12] = [
    ("pro-text-to-video", Price::Second(54, 80)),
    ("pro-image-to-video", Price::Second(54, 80)),
    ("std-text-to-video", Price::Second(40, 60)),
    ("std-image-to-video", Price::Second(40, 60)),
    ("o3-pro-text-to-video", Price::Second(48, 48)),
    ("o3-pro-image-to-video", Price::Second(48, 48)),
    ("o3-pro-reference-to-video", Price::Second(72, 72)),
    ("o3-pro-video-edit", Price::Whole(435)),
    ("o3-std-text-to-video", Price::Second(36, 36)),
    ("o3-std-image-to-video", Price::Second(36, 36)),
    ("o3-std-reference-to-video", Price::Second(20, 20)),
    ("o3-std-video-edit", Price::Whole(360)),
];

#[derive(Clone, Copy)]
enum Price {
    Second(u64, u64),
    Whole(u64),
}

impl Dialect for Kling3Api {
    fn name(&self) -> &'static str {
        "kling3api"
    }

    fn habits(&self) -> &'static Habits {
        &wrapped::HABITS
    }

    fn invalid_code(&self) -> &'static str {
        "INVALID_PROMPT"
    }

    fn question(&self, method: &str, path: &str, query: &str) -> Result<Question, Refusal> {
        let (expected, question) = match path {
            "/api/generate" => ("POST", Question::Create),
            "/api/status" => {
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                let id = pairs.find(|(key, _)| key == "task_id").map(|(_, id)| id.into_owned());
                ("GET", Question::One(id.unwrap_or_default()))
            }
            _ => return Err(Refusal::NoRoute),
        };
        if method == expected { Ok(question) } else { Err(Refusal::Method) }
    }

    fn order(&self, _: &str, body: &Map<String, Value>) -> Result<Order, Refusal> {
        let invalid = |code: &'static str| Refusal::Invalid(code, String::new());
        let kind = text(body, "type").unwrap_or_default();
        let (_, price) = TYPES.iter().find(|(name, _)| *name == kind).ok_or_else(|| invalid("INVALID_TYPE"))?;
        let prompt = prompt(body, None);
        if prompt.is_empty() || prompt.chars().count() > 2000 {
            return Err(invalid("INVALID_PROMPT"));
        }
        let seconds = super::duration(body).ok_or_else(|| invalid("INVALID_DURATION"))?;
        if kind.ends_with("image-to-video") && text(body, "image").is_none() {
            return Err(invalid("MISSING_IMAGE"));
        }
        if kind.ends_with("video-edit") && text(body, "video").is_none() {
            return Err(invalid("MISSING_VIDEO"));
        }
        let credits = match *price {
            Price::Whole(credits) => credits,
            Price::Second(_, loud) if wrapped::has_sound(body) => loud * seconds,
            Price::Second(silent, _) => silent * seconds,
        };
        Ok(Order {
            model: kind.to_owned(),
            kind: "video",
            prompt,
            seconds,
            credits: credits as f64,
            callback_url: None,
            body: Value::Object(body.clone()),
        })
    }

    /// `n71` is the backend of Kling O3, `n75` that of Kling 3.0.
    fn new_id(&self, order: &Order, rng: &mut StdRng, _: Timestamp) -> String {
        wrapped::new_id(if order.model.starts_with("o3-") { "n71" } else { "n75" }, rng)
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
