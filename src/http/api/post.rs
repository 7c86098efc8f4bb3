//! Requests that change something: a JSON object in, one transaction, and of a POST the same answer again for the
//! same `Idempotency-Key`.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Payload};
use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder};
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::super::Services;
use super::super::auth::{self, Caller};
use super::super::callbacks::read;
use super::super::problem::Problem;
use super::list::invalid;
use crate::domain::access::{Right, Scope};
use crate::domain::clock::Timestamp;
use crate::domain::seal::{Seal, SealKey};
use crate::domain::secret::Secret;
use crate::domain::spelling::suggestion;
use crate::flow::roster::Roster;
use crate::store::{KeptAnswer, Tx};

/// At most so many characters of an `Idempotency-Key`.
const KEY_MAX: usize = 255;

/// Something that somebody wants changed: by a request of the API, or by a form of the dashboard.
pub(in crate::http) enum Wanted {
    /// By a request, whose key is not looked at yet.
    Asked(HttpRequest, Payload),
    /// By somebody who is signed in, in a form of theirs with these fields.
    Written(Caller, Map<String, Value>),
}

impl FromRequest for Wanted {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut actix_web::dev::Payload) -> Self::Future {
        let (asked, payload) = (request.clone(), Payload::from_request(request, payload));
        Box::pin(async move { Ok(Self::Asked(asked, payload.await?)) })
    }
}

impl Wanted {
    /// Who wants it, and what; if their key has the right.
    pub(super) async fn read(self, services: &Services, right: Right) -> Result<(Caller, Posted), Problem> {
        match self {
            Self::Asked(request, payload) => {
                let caller = auth::caller(&request, services, right).await?;
                let posted = Posted::read(services, &request, payload, &caller).await?;
                Ok((caller, posted))
            }
            Self::Written(caller, _) if !caller.role.has(right) => Err(Problem::Forbidden { role: caller.role, right }),
            Self::Written(caller, fields) => Ok((caller, Posted::written(fields))),
        }
    }
}

/// What was changed, as it is answered.
pub(in crate::http) struct Made {
    status: StatusCode,
    text: String,
}

impl Made {
    /// What was made, as it is answered; null of nothing.
    pub(in crate::http) fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl Responder for Made {
    type Body = BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse {
        if self.text.is_empty() {
            return HttpResponse::build(self.status).finish();
        }
        HttpResponse::build(self.status).content_type("application/json").body(self.text)
    }
}

/// What comes of a change.
pub(in crate::http) type Changed = Result<Made, Problem>;

/// Runs `make` in one transaction for a caller who has this right, and keeps its answer where the request has an
/// `Idempotency-Key`; the same request again is given the kept answer, another one is refused.
pub(super) async fn once(
    services: &Services,
    wanted: Wanted,
    right: Right,
    make: impl AsyncFnOnce(&Caller, &mut Tx, Fields) -> Result<(StatusCode, Value), Problem>,
) -> Changed {
    once_prepared(services, wanted, right, async |_: &Caller, fields| Ok(fields), make).await
}

/// The same after `prepare`, which needs a transaction of its own or takes longer than others should wait.
pub(super) async fn once_prepared<P>(
    services: &Services,
    wanted: Wanted,
    right: Right,
    prepare: impl AsyncFnOnce(&Caller, Fields) -> Result<P, Problem>,
    make: impl AsyncFnOnce(&Caller, &mut Tx, P) -> Result<(StatusCode, Value), Problem>,
) -> Changed {
    let (caller, posted) = wanted.read(services, right).await?;
    if posted.key.is_some()
        && let Some(kept) = posted.kept(&mut services.store.read().await?, services).await?
    {
        return Ok(kept);
    }
    let prepared = prepare(&caller, posted.fields()?).await?;
    let mut tx = services.store.write().await?;
    if let Some(kept) = posted.kept(&mut tx, services).await? {
        return Ok(kept);
    }
    let made = make(&caller, &mut tx, prepared).await?;
    let answer = posted.keep(&mut tx, services, made).await?;
    tx.commit().await?;
    services.wake.notify_one();
    Ok(answer)
}

/// A change of the settings that is under way: nobody else makes one.
pub(super) struct Change {
    /// Who makes it.
    pub(super) caller: Caller,
    /// Who is there before it.
    pub(super) roster: Arc<Roster>,
    /// What the caller may see.
    pub(super) scope: Scope,
    /// When.
    pub(super) now: Timestamp,
}

impl Change {
    /// Notes it in the audit log, as one that concerns this team, or all.
    pub(super) fn audit(&self, tx: &mut Tx, action: &str, object: &str, team: Option<&str>, detail: Option<Value>) {
        let by = self.caller.actor();
        let by = team.map_or_else(|| by.clone(), |team| by.for_team(team));
        tx.audit(&by, action, object, detail, self.now);
    }
}

/// As [`once`], for a change of the settings: `make` sees them as they are, and every instance follows.
pub(super) async fn settings(
    services: &Services,
    wanted: Wanted,
    right: Right,
    make: impl AsyncFnOnce(&Change, &mut Tx, Fields) -> Result<(StatusCode, Value), Problem>,
) -> Changed {
    let (caller, posted) = wanted.read(services, right).await?;
    let fields = posted.fields()?;
    let (mut tx, roster) = services.roster.change().await?;
    if let Some(kept) = posted.kept(&mut tx, services).await? {
        return Ok(kept);
    }
    let change = Change { scope: caller.scope(&roster), caller, roster, now: services.clock.now() };
    let made = make(&change, &mut tx, fields).await?;
    let answer = posted.keep(&mut tx, services, made).await?;
    tx.commit().await?;
    services.settings_changed().await;
    services.wake.notify_one();
    services.questions.notify_one();
    Ok(answer)
}

/// A request, read; and where it is a POST with an `Idempotency-Key`, what its answer is kept under.
pub(super) struct Posted {
    body: Bytes,
    fingerprint: String,
    key: Option<Key>,
}

/// What an answer is kept under, and sealed with: who has not both keys of the request reads nothing of it.
struct Key {
    name: String,
    seal: Seal,
}

impl Posted {
    /// Reads it.
    async fn read(
        services: &Services,
        request: &HttpRequest,
        payload: Payload,
        caller: &Caller,
    ) -> Result<Self, Problem> {
        let key = if request.method() == Method::POST { idempotency_key(request, caller)? } else { None };
        let body = read(payload, services.config.server.max_body).await?;
        let fingerprint = hash(&[request.path().as_bytes(), &body]);
        Ok(Self { body, fingerprint, key })
    }

    /// What was written into a form, which has no key.
    fn written(fields: Map<String, Value>) -> Self {
        Self { body: Value::Object(fields).to_string().into(), fingerprint: String::new(), key: None }
    }

    /// Its fields.
    pub(super) fn fields(&self) -> Result<Fields, Problem> {
        Fields::read(&self.body)
    }

    /// The answer that was given to it before.
    pub(super) async fn kept(&self, tx: &mut Tx, services: &Services) -> Result<Option<Made>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let Some(kept) = tx.kept_answer(&key.name, services.clock.now()).await? else { return Ok(None) };
        let used = || Problem::Conflict("this `Idempotency-Key` was used for another request; take a new one".into());
        if kept.request != self.fingerprint {
            return Err(used());
        }
        let body = key.seal.open(&kept.body, &key.name).map_err(|_| used())?;
        let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
        Ok(Some(Made { status, text: body.expose().to_owned() }))
    }

    /// Its answer, kept where it has a key.
    pub(super) async fn keep(&self, tx: &mut Tx, services: &Services, (status, value): (StatusCode, Value)) -> Changed {
        let text = if value.is_null() { String::new() } else { value.to_string() };
        if let Some(key) = &self.key {
            let sealed = key.seal.seal(&Secret::new(text.as_str()), &key.name).unwrap_or_default();
            let kept = KeptAnswer { request: self.fingerprint.clone(), status: status.as_u16(), body: sealed };
            tx.keep_answer(&key.name, &kept, services.clock.now()).await.map_err(|error| {
                if error.is_taken() {
                    Problem::Conflict("another request with this `Idempotency-Key` is being answered".into())
                } else {
                    error.into()
                }
            })?;
        }
        Ok(Made { status, text })
    }
}

/// What the answer is kept under: two callers may use the same word.
fn idempotency_key(request: &HttpRequest, caller: &Caller) -> Result<Option<Key>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| !text.is_empty() && text.len() <= KEY_MAX);
    let text =
        text.ok_or_else(|| invalid("Idempotency-Key", format!("it must be 1 to {KEY_MAX} visible characters")))?;
    let key_id = caller.key_id.as_deref().unwrap_or_default();
    let name = hash(&[key_id.as_bytes(), text.as_bytes()]);
    let secret = auth::bearer(request).ok_or(Problem::Unauthorized)?;
    let bytes = digest(&[b"idempotency", secret.expose().as_bytes(), text.as_bytes()]);
    Ok(Seal::new(vec![SealKey::of(bytes)]).map(|seal| Key { name, seal }))
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn hash(parts: &[&[u8]]) -> String {
    digest(parts).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fields of a request's JSON object, each of which must be asked for.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// These.
    pub(super) fn of(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    fn read(body: &[u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(invalid("body", "a JSON object is expected")),
            Err(error) => Err(invalid("body", format!("it is not JSON: {error}"))),
        }
    }

    /// A field that must be there.
    pub(super) fn needed(&mut self, name: &str) -> Result<String, Problem> {
        self.text(name)?.ok_or_else(|| invalid(name, "it is needed"))
    }

    /// A field that is a string, if it is there.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(name, "a string is expected")),
        }
    }

    /// A field that is a list of strings, if it is there.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                serde_json::from_value(value).map(Some).map_err(|_| invalid(name, "a list of strings is expected"))
            }
        }
    }

    /// A field that is a number from 1, if it is there.
    pub(super) fn count(&mut self, name: &str, max: u32) -> Result<Option<usize>, Problem> {
        let wrong = || invalid(name, format!("a number from 1 to {max} is expected"));
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_u64().filter(|number| (1..=u64::from(max)).contains(number)).ok_or_else(wrong)?;
                usize::try_from(number).map(Some).map_err(|_| wrong())
            }
        }
    }

    /// A field that is a moment, if it is there.
    pub(super) fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let wrong = || invalid(name, format!("`{text}` is not a time: write it as 2026-11-21T02:00:00Z"));
        Timestamp::parse(&text).map(Some).ok_or_else(wrong)
    }

    /// A field that may not be changed: left out, or as it is.
    pub(super) fn unchanged(&mut self, name: &str, is: &str) -> Result<(), Problem> {
        match self.text(name)? {
            Some(text) if text != is => Err(invalid(name, format!("it cannot be changed from `{is}`; leave it out"))),
            _ => Ok(()),
        }
    }

    /// Every field, as it is.
    pub(super) fn all(self) -> Map<String, Value> {
        self.0
    }

    /// A field that is true or false; false where it is not there.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(invalid(name, "true or false is expected")),
        }
    }

    /// A field as it is, if it is there.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Nothing else may be there; `known` are the fields that may.
    pub(super) fn end(self, known: &[&str]) -> Result<(), Problem> {
        let Some(name) = self.0.keys().next() else { return Ok(()) };
        Err(invalid(name, format!("there is no such field; {}", suggestion(name, known.iter().copied()))))
    }
}
