//! `POST /callbacks/{source}/{token}`: bytes in, status out (contract §4).

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{NO_SUCH_ROUTE, Problem};
use super::{Services, client};
use crate::domain::callback::CallbackOutcome;
use crate::flow::fold::Folded;
use crate::flow::receive::{Posted, Received, Refused};
use crate::flow::record::Receipt;
use crate::providers::Header;

/// How long the whole body is awaited: providers give up after 10 s (EvoLink, `docs/providers.md`).
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Receive a callback
///
/// What a provider posts: any body, taken as the bytes that it is. The query becomes the task's `metadata`; names that begin with `cb_` are
/// Callboard's own. A success is answered once what was received is durable, well inside the 10 s that providers wait. A provider that
/// wants a particular body gets that instead.
#[utoipa::path(post, path = "/callbacks/{source}/{token}", tag = "callbacks in",
    request_body(content = Vec<u8>, content_type = "*/*", description = "The callback, without `Content-Encoding`"),
    responses(
        (status = 200, description = "It is kept; `outcome` says what it was", body = Outcome),
        (status = 401, description = "The source signs, and the signature is missing, wrong or too old; it is kept as `rejected`"),
        (status = 404, description = "There is no such callback URL; nothing is kept"),
        (status = 408, description = "The body did not come within 10 s"),
        (status = 413, description = "It is larger than `server.max_body`"),
        (status = 415, description = "It has a `Content-Encoding` other than `identity`"),
        (status = 422, description = "It cannot be read, or no task id is in it; it is kept as `quarantined`"),
        (status = 429, description = "More than `rate` of the source"),
        (status = 503, description = "The database cannot take it, or not within 3 s; nothing is kept of it"),
    ),
)]
pub(super) async fn receive(
    services: Data<Services>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let (source, token) = source_and_token(&request).ok_or(NO_SUCH_ROUTE)?;
    let admitted = services.receiver.admit(source, token).map_err(|refused| match refused {
        Refused::Unknown => Problem::NotFound("there is no such callback URL"),
        Refused::TooMany(wait) => Problem::TooMany(wait),
    })?;
    if is_encoded(&request) {
        return Err(Problem::Encoded);
    }
    let body = read(payload, services.config.server.max_body).await?;
    let posted = Posted {
        query: request.query_string().to_owned(),
        headers: headers(&request),
        body,
        remote: client::address(&request, &services.config.server.trusted_proxies).map(|address| address.to_string()),
    };
    answer(admitted.receive(posted).await?)
}

/// What stands behind `/callbacks`, decoded: a source and a token.
fn source_and_token(request: &HttpRequest) -> Option<(&str, &str)> {
    let path = request.match_info().unprocessed();
    let (source, token) = path.strip_prefix('/')?.split_once('/')?;
    (request.method() == Method::POST && !token.contains('/')).then_some((source, token))
}

fn is_encoded(request: &HttpRequest) -> bool {
    request
        .headers()
        .get_all(header::CONTENT_ENCODING)
        .any(|value| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

/// The whole body, within a size and a time.
pub(super) async fn read(mut payload: Payload, max: usize) -> Result<Bytes, Problem> {
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            // The client went away: nobody will read the answer.
            let chunk = chunk.map_err(|_| Problem::TooSlow)?;
            if body.len() + chunk.len() > max {
                return Err(Problem::TooLarge(max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(BODY_DEADLINE, reading).await.map_err(|_| Problem::TooSlow)?
}

fn headers(request: &HttpRequest) -> Arc<[Header]> {
    request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// What became of a callback that was received.
#[derive(Serialize, ToSchema)]
pub(super) struct Outcome<'a> {
    outcome: CallbackOutcome,
    /// What it is kept as.
    callback_id: Option<&'a str>,
    /// The task that it speaks of; of several, the first.
    task_id: Option<&'a str>,
    /// The event that it made or repeats; null where there is none yet.
    event_id: Option<&'a str>,
    /// Why, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<&'a str>,
    /// Each task, where it speaks of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tasks: Vec<OneTask<'a>>,
}

/// What became of one of several tasks.
#[derive(Serialize, ToSchema)]
#[schema(as = OutcomeOfTask)]
pub(super) struct OneTask<'a> {
    task_id: &'a str,
    outcome: CallbackOutcome,
    /// The event that was made or is repeated.
    event_id: Option<&'a str>,
}

fn answer(received: Received) -> Result<HttpResponse, Problem> {
    let problem = |receipt: Receipt| {
        let callback_id = receipt.callback_id.map(|id| id.to_string());
        (receipt.detail.unwrap_or_default(), callback_id)
    };
    match received {
        Received::Handshake(wanted) | Received::Recorded(_, Some(wanted)) => {
            Ok(HttpResponse::Ok().content_type(wanted.content_type).body(wanted.body))
        }
        Received::Recorded(receipt, None) => Ok(HttpResponse::Ok().json(recorded(&receipt))),
        Received::Unreadable(receipt) => {
            let (detail, callback_id) = problem(receipt);
            Err(Problem::Unreadable { detail, callback_id })
        }
        Received::Rejected(receipt) => {
            let (detail, callback_id) = problem(receipt);
            Err(Problem::Unsigned { detail, callback_id })
        }
    }
}

fn recorded(receipt: &Receipt) -> Outcome<'_> {
    fn event(folded: &Folded) -> Option<&str> {
        folded.event_id.as_ref().map(|id| id.as_str())
    }
    let first = receipt.tasks.first();
    let each = receipt.tasks.iter().map(|folded| OneTask {
        task_id: &folded.task_id,
        outcome: folded.outcome,
        event_id: event(folded),
    });
    Outcome {
        outcome: receipt.outcome,
        callback_id: receipt.callback_id.as_ref().map(|id| id.as_str()),
        task_id: receipt.task_id(),
        event_id: first.and_then(event),
        detail: receipt.detail.as_deref(),
        tasks: if receipt.tasks.len() > 1 { each.collect() } else { Vec::new() },
    }
}
