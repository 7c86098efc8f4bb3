//! API keys: made, shown once, revoked.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use serde_json::Map;

use super::super::api::keys as api;
use super::Page;
use super::board::{Act, Block, Board, Cell, Filled, Row, Said};
use super::form::Form;
use super::parts::path;
use super::sheet::{Choice, Field, Kind, Sheet};
use super::visit::Visit;
use crate::domain::access::{Right, Role};
use crate::store::{FIRST_KEY, ShownKey};

const TAB: &str = "/ui/keys";
const NEW: &str = "/ui/new/key";

/// Lists them.
pub(super) async fn list(visit: &Visit) -> Page {
    let (t, s) = (&visit.texts().keys, &visit.texts().settings);
    let keys = visit.services.store.read().await?.keys(visit.caller.team.as_deref()).await?;
    let rows = keys.iter().map(|key| row(visit, key)).collect();
    let head = vec![s.name, s.state, t.role, s.team, t.made, t.used, t.expires, visit.texts().frame.actions];
    let board = Board::settings(visit, TAB, s.keys).about(t.about).act(true, Act::go(NEW, t.new));
    board.block(Block::Table(None, head, rows)).ok()
}

fn row(visit: &Visit, shown: &ShownKey) -> Row {
    let t = &visit.texts().keys;
    let key = &shown.key;
    let state = if shown.revoked_at.is_some() {
        "revoked"
    } else if shown.expires_at.is_some_and(|at| at <= visit.now) {
        "expired"
    } else {
        "holds"
    };
    let revoke = Act::press(path(&["ui", "keys", &key.id, "revoke"]), t.revoke);
    let revoke = revoke.asking(t.revoke_what.with(&key.name)).sending("name", key.name.as_str()).grave();
    let can_end = state == "holds" && key.name != FIRST_KEY;
    Row {
        to: None,
        cells: vec![
            Cell::Text(key.name.clone()),
            Cell::Word(state.to_owned()),
            Cell::Text(visit.texts().word(key.role.as_str()).to_owned()),
            Cell::text(key.team.as_deref()),
            Cell::When(shown.created_at),
            Cell::when(shown.last_used_at),
            Cell::when(shown.expires_at),
            if can_end { Cell::Acts(vec![revoke]) } else { Cell::Nothing },
        ],
    }
}

fn sheet(visit: &Visit) -> Sheet {
    let (t, s) = (&visit.texts().keys, &visit.texts().settings);
    let is_admin = visit.may(Right::Administer);
    let roles = Role::ALL.into_iter().rev().filter(|role| is_admin || *role != Role::Admin);
    let role = |role: Role| Choice {
        word: role.as_str().to_owned(),
        label: format!("{} · {}", role.as_str(), visit.texts().word(role.as_str())),
    };
    let team = |name: &String| Choice { word: name.clone(), label: name.clone() };
    let none = is_admin.then(|| Choice { word: String::new(), label: t.no_team.to_string() });
    let teams = visit.roster.teams.iter().filter(|name| visit.scope.sees_team(name)).map(team);
    let team = Field::new("team", s.team, Kind::Choice).choices(none.into_iter().chain(teams));
    Sheet::of([
        Field::new("name", s.name, Kind::Text).needed().example("reporting"),
        Field::new("role", t.role, Kind::Choice).hint(t.role_hint).choices(roles.map(role)).with("read"),
        if is_admin { team.hint(t.team_hint) } else { team },
        Field::new("expires_at", t.expires, Kind::Text).hint(t.expires_hint),
    ])
}

fn filled(visit: &Visit, status: StatusCode, sheet: Sheet) -> Page {
    let buttons = vec![("save", visit.texts().settings.create)];
    let form = Filled { to: NEW.to_owned(), is_question: false, sheet, buttons };
    let board = Board::settings(visit, TAB, visit.texts().keys.new);
    Ok(board.block(Block::Form(None, None, form)).answer(status))
}

/// The form for a new one.
pub(super) async fn blank(visit: &Visit) -> Page {
    filled(visit, StatusCode::OK, sheet(visit))
}

/// Makes one, and shows it once.
pub(super) async fn create(visit: &Visit, form: Form) -> Page {
    let (t, s) = (&visit.texts().keys, &visit.texts().settings);
    let mut sheet = sheet(visit);
    sheet.take(&form);
    let made = match api::create(visit.services.clone(), visit.wants(sheet.json())).await {
        Ok(made) => made.value(),
        Err(problem) => return filled(visit, sheet.refuse(problem)?, sheet),
    };
    let name = made["name"].as_str().unwrap_or_default();
    let said = Said {
        text: format!("{} {}", t.created.with(name), s.once),
        code: made["key"].as_str().map(str::to_owned),
        ..Said::default()
    };
    Board::settings(visit, TAB, name).act(true, Act::go(TAB, t.to_keys)).said(Some(said)).ok()
}

/// Revokes one.
pub(super) async fn revoke(visit: &Visit, form: Form) -> Page {
    let id: String = visit.path().await?;
    api::revoke(visit.services.clone(), Path::from(id), visit.wants(Map::new())).await?;
    Ok(visit.done(TAB, &visit.texts().keys.revoked.with(form.text("name").unwrap_or_default())))
}
