//! `POST /callbacks/{source}/{token}`: bytes in, status out (contract §4).

use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use serde::Serialize;

use super::problem::{NO_SUCH_ROUTE, Problem};
use super::{Services, client};
use crate::domain::callback::CallbackOutcome;
use crate::flow::fold::Folded;
use crate::flow::receive::{Posted, Received, Refused};
use crate::flow::record::Receipt;
use crate::providers::Header;

/// How long the whole body is awaited: providers give up after 10 s (EvoLink, `docs/providers.md`).
const BODY_DEADLINE: Duration = Duration::from_secs(10);

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

fn headers(request: &HttpRequest) -> Vec<Header> {
    request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

#[derive(Serialize)]
struct Answer<'a> {
    outcome: CallbackOutcome,
    callback_id: Option<&'a str>,
    task_id: Option<&'a str>,
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tasks: Vec<OneTask<'a>>,
}

#[derive(Serialize)]
struct OneTask<'a> {
    task_id: &'a str,
    outcome: CallbackOutcome,
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

fn recorded(receipt: &Receipt) -> Answer<'_> {
    fn event(folded: &Folded) -> Option<&str> {
        folded.event_id.as_ref().map(|id| id.as_str())
    }
    let first = receipt.tasks.first();
    let each = receipt.tasks.iter().map(|folded| OneTask {
        task_id: &folded.task_id,
        outcome: folded.outcome,
        event_id: event(folded),
    });
    Answer {
        outcome: receipt.outcome,
        callback_id: receipt.callback_id.as_ref().map(|id| id.as_str()),
        task_id: receipt.task_id(),
        event_id: first.and_then(event),
        detail: receipt.detail.as_deref(),
        tasks: if receipt.tasks.len() > 1 { each.collect() } else { Vec::new() },
    }
}
