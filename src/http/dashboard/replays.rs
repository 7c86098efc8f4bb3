//! Replays of many events: planned first, begun, watched, ended.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Path;
use serde_json::{Map, Value};

use super::super::api::list;
use super::super::api::replays as api;
use super::super::problem::Problem;
use super::Page;
use super::board::{Act, Block, Board, Cell, Filled, Row};
use super::form::Form;
use super::parts::path;
use super::sheet::{Choice, Field, Kind, Sheet};
use super::visit::{Here, Visit};
use crate::domain::access::Right;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::event::EventType;
use crate::domain::replay::ReplayStatus;
use crate::store::ReplayRow;

const NEW: &str = "/ui/new/replay";
const NO_REPLAY: Problem = Problem::NotFound("there is no replay with this id");
/// So far back a new one looks, unless something else is asked for.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Lists them.
pub(super) async fn all(visit: &Visit) -> Page {
    let t = &visit.texts().replays;
    let asked = visit.asked("replays", &[])?;
    let mut tx = visit.services.store.read().await?;
    let page = tx.replays(&visit.scope, asked.query.before.clone(), asked.query.limit).await?;
    drop(tx);
    let may = visit.may(Right::Manage);
    let board = Board::new(visit, Here::Replays, visit.texts().frame.replays).about(t.about);
    let board = board.act(may, Act::go(NEW, t.new));
    if page.items.is_empty() {
        return board.block(Block::Empty(t.none, t.none_more, None)).ok();
    }
    let older = list::next(&page, "replays", &visit.roster.url_key).map(|cursor| asked.from(&cursor));
    let newest = (!asked.is_newest()).then(|| asked.newest());
    let head = vec![t.title, visit.texts().settings.state, t.period, t.until, t.progress, t.deliveries, t.of_team];
    let rows = page.items.iter().map(row).collect();
    board.block(Block::Table(None, head, rows)).block(Block::Pages(newest, older)).ok()
}

fn row(row: &ReplayRow) -> Row {
    let made = &row.made;
    Row {
        to: Some(path(&["ui", "replays", made.id.as_str()])),
        cells: vec![
            Cell::Code(made.id.to_string()),
            Cell::Word(row.status.as_str().to_owned()),
            Cell::When(made.selection.since),
            Cell::When(made.selection.until),
            Cell::Text(format!("{} / {}", row.events_done, made.events_total)),
            Cell::Text(row.deliveries.to_string()),
            Cell::text(made.team.as_deref()),
        ],
    }
}

/// Shows one, and how far it is.
pub(super) async fn show(visit: &Visit) -> Page {
    let (t, id) = (&visit.texts().replays, visit.path::<String>().await?);
    let found = visit.services.store.read().await?.replay(&visit.scope, &id).await?;
    let row = found.ok_or(NO_REPLAY)?;
    let made = &row.made;
    let is_running = row.status == ReplayStatus::Running;
    let cancel = Act::press(path(&["ui", "replays", &id, "cancel"]), t.cancel).asking(t.cancel_what).grave();
    let d = &visit.texts().doing;
    let mut pairs = vec![
        (t.period, Cell::When(made.selection.since)),
        (t.until, Cell::When(made.selection.until)),
        (d.source, Cell::Text(made.selection.source.clone().unwrap_or_else(|| t.every_source.to_string()))),
        (d.kind, Cell::Text(made.selection.kind.map_or_else(|| t.every_kind.to_string(), |kind| kind.as_str().into()))),
        (d.to, Cell::Text(to(visit, &row))),
        (t.deliveries, Cell::Text(row.deliveries.to_string())),
        (t.skipped, Cell::Text(row.skipped.to_string())),
    ];
    pairs.extend(made.selection.delivery_status.map(|word| (t.delivery_status, Cell::Word(word.as_str().into()))));
    pairs.extend(row.finished_at.map(|at| (t.finished, Cell::When(at))));
    Board::new(visit, Here::Replays, &id)
        .badge(row.status.as_str())
        .act(visit.may(Right::Manage) && is_running, cancel)
        .moving(is_running)
        .block(Block::Progress(t.progress, row.events_done, made.events_total.max(row.events_done)))
        .block(Block::Pairs(None, pairs))
        .ok()
}

fn to(visit: &Visit, row: &ReplayRow) -> String {
    let made = &row.made;
    made.destination.clone().or(made.url.clone()).unwrap_or_else(|| visit.texts().doing.subscribers.to_string())
}

/// Where something can be sent again: to all that subscribe, or to one destination.
pub(super) fn places(visit: &Visit) -> Field {
    let t = &visit.texts().doing;
    let choice = |word: &str, label: &str| Choice { word: word.to_owned(), label: label.to_owned() };
    let mut names: Vec<&String> = visit.roster.targets.keys().collect();
    names.retain(|name| visit.scope.sees_destination(name));
    names.sort_unstable();
    let all = choice("", t.subscribers.as_str());
    let places = names.into_iter().map(|name| choice(name, name));
    Field::new("destination", t.to, Kind::Choice).choices(std::iter::once(all).chain(places))
}

fn sheet(visit: &Visit) -> Sheet {
    let (t, d) = (&visit.texts().replays, &visit.texts().doing);
    let choice = |word: &str, label: &str| Choice { word: word.to_owned(), label: label.to_owned() };
    let any = |label: super::text::Text| choice("", label.as_str());
    let words =
        |words: Vec<&str>| words.into_iter().map(|word| choice(word, visit.texts().word(word))).collect::<Vec<_>>();
    let sources = visit.sources();
    let kinds = EventType::ALL.map(|kind| choice(kind.as_str(), kind.as_str()));
    let day_ago = Timestamp(visit.now.0.saturating_sub(i64::try_from(DAY.as_millis()).unwrap_or_default()));
    let hint = t.time_hint.with(visit.now);
    Sheet::of([
        Field::new("since", t.period, Kind::Text).needed().hint(&hint).with(day_ago.to_string()),
        Field::new("until", t.until, Kind::Text).needed().with(visit.now.to_string()),
        Field::new("source", d.source, Kind::Choice)
            .choices([any(t.every_source)].into_iter().chain(sources.iter().map(|name| choice(name, name)))),
        Field::new("type", d.kind, Kind::Choice).choices([any(t.every_kind)].into_iter().chain(kinds)),
        Field::new("delivery_status", t.delivery_status, Kind::Choice).choices(
            [any(t.every_status)].into_iter().chain(words(DeliveryStatus::ALL.map(|one| one.as_str()).to_vec())),
        ),
        places(visit),
        Field::new("url", d.or_url, Kind::Text).example("https://"),
        Field::new("rate", visit.texts().settings.rate, Kind::Text).hint(t.rate_hint),
    ])
}

/// The form; its address may fill it in, as a list's filters do.
pub(super) async fn blank(visit: &Visit) -> Page {
    let mut sheet = sheet(visit);
    let query = Form::of(&visit.request.query_string().to_owned().into());
    for field in &mut sheet.fields {
        if let Some(text) = query.text(field.name) {
            field.values = vec![text.to_owned()];
        }
    }
    filled(visit, StatusCode::OK, sheet, Vec::new())
}

fn filled(visit: &Visit, status: StatusCode, sheet: Sheet, planned: Vec<Block>) -> Page {
    let t = &visit.texts().replays;
    let button = if planned.is_empty() { ("plan", t.plan) } else { ("again", t.plan_again) };
    let form = Filled { to: NEW.to_owned(), is_question: false, sheet, buttons: vec![button] };
    let board = Board::new(visit, Here::Replays, t.new).about(visit.texts().doing.about);
    let board = planned.into_iter().fold(board, Board::block);
    Ok(board.block(Block::Form(None, None, form)).answer(status))
}

/// Plans one, or begins it.
pub(super) async fn create(visit: &Visit, form: Form) -> Page {
    let mut sheet = sheet(visit);
    sheet.take(&form);
    let mut fields = sheet.json();
    let starts = form.text("do") == Some("start");
    if !starts {
        fields.insert("dry_run".into(), true.into());
    }
    let made = match api::create(visit.services.clone(), visit.wants(fields)).await {
        Ok(made) => made.value(),
        Err(problem) => return filled(visit, sheet.refuse(problem)?, sheet, Vec::new()),
    };
    if starts {
        let id = made["id"].as_str().unwrap_or_default();
        return Ok(visit.done(&path(&["ui", "replays", id]), &visit.texts().replays.started.to_string()));
    }
    let planned = planned(visit, &made, &sheet);
    filled(visit, StatusCode::OK, sheet, planned)
}

/// What it would reach, and the button that begins it just so.
fn planned(visit: &Visit, plan: &Value, sheet: &Sheet) -> Vec<Block> {
    let (t, d) = (&visit.texts().replays, &visit.texts().doing);
    let number = |key: &str| plan[key].as_u64().unwrap_or_default();
    if number("deliveries") == 0 {
        return vec![Block::Note(t.nothing.to_string())];
    }
    let how = if plan["exact"] == true { t.exact } else { t.estimated };
    let mut start =
        Act::press(NEW, t.start).chief().asking(t.start_what.with(number("deliveries"))).sending("do", "start");
    for field in &sheet.fields {
        for value in &field.values {
            start = start.sending(field.name, value.as_str());
        }
    }
    let counted = |key: &str| Cell::Text(format!("{} ({how})", number(key)));
    let pairs = vec![
        (t.events, counted("events")),
        (t.deliveries, counted("deliveries")),
        (visit.texts().frame.actions, Cell::Acts(vec![start])),
    ];
    let row = |(name, many): (&String, &Value)| Row {
        to: None,
        cells: vec![Cell::Text(name.clone()), Cell::Text(many.to_string())],
    };
    let rows = plan["destinations"].as_object().into_iter().flatten().map(row).collect();
    vec![Block::Pairs(Some(t.planned), pairs), Block::Table(None, vec![d.to, t.deliveries], rows)]
}

/// Ends one.
pub(super) async fn cancel(visit: &Visit, _form: Form) -> Page {
    let id: String = visit.path().await?;
    api::cancel(visit.services.clone(), Path::from(id.clone()), visit.wants(Map::new())).await?;
    Ok(visit.done(&path(&["ui", "replays", &id]), &visit.texts().replays.cancelled.to_string()))
}

/// The way to replay what a list shows: the form, filled in by the list's filters.
pub(super) fn of_list(visit: &Visit, filters: &str) -> Vec<Act> {
    let to = if filters.is_empty() { NEW.to_owned() } else { format!("{NEW}?{filters}") };
    let act = Act::go(to, visit.texts().doing.replay_these);
    if visit.may(Right::Manage) { vec![act] } else { Vec::new() }
}
