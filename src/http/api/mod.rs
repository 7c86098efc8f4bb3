//! `/api/v1`: managing (contract §6). One file a noun.

use actix_web::web;

use super::problem::Problem;

pub(super) mod audit;
pub(super) mod callbacks;
pub(super) mod deliveries;
pub(super) mod destinations;
pub(super) mod events;
pub(super) mod keys;
pub(super) mod list;
pub(super) mod post;
pub(super) mod replays;
pub(super) mod sources;
pub(super) mod stats;
pub(super) mod stream;
pub(super) mod subscriptions;
pub(super) mod tasks;
pub(super) mod teams;
pub(super) mod timeline;
pub(super) mod view;

type Answer = Result<actix_web::HttpResponse, Problem>;

/// Writes down each route once: as it is served, and as data, so that a test can hold every one of them against every
/// role.
macro_rules! routes {
    ($($method:ident $path:literal => $handler:path;)*) => {
        /// Every route below `/api/v1`: its method in lower case, and its path.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        pub(super) fn routes(config: &mut web::ServiceConfig) {
            config$(.route($path, web::$method().to($handler)))*;
        }
    };
}

routes! {
    get "/events" => events::list;
    get "/events/stream" => stream::follow;
    get "/events/{id}" => events::show;
    post "/events/{id}/replay" => events::replay;
    get "/replays" => replays::list;
    post "/replays" => replays::create;
    get "/replays/{id}" => replays::show;
    post "/replays/{id}/cancel" => replays::cancel;
    get "/deliveries" => deliveries::list;
    get "/deliveries/{id}" => deliveries::show;
    post "/deliveries/{id}/retry" => deliveries::retry;
    post "/deliveries/{id}/give-up" => deliveries::give_up;
    get "/tasks" => tasks::list;
    post "/tasks" => tasks::register;
    // A task id may hold a slash, encoded or not.
    get "/tasks/{source}/{task_id:.*}" => tasks::show;
    get "/callbacks" => callbacks::list;
    get "/callbacks/{id}" => callbacks::show;
    get "/callbacks/{id}/body" => callbacks::body;
    post "/callbacks/{id}/reprocess" => callbacks::reprocess;
    get "/sources" => sources::list;
    post "/sources" => sources::create;
    get "/sources/{name}" => sources::show;
    put "/sources/{name}" => sources::update;
    delete "/sources/{name}" => sources::delete;
    post "/sources/{name}/token" => sources::add_token;
    delete "/sources/{name}/tokens/{id}" => sources::retire_token;
    get "/destinations" => destinations::list;
    post "/destinations" => destinations::create;
    get "/destinations/{name}" => destinations::show;
    put "/destinations/{name}" => destinations::update;
    delete "/destinations/{name}" => destinations::delete;
    post "/destinations/{name}/test" => destinations::test;
    post "/destinations/{name}/enable" => destinations::enable;
    post "/destinations/{name}/secret" => destinations::rotate;
    get "/subscriptions" => subscriptions::list;
    post "/subscriptions" => subscriptions::create;
    get "/subscriptions/{id}" => subscriptions::show;
    put "/subscriptions/{id}" => subscriptions::update;
    delete "/subscriptions/{id}" => subscriptions::delete;
    get "/teams" => teams::list;
    post "/teams" => teams::create;
    get "/teams/{name}" => teams::show;
    put "/teams/{name}" => teams::update;
    delete "/teams/{name}" => teams::delete;
    get "/keys" => keys::list;
    post "/keys" => keys::create;
    get "/keys/{id}" => keys::show;
    put "/keys/{id}" => keys::update;
    delete "/keys/{id}" => keys::revoke;
    get "/stats" => stats::show;
    get "/audit" => audit::list;
}
