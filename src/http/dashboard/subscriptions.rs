//! Subscriptions: made, changed, removed, and made again.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use serde_json::Map;

use super::super::api::subscriptions as api;
use super::super::problem::Problem;
use super::Page;
use super::board::{Act, Block, Board, Cell, Filled, Row, Said};
use super::form::Form;
use super::parts::path;
use super::sheet::{Choice, Field, Kind, Sheet};
use super::visit::Visit;
use crate::domain::access::Right;
use crate::domain::event::EventType;
use crate::domain::filter::Filter;
use crate::domain::subscription::Subscription;

const TAB: &str = "/ui/subscriptions";
const NEW: &str = "/ui/new/subscription";
const NO_SUBSCRIPTION: Problem = Problem::NotFound("there is no subscription with this id");

/// Lists them.
pub(super) async fn list(visit: &Visit) -> Page {
    board(visit, None).ok()
}

fn board(visit: &Visit, said: Option<Said>) -> Board {
    let (t, s) = (&visit.texts().subscriptions, &visit.texts().settings);
    let has_place = visit.roster.targets.keys().any(|name| visit.scope.sees_destination(name));
    let board = Board::settings(visit, TAB, s.subscriptions).about(t.about).said(said);
    let board = board.act(visit.may(Right::Manage) && has_place, Act::go(NEW, t.new));
    let rows = rows(visit, None);
    if rows.is_empty() {
        let more = if has_place { t.none_more } else { t.none_no_destination };
        return board.block(Block::Empty(t.none, more, None));
    }
    board.block(Block::Table(None, head(visit), rows))
}

/// What the columns of [`rows`] are called.
pub(super) fn head(visit: &Visit) -> Vec<super::text::Text> {
    let (t, s) = (&visit.texts().subscriptions, &visit.texts().settings);
    vec![t.destination, t.events, t.sources, t.condition, t.faults, s.made_in]
}

/// Each subscription that the visitor may see, or those of one destination.
pub(super) fn rows(visit: &Visit, of: Option<&str>) -> Vec<Row> {
    let seen = visit.roster.subscriptions.iter().filter(|one| visit.scope.sees_destination(&one.destination));
    seen.filter(|one| of.is_none_or(|name| name == one.destination)).map(|one| row(visit, one)).collect()
}

fn row(visit: &Visit, one: &Subscription) -> Row {
    let (t, s) = (&visit.texts().subscriptions, &visit.texts().settings);
    let fault = visit.roster.faults.of(&one.id).map(|(many, last)| format!("{many} × {last}"));
    let sources = one.sources.clone().map_or_else(|| Cell::Text(t.every_source.to_string()), Cell::Chips);
    let may = visit.may(Right::Manage) && !one.from_file;
    Row {
        to: may.then(|| path(&["ui", "subscriptions", one.id.as_str()])),
        cells: vec![
            Cell::Text(one.destination.clone()),
            Cell::Chips(one.events.iter().map(|kind| kind.as_str().to_owned()).collect()),
            sources,
            one.filter.as_ref().map_or(Cell::Nothing, |filter| Cell::Code(filter.text().to_owned())),
            fault.map_or(Cell::Nothing, Cell::Bad),
            Cell::Text(if one.from_file { s.in_file } else { s.at_run_time }.to_string()),
        ],
    }
}

fn sheet(visit: &Visit, before: Option<&Subscription>) -> Sheet {
    let t = &visit.texts().subscriptions;
    let same = |word: &str| Choice { word: word.to_owned(), label: word.to_owned() };
    let mut places: Vec<&String> = visit.roster.targets.keys().collect();
    places.retain(|name| visit.scope.sees_destination(name));
    places.sort_unstable();
    let events = before.map(|one| one.events.iter().map(|kind| kind.as_str().to_owned()).collect::<Vec<_>>());
    let text = before.and_then(|one| one.filter.as_ref()).map(Filter::text);
    Sheet::of([
        Field::new("destination", t.destination, Kind::Choice)
            .choices(places.into_iter().map(|name| same(name)))
            .maybe(before.map(|one| one.destination.as_str())),
        Field::new("events", t.events, Kind::Several)
            .hint(t.events_hint)
            .choices(EventType::ALL.map(|kind| same(kind.as_str())))
            .all(events.unwrap_or_default()),
        Field::new("sources", t.sources, Kind::Several)
            .hint(t.sources_hint)
            .choices(visit.sources().iter().map(|name| same(name)))
            .all(before.and_then(|one| one.sources.clone()).unwrap_or_default()),
        Field::new("where", t.condition, Kind::Long)
            .hint(t.condition_hint)
            .example("task.model.startsWith(\"kling-o3\") && task.metadata.campaign == \"spring\"")
            .maybe(text),
    ])
}

fn filled(visit: &Visit, status: StatusCode, id: Option<&str>, sheet: Sheet) -> Page {
    let (t, s) = (&visit.texts().subscriptions, &visit.texts().settings);
    let (title, to, button) = match id {
        None => (t.new, NEW.to_owned(), s.create),
        Some(id) => (t.title, path(&["ui", "subscriptions", id]), s.save),
    };
    let mut board = Board::settings(visit, TAB, title);
    if let Some(id) = id {
        let name = sheet.fields.first().map(Field::text).unwrap_or_default();
        let delete = Act::press(path(&["ui", "subscriptions", id, "delete"]), s.delete);
        board = board.act(true, delete.asking(t.delete_what.with(name)).grave());
    }
    let form = Filled { to, is_question: false, sheet, buttons: vec![("save", button)] };
    Ok(board.block(Block::Form(None, None, form)).answer(status))
}

/// Says what is wrong, where; a mistake in the condition at its place.
fn refused(visit: &Visit, problem: Problem, id: Option<&str>, mut sheet: Sheet) -> Page {
    let is_condition = matches!(&problem, Problem::Invalid { field, .. } if field == "where");
    let status = sheet.refuse(problem)?;
    let text = sheet.field("where").map(|field| field.text()).unwrap_or_default();
    if is_condition && let Err(mistake) = Filter::compile(&text) {
        sheet.mark("where", &mistake);
    }
    filled(visit, status, id, sheet)
}

/// The form for a new one; its address may name the destination.
pub(super) async fn blank(visit: &Visit) -> Page {
    let mut sheet = sheet(visit, None);
    sheet.take(&Form::of(&visit.request.query_string().to_owned().into()));
    filled(visit, StatusCode::OK, None, sheet)
}

/// Makes one.
pub(super) async fn create(visit: &Visit, form: Form) -> Page {
    let mut sheet = sheet(visit, None);
    sheet.take(&form);
    match api::create(visit.services.clone(), visit.wants(sheet.json())).await {
        Ok(_) => {
            let name = form.text("destination").unwrap_or_default();
            Ok(visit.done(TAB, &visit.texts().subscriptions.made.with(name)))
        }
        Err(problem) => refused(visit, problem, None, sheet),
    }
}

fn find<'a>(visit: &'a Visit, id: &str) -> Result<&'a Subscription, Problem> {
    let found = visit.roster.subscriptions.iter().find(|one| one.id.as_str() == id);
    found.filter(|one| visit.scope.sees_destination(&one.destination)).ok_or(NO_SUBSCRIPTION)
}

/// The form with what is there of one.
pub(super) async fn edit(visit: &Visit) -> Page {
    let id: String = visit.path().await?;
    let one = find(visit, &id)?;
    if one.from_file {
        return Err(Problem::Conflict(visit.texts().settings.file_only.to_string()));
    }
    filled(visit, StatusCode::OK, Some(&id), sheet(visit, Some(one)))
}

/// Changes one.
pub(super) async fn update(visit: &Visit, form: Form) -> Page {
    let id: String = visit.path().await?;
    let mut sheet = sheet(visit, Some(find(visit, &id)?));
    sheet.take(&form);
    match api::update(visit.services.clone(), Path::from(id.clone()), visit.wants(sheet.json())).await {
        Ok(_) => {
            let name = form.text("destination").unwrap_or_default();
            Ok(visit.done(TAB, &visit.texts().subscriptions.made.with(name)))
        }
        Err(problem) => refused(visit, problem, Some(&id), sheet),
    }
}

/// Removes one. The page that says so can make it again, as long as it is open.
pub(super) async fn delete(visit: &Visit, _form: Form) -> Page {
    let (t, id) = (&visit.texts().subscriptions, visit.path::<String>().await?);
    let before = find(visit, &id)?.clone();
    api::delete(visit.services.clone(), Path::from(id), visit.wants(Map::new())).await?;
    let mut undo = Act::press(NEW, visit.texts().settings.undo).sending("destination", before.destination.as_str());
    for kind in &before.events {
        undo = undo.sending("events", kind.as_str());
    }
    for name in before.sources.iter().flatten() {
        undo = undo.sending("sources", name.as_str());
    }
    if let Some(filter) = &before.filter {
        undo = undo.sending("where", filter.text());
    }
    let said = Said { undo: Some(undo), ..Said::done(t.deleted.with(&before.destination)) };
    board(&visit.later(), Some(said)).ok()
}
