//! `/api/v1`: managing (contract §6). One file a noun.

use actix_web::web;

use super::problem::Problem;

mod callbacks;
mod deliveries;
mod destinations;
mod events;
mod list;
mod post;
mod replays;
mod sources;
mod stream;
mod subscriptions;
mod tasks;
mod teams;
mod view;

type Answer = Result<actix_web::HttpResponse, Problem>;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/events", web::get().to(events::list))
        .route("/events/stream", web::get().to(stream::follow))
        .route("/events/{id}", web::get().to(events::show))
        .route("/events/{id}/replay", web::post().to(events::replay))
        .route("/replays", web::get().to(replays::list))
        .route("/replays", web::post().to(replays::create))
        .route("/replays/{id}", web::get().to(replays::show))
        .route("/replays/{id}/cancel", web::post().to(replays::cancel))
        .route("/deliveries", web::get().to(deliveries::list))
        .route("/deliveries/{id}", web::get().to(deliveries::show))
        .route("/deliveries/{id}/retry", web::post().to(deliveries::retry))
        .route("/tasks", web::get().to(tasks::list))
        .route("/tasks", web::post().to(tasks::register))
        // A task id may hold a slash, encoded or not.
        .route("/tasks/{source}/{task_id:.*}", web::get().to(tasks::show))
        .route("/callbacks", web::get().to(callbacks::list))
        .route("/callbacks/{id}", web::get().to(callbacks::show))
        .route("/callbacks/{id}/body", web::get().to(callbacks::body))
        .route("/callbacks/{id}/reprocess", web::post().to(callbacks::reprocess))
        .route("/sources", web::get().to(sources::list))
        .route("/sources/{name}", web::get().to(sources::show))
        .route("/destinations", web::get().to(destinations::list))
        .route("/destinations", web::post().to(destinations::create))
        .route("/destinations/{name}", web::get().to(destinations::show))
        .route("/destinations/{name}/test", web::post().to(destinations::test))
        .route("/destinations/{name}/enable", web::post().to(destinations::enable))
        .route("/subscriptions", web::get().to(subscriptions::list))
        .route("/subscriptions", web::post().to(subscriptions::create))
        .route("/teams", web::get().to(teams::list))
        .route("/teams", web::post().to(teams::create));
}
