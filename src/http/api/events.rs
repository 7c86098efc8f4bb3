//! Events, and telling one again.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::list::{Query, invalid};
use super::post::once;
use super::{Answer, view};
use crate::domain::access::{Right, Scope};
use crate::domain::event::EventType;
use crate::flow::replay::{ReplayTo, replay as tell_again, url_sender};
use crate::flow::roster::Roster;
use crate::store::{DeliveryFilter, EventFilter};

/// So many deliveries of an event are shown with it.
const DELIVERIES_SHOWN: usize = 250;

#[derive(Serialize)]
struct Events {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let filters = ["type", "source", "task_id", "since", "until"];
    let query = Query::read(request.query_string(), "events", &filters, &roster.url_key)?;
    let filter = EventFilter {
        kind: query.word("type", EventType::parse, &EventType::ALL.map(EventType::as_str))?,
        source: query.text("source"),
        task_id: query.text("task_id"),
        since: query.time("since")?,
        until: query.time("until")?,
        before: query.before.clone(),
        limit: query.limit,
    };
    let page = services.store.read().await?.events(&caller.scope(&roster), &filter).await?;
    let next_cursor = super::list::next(&page, "events", &roster.url_key);
    let items = page.items.iter().map(|row| view::event(&row.body)).collect();
    Ok(HttpResponse::Ok().json(Events { items, next_cursor }))
}

pub(super) async fn show(services: Data<Services>, request: HttpRequest, id: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let scope = caller.scope(&services.roster.now());
    let mut tx = services.store.read().await?;
    let row = tx.event(&scope, &id).await?.ok_or(NO_EVENT)?;
    let filter = DeliveryFilter { event_id: Some(row.id.clone()), limit: DELIVERIES_SHOWN, ..Default::default() };
    let deliveries: Vec<Value> = tx.deliveries(&scope, &filter).await?.items.iter().map(view::delivery).collect();
    let mut event: Value = serde_json::from_str(&row.body).unwrap_or_default();
    event["deliveries"] = Value::Array(deliveries);
    Ok(HttpResponse::Ok().json(event))
}

const NO_EVENT: Problem = Problem::NotFound("there is no event with this id");

pub(super) async fn replay(services: Data<Services>, request: HttpRequest, id: Path<String>, body: Payload) -> Answer {
    let roster = services.roster.now();
    once(&services, &request, body, Right::Manage, async |caller, tx, mut fields| {
        let scope = caller.scope(&roster);
        let to = replay_to(fields.text("destination")?, fields.text("url")?, &roster, &scope, &services)?;
        fields.end(&["destination", "url"])?;
        let row = tx.event(&scope, &id).await?.ok_or(NO_EVENT)?;
        let replayed = tell_again(tx, &roster, &scope, &row, to, services.clock.now());
        let answer = json!({"replay_id": replayed.id, "event_id": row.id, "deliveries": replayed.deliveries});
        Ok((StatusCode::ACCEPTED, answer))
    })
    .await
}

fn replay_to(
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
