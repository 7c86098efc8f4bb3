//! Generation requests as users send them: the documents' own examples, each with a plan.

use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::draw::{self, Weights};
use super::plan::Plan;
use super::provider::SimulatedProvider;

/// A generation request that somebody is about to send.
#[derive(Clone, PartialEq, Debug)]
pub struct Submission {
    /// The source, which is the provider's name.
    pub source: &'static str,
    /// In upper case.
    pub method: &'static str,
    /// As the provider has it, from the first `/`.
    pub path: &'static str,
    /// Names in lower case: the content type, and metadata for the relay.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, without a callback URL.
    pub body: Bytes,
    /// Its prompt, which no other submission has.
    pub prompt: String,
    /// What will become of its task.
    pub plan: Plan,
}

/// Submissions without end, drawn by chance. Each one's provider knows its plan before it is sent.
#[derive(Debug)]
pub struct Submissions {
    providers: Vec<Arc<SimulatedProvider>>,
    weights: Weights,
    rng: StdRng,
    number: u64,
}

impl Submissions {
    pub(super) fn new(providers: &[Arc<SimulatedProvider>], weights: Weights, seed: u64) -> Self {
        Self { providers: providers.to_vec(), weights, rng: StdRng::seed_from_u64(seed), number: 0 }
    }
}

impl Iterator for Submissions {
    type Item = Submission;

    fn next(&mut self) -> Option<Submission> {
        self.number += 1;
        let example = &EXAMPLES[self.rng.random_range(0..EXAMPLES.len())];
        let provider = self.providers.iter().find(|provider| provider.name() == example.source)?;
        let plan = draw::plan(&mut self.rng, &self.weights, provider.habits());
        let (body, prompt) = example.take(self.number);
        provider.foresee(&prompt, plan.clone());
        let campaign = ["spring", "summer", "autumn"][self.rng.random_range(0..3)];
        Some(Submission {
            source: example.source,
            method: "POST",
            path: example.path,
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("x-callboard-metadata-campaign", campaign.to_owned()),
                ("x-callboard-metadata-order", self.number.to_string()),
            ],
            body: Bytes::from(body.to_string()),
            prompt,
            plan,
        })
    }
}

/// An example of a document.
struct Example {
    source: &'static str,
    path: &'static str,
    /// Where its prompt is, as a JSON pointer.
    prompt: &'static str,
    body: fn() -> Value,
}

impl Example {
    /// The body with its prompt marked by a number, and the prompt.
    fn take(&self, number: u64) -> (Value, String) {
        let mut body = (self.body)();
        let written = body.pointer(self.prompt).and_then(Value::as_str).unwrap_or_default();
        let prompt = format!("{written} (take {number})");
        if let Some(place) = body.pointer_mut(self.prompt) {
            *place = json!(prompt);
        }
        (body, prompt)
    }
}

const EVOLINK: &str = "/v1/videos/generations";
const AIVIDEOAPI: &str = "/v1/videos/generations";
const KLING3API: &str = "/api/generate";
const API_IN_ONE: &str = "/api/v1/videos/generations";

const EXAMPLES: &[Example] = &[
    Example { source: "evolink", path: EVOLINK, prompt: "/prompt", body: evolink_text },
    Example { source: "evolink", path: EVOLINK, prompt: "/model_params/multi_prompt/0/prompt", body: evolink_shots },
    Example { source: "evolink", path: EVOLINK, prompt: "/prompt", body: evolink_image },
    Example { source: "aivideoapi", path: AIVIDEOAPI, prompt: "/input/prompt", body: aivideoapi_text },
    Example { source: "aivideoapi", path: AIVIDEOAPI, prompt: "/input/prompt", body: aivideoapi_image },
    Example { source: "aivideoapi", path: AIVIDEOAPI, prompt: "/input/multi_prompt/0/prompt", body: aivideoapi_shots },
    Example { source: "kling3api", path: KLING3API, prompt: "/prompt", body: kling3api_text },
    Example { source: "kling3api", path: KLING3API, prompt: "/prompt", body: kling3api_reference },
    Example { source: "api-in-one", path: API_IN_ONE, prompt: "/prompt", body: api_in_one },
];

fn evolink_text() -> Value {
    json!({
        "model": "kling-o3-text-to-video",
        "prompt": "A golden retriever running through a sunlit meadow, cinematic slow motion.",
        "duration": 5,
        "aspect_ratio": "16:9",
        "quality": "720p",
        "sound": "off",
    })
}

fn evolink_shots() -> Value {
    json!({
        "model": "kling-o3-text-to-video",
        "duration": 10,
        "aspect_ratio": "16:9",
        "quality": "1080p",
        "sound": "on",
        "model_params": {
            "multi_shot": true,
            "shot_type": "customize",
            "multi_prompt": [
                {"index": 1, "prompt": "A person standing on a hilltop watching sunrise", "duration": "5"},
                {"index": 2, "prompt": "Camera pulls back to reveal a vast mountain panorama", "duration": "5"},
            ],
        },
    })
}

fn evolink_image() -> Value {
    json!({
        "model": "kling-v3-image-to-video",
        "prompt": "A gentle breeze moves through the scene, creating subtle motion and life.",
        "image_start": "https://example.com/first-frame.jpg",
        "duration": 5,
        "quality": "720p",
        "sound": "off",
    })
}

fn aivideoapi_text() -> Value {
    json!({
        "model": "kling-3.0",
        "input": {
            "prompt": "无人机航拍日落时分的山脉,电影级光影效果",
            "mode": "std",
            "aspect_ratio": "16:9",
            "duration": 5,
            "sound": true,
        },
    })
}

fn aivideoapi_image() -> Value {
    json!({
        "model": "kling-3.0",
        "input": {
            "prompt": "蝴蝶振翅起飞,慢动作微距镜头",
            "image_urls": ["https://example.com/butterfly.jpg"],
            "mode": "pro",
            "duration": 10,
        },
    })
}

fn aivideoapi_shots() -> Value {
    json!({
        "model": "kling-3.0",
        "input": {
            "mode": "pro",
            "duration": 12,
            "multi_shots": true,
            "multi_prompt": [
                {"prompt": "清晨的山顶云海,无人机俯拍", "duration": 4},
                {"prompt": "镜头穿过云层下降,看到森林中的小屋", "duration": 4},
                {"prompt": "屋内炉火旁,一只猫蜷缩着睡觉", "duration": 4},
            ],
        },
    })
}

fn kling3api_text() -> Value {
    json!({
        "type": "pro-text-to-video",
        "prompt": "A majestic eagle soaring through clouds at sunset",
        "duration": 5,
        "aspect_ratio": "16:9",
        "sound": true,
    })
}

fn kling3api_reference() -> Value {
    json!({
        "type": "o3-pro-reference-to-video",
        "prompt": "The character walks through a futuristic city",
        "images": ["https://example.com/character-reference.jpg", "https://example.com/style-reference.jpg"],
        "duration": 5,
        "aspect_ratio": "16:9",
    })
}

fn api_in_one() -> Value {
    json!({
        "model": "kling-3",
        "prompt": "A golden retriever running through a field of sunflowers at sunset, cinematic quality",
        "mode": "std",
        "duration": 5,
        "aspect_ratio": "16:9",
        "sound": true,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::dialect::DIALECTS;
    use super::*;

    #[test]
    fn every_example_is_taken_by_its_provider_with_its_marked_prompt() {
        for example in EXAMPLES {
            let (body, prompt) = example.take(7);
            assert!(prompt.ends_with(" (take 7)") && prompt.len() > 20, "{prompt}");
            let dialect = DIALECTS.iter().find(|dialect| dialect.name() == example.source).unwrap();
            let order = dialect.order(example.path, body.as_object().unwrap());
            assert_eq!(order.map(|order| order.prompt), Ok(prompt));
        }
        let sources: BTreeSet<&str> = EXAMPLES.iter().map(|example| example.source).collect();
        assert_eq!(sources, DIALECTS.iter().map(|dialect| dialect.name()).collect());
    }
}
