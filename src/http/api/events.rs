//! Events, and telling one again.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::list::{self, Query, invalid};
use super::post::{Changed, Wanted, once};
use super::view::{DeliveryView, Page};
use super::{Answer, view};
use crate::config::value::name as check_name;
use crate::domain::access::{Right, Scope};
use crate::domain::clock::Timestamp;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, ReplayId};
use crate::flow::replay::{ReplayTo, replay as tell_again, url_sender};
use crate::flow::roster::Roster;
use crate::http::openapi::asked;
use crate::http::openapi::event::{EventData, EventSchema};
use crate::store::{DeliveryFilter, EventFilter};

/// So many deliveries of an event are shown with it.
const DELIVERIES_SHOWN: usize = 250;

/// An event and what became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = EventWithDeliveries)]
pub(in crate::http) struct ShownEvent<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    #[schema(value_type = EventType)]
    kind: &'a str,
    /// When it was made.
    timestamp: Timestamp,
    #[schema(value_type = EventData)]
    data: &'a RawValue,
    /// The newest first, at most 250.
    deliveries: Vec<DeliveryView<'a>>,
}

/// The part of a stored event that is shown as it is.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// List events
///
/// The newest first, each as it was told.
#[utoipa::path(get, path = "/events", security(("key" = ["read"])), params(asked::Events, asked::Paging), responses(
    (status = 200, description = "A page of them", body = Page<EventSchema>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let filters = ["type", "source", "task_id", "since", "until"];
    let query = Query::read(request.query_string(), "events", &filters, &roster.url_key)?;
    let page = services.store.read().await?.events(&caller.scope(&roster), &filter(&query)?).await?;
    Ok(list::answer(&page, "events", &roster.url_key, |row| view::event(&row.body)))
}

/// Which events a query asks for.
///
/// # Errors
/// [`Problem::Invalid`] for a value that is none.
pub(in crate::http) fn filter(query: &Query) -> Result<EventFilter, Problem> {
    Ok(EventFilter {
        kind: query.word("type", EventType::parse, &EventType::ALL.map(EventType::as_str))?,
        source: query.text("source"),
        task_id: query.text("task_id"),
        since: query.time("since")?,
        until: query.time("until")?,
        before: query.before.clone(),
        limit: query.limit,
    })
}

/// Show an event with its deliveries
#[utoipa::path(get, path = "/events/{id}", security(("key" = ["read"])), responses(
    (status = 200, description = "It", body = ShownEvent),
))]
pub(super) async fn show(services: Data<Services>, request: HttpRequest, id: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let scope = caller.scope(&services.roster.now());
    let mut tx = services.store.read().await?;
    let row = tx.event(&scope, &id).await?.ok_or(NO_EVENT)?;
    let filter = DeliveryFilter { event_id: Some(row.id.clone()), limit: DELIVERIES_SHOWN, ..Default::default() };
    let deliveries = tx.deliveries(&scope, &filter).await?.items;
    let told: Told<'_> = serde_json::from_str(&row.body).map_err(|_| Problem::Unavailable)?;
    Ok(HttpResponse::Ok().json(ShownEvent {
        id: &row.id,
        kind: row.kind.as_str(),
        timestamp: row.at,
        data: told.data,
        deliveries: deliveries.iter().map(view::delivery).collect(),
    }))
}

const NO_EVENT: Problem = Problem::NotFound("there is no event with this id");

/// Tell an event again
///
/// To all that subscribe to it now, or to one destination, URL or listener. It has the same `webhook-id` and a `callboard-replay` beside it.
#[utoipa::path(post, path = "/events/{id}/replay", security(("key" = ["manage"])), request_body(content = asked::ReplayOne, description = "Where; it may be left out"), responses(
    (status = 202, description = "It is told", body = Replayed),
))]
pub(in crate::http) async fn replay(services: Data<Services>, id: Path<String>, wanted: Wanted) -> Changed {
    let roster = services.roster.now();
    once(&services, wanted, Right::Manage, async |caller, tx, mut fields| {
        let scope = caller.scope(&roster);
        let listener = fields.text("listener")?;
        let to = replay_to(fields.text("destination")?, fields.text("url")?, &roster, &scope, &services)?;
        let to = to_listener(listener, to)?;
        fields.end(&["destination", "url", "listener"])?;
        let row = tx.event(&scope, &id).await?.ok_or(NO_EVENT)?;
        let replayed = tell_again(tx, &roster, &scope, &row, to, services.clock.now()).await?;
        tx.audit(
            &caller.actor(),
            "event.replay",
            &row.id,
            Some(json!({"replay_id": replayed.id})),
            services.clock.now(),
        );
        let answer = Replayed { replay_id: replayed.id, event_id: row.id, deliveries: replayed.deliveries };
        Ok((StatusCode::ACCEPTED, json!(answer)))
    })
    .await
    .inspect(|_| services.listeners.wake())
}

/// What telling an event again made.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Replayed {
    #[schema(value_type = String)]
    replay_id: ReplayId,
    event_id: String,
    /// The deliveries that it made.
    #[schema(value_type = Vec<String>)]
    deliveries: Vec<DeliveryId>,
}

fn to_listener(listener: Option<String>, to: ReplayTo) -> Result<ReplayTo, Problem> {
    match listener {
        None => Ok(to),
        Some(_) if to != ReplayTo::Subscribers => {
            Err(invalid("listener", "give one of `destination`, `url` and `listener`"))
        }
        Some(name) => check_name(&name).map(ReplayTo::Listener).map_err(|problem| invalid("listener", problem)),
    }
}

pub(super) fn replay_to(
    destination: Option<String>,
    url: Option<String>,
    roster: &Roster,
    scope: &Scope,
    services: &Services,
) -> Result<ReplayTo, Problem> {
    match (destination, url) {
        (None, None) => Ok(ReplayTo::Subscribers),
        (Some(_), Some(_)) => Err(invalid("url", "give `destination` or `url`, not both")),
        (Some(name), None) if roster.targets.contains_key(&name) && scope.sees_destination(&name) => {
            Ok(ReplayTo::Destination(name))
        }
        (Some(name), None) => Err(invalid("destination", format!("there is no destination `{name}`"))),
        (None, Some(url)) => match url_sender(&url, &roster.replay_secret, services.roster.house()) {
            Ok(_) => Ok(ReplayTo::Url(url)),
            Err(problem) => Err(invalid("url", problem)),
        },
    }
}
