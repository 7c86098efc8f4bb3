//! Receiving a callback: admit, verify, understand, record, answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::entry::{Arrival, Entry, Reading};
use super::record::{Receipt, Recorder, Unrecorded};
use super::repeats::Again;
use super::roster::{ActiveSource, LiveRoster, Roster};
use crate::domain::callback::{Content, Fingerprint, QueryMetadata, fingerprint, query_metadata};
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::pace::{Pace, Rate};
use crate::domain::secret::Secret;
use crate::domain::task::{Metadata, Provenance, Trust, Via, clean};
use crate::providers::api::calls_back;
use crate::providers::{Answer, Header, Inbound, PROVIDERS, Rejection, Unread, Verified};

/// Takes callbacks in. Clones are the same.
#[derive(Clone)]
pub struct Receiver {
    pub(super) roster: Arc<LiveRoster>,
    pub(super) recorder: Recorder,
    pub(super) clock: SharedClock,
    paces: Arc<Mutex<HashMap<String, (Rate, Pace)>>>,
}

/// Why a request is not even read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No such source, or another token: which of the two is not said.
    Unknown,
    /// More than the source's rate; this long until the next.
    TooMany(Duration),
}

/// A request whose source and token are good.
pub struct Admitted {
    receiver: Receiver,
    roster: Arc<Roster>,
    source: String,
}

/// A callback as HTTP gives it.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The URL's query, as it came.
    pub query: String,
    /// The headers, names in lower case.
    pub headers: Arc<[Header]>,
    /// The body as it came.
    pub body: Bytes,
    /// The client's address.
    pub remote: Option<String>,
}

/// What became of a callback, as the provider is answered.
#[derive(Clone, Debug)]
pub enum Received {
    /// A handshake: nothing was kept.
    Handshake(Answer),
    /// Recorded; the provider wants this body in place of ours.
    Recorded(Receipt, Option<Answer>),
    /// Kept as quarantined: not readable, or no task in it.
    Unreadable(Receipt),
    /// Kept as rejected: its signature does not hold.
    Rejected(Receipt),
}

impl Receiver {
    /// Takes callbacks for the sources of `roster`, into `recorder`.
    pub fn new(roster: Arc<LiveRoster>, recorder: Recorder, clock: SharedClock) -> Self {
        Self { roster, recorder, clock, paces: Arc::default() }
    }

    /// Looks at the URL, before anything else is read.
    ///
    /// # Errors
    /// Why the request is refused; nothing is kept of it but a count.
    pub fn admit(&self, source: &str, token: &str) -> Result<Admitted, Refused> {
        let roster = self.roster.now();
        let known = roster.sources.get(source);
        let Some((active, which)) = known.and_then(|active| Some((active, active.source.which_token(token)?))) else {
            metrics::counter!("callboard_callbacks_unknown_total").increment(1);
            return Err(Refused::Unknown);
        };
        if let Some(token) = active.tokens.get(which) {
            token.used.note(self.clock.now());
        }
        self.keep_pace(active)?;
        Ok(Admitted { receiver: self.clone(), source: source.to_owned(), roster })
    }

    fn keep_pace(&self, active: &ActiveSource) -> Result<(), Refused> {
        let Some(rate) = active.source.rate else { return Ok(()) };
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, pace) = paces.entry(active.source.name.clone()).or_insert_with(|| (rate, Pace::new(rate)));
        if *known != rate {
            (*known, *pace) = (rate, Pace::new(rate));
        }
        pace.take(self.clock.now()).map_err(|wait| {
            metrics::counter!("callboard_callbacks_limited_total", "source" => active.source.name.clone()).increment(1);
            Refused::TooMany(wait)
        })
    }
}

impl Admitted {
    /// Takes the callback in; the answer comes after it is durable.
    ///
    /// # Errors
    /// [`Unrecorded`] when the database cannot take it; nothing of it was kept then.
    pub async fn receive(self, posted: Posted) -> Result<Received, Unrecorded> {
        let Some(active) = self.roster.sources.get(&self.source) else { return Err(Unrecorded) };
        let received_at = self.receiver.clock.now();
        let inbound = Inbound::new(Arc::clone(&posted.headers), posted.body.clone(), received_at);
        if let Some(answer) = active.adapter.handshake(&inbound) {
            return Ok(Received::Handshake(answer));
        }
        let content = fingerprint(&posted.query, &posted.body);
        let verified = inbound.verify(active.adapter, &active.source.signing_secrets);
        let prints = Prints::of(content, &verified);
        let wanted = active.adapter.wanted_answer();
        if let Ok(verified) = &verified {
            let (source, trust) = (self.source.as_str(), verified.trust());
            let again = Again { print: &prints.whole, source, trust, roster: &self.roster };
            if let Some(receipt) = self.receiver.recorder.again(again, received_at) {
                return Ok(Received::Recorded(receipt, wanted));
            }
        }
        let read = read(active, verified);
        let entry = entry(&self.roster, &self.source, read, Kept::new(posted), prints, received_at);
        let kind = Kind::of(&entry.reading);
        let receipt = self.receiver.recorder.record(entry).await?;
        Ok(match kind {
            Kind::Readable => Received::Recorded(receipt, wanted),
            Kind::Unreadable => Received::Unreadable(receipt),
            Kind::Rejected => Received::Rejected(receipt),
        })
    }
}

/// What is kept of a callback's bytes, and shown beside what becomes of it.
pub(super) struct Kept {
    pub(super) query: String,
    /// As JSON pairs.
    pub(super) headers: String,
    pub(super) body: Bytes,
    pub(super) remote: Option<String>,
    pub(super) note: Option<String>,
    /// Whether a client that wants it has had it.
    pub(super) was_forwarded: bool,
}

impl Kept {
    fn new(posted: Posted) -> Self {
        let pairs: Vec<(&str, String)> = posted
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        Self {
            headers: serde_json::to_string(&pairs).unwrap_or_default(),
            query: posted.query,
            body: posted.body,
            remote: posted.remote,
            note: None,
            was_forwarded: false,
        }
    }
}

/// A callback as it goes to the recorder, with what it is taken for.
pub(super) fn entry(
    roster: &Arc<Roster>,
    source: &str,
    read: Read,
    kept: Kept,
    prints: Prints,
    received_at: Timestamp,
) -> Entry {
    let metadata = query_metadata(&kept.query, |pairs, signature| {
        url_signature(&roster.url_key, source, pairs).matches(signature)
    });
    let QueryMetadata { pairs, origin, dropped, intent_id } = metadata;
    let dropped =
        (!dropped.is_empty()).then(|| format!("metadata dropped, over 20 keys or 2 KiB: {}", dropped.join(", ")));
    let notes: Vec<String> = kept.note.into_iter().chain(dropped).collect();
    let arrival = Arrival {
        content: Arc::new(Content {
            query: kept.query,
            headers: kept.headers,
            body: kept.body,
            remote: kept.remote,
            fingerprint: prints.content,
        }),
        print: prints.whole,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        intent_id,
        was_forwarded: kept.was_forwarded,
    };
    let from = Provenance { via: Via::Callback, trust: read.trust, metadata_origin: origin, metadata: pairs };
    Entry::new(source.to_owned(), read.reading, from, received_at, Some(arrival), Arc::clone(roster))
}

enum Kind {
    Readable,
    Unreadable,
    Rejected,
}

impl Kind {
    fn of(reading: &Reading) -> Self {
        match reading {
            Reading::Quarantined { task_id: None, .. } => Self::Unreadable,
            Reading::Rejected { .. } => Self::Rejected,
            _ => Self::Readable,
        }
    }
}

/// What was made of a callback's bytes.
pub(super) struct Read {
    reading: Reading,
    trust: Trust,
}

/// What tells a callback from others.
pub(super) struct Prints {
    /// By its content, as it is kept.
    content: Fingerprint,
    /// By that and the headers that it is read by.
    whole: Fingerprint,
}

impl Prints {
    pub(super) fn of(content: Fingerprint, verified: &Result<Inbound<Verified>, Rejection>) -> Self {
        let headers: Vec<_> = verified.iter().flat_map(Inbound::read_headers).collect();
        if headers.is_empty() {
            return Self { content, whole: content };
        }
        let headers = serde_json::to_vec(&headers).unwrap_or_default();
        Self { content, whole: Sha256::new().chain_update(content).chain_update(headers).finalize().into() }
    }
}

/// Reads a callback if its signature holds.
pub(super) fn read(active: &ActiveSource, verified: Result<Inbound<Verified>, Rejection>) -> Read {
    match verified {
        Ok(verified) => understand(active, &verified),
        Err(rejection) => Read { reading: Reading::Rejected { detail: rejection.to_string() }, trust: Trust::Unsigned },
    }
}

fn understand(active: &ActiveSource, inbound: &Inbound<Verified>) -> Read {
    let reading = match active.adapter.interpret(inbound) {
        Ok(observations) if observations.is_empty() => {
            Reading::Quarantined { task_id: None, detail: "it speaks of no task".into() }
        }
        Ok(observations) => Reading::Said(observations),
        Err(Unread::NoTask(detail)) => Reading::Quarantined { task_id: None, detail: clean(&detail) },
        Err(Unread::Unknown { task_id, detail }) => {
            Reading::Quarantined { task_id: Some(clean(&task_id)), detail: clean(&detail) }
        }
    };
    Read { reading, trust: inbound.trust() }
}

/// What signs the metadata of a source's callback URL: only who has our key can make it.
pub fn url_signature(key: &Secret, source: &str, pairs: &Metadata) -> Secret {
    use base64::Engine;
    use hmac::{Hmac, KeyInit, Mac};
    // Any length of key will do for HMAC.
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(key.expose().as_bytes()) else { return Secret::random("") };
    // Lengths keep one pair's end from being read as another's beginning.
    for part in std::iter::once(source).chain(pairs.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()])) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let bytes = mac.finalize().into_bytes();
    Secret::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// The path of a source's callback URL with this token.
pub fn token_path(source: &str, token: &Secret) -> String {
    format!("/callbacks/{source}/{}", token.expose())
}

/// The path and query of a source's callback URL, with metadata that is signed.
pub fn callback_path(roster: &Roster, source: &str, pairs: &Metadata) -> Option<String> {
    let active = roster.sources.get(source)?;
    let token = active.source.callback_tokens.first()?;
    let mut path = token_path(source, token);
    if !pairs.is_empty() {
        let signature = url_signature(&roster.url_key, source, pairs);
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .append_pair(crate::domain::callback::SIGNATURE_KEY, signature.expose())
            .finish();
        path.push('?');
        path.push_str(&query);
    }
    Some(path)
}

/// A command that posts a callback as a provider would: the example of the first registered provider whose source is
/// seen, calls back and does not sign.
pub fn example(roster: &Roster, base: &str, now: Timestamp, sees: impl Fn(&str) -> bool) -> Option<String> {
    let copied = |active: &&ActiveSource| {
        active.source.signing_secrets.is_empty() && calls_back(active.adapter) && sees(&active.source.name)
    };
    let registered = |active: &ActiveSource| PROVIDERS.iter().position(|known| known.name() == active.adapter.name());
    let mut sources: Vec<_> =
        roster.sources.values().filter(copied).map(|active| (registered(active), active)).collect();
    sources.sort_by_key(|(at, active)| (*at, active.source.name.clone()));
    let (_, active) = sources.first()?;
    let task_id = format!("task-unified-{}-{:04x}", now.0 / 1000, rand::random::<u16>());
    let path = callback_path(roster, &active.source.name, &Metadata::new())?;
    let body = active.adapter.example(&task_id, now);
    Some(format!("curl -H 'Content-Type: application/json' -d '{body}' {base}{path}"))
}
