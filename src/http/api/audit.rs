//! The audit log: who changed what.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::{Services, auth};
use super::Answer;
use super::list::{self, Query};
use crate::domain::access::Right;
use crate::domain::clock::Timestamp;
use crate::store::{AuditFilter, AuditRow};

/// A change as it is shown.
#[derive(Serialize)]
struct AuditView<'a> {
    id: &'a str,
    at: Timestamp,
    key_id: Option<&'a str>,
    key_name: &'a str,
    team: Option<&'a str>,
    action: &'a str,
    object: &'a str,
    detail: Option<&'a Value>,
}

pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Manage).await?;
    let roster = services.roster.now();
    let filters = ["action", "object", "since", "until"];
    let query = Query::read(request.query_string(), "audit", &filters, &roster.url_key)?;
    let filter = AuditFilter {
        team: caller.team.clone(),
        action: query.text("action"),
        object: query.text("object"),
        since: query.time("since")?,
        until: query.time("until")?,
        before: query.before.clone(),
        limit: query.limit,
    };
    let page = services.store.read().await?.audited(&filter).await?;
    Ok(list::answer(page, "audit", &roster.url_key, view))
}

fn view(row: &AuditRow) -> Value {
    let AuditRow { id, at, by, action, object, detail } = row;
    json!(AuditView {
        id,
        at: *at,
        key_id: by.key_id.as_deref(),
        key_name: &by.key_name,
        team: by.team.as_deref(),
        action,
        object,
        detail: detail.as_ref(),
    })
}
