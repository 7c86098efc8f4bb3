//! `/healthz`, `/readyz` and `/metrics`.

use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::{Front, Services, auth, client};
use crate::domain::access::Right;

/// How long the database may take to say that it is there.
const READY_DEADLINE: Duration = Duration::from_secs(2);

/// The process runs.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    /// Always `alive`.
    status: &'static str,
    version: &'static str,
}

/// Callbacks can be taken.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// Always `ready`.
    status: &'static str,
    /// The kind of database: `sqlite` or `postgres`.
    database: &'static str,
}

/// Say that the process runs
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, description = "It does", body = Alive)))]
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "alive", version: env!("CARGO_PKG_VERSION") })
}

/// Say whether callbacks can be taken
///
/// They can while the database answers within 2 s.
#[utoipa::path(get, path = "/readyz", tag = "service", responses(
    (status = 200, description = "They can", body = Ready),
    (status = 503, description = "The database does not answer"),
))]
pub(super) async fn ready(services: Data<Services>) -> Result<HttpResponse, Problem> {
    let asked = async { services.store.write().await?.settings_version().await };
    match tokio::time::timeout(READY_DEADLINE, asked).await {
        Ok(Ok(_)) => Ok(HttpResponse::Ok().json(Ready { status: "ready", database: services.store.kind() })),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Problem::Unavailable),
    }
}

/// Show the counters
///
/// As Prometheus reads them. No key is needed from this machine itself, or where `server.manage_listen` is asked.
#[utoipa::path(get, path = "/metrics", tag = "service", security((), ("key" = ["administer"])), responses(
    (status = 200, description = "The counters", body = String, content_type = "text/plain"),
    (status = 401, description = "A key is needed"),
    (status = 403, description = "The key is for something else"),
    (status = 503, description = "The key cannot be looked up now"),
))]
pub(super) async fn metrics(
    services: Data<Services>,
    front: Data<Front>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    if **front != Front::Management && !client::is_loopback(&request) {
        auth::caller(&request, &services, Right::Administer).await?;
    }
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(services.metrics.render()))
}
