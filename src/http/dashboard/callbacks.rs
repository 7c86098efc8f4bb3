//! Callbacks: the list, and each with its bytes and what became of them.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

use super::super::api::{callbacks, list};
use super::super::problem::Problem;
use super::board::Act;
use super::bytes::{Shown, curl, laid_out};
use super::parts::task_path;
use super::query::Asked;
use super::visit::{Frame, Here, Visit, html};
use super::{Page, doing};
use crate::domain::access::Right;
use crate::domain::callback::CallbackOutcome;
use crate::flow::receive::callback_path;
use crate::store::{CallbackRow, KeptCallback};

/// What the list can be filtered by.
const FILTERS: [&str; 3] = ["outcome", "source", "task_id"];
const NO_CALLBACK: Problem = Problem::NotFound("there is no callback with this id");

/// The callbacks.
#[derive(Template)]
#[template(path = "callbacks.html")]
struct Callbacks {
    frame: Frame,
    asked: Asked,
    lines: Vec<CallbackRow>,
    outcomes: Vec<&'static str>,
    sources: Vec<String>,
    older: Option<String>,
    example: Option<String>,
}

/// Shows the callbacks.
pub(super) async fn list(visit: &Visit) -> Page {
    let asked = visit.asked("callbacks", &FILTERS)?;
    let filter = callbacks::filter(&asked.query)?;
    let page = visit.services.read_callbacks().await?.callbacks(&visit.scope, &filter).await?;
    let shown = Callbacks {
        frame: visit.frame(Here::Callbacks),
        older: list::next(&page, "callbacks", &visit.roster.url_key).map(|cursor| asked.from(&cursor)),
        lines: page.items,
        outcomes: CallbackOutcome::ALL.map(CallbackOutcome::as_str).to_vec(),
        sources: visit.sources(),
        example: visit.example(),
        asked,
    };
    Ok(html(StatusCode::OK, &shown))
}

/// A callback and what became of it.
#[derive(Template)]
#[template(path = "callback.html")]
struct Whole {
    frame: Frame,
    acts: Vec<Act>,
    row: CallbackRow,
    query: String,
    headers: Vec<(String, String)>,
    body: Shown,
    length: usize,
    curl: String,
    task: Option<String>,
    /// The event that was made of it, or that told the same before.
    event: Option<String>,
}

/// Shows a callback.
pub(super) async fn show(visit: &Visit) -> Page {
    let kept = find(visit).await?;
    let event = match &kept.row.event_id {
        Some(id) => visit.services.store.read().await?.event(&visit.scope, id).await?,
        None => None,
    };
    let headers: Vec<(String, String)> = serde_json::from_str(&kept.headers).unwrap_or_default();
    let page = Whole {
        frame: visit.frame(Here::Callbacks),
        acts: doing::of_callback(visit, kept.row.id.as_str()),
        curl: curl(&url(visit, &kept), &headers, &kept.body),
        body: Shown::of(&kept.body),
        length: kept.body.len(),
        task: kept.row.task_id.as_deref().map(|task_id| task_path(&kept.row.source, task_id)),
        event: event.and_then(|event| laid_out(&event.body)),
        query: kept.query,
        row: kept.row,
        headers,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Gives a callback's bytes, to be saved.
pub(super) async fn body(visit: &Visit) -> Page {
    let kept = find(visit).await?;
    let name = format!("attachment; filename=\"{}.bin\"", kept.row.id.as_str());
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((header::CONTENT_DISPOSITION, name))
        .body(kept.body))
}

async fn find(visit: &Visit) -> Result<KeptCallback, Problem> {
    let id = visit.path::<String>().await?;
    let found = visit.services.read_callbacks().await?.callback(&visit.scope, &id).await?;
    found.ok_or(NO_CALLBACK)
}

/// Where it was posted. The token is for who may manage; anybody else writes it in themselves.
fn url(visit: &Visit, kept: &KeptCallback) -> String {
    let source = &kept.row.source;
    let known = callback_path(&visit.roster, source, &Default::default()).filter(|_| visit.may(Right::Manage));
    let path = known.unwrap_or_else(|| format!("/callbacks/{source}/TOKEN"));
    let query = if kept.query.is_empty() { String::new() } else { format!("?{}", kept.query) };
    format!("{}{path}{query}", visit.services.config.base_url())
}
