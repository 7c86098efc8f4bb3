//! The audit log: who changed what.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::Answer;
use super::list::{self, Query};
use super::view::Page;
use crate::domain::access::Right;
use crate::domain::clock::Timestamp;
use crate::http::openapi::asked;
use crate::store::{AuditFilter, AuditRow};

/// A change as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Change)]
pub(in crate::http) struct AuditView<'a> {
    id: &'a str,
    at: Timestamp,
    /// Whose key made it; null for `server.admin_key`.
    key_id: Option<&'a str>,
    key_name: &'a str,
    /// The team that it concerns; null for all.
    team: Option<&'a str>,
    /// What was done, such as `destination.create`.
    action: &'a str,
    /// To what, by its name or id.
    object: &'a str,
    /// More of it, without anything secret.
    #[schema(value_type = Option<Object>)]
    detail: Option<&'a Value>,
}

/// List changes
///
/// Who changed what, the newest first. A key of one team sees what concerns its team.
#[utoipa::path(get, path = "/audit", security(("key" = ["manage"])), params(asked::Changes, asked::Paging), responses(
    (status = 200, description = "A page of them", body = Page<AuditView>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Manage).await?;
    let roster = services.roster.now();
    let query = Query::read(request.query_string(), "audit", &FILTERS, &roster.url_key)?;
    let page = services.store.read().await?.audited(&filter(&query, caller.team)?).await?;
    Ok(list::answer(&page, "audit", &roster.url_key, view))
}

/// What the list can be filtered by.
pub(in crate::http) const FILTERS: [&str; 4] = ["action", "object", "since", "until"];

/// Which changes a query asks for, of one team or of all.
///
/// # Errors
/// [`Problem::Invalid`] for a value that is none.
pub(in crate::http) fn filter(query: &Query, team: Option<String>) -> Result<AuditFilter, Problem> {
    Ok(AuditFilter {
        team,
        action: query.text("action"),
        object: query.text("object"),
        since: query.time("since")?,
        until: query.time("until")?,
        before: query.before.clone(),
        limit: query.limit,
    })
}

fn view(row: &AuditRow) -> AuditView<'_> {
    let AuditRow { id, at, by, action, object, detail } = row;
    AuditView {
        id,
        at: *at,
        key_id: by.key_id.as_deref(),
        key_name: &by.key_name,
        team: by.team.as_deref(),
        action,
        object,
        detail: detail.as_ref(),
    }
}
