//! The stream of events, followed through whatever happens to the connection.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Failure;
use super::client::{Broken, Client, Query};
use super::sse::{Frame, Reader};
use crate::domain::clock::Timestamp;
use crate::egress::BodyStream;

/// A heartbeat comes every 15 s: after so long without one the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// The waits between two tries to connect grow up to this.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Before the service says another wait.
const WAIT_FIRST: Duration = Duration::from_secs(1);

/// Sorts before every event's id: behind it is everything.
pub(super) const BEFORE_ALL: &str = "evt_00000000000000000000000000";

/// What is heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// The stream is open, for the first time or again.
    Opened,
    /// An event.
    Event {
        /// Its id.
        id: String,
        /// Its bytes.
        body: String,
    },
    /// An event that is told again to this listener.
    Replay {
        /// The replay.
        replay_id: String,
        /// The event's bytes.
        body: String,
    },
    /// So far it is complete, by the service's clock.
    At(Timestamp),
    /// The connection is gone; it is tried again after this long.
    Lost(String, Duration),
}

/// The data of a replay's frame.
#[derive(Deserialize)]
struct Replayed {
    replay_id: String,
    event: Box<RawValue>,
}

/// A stream that is followed.
pub(super) struct Stream {
    client: Client,
    query: Query,
    /// The last event that was heard of: the next connection goes on behind it.
    last: String,
    body: Option<BodyStream>,
    reader: Reader,
    heard: VecDeque<Heard>,
    was_open: bool,
    tries: u32,
    wait_first: Duration,
}

impl Stream {
    /// A stream that begins behind this event; behind the newest of all where none is given.
    pub(super) async fn behind(client: &Client, query: Query, last: Option<String>) -> Result<Self, Failure> {
        let last = match last {
            Some(last) => last,
            None => newest(client).await?,
        };
        Ok(Self {
            client: client.clone(),
            query,
            last,
            body: None,
            reader: Reader::default(),
            heard: VecDeque::new(),
            was_open: false,
            tries: 0,
            wait_first: WAIT_FIRST,
        })
    }

    /// The last event that was heard of.
    pub(super) fn last(&self) -> &str {
        &self.last
    }

    /// What is heard next. An error is a refusal, or that the service could not be reached from the first.
    pub(super) async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                if let Heard::Event { id, .. } = &heard {
                    self.last.clone_from(id);
                }
                return Ok(heard);
            }
            let Some(body) = &mut self.body else { return self.open().await };
            match body.next().await {
                Some(Ok(piece)) => match self.reader.read(&piece) {
                    Ok(frames) => frames.into_iter().for_each(|frame| self.take(frame)),
                    Err(_) => return Ok(self.lost("it sends something else than events".to_owned())),
                },
                Some(Err(error)) => return Ok(self.lost(error.to_string())),
                None => return Ok(self.lost("the service ended the stream".to_owned())),
            }
        }
    }

    async fn open(&mut self) -> Result<Heard, Failure> {
        if self.tries > 0 {
            tokio::time::sleep(self.wait()).await;
        }
        let headers = [("last-event-id", self.last.as_str())];
        match self.client.open(&["events", "stream"], &self.query, &headers, SILENCE_MAX).await {
            Ok(passed) => {
                self.body = Some(passed.body);
                self.reader = Reader::default();
                self.was_open = true;
                Ok(Heard::Opened)
            }
            Err(Broken::Gone(why)) if self.was_open => Ok(self.lost(why.text())),
            Err(Broken::Gone(failure) | Broken::Refused(failure)) => Err(failure),
        }
    }

    fn lost(&mut self, why: String) -> Heard {
        self.body = None;
        self.tries += 1;
        Heard::Lost(why, self.wait())
    }

    /// Doubled with every try.
    fn wait(&self) -> Duration {
        self.wait_first.saturating_mul(1 << self.tries.saturating_sub(1).min(10)).min(WAIT_MAX)
    }

    fn take(&mut self, frame: Frame) {
        // Only what comes through shows that it is more than a proxy that answers.
        self.tries = 0;
        match frame {
            Frame::Retry(wait) => self.wait_first = wait.clamp(Duration::from_millis(100), WAIT_MAX),
            Frame::Comment(text) => {
                let at = text.strip_prefix("at ").and_then(|at| Timestamp::parse(at.trim()));
                self.heard.extend(at.map(Heard::At));
            }
            Frame::Event { kind, data, .. } if kind == "replay" => {
                let replayed = serde_json::from_str::<Replayed>(&data).ok();
                self.heard.extend(
                    replayed
                        .map(|Replayed { replay_id, event }| Heard::Replay { replay_id, body: event.get().to_owned() }),
                );
            }
            Frame::Event { id: Some(id), data, .. } => self.heard.push_back(Heard::Event { id, body: data }),
            Frame::Event { .. } => {}
        }
    }
}

/// The id of the newest event there is, so that the first connection has a place to go on from, whatever happens to
/// it; before there is any, the smallest id.
async fn newest(client: &Client) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let page: Page = client.read(&client.get(&["events"], &vec![("limit".into(), "1".into())]).await?)?;
    let newest = page.items.into_iter().next().map(|event| event.id);
    Ok(newest.unwrap_or_else(|| BEFORE_ALL.to_owned()))
}
