//! What is done with one thing: an event is told again, a delivery tried or given up, a callback read again, a task
//! registered.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::Path;
use serde_json::{Map, Value};

use super::super::api::{callbacks, deliveries, events, tasks};
use super::super::problem::Problem;
use super::Page;
use super::board::{Act, Block, Board, Cell, Filled, Row};
use super::form::Form;
use super::parts::{path, task_path};
use super::replays::places;
use super::sheet::{Choice, Field, Kind, Sheet};
use super::visit::{Here, Visit};
use crate::domain::access::Right;
use crate::domain::delivery::DeliveryStatus;
use crate::store::{DeliveryRow, EventRow};

const REPLAY: &str = "/ui/replay";
const REGISTER: &str = "/ui/new/task";
const NO_EVENT: Problem = Problem::NotFound("there is no event with this id");
/// So many events are told again at a time; more are a replay of many.
const EVENTS_MAX: usize = 250;

/// The events that were chosen, as far as the visitor may see them.
async fn chosen(visit: &Visit, form: &Form) -> Result<Vec<EventRow>, Problem> {
    let mut tx = visit.services.store.read().await?;
    let mut found = Vec::new();
    for id in form.texts("event").take(EVENTS_MAX) {
        found.push(tx.event(&visit.scope, id).await?.ok_or(NO_EVENT)?);
    }
    if found.is_empty() { Err(NO_EVENT) } else { Ok(found) }
}

fn replay_sheet(visit: &Visit) -> Sheet {
    let t = &visit.texts().doing;
    Sheet::of([places(visit), Field::new("url", t.or_url, Kind::Text).example("https://")])
}

/// Asks where the chosen events are to be sent again, and says whom that reaches.
pub(super) async fn ask_replay(visit: &Visit) -> Page {
    let form = Form::of(&visit.request.query_string().to_owned().into());
    let events = chosen(visit, &form).await?;
    replay_page(visit, StatusCode::OK, &events, replay_sheet(visit))
}

fn replay_page(visit: &Visit, status: StatusCode, events: &[EventRow], sheet: Sheet) -> Page {
    let t = &visit.texts().doing;
    let title = if events.len() == 1 { t.replay_one.to_string() } else { t.replay_many.with(events.len()) };
    let reach = reach(visit, events);
    let reach = if reach.is_empty() {
        t.reaches_nobody.to_string()
    } else {
        let each: Vec<String> = reach.iter().map(|(name, many)| format!("{name} × {many}")).collect();
        t.reaches.with(each.join(", "))
    };
    let rows = events.iter().map(|event| Row {
        to: Some(path(&["ui", "events", &event.id])),
        cells: vec![
            Cell::Code(event.id.clone()),
            Cell::Word(event.kind.as_str().to_owned()),
            Cell::text(event.source.as_deref()),
            Cell::When(event.at),
        ],
    });
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(events.iter().map(|event| ("event", event.id.as_str())))
        .finish();
    let form = Filled { to: format!("{REPLAY}?{query}"), is_question: false, sheet, buttons: vec![("start", t.start)] };
    let head = vec![t.event, t.kind, t.source, visit.texts().audit.at];
    let board = Board::new(visit, Here::Events, title)
        .about(t.about)
        .block(Block::Form(Some(t.reach), Some(format!("{reach} {}", t.start_what)), form))
        .block(Block::Table(None, head, rows.collect()));
    Ok(board.answer(status))
}

/// How many deliveries each destination gets if all that subscribe now are told.
fn reach(visit: &Visit, events: &[EventRow]) -> BTreeMap<String, usize> {
    let mut reach = BTreeMap::new();
    for event in events {
        let source = event.source.as_deref().unwrap_or_default();
        let told = visit.roster.audience(event.kind, source, &event.body);
        for name in told.into_iter().filter(|name| visit.scope.sees_destination(name)) {
            *reach.entry(name).or_default() += 1;
        }
    }
    reach
}

/// Sends the chosen events again.
pub(super) async fn replay(visit: &Visit, form: Form) -> Page {
    let query = Form::of(&visit.request.query_string().to_owned().into());
    let events = chosen(visit, &query).await?;
    let mut sheet = replay_sheet(visit);
    sheet.take(&form);
    let mut made = 0;
    for event in &events {
        let wanted = visit.wants(sheet.json());
        match events::replay(visit.services.clone(), Path::from(event.id.clone()), wanted).await {
            Ok(told) => made += told.value()["deliveries"].as_array().map_or(0, Vec::len),
            Err(problem) => {
                let status = sheet.refuse(problem)?;
                return replay_page(visit, status, &events, sheet);
            }
        }
    }
    let to = match events.as_slice() {
        [one] => path(&["ui", "events", &one.id]),
        _ => "/ui/deliveries".to_owned(),
    };
    Ok(visit.done(&to, &visit.texts().doing.told.with(made)))
}

/// What can be done with an event.
pub(super) fn of_event(visit: &Visit, id: &str) -> Vec<Act> {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("event", id).finish();
    allowed(visit, Right::Manage, vec![Act::go(format!("{REPLAY}?{query}"), visit.texts().doing.replay)])
}

/// What can be done with a delivery.
pub(super) fn of_delivery(visit: &Visit, row: &DeliveryRow) -> Vec<Act> {
    let t = &visit.texts().doing;
    let to = |what: &str| path(&["ui", "deliveries", &row.id, what]);
    let retry = Act::press(to("retry"), t.retry).asking(t.retry_what);
    let give_up = Act::press(to("give-up"), t.give_up).asking(t.give_up_what).grave();
    let acts = match row.status {
        DeliveryStatus::Pending => vec![retry, give_up],
        DeliveryStatus::Dead => vec![retry],
        DeliveryStatus::Held => vec![give_up],
        DeliveryStatus::Delivered => of_event(visit, &row.event_id),
    };
    allowed(visit, Right::Manage, acts)
}

/// What can be done with a callback.
pub(super) fn of_callback(visit: &Visit, id: &str) -> Vec<Act> {
    let t = &visit.texts().doing;
    let act = Act::press(path(&["ui", "callbacks", id, "reprocess"]), t.reprocess).asking(t.reprocess_what);
    allowed(visit, Right::Manage, vec![act])
}

/// What can be done about tasks.
pub(super) fn of_tasks(visit: &Visit) -> Vec<Act> {
    allowed(visit, Right::Submit, vec![Act::go(REGISTER, visit.texts().doing.register)])
}

fn allowed(visit: &Visit, right: Right, acts: Vec<Act>) -> Vec<Act> {
    if visit.may(right) { acts } else { Vec::new() }
}

/// Tries a delivery again.
pub(super) async fn retry(visit: &Visit, _form: Form) -> Page {
    let id: String = visit.path().await?;
    deliveries::retry(visit.services.clone(), Path::from(id.clone()), visit.wants(Map::new())).await?;
    Ok(visit.done(&path(&["ui", "deliveries", &id]), &visit.texts().doing.retried.to_string()))
}

/// Gives a delivery up.
pub(super) async fn give_up(visit: &Visit, _form: Form) -> Page {
    let id: String = visit.path().await?;
    deliveries::give_up(visit.services.clone(), Path::from(id.clone()), visit.wants(Map::new())).await?;
    Ok(visit.done(&path(&["ui", "deliveries", &id]), &visit.texts().doing.gave_up.to_string()))
}

/// Reads a callback again.
pub(super) async fn reprocess(visit: &Visit, _form: Form) -> Page {
    let id: String = visit.path().await?;
    let read = callbacks::reprocess(visit.services.clone(), Path::from(id.clone()), visit.wants(Map::new())).await?;
    let read = read.value();
    let text = |key: &str| read[key].as_str().unwrap_or_default();
    let outcome = visit.texts().word(text("outcome"));
    let said = if text("detail").is_empty() { outcome.to_owned() } else { format!("{outcome}, {}", text("detail")) };
    let kept = if text("callback_id").is_empty() { &id } else { text("callback_id") };
    Ok(visit.done(&path(&["ui", "callbacks", kept]), &visit.texts().doing.reprocessed.with(said)))
}

fn register_sheet(visit: &Visit) -> Sheet {
    let t = &visit.texts().doing;
    let same = |name: &String| Choice { word: name.clone(), label: name.clone() };
    Sheet::of([
        Field::new("source", t.source, Kind::Choice).choices(visit.sources().iter().map(same)),
        Field::new("task_id", t.task_id, Kind::Text).needed(),
        Field::new("metadata", t.metadata, Kind::Pairs).hint(t.metadata_hint).example("campaign=spring"),
        Field::new("expect_within", t.expect_within, Kind::Text).hint(t.expect_within_hint),
    ])
}

fn register_page(visit: &Visit, status: StatusCode, sheet: Sheet) -> Page {
    let t = &visit.texts().doing;
    let form = Filled { to: REGISTER.to_owned(), is_question: false, sheet, buttons: vec![("save", t.register)] };
    let board = Board::new(visit, Here::Tasks, t.register).about(t.register_about);
    Ok(board.block(Block::Form(None, None, form)).answer(status))
}

/// The form by which a task is registered.
pub(super) async fn ask_register(visit: &Visit) -> Page {
    register_page(visit, StatusCode::OK, register_sheet(visit))
}

/// Registers a task.
pub(super) async fn register(visit: &Visit, form: Form) -> Page {
    let mut sheet = register_sheet(visit);
    sheet.take(&form);
    match tasks::register(visit.services.clone(), visit.wants(sheet.json())).await {
        Ok(made) => {
            let task: Value = made.value();
            let text = |key: &str| task[key].as_str().unwrap_or_default();
            let to = task_path(text("source"), text("task_id"));
            Ok(visit.done(&to, &visit.texts().doing.registered.to_string()))
        }
        Err(problem) => register_page(visit, sheet.refuse(problem)?, sheet),
    }
}
