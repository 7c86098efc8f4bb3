//! Teams: made, changed, removed, and made again.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use serde_json::Map;

use super::super::api::teams as api;
use super::super::problem::Problem;
use super::Page;
use super::board::{Act, Block, Board, Cell, Filled, Row, Said};
use super::form::Form;
use super::parts::path;
use super::sheet::{Field, Kind, Sheet};
use super::visit::Visit;
use crate::domain::access::Right;

const TAB: &str = "/ui/teams";
const NEW: &str = "/ui/new/team";
const NO_TEAM: Problem = Problem::NotFound("there is no team of this name");

/// Lists them.
pub(super) async fn list(visit: &Visit) -> Page {
    board(visit, None).ok()
}

fn description<'a>(visit: &'a Visit, name: &str) -> Option<&'a str> {
    visit.roster.made_teams.iter().find(|team| team.name == name)?.description.as_deref()
}

fn is_of_file(visit: &Visit, name: &str) -> bool {
    visit.roster.made_teams.iter().all(|team| team.name != name)
}

fn board(visit: &Visit, said: Option<Said>) -> Board {
    let (t, s) = (&visit.texts().teams, &visit.texts().settings);
    let may = visit.may(Right::Administer);
    let row = |name: &String| {
        let from_file = is_of_file(visit, name);
        Row {
            to: (may && !from_file).then(|| path(&["ui", "teams", name])),
            cells: vec![
                Cell::Text(name.clone()),
                Cell::text(description(visit, name)),
                Cell::Text(if from_file { s.in_file } else { s.at_run_time }.to_string()),
            ],
        }
    };
    let rows: Vec<Row> = visit.roster.teams.iter().filter(|name| visit.scope.sees_team(name)).map(row).collect();
    let board = Board::settings(visit, TAB, s.teams).about(t.about).said(said).act(may, Act::go(NEW, t.new));
    if rows.is_empty() {
        return board.block(Block::Empty(t.none, t.none_more, None));
    }
    board.block(Block::Table(None, vec![s.name, t.description, s.made_in], rows))
}

fn sheet(visit: &Visit, name: Option<&str>) -> Sheet {
    let (t, s) = (&visit.texts().teams, &visit.texts().settings);
    let said = name.and_then(|name| description(visit, name));
    let asked = match name {
        None => Field::new("name", s.name, Kind::Text).needed().hint(s.name_hint).example("ads"),
        Some(name) => Field::new("name", s.name, Kind::Fixed).with(name),
    };
    Sheet::of([asked, Field::new("description", t.description, Kind::Text).maybe(said)])
}

fn filled(visit: &Visit, status: StatusCode, name: Option<&str>, sheet: Sheet) -> Page {
    let (t, s) = (&visit.texts().teams, &visit.texts().settings);
    let (title, to, button) = match name {
        None => (t.new.to_string(), NEW.to_owned(), s.create),
        Some(name) => (s.edit_of.with(name), path(&["ui", "teams", name]), s.save),
    };
    let mut board = Board::settings(visit, TAB, title);
    if let Some(name) = name {
        let delete = Act::press(path(&["ui", "teams", name, "delete"]), s.delete).asking(t.delete_what.with(name));
        board = board.act(true, delete.grave());
    }
    let form = Filled { to, is_question: false, sheet, buttons: vec![("save", button)] };
    Ok(board.block(Block::Form(None, None, form)).answer(status))
}

/// The form for a new one.
pub(super) async fn blank(visit: &Visit) -> Page {
    filled(visit, StatusCode::OK, None, sheet(visit, None))
}

/// Makes one.
pub(super) async fn create(visit: &Visit, form: Form) -> Page {
    let mut sheet = sheet(visit, None);
    sheet.take(&form);
    match api::create(visit.services.clone(), visit.wants(sheet.json())).await {
        Ok(_) => {
            let name = form.text("name").unwrap_or_default();
            Ok(visit.done(TAB, &visit.texts().settings.created.with(name)))
        }
        Err(problem) => filled(visit, sheet.refuse(problem)?, None, sheet),
    }
}

/// The form with what is there of one.
pub(super) async fn edit(visit: &Visit) -> Page {
    let name: String = visit.path().await?;
    if !visit.roster.teams.contains(&name) {
        return Err(NO_TEAM);
    }
    if is_of_file(visit, &name) {
        return Err(Problem::Conflict(visit.texts().settings.file_only.to_string()));
    }
    filled(visit, StatusCode::OK, Some(&name), sheet(visit, Some(&name)))
}

/// Changes one.
pub(super) async fn update(visit: &Visit, form: Form) -> Page {
    let name: String = visit.path().await?;
    let mut sheet = sheet(visit, Some(&name));
    sheet.take(&form);
    match api::update(visit.services.clone(), Path::from(name.clone()), visit.wants(sheet.json())).await {
        Ok(_) => Ok(visit.done(TAB, &visit.texts().settings.saved.with(&name))),
        Err(problem) => filled(visit, sheet.refuse(problem)?, Some(&name), sheet),
    }
}

/// Removes one. The page that says so can make it again, as long as it is open.
pub(super) async fn delete(visit: &Visit, _form: Form) -> Page {
    let (s, name) = (&visit.texts().settings, visit.path::<String>().await?);
    let before = description(visit, &name).unwrap_or_default();
    api::delete(visit.services.clone(), Path::from(name.clone()), visit.wants(Map::new())).await?;
    let undo = Act::press(NEW, s.undo).sending("name", name.as_str()).sending("description", before);
    let said = Said { undo: Some(undo), ..Said::done(s.deleted.with(&name)) };
    board(&visit.later(), Some(said)).ok()
}
