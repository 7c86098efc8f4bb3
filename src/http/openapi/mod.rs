//! The description of the API: OpenAPI 3.1, made from the handlers and the types that they answer with, served at `/openapi.json`
//! and as a page at `/docs`.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use serde_json::{Value, json};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::{api, callbacks, health, relay};

pub(super) mod asked;
mod complete;
pub(super) mod destination;
pub(super) mod event;
mod page;
mod sample;
mod webhooks;
pub(super) mod words;

/// The content type of problems.
pub(super) const PROBLEM: &str = "application/problem+json";

/// What an answer that is no success says, after RFC 9457.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it describes what `problem` writes")]
pub(super) struct ProblemSchema {
    r#type: words::ProblemType,
    /// What kind of problem it is, in a few words.
    title: String,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong, where, and what to do.
    detail: String,
    /// The field, parameter or header that is wrong.
    #[schema(nullable = false)]
    field: Option<String>,
    /// The callback that was kept.
    #[schema(nullable = false)]
    callback_id: Option<String>,
}

/// A body without fields; it may be left out.
#[derive(ToSchema)]
pub(super) struct Nothing {}

/// The ways in which a request shows its key.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let about = "An API key: the administrator's, or one that was made with `POST /api/v1/keys`.";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
        let about = "The same key where `Authorization` is for the provider.";
        let relay = ApiKey::Header(ApiKeyValue::with_description("X-Callboard-Key", about));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
        components.add_security_scheme("relay", SecurityScheme::ApiKey(relay));
    }
}

/// What is below `/api/v1`.
#[derive(OpenApi)]
#[openapi(paths(
    api::audit::list,
    api::callbacks::list,
    api::callbacks::show,
    api::callbacks::body,
    api::callbacks::reprocess,
    api::deliveries::list,
    api::deliveries::show,
    api::deliveries::retry,
    api::deliveries::give_up,
    api::destinations::list,
    api::destinations::create,
    api::destinations::show,
    api::destinations::update,
    api::destinations::delete,
    api::destinations::test,
    api::destinations::enable,
    api::destinations::rotate,
    api::events::list,
    api::events::show,
    api::events::replay,
    api::replays::list,
    api::replays::create,
    api::replays::show,
    api::replays::cancel,
    api::stream::follow,
    api::keys::list,
    api::keys::create,
    api::keys::show,
    api::keys::update,
    api::keys::revoke,
    api::sources::list,
    api::sources::create,
    api::sources::show,
    api::sources::update,
    api::sources::delete,
    api::sources::add_token,
    api::sources::retire_token,
    api::stats::show,
    api::subscriptions::list,
    api::subscriptions::create,
    api::subscriptions::show,
    api::subscriptions::update,
    api::subscriptions::delete,
    api::tasks::list,
    api::tasks::register,
    api::tasks::show,
    api::teams::list,
    api::teams::create,
    api::teams::show,
    api::teams::update,
    api::teams::delete,
))]
struct Api;

/// The whole of it.
#[derive(OpenApi)]
#[openapi(
    info(title = "Callboard", description = include_str!("about.md")),
    paths(callbacks::receive, relay::pass, health::alive, health::ready, health::metrics, json),
    components(schemas(ProblemSchema, event::EventSchema, words::ChannelName)),
    nest((path = "/api/v1", api = Api)),
    modifiers(&Keys),
)]
struct Whole;

/// The description, as it is served.
///
/// # Panics
/// Never: it is made of constants, and the tests make it.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
        let mut document = json!(Whole::openapi());
        document["webhooks"] = Value::Object(webhooks::webhooks());
        complete::complete(&mut document);
        document
    });
    &DOCUMENT
}

/// Describe the API
///
/// This description: OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", tag = "service", responses(
    (status = 200, description = "The description", body = Object),
))]
pub(super) async fn json() -> HttpResponse {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    HttpResponse::Ok().content_type("application/json").body(TEXT.as_str())
}

/// What the page may load: its own style, and nothing that runs.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The same for people.
pub(super) async fn docs() -> HttpResponse {
    static PAGE: LazyLock<String> = LazyLock::new(|| page::page(document()));
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(PAGE.as_str())
}

/// How the page looks.
pub(super) async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("page.css"))
}
