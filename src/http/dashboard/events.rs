//! Events: live on the first page, and each on its own.

use actix_web::http::StatusCode;
use askama::Template;

use super::super::api::{events, list};
use super::super::problem::Problem;
use super::board::Act;
use super::bytes::laid_out;
use super::line::{Line, Search};
use super::query::Asked;
use super::timeline::Sending;
use super::visit::{Frame, Here, Visit, html};
use super::{Page, doing, live, replays};
use crate::domain::event::EventType;
use crate::store::{DeliveryFilter, EventFilter, EventRow, Page as Rows};

/// So many are looked through for what no index knows: a model, or metadata.
const LOOKED_AT: usize = 1000;
/// What the first page can be filtered by, and whether it stands still.
const FILTERS: [&str; 7] = ["type", "source", "since", "until", "model", "q", "paused"];

/// The events, as they happen.
#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    frame: Frame,
    acts: Vec<Act>,
    asked: Asked,
    lines: Vec<Line>,
    kinds: Vec<&'static str>,
    sources: Vec<String>,
    older: Option<String>,
    /// Where they go on as they happen; not from an older page.
    live: Option<String>,
    /// The command that makes a first event.
    example: Option<String>,
}

/// Shows the events.
pub(super) async fn list(visit: &Visit) -> Page {
    let asked = visit.asked("events", &FILTERS)?;
    let search = Search::of(asked.query.text("model"), asked.query.text("q").as_deref());
    let filter = events::filter(&asked.query)?;
    let (lines, next) = found(visit, filter, &search).await?;
    let page = Events {
        frame: visit.frame(Here::Events),
        // What only this page can look for, a replay of many cannot.
        acts: if search.is_deep() || search.task_id().is_some() {
            Vec::new()
        } else {
            replays::of_list(visit, &asked.filters())
        },
        older: next.map(|id| asked.from(&list::seal(&id, "events", &visit.roster.url_key))),
        live: asked.is_newest().then(|| live::address(&asked, lines.first().map(|line| line.id.as_str()), visit.now)),
        kinds: EventType::ALL.map(EventType::as_str).to_vec(),
        sources: visit.sources(),
        example: visit.example(),
        asked,
        lines,
    };
    Ok(html(StatusCode::OK, &page))
}

/// An event and to whom it is told.
#[derive(Template)]
#[template(path = "event.html")]
struct Whole {
    frame: Frame,
    acts: Vec<Act>,
    line: Line,
    deliveries: Vec<Sending>,
    body: String,
}

/// So many deliveries of an event are shown with it.
const DELIVERIES_SHOWN: usize = 250;

/// Shows an event.
pub(super) async fn show(visit: &Visit) -> Page {
    let id = visit.path::<String>().await?;
    let mut tx = visit.services.store.read().await?;
    let found = tx.event(&visit.scope, &id).await?;
    let row = found.ok_or(Problem::NotFound("there is no event with this id"))?;
    let filter = DeliveryFilter { event_id: Some(id), limit: DELIVERIES_SHOWN, ..Default::default() };
    let deliveries = tx.deliveries(&visit.scope, &filter).await?.items;
    drop(tx);
    let page = Whole {
        frame: visit.frame(Here::Events),
        acts: doing::of_event(visit, &row.id),
        line: Line::of(&row.id, row.kind, row.at, &row.body, visit.now),
        deliveries: deliveries.into_iter().map(Sending::line).collect(),
        body: laid_out(&row.body).unwrap_or(row.body),
    };
    Ok(html(StatusCode::OK, &page))
}

/// A page of what is found, and the id after which the next one begins.
async fn found(
    visit: &Visit,
    filter: EventFilter,
    search: &Search,
) -> Result<(Vec<Line>, Option<String>), crate::store::Error> {
    let shown = filter.limit;
    let limit = if search.is_deep() { LOOKED_AT } else { shown };
    let filter = EventFilter { task_id: search.task_id().map(str::to_owned), limit, ..filter };
    let Rows { items, next } = visit.services.store.read().await?.events(&visit.scope, &filter).await?;
    let line = |row: &EventRow| Line::of(&row.id, row.kind, row.at, &row.body, visit.now);
    let mut lines: Vec<Line> = items.iter().map(line).filter(|line| search.finds(line)).collect();
    let more = lines.len() > shown;
    lines.truncate(shown);
    let next = if more { lines.last().map(|line| line.id.clone()) } else { next };
    Ok((lines, next))
}
