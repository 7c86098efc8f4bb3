//! POSTs: a JSON object in, one transaction, and the same answer again for the same `Idempotency-Key`.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::super::Services;
use super::super::auth::{self, Caller};
use super::super::callbacks::read;
use super::super::problem::Problem;
use super::list::invalid;
use crate::domain::access::Right;
use crate::domain::spelling::suggestion;
use crate::store::{KeptAnswer, Tx};

/// At most so many characters of an `Idempotency-Key`.
const KEY_MAX: usize = 255;

/// Runs `make` in one transaction for a caller who has this right, and keeps its answer where the request has an
/// `Idempotency-Key`; the same request again is given the kept answer, another one is refused.
pub(super) async fn once(
    services: &Services,
    request: &HttpRequest,
    payload: Payload,
    right: Right,
    make: impl AsyncFnOnce(&Caller, &mut Tx, Fields) -> Result<(StatusCode, Value), Problem>,
) -> Result<HttpResponse, Problem> {
    let caller = auth::caller(request, services, right).await?;
    let key = idempotency_key(request, &caller)?;
    let body = read(payload, services.config.server.max_body).await?;
    let fingerprint = hash(&[request.path().as_bytes(), &body]);
    let now = services.clock.now();
    let mut tx = services.store.write().await?;
    if let Some(key) = &key
        && let Some(kept) = tx.kept_answer(key, now).await?
    {
        return again(kept, &fingerprint);
    }
    let (status, value) = make(&caller, &mut tx, Fields::read(&body)?).await?;
    let text = value.to_string();
    if let Some(key) = key {
        let kept = KeptAnswer { request: fingerprint, status: status.as_u16(), body: text.clone() };
        tx.keep_answer(&key, &kept, now).await.map_err(|error| {
            if error.is_taken() {
                Problem::Conflict("another request with this `Idempotency-Key` is being answered".into())
            } else {
                error.into()
            }
        })?;
    }
    tx.commit().await?;
    services.wake.notify_one();
    Ok(HttpResponse::build(status).content_type("application/json").body(text))
}

fn again(kept: KeptAnswer, fingerprint: &str) -> Result<HttpResponse, Problem> {
    if kept.request != fingerprint {
        return Err(Problem::Conflict("this `Idempotency-Key` was used for another request; take a new one".into()));
    }
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    Ok(HttpResponse::build(status).content_type("application/json").body(kept.body))
}

/// What the answer is kept under: two callers may use the same word.
fn idempotency_key(request: &HttpRequest, caller: &Caller) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| !text.is_empty() && text.len() <= KEY_MAX);
    let text =
        text.ok_or_else(|| invalid("Idempotency-Key", format!("it must be 1 to {KEY_MAX} visible characters")))?;
    let key_id = caller.key_id.as_deref().unwrap_or_default();
    Ok(Some(hash(&[key_id.as_bytes(), text.as_bytes()])))
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fields of a request's JSON object, each of which must be asked for.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
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
