//! Callbacks as they came in.

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::Services;
use super::super::auth::{self, Caller};
use super::super::problem::Problem;
use super::list::{self, Query};
use super::post::{Changed, Fields, Wanted, once_prepared};
use super::view::{CallbackView, Page};
use super::{Answer, view};
use crate::domain::access::Right;
use crate::domain::callback::CallbackOutcome;
use crate::domain::id::{CallbackId, EventId};
use crate::flow::reprocess::NotRead;
use crate::flow::write::Receipt;
use crate::http::callbacks::OneTask;
use crate::http::openapi::{Nothing, asked};
use crate::store::{CallbackFilter, KeptCallback};

/// A callback and what was in it.
#[derive(Serialize, ToSchema)]
#[schema(as = CallbackWithBytes)]
pub(in crate::http) struct WholeView<'a> {
    #[serde(flatten)]
    callback: CallbackView<'a>,
    /// The query of the URL, as it came.
    query: &'a str,
    /// Each header's name and value.
    #[schema(value_type = Vec<Vec<String>>)]
    headers: Box<RawValue>,
    #[schema(content_encoding = "base64")]
    body_base64: String,
    /// Each task, where it speaks of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<OneTask>, required = false)]
    tasks: Option<Box<RawValue>>,
}

/// List callbacks
///
/// What came in, the newest first.
#[utoipa::path(get, path = "/callbacks", security(("key" = ["read"])), params(asked::Callbacks, asked::Paging), responses(
    (status = 200, description = "A page of them", body = Page<CallbackView>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let filters = ["outcome", "source", "task_id"];
    let query = Query::read(request.query_string(), "callbacks", &filters, &roster.url_key)?;
    let page = services.read_callbacks().await?.callbacks(&caller.scope(&roster), &filter(&query)?).await?;
    Ok(list::answer(&page, "callbacks", &roster.url_key, view::callback))
}

/// Which callbacks a query asks for.
///
/// # Errors
/// [`Problem::Invalid`] for a value that is none.
pub(in crate::http) fn filter(query: &Query) -> Result<CallbackFilter, Problem> {
    Ok(CallbackFilter {
        outcome: query.word("outcome", CallbackOutcome::parse, &CallbackOutcome::ALL.map(CallbackOutcome::as_str))?,
        source: query.text("source"),
        task_id: query.text("task_id"),
        before: query.before.clone(),
        limit: query.limit,
    })
}

/// Show a callback with its bytes
#[utoipa::path(get, path = "/callbacks/{id}", security(("key" = ["read"])), responses(
    (status = 200, description = "It", body = WholeView),
))]
pub(super) async fn show(services: Data<Services>, request: HttpRequest, id: Path<String>) -> Answer {
    let kept = find(&services, &request, &id).await?;
    let kept_json = |text: &str| RawValue::from_string(text.to_owned()).unwrap_or_default();
    Ok(HttpResponse::Ok().json(WholeView {
        callback: view::callback(&kept.row),
        query: &kept.query,
        headers: kept_json(&kept.headers),
        body_base64: STANDARD.encode(&kept.body),
        tasks: kept.tasks.as_deref().map(kept_json),
    }))
}

/// What became of a callback that was read again.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Reprocessed {
    /// The row that it is kept as now.
    #[schema(value_type = Option<String>)]
    callback_id: Option<CallbackId>,
    outcome: CallbackOutcome,
    task_id: Option<String>,
    /// The event that it made, or that told the same before.
    #[schema(value_type = Option<String>)]
    event_id: Option<EventId>,
    /// Why, where there is something to say.
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

/// Read a callback again
///
/// By today's adapter and with today's secrets, as if it came now. What becomes of it is a callback of its own, if the outcome is
/// another one.
#[utoipa::path(post, path = "/callbacks/{id}/reprocess", security(("key" = ["manage"])), request_body(content = Nothing, description = "It may be left out"), responses(
    (status = 202, description = "What became of it", body = Reprocessed),
))]
pub(in crate::http) async fn reprocess(services: Data<Services>, id: Path<String>, wanted: Wanted) -> Changed {
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
    once_prepared(&services, wanted, Right::Manage, read_again, async |caller, tx, receipt| {
        let detail = json!({"outcome": receipt.outcome});
        tx.audit(&caller.actor(), "callback.reprocess", &id, Some(detail), services.clock.now());
        Ok((StatusCode::ACCEPTED, json!(Reprocessed::of(receipt))))
    })
    .await
}

/// Give a callback's bytes
///
/// As they came.
#[utoipa::path(get, path = "/callbacks/{id}/body", security(("key" = ["read"])), responses(
    (status = 200, description = "Its body", body = Vec<u8>, content_type = "application/octet-stream"),
))]
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
    let found = services.read_callbacks().await?.callback(&scope, id).await?;
    found.ok_or(NO_CALLBACK)
}

const NO_CALLBACK: Problem = Problem::NotFound("there is no callback with this id");
