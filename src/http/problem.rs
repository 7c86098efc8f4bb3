//! Problems: every error of ours as RFC 9457 `application/problem+json`, from one exhaustive match.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Map, Value, json};

pub(super) use self::code::Code;
use super::SAFE;
use crate::domain::access::{Right, Role};
use crate::flow::listeners::Full;
use crate::flow::record::Unrecorded;
use crate::store;

mod code;

/// What went wrong with a request, as the client is told.
#[derive(Debug)]
pub(super) enum Problem {
    /// Nothing is there, or nothing that may be known of.
    NotFound(&'static str),
    /// No key, or one that is not good.
    Unauthorized,
    /// A key that is for something else.
    Forbidden {
        /// What it is for.
        role: Role,
        /// What it would have to be for.
        right: Right,
    },
    /// No key to relay with, or one that is not good.
    NoRelayKey,
    /// The source cannot be relayed to.
    NoBaseUrl(String),
    /// The provider could not be reached.
    Unreached(String),
    /// The provider did not answer in time.
    TimedOut(String),
    /// A callback whose signature does not hold.
    Unsigned {
        /// Why.
        detail: String,
        /// The callback that it is kept as.
        callback_id: Option<String>,
    },
    /// A callback that could not be read.
    Unreadable {
        /// What was expected where.
        detail: String,
        /// The callback that it is kept as.
        callback_id: Option<String>,
    },
    /// A field of the request is wrong.
    Invalid {
        /// Which.
        field: String,
        /// What is wrong with it, and what it should be.
        detail: String,
    },
    /// A name is taken, or the state of the thing does not allow it.
    Conflict(String),
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// The body did not come in time.
    TooSlow,
    /// The body is encoded.
    Encoded,
    /// More than the rate; try again after this.
    TooMany(Duration),
    /// No more may listen now.
    Full(Full),
    /// The database cannot take or give it now.
    Unavailable,
}

/// After how many seconds a client should try again that was answered 503. EvoLink's last retry comes
/// 4 s after its third, so that more would be too late.
const RETRY_AFTER_SECONDS: u64 = 1;
/// The same of a stream: those that are open last long.
const FULL_RETRY_AFTER_SECONDS: u64 = 10;

impl Problem {
    /// What kind it is, and what is said of it.
    pub(super) fn told(&self) -> (Code, String) {
        match self {
            Self::NotFound(what) => (Code::NotFound, (*what).to_owned()),
            Self::Unauthorized => (
                Code::Unauthorized,
                "send `Authorization: Bearer KEY`; on first start the administrator's key is kept in callboard.key"
                    .into(),
            ),
            Self::NoRelayKey => {
                (Code::Unauthorized, "send `X-Callboard-Key: KEY`; `Authorization` is passed on to the provider".into())
            }
            Self::Forbidden { role, right } => (
                Code::Forbidden,
                format!("it takes a key of the role {}; this one is `{}`", roles_with(*right), role.as_str()),
            ),
            Self::NoBaseUrl(source) => (
                Code::NoBaseUrl,
                format!("nobody knows where the API of `{source}` is: set `base_url` in [sources.{source}]"),
            ),
            Self::Unreached(said) => (Code::Unreached, unknown(said)),
            Self::TimedOut(said) => (Code::TimedOut, unknown(said)),
            Self::Unsigned { detail, .. } => (Code::Rejected, detail.clone()),
            Self::Unreadable { detail, .. } => (Code::Unreadable, detail.clone()),
            Self::Invalid { field, detail } => (Code::Invalid, format!("`{field}`: {detail}")),
            Self::Conflict(detail) => (Code::Conflict, detail.clone()),
            Self::TooLarge(max) => {
                (Code::TooLarge, format!("at most {max} bytes are taken; `server.max_body` sets it"))
            }
            Self::TooSlow => (Code::TooSlow, "the whole body is awaited for 10 s".into()),
            Self::Encoded => (Code::Encoded, "send it without `Content-Encoding`: the bytes as they are".into()),
            Self::TooMany(wait) => {
                (Code::TooMany, format!("try again in {} ms; `rate` of the source sets it", wait.as_millis()))
            }
            Self::Full(Full::OfKey(most)) => {
                (Code::TooManyStreams, format!("at most {most} are open with one key at a time: close another first"))
            }
            Self::Full(Full::OfAll(most)) => {
                (Code::TooManyStreams, format!("at most {most} are open at a time: try again when others have ended"))
            }
            Self::Unavailable => (Code::Unavailable, "nothing of this request was kept; send it again".into()),
        }
    }

    fn more(&self, problem: &mut Map<String, Value>) {
        match self {
            Self::Unsigned { callback_id: Some(id), .. } | Self::Unreadable { callback_id: Some(id), .. } => {
                problem.insert("callback_id".into(), json!(id));
            }
            Self::Invalid { field, .. } => {
                problem.insert("field".into(), json!(field));
            }
            _ => {}
        }
    }
}

/// The roles that have a right, in words.
fn roles_with(right: Right) -> String {
    let roles: Vec<String> =
        Role::ALL.into_iter().filter(|role| role.has(right)).map(|role| format!("`{}`", role.as_str())).collect();
    roles.join(" or ")
}

/// Once a request is on its way nobody here knows how far it came.
fn unknown(detail: &str) -> String {
    format!("{detail}; whether it acted on the request is not known")
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.told().0.title())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.told().0.status()
    }

    fn error_response(&self) -> HttpResponse {
        let (code, detail) = self.told();
        let mut problem = Map::new();
        problem.insert("type".into(), json!(code.urn()));
        problem.insert("title".into(), json!(code.title()));
        problem.insert("status".into(), json!(code.status().as_u16()));
        problem.insert("detail".into(), json!(detail));
        self.more(&mut problem);
        let mut response = HttpResponse::build(code.status());
        match self {
            Self::TooMany(wait) => {
                let seconds = wait.as_millis().div_ceil(1000).max(1);
                response.insert_header((header::RETRY_AFTER, seconds.to_string()));
            }
            Self::Full(_) => {
                response.insert_header((header::RETRY_AFTER, FULL_RETRY_AFTER_SECONDS.to_string()));
            }
            Self::Unavailable => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS.to_string()));
            }
            Self::Unauthorized => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            _ => {}
        }
        for header in SAFE {
            response.insert_header(header);
        }
        response.content_type("application/problem+json").body(Value::Object(problem).to_string())
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a request could not be answered");
        Self::Unavailable
    }
}

impl From<Unrecorded> for Problem {
    fn from(_: Unrecorded) -> Self {
        Self::Unavailable
    }
}

/// What is asked for is not served here.
pub(super) const NO_SUCH_ROUTE: Problem = Problem::NotFound("there is no such route, or it does not take this method");

/// Answers what has no route.
pub(super) async fn no_such_route() -> HttpResponse {
    NO_SUCH_ROUTE.error_response()
}
