//! Tasks and their timelines.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::list::{self, Query, invalid};
use super::post::once;
use super::{Answer, view};
use crate::config::value::duration;
use crate::domain::access::{Right, Scope};
use crate::domain::callback::{METADATA_BYTES_MAX, METADATA_KEYS_MAX};
use crate::domain::clock::Timestamp;
use crate::domain::spelling::suggestion;
use crate::domain::task::{Metadata, Status, TASK_ID_MAX};
use crate::flow::register::{Registration, register as flow_register};
use crate::flow::roster::Roster;
use crate::store::{CallbackFilter, DeliveryFilter, DeliveryRow, EventFilter, TaskFilter, Tx};

/// So many entries of each kind a timeline shows at most, the newest.
const SHOWN: usize = 250;
const SHOWN_OF_POLLS: i64 = 250;

pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
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
    let page = services.store.read().await?.tasks(&caller.scope(&roster), &filter).await?;
    Ok(list::answer(page, "tasks", &roster.url_key, view::task))
}

pub(super) async fn show(services: Data<Services>, request: HttpRequest, path: Path<(String, String)>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let scope = caller.scope(&services.roster.now());
    let (source, task_id) = path.into_inner();
    let mut tx = services.store.read().await?;
    let task =
        tx.task(&scope, &source, &task_id).await?.ok_or(Problem::NotFound("there is no such task at this source"))?;
    let mut shown = view::task(&task);
    shown["timeline"] = Value::Array(timeline(&mut tx, &scope, &source, &task_id).await?);
    Ok(HttpResponse::Ok().json(shown))
}

pub(super) async fn register(services: Data<Services>, request: HttpRequest, body: Payload) -> Answer {
    let roster = services.roster.now();
    let answer = once(&services, &request, body, Right::Submit, async |caller, tx, mut fields| {
        let scope = caller.scope(&roster);
        let registration = Registration {
            source: source(fields.needed("source")?, &roster, &scope)?,
            task_id: task_id(fields.needed("task_id")?)?,
            metadata: metadata(fields.value("metadata"))?,
            expect_within: expect_within(fields.text("expect_within")?)?,
        };
        fields.end(&["source", "task_id", "metadata", "expect_within"])?;
        let (source, task_id) = (registration.source.clone(), registration.task_id.clone());
        flow_register(tx, &roster, registration, services.clock.now()).await?;
        tx.flush().await?;
        let task = tx.task(&scope, &source, &task_id).await?.ok_or(Problem::NotFound("there is no such task"))?;
        Ok((StatusCode::CREATED, view::task(&task)))
    })
    .await?;
    services.questions.notify_one();
    Ok(answer)
}

fn source(name: String, roster: &Roster, scope: &Scope) -> Result<String, Problem> {
    let known = roster.sources.keys().map(String::as_str).filter(|name| scope.sees_source(name));
    let unknown = || invalid("source", format!("there is no source `{name}`; {}", suggestion(&name, known)));
    let is_known = roster.sources.contains_key(&name) && scope.sees_source(&name);
    if is_known { Ok(name.clone()) } else { Err(unknown()) }
}

fn task_id(text: String) -> Result<String, Problem> {
    let wrong = || invalid("task_id", format!("1 to {TASK_ID_MAX} bytes are expected, without a NUL"));
    if text.is_empty() || text.len() > TASK_ID_MAX || text.contains('\0') { Err(wrong()) } else { Ok(text) }
}

/// Metadata within the limits of a callback URL's (contract §4): what does not fit is an error here.
fn metadata(value: Option<Value>) -> Result<Metadata, Problem> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Metadata::new()) };
    let wrong = |detail: String| invalid("metadata", detail);
    let pairs: Metadata =
        serde_json::from_value(value).map_err(|_| wrong("an object of strings is expected".to_owned()))?;
    let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    if pairs.len() > METADATA_KEYS_MAX || bytes > METADATA_BYTES_MAX {
        return Err(wrong(format!("at most {METADATA_KEYS_MAX} keys and {METADATA_BYTES_MAX} bytes are kept")));
    }
    match pairs.keys().find(|key| key.is_empty() || key.starts_with("cb_")) {
        Some(key) => Err(wrong(format!("`{key}` cannot be a key: names that begin with cb_ are Callboard's own"))),
        None => Ok(pairs),
    }
}

fn expect_within(text: Option<String>) -> Result<Option<Duration>, Problem> {
    let read = |text: String| duration(&text).map_err(|problem| invalid("expect_within", problem));
    text.map(read).transpose()
}

/// When, in which order within a millisecond, and what.
type Entry = (Timestamp, u8, Value);

async fn push_deliveries(
    tx: &mut Tx,
    rows: &[DeliveryRow],
    entries: &mut Vec<Entry>,
    view: impl Fn(&DeliveryRow) -> Value,
) -> Result<(), Problem> {
    entries.extend(rows.iter().map(|row| (row.created_at, 2, view(row))));
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    for row in tx.attempts(&ids).await? {
        let about = json!({"kind": "attempt", "delivery_id": row.delivery_id, "attempt": view::attempt(&row)});
        entries.push((row.started_at, 3, about));
    }
    Ok(())
}

/// Each callback, poll, forward, event, delivery and attempt of a task, oldest first.
async fn timeline(tx: &mut Tx, scope: &Scope, source: &str, task_id: &str) -> Result<Vec<Value>, Problem> {
    let (source, task_id) = (Some(source.to_owned()), Some(task_id.to_owned()));
    let mut entries: Vec<Entry> = Vec::new();
    let callbacks =
        CallbackFilter { source: source.clone(), task_id: task_id.clone(), limit: SHOWN, ..Default::default() };
    let mut handed_on = Vec::new();
    for row in tx.callbacks(scope, &callbacks).await?.items {
        handed_on.push(row.id.to_string());
        entries.push((row.received_at, 0, json!({"kind": "callback", "callback": view::callback(&row)})));
    }
    for row in
        tx.polls(source.as_deref().unwrap_or_default(), task_id.as_deref().unwrap_or_default(), SHOWN_OF_POLLS).await?
    {
        handed_on.push(row.id.clone());
        entries.push((row.at, 0, json!({"kind": "poll", "poll": view::poll(&row)})));
    }
    let forwards = tx.forwards(handed_on).await?;
    push_deliveries(tx, &forwards, &mut entries, |row| json!({"kind": "forward", "forward": view::forward(row)}))
        .await?;
    let events = EventFilter { source, task_id, limit: SHOWN, ..Default::default() };
    for event in tx.events(scope, &events).await?.items {
        let about = json!({"kind": "event", "event_id": event.id, "type": event.kind.as_str()});
        entries.push((event.at, 1, about));
        let deliveries = DeliveryFilter { event_id: Some(event.id), limit: SHOWN, ..Default::default() };
        let deliveries = tx.deliveries(scope, &deliveries).await?.items;
        push_deliveries(
            tx,
            &deliveries,
            &mut entries,
            |row| json!({"kind": "delivery", "delivery": view::delivery(row)}),
        )
        .await?;
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
