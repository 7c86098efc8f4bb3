//! HTTP: bytes in, answers out. No rule lives here.

use std::sync::Arc;

use actix_web::middleware::DefaultHeaders;
use actix_web::{Resource, guard, web};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Notify;

use crate::config::{Config, Delivery};
use crate::domain::clock::SharedClock;
use crate::flow::listeners::Listeners;
use crate::flow::receive::Receiver;
use crate::flow::relay::Relay;
use crate::flow::repeats::Repeats;
use crate::flow::roster::LiveRoster;
use crate::store::{Store, Tx};

pub mod api;
mod auth;
mod callbacks;
mod client;
mod dashboard;
mod health;
mod openapi;
mod problem;
mod relay;
pub mod tls;

pub use auth::AdminKey;
pub use dashboard::{Attempts, PAGES};
pub use openapi::document;

/// What the handlers work with. Clones are the same.
#[derive(Clone)]
pub struct Services {
    /// Takes callbacks in.
    pub receiver: Receiver,
    /// Passes requests on.
    pub relay: Relay,
    /// Who is there.
    pub roster: Arc<LiveRoster>,
    /// The database.
    pub store: Store,
    /// The callbacks that only came again.
    pub repeats: Repeats,
    /// The time.
    pub clock: SharedClock,
    /// Notified when there is something to send.
    pub wake: Arc<Notify>,
    /// Notified when there is something to ask.
    pub questions: Arc<Notify>,
    /// Notified when a replay was made.
    pub replays: Arc<Notify>,
    /// Lets in who follows the events.
    pub listeners: Listeners,
    /// The administrator's key.
    pub admin: AdminKey,
    /// The wrong keys that were tried of late.
    pub sign_ins: Attempts,
    /// What was configured.
    pub config: Arc<Config>,
    /// The counters, as Prometheus reads them.
    pub metrics: PrometheusHandle,
}

impl Services {
    /// Takes on settings that were just made. They are durable: if they cannot be read now, the roster
    /// follows them by itself a moment later.
    async fn settings_changed(&self) {
        if let Err(error) = self.roster.reload().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the new settings could not be read yet");
        }
    }

    /// Begins to read callbacks, once those that came again to this instance are counted; where they cannot be, they are
    /// shown without.
    async fn read_callbacks(&self) -> crate::store::Result<Tx> {
        if let Err(error) = self.repeats.write(&self.store).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "repeats could not be counted before a reading");
        }
        self.store.read().await
    }

    /// How deliveries are tried.
    pub fn delivery(&self) -> &Delivery {
        &self.config.delivery
    }
}

/// Which routes a listener serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    /// Everything.
    Whole,
    /// What providers need, where management listens apart.
    Callbacks,
    /// Everything, on the listener that only managers reach.
    Management,
}

/// What every answer of ours carries. A provider's answer that is relayed stays as it is.
const SAFE: [(&str, &str); 3] =
    [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("cache-control", "no-store")];

fn safe() -> DefaultHeaders {
    SAFE.into_iter().fold(DefaultHeaders::new(), |headers, header| headers.add(header))
}

/// What is only read.
fn get(path: &'static str) -> Resource {
    web::resource(path).guard(guard::Get())
}

/// Every route.
pub fn routes(front: Front) -> impl Fn(&mut web::ServiceConfig) + Clone {
    move |config| {
        config
            .app_data(web::Data::new(front))
            .service(get("/healthz").to(health::alive).wrap(safe()))
            .service(get("/readyz").to(health::ready).wrap(safe()))
            // Matched by its beginning: a pattern costs as much as reading the callback.
            .service(web::scope("/callbacks").wrap(safe()).default_service(web::to(callbacks::receive)))
            .service(web::scope("/relay").default_service(web::to(relay::pass)))
            .default_service(web::to(problem::no_such_route));
        if front != Front::Callbacks {
            config
                .service(get("/metrics").to(health::metrics).wrap(safe()))
                .service(get("/openapi.json").to(openapi::json).wrap(safe()))
                .service(get("/docs").to(openapi::docs).wrap(safe()))
                .service(get("/docs/style.css").to(openapi::style).wrap(safe()))
                .service(web::scope("/api/v1").wrap(safe()).configure(api::routes))
                .configure(dashboard::routes);
        }
    }
}
