//! Deliveries: the list, and each with its attempts.

use actix_web::http::StatusCode;
use askama::Template;

use super::super::api::{deliveries, list};
use super::super::problem::Problem;
use super::board::Act;
use super::bytes::Shown;
use super::bytes::laid_out;
use super::line::Line;
use super::query::Asked;
use super::timeline::{Sending, Try};
use super::visit::{Frame, Here, Visit, html};
use super::{Page, doing, replays};
use crate::domain::delivery::DeliveryStatus;
use crate::store::{DeliveryRow, EventRow};

/// What the list can be filtered by.
const FILTERS: [&str; 3] = ["status", "destination", "event_id"];

/// The deliveries.
#[derive(Template)]
#[template(path = "deliveries.html")]
struct Deliveries {
    frame: Frame,
    acts: Vec<Act>,
    asked: Asked,
    lines: Vec<Sending>,
    statuses: Vec<&'static str>,
    destinations: Vec<String>,
    older: Option<String>,
}

/// Shows the deliveries.
pub(super) async fn list(visit: &Visit) -> Page {
    let asked = visit.asked("deliveries", &FILTERS)?;
    let filter = deliveries::filter(&asked.query)?;
    let mut tx = visit.services.store.read().await?;
    let page = tx.deliveries(&visit.scope, &filter).await?;
    let mut told = tx.tasks_told(page.items.iter().map(|row| row.event_id.clone()).collect()).await?;
    // A source may have been taken from its team since.
    told.retain(|_, (source, _)| visit.scope.sees_source(source));
    drop(tx);
    let line = |row: DeliveryRow| {
        let task_id = told.get(&row.event_id).map(|(_, task_id)| task_id.clone());
        Sending { task_id, ..Sending::line(row) }
    };
    let shown = Deliveries {
        frame: visit.frame(Here::Deliveries),
        acts: if asked.value("event_id").is_empty() { replays::of_list(visit, &replayed(&asked)) } else { Vec::new() },
        older: list::next(&page, "deliveries", &visit.roster.url_key).map(|cursor| asked.from(&cursor)),
        lines: page.items.into_iter().map(line).collect(),
        statuses: DeliveryStatus::ALL.map(DeliveryStatus::as_str).to_vec(),
        destinations: visit.destinations(),
        asked,
    };
    Ok(html(StatusCode::OK, &shown))
}

/// The filters as a replay of many has them: what stands so, sent there again.
fn replayed(asked: &Asked) -> String {
    let pairs = [("delivery_status", asked.value("status")), ("destination", asked.value("destination"))];
    let set = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(set).finish()
}

/// A delivery, its attempts, and what is sent.
#[derive(Template)]
#[template(path = "delivery.html")]
struct Whole {
    frame: Frame,
    acts: Vec<Act>,
    sending: Sending,
    /// What kind of place it goes to, where that is still there.
    channel: Option<String>,
    is_webhook: bool,
    /// The event, and its task's page.
    sent: Option<(String, Option<String>)>,
}

/// Shows a delivery.
pub(super) async fn show(visit: &Visit) -> Page {
    let id = visit.path::<String>().await?;
    let mut tx = visit.services.store.read().await?;
    let found = tx.delivery(&visit.scope, &id).await?;
    let row = found.ok_or(Problem::NotFound("there is no delivery with this id"))?;
    let attempts = tx.attempts(std::slice::from_ref(&row.id)).await?;
    let event = tx.event(&visit.scope, &row.event_id).await?;
    drop(tx);
    let channel = channel(visit, &row);
    let page = Whole {
        frame: visit.frame(Here::Deliveries),
        acts: doing::of_delivery(visit, &row),
        is_webhook: channel.as_deref() == Some("webhook"),
        channel,
        sent: event.map(|event| (laid_out(&event.body).unwrap_or_default(), task(&event, visit))),
        sending: Sending { tries: attempts.into_iter().map(Try::of).collect(), ..Sending::line(row) },
    };
    Ok(html(StatusCode::OK, &page))
}

fn channel(visit: &Visit, row: &DeliveryRow) -> Option<String> {
    match row.url {
        Some(_) => Some("webhook".to_owned()),
        None => visit.roster.targets.get(&row.destination).map(|target| target.destination.channel.clone()),
    }
}

/// The page of an event's task.
fn task(event: &EventRow, visit: &Visit) -> Option<String> {
    Line::of(&event.id, event.kind, event.at, &event.body, visit.now).task.map(|(_, path)| path)
}
