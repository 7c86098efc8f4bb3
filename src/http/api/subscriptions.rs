//! Subscriptions.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::Answer;
use super::list::{invalid, part};
use super::post::{Change, Changed, Fields, Wanted, settings};
use super::view::Page;
use crate::domain::access::{Right, Scope};
use crate::domain::event::EventType;
use crate::domain::filter::Filter;
use crate::domain::id::SubscriptionId;
use crate::domain::spelling::suggestion;
use crate::domain::subscription::Subscription;
use crate::flow::roster::Roster;
use crate::http::openapi::{Nothing, asked};
use crate::store::Tx;

const FIELDS: [&str; 4] = ["destination", "events", "sources", "where"];

/// A subscription as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Subscription)]
pub(in crate::http) struct SubscriptionView<'a> {
    id: &'a str,
    destination: &'a str,
    #[schema(value_type = Vec<EventType>)]
    events: Vec<&'static str>,
    /// Null for all that the team may see.
    sources: Option<&'a [String]>,
    /// CEL over `event` and `task`.
    #[serde(rename = "where")]
    filter: Option<&'a str>,
    /// For how many events `where` could not be worked out since the process started; they were no match.
    where_failures: u64,
    /// Why, the last time.
    where_last_failure: Option<String>,
    /// Whether a file declares it; then it is changed only there.
    from_file: bool,
}

/// List subscriptions
#[utoipa::path(get, path = "/subscriptions", security(("key" = ["read"])), params(asked::Paging), responses(
    (status = 200, description = "All that one may see", body = Page<SubscriptionView>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let scope = caller.scope(&roster);
    let seen = roster.subscriptions.iter().filter(|one| scope.sees_destination(&one.destination));
    let shown = seen.map(|one| (one.id.to_string(), view(one, roster.faults.of(&one.id))));
    part(request.query_string(), "subscriptions", &roster.url_key, shown.collect())
}

/// Show a subscription
#[utoipa::path(get, path = "/subscriptions/{id}", security(("key" = ["read"])), responses(
    (status = 200, description = "It", body = SubscriptionView),
))]
pub(super) async fn show(services: Data<Services>, request: HttpRequest, id: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let subscription = find(&roster, &caller.scope(&roster), &id)?;
    Ok(HttpResponse::Ok().json(view(subscription, roster.faults.of(&subscription.id))))
}

/// A subscription that is there for the caller.
fn find<'a>(roster: &'a Roster, scope: &Scope, id: &str) -> Result<&'a Subscription, Problem> {
    let found = roster.subscriptions.iter().find(|subscription| subscription.id.as_str() == id);
    let seen = found.filter(|subscription| scope.sees_destination(&subscription.destination));
    seen.ok_or(Problem::NotFound("there is no subscription with this id"))
}

/// One that was made at run time.
fn changeable<'a>(change: &'a Change, id: &str) -> Result<&'a Subscription, Problem> {
    let subscription = find(&change.roster, &change.scope, id)?;
    if subscription.from_file {
        return Err(Problem::Conflict(format!("the subscription `{id}` is declared in the file: change it there")));
    }
    Ok(subscription)
}

fn team<'a>(roster: &'a Roster, subscription: &Subscription) -> Option<&'a str> {
    roster.targets.get(&subscription.destination).map(|target| target.destination.team.as_str())
}

/// Subscribe a destination to events
#[utoipa::path(post, path = "/subscriptions", security(("key" = ["manage"])), request_body = asked::NewSubscription, responses(
    (status = 201, description = "It is made", body = SubscriptionView),
))]
pub(in crate::http) async fn create(services: Data<Services>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, fields| {
        let made = read(fields, &change.roster, &change.scope, SubscriptionId::new(change.now))?;
        tx.insert_subscription(&made, change.now).await?;
        note(change, tx, "subscription.create", &made);
        Ok((StatusCode::CREATED, json!(view(&made, None))))
    })
    .await
}

/// Change a subscription
///
/// What is left out is as it is by default.
#[utoipa::path(put, path = "/subscriptions/{id}", security(("key" = ["manage"])), request_body = asked::ChangedSubscription, responses(
    (status = 200, description = "It is changed", body = SubscriptionView),
    (status = 409, description = "It is declared in the file: change it there"),
))]
pub(in crate::http) async fn update(services: Data<Services>, id: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, mut fields| {
        let before = changeable(change, &id)?;
        fields.unchanged("id", &id)?;
        let made = read(fields, &change.roster, &change.scope, before.id.clone())?;
        tx.update_subscription(&made).await?;
        note(change, tx, "subscription.update", &made);
        Ok((StatusCode::OK, json!(view(&made, change.roster.faults.of(&made.id)))))
    })
    .await
}

/// Delete a subscription
#[utoipa::path(delete, path = "/subscriptions/{id}", security(("key" = ["manage"])), request_body = Nothing, responses(
    (status = 204, description = "It is gone"),
    (status = 409, description = "It is declared in the file: change it there"),
))]
pub(in crate::http) async fn delete(services: Data<Services>, id: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, fields| {
        fields.end(&[])?;
        let before = changeable(change, &id)?;
        tx.delete_subscription(&id).await?;
        note(change, tx, "subscription.delete", before);
        Ok((StatusCode::NO_CONTENT, Value::Null))
    })
    .await
}

fn note(change: &Change, tx: &mut Tx, action: &str, subscription: &Subscription) {
    let detail = json!({"destination": subscription.destination, "sources": subscription.sources});
    change.audit(tx, action, subscription.id.as_str(), team(&change.roster, subscription), Some(detail));
}

fn read(mut fields: Fields, roster: &Roster, scope: &Scope, id: SubscriptionId) -> Result<Subscription, Problem> {
    let destination = fields.needed("destination")?;
    let seen = || roster.targets.keys().filter(|name| scope.sees_destination(name));
    let target = roster.targets.get(&destination).filter(|_| scope.sees_destination(&destination));
    let target = target.ok_or_else(|| unknown("destination", &destination, seen()))?;
    let events = match fields.texts("events")? {
        None => EventType::DEFAULT.to_vec(),
        Some(words) => words.iter().map(|word| event_type(word)).collect::<Result<_, _>>()?,
    };
    if events.is_empty() {
        return Err(invalid("events", "at least one type is needed; leave it out for the ends of tasks"));
    }
    let sources = fields.texts("sources")?;
    for name in sources.iter().flatten() {
        let visible = roster.sources.get(name).filter(|active| active.source.is_visible_to(&target.destination.team));
        let seen = || roster.sources.keys().filter(|name| scope.sees_source(name));
        visible.ok_or_else(|| unknown("sources", name, seen()))?;
    }
    let filter = fields.text("where")?.as_deref().map(Filter::compile).transpose();
    let filter = filter.map_err(|problem| invalid("where", problem.to_string()))?;
    fields.end(&FIELDS)?;
    Ok(Subscription { id, destination, events, sources, filter, from_file: false })
}

fn event_type(word: &str) -> Result<EventType, Problem> {
    let words = EventType::ALL.map(EventType::as_str);
    let unknown = || invalid("events", format!("`{word}` is no event type; {}", suggestion(word, words)));
    EventType::parse(word).ok_or_else(unknown)
}

fn unknown<'a>(field: &str, name: &str, known: impl Iterator<Item = &'a String>) -> Problem {
    let known: Vec<&str> = known.map(String::as_str).collect();
    invalid(field, format!("there is no `{name}` that this team may see; {}", suggestion(name, known)))
}

fn view(subscription: &Subscription, fault: Option<(u64, String)>) -> SubscriptionView<'_> {
    SubscriptionView {
        id: subscription.id.as_str(),
        destination: &subscription.destination,
        events: subscription.events.iter().map(|kind| kind.as_str()).collect(),
        sources: subscription.sources.as_deref(),
        filter: subscription.filter.as_ref().map(Filter::text),
        where_failures: fault.as_ref().map_or(0, |(many, _)| *many),
        where_last_failure: fault.map(|(_, problem)| problem),
        from_file: subscription.from_file,
    }
}
