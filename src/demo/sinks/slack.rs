//! An endpoint that takes what Slack's incoming webhooks take, and answers as they do.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::super::journal::{Journal, What};
use super::super::listener::{Answers, Asked, Port, Reply};
use super::keep;
use crate::domain::clock::SharedClock;
use crate::shutdown::Lifecycle;

/// What it is called in the narration.
const NAME: &str = "slack";
/// Where the channel is behind the host.
const PATH: &str = "/services/T00000000/B00000000/demo";

/// The endpoint.
pub struct SlackSink {
    /// Where it is.
    pub url: String,
    clock: SharedClock,
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    received: Vec<Value>,
    answer: SlackAnswer,
}

/// How it answers a message that is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlackAnswer {
    /// 200 `ok`; only then the message is kept.
    Ok,
    /// 429, to be left alone for so long (whole seconds).
    RateLimited(Duration),
    /// 404 `no_service`: the URL was revoked.
    NoService,
}

impl fmt::Debug for SlackSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlackSink").field("url", &self.url).finish_non_exhaustive()
    }
}

impl SlackSink {
    /// Starts to listen.
    ///
    /// # Errors
    /// Where no port of this machine can be listened on.
    pub fn start(clock: &SharedClock, journal: &Journal, life: &Lifecycle) -> io::Result<Arc<Self>> {
        let port = Port::bind()?;
        let sink = Arc::new(Self {
            url: format!("http://{}{PATH}", port.address),
            clock: Arc::clone(clock),
            journal: journal.clone(),
            state: Mutex::new(State { received: Vec::new(), answer: SlackAnswer::Ok }),
        });
        port.serve(Arc::clone(&sink) as Arc<dyn Answers>, life)?;
        Ok(sink)
    }

    /// From now on it answers so.
    pub fn set_answer(&self, answer: SlackAnswer) {
        self.state().answer = answer;
    }

    /// The messages that it took, in order; of very many the newest.
    pub fn received(&self) -> Vec<Value> {
        self.state().received.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, asked: &Asked) -> Reply {
        let read = if asked.path == PATH { message(asked) } else { Err((404, "no_service")) };
        let line = read.as_ref().map(|message| first_line(message).to_owned()).unwrap_or_default();
        let answer = match (read, self.state().answer) {
            (Err((status, word)), _) => Err((status, word, None)),
            (Ok(_), SlackAnswer::NoService) => Err((404, "no_service", None)),
            (Ok(_), SlackAnswer::RateLimited(wait)) => Err((429, "rate_limited", Some(wait))),
            (Ok(message), SlackAnswer::Ok) => Ok(message),
        };
        match answer {
            Ok(message) => {
                self.tell(line, true);
                keep(&mut self.state().received, message);
                Reply::text(200, "ok")
            }
            Err((status, word, wait)) => {
                self.tell(if line.is_empty() { word.to_owned() } else { format!("{line}: {word}") }, false);
                let headers = wait.map(|wait| ("retry-after", wait.as_secs().to_string()));
                Reply::Answer { status, headers: headers.into_iter().collect(), body: word.as_bytes().to_vec() }
            }
        }
    }

    fn tell(&self, line: String, taken: bool) {
        self.journal.tell(self.clock.now(), What::Got { sink: NAME, line, taken });
    }
}

impl Answers for SlackSink {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Reply> {
        Box::pin(async move { self.take(&asked) })
    }
}

/// Reads a message: a JSON object with a text or blocks. Otherwise the status and the word that Slack has.
fn message(asked: &Asked) -> Result<Value, (u16, &'static str)> {
    if asked.method != "POST" {
        return Err((400, "invalid_payload"));
    }
    let message: Value = serde_json::from_slice(&asked.body).map_err(|_| (400, "invalid_payload"))?;
    if !message.is_object() {
        return Err((400, "invalid_payload"));
    }
    let blocks = message["blocks"].as_array();
    if blocks.is_some_and(|blocks| !blocks.iter().all(|block| block["type"].is_string())) {
        return Err((400, "invalid_blocks"));
    }
    let has_text = message["text"].as_str().is_some_and(|text| !text.is_empty());
    if has_text || blocks.is_some_and(|blocks| !blocks.is_empty()) { Ok(message) } else { Err((400, "no_text")) }
}

fn first_line(message: &Value) -> &str {
    message["text"].as_str().and_then(|text| text.lines().next()).unwrap_or("a message of blocks")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_message_has_a_text_or_blocks() {
        let read = |body: &'static str| {
            message(&Asked {
                method: "POST".into(),
                path: PATH.into(),
                query: String::new(),
                headers: Vec::new(),
                body: Bytes::from_static(body.as_bytes()),
            })
            .map(|message| first_line(&message).to_owned())
        };
        assert_eq!(read(r#"{"text": "one\ntwo"}"#), Ok("one".to_owned()));
        assert_eq!(read(r#"{"blocks": [{"type": "divider"}]}"#), Ok("a message of blocks".to_owned()));
        for (body, word) in [
            ("", "invalid_payload"),
            ("[]", "invalid_payload"),
            ("{}", "no_text"),
            (r#"{"text": "", "blocks": []}"#, "no_text"),
            (r#"{"text": "x", "blocks": [{}]}"#, "invalid_blocks"),
        ] {
            assert_eq!(read(body), Err((400, word)), "{body}");
        }
    }
}
