//! A visit: who looks at a page, with which rights, and the frame that each page stands in.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::Services;
use super::super::api::post::Wanted;
use super::super::auth::Caller;
use super::super::problem::{Code, Problem};
use super::carriage::Carriage;
use super::form::Form;
use super::look::{Look, Theme};
use super::session::Session;
use super::{Page, assets, cookie, origin, text};
use crate::domain::access::{Right, Scope};
use crate::domain::clock::Timestamp;
use crate::flow::receive::example;
use crate::flow::roster::Roster;

/// Nothing but our own files, and what providers made by https; nothing inline, and nobody may frame us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https:; \
    media-src https:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What a deed says when it is done is shown on the page that follows, once.
const NOTICE: &str = "callboard-notice";
const NOTICE_LASTS: Duration = Duration::from_secs(60);
/// No notice is longer, as the cookie's value.
const NOTICE_MAX: usize = 2000;

/// Somebody who is signed in, looking at one page.
#[derive(Clone)]
pub(super) struct Visit {
    /// What the handlers work with.
    pub(super) services: Data<Services>,
    /// What was asked.
    pub(super) request: HttpRequest,
    /// Who is there.
    pub(super) roster: Arc<Roster>,
    /// Who looks.
    pub(super) caller: Caller,
    /// What they may see.
    pub(super) scope: Scope,
    /// When.
    pub(super) now: Timestamp,
    look: Look,
    session: Session,
}

impl Visit {
    /// The visit of a request; `None` where nobody is signed in.
    ///
    /// # Errors
    /// As the database gives them.
    pub(super) async fn of(request: &HttpRequest, services: &Data<Services>) -> Result<Option<Self>, Problem> {
        let Some(session) = Session::of(request, services).await? else { return Ok(None) };
        let roster = services.roster.now();
        Ok(Some(Self {
            scope: session.caller.scope(&roster),
            caller: session.caller.clone(),
            look: Look::of(request),
            now: services.clock.now(),
            services: services.clone(),
            request: request.clone(),
            roster,
            session,
        }))
    }

    /// The page's frame, with this place of the navigation marked.
    pub(super) fn frame(&self, here: Here) -> Frame {
        let look = self.look;
        let visitor = Visitor {
            role: look.texts().word(self.caller.role.as_str()).to_owned(),
            name: self.caller.key_name.clone(),
            team: self.caller.team.clone(),
            form_token: self.session.form_token(),
        };
        Frame {
            visitor: Some(visitor),
            notice: notice(&self.request),
            may_manage: self.may(Right::Manage),
            here,
            ..Frame::bare(&self.request, look, self.now)
        }
    }

    /// Everything that is written on the pages.
    pub(super) fn texts(&self) -> &'static text::Texts {
        self.look.texts()
    }

    /// Whether the visitor's key has a right.
    pub(super) fn may(&self, right: Right) -> bool {
        self.caller.role.has(right)
    }

    /// The same visit, after something was changed.
    pub(super) fn later(&self) -> Self {
        let roster = self.services.roster.now();
        Self { scope: self.caller.scope(&roster), roster, ..self.clone() }
    }

    /// A change that the visitor wants, as the API is asked for it.
    pub(super) fn wants(&self, fields: Map<String, Value>) -> Wanted {
        Wanted::Written(self.caller.clone(), fields)
    }

    /// The sources that the visitor may see, by name.
    pub(super) fn sources(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.roster.sources.keys().filter(|name| self.scope.sees_source(name)).cloned().collect();
        names.sort_unstable();
        names
    }

    /// The destinations that the visitor may see, by name.
    pub(super) fn destinations(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.roster.targets.keys().filter(|name| self.scope.sees_destination(name)).cloned().collect();
        names.sort_unstable();
        names
    }

    /// A command that posts a callback as a provider would; callback URLs are for who may manage.
    pub(super) fn example(&self) -> Option<String> {
        if !self.may(Right::Manage) {
            return None;
        }
        let base = self.services.config.base_url();
        example(&self.roster, &base, self.now, |name| self.scope.sees_source(name))
    }

    /// What the path has in the places of its pattern, decoded.
    ///
    /// # Errors
    /// [`Problem::NotFound`] if it cannot be read.
    pub(super) async fn path<T: DeserializeOwned + 'static>(&self) -> Result<T, Problem> {
        use actix_web::FromRequest;
        let found = Path::<T>::extract(&self.request).await;
        found.map(Path::into_inner).map_err(|_| super::super::problem::NO_SUCH_ROUTE)
    }

    /// Goes on to a path of ours, where `said` is shown.
    pub(super) fn done(&self, to: &str, said: &str) -> HttpResponse {
        let value = URL_SAFE_NO_PAD.encode(said);
        let value = if value.len() > NOTICE_MAX { String::new() } else { value };
        let is_secure = Carriage::of(&self.request, &self.services) == Carriage::Https;
        HttpResponse::SeeOther()
            .append_header((header::SET_COOKIE, cookie::hidden(NOTICE, &value, NOTICE_LASTS, is_secure)))
            .insert_header((header::LOCATION, to))
            .finish()
    }

    fn refused(&self, problem: &Problem) -> HttpResponse {
        refused(self.frame(Here::Nowhere), problem)
    }
}

/// Shows a page to a visitor whose key has the right; to anybody else what to do instead.
pub(super) async fn show(
    request: HttpRequest,
    services: Data<Services>,
    right: Right,
    page: impl AsyncFnOnce(&Visit) -> Page,
) -> HttpResponse {
    let visit = match Visit::of(&request, &services).await {
        Ok(Some(visit)) => visit,
        Ok(None) => return to_sign_in(&request),
        Err(problem) => return refused(Frame::bare(&request, Look::of(&request), services.clock.now()), &problem),
    };
    let shown = if visit.may(right) { page(&visit).await } else { Err(visit.forbidden(right)) };
    let mut answer = shown.unwrap_or_else(|problem| visit.refused(&problem));
    notice_shown(&request, &mut answer, Carriage::of(&request, &services));
    answer
}

/// What was said is not said again.
pub(super) fn notice_shown(request: &HttpRequest, answer: &mut HttpResponse, carriage: Carriage) {
    let is_page = answer.headers().contains_key(header::CONTENT_SECURITY_POLICY);
    if is_page && cookie::read(request, NOTICE).is_some() {
        cookie::forget(answer, NOTICE, carriage == Carriage::Https);
    }
}

/// Does what a form asks for, if it is a form of this visitor's own page and the key has the right.
pub(super) async fn act(
    request: HttpRequest,
    services: Data<Services>,
    payload: Payload,
    right: Right,
    deed: impl AsyncFnOnce(&Visit, Form) -> Page,
) -> HttpResponse {
    show(request.clone(), services, right, async |visit: &Visit| {
        if !origin::is_ours(&request) {
            return Ok(foreign(visit.frame(Here::Nowhere)));
        }
        let form = Form::read(payload).await?;
        if !form.text("form_token").is_some_and(|token| visit.session.made(token)) {
            return Ok(foreign(visit.frame(Here::Nowhere)));
        }
        deed(visit, form).await
    })
    .await
}

impl Visit {
    fn forbidden(&self, right: Right) -> Problem {
        Problem::Forbidden { role: self.caller.role, right }
    }
}

/// Leads to the sign-in, and from there back.
fn to_sign_in(request: &HttpRequest) -> HttpResponse {
    let back = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut to = "/ui/sign-in".to_owned();
    if back != "/" && request.method() == Method::GET {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("back", back).finish();
        to = format!("{to}?{query}");
    }
    HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish()
}

/// Which place of the navigation a page belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Here {
    Events,
    Tasks,
    Callbacks,
    Deliveries,
    Replays,
    Charts,
    Settings,
    Nowhere,
}

/// A place of the navigation.
pub(super) struct Place {
    /// Where it leads.
    pub(super) href: &'static str,
    /// What it is called.
    pub(super) label: text::Text,
    /// The key that leads there after `g`.
    pub(super) key: &'static str,
    /// Whether the page is there.
    pub(super) is_here: bool,
}

/// Whoever is signed in, as the frame shows them.
pub(super) struct Visitor {
    /// What their key is called.
    pub(super) name: String,
    /// What it is for.
    pub(super) role: String,
    /// Whose it is.
    pub(super) team: Option<String>,
    /// What their forms carry.
    pub(super) form_token: String,
}

/// What stands around each page.
pub(super) struct Frame {
    /// Everything that is written on the pages.
    pub(super) t: &'static text::Texts,
    /// How they look.
    pub(super) look: Look,
    /// Who is signed in, if somebody is.
    pub(super) visitor: Option<Visitor>,
    /// What was just done.
    pub(super) notice: Option<String>,
    /// Where the page itself can be looked at: its path and query.
    pub(super) path: String,
    /// When the page is made.
    pub(super) now: Timestamp,
    /// Whether the visitor may change what is their team's.
    pub(super) may_manage: bool,
    here: Here,
}

impl Frame {
    /// The frame for who is not signed in.
    pub(super) fn bare(request: &HttpRequest, look: Look, now: Timestamp) -> Self {
        // What a form was sent to cannot be looked at.
        let asked = request.uri().path_and_query().filter(|_| request.method() == Method::GET);
        let path = asked.map_or("/", |path| path.as_str()).to_owned();
        Self { t: look.texts(), look, visitor: None, notice: None, path, now, may_manage: false, here: Here::Nowhere }
    }

    /// The places that the visitor's key may go to.
    pub(super) fn places(&self) -> Vec<Place> {
        let t = &self.t.frame;
        let all = [
            ("/", t.events, "e", Here::Events),
            ("/ui/tasks", t.tasks, "t", Here::Tasks),
            ("/ui/callbacks", t.callbacks, "c", Here::Callbacks),
            ("/ui/deliveries", t.deliveries, "d", Here::Deliveries),
            ("/ui/replays", t.replays, "r", Here::Replays),
            ("/ui/charts", t.charts, "h", Here::Charts),
            ("/ui/sources", t.settings, "s", Here::Settings),
        ];
        let place = |(href, label, key, here)| Place { href, label, key, is_here: self.here == here };
        all.into_iter().map(place).collect()
    }

    /// The languages that are offered.
    pub(super) fn languages(&self) -> &'static [text::Language] {
        &text::Language::ALL
    }

    /// The colours that are offered, and what they are called.
    pub(super) fn themes(&self) -> [(Theme, text::Text); 3] {
        let t = &self.t.frame;
        [(Theme::System, t.system), (Theme::Light, t.light), (Theme::Dark, t.dark)]
    }

    /// Where the style is.
    pub(super) fn style(&self) -> &'static str {
        assets::STYLE.url()
    }

    /// Where the script is.
    pub(super) fn script(&self) -> &'static str {
        assets::SCRIPT.url()
    }

    /// Where the icon is.
    pub(super) fn icon(&self) -> &'static str {
        assets::ICON.url()
    }
}

/// What the last deed said.
pub(super) fn notice(request: &HttpRequest) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cookie::read(request, NOTICE)?).ok()?;
    String::from_utf8(bytes).ok().filter(|said| !said.is_empty())
}

/// A page as it is answered.
pub(super) fn html(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(text) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
            .body(text),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a page could not be written");
            HttpResponse::with_body(StatusCode::INTERNAL_SERVER_ERROR, BoxBody::new(""))
        }
    }
}

/// Why a page is not shown.
#[derive(Template)]
#[template(path = "refused.html")]
struct Refused {
    frame: Frame,
    title: text::Text,
    detail: String,
}

/// Says why, in the page's frame.
pub(super) fn refused(frame: Frame, problem: &Problem) -> HttpResponse {
    let t = &frame.t.refused;
    let (code, detail) = problem.told();
    let (title, detail) = match code {
        Code::NotFound => (t.not_found, t.not_found_more.to_string()),
        Code::Forbidden => (t.forbidden, detail),
        Code::Invalid => (t.invalid, detail),
        Code::Conflict => (t.conflict, detail),
        Code::Unavailable => (t.unavailable, t.unavailable_more.to_string()),
        _ => (t.other, detail),
    };
    html(problem.status_code(), &Refused { frame, title, detail })
}

/// Refuses a form that no page of this session has sent.
fn foreign(frame: Frame) -> HttpResponse {
    let (title, detail) = (frame.t.refused.foreign, frame.t.refused.foreign_more.to_string());
    html(StatusCode::FORBIDDEN, &Refused { frame, title, detail })
}
