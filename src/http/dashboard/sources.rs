//! Sources: how they fare, their callback URLs and tokens; made, changed, removed.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use serde_json::{Map, Value};

use super::super::api::sources as api;
use super::super::problem::Problem;
use super::Page;
use super::board::{Act, Block, Board, Cell, Filled, Row, Said};
use super::form::Form;
use super::parts::path;
use super::sheet::{Choice, Field, Kind, Sheet};
use super::visit::Visit;
use crate::config::value::duration_text;
use crate::domain::access::Right;
use crate::domain::callback::written_metadata;
use crate::domain::task::Metadata;
use crate::flow::receive::callback_path;
use crate::flow::roster::ActiveSource;
use crate::providers::PROVIDERS;
use crate::providers::api::calls_back;
use crate::store::SourceState;

const TAB: &str = "/ui/sources";
const NO_SOURCE: Problem = Problem::NotFound("there is no source of this name");

/// Lists them.
pub(super) async fn list(visit: &Visit) -> Page {
    let (t, s) = (&visit.texts().sources, &visit.texts().settings);
    let states = visit.services.store.read().await?.source_states().await?;
    let row = |name: &String| {
        let active = visit.roster.sources.get(name)?;
        let state = states.iter().find(|state| state.name == *name);
        let (word, reason) = condition(state);
        Some(Row {
            to: Some(path(&["ui", "sources", name])),
            cells: vec![
                Cell::Text(name.clone()),
                Cell::Word(word.to_owned()),
                reason.map_or(Cell::Nothing, Cell::Bad),
                Cell::Text(active.source.provider.clone()),
                copied(visit, active),
                teams(visit, active),
                Cell::Text(if active.source.from_file { s.in_file } else { s.at_run_time }.to_string()),
            ],
        })
    };
    let rows: Vec<Row> = visit.sources().iter().filter_map(row).collect();
    let head = vec![s.name, s.state, s.reason, s.provider, t.callback_url, s.teams, s.made_in];
    let board = Board::settings(visit, TAB, s.sources).about(t.about);
    let board = board.act(visit.may(Right::Administer), Act::go("/ui/new/source", t.new));
    if rows.is_empty() {
        return board.block(Block::Empty(t.none, t.none_more, None)).ok();
    }
    board.block(Block::Table(None, head, rows)).ok()
}

/// Its callback URL, for who may put it into requests; the token in it is only copied.
fn copied(visit: &Visit, active: &ActiveSource) -> Cell {
    let name = &active.source.name;
    let path = callback_path(&visit.roster, name, &Metadata::new());
    match path.filter(|_| visit.may(Right::Manage) && calls_back(active.adapter)) {
        Some(path) => Cell::Copy(format!("{}{path}", visit.services.config.base_url()), format!("/callbacks/{name}/…")),
        None => Cell::Nothing,
    }
}

/// How a source fares, in a word and a reason.
fn condition(state: Option<&SourceState>) -> (&'static str, Option<String>) {
    if let Some(trouble) = state.and_then(|state| state.trouble.as_ref()) {
        return (trouble.ailment.as_str(), Some(trouble.reason.clone()));
    }
    match state.and_then(|state| state.refused.as_ref()) {
        Some((_, reason)) => ("refused", Some(reason.clone())),
        None => ("well", None),
    }
}

/// Who sees it; a team is told of itself alone.
fn teams(visit: &Visit, active: &ActiveSource) -> Cell {
    let Some(teams) = &active.source.teams else {
        return Cell::Text(visit.texts().settings.every_team.to_string());
    };
    Cell::Chips(teams.iter().filter(|team| visit.scope.sees_team(team)).cloned().collect())
}

fn find<'a>(visit: &'a Visit, name: &str) -> Result<&'a ActiveSource, Problem> {
    visit.roster.sources.get(name).filter(|_| visit.scope.sees_source(name)).ok_or(NO_SOURCE)
}

/// Shows one.
pub(super) async fn show(visit: &Visit) -> Page {
    let name: String = visit.path().await?;
    board(visit, &name, None).await?.ok()
}

async fn board(visit: &Visit, name: &str, said: Option<Said>) -> Result<Board, Problem> {
    let (t, s) = (&visit.texts().sources, &visit.texts().settings);
    let active = find(visit, name)?;
    let mut tx = visit.services.store.read().await?;
    let state = tx.source_state(name).await?;
    let uses = tx.token_uses().await?;
    drop(tx);
    let (word, reason) = condition(state.as_ref());
    let may = visit.may(Right::Administer) && !active.source.from_file;
    let confirm = t.delete_what.with(name);
    let mut board = Board::settings(visit, TAB, name)
        .badge(word)
        .act(may, Act::go(path(&["ui", "sources", name, "edit"]), s.edit))
        .act(may, Act::press(path(&["ui", "sources", name, "delete"]), s.delete).asking(confirm).grave())
        .said(said);
    if active.source.from_file {
        board = board.about(s.file_only);
    }
    let mut pairs = vec![
        (s.provider, Cell::Text(active.source.provider.clone())),
        (t.teams, teams(visit, active)),
        (t.signed, answer(visit, !active.source.signing_secrets.is_empty())),
        (t.can_ask, answer(visit, active.source.can_ask())),
        (t.confirm, Cell::Text(confirm_word(visit, active.source.confirm.as_str()))),
        (t.poll_after, Cell::Text(duration_text(active.source.poll.after))),
        (t.poll_every, Cell::Text(duration_text(active.source.poll.every))),
        (t.poll_give_up, Cell::Text(duration_text(active.source.poll.give_up_after))),
        (t.rate, Cell::text(active.source.rate.map(|rate| rate.to_string()))),
    ];
    if let Some(reason) = reason {
        pairs.insert(0, (s.reason, Cell::Bad(reason)));
    }
    board = board.block(Block::Pairs(None, pairs));
    if visit.may(Right::Manage) {
        board = callback_url(visit, active, board)?;
        board = board.block(tokens(visit, active, &uses));
    }
    Ok(board)
}

fn answer(visit: &Visit, yes: bool) -> Cell {
    let s = &visit.texts().settings;
    Cell::Text(if yes { s.yes } else { s.no }.to_string())
}

fn confirm_word(visit: &Visit, word: &str) -> String {
    let t = &visit.texts().sources;
    [("auto", t.auto), ("always", t.always), ("never", t.never)]
        .into_iter()
        .find(|(known, _)| *known == word)
        .map_or_else(|| word.to_owned(), |(_, text)| text.to_string())
}

/// What is put into requests, with the metadata that was asked for, signed.
fn callback_url(visit: &Visit, active: &ActiveSource, board: Board) -> Result<Board, Problem> {
    let t = &visit.texts().sources;
    if !calls_back(active.adapter) {
        return Ok(board.block(Block::Note(t.never_calls.to_string())));
    }
    let name = &active.source.name;
    let mut sheet =
        Sheet::of([Field::new("meta", t.metadata, Kind::Lines).hint(t.metadata_hint).example("campaign=spring")]);
    sheet.take(&Form::of(&visit.request.query_string().to_owned().into()));
    let lines = sheet.fields[0].values.clone();
    let pairs = written_metadata(lines.iter().map(String::as_str)).unwrap_or_else(|problem| {
        sheet.fields[0].problem = Some(problem);
        Metadata::new()
    });
    let base = visit.services.config.base_url();
    let url = callback_path(&visit.roster, name, &pairs).ok_or(NO_SOURCE)?;
    let public = visit.services.config.server.public_url.is_some();
    let more = if public { t.callback_url_more } else { t.not_public };
    let filled =
        Filled { to: path(&["ui", "sources", name]), is_question: true, sheet, buttons: vec![("", t.make_url)] };
    let board = board.block(Block::Code(Some(t.callback_url), Some(more), format!("{base}{url}")));
    Ok(board.block(Block::Form(None, None, filled)))
}

fn tokens(visit: &Visit, active: &ActiveSource, uses: &[(String, String, crate::domain::clock::Timestamp)]) -> Block {
    let (t, name) = (&visit.texts().sources, active.source.name.as_str());
    let may = visit.may(Right::Administer) && active.tokens.iter().all(|token| token.made.is_some());
    let mut rows: Vec<Row> = Vec::new();
    for token in &active.tokens {
        let written = uses.iter().find(|(of, id, _)| of == name && *id == token.id).map(|(.., at)| *at);
        let retire = Act::press(path(&["ui", "sources", name, "tokens", &token.id, "retire"]), t.retire);
        let retire = retire.asking(t.retire_what).grave();
        let acts = if may && active.tokens.len() > 1 { Cell::Acts(vec![retire]) } else { Cell::Nothing };
        rows.push(Row {
            to: None,
            cells: vec![
                Cell::Code(token.id.clone()),
                Cell::when(token.made.map(|(_, at)| at)),
                Cell::when(written.max(token.used.last())),
                acts,
            ],
        });
    }
    if may {
        let act = Act::press(path(&["ui", "sources", name, "token"]), t.rotate).asking(t.rotate_what);
        rows.push(Row { to: None, cells: vec![Cell::Acts(vec![act]), Cell::Nothing, Cell::Nothing, Cell::Nothing] });
    }
    Block::Table(Some(t.tokens), vec![t.token, t.token_made, t.token_used, visit.texts().frame.actions], rows)
}

/// The form for a new one, or with what is there of one.
fn sheet(visit: &Visit, before: Option<(&str, &Map<String, Value>)>) -> Sheet {
    let (t, s) = (&visit.texts().sources, &visit.texts().settings);
    let empty = Map::new();
    let is = before.map_or(&empty, |(_, settings)| settings);
    let text = |name: &str| is.get(name).and_then(Value::as_str).map(str::to_owned);
    let poll = |name: &str| is.get("poll").and_then(|poll| poll[name].as_str()).map(str::to_owned);
    let choice = |(word, label): (&str, super::text::Text)| Choice { word: word.to_owned(), label: label.to_string() };
    let same = |word: &str| Choice { word: word.to_owned(), label: word.to_owned() };
    let usual = |what: &str| t.usual.with(what);
    let teams = is.get("teams").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let secret = |field: Field, hint| {
        let stays = is.contains_key(field.name).then_some(s.secret_stays);
        field.hint(stays.unwrap_or(hint))
    };
    let provider = Field::new("provider", s.provider, if before.is_some() { Kind::Fixed } else { Kind::Choice });
    let discovers = is.get("poll").is_some_and(|poll| poll["discover"] == true);
    let name = Field::new("name", s.name, Kind::Text).needed().hint(s.name_hint).example("evolink");
    let name = before.map_or(name, |(name, _)| Field::new("name", s.name, Kind::Fixed).with(name));
    Sheet::of([
        name,
        provider.choices(PROVIDERS.iter().map(|known| same(known.name()))).maybe(text("provider")),
        Field::new("teams", t.teams, Kind::Several)
            .hint(t.teams_hint)
            .choices(visit.roster.teams.iter().map(|team| same(team)))
            .all(teams.map(str::to_owned)),
        secret(Field::new("api_key", t.api_key, Kind::Secret), t.api_key_hint),
        secret(Field::new("signing_secret", t.signing_secret, Kind::Secret), t.signing_secret_hint),
        Field::new("base_url", t.base_url, Kind::Text).example("https://api.example.com").maybe(text("base_url")),
        Field::new("confirm", t.confirm, Kind::Choice)
            .choices([("auto", t.auto), ("always", t.always), ("never", t.never)].map(choice))
            .maybe(text("confirm")),
        Field::new("confirm_within", t.confirm_within, Kind::Text).hint(usual("10m")).maybe(text("confirm_within")),
        Field::new("poll.after", t.poll_after, Kind::Text).hint(usual("5m")).maybe(poll("after")),
        Field::new("poll.every", t.poll_every, Kind::Text).hint(usual("1m")).maybe(poll("every")),
        Field::new("poll.give_up_after", t.poll_give_up, Kind::Text).hint(usual("24h")).maybe(poll("give_up_after")),
        Field::new("poll.pace", t.poll_pace, Kind::Text).example("5/s").maybe(poll("pace")),
        Field::new("poll.discover", t.discover, Kind::Flag).maybe(discovers.then_some("on")),
        Field::new("rate", t.rate, Kind::Text).hint(s.optional_rate).example("200/s").maybe(text("rate")),
        Field::new("relay_keys", t.relay_keys, Kind::Choice)
            .choices([("keep", t.keep), ("forget", t.forget)].map(choice))
            .maybe(text("relay_keys")),
    ])
    .seldom("base_url")
}

fn filled(visit: &Visit, status: StatusCode, name: Option<&str>, sheet: Sheet) -> Page {
    let (t, s) = (&visit.texts().sources, &visit.texts().settings);
    let (title, to, button) = match name {
        None => (t.new.to_string(), "/ui/new/source".to_owned(), s.create),
        Some(name) => (s.edit_of.with(name), path(&["ui", "sources", name, "edit"]), s.save),
    };
    let form = Filled { to, is_question: false, sheet, buttons: vec![("save", button)] };
    Ok(Board::settings(visit, TAB, title).block(Block::Form(None, None, form)).answer(status))
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
            Ok(visit.done(&path(&["ui", "sources", name]), &visit.texts().settings.created.with(name)))
        }
        Err(problem) => filled(visit, sheet.refuse(problem)?, None, sheet),
    }
}

/// What is kept of one that can be changed here.
async fn kept(visit: &Visit, name: &str) -> Result<Map<String, Value>, Problem> {
    if find(visit, name)?.source.from_file {
        return Err(Problem::Conflict(visit.texts().settings.file_only.to_string()));
    }
    let safe = visit.services.roster.safe();
    let made = visit.services.store.read().await?.made_source(safe, name).await?;
    Ok(made.ok_or(NO_SOURCE)?.settings)
}

/// The form with what is there of one.
pub(super) async fn edit(visit: &Visit) -> Page {
    let name: String = visit.path().await?;
    let settings = kept(visit, &name).await?;
    filled(visit, StatusCode::OK, Some(&name), sheet(visit, Some((&name, &settings))))
}

/// Changes one.
pub(super) async fn update(visit: &Visit, form: Form) -> Page {
    let name: String = visit.path().await?;
    let settings = kept(visit, &name).await?;
    let mut sheet = sheet(visit, Some((&name, &settings)));
    sheet.take(&form);
    match api::update(visit.services.clone(), Path::from(name.clone()), visit.wants(sheet.json())).await {
        Ok(_) => Ok(visit.done(&path(&["ui", "sources", &name]), &visit.texts().settings.saved.with(&name))),
        Err(problem) => filled(visit, sheet.refuse(problem)?, Some(&name), sheet),
    }
}

/// Removes one.
pub(super) async fn delete(visit: &Visit, _form: Form) -> Page {
    let name: String = visit.path().await?;
    api::delete(visit.services.clone(), Path::from(name.clone()), visit.wants(Map::new())).await?;
    Ok(visit.done(TAB, &visit.texts().settings.deleted.with(name)))
}

/// Makes a callback token beside the others.
pub(super) async fn rotate(visit: &Visit, _form: Form) -> Page {
    let name: String = visit.path().await?;
    let made = api::add_token(visit.services.clone(), Path::from(name.clone()), visit.wants(Map::new())).await?;
    let made = made.value();
    let url = made["callback_url"].as_str().unwrap_or_default();
    Ok(visit.done(&path(&["ui", "sources", &name]), &visit.texts().sources.rotated.with(url)))
}

/// Retires a callback token.
pub(super) async fn retire(visit: &Visit, _form: Form) -> Page {
    let place: (String, String) = visit.path().await?;
    let to = path(&["ui", "sources", &place.0]);
    api::retire_token(visit.services.clone(), Path::from(place), visit.wants(Map::new())).await?;
    Ok(visit.done(&to, &visit.texts().sources.retired.to_string()))
}
