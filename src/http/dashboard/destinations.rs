//! Destinations: how they fare; made, changed, tested, enabled, removed; their secrets.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use serde_json::{Map, Value};

use super::super::api::destinations as api;
use super::super::problem::Problem;
use super::Page;
use super::board::{Act, Block, Board, Cell, Filled, Row, Said};
use super::form::Form;
use super::parts::path;
use super::sheet::{Choice, Field, Kind, Sheet};
use super::visit::Visit;
use crate::channels::{CHANNELS, Channel, FieldKind, channel};
use crate::domain::access::Right;
use crate::domain::destination::Destination;
use crate::flow::roster::Target;
use crate::store::DestinationState;

const TAB: &str = "/ui/destinations";
const NO_DESTINATION: Problem = Problem::NotFound("there is no destination of this name");
/// So many held deliveries are counted.
const HELD_COUNTED: usize = 10_000;

/// Lists them.
pub(super) async fn list(visit: &Visit) -> Page {
    let (t, s) = (&visit.texts().destinations, &visit.texts().settings);
    let board = Board::settings(visit, TAB, s.destinations).about(t.about);
    let board = board.act(visit.may(Right::Manage), Act::go("/ui/new/destination", t.new));
    let rows = rows(visit).await?;
    if rows.is_empty() {
        let more = if visit.roster.teams.is_empty() { t.none_no_team } else { t.none_more };
        return board.block(Block::Empty(t.none, more, None)).ok();
    }
    board.block(Block::Table(None, head(visit), rows)).ok()
}

/// What the columns of [`rows`] are called.
pub(super) fn head(visit: &Visit) -> Vec<super::text::Text> {
    let (t, s) = (&visit.texts().destinations, &visit.texts().settings);
    vec![s.name, s.state, s.reason, t.held, s.channel, t.target, s.team, s.made_in]
}

/// Each destination that the visitor may see, and how it fares.
pub(super) async fn rows(visit: &Visit) -> Result<Vec<Row>, Problem> {
    let s = &visit.texts().settings;
    let mut targets: Vec<&Target> = visit.roster.targets.values().collect();
    targets.retain(|target| visit.scope.sees_destination(&target.destination.name));
    targets.sort_by(|a, b| a.destination.name.cmp(&b.destination.name));
    let mut tx = visit.services.store.read().await?;
    let states = tx.destination_states().await?;
    let mut rows = Vec::new();
    for target in targets {
        let destination = &target.destination;
        let state = states.iter().find(|state| state.name == destination.name);
        let (word, reason) = condition(visit, state);
        let is_held = word == "disabled";
        let held = if is_held { tx.held_count(&destination.name, HELD_COUNTED + 1).await? } else { 0 };
        rows.push(Row {
            to: Some(path(&["ui", "destinations", &destination.name])),
            cells: vec![
                Cell::Text(destination.name.clone()),
                Cell::Word(word.to_owned()),
                reason.map_or(Cell::Nothing, Cell::Bad),
                if is_held { Cell::Text(counted(visit, held)) } else { Cell::Nothing },
                Cell::Text(destination.channel.clone()),
                Cell::Text(target.sender.target()),
                Cell::Text(destination.team.clone()),
                Cell::Text(if destination.from_file { s.in_file } else { s.at_run_time }.to_string()),
            ],
        });
    }
    Ok(rows)
}

fn counted(visit: &Visit, many: u64) -> String {
    let most = HELD_COUNTED as u64;
    if many > most { visit.texts().destinations.too_many.with(most) } else { many.to_string() }
}

/// How a destination fares, in a word and a reason.
fn condition(visit: &Visit, state: Option<&DestinationState>) -> (&'static str, Option<String>) {
    let Some(state) = state else { return ("enabled", None) };
    if let Some((_, reason)) = &state.disabled {
        return ("disabled", Some(reason.clone()));
    }
    if state.paused_until.is_some_and(|until| until > visit.now) {
        return ("paused", None);
    }
    if state.failing_since.is_some() { ("failing", None) } else { ("enabled", None) }
}

fn find<'a>(visit: &'a Visit, name: &str) -> Result<&'a Target, Problem> {
    visit.roster.targets.get(name).filter(|_| visit.scope.sees_destination(name)).ok_or(NO_DESTINATION)
}

/// Shows one.
pub(super) async fn show(visit: &Visit) -> Page {
    let name: String = visit.path().await?;
    board(visit, &name, None).await?.ok()
}

async fn board(visit: &Visit, name: &str, said: Option<Said>) -> Result<Board, Problem> {
    let (t, s) = (&visit.texts().destinations, &visit.texts().settings);
    let target = find(visit, name)?;
    let destination = &target.destination;
    let mut tx = visit.services.store.read().await?;
    let states = tx.destination_states().await?;
    let held = tx.held_count(name, HELD_COUNTED + 1).await?;
    drop(tx);
    let state = states.iter().find(|state| state.name == name);
    let (word, reason) = condition(visit, state);
    let mut board = deeds(visit, target, word, held, Board::settings(visit, TAB, name).badge(word).said(said));
    if destination.from_file {
        board = board.about(s.file_only);
    }
    let mut pairs = vec![
        (s.channel, Cell::Text(destination.channel.clone())),
        (t.target, Cell::Text(target.sender.target())),
        (s.team, Cell::Text(destination.team.clone())),
        (s.rate, Cell::text(target.limits.rate.map(|rate| rate.to_string()))),
        (t.concurrency, Cell::Text(target.limits.concurrency.to_string())),
        (t.held, Cell::Text(counted(visit, held))),
    ];
    if let Some(state) = state {
        pairs.push((t.paused, Cell::when(state.paused_until.filter(|until| *until > visit.now))));
        pairs.push((t.failing, Cell::when(state.failing_since)));
        pairs.push((t.dead_count, Cell::Text(state.trouble.dead.to_string())));
        pairs.extend(state.disabled.as_ref().map(|(at, _)| (s.since, Cell::When(*at))));
    }
    pairs.extend(reason.map(|reason| (s.reason, Cell::Bad(reason))));
    let filter = url::form_urlencoded::Serializer::new(String::new()).append_pair("destination", name).finish();
    pairs.push((t.deliveries, Cell::Link(format!("/ui/deliveries?{filter}"), t.deliveries.to_string())));
    let rows = super::subscriptions::rows(visit, Some(name));
    let subscribe = Act::go(format!("/ui/new/subscription?{filter}"), t.subscribe);
    let told = if rows.is_empty() {
        Block::Note(visit.texts().subscriptions.none_more.to_string())
    } else {
        Block::Table(Some(s.subscriptions), super::subscriptions::head(visit), rows)
    };
    Ok(board.act(visit.may(Right::Manage), subscribe).block(Block::Pairs(None, pairs)).block(told))
}

/// What can be done with one.
fn deeds(visit: &Visit, target: &Target, word: &str, held: u64, board: Board) -> Board {
    let (t, s) = (&visit.texts().destinations, &visit.texts().settings);
    let destination = &target.destination;
    let name = destination.name.as_str();
    let to = |what: &str| path(&["ui", "destinations", name, what]);
    let may = visit.may(Right::Manage);
    let is_ours = may && !destination.from_file;
    let is_off = word != "enabled";
    let rotates = target.channel.signs() && !(destination.from_file && destination.settings.contains_key("secret"));
    let enable = |label, what: super::text::Text, word| {
        Act::press(to("enable"), label).asking(what.with(name)).sending("held", word)
    };
    board
        .act(may, Act::press(to("test"), t.test).asking(t.test_what.with(name)))
        .act(may && is_off && held == 0, enable(t.enable, t.enabled, "send"))
        .act(may && held > 0, enable(t.enable_send, t.enable_send_what, "send"))
        .act(may && held > 0, enable(t.enable_drop, t.enable_drop_what, "drop").grave())
        .act(may && rotates, Act::press(to("secret"), t.secret).asking(t.secret_what))
        .act(is_ours, Act::go(to("edit"), s.edit))
        .act(is_ours, Act::press(to("delete"), s.delete).asking(t.delete_what.with(name)).grave())
}

/// The form for a new one of this channel, or with what is there of one.
fn sheet(visit: &Visit, made: &dyn Channel, before: Option<&Destination>) -> Sheet {
    let (t, s) = (&visit.texts().destinations, &visit.texts().settings);
    let is_new = before.is_none();
    let fixed = |name, label, value: Option<&str>| Field::new(name, label, Kind::Fixed).maybe(value);
    let teams = visit.roster.teams.iter().filter(|team| visit.scope.sees_team(team));
    let teams = teams.map(|team| Choice { word: team.clone(), label: team.clone() });
    let mut fields = if is_new {
        vec![
            Field::new("name", s.name, Kind::Text).needed().hint(s.name_hint).example("ads-slack"),
            Field::new("team", s.team_of, Kind::Choice).choices(teams),
        ]
    } else {
        let is = |value: fn(&Destination) -> &str| before.map(value);
        vec![fixed("name", s.name, is(|one| &one.name)), fixed("team", s.team_of, is(|one| &one.team))]
    };
    fields.push(fixed("channel", s.channel, Some(made.name())));
    for field in made.fields() {
        let kept = before.and_then(|before| before.settings.get(field.name));
        let label = match field.name {
            "url" => t.field_url,
            "to" => t.field_to,
            _ => t.field_secret,
        };
        let kind = match (field.kind, field.secret) {
            (FieldKind::Texts, false) => Kind::Lines,
            (_, true) if field.name == "secret" => Kind::Secret,
            _ => Kind::Text,
        };
        let mut asked = Field::new(field.name, label, kind);
        asked.is_needed = field.required && !(field.secret && kept.is_some());
        asked.hint = match field.name {
            "to" => Some(t.field_to_hint.to_string()),
            "secret" if is_new => Some(t.field_secret_hint.to_string()),
            "secret" => Some(s.secret_stays.to_string()),
            _ if field.secret && kept.is_some() => Some(t.unchanged_url.to_string()),
            _ => None,
        };
        asked.values = kept.filter(|_| !field.secret).map(texts).unwrap_or_default();
        fields.push(asked);
    }
    let rate = before.and_then(|before| before.rate).map(|rate| rate.to_string());
    let most = before.and_then(|before| before.concurrency).map(|most| most.to_string());
    fields.push(Field::new("rate", s.rate, Kind::Text).hint(s.optional_rate).maybe(rate));
    fields.push(Field::new("concurrency", t.concurrency, Kind::Number).maybe(most));
    Sheet::of(fields)
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        other => other.as_str().map(str::to_owned).into_iter().collect(),
    }
}

/// The page with the form.
struct Asked<'a> {
    status: StatusCode,
    /// Of one that is there.
    name: Option<&'a str>,
    channel: &'a str,
    sheet: Sheet,
    said: Option<Said>,
}

fn filled(visit: &Visit, asked: Asked<'_>) -> Page {
    let (t, s) = (&visit.texts().destinations, &visit.texts().settings);
    let Asked { status, name, channel, sheet, said } = asked;
    let (title, to, button) = match name {
        None => (t.new.to_string(), format!("/ui/new/destination?channel={channel}"), s.create),
        Some(name) => (s.edit_of.with(name), path(&["ui", "destinations", name, "edit"]), s.save),
    };
    let form = Filled { to, is_question: false, sheet, buttons: vec![("save", button), ("test", t.test)] };
    let board = Board::settings(visit, TAB, title).said(said).block(Block::Form(None, None, form));
    Ok(board.answer(status))
}

/// The form for a new one, once its channel is chosen.
pub(super) async fn blank(visit: &Visit) -> Page {
    let t = &visit.texts().destinations;
    let Some(made) = chosen(visit) else {
        let row = |made: &&dyn Channel| Row {
            to: Some(format!("/ui/new/destination?channel={}", made.name())),
            cells: vec![Cell::Text(made.name().to_owned()), Cell::Text(made.about().to_owned())],
        };
        let head = vec![visit.texts().settings.channel, visit.texts().settings.title];
        let rows = CHANNELS.iter().map(row).collect();
        return Board::settings(visit, TAB, t.new).about(t.choose).block(Block::Table(None, head, rows)).ok();
    };
    let sheet = sheet(visit, made, None);
    filled(visit, Asked { status: StatusCode::OK, name: None, channel: made.name(), sheet, said: None })
}

/// The channel that the address names.
fn chosen(visit: &Visit) -> Option<&'static dyn Channel> {
    let query = Form::of(&visit.request.query_string().to_owned().into());
    channel(query.text("channel")?)
}

/// What a test came to.
async fn rehearsed(visit: &Visit, before: Option<&str>, fields: Map<String, Value>) -> Result<Said, Problem> {
    let t = &visit.texts().destinations;
    let report = api::rehearse(&visit.services, &visit.caller, before, fields).await?;
    let reason = report.outcome.reason().map(str::to_owned);
    Ok(went(
        visit,
        report.outcome.as_str(),
        reason.as_deref(),
        &String::from_utf8_lossy(&report.response),
        Some(t.test_before),
    ))
}

fn went(visit: &Visit, word: &str, reason: Option<&str>, response: &str, more: Option<super::text::Text>) -> Said {
    let t = &visit.texts().destinations;
    let is_bad = word != "delivered";
    let text = if is_bad { t.test_went_not.with(reason.unwrap_or(word)) } else { t.test_went.to_string() };
    let text = more.map_or_else(|| text.clone(), |more| format!("{text} {more}"));
    let answered: String = response.chars().take(500).collect();
    Said { text, is_bad, code: (!answered.trim().is_empty()).then_some(answered), undo: None }
}

/// Makes one, or tries what it would be.
pub(super) async fn create(visit: &Visit, form: Form) -> Page {
    let s = &visit.texts().settings;
    let made = chosen(visit).ok_or(NO_DESTINATION)?;
    let mut sheet = sheet(visit, made, None);
    sheet.take(&form);
    let mut fields = sheet.json();
    fields.insert("channel".into(), made.name().into());
    let asked = |status, sheet, said| Asked { status, name: None, channel: made.name(), sheet, said };
    if form.text("do") == Some("test") {
        return match rehearsed(visit, None, fields).await {
            Ok(said) => filled(visit, asked(StatusCode::OK, sheet, Some(said))),
            Err(problem) => filled(visit, asked(sheet.refuse(problem)?, sheet, None)),
        };
    }
    let made = match api::create(visit.services.clone(), visit.wants(fields)).await {
        Ok(made) => made.value(),
        Err(problem) => return filled(visit, asked(sheet.refuse(problem)?, sheet, None)),
    };
    let name = made["name"].as_str().unwrap_or_default();
    match made["secret"].as_str() {
        Some(secret) => shown_once(visit, name, &s.created.with(name), secret),
        None => Ok(visit.done(&path(&["ui", "destinations", name]), &s.created.with(name))),
    }
}

/// Shows a secret, on a page that cannot be loaded again.
fn shown_once(visit: &Visit, name: &str, said: &str, secret: &str) -> Page {
    let t = &visit.texts().destinations;
    let text = format!("{said} {}", t.secret_of.with(name));
    let said = Said { text, code: Some(secret.to_owned()), ..Said::default() };
    let go = Act::go(path(&["ui", "destinations", name]), t.to_it);
    let filter = url::form_urlencoded::Serializer::new(String::new()).append_pair("destination", name).finish();
    let subscribe = Act::go(format!("/ui/new/subscription?{filter}"), t.subscribe);
    let board = Board::settings(visit, TAB, name).act(true, go).act(true, subscribe).said(Some(said));
    Ok(board.answer(StatusCode::OK))
}

/// One that can be changed here.
fn ours<'a>(visit: &'a Visit, name: &str) -> Result<&'a Target, Problem> {
    let target = find(visit, name)?;
    if target.destination.from_file {
        return Err(Problem::Conflict(visit.texts().settings.file_only.to_string()));
    }
    Ok(target)
}

/// The form with what is there of one.
pub(super) async fn edit(visit: &Visit) -> Page {
    let name: String = visit.path().await?;
    let target = ours(visit, &name)?;
    let sheet = sheet(visit, target.channel, Some(&target.destination));
    filled(visit, Asked { status: StatusCode::OK, name: Some(&name), channel: "", sheet, said: None })
}

/// Changes one, or tries what it would be.
pub(super) async fn update(visit: &Visit, form: Form) -> Page {
    let name: String = visit.path().await?;
    let target = ours(visit, &name)?;
    let mut sheet = sheet(visit, target.channel, Some(&target.destination));
    sheet.take(&form);
    let fields = sheet.json();
    let asked = |status, sheet, said| Asked { status, name: Some(&name), channel: "", sheet, said };
    if form.text("do") == Some("test") {
        return match rehearsed(visit, Some(&name), fields).await {
            Ok(said) => filled(visit, asked(StatusCode::OK, sheet, Some(said))),
            Err(problem) => filled(visit, asked(sheet.refuse(problem)?, sheet, None)),
        };
    }
    match api::update(visit.services.clone(), Path::from(name.clone()), visit.wants(fields)).await {
        Ok(_) => Ok(visit.done(&path(&["ui", "destinations", &name]), &visit.texts().settings.saved.with(&name))),
        Err(problem) => filled(visit, asked(sheet.refuse(problem)?, sheet, None)),
    }
}

/// Removes one.
pub(super) async fn delete(visit: &Visit, _form: Form) -> Page {
    let name: String = visit.path().await?;
    api::delete(visit.services.clone(), Path::from(name.clone()), visit.wants(Map::new())).await?;
    Ok(visit.done(TAB, &visit.texts().settings.deleted.with(name)))
}

/// Sends one a test.
pub(super) async fn test(visit: &Visit, _form: Form) -> Page {
    let name: String = visit.path().await?;
    let tried = api::test(visit.services.clone(), Path::from(name.clone()), visit.wants(Map::new())).await?.value();
    let text = |key: &str| tried[key].as_str().unwrap_or_default();
    let said = went(visit, text("outcome"), tried["reason"].as_str(), text("response"), None);
    board(visit, &name, Some(said)).await?.ok()
}

/// Has one take deliveries again.
pub(super) async fn enable(visit: &Visit, form: Form) -> Page {
    let name: String = visit.path().await?;
    let fields = form.text("held").map(|word| ("held".to_owned(), word.into())).into_iter().collect();
    api::enable(visit.services.clone(), Path::from(name.clone()), visit.wants(fields)).await?;
    Ok(visit.done(&path(&["ui", "destinations", &name]), &visit.texts().destinations.enabled.with(&name)))
}

/// Makes a new secret, and shows it once.
pub(super) async fn rotate(visit: &Visit, _form: Form) -> Page {
    let name: String = visit.path().await?;
    let made = api::rotate(visit.services.clone(), Path::from(name.clone()), visit.wants(Map::new())).await?.value();
    let said = visit.texts().destinations.secret_made.to_string();
    shown_once(visit, &name, &said, made["secret"].as_str().unwrap_or_default())
}
