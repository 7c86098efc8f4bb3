//! Replays of many events: planned, made, watched and ended.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::Services;
use super::super::auth::{self, Caller};
use super::super::problem::Problem;
use super::Answer;
use super::events::replay_to;
use super::list::{self, Query, invalid};
use super::post::{Changed, Fields, Wanted, once, once_prepared};
use super::view::Page;
use crate::domain::access::{Right, Scope};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::event::EventType;
use crate::domain::id::ReplayId;
use crate::domain::pace::Rate;
use crate::domain::replay::{ReplayStatus, Selection};
use crate::flow::replay::ReplayTo;
use crate::flow::replays::{Plan, plan};
use crate::flow::roster::Roster;
use crate::http::openapi::{Nothing, asked};
use crate::store::{NewReplay, ReplayRow};

const FIELDS: [&str; 9] =
    ["since", "until", "source", "type", "destination", "url", "delivery_status", "rate", "dry_run"];
const NO_REPLAY: Problem = Problem::NotFound("there is no replay with this id");

/// A replay of many events.
#[derive(Serialize, ToSchema)]
#[schema(as = Replay)]
pub(in crate::http) struct Shown<'a> {
    #[schema(value_type = String)]
    id: &'a ReplayId,
    status: ReplayStatus,
    since: Timestamp,
    until: Timestamp,
    /// Of this source alone.
    source: Option<&'a str>,
    /// Of this type alone.
    #[serde(rename = "type")]
    #[schema(value_type = Option<EventType>)]
    kind: Option<&'static str>,
    /// To this destination alone.
    destination: Option<&'a str>,
    /// To this URL alone.
    url: Option<&'a str>,
    /// Those with a delivery that stands there.
    delivery_status: Option<DeliveryStatus>,
    /// So many events at most.
    rate: Option<String>,
    /// How many events there are, or such deliveries; an estimate where `exact` is false.
    events_total: u64,
    exact: bool,
    events_done: u64,
    /// How many deliveries were made.
    deliveries: u64,
    /// Of those done: the event or the destination was gone when its turn came.
    skipped: u64,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    /// Whose key made it; null for an administrator's.
    team: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(row: &'a ReplayRow) -> Self {
        let made = &row.made;
        Self {
            id: &made.id,
            status: row.status,
            since: made.selection.since,
            until: made.selection.until,
            source: made.selection.source.as_deref(),
            kind: made.selection.kind.map(EventType::as_str),
            destination: made.destination.as_deref(),
            url: made.url.as_deref(),
            delivery_status: made.selection.delivery_status,
            rate: made.rate.map(|rate| rate.to_string()),
            events_total: made.events_total,
            exact: made.is_exact || row.status == ReplayStatus::Done,
            events_done: row.events_done,
            deliveries: row.deliveries,
            skipped: row.skipped,
            created_at: row.created_at,
            finished_at: row.finished_at,
            team: made.team.as_deref(),
        }
    }
}

/// What a replay would reach.
#[derive(Serialize, ToSchema)]
#[schema(as = ReplayPlan)]
pub(in crate::http) struct Planned {
    dry_run: bool,
    /// How many events there are, or such deliveries.
    events: u64,
    /// How many deliveries they would make.
    deliveries: u64,
    /// The same by destination, or for the URL.
    destinations: BTreeMap<String, u64>,
    /// Whether all was counted; if not, the numbers are estimates.
    exact: bool,
}

impl Planned {
    fn of(plan: Plan) -> Self {
        let Plan { events, deliveries, destinations, is_exact } = plan;
        Self { dry_run: true, events, deliveries, destinations, exact: is_exact }
    }
}

/// List replays of many
///
/// The newest first.
#[utoipa::path(get, path = "/replays", security(("key" = ["read"])), params(asked::Paging), responses(
    (status = 200, description = "A page of them", body = Page<Shown>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let query = Query::read(request.query_string(), "replays", &[], &roster.url_key)?;
    let mut tx = services.store.read().await?;
    let page = tx.replays(&caller.scope(&roster), query.before.clone(), query.limit).await?;
    Ok(list::answer(&page, "replays", &roster.url_key, Shown::of))
}

/// Show a replay of many
#[utoipa::path(get, path = "/replays/{id}", security(("key" = ["read"])), responses(
    (status = 200, description = "It", body = Shown),
))]
pub(super) async fn show(services: Data<Services>, request: HttpRequest, id: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let scope = caller.scope(&services.roster.now());
    let row = services.store.read().await?.replay(&scope, &id).await?.ok_or(NO_REPLAY)?;
    Ok(HttpResponse::Ok().json(Shown::of(&row)))
}

/// Tell many events again
///
/// In the background, as fast as they are taken, or at a `rate`. With `dry_run` nothing is told: it is said what would be reached.
#[utoipa::path(post, path = "/replays", security(("key" = ["manage"])), request_body = asked::NewReplay, responses(
    (status = 200, description = "What it would reach", body = Planned),
    (status = 202, description = "It has begun", body = Shown),
))]
pub(in crate::http) async fn create(services: Data<Services>, wanted: Wanted) -> Changed {
    let roster = services.roster.now();
    // Counted before, and not while others wait to write.
    let prepare = async |caller: &Caller, mut fields: Fields| {
        let only_planned = fields.flag("dry_run")?;
        let mut replay = read(&mut fields, caller, &roster, &services)?;
        fields.end(&FIELDS)?;
        let planned = plan(&mut services.store.read().await?, &roster, &replay).await?;
        (replay.events_total, replay.is_exact) = (planned.events, planned.is_exact);
        Ok(if only_planned { (None, planned) } else { (Some(replay), planned) })
    };
    let made = once_prepared(&services, wanted, Right::Manage, prepare, async |caller, tx, (replay, planned)| {
        let Some(replay) = replay else { return Ok((StatusCode::OK, json!(Planned::of(planned)))) };
        let now = services.clock.now();
        tx.insert_replay(&replay, now).await?;
        tx.audit(&caller.actor(), "replay.create", replay.id.as_str(), None, now);
        let row = tx.replay(&Scope::All, replay.id.as_str()).await?.ok_or(NO_REPLAY)?;
        Ok((StatusCode::ACCEPTED, json!(Shown::of(&row))))
    })
    .await?;
    services.replays.notify_one();
    Ok(made)
}

/// End a replay of many
///
/// Nothing more of it is put into the queue; what is there goes out. One that has ended stays as it is.
#[utoipa::path(post, path = "/replays/{id}/cancel", security(("key" = ["manage"])), request_body(content = Nothing, description = "It may be left out"), responses(
    (status = 202, description = "It", body = Shown),
))]
pub(in crate::http) async fn cancel(services: Data<Services>, id: Path<String>, wanted: Wanted) -> Changed {
    let roster = services.roster.now();
    once(&services, wanted, Right::Manage, async |caller, tx, fields| {
        fields.end(&[])?;
        let scope = caller.scope(&roster);
        tx.replay(&scope, &id).await?.ok_or(NO_REPLAY)?;
        // One that has ended stays as it is: who cancels wants no more of it, and there is no more.
        let now = services.clock.now();
        if tx.cancel_replay(&id, now).await? {
            tx.audit(&caller.actor(), "replay.cancel", &id, None, now);
        }
        let row = tx.replay(&scope, &id).await?.ok_or(NO_REPLAY)?;
        Ok((StatusCode::ACCEPTED, json!(Shown::of(&row))))
    })
    .await
}

fn read(fields: &mut Fields, caller: &Caller, roster: &Roster, services: &Services) -> Result<NewReplay, Problem> {
    let scope = caller.scope(roster);
    let selection = selection(fields, roster, &scope)?;
    let to = replay_to(fields.text("destination")?, fields.text("url")?, roster, &scope, services)?;
    let rate = fields.text("rate")?.as_deref().map(Rate::parse).transpose();
    let (destination, url) = match to {
        ReplayTo::Destination(name) => (Some(name), None),
        ReplayTo::Url(url) => (None, Some(url)),
        ReplayTo::Subscribers | ReplayTo::Listener(_) => (None, None),
    };
    Ok(NewReplay {
        id: ReplayId::new(services.clock.now()),
        team: caller.team.clone(),
        selection,
        destination,
        url,
        rate: rate.map_err(|problem| invalid("rate", problem))?,
        events_total: 0,
        is_exact: false,
    })
}

fn selection(fields: &mut Fields, roster: &Roster, scope: &Scope) -> Result<Selection, Problem> {
    let mut time = |name: &str| fields.time(name)?.ok_or_else(|| invalid(name, "it is needed"));
    let (since, until) = (time("since")?, time("until")?);
    if until <= since {
        return Err(invalid("until", "it must lie after `since`"));
    }
    let source = fields.text("source")?;
    if let Some(name) = source.as_deref().filter(|name| !roster.sources.contains_key(*name) || !scope.sees_source(name))
    {
        return Err(invalid("source", format!("there is no source `{name}`")));
    }
    Ok(Selection {
        since,
        until,
        source,
        kind: word(fields, "type", EventType::parse, &EventType::ALL.map(EventType::as_str))?,
        delivery_status: word(
            fields,
            "delivery_status",
            DeliveryStatus::parse,
            &DeliveryStatus::ALL.map(DeliveryStatus::as_str),
        )?,
    })
}

fn word<T>(
    fields: &mut Fields,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
    words: &[&str],
) -> Result<Option<T>, Problem> {
    let Some(word) = fields.text(name)? else { return Ok(None) };
    parse(&word).map(Some).ok_or_else(|| invalid(name, format!("`{word}` is none of {}", words.join(", "))))
}
