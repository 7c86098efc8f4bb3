//! Destinations: made, tested, enabled.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::super::Services;
use super::super::auth::{self, Caller};
use super::super::problem::Problem;
use super::Answer;
use super::list::{invalid, whole};
use super::post::{Fields, once};
use crate::channels::{CHANNELS, Channel, FieldKind, channel};
use crate::config::value::name as check_name;
use crate::domain::access::{Right, Scope};
use crate::domain::destination::{CONCURRENCY_MAX, Destination, Settings};
use crate::domain::pace::Rate;
use crate::domain::signature::new_secret;
use crate::domain::spelling::suggestion;
use crate::flow::probe::probe;
use crate::flow::roster::{Roster, Target};
use crate::store::DestinationState;

const COMMON: [&str; 5] = ["name", "team", "channel", "rate", "concurrency"];
const NO_DESTINATION: Problem = Problem::NotFound("there is no destination of this name");

pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let scope = caller.scope(&roster);
    let states = services.store.read().await?.destination_states().await?;
    let mut targets: Vec<&Target> =
        roster.targets.values().filter(|target| scope.sees_destination(&target.destination.name)).collect();
    targets.sort_by(|a, b| a.destination.name.cmp(&b.destination.name));
    Ok(whole(targets.into_iter().map(|target| view(target, &states)).collect()))
}

pub(super) async fn show(services: Data<Services>, request: HttpRequest, name: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let target = find(&roster, &caller, &name)?;
    let states = services.store.read().await?.destination_states().await?;
    Ok(HttpResponse::Ok().json(view(target, &states)))
}

/// A destination that is there for the caller.
fn find<'a>(roster: &'a Roster, caller: &Caller, name: &str) -> Result<&'a Target, Problem> {
    let scope = caller.scope(roster);
    roster.targets.get(name).filter(|_| scope.sees_destination(name)).ok_or(NO_DESTINATION)
}

pub(super) async fn create(services: Data<Services>, request: HttpRequest, body: Payload) -> Answer {
    let roster = services.roster.now();
    let answer = once(&services, &request, body, Right::Manage, async |caller, tx, mut fields| {
        let now = services.clock.now();
        let (destination, made) = read(&mut fields, &roster, &caller.scope(&roster), &services)?;
        fields.end(&known(made))?;
        let taken = || Problem::Conflict(format!("there is a destination `{}` already", destination.name));
        if roster.targets.contains_key(&destination.name) {
            return Err(taken());
        }
        tx.insert_destination(&destination, now)
            .await
            .map_err(|error| if error.is_taken() { taken() } else { error.into() })?;
        let mut shown = declared(&destination, made);
        if made.signs() && !destination.settings.contains_key("secret") {
            let secrets = tx.secrets("destination", &destination.name, now, new_secret).await?;
            // The only answer that ever shows it.
            shown["secret"] = json!(secrets.first().map(|secret| secret.expose()));
        }
        Ok((StatusCode::CREATED, shown))
    })
    .await?;
    services.settings_changed().await;
    Ok(answer)
}

fn known(channel: &dyn Channel) -> Vec<&'static str> {
    COMMON.into_iter().chain(channel.fields().iter().map(|field| field.name)).collect()
}

fn read(
    fields: &mut Fields,
    roster: &Roster,
    scope: &Scope,
    services: &Services,
) -> Result<(Destination, &'static dyn Channel), Problem> {
    let name = fields.needed("name")?;
    check_name(&name).map_err(|problem| invalid("name", problem))?;
    let team = fields.needed("team")?;
    if !roster.teams.contains(&team) || !scope.sees_team(&team) {
        return Err(invalid("team", format!("there is no team `{team}`; make it with POST /api/v1/teams first")));
    }
    let word = fields.needed("channel")?;
    let made = channel(&word).ok_or_else(|| {
        let names: Vec<&str> = CHANNELS.iter().map(|channel| channel.name()).collect();
        invalid("channel", format!("there is no channel `{word}`; {}", suggestion(&word, names)))
    })?;
    let rate = fields.text("rate")?.as_deref().map(Rate::parse).transpose();
    let rate = rate.map_err(|problem| invalid("rate", problem))?;
    let concurrency = fields.count("concurrency", CONCURRENCY_MAX)?;
    let settings = settings(fields, made)?;
    made.parse(&settings, services.roster.house()).map_err(|wrong| invalid(wrong.field, wrong.problem))?;
    Ok((Destination { name, team, channel: word, settings, rate, concurrency, from_file: false }, made))
}

fn settings(fields: &mut Fields, made: &dyn Channel) -> Result<Settings, Problem> {
    let mut settings = Settings::new();
    for field in made.fields() {
        let Some(value) = fields.value(field.name).filter(|value| !value.is_null()) else {
            if field.required {
                return Err(invalid(field.name, format!("a destination of the channel {} needs it", made.name())));
            }
            continue;
        };
        let fits = match (&value, field.kind) {
            (Value::String(_), _) => true,
            (Value::Array(items), FieldKind::Texts) => items.iter().all(Value::is_string),
            _ => false,
        };
        if !fits {
            return Err(invalid(field.name, "a string is expected, or where it takes several a list of strings"));
        }
        settings.insert(field.name.to_owned(), value);
    }
    Ok(settings)
}

/// What was declared, without what is secret.
fn declared(destination: &Destination, channel: &dyn Channel) -> Value {
    let mut shown = json!({
        "name": destination.name,
        "team": destination.team,
        "channel": destination.channel,
        "rate": destination.rate.map(|rate| rate.to_string()),
        "concurrency": destination.concurrency,
        "from_file": destination.from_file,
    });
    for field in channel.fields().iter().filter(|field| !field.secret) {
        shown[field.name] = json!(destination.settings.get(field.name));
    }
    shown
}

fn view(target: &Target, states: &[DestinationState]) -> Value {
    let mut shown = declared(&target.destination, target.channel);
    let state = states.iter().find(|state| state.name == target.destination.name);
    let disabled = state.and_then(|state| state.disabled.as_ref());
    shown["target"] = json!(target.sender.target());
    shown["status"] = json!(if disabled.is_some() { "disabled" } else { "enabled" });
    shown["disabled_at"] = json!(disabled.map(|(at, _)| at));
    shown["disabled_reason"] = json!(disabled.map(|(_, reason)| reason));
    shown["paused_until"] = json!(state.and_then(|state| state.paused_until));
    shown["failing_since"] = json!(state.and_then(|state| state.failing_since));
    shown
}

pub(super) async fn test(services: Data<Services>, request: HttpRequest, name: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Manage).await?;
    let roster = services.roster.now();
    let target = find(&roster, &caller, &name)?;
    let report = probe(target, services.delivery().timeout, services.clock.now()).await;
    Ok(HttpResponse::Ok().json(json!({
        "destination": target.destination.name,
        "outcome": report.outcome.as_str(),
        "reason": report.outcome.reason(),
        "status_code": report.status_code,
        "response": String::from_utf8_lossy(&report.response),
    })))
}

pub(super) async fn enable(
    services: Data<Services>,
    request: HttpRequest,
    name: Path<String>,
    body: Payload,
) -> Answer {
    let roster = services.roster.now();
    once(&services, &request, body, Right::Manage, async |caller, tx, mut fields| {
        let held = fields.text("held")?;
        fields.end(&["held"])?;
        find(&roster, caller, &name)?;
        let send = match held.as_deref() {
            None | Some("send") => true,
            Some("drop") => false,
            Some(other) => return Err(invalid("held", format!("`{other}` is neither \"send\" nor \"drop\""))),
        };
        let many = tx.enable(&name, send, services.clock.now()).await?;
        let word = if send { "sent" } else { "dropped" };
        Ok((StatusCode::OK, json!({"destination": name.as_str(), "status": "enabled", word: many})))
    })
    .await
}
