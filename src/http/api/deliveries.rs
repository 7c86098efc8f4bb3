//! Deliveries and their attempts.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::Services;
use super::super::auth::{self, Caller};
use super::super::problem::Problem;
use super::list::{self, Query};
use super::post::{Changed, Wanted, once};
use super::view::{DeliveryView, Page, TriedView};
use super::{Answer, view};
use crate::domain::access::Right;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::DeliveryStatus;
use crate::flow::roster::Roster;
use crate::http::openapi::{Nothing, asked};
use crate::store::{DeliveryFilter, DeliveryRow, Tx};

const IN_HAND: &str = "it is being sent at this moment";
const NO_DELIVERY: Problem = Problem::NotFound("there is no delivery with this id");

/// A delivery that is tried again or given up.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Turned<'a> {
    id: &'a str,
    status: DeliveryStatus,
}

/// List deliveries
///
/// The newest first.
#[utoipa::path(get, path = "/deliveries", security(("key" = ["read"])), params(asked::Deliveries, asked::Paging), responses(
    (status = 200, description = "A page of them", body = Page<DeliveryView>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let filters = ["status", "destination", "event_id"];
    let query = Query::read(request.query_string(), "deliveries", &filters, &roster.url_key)?;
    let page = services.store.read().await?.deliveries(&caller.scope(&roster), &filter(&query)?).await?;
    Ok(list::answer(&page, "deliveries", &roster.url_key, view::delivery))
}

/// Which deliveries a query asks for.
///
/// # Errors
/// [`Problem::Invalid`] for a value that is none.
pub(in crate::http) fn filter(query: &Query) -> Result<DeliveryFilter, Problem> {
    Ok(DeliveryFilter {
        status: query.word("status", DeliveryStatus::parse, &DeliveryStatus::ALL.map(DeliveryStatus::as_str))?,
        destination: query.text("destination"),
        event_id: query.text("event_id"),
        before: query.before.clone(),
        limit: query.limit,
    })
}

/// Show a delivery with its attempts
#[utoipa::path(get, path = "/deliveries/{id}", security(("key" = ["read"])), responses(
    (status = 200, description = "The delivery", body = TriedView),
))]
pub(super) async fn show(services: Data<Services>, request: HttpRequest, id: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let scope = caller.scope(&services.roster.now());
    let mut tx = services.store.read().await?;
    let row = tx.delivery(&scope, &id).await?.ok_or(NO_DELIVERY)?;
    let attempts = tx.attempts(std::slice::from_ref(&row.id)).await?;
    Ok(HttpResponse::Ok().json(view::tried(&row, &attempts)))
}

/// Try a delivery again
///
/// At once, also one that is dead; its schedule begins anew. Many at once are replayed with `POST /api/v1/replays` and
/// `delivery_status`.
#[utoipa::path(post, path = "/deliveries/{id}/retry", security(("key" = ["manage"])),
    request_body(content = Nothing, description = "Nothing, or an empty object"), responses(
    (status = 202, description = "It is tried", body = Turned),
    (status = 409, description = "It is delivered, held, or being sent at this moment"),
))]
pub(in crate::http) async fn retry(services: Data<Services>, id: Path<String>, wanted: Wanted) -> Changed {
    once(&services, wanted, Right::Manage, async |caller, tx, fields| {
        fields.end(&[])?;
        let (roster, now) = (services.roster.now(), services.clock.now());
        let row = tx.delivery(&caller.scope(&roster), &id).await?.ok_or(NO_DELIVERY)?;
        if tx.retry(&id, now).await? {
            note(caller, &roster, tx, "delivery.retry", &row, now);
            return Ok((StatusCode::ACCEPTED, json!(Turned { id: &row.id, status: DeliveryStatus::Pending })));
        }
        Err(Problem::Conflict(match row.status {
            DeliveryStatus::Delivered => "it is delivered; replay its event to send it again".into(),
            DeliveryStatus::Held => "its destination is disabled; enable that".into(),
            DeliveryStatus::Pending | DeliveryStatus::Dead => IN_HAND.into(),
        }))
    })
    .await
}

/// Give up a delivery
///
/// One that waits for its next attempt, or is held, is dead. It can be tried again as any that is dead.
#[utoipa::path(post, path = "/deliveries/{id}/give-up", security(("key" = ["manage"])),
    request_body(content = Nothing, description = "Nothing, or an empty object"), responses(
    (status = 202, description = "It is dead", body = Turned),
    (status = 409, description = "It has ended, or is being sent at this moment"),
))]
pub(in crate::http) async fn give_up(services: Data<Services>, id: Path<String>, wanted: Wanted) -> Changed {
    once(&services, wanted, Right::Manage, async |caller, tx, fields| {
        fields.end(&[])?;
        let (roster, now) = (services.roster.now(), services.clock.now());
        let row = tx.delivery(&caller.scope(&roster), &id).await?.ok_or(NO_DELIVERY)?;
        if tx.give_up(&id, &format!("given up by {}", caller.key_name), now).await? {
            note(caller, &roster, tx, "delivery.give_up", &row, now);
            return Ok((StatusCode::ACCEPTED, json!(Turned { id: &row.id, status: DeliveryStatus::Dead })));
        }
        Err(Problem::Conflict(match row.status {
            DeliveryStatus::Delivered => "it is delivered".into(),
            DeliveryStatus::Dead => "it is dead already".into(),
            DeliveryStatus::Pending | DeliveryStatus::Held => IN_HAND.into(),
        }))
    })
    .await
}

/// Notes in the audit log what was done with a delivery.
fn note(caller: &Caller, roster: &Roster, tx: &mut Tx, action: &str, row: &DeliveryRow, now: Timestamp) {
    let team = roster.targets.get(&row.destination).map(|target| target.destination.team.as_str());
    let by = team.map_or_else(|| caller.actor(), |team| caller.actor().for_team(team));
    tx.audit(&by, action, &row.id, Some(json!({"destination": row.destination})), now);
}
