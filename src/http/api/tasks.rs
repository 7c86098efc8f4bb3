//! Tasks and their timelines.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::list::{self, Query};
use super::{Answer, view};
use crate::domain::clock::Timestamp;
use crate::domain::task::Status;
use crate::store::{CallbackFilter, DeliveryFilter, EventFilter, TaskFilter, Tx};

/// So many entries of each kind a timeline shows at most, the newest.
const SHOWN: usize = 250;

pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    auth::admin(&request, &services).await?;
    let roster = services.roster.now();
    let filters = ["source", "status", "model", "since", "until", "metadata."];
    let query = Query::read(request.query_string(), "tasks", &filters, &roster.url_key)?;
    let filter = TaskFilter {
        source: query.text("source"),
        status: query.word("status", Status::parse, &Status::ALL.map(Status::as_str))?,
        model: query.text("model"),
        since: query.time("since")?,
        until: query.time("until")?,
        metadata: query.with_prefix("metadata."),
        before: query.before.clone(),
        limit: query.limit,
    };
    let page = services.store.read().await?.tasks(&filter).await?;
    Ok(list::answer(page, "tasks", &roster.url_key, view::task))
}

pub(super) async fn show(services: Data<Services>, request: HttpRequest, path: Path<(String, String)>) -> Answer {
    auth::admin(&request, &services).await?;
    let (source, task_id) = path.into_inner();
    let mut tx = services.store.read().await?;
    let task = tx.task(&source, &task_id).await?.ok_or(Problem::NotFound("there is no such task at this source"))?;
    let mut shown = view::task(&task);
    shown["timeline"] = Value::Array(timeline(&mut tx, &source, &task_id).await?);
    Ok(HttpResponse::Ok().json(shown))
}

/// Each callback, event, delivery and attempt of a task, oldest first.
async fn timeline(tx: &mut Tx, source: &str, task_id: &str) -> Result<Vec<Value>, Problem> {
    let (source, task_id) = (Some(source.to_owned()), Some(task_id.to_owned()));
    let mut entries: Vec<(Timestamp, u8, Value)> = Vec::new();
    let callbacks =
        CallbackFilter { source: source.clone(), task_id: task_id.clone(), limit: SHOWN, ..Default::default() };
    for row in tx.callbacks(&callbacks).await?.items {
        entries.push((row.received_at, 0, json!({"kind": "callback", "callback": view::callback(&row)})));
    }
    let events = EventFilter { source, task_id, limit: SHOWN, ..Default::default() };
    for event in tx.events(&events).await?.items {
        let about = json!({"kind": "event", "event_id": event.id, "type": event.kind.as_str()});
        entries.push((event.at, 1, about));
        let deliveries = DeliveryFilter { event_id: Some(event.id), limit: SHOWN, ..Default::default() };
        let deliveries = tx.deliveries(&deliveries).await?.items;
        let ids: Vec<String> = deliveries.iter().map(|row| row.id.clone()).collect();
        for row in &deliveries {
            entries.push((row.created_at, 2, json!({"kind": "delivery", "delivery": view::delivery(row)})));
        }
        for row in tx.attempts(&ids).await? {
            let about = json!({"kind": "attempt", "delivery_id": row.delivery_id, "attempt": view::attempt(&row)});
            entries.push((row.started_at, 3, about));
        }
    }
    // What happened in the same millisecond stands in the order in which one makes the other.
    entries.sort_by_key(|(at, rank, _)| (*at, *rank));
    Ok(entries
        .into_iter()
        .map(|(at, _, mut entry)| {
            entry["at"] = json!(at);
            entry
        })
        .collect())
}
