//! How the pages look to this visitor: language and colours, as the browser asks for them or as they were chosen.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::super::Services;
use super::super::problem::Problem;
use super::carriage::Carriage;
use super::form::Form;
use super::{cookie, origin};
use crate::http::dashboard::text::{Language, Texts};

const LANGUAGE: &str = "callboard-language";
const THEME: &str = "callboard-theme";
/// A year: what was chosen stays.
const CHOSEN_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Light or dark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Theme {
    /// As the system has it.
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Every one, in the order in which they are offered.
    pub(super) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == word)
    }
}

/// What a visitor sees the pages in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// The language.
    pub(super) language: Language,
    /// The colours.
    pub(super) theme: Theme,
}

impl Look {
    /// What this request asks for.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let chosen = cookie::read(request, LANGUAGE).and_then(Language::parse);
        let asked = || request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Self {
            language: chosen.unwrap_or_else(|| Language::accepted(asked().unwrap_or_default())),
            theme: cookie::read(request, THEME).and_then(Theme::parse).unwrap_or(Theme::System),
        }
    }

    /// Everything that is written on the pages.
    pub(super) fn texts(self) -> &'static Texts {
        self.language.texts()
    }
}

/// Keeps what was chosen, for who is signed in and for who is not.
pub(super) async fn choose(
    services: Data<Services>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let form = Form::read(payload).await?;
    let mut answer = HttpResponse::SeeOther();
    if origin::is_ours(&request) {
        let is_secure = Carriage::of(&request, &services) == Carriage::Https;
        let chosen = [
            (LANGUAGE, form.text("language").and_then(Language::parse).map(Language::as_str)),
            (THEME, form.text("theme").and_then(Theme::parse).map(Theme::as_str)),
        ];
        for (name, value) in chosen {
            let Some(value) = value else { continue };
            answer.append_header((header::SET_COOKIE, cookie::hidden(name, value, CHOSEN_FOR, is_secure)));
        }
    }
    Ok(answer.insert_header((header::LOCATION, local(form.text("back")))).finish())
}

/// A path of ours to go on to, and nowhere else: what a form or a link says may come from anybody.
pub(super) fn local(path: Option<&str>) -> &str {
    let is_ours = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'\\')
    };
    path.filter(is_ours).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        assert_eq!(local(Some("/ui/tasks?status=failed")), "/ui/tasks?status=failed");
        for path in ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb: c", "", "ui"] {
            assert_eq!(local(Some(path)), "/", "{path}");
        }
        assert_eq!(local(None), "/");
    }
}
