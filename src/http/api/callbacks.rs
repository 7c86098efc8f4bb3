//! Callbacks as they came in.

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::Services;
use super::super::auth::{self, Caller};
use super::super::problem::Problem;
use super::list::{self, Query};
use super::post::{Fields, once_prepared};
use super::{Answer, view};
use crate::domain::access::Right;
use crate::domain::callback::CallbackOutcome;
use crate::domain::id::{CallbackId, EventId};
use crate::flow::reprocess::NotRead;
use crate::flow::write::Receipt;
use crate::store::{CallbackFilter, KeptCallback};

pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let filters = ["outcome", "source", "task_id"];
    let query = Query::read(request.query_string(), "callbacks", &filters, &roster.url_key)?;
    let filter = CallbackFilter {
        outcome: query.word("outcome", CallbackOutcome::parse, &CallbackOutcome::ALL.map(CallbackOutcome::as_str))?,
        source: query.text("source"),
        task_id: query.text("task_id"),
        before: query.before.clone(),
        limit: query.limit,
    };
    let page = services.store.read().await?.callbacks(&caller.scope(&roster), &filter).await?;
    Ok(list::answer(page, "callbacks", &roster.url_key, view::callback))
}

pub(super) async fn show(services: Data<Services>, request: HttpRequest, id: Path<String>) -> Answer {
    let kept = find(&services, &request, &id).await?;
    let mut shown = view::callback(&kept.row);
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    shown["query"] = json!(kept.query);
    shown["headers"] = parsed(&kept.headers);
    shown["body_base64"] = json!(STANDARD.encode(&kept.body));
    if let Some(tasks) = &kept.tasks {
        shown["tasks"] = parsed(tasks);
    }
    Ok(HttpResponse::Ok().json(shown))
}

/// What became of a callback that was read again.
#[derive(Serialize)]
struct Reprocessed {
    /// The row that it is kept as now.
    callback_id: Option<CallbackId>,
    outcome: CallbackOutcome,
    task_id: Option<String>,
    event_id: Option<EventId>,
    detail: Option<String>,
}

impl Reprocessed {
    fn of(receipt: Receipt) -> Self {
        Self {
            task_id: receipt.task_id().map(str::to_owned),
            event_id: receipt.tasks.into_iter().next().and_then(|folded| folded.event_id),
            callback_id: receipt.callback_id,
            outcome: receipt.outcome,
            detail: receipt.detail,
        }
    }
}

pub(super) async fn reprocess(
    services: Data<Services>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Answer {
    let read_again = async |caller: &Caller, fields: Fields| {
        fields.end(&[])?;
        let scope = caller.scope(&services.roster.now());
        let kept = services.store.read().await?.callback(&scope, &id).await?.ok_or(NO_CALLBACK)?;
        let source = kept.row.source.clone();
        // It goes the way of all callbacks, in a transaction that is not this request's.
        services.receiver.reprocess(kept).await.map_err(|not_read| match not_read {
            NotRead::NoSource => {
                Problem::Conflict(format!("there is no source `{source}` any more, so nobody knows how to read it"))
            }
            NotRead::Unrecorded => Problem::Unavailable,
        })
    };
    once_prepared(&services, &request, payload, Right::Manage, read_again, async |_, _, receipt| {
        Ok((StatusCode::ACCEPTED, json!(Reprocessed::of(receipt))))
    })
    .await
}

pub(super) async fn body(services: Data<Services>, request: HttpRequest, id: Path<String>) -> Answer {
    let kept = find(&services, &request, &id).await?;
    // Whatever a provider sent, a browser must only ever save it.
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((header::CONTENT_DISPOSITION, "attachment"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(kept.body))
}

async fn find(services: &Services, request: &HttpRequest, id: &str) -> Result<KeptCallback, Problem> {
    let caller = auth::caller(request, services, Right::Read).await?;
    let scope = caller.scope(&services.roster.now());
    let found = services.store.read().await?.callback(&scope, id).await?;
    found.ok_or(NO_CALLBACK)
}

const NO_CALLBACK: Problem = Problem::NotFound("there is no callback with this id");
