//! Destinations: made, changed, removed, tested, enabled; their secrets changed.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::Services;
use super::super::auth::{self, Caller};
use super::super::problem::Problem;
use super::Answer;
use super::list::{invalid, part};
use super::post::{Change, Changed, Fields, Wanted, settings};
use super::view::Page;
use crate::channels::{CHANNELS, Channel, FieldKind, channel};
use crate::config::value::name as check_name;
use crate::domain::access::{Right, Scope};
use crate::domain::delivery::Report;
use crate::domain::destination::{CONCURRENCY_MAX, Destination, Settings};
use crate::domain::pace::Rate;
use crate::domain::signature::new_secret;
use crate::domain::spelling::suggestion;
use crate::flow::probe::probe;
use crate::flow::roster::{Roster, Target};
use crate::flow::rotate::rotated;
use crate::http::openapi::{Nothing, asked, destination as shape, words};
use crate::store::{DestinationState, Tx};

const COMMON: [&str; 5] = ["name", "team", "channel", "rate", "concurrency"];
const NO_DESTINATION: Problem = Problem::NotFound("there is no destination of this name");

/// List destinations
#[utoipa::path(get, path = "/destinations", security(("key" = ["read"])), params(asked::Paging), responses(
    (status = 200, description = "All that one may see", body = Page<shape::Destination>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let scope = caller.scope(&roster);
    let states = services.store.read().await?.destination_states().await?;
    let mut targets: Vec<&Target> =
        roster.targets.values().filter(|target| scope.sees_destination(&target.destination.name)).collect();
    targets.sort_by(|a, b| a.destination.name.cmp(&b.destination.name));
    let shown = targets.into_iter().map(|target| (target.destination.name.clone(), view(target, &states)));
    part(request.query_string(), "destinations", &roster.url_key, shown.collect())
}

/// Show a destination
#[utoipa::path(get, path = "/destinations/{name}", security(("key" = ["read"])), responses(
    (status = 200, description = "It", body = shape::Destination),
))]
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

/// Make a destination
///
/// Where its channel signs and no secret is given, one is made; `secret` of the answer is the only place where it is shown.
#[utoipa::path(post, path = "/destinations", security(("key" = ["manage"])), request_body = shape::NewDestination, responses(
    (status = 201, description = "It is made", body = shape::MadeDestination),
))]
pub(in crate::http) async fn create(services: Data<Services>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, mut fields| {
        let roster = &change.roster;
        let head = read_head(&mut fields, roster, &change.scope)?;
        let (destination, made) = read(&mut fields, head, &Settings::new(), &services)?;
        fields.end(&known(made))?;
        let name = &destination.name;
        let taken = || Problem::Conflict(format!("there is a destination `{name}` already"));
        if roster.targets.contains_key(name) {
            return Err(taken());
        }
        if tx.former_team(name).await?.is_some_and(|team| team != destination.team) {
            return Err(Problem::Conflict(format!(
                "a destination of another team was called `{name}`, and its deliveries are shown under that name: take \
                 another one"
            )));
        }
        tx.insert_destination(services.roster.safe(), &destination, change.now)
            .await
            .map_err(|error| if error.is_taken() { taken() } else { error.into() })?;
        let mut shown = declared(&destination, made);
        if made.signs() && !destination.settings.contains_key("secret") {
            let purpose = ("destination", name.as_str());
            let secrets = tx.secrets(services.roster.safe(), purpose, change.now, new_secret).await?;
            // The only answer that ever shows it.
            shown["secret"] = json!(secrets.first().map(|kept| kept.secret.expose()));
        }
        let detail = json!({"channel": destination.channel});
        change.audit(tx, "destination.create", name, Some(&destination.team), Some(detail));
        Ok((StatusCode::CREATED, shown))
    })
    .await
}

/// Change a destination
///
/// Its name, team and channel stay. Secrets that are left out stay too; all else that is left out is as it is by default.
#[utoipa::path(put, path = "/destinations/{name}", security(("key" = ["manage"])), request_body = shape::ChangedDestination, responses(
    (status = 200, description = "It is changed", body = shape::MadeDestination),
    (status = 409, description = "It is declared in the file: change it there"),
))]
pub(in crate::http) async fn update(services: Data<Services>, name: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, mut fields| {
        let before = &changeable(change, &name)?.destination;
        for (field, is) in [("name", &before.name), ("team", &before.team), ("channel", &before.channel)] {
            fields.unchanged(field, is)?;
        }
        let channel = channel(&before.channel).ok_or(NO_DESTINATION)?;
        let head = (before.name.clone(), before.team.clone(), channel);
        let (destination, made) = read(&mut fields, head, &before.settings, &services)?;
        fields.end(&known(made))?;
        if destination.settings.get("secret") != before.settings.get("secret") {
            tx.drop_secrets(("destination", &name)).await?;
        }
        tx.update_destination(services.roster.safe(), &destination, change.now).await?;
        change.audit(tx, "destination.update", &name, Some(&before.team), None);
        Ok((StatusCode::OK, declared(&destination, made)))
    })
    .await
}

/// Delete a destination
///
/// Its subscriptions go with it, and what was still to be delivered there is dead.
#[utoipa::path(delete, path = "/destinations/{name}", security(("key" = ["manage"])), request_body = Nothing, responses(
    (status = 204, description = "It is gone"),
    (status = 409, description = "It is declared in the file: change it there"),
))]
pub(in crate::http) async fn delete(services: Data<Services>, name: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, fields| {
        fields.end(&[])?;
        let team = match changeable(change, &name) {
            Ok(target) => target.destination.team.clone(),
            Err(problem) => unusable(&services, change, tx, &name).await?.ok_or(problem)?,
        };
        tx.delete_destination(&name, change.now).await?;
        change.audit(tx, "destination.delete", &name, Some(&team), None);
        Ok((StatusCode::NO_CONTENT, Value::Null))
    })
    .await
}

/// The team of a destination that was made at run time and cannot be used any more, as by a change of the file: it can
/// still be removed.
async fn unusable(services: &Services, change: &Change, tx: &mut Tx, name: &str) -> Result<Option<String>, Problem> {
    if change.roster.targets.contains_key(name) {
        return Ok(None);
    }
    let made = tx.destinations(services.roster.safe()).await?.into_iter().find(|made| made.name == name);
    Ok(made.map(|made| made.team).filter(|team| change.scope.sees_team(team)))
}

/// A destination of the caller's that was made at run time.
fn changeable<'a>(change: &'a Change, name: &str) -> Result<&'a Target, Problem> {
    let target = find(&change.roster, &change.caller, name)?;
    if target.destination.from_file {
        return Err(Problem::Conflict(format!("the destination `{name}` is declared in the file: change it there")));
    }
    Ok(target)
}

/// Sends a test to a destination as it would be made, or as `before` would be changed to; nothing of it is kept.
///
/// # Errors
/// Those of making or changing it.
pub(in crate::http) async fn rehearse(
    services: &Services,
    caller: &Caller,
    before: Option<&str>,
    fields: Map<String, Value>,
) -> Result<Report, Problem> {
    let (roster, now) = (services.roster.now(), services.clock.now());
    let mut fields = Fields::of(fields);
    let (head, is) = match before {
        None => (read_head(&mut fields, &roster, &caller.scope(&roster))?, Settings::new()),
        Some(name) => {
            let is = &find(&roster, caller, name)?.destination;
            let channel = channel(&is.channel).ok_or(NO_DESTINATION)?;
            ((is.name.clone(), is.team.clone(), channel), is.settings.clone())
        }
    };
    let (mut destination, made) = read(&mut fields, head, &is, services)?;
    fields.end(&known(made))?;
    if made.signs() && !destination.settings.contains_key("secret") {
        let purpose = ("destination", destination.name.as_str());
        let kept = services.store.read().await?.kept_secrets(services.roster.safe(), purpose, now).await?;
        // That of a new one is made when it is kept; here it must only be signed.
        let secret = kept.first().filter(|_| before.is_some()).map_or_else(new_secret, |kept| kept.secret.clone());
        destination.settings.insert("secret".into(), json!(secret.expose()));
    }
    let sender = made.parse(&destination.settings, services.roster.house());
    let sender = sender.map_err(|wrong| invalid(wrong.field, wrong.problem))?;
    let report = probe(&*sender, services.delivery().timeout, now).await;
    let mut tx = services.store.write().await?;
    let detail = json!({"outcome": report.outcome.as_str(), "kept": false});
    tx.audit(&caller.actor().for_team(&destination.team), "destination.test", &destination.name, Some(detail), now);
    tx.commit().await?;
    Ok(report)
}

/// A secret that was just made.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct NewSecret<'a> {
    name: &'a str,
    secret: &'a str,
}

/// Make a new secret
///
/// It signs first from now on; those of before go on signing for a day. The answer is the only place where it is shown.
#[utoipa::path(post, path = "/destinations/{name}/secret", security(("key" = ["manage"])), request_body = Nothing, responses(
    (status = 201, description = "It is made", body = NewSecret),
    (status = 409, description = "The file declares its secret, or its channel does not sign"),
))]
pub(in crate::http) async fn rotate(services: Data<Services>, name: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, fields| {
        fields.end(&[])?;
        let target = find(&change.roster, &change.caller, &name)?;
        let destination = &target.destination;
        if !target.channel.signs() {
            let detail =
                format!("the channel `{}` does not sign, so there is no secret to change", destination.channel);
            return Err(Problem::Conflict(detail));
        }
        if destination.from_file && destination.settings.contains_key("secret") {
            let detail = format!("`secret` of the destination `{name}` is declared in the file: write a list there");
            return Err(Problem::Conflict(detail));
        }
        let secret = rotated(tx, services.roster.safe(), destination, change.now).await?;
        change.audit(tx, "destination.secret.create", &name, Some(&destination.team), None);
        Ok((StatusCode::CREATED, json!(NewSecret { name: &name, secret: secret.expose() })))
    })
    .await
}

fn known(channel: &dyn Channel) -> Vec<&'static str> {
    COMMON.into_iter().chain(channel.fields().iter().map(|field| field.name)).collect()
}

type Head = (String, String, &'static dyn Channel);

/// What does not change once a destination is made: its name, its team, its channel.
fn read_head(fields: &mut Fields, roster: &Roster, scope: &Scope) -> Result<Head, Problem> {
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
    Ok((name, team, made))
}

/// The rest; of `before` the secrets stay that are left out.
fn read(
    fields: &mut Fields,
    (name, team, made): Head,
    before: &Settings,
    services: &Services,
) -> Result<(Destination, &'static dyn Channel), Problem> {
    let rate = fields.text("rate")?.as_deref().map(Rate::parse).transpose();
    let rate = rate.map_err(|problem| invalid("rate", problem))?;
    let concurrency = fields.count("concurrency", CONCURRENCY_MAX)?;
    let settings = read_settings(fields, made, before)?;
    made.parse(&settings, services.roster.house()).map_err(|wrong| invalid(wrong.field, wrong.problem))?;
    let channel = made.name().to_owned();
    Ok((Destination { name, team, channel, settings, rate, concurrency, from_file: false }, made))
}

fn read_settings(fields: &mut Fields, made: &dyn Channel, before: &Settings) -> Result<Settings, Problem> {
    let mut settings = Settings::new();
    for field in made.fields() {
        let kept = before.get(field.name).filter(|_| field.secret);
        let given = fields.value(field.name).filter(|value| !value.is_null());
        let Some(value) = given.or_else(|| kept.cloned()) else {
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
    shown["trouble_since"] = json!(state.and_then(|state| state.trouble.told_at));
    shown["dead_count"] = json!(state.map_or(0, |state| state.trouble.dead));
    shown
}

/// A destination that takes deliveries again.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Enabled<'a> {
    destination: &'a str,
    /// Always `enabled`.
    status: &'static str,
    /// How many deliveries that were held are sent now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sent: Option<u64>,
    /// How many deliveries that were held are dead now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    dropped: Option<u64>,
}

/// What came of a test.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Tried<'a> {
    destination: &'a str,
    #[schema(value_type = words::AttemptOutcome)]
    outcome: &'a str,
    /// Why it did not go.
    reason: Option<&'a str>,
    /// The status code of HTTP or SMTP.
    status_code: Option<u16>,
    /// What was answered there.
    response: String,
}

/// Try a destination
///
/// One made-up `task.completed` of the source `test` is sent there at once. It is not kept, not tried again and not held against the
/// destination.
#[utoipa::path(post, path = "/destinations/{name}/test", security(("key" = ["manage"])), request_body = Nothing, responses(
    (status = 200, description = "It was tried; `outcome` says how it went", body = Tried),
))]
pub(in crate::http) async fn test(services: Data<Services>, name: Path<String>, wanted: Wanted) -> Changed {
    let (caller, posted) = wanted.read(&services, Right::Manage).await?;
    posted.fields()?.end(&[])?;
    let roster = services.roster.now();
    let target = find(&roster, &caller, &name)?;
    if let Some(kept) = posted.kept(&mut services.store.read().await?, &services).await? {
        return Ok(kept);
    }
    let now = services.clock.now();
    let report = probe(&*target.sender, services.delivery().timeout, now).await;
    let tried = Tried {
        destination: &name,
        outcome: report.outcome.as_str(),
        reason: report.outcome.reason(),
        status_code: report.status_code,
        response: String::from_utf8_lossy(&report.response).into_owned(),
    };
    let mut tx = services.store.write().await?;
    let by = caller.actor().for_team(&target.destination.team);
    tx.audit(&by, "destination.test", &name, Some(json!({"outcome": tried.outcome})), now);
    let answer = posted.keep(&mut tx, &services, (StatusCode::OK, json!(tried))).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Enable a destination
///
/// What was held meanwhile is sent at its pace, or dropped.
#[utoipa::path(post, path = "/destinations/{name}/enable", security(("key" = ["manage"])), request_body = asked::Enabling, responses(
    (status = 200, description = "It is enabled", body = Enabled),
))]
pub(in crate::http) async fn enable(services: Data<Services>, name: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, mut fields| {
        let held = fields.text("held")?;
        fields.end(&["held"])?;
        let target = find(&change.roster, &change.caller, &name)?;
        let (send, word) = match held.as_deref() {
            None | Some("send") => (true, "sent"),
            Some("drop") => (false, "dropped"),
            Some(other) => return Err(invalid("held", format!("`{other}` is neither \"send\" nor \"drop\""))),
        };
        let many = tx.enable(&name, send, change.now).await?;
        let detail = json!({word: many});
        change.audit(tx, "destination.enable", &name, Some(&target.destination.team), Some(detail));
        let (sent, dropped) = if send { (Some(many), None) } else { (None, Some(many)) };
        Ok((StatusCode::OK, json!(Enabled { destination: &name, status: "enabled", sent, dropped })))
    })
    .await
}
