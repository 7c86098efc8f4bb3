//! The API as its users meet it: over HTTP, with a key. What it refuses is told with what to do about it.

use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::Failure;
use super::reach::Found;
use crate::egress::{Answer, Ask, Egress, EgressError, Pass, PassBody, Passed, host_of};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than any answer has: a page of 250 events of the largest kind that providers send.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Names and values of a query, in order.
pub(super) type Query = Vec<(String, String)>;

/// One service, and the key to it. Clones are the same.
#[derive(Clone)]
pub(super) struct Client {
    egress: Egress,
    found: Found,
}

/// A problem as the API tells it (RFC 9457).
#[derive(Deserialize, Default)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
}

impl Client {
    pub(super) fn new(found: Found) -> Self {
        Self { egress: Egress::operators(), found }
    }

    /// The service's address, for people.
    pub(super) fn base(&self) -> &str {
        self.found.url.as_str().trim_end_matches('/')
    }

    /// The profile that it was found by.
    pub(super) fn profile(&self) -> Option<&str> {
        self.found.profile.as_deref()
    }

    /// Asks for a JSON text.
    pub(super) async fn get(&self, path: &[&str], query: &Query) -> Result<String, Failure> {
        self.ask("GET", path, query, None).await
    }

    /// Asks for bytes.
    pub(super) async fn get_bytes(&self, path: &[&str]) -> Result<Vec<u8>, Failure> {
        Ok(self.answer("GET", path, &Query::new(), None).await?.body)
    }

    /// Asks for one thing.
    pub(super) async fn value(&self, path: &[&str]) -> Result<Value, Failure> {
        self.read(&self.get(path, &Query::new()).await?)
    }

    /// Posts an object; gives the JSON text of the answer.
    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<String, Failure> {
        self.ask("POST", path, &Query::new(), Some(body)).await
    }

    /// Puts an object in the place of what is there; gives the JSON text of the answer.
    pub(super) async fn put(&self, path: &[&str], body: &Value) -> Result<String, Failure> {
        self.ask("PUT", path, &Query::new(), Some(body)).await
    }

    /// Deletes one thing.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<(), Failure> {
        self.answer("DELETE", path, &Query::new(), None).await.map(drop)
    }

    /// Begins to read a stream whose pieces come at most `idle` apart.
    pub(super) async fn open(
        &self,
        path: &[&str],
        query: &Query,
        headers: &[(&str, &str)],
        idle: Duration,
    ) -> Result<Passed, Broken> {
        let url = self.url(path, query);
        let bearer = format!("Bearer {}", self.found.key.expose());
        let own = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
        let headers = own.iter().chain(headers).map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        let request = Pass { method: "GET", url: &url, headers: headers.collect(), body: PassBody::None };
        let opening = tokio::time::timeout(PATIENCE, self.egress.pass(request, idle));
        let late = |_| EgressError::Timeout { host: host_of(&url), after: PATIENCE };
        let opened = opening.await.map_err(late).and_then(|opened| opened);
        let passed = opened.map_err(|error| Broken::Gone(self.unreached(&error)))?;
        match passed.status {
            200 => Ok(passed),
            status => {
                let body = beginning(passed).await;
                let refused = self.refused(&Answer { status, retry_after: None, body });
                Err(if matches!(status, 429 | 500..) { Broken::Gone(refused) } else { Broken::Refused(refused) })
            }
        }
    }

    async fn ask(
        &self,
        method: &'static str,
        path: &[&str],
        query: &Query,
        body: Option<&Value>,
    ) -> Result<String, Failure> {
        let answer = self.answer(method, path, query, body).await?;
        String::from_utf8(answer.body).map_err(|_| self.stranger())
    }

    async fn answer(
        &self,
        method: &'static str,
        path: &[&str],
        query: &Query,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let url = self.url(path, query);
        let mut headers = vec![("authorization", format!("Bearer {}", self.found.key.expose()))];
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        let body = body.map(|body| Bytes::from(body.to_string()));
        let request = Ask { method, url: &url, headers, body, body_max: ANSWER_BYTES_MAX };
        let answer = self.egress.ask(request, PATIENCE).await.map_err(|error| self.unreached(&error))?;
        if answer.body.len() >= ANSWER_BYTES_MAX {
            return Err(anyhow!("the answer is larger than {ANSWER_BYTES_MAX} bytes: ask for less with --limit").into());
        }
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(self.refused(&answer)) }
    }

    fn url(&self, path: &[&str], query: &Query) -> Url {
        let mut url = self.found.url.clone();
        // An http URL always has a path that segments can be put to.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Reads an answer that is a JSON text of ours.
    pub(super) fn read<T: serde::de::DeserializeOwned>(&self, text: &str) -> Result<T, Failure> {
        serde_json::from_str(text).map_err(|_| self.stranger())
    }

    fn stranger(&self) -> Failure {
        let base = self.base();
        anyhow!("{base} answers, but not as Callboard does: is it the address of the service, and of this version?")
            .into()
    }

    fn unreached(&self, error: &EgressError) -> Failure {
        let (base, from) = (self.base(), &self.found.url_from);
        let hint = match error {
            EgressError::Timeout { .. } => "it may be overloaded; try again",
            EgressError::Tls { .. } => "is the name in the URL the one that its certificate is for?",
            _ => "start it with `callboard serve`, or say where it is with --url, CALLBOARD_URL or a profile",
        };
        anyhow!("{base} cannot be reached ({error}). The address is from {from}: {hint}").into()
    }

    /// What an answer that is no success means to whoever typed the command.
    fn refused(&self, answer: &Answer) -> Failure {
        let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
        let key = &self.found.key_from;
        if problem.title.is_empty() {
            return match answer.status {
                300..400 => anyhow!(
                    "{} answers {}: redirects are not followed; write where it leads",
                    self.base(),
                    answer.status
                )
                .into(),
                _ => self.stranger(),
            };
        }
        let Problem { title, detail } = problem;
        let said = if detail.is_empty() { title } else { format!("{title}: {detail}") };
        match answer.status {
            401 => anyhow!(
                "{} does not take the key from {key}: is it of this service, and neither expired nor revoked?",
                self.base()
            )
            .into(),
            403 => anyhow!("{said}. The key from {key} has not the right to do this").into(),
            422 => Failure::Wrong(said),
            429 | 503 => anyhow!("{said}. Try again in a moment").into(),
            _ => anyhow!("{said}").into(),
        }
    }
}

/// Why a stream did not open.
pub(super) enum Broken {
    /// Another try may do.
    Gone(Failure),
    /// The service will not have it.
    Refused(Failure),
}

/// The beginning of a body: enough of a problem.
async fn beginning(mut passed: Passed) -> Vec<u8> {
    use futures_util::StreamExt;
    let mut body = Vec::new();
    while let Some(Ok(piece)) = passed.body.next().await {
        body.extend_from_slice(&piece);
        if body.len() > 64 * 1024 {
            break;
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;

    fn client(url: &str) -> Client {
        let url = Url::parse(url).unwrap();
        let (url_from, key_from) = ("--url".to_owned(), "$CALLBOARD_KEY".to_owned());
        Client::new(Found { url, url_from, key: Secret::new("cbk_hush"), key_from, profile: None })
    }

    #[test]
    fn ids_are_one_segment_whatever_is_in_them() {
        let url = client("https://a.example/behind/")
            .url(&["tasks", "evolink", "a/b?c#d é"], &vec![("k".into(), "a&b".into())]);
        assert_eq!(url.as_str(), "https://a.example/behind/api/v1/tasks/evolink/a%2Fb%3Fc%23d%20%C3%A9?k=a%26b");
    }

    #[test]
    fn a_refusal_says_what_to_do_and_which_exit_code() {
        let problem = |status: u16, title: &str, detail: &str| {
            let body = serde_json::json!({"title": title, "detail": detail, "status": status}).to_string().into_bytes();
            Answer { status, retry_after: None, body }
        };
        for (answer, wrong, words) in [
            (problem(401, "No valid API key", "send …"), false, "does not take the key from $CALLBOARD_KEY"),
            (problem(403, "Forbidden", "it needs manage"), false, "it needs manage. The key from $CALLBOARD_KEY"),
            (problem(404, "Not found", "there is no event with this id"), false, "there is no event with this id"),
            (problem(409, "It is in the way", "it is delivered"), false, "it is delivered"),
            (problem(422, "A field is wrong", "`since`: not a time"), true, "`since`: not a time"),
            (problem(503, "The database cannot be used now", ""), false, "Try again"),
            (Answer { status: 200, retry_after: None, body: b"<html>".to_vec() }, false, "not as Callboard does"),
            (Answer { status: 301, retry_after: None, body: Vec::new() }, false, "redirects are not followed"),
        ] {
            let (is_wrong, said) = match client("http://a.example").refused(&answer) {
                Failure::Wrong(text) => (true, text),
                Failure::Failed(error) => (false, format!("{error:#}")),
            };
            assert!(is_wrong == wrong && said.contains(words) && !said.contains("hush"), "{said}");
        }
    }
}
