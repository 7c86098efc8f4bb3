//! kling3api.com: Kling 3.0 and Kling O3 behind one endpoint.
//!
//! It documents no callback, so its tasks are known by asking. Should it post all the same, the body is
//! read as the answer to a question would be.

use std::time::Duration;

use serde_json::json;

use super::api::{Api, Ask, Call, CallbackUrl, Reply, Route, Told};
use super::ask;
use super::wrapped::Shape;
use super::{About, Inbound, Provider, Unread, Verified};
use crate::domain::clock::Timestamp;
use crate::domain::pace::Rate;
use crate::domain::task::{Observation, Status};

/// The adapter.
pub(super) struct Kling3Api;

static API: Api = Api {
    base_url: Some("https://kling3api.com"),
    callback_url: CallbackUrl::Nowhere,
    creates: &[Route { method: "POST", path: "/api/generate" }],
    queries: &[Route { method: "GET", path: "/api/status" }],
    cancels: &[],
    batch: 1,
    lists: false,
    // It answers 429 and says no number. Asking each task once a minute, this is enough for 120 of them.
    pace: Rate { count: 2, per: Duration::from_secs(1) },
};

const SHAPE: Shape = Shape {
    ids: &["task_id"],
    words: &[
        ("IN_PROGRESS", Status::Processing),
        ("SUCCESS", Status::Completed),
        // No word for a failure is documented; these can mean nothing else.
        ("FAILED", Status::Failed),
        ("FAIL", Status::Failed),
        ("FAILURE", Status::Failed),
        ("ERROR", Status::Failed),
    ],
    // `pro-text-to-video`: its documents list these types as the models that there are.
    models: &["type"],
    outputs: &[&["response"]],
};

impl Provider for Kling3Api {
    fn name(&self) -> &'static str {
        "kling3api"
    }

    fn about(&self) -> About {
        About {
            title: "kling3api.com",
            docs: Some("https://kling3api.com/docs"),
            callback_url_goes: "nowhere: it does not call back",
            signs: false,
            retries: "never, it does not call",
            links_live: "not said",
        }
    }

    fn interpret(&self, inbound: &Inbound<Verified>) -> Result<Vec<Observation>, Unread> {
        SHAPE.observation(inbound.body()).map(|seen| vec![seen])
    }

    fn ask(&self) -> Option<&'static dyn Ask> {
        Some(&Kling3Api)
    }

    fn example(&self, task_id: &str, created: Timestamp) -> String {
        json!({
            "code": 200,
            "message": "success",
            "data": {
                "task_id": task_id,
                "status": "SUCCESS",
                "consumed_credits": 400,
                "created_at": created.to_string(),
                "request": {
                    "type": "pro-text-to-video",
                    "prompt": "A majestic eagle soaring through clouds at sunset",
                    "duration": 5,
                    "aspect_ratio": "16:9",
                },
                "response": ["https://cdn.example.com/videos/abc123.mp4"],
                "error_message": null,
                "type": "pro-text-to-video",
            },
        })
        .to_string()
    }
}

impl Ask for Kling3Api {
    fn api(&self) -> &'static Api {
        &API
    }

    fn created(&self, reply: &Reply<'_>) -> Result<Observation, Unread> {
        SHAPE.created(reply)
    }

    fn one(&self, task_id: &str) -> Call {
        Call::get(format!("/api/status?task_id={}", ask::encoded(task_id)))
    }

    fn read_one(&self, task_id: &str, reply: &Reply<'_>) -> Told {
        SHAPE.told(task_id, reply)
    }
}
