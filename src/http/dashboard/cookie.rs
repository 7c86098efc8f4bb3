//! Cookies: read from a request, and written so that only we can read them.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use super::carriage::{Carriage, asked};

/// The value of a cookie of the request.
pub(super) fn read<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let all = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// What the session's cookie is called; `None` where none may be set.
pub(super) fn session_name(request: &HttpRequest, carriage: Carriage) -> Option<String> {
    match carriage {
        Carriage::Https => Some("__Host-callboard".to_owned()),
        // Cookies do not tell ports apart, and several services may run on one machine.
        Carriage::Loopback => {
            let port = asked(request)?.port_or_known_default()?;
            Some(format!("callboard-{port}"))
        }
        Carriage::Open => None,
    }
}

/// Has the browser forget a cookie.
pub(super) fn forget(answer: &mut HttpResponse, name: &str, is_secure: bool) {
    if let Ok(gone) = hidden(name, "", Duration::ZERO, is_secure).parse() {
        answer.headers_mut().append(header::SET_COOKIE, gone);
    }
}

/// A cookie that no script reads. By `Lax` a link from elsewhere finds its visitor signed in, which only https can afford.
pub(super) fn hidden(name: &str, value: &str, lasts: Duration, is_secure: bool) -> String {
    let how = if is_secure { "SameSite=Lax; Secure" } else { "SameSite=Strict" };
    format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; {how}", lasts.as_secs())
}
