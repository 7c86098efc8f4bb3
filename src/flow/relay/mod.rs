//! The relay: a request is passed on to its provider as it came, and a task that it makes is known before
//! the client has its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::mpsc;
use url::Url;

use self::place::Parts;
use self::request::{idempotency_key, metadata, passed_on, providers_take, target};
use super::entry::{Entry, MadeBy, Opened, Reading};
use super::receive::callback_path;
use super::record::Recorder;
use super::roster::{ActiveSource, LiveRoster, Roster};
use crate::domain::access::Scope;
use crate::domain::callback::INTENT_KEY;
use crate::domain::clock::SharedClock;
use crate::domain::id::IntentId;
use crate::domain::seal::Seal;
use crate::domain::secret::Secret;
use crate::domain::source::RelayKeys;
use crate::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Status, Trust, Via};
use crate::egress::{BodyStream, Egress, EgressError, HeaderBytes, Pass, PassBody, Passed, host_of};
use crate::providers::api::{Api, Ask, CallbackUrl, Reply};
use crate::shutdown::Lifecycle;
use crate::store::{Intent, NewIntent, Store};

mod place;
mod request;

/// How long the head of an answer is waited for: some providers answer a create once its task has ended, for which
/// Replicate takes up to a minute.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// How long may go by between two pieces of an answer's body.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long the database is waited for before the provider is asked (contract §4).
const PATIENCE: Duration = Duration::from_secs(3);
/// So much of the answer to a create is read for its task; no provider answers a hundredth of it.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// Passes requests on. Clones are the same.
#[derive(Clone)]
pub struct Relay {
    /// Who is there.
    pub roster: Arc<LiveRoster>,
    /// The database.
    pub store: Store,
    /// Where tasks go.
    pub recorder: Recorder,
    /// The way to the operator's own addresses, as `base_url` is.
    pub egress: Egress,
    /// What seals the keys of clients; `None` where none can be kept.
    pub seal: Option<Arc<Seal>>,
    /// What callback URLs begin with, where providers reach us.
    pub public_url: Option<String>,
    /// The time.
    pub clock: SharedClock,
    /// The life of the process.
    pub life: Lifecycle,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The source.
    pub source: String,
    /// In upper case.
    pub method: String,
    /// What stands behind the source in the URL, from the `/`, as it is written.
    pub path: String,
    /// Without `?`.
    pub query: Option<String>,
    /// Names in lower case.
    pub headers: Vec<HeaderBytes>,
}

/// The body of a request that makes no task.
pub enum Body {
    /// There is none.
    None,
    /// Its pieces as they come, and `None` at its end; so many bytes where that is known.
    Pieces(mpsc::Receiver<Option<Bytes>>, Option<u64>),
}

/// What came back from the provider, to be given to the client as it is.
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The headers, without those of the connection.
    pub headers: Vec<HeaderBytes>,
    /// How long the body is, where the provider said so.
    pub length: Option<u64>,
    /// The body, byte for byte.
    pub body: BodyStream,
    /// What became of the task that it makes.
    pub task: Made,
}

/// What became of the task that a request makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Made {
    /// It makes none, or the provider refused.
    Nothing,
    /// It is known now.
    Task(String),
    /// One may have been made, and could not be kept.
    Unrecorded,
}

/// Why there is no answer of the provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No such source.
    Unknown,
    /// The source has no `base_url`.
    NoBaseUrl(String),
    /// The path leads out of the provider's API.
    Path,
    /// Something in the request is wrong.
    Invalid {
        /// What.
        field: String,
        /// What is wrong with it, and what it should be.
        problem: String,
    },
    /// The request could not be kept; the provider was not asked.
    NotKept,
    /// The provider could not be reached, or broke off.
    Unreached(String),
    /// The provider did not answer in time.
    TimedOut(String),
}

impl Refused {
    fn of(error: EgressError) -> Self {
        match error {
            EgressError::Timeout { .. } => Self::TimedOut(error.to_string()),
            _ => Self::Unreached(error.to_string()),
        }
    }
}

/// A request whose source and path are good.
pub struct Admitted {
    relay: Relay,
    roster: Arc<Roster>,
    asked: Asked,
    /// The API, where it is known.
    ask: Option<&'static dyn Ask>,
}

impl Relay {
    /// Looks at a request before its body is read.
    ///
    /// # Errors
    /// Why it is not passed on.
    pub fn admit(&self, asked: Asked, scope: &Scope) -> Result<Admitted, Refused> {
        let roster = self.roster.now();
        let active = roster.sources.get(&asked.source).filter(|active| scope.sees_source(&active.source.name));
        let active = active.ok_or(Refused::Unknown)?;
        let base_url = active.source.base_url.as_deref();
        let base_url = base_url.ok_or_else(|| Refused::NoBaseUrl(asked.source.clone()))?;
        target(base_url, &asked.path, asked.query.as_deref())?;
        let ask = active.adapter.ask();
        Ok(Admitted { relay: self.clone(), ask, asked, roster })
    }
}

impl Admitted {
    /// Whether it makes a task; its body is then read whole.
    pub fn creates(&self) -> bool {
        self.api().is_some_and(|api| api.creates(&self.asked.method, &self.asked.path))
    }

    fn api(&self) -> Option<&'static Api> {
        self.ask.map(|ask| ask.api())
    }

    /// What is said when it is not answered within [`ANSWER_WITHIN`].
    pub fn late(&self) -> Refused {
        let host = self.url(None).map(|url| host_of(&url)).unwrap_or_default();
        Refused::of(EgressError::Timeout { host, after: ANSWER_WITHIN })
    }

    /// Passes it on as it comes.
    ///
    /// # Errors
    /// The provider could not be reached, or did not answer.
    pub async fn pass(self, body: Body) -> Result<Answered, Refused> {
        let (url, mut headers) = (self.url(self.asked.query.as_deref())?, self.headers());
        let body = match body {
            Body::None => PassBody::None,
            Body::Pieces(pieces, length) => {
                headers.extend(length.map(|length| ("content-length".to_owned(), length.to_string().into_bytes())));
                PassBody::Stream(incoming(pieces, host_of(&url)))
            }
        };
        let request = Pass { method: &self.asked.method, url: &url, headers, body };
        let passed = self.egress().pass(request, IDLE_MAX).await.map_err(Refused::of)?;
        count(&self.asked.source, "passed");
        Ok(answered(passed))
    }

    /// Passes on a request that makes a task: it is kept first, and the task is known before the client has
    /// the answer. That goes on if the client does not wait for it. The provider is asked once, whatever happens.
    ///
    /// # Errors
    /// Why there is no answer of the provider.
    pub async fn create(self, body: Bytes) -> Result<Answered, Refused> {
        let (Some(ask), Some(active)) = (self.ask, self.roster.sources.get(&self.asked.source)) else {
            return Err(Refused::Unknown);
        };
        let place = ask.api().callback_url;
        let mut parts = Parts { query: self.asked.query.clone(), headers: self.headers(), body };
        let mut new = NewIntent {
            id: IntentId::new(self.relay.clock.now()),
            source: self.asked.source.clone(),
            idempotency_key: idempotency_key(&self.asked.headers)?,
            metadata: metadata(&self.asked.headers)?,
            sealed_key: self.sealed_key(active),
            client_url: None,
            created_at: self.relay.clock.now(),
        };
        let ours = |id: &IntentId| self.callback_url(id).filter(|_| place != CallbackUrl::Nowhere);
        let is_put = ours(&new.id).is_some_and(|url| parts.clone().put_callback_url(place, &url));
        if is_put {
            new.client_url = parts.callback_url(place).map(|url| self.judge(&url)).transpose()?;
        }
        let intent = self.relay.keep(new).await?;
        if let Some(url) = ours(&intent.id).filter(|_| is_put) {
            parts.put_callback_url(place, &url);
        }
        let url = self.url(parts.query.as_deref())?;
        count(&self.asked.source, "created");
        let life = self.relay.life.clone();
        let asking = life.spawn(async move { self.put(ask, &intent, url, parts).await });
        asking.await.unwrap_or_else(|_| Err(Refused::Unreached("the relay failed over its answer".into())))
    }

    /// The way to the source's `base_url`.
    fn egress(&self) -> &Egress {
        match self.roster.sources.get(&self.asked.source) {
            Some(active) => self.relay.roster.way_to(&active.source, &self.relay.egress),
            None => &self.relay.roster.house().egress,
        }
    }

    /// Puts the request to the provider, and keeps the task that its answer names.
    async fn put(self, ask: &dyn Ask, intent: &Intent, url: Url, parts: Parts) -> Result<Answered, Refused> {
        let Parts { headers, body, .. } = parts;
        let request = Pass { method: &self.asked.method, url: &url, headers, body: PassBody::Whole(body) };
        let asking = async {
            let mut passed = self.egress().pass(request, IDLE_MAX).await?;
            let (whole, rest) = gathered(&mut passed.body).await?;
            Ok((passed, whole, rest))
        };
        let late = EgressError::Timeout { host: host_of(&url), after: ANSWER_WITHIN };
        let asked = tokio::time::timeout(ANSWER_WITHIN, asking).await.unwrap_or(Err(late));
        let (mut passed, whole, is_whole) = asked.map_err(|error| {
            tracing::warn!(source.name = self.asked.source, intent.id = %intent.id, %error, "no answer to a relayed request");
            Refused::of(error)
        })?;
        let reply = Reply { status: passed.status, body: &whole, received_at: self.relay.clock.now() };
        let made = match ask.created(&reply) {
            Ok(seen) if is_whole => self.remember(intent, seen, &reply).await,
            _ => self.no_task(intent, passed.status).await,
        };
        let rest = std::mem::replace(&mut passed.body, stream::empty().boxed());
        let whole = stream::iter([Ok(whole)]);
        passed.body = if is_whole { whole.boxed() } else { whole.chain(rest).boxed() };
        Ok(Answered { task: made, ..answered(passed) })
    }

    /// Keeps the task that the answer names. A callback of it that came before is joined with it.
    async fn remember(&self, intent: &Intent, mut seen: Observation, reply: &Reply<'_>) -> Made {
        // A create's answer opens the task and is no step, unless it is the end.
        if !seen.status.is_terminal() {
            seen.status = Status::Pending;
        }
        let task_id = seen.task_id.clone();
        let made_by = Some(MadeBy { intent_id: intent.id.to_string(), status: reply.status });
        let from = Provenance {
            via: Via::Relay,
            trust: Trust::SignedBody,
            metadata: Metadata::new(),
            metadata_origin: MetadataOrigin::Absent,
        };
        let reading = Reading::Opened(Opened { seen, deadline: None, made_by });
        let (source, roster) = (self.asked.source.clone(), Arc::clone(&self.roster));
        let entry = Entry::new(source, reading, from, reply.received_at, None, roster);
        match self.relay.recorder.record(entry).await {
            Ok(_) => Made::Task(task_id),
            Err(_) => {
                tracing::error!(
                    source.name = self.asked.source,
                    task.id = task_id,
                    intent.id = %intent.id,
                    "a relayed task could not be kept: register it with POST /api/v1/tasks"
                );
                Made::Unrecorded
            }
        }
    }

    /// The answer names no task: the provider refused, or says it in a way that nobody knows.
    async fn no_task(&self, intent: &Intent, status: u16) -> Made {
        // After a fault of the provider's own there may be a task all the same, whose callback will tell.
        let noted = self.relay.note(&intent.id, status, (400..500).contains(&status)).await;
        if let Err(error) = noted {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(intent.id = %intent.id, error, "how the provider answered could not be written down");
        }
        if (200..300).contains(&status) {
            tracing::warn!(source.name = self.asked.source, intent.id = %intent.id, "no task was found in a create's answer");
            return Made::Unrecorded;
        }
        Made::Nothing
    }

    fn url(&self, query: Option<&str>) -> Result<Url, Refused> {
        let source = &self.roster.sources.get(&self.asked.source).ok_or(Refused::Unknown)?.source;
        target(source.base_url.as_deref().unwrap_or_default(), &self.asked.path, query)
    }

    /// The headers that are passed on, with the source's own key where the client has none and the route may have it.
    fn headers(&self) -> Vec<HeaderBytes> {
        let mut headers = passed_on(self.asked.headers.clone());
        let takes_our_key = self.api().is_some_and(|api| api.takes_our_key(&self.asked.method, &self.asked.path));
        let source = self.roster.sources.get(&self.asked.source).map(|active| &active.source);
        let key = source.and_then(|source| source.api_key.as_ref()).filter(|_| takes_our_key);
        if let (Some(key), None) = (key, authorization(&headers)) {
            headers.push(("authorization".to_owned(), format!("Bearer {}", key.expose()).into_bytes()));
        }
        headers
    }

    /// The callback URL of an intent, if providers take it.
    fn callback_url(&self, id: &IntentId) -> Option<String> {
        let path = callback_path(&self.roster, &self.asked.source, &Metadata::new())?;
        let url = format!("{}{path}?{INTENT_KEY}={id}", self.relay.public_url.as_deref()?);
        providers_take(&url).then_some(url)
    }

    /// The client's own callback URL, if it is one that we post to.
    fn judge(&self, url: &str) -> Result<String, Refused> {
        let egress = &self.relay.roster.house().egress;
        let checked = egress.check_url(url);
        let invalid = |problem| Refused::Invalid { field: "callback URL".to_owned(), problem };
        checked.map(|url| url.to_string()).map_err(|refused| invalid(refused.to_string()))
    }

    /// The client's key for the polls of its task, where the source has none and may keep it.
    fn sealed_key(&self, active: &ActiveSource) -> Option<String> {
        let source = &active.source;
        if source.api_key.is_some() || source.relay_keys == RelayKeys::Forget {
            return None;
        }
        let key = authorization(&self.asked.headers)?;
        self.relay.seal.as_ref()?.seal(&key, &purpose(&source.name))
    }
}

impl Relay {
    async fn keep(&self, new: NewIntent) -> Result<Intent, Refused> {
        let keeping = async {
            let mut tx = self.store.write().await?;
            let intent = tx.open_intent(&new).await?;
            tx.commit().await.map(|()| intent)
        };
        match tokio::time::timeout(PATIENCE, keeping).await {
            Ok(Ok(intent)) => Ok(intent),
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(source.name = new.source, error, "a request to relay could not be kept");
                Err(Refused::NotKept)
            }
            Err(_) => {
                tracing::error!(source.name = new.source, "a request to relay could not be kept in time");
                Err(Refused::NotKept)
            }
        }
    }

    async fn note(&self, id: &IntentId, status: u16, forget: bool) -> crate::store::Result<()> {
        let mut tx = self.store.write().await?;
        tx.no_task(id, status, forget).await?;
        tx.commit().await
    }
}

/// What a client's key is sealed for.
pub(super) fn purpose(source: &str) -> String {
    format!("intent:{source}")
}

fn authorization(headers: &[HeaderBytes]) -> Option<Secret> {
    let (_, value) = headers.iter().find(|(name, _)| name == "authorization")?;
    String::from_utf8(value.clone()).ok().map(Secret::new)
}

/// The first of a body, as much as is read, and whether that is all; the rest stays in the stream.
async fn gathered(body: &mut BodyStream) -> Result<(Bytes, bool), EgressError> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        whole.extend_from_slice(&piece?);
        if whole.len() > ANSWER_MAX {
            return Ok((whole.freeze(), false));
        }
    }
    Ok((whole.freeze(), true))
}

/// The pieces as a body. One that ends without its end breaks off, so that nobody takes a part for the whole.
fn incoming(pieces: mpsc::Receiver<Option<Bytes>>, host: String) -> BodyStream {
    stream::unfold(Some((pieces, host)), |state| async move {
        let (mut pieces, host) = state?;
        match pieces.recv().await {
            Some(Some(piece)) => Some((Ok(piece), Some((pieces, host)))),
            Some(None) => None,
            None => Some((Err(EgressError::Broken { host }), None)),
        }
    })
    .boxed()
}

fn answered(passed: Passed) -> Answered {
    let length = passed.headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
    Answered {
        status: passed.status,
        headers: passed_on(passed.headers),
        length,
        body: passed.body,
        task: Made::Nothing,
    }
}

fn count(source: &str, kind: &'static str) {
    metrics::counter!("callboard_relayed_total", "source" => source.to_owned(), "kind" => kind).increment(1);
}
