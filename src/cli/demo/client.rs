//! Callboard as a user of it meets it: over HTTP, with a key.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use url::Url;

use crate::demo::{Submission, TaskName};
use crate::domain::secret::Secret;
use crate::egress::{Answer, Ask, Egress};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than any answer that is asked for.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A user. Clones are the same.
#[derive(Clone)]
pub(super) struct Client {
    egress: Egress,
    base: Url,
    key: Secret,
}

impl Client {
    pub(super) fn new(base: &str, key: Secret) -> anyhow::Result<Self> {
        Ok(Self { egress: Egress::operators(), base: Url::parse(base)?, key })
    }

    /// Sends a generation request through the relay. An error says why no task came of it.
    pub(super) async fn submit(&self, submission: Submission) -> Result<(), String> {
        let mut headers = submission.headers;
        headers.push(("x-callboard-key", self.key.expose().to_owned()));
        let path = format!("/relay/{}{}", submission.source, submission.path);
        let answer = self.ask(submission.method, &path, headers, Some(submission.body)).await?;
        match answer.status {
            200..300 => Ok(()),
            status => Err(format!("HTTP {status} {}", String::from_utf8_lossy(&answer.body))),
        }
    }

    /// What became of the callbacks that were forged for a task and denied: their outcome, and why.
    pub(super) async fn disputed(&self, task: &TaskName) -> Option<(String, String)> {
        let query = format!("/callbacks?source={}&task_id={}&outcome=disputed", task.source, task.id);
        let callback = self.api(&query).await?["items"].get(0)?.clone();
        let text = |key: &str| callback[key].as_str().map(str::to_owned);
        Some((text("outcome")?, text("detail").unwrap_or_default()))
    }

    /// Whether somebody is still to be told something.
    pub(super) async fn is_telling(&self) -> bool {
        let list = self.api("/deliveries?status=pending&limit=1").await;
        list.is_none_or(|list| list["items"].as_array().is_none_or(|items| !items.is_empty()))
    }

    async fn api(&self, path: &str) -> Option<Value> {
        let headers = vec![("authorization", format!("Bearer {}", self.key.expose()))];
        let answer = self.ask("GET", &format!("/api/v1{path}"), headers, None).await.ok()?;
        serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200)
    }

    async fn ask(
        &self,
        method: &'static str,
        path: &str,
        headers: Vec<(&'static str, String)>,
        body: Option<Bytes>,
    ) -> Result<Answer, String> {
        let url = self.base.join(path).map_err(|error| error.to_string())?;
        let request = Ask { method, url: &url, headers, body, body_max: ANSWER_BYTES_MAX };
        self.egress.ask(request, PATIENCE).await.map_err(|error| error.to_string())
    }
}
