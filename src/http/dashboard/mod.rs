//! The dashboard: pages over the same store and rights as the API. A page is one handler here, one template in
//! `templates/`, and its texts in `text/`.

use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse, guard};

use super::problem::{NO_SUCH_ROUTE, Problem};
use super::{Services, get, safe};
use crate::domain::access::Right;

mod assets;
mod attempts;
mod audit;
mod board;
mod bytes;
mod callbacks;
mod carriage;
mod charts;
mod cookie;
mod deliveries;
mod destinations;
mod doing;
mod events;
mod form;
mod keys;
mod line;
mod live;
mod look;
mod media;
mod origin;
mod parts;
mod query;
mod replays;
mod session;
mod sheet;
mod sign_in;
mod sources;
mod subscriptions;
mod tasks;
mod teams;
mod text;
mod timeline;
mod visit;

pub use attempts::Attempts;

/// What a page is answered with; a problem is shown within the page's frame.
type Page = Result<HttpResponse, Problem>;

/// Writes down each page once: as it is served, and as data, so that a test can hold each against who may see it.
///
/// A `page` is shown to a visitor whose key has the right. A `deed` changes something: it is done only for a form of our
/// own pages, which [`form`] has seen to before the handler is called.
macro_rules! pages {
    ($($kind:ident $right:ident $path:literal => $handler:path;)*) => {
        /// Every page: the method that it takes, the right that it needs, and its path.
        pub const PAGES: &[(&str, Right, &str)] = &[$((pages!(@method $kind), Right::$right, $path)),*];

        fn each_page(config: &mut web::ServiceConfig) {
            config$(.service(pages!(@service $kind $right $path $handler)))*;
        }
    };
    (@method page) => { "GET" };
    (@method deed) => { "POST" };
    (@service page $right:ident $path:literal $handler:path) => {
        get($path).wrap(safe()).to(async |request: HttpRequest, services: Data<Services>| {
            visit::show(request, services, Right::$right, $handler).await
        })
    };
    (@service deed $right:ident $path:literal $handler:path) => {
        post($path).wrap(safe()).to(async |request: HttpRequest, services: Data<Services>, payload: Payload| {
            visit::act(request, services, payload, Right::$right, $handler).await
        })
    };
}

pages! {
    page Read "/" => events::list;
    page Read "/ui/live" => live::follow;
    page Read "/ui/events/{id}" => events::show;
    page Read "/ui/tasks" => tasks::list;
    // A task id may hold a slash.
    page Read "/ui/tasks/{source}/{task_id:.*}" => tasks::show;
    page Read "/ui/callbacks" => callbacks::list;
    page Read "/ui/callbacks/{id}" => callbacks::show;
    page Read "/ui/callbacks/{id}/body" => callbacks::body;
    page Read "/ui/deliveries" => deliveries::list;
    page Read "/ui/deliveries/{id}" => deliveries::show;
    deed Read "/ui/sign-out" => sign_in::sign_out;
    page Read "/ui/sources" => sources::list;
    page Administer "/ui/new/source" => sources::blank;
    deed Administer "/ui/new/source" => sources::create;
    page Read "/ui/sources/{name}" => sources::show;
    page Administer "/ui/sources/{name}/edit" => sources::edit;
    deed Administer "/ui/sources/{name}/edit" => sources::update;
    deed Administer "/ui/sources/{name}/delete" => sources::delete;
    deed Administer "/ui/sources/{name}/token" => sources::rotate;
    deed Administer "/ui/sources/{name}/tokens/{id}/retire" => sources::retire;
    page Read "/ui/destinations" => destinations::list;
    page Manage "/ui/new/destination" => destinations::blank;
    deed Manage "/ui/new/destination" => destinations::create;
    page Read "/ui/destinations/{name}" => destinations::show;
    page Manage "/ui/destinations/{name}/edit" => destinations::edit;
    deed Manage "/ui/destinations/{name}/edit" => destinations::update;
    deed Manage "/ui/destinations/{name}/delete" => destinations::delete;
    deed Manage "/ui/destinations/{name}/test" => destinations::test;
    deed Manage "/ui/destinations/{name}/enable" => destinations::enable;
    deed Manage "/ui/destinations/{name}/secret" => destinations::rotate;
    page Read "/ui/subscriptions" => subscriptions::list;
    page Manage "/ui/new/subscription" => subscriptions::blank;
    deed Manage "/ui/new/subscription" => subscriptions::create;
    page Manage "/ui/subscriptions/{id}" => subscriptions::edit;
    deed Manage "/ui/subscriptions/{id}" => subscriptions::update;
    deed Manage "/ui/subscriptions/{id}/delete" => subscriptions::delete;
    page Read "/ui/teams" => teams::list;
    page Administer "/ui/new/team" => teams::blank;
    deed Administer "/ui/new/team" => teams::create;
    page Administer "/ui/teams/{name}" => teams::edit;
    deed Administer "/ui/teams/{name}" => teams::update;
    deed Administer "/ui/teams/{name}/delete" => teams::delete;
    page Manage "/ui/keys" => keys::list;
    page Manage "/ui/new/key" => keys::blank;
    deed Manage "/ui/new/key" => keys::create;
    deed Manage "/ui/keys/{id}/revoke" => keys::revoke;
    page Manage "/ui/audit" => audit::show;
    page Read "/ui/charts" => charts::show;
    page Read "/ui/replays" => replays::all;
    page Manage "/ui/new/replay" => replays::blank;
    deed Manage "/ui/new/replay" => replays::create;
    page Read "/ui/replays/{id}" => replays::show;
    deed Manage "/ui/replays/{id}/cancel" => replays::cancel;
    page Manage "/ui/replay" => doing::ask_replay;
    deed Manage "/ui/replay" => doing::replay;
    deed Manage "/ui/deliveries/{id}/retry" => doing::retry;
    deed Manage "/ui/deliveries/{id}/give-up" => doing::give_up;
    deed Manage "/ui/callbacks/{id}/reprocess" => doing::reprocess;
    page Submit "/ui/new/task" => doing::ask_register;
    deed Submit "/ui/new/task" => doing::register;
}

/// What only changes something.
fn post(path: &'static str) -> actix_web::Resource {
    web::resource(path).guard(guard::Post())
}

/// Every route of the dashboard: the pages, and what is there for who is not signed in.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(get("/ui/sign-in").wrap(safe()).to(sign_in::page))
        .service(post("/ui/sign-in").wrap(safe()).to(sign_in::sign_in))
        .service(post("/ui/look").wrap(safe()).to(look::choose))
        .service(get("/ui/assets/{version}/{name}").wrap(safe()).to(assets::give));
    each_page(config);
    config.service(get("/ui/{rest:.*}").wrap(safe()).to(async |request: HttpRequest, services: Data<Services>| {
        visit::show(request, services, Right::Read, async |_: &visit::Visit| Err(NO_SUCH_ROUTE)).await
    }));
}
