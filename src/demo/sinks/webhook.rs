//! A webhook endpoint that checks who it is told by.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::super::journal::{Journal, What};
use super::super::listener::{Answers, Asked, Port, Reply};
use super::super::told::Told;
use super::keep;
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::secret::Secret;
use crate::domain::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, standard_webhooks};
use crate::shutdown::Lifecycle;

/// What it is called in the narration.
const NAME: &str = "webhook";
/// How old a signature may be, and how far ahead (Standard Webhooks' own tolerance).
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The endpoint.
pub struct WebhookSink {
    /// Where it is.
    pub url: String,
    secret: Secret,
    clock: SharedClock,
    journal: Journal,
    state: Mutex<State>,
}

/// What came, and how the next is answered.
struct State {
    received: Vec<Webhook>,
    status: u16,
    retry_after: Option<Duration>,
}

/// One webhook as it came.
#[derive(Clone, PartialEq, Debug)]
pub struct Webhook {
    /// When.
    pub at: Timestamp,
    /// Its `webhook-id`.
    pub id: String,
    /// Its body; null where it is no JSON.
    pub event: Value,
    /// Whether its signature held.
    pub verified: bool,
    /// The status it was answered with.
    pub status: u16,
}

impl fmt::Debug for WebhookSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSink").field("url", &self.url).finish_non_exhaustive()
    }
}

impl WebhookSink {
    /// Starts to listen; `secret` is what is signed with.
    ///
    /// # Errors
    /// Where no port of this machine can be listened on.
    pub fn start(secret: Secret, clock: &SharedClock, journal: &Journal, life: &Lifecycle) -> io::Result<Arc<Self>> {
        let port = Port::bind()?;
        let sink = Arc::new(Self {
            url: format!("http://{}/hooks", port.address),
            secret,
            clock: Arc::clone(clock),
            journal: journal.clone(),
            state: Mutex::new(State { received: Vec::new(), status: 204, retry_after: None }),
        });
        port.serve(Arc::clone(&sink) as Arc<dyn Answers>, life)?;
        Ok(sink)
    }

    /// From now on it answers what is signed well with this status, and with this `Retry-After` in whole
    /// seconds.
    pub fn set_answer(&self, status: u16, retry_after: Option<Duration>) {
        let mut state = self.state();
        (state.status, state.retry_after) = (status, retry_after);
    }

    /// What came, in order; of very much the newest.
    pub fn received(&self) -> Vec<Webhook> {
        self.state().received.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, asked: &Asked) -> Reply {
        let now = self.clock.now();
        let checked = verify(&self.secret, asked, now);
        let event: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let (status, retry_after) = {
            let mut state = self.state();
            let answer = if checked.is_ok() { (state.status, state.retry_after) } else { (401, None) };
            let id = asked.header(ID_HEADER).unwrap_or_default().to_owned();
            let webhook = Webhook { at: now, id, event: event.clone(), verified: checked.is_ok(), status: answer.0 };
            keep(&mut state.received, webhook);
            answer
        };
        let refused = |why: String| What::Got { sink: NAME, line: why, taken: false };
        self.journal.tell(
            now,
            match (checked, Told::read(&event)) {
                (Err(why), _) => refused(why.to_owned()),
                (Ok(()), event) if !(200..300).contains(&status) => refused(match event {
                    Some(Told { kind, task: Some(task), .. }) => format!("{kind} of {}: answered {status}", task.id),
                    _ => format!("answered {status}"),
                }),
                (Ok(()), Some(event)) => What::Told { sink: NAME, event },
                (Ok(()), None) => refused("no event".to_owned()),
            },
        );
        let headers = retry_after.map(|wait| ("retry-after", wait.as_secs().to_string()));
        Reply::Answer { status, headers: headers.into_iter().collect(), body: Vec::new() }
    }
}

impl Answers for WebhookSink {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Reply> {
        Box::pin(async move { self.take(&asked) })
    }
}

/// Checks a webhook as Standard Webhooks has it.
fn verify(secret: &Secret, asked: &Asked, now: Timestamp) -> Result<(), &'static str> {
    let id = asked.header(ID_HEADER).ok_or("no webhook-id")?;
    let seconds: i64 =
        asked.header(TIMESTAMP_HEADER).and_then(|text| text.parse().ok()).ok_or("no webhook-timestamp")?;
    let signed_at = Timestamp(seconds.saturating_mul(1000));
    if now.since(signed_at) > TOLERANCE || signed_at.since(now) > TOLERANCE {
        return Err("the webhook-timestamp is more than 5 minutes off");
    }
    let given = asked.header(SIGNATURE_HEADER).ok_or("no webhook-signature")?;
    let expected = standard_webhooks(secret, id, seconds, &asked.body).map_err(|_| "the secret cannot sign")?;
    let expected = Secret::new(expected);
    if given.split(' ').any(|signature| expected.matches(signature)) { Ok(()) } else { Err("the signature is wrong") }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::domain::signature::new_secret;

    const NOW: Timestamp = Timestamp(1_775_001_600_000);

    fn signed(secret: &Secret, seconds: i64, body: &'static str) -> Asked {
        let signature = standard_webhooks(secret, "evt_1", seconds, body.as_bytes()).unwrap();
        let headers = [
            (ID_HEADER, "evt_1".to_owned()),
            (TIMESTAMP_HEADER, seconds.to_string()),
            (SIGNATURE_HEADER, format!("v1,b3RoZXI= {signature}")),
        ];
        Asked {
            method: "POST".into(),
            path: "/hooks".into(),
            query: String::new(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn one_of_several_signatures_is_enough_and_every_part_counts() {
        let secret = new_secret();
        let seconds = NOW.0 / 1000;
        assert_eq!(verify(&secret, &signed(&secret, seconds, "{}"), NOW), Ok(()));
        assert_eq!(verify(&secret, &signed(&secret, seconds - 300, "{}"), NOW), Ok(()));
        for wrong in [
            signed(&new_secret(), seconds, "{}"),
            signed(&secret, seconds - 301, "{}"),
            signed(&secret, seconds + 301, "{}"),
            Asked { body: Bytes::from_static(b"{ }"), ..signed(&secret, seconds, "{}") },
            Asked { headers: Vec::new(), ..signed(&secret, seconds, "{}") },
        ] {
            assert!(verify(&secret, &wrong, NOW).is_err(), "{wrong:?}");
        }
    }
}
