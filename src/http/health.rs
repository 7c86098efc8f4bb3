//! `/healthz`, `/readyz` and `/metrics`.

use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::problem::Problem;
use super::{Front, Services, auth, client};
use crate::domain::access::Right;

/// How long the database may take to say that it is there.
const READY_DEADLINE: Duration = Duration::from_secs(2);

/// The process runs.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive", "version": env!("CARGO_PKG_VERSION")}))
}

/// Callbacks can be taken: the database answers.
pub(super) async fn ready(services: Data<Services>) -> Result<HttpResponse, Problem> {
    let asked = async { services.store.write().await?.settings_version().await };
    match tokio::time::timeout(READY_DEADLINE, asked).await {
        Ok(Ok(_)) => Ok(HttpResponse::Ok().json(json!({"status": "ready", "database": services.store.kind()}))),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Problem::Unavailable),
    }
}

/// The counters, as Prometheus reads them.
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
