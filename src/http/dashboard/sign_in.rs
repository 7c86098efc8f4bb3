//! Signing in with an API key, and out again.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;
use url::Url;

use super::super::{Services, auth, client};
use super::carriage::{self, Carriage};
use super::form::Form;
use super::look::{Look, local};
use super::session::{self, Session};
use super::visit::{Frame, Visit, html};
use super::{Page, cookie, origin, visit};
use crate::domain::access::Right;
use crate::domain::secret::Secret;

/// The sign-in, with what was wrong the last time.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    back: String,
    problem: Option<String>,
    is_open: bool,
    /// The command that shows the key of the first start.
    show_key: Option<String>,
    tunnel: String,
}

/// Where to go on to.
#[derive(Deserialize)]
pub(super) struct Asked {
    back: Option<String>,
}

/// Shows the sign-in; who is signed in already goes on.
pub(super) async fn page(services: Data<Services>, request: HttpRequest, asked: Query<Asked>) -> HttpResponse {
    match Session::of(&request, &services).await {
        Ok(None) => shown(&services, &request, StatusCode::OK, asked.back.as_deref(), None),
        Ok(Some(_)) => {
            HttpResponse::SeeOther().insert_header((header::LOCATION, local(asked.back.as_deref()))).finish()
        }
        Err(problem) => visit::refused(bare(&services, &request), &problem),
    }
}

/// Begins a session with the key that was given.
pub(super) async fn sign_in(services: Data<Services>, request: HttpRequest, payload: Payload) -> HttpResponse {
    match begin(&services, &request, payload).await {
        Ok(answer) => answer,
        Err(problem) => visit::refused(bare(&services, &request), &problem),
    }
}

async fn begin(services: &Services, request: &HttpRequest, payload: Payload) -> Page {
    let (form, look, now) = (Form::read(payload).await?, Look::of(request), services.clock.now());
    let t = &look.texts().sign_in;
    let back = form.text("back");
    let refused = |status, said: String| Ok(shown(services, request, status, back, Some(said)));
    let carriage = Carriage::of(request, services);
    let Some(name) = cookie::session_name(request, carriage) else {
        return refused(StatusCode::FORBIDDEN, t.open.to_string());
    };
    if !origin::is_ours(request) {
        return refused(StatusCode::FORBIDDEN, look.texts().refused.foreign_more.to_string());
    }
    let trusted = &services.config.server.trusted_proxies;
    let address = client::address(request, trusted).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let wait = services.sign_ins.wait(address, now);
    if !wait.is_zero() {
        return refused(StatusCode::TOO_MANY_REQUESTS, t.too_many.with(wait.as_secs().max(1)));
    }
    let key = Secret::new(form.text("key").unwrap_or_default());
    let Some(caller) = auth::known(&key, services).await? else {
        services.sign_ins.failed(address, now);
        tracing::warn!(%address, "a wrong key was tried to sign in");
        return refused(StatusCode::UNAUTHORIZED, t.wrong.to_string());
    };
    if !caller.role.has(Right::Read) {
        return refused(StatusCode::FORBIDDEN, t.relay_only.to_string());
    }
    session::end(request, services).await?;
    let token = Session::begin(services, &caller).await?;
    tracing::info!(%address, key = caller.key_name, "signed in");
    let cookie = cookie::hidden(&name, token.expose(), session::LASTS, carriage == Carriage::Https);
    Ok(HttpResponse::SeeOther()
        .insert_header((header::SET_COOKIE, cookie))
        .insert_header((header::LOCATION, local(back)))
        .finish())
}

/// Ends the session.
pub(super) async fn sign_out(visit: &Visit, _: Form) -> Page {
    session::end(&visit.request, &visit.services).await?;
    let mut answer = visit.done("/ui/sign-in", &visit.texts().sign_in.signed_out.to_string());
    let carriage = Carriage::of(&visit.request, &visit.services);
    if let Some(name) = cookie::session_name(&visit.request, carriage) {
        cookie::forget(&mut answer, &name, carriage == Carriage::Https);
    }
    Ok(answer)
}

fn bare(services: &Services, request: &HttpRequest) -> Frame {
    Frame::bare(request, Look::of(request), services.clock.now())
}

fn shown(
    services: &Services,
    request: &HttpRequest,
    status: StatusCode,
    back: Option<&str>,
    problem: Option<String>,
) -> HttpResponse {
    let server = &services.config.server;
    let carriage = Carriage::of(request, services);
    let mut frame = bare(services, request);
    frame.notice = visit::notice(request);
    let back = local(back).to_owned();
    // The form's own address cannot be shown again: the choice of a language leads back to the page.
    frame.path = "/ui/sign-in".to_owned();
    let url = carriage::asked(request);
    let port = url.as_ref().and_then(Url::port_or_known_default).unwrap_or(8080);
    let machine = url.as_ref().and_then(Url::host_str).unwrap_or("SERVER");
    let mut answer = html(
        status,
        &SignIn {
            is_open: carriage == Carriage::Open,
            // Where the file is, is said to who is on this machine, and to nobody else.
            show_key: (server.admin_key.is_none() && carriage == Carriage::Loopback && client::is_loopback(request))
                .then(|| format!("cat {}", services.config.database.key_file().display())),
            tunnel: format!(
                "ssh -L {port}:127.0.0.1:{} {machine}",
                server.manage_listen.unwrap_or(server.listen).port()
            ),
            frame,
            back,
            problem,
        },
    );
    visit::notice_shown(request, &mut answer, carriage);
    answer
}
