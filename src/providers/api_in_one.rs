//! API in One: video, image, audio and tool models behind one task API.
//!
//! Its document names two routes and neither a host nor any answer, so that the source has to say its
//! `base_url`, and everything that is read here is inferred: from kling3api.com, which sells the same model
//! for the same price from machines of the same names, and from APIs with the same two routes.

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
pub(super) struct ApiInOne;

static API: Api = Api {
    base_url: None,
    callback_url: CallbackUrl::Nowhere,
    creates: &[Route { method: "POST", path: "/api/v1/videos/generations" }],
    queries: &[Route { method: "GET", path: "/api/v1/tasks/*" }],
    cancels: &[],
    batch: 1,
    lists: false,
    // Nothing is documented. Asking each task once a minute, this is enough for 120 of them.
    pace: Rate { count: 2, per: Duration::from_secs(1) },
};

const SHAPE: Shape = Shape {
    ids: &["task_id", "taskId", "id"],
    words: &[
        ("pending", Status::Pending),
        ("queued", Status::Pending),
        ("processing", Status::Processing),
        ("running", Status::Processing),
        ("in_progress", Status::Processing),
        ("completed", Status::Completed),
        ("success", Status::Completed),
        ("succeeded", Status::Completed),
        ("failed", Status::Failed),
        ("fail", Status::Failed),
        ("failure", Status::Failed),
        ("error", Status::Failed),
        ("cancelled", Status::Cancelled),
        ("canceled", Status::Cancelled),
    ],
    models: &["model"],
    outputs: &[&["response"], &["results"], &["output", "urls"], &["urls"]],
};

impl Provider for ApiInOne {
    fn name(&self) -> &'static str {
        "api-in-one"
    }

    fn about(&self) -> About {
        About {
            title: "API in One",
            docs: None,
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
        Some(&ApiInOne)
    }

    /// Inferred like all that it answers.
    fn example(&self, task_id: &str, created: Timestamp) -> String {
        json!({
            "code": 200,
            "message": "success",
            "data": {
                "task_id": task_id,
                "status": "SUCCESS",
                "model": "kling-3",
                "consumed_credits": 300,
                "created_at": created.to_string(),
                "response": ["https://cdn.example.com/videos/abc123.mp4"],
                "error_message": null,
            },
        })
        .to_string()
    }
}

impl Ask for ApiInOne {
    fn api(&self) -> &'static Api {
        &API
    }

    fn created(&self, reply: &Reply<'_>) -> Result<Observation, Unread> {
        SHAPE.created(reply)
    }

    fn one(&self, task_id: &str) -> Call {
        Call::get(format!("/api/v1/tasks/{}", ask::encoded(task_id)))
    }

    fn read_one(&self, task_id: &str, reply: &Reply<'_>) -> Told {
        SHAPE.told(task_id, reply)
    }
}
