//! Callbacks as they came in.

use actix_web::http::header;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::list::{self, Query};
use super::{Answer, view};
use crate::domain::access::Right;
use crate::domain::callback::CallbackOutcome;
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
    found.ok_or(Problem::NotFound("there is no callback with this id"))
}
