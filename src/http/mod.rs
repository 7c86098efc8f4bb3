//! HTTP: bytes in, answers out. No rule lives here.

use std::sync::Arc;

use actix_web::web;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Notify;

use crate::config::{Config, Delivery};
use crate::domain::clock::SharedClock;
use crate::flow::receive::Receiver;
use crate::flow::roster::LiveRoster;
use crate::store::Store;

pub mod api;
mod auth;
mod callbacks;
mod client;
mod health;
mod problem;
pub mod tls;

pub use auth::AdminKey;

/// What the handlers work with. Clones are the same.
#[derive(Clone)]
pub struct Services {
    /// Takes callbacks in.
    pub receiver: Receiver,
    /// Who is there.
    pub roster: Arc<LiveRoster>,
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// Notified when there is something to send.
    pub wake: Arc<Notify>,
    /// Notified when there is something to ask.
    pub questions: Arc<Notify>,
    /// The administrator's key.
    pub admin: AdminKey,
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

/// Every route.
pub fn routes(front: Front) -> impl Fn(&mut web::ServiceConfig) + Clone {
    move |config| {
        config
            .app_data(web::Data::new(front))
            .route("/healthz", web::get().to(health::alive))
            .route("/readyz", web::get().to(health::ready))
            // Matched by its beginning: a pattern costs as much as reading the callback.
            .service(web::scope("/callbacks").default_service(web::to(callbacks::receive)))
            .default_service(web::to(problem::no_such_route));
        if front != Front::Callbacks {
            config
                .route("/metrics", web::get().to(health::metrics))
                .service(web::scope("/api/v1").configure(api::routes));
        }
    }
}
