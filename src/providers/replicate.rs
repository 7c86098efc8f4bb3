//! Replicate: any model as a prediction.
//!
//! Its callback is the prediction object itself, signed after Standard Webhooks. Predictions report
//! their start, outputs and logs too, if the request asked for it.

use std::time::Duration;

use serde_json::json;

use super::api::{Api, Ask, Call, CallbackUrl, Reply, Route, Told};
use super::ask;
use super::links::{Links, dies_at, kind_of_name};
use super::read::{self, Fields, StatusWords};
use super::signature::{standard_webhooks_headers, standard_webhooks_verify};
use super::{About, Inbound, Provider, Rejection, Unread, Unverified, Verified};
use crate::domain::clock::Timestamp;
use crate::domain::pace::Rate;
use crate::domain::secret::Secret;
use crate::domain::signature;
use crate::domain::task::{Category, Observation, Status, Trust};

/// The adapter.
pub(super) struct Replicate;

/// After <https://replicate.com/docs/topics/predictions/lifecycle>.
const WORDS: StatusWords = &[
    ("starting", Status::Pending),
    ("processing", Status::Processing),
    ("succeeded", Status::Completed),
    ("failed", Status::Failed),
    ("canceled", Status::Cancelled),
    // Its deadline passed before it could start.
    ("aborted", Status::Cancelled),
];

/// "Input and output (including any files) are automatically deleted after an hour."
const LINKS_LIVE: Duration = Duration::from_secs(60 * 60);

static API: Api = Api {
    base_url: Some("https://api.replicate.com"),
    callback_url: CallbackUrl::Body(&["webhook"]),
    creates: &[
        Route { method: "POST", path: "/v1/predictions" },
        Route { method: "POST", path: "/v1/models/*/*/predictions" },
        Route { method: "POST", path: "/v1/deployments/*/*/predictions" },
    ],
    queries: &[Route { method: "GET", path: "/v1/predictions/*" }],
    cancels: &[Route { method: "POST", path: "/v1/predictions/*/cancel" }],
    batch: 1,
    // Its list is read by cursors that each page gives for the next, not by pages that can be asked for.
    lists: false,
    // 3,000 a minute are documented, for all that an account does; a fifth of it is ours.
    pace: Rate { count: 10, per: Duration::from_secs(1) },
};

impl Provider for Replicate {
    fn name(&self) -> &'static str {
        "replicate"
    }

    fn about(&self) -> About {
        About {
            title: "Replicate",
            docs: Some("https://replicate.com/docs/topics/webhooks"),
            callback_url_goes: "`webhook` in the body",
            signs: true,
            retries: "with growing waits until about a minute after the end",
            links_live: "1 hour",
        }
    }

    fn verify(&self, inbound: &Inbound<Unverified>, secrets: &[Secret]) -> Result<Trust, Rejection> {
        standard_webhooks_verify(inbound, secrets).map(|()| Trust::SignedBody)
    }

    fn sign(&self, secret: &Secret, body: &[u8], now: Timestamp) -> Vec<(&'static str, String)> {
        standard_webhooks_headers(secret, body, now)
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), String> {
        signature::check_secret(secret).map_err(|fault| fault.to_string())
    }

    fn interpret(&self, inbound: &Inbound<Verified>) -> Result<Vec<Observation>, Unread> {
        observation(inbound.body(), inbound.received_at()).map(|seen| vec![seen])
    }

    fn ask(&self) -> Option<&'static dyn Ask> {
        Some(&Replicate)
    }

    fn example(&self, task_id: &str, created: Timestamp) -> String {
        let after = |seconds| created.after(Duration::from_secs(seconds)).to_string();
        json!({
            "id": task_id,
            "model": "black-forest-labs/flux-schnell",
            "version": "hidden",
            "input": {"prompt": "a lighthouse in the evening"},
            "logs": "",
            "output": ["https://replicate.delivery/xezq/example/out-0.webp"],
            "data_removed": false,
            "error": null,
            "source": "api",
            "status": "succeeded",
            "created_at": created.to_string(),
            "started_at": after(1),
            "completed_at": after(3),
            "metrics": {"predict_time": 2.0, "total_time": 3.0},
            "urls": {
                "cancel": format!("https://api.replicate.com/v1/predictions/{task_id}/cancel"),
                "get": format!("https://api.replicate.com/v1/predictions/{task_id}"),
            },
        })
        .to_string()
    }
}

impl Ask for Replicate {
    fn api(&self) -> &'static Api {
        &API
    }

    fn created(&self, reply: &Reply<'_>) -> Result<Observation, Unread> {
        ask::created(reply, observation)
    }

    fn one(&self, task_id: &str) -> Call {
        Call::get(format!("/v1/predictions/{}", ask::encoded(task_id)))
    }

    fn read_one(&self, task_id: &str, reply: &Reply<'_>) -> Told {
        ask::told(task_id, reply, observation)
    }
}

/// A prediction: the body of every callback, and of the answers to creating and asking.
fn observation(body: &[u8], received_at: Timestamp) -> Result<Observation, Unread> {
    let body = read::object(body)?;
    let fields = Fields(&body);
    let mut seen = fields.task("id", "status", WORDS)?;
    seen.model = fields.text("model");
    seen.created_at = fields.time("created_at");
    seen.completed_at = fields.time("completed_at");
    if seen.status == Status::Failed || seen.status == Status::Cancelled {
        // The model's own words; there are no codes.
        seen.error = fields.error(|_| (Category::Unknown, None));
    }
    if let Some(output) = fields.value("output") {
        // What a model gives is its own affair: a link, a list, an object; text is no output of ours.
        let mut links = Links::default();
        links.add_all(output);
        let dies_at = dies_at(&seen, received_at, LINKS_LIVE);
        seen.outputs = links.outputs(seen.model.as_deref().and_then(kind_of_name), |_| Some(dies_at));
    }
    Ok(seen)
}
