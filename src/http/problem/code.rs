//! The codes of problems: one word each, for clients to branch on.

use actix_web::http::StatusCode;

/// What kind of problem it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::http) enum Code {
    Unauthorized,
    Rejected,
    Forbidden,
    NotFound,
    TooSlow,
    Conflict,
    NoBaseUrl,
    TooLarge,
    Encoded,
    Unreadable,
    Invalid,
    TooMany,
    TooManyStreams,
    Unreached,
    Unavailable,
    TimedOut,
}

impl Code {
    /// Every code there is, in the order of their statuses.
    pub(in crate::http) const ALL: [Self; 16] = [
        Self::Unauthorized,
        Self::Rejected,
        Self::Forbidden,
        Self::NotFound,
        Self::TooSlow,
        Self::Conflict,
        Self::NoBaseUrl,
        Self::TooLarge,
        Self::Encoded,
        Self::Unreadable,
        Self::Invalid,
        Self::TooMany,
        Self::TooManyStreams,
        Self::Unreached,
        Self::Unavailable,
        Self::TimedOut,
    ];

    /// The word for it, at the end of a problem's `type`.
    pub(in crate::http) fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Rejected => "rejected",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::TooSlow => "too-slow",
            Self::Conflict => "conflict",
            Self::NoBaseUrl => "no-base-url",
            Self::TooLarge => "too-large",
            Self::Encoded => "encoded",
            Self::Unreadable => "unreadable",
            Self::Invalid => "invalid",
            Self::TooMany => "too-many",
            Self::TooManyStreams => "too-many-streams",
            Self::Unreached => "unreached",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed-out",
        }
    }

    /// A problem's `type`.
    pub(in crate::http) fn urn(self) -> String {
        format!("urn:callboard:problem:{}", self.as_str())
    }

    /// The status it is answered with.
    pub(in crate::http) fn status(self) -> StatusCode {
        match self {
            Self::Unauthorized | Self::Rejected => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict | Self::NoBaseUrl => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unreadable | Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany | Self::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Self::Unreached => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What it is, in a few words.
    pub(in crate::http) fn title(self) -> &'static str {
        match self {
            Self::Unauthorized => "No valid API key",
            Self::Rejected => "The signature does not hold",
            Self::Forbidden => "This key is for something else",
            Self::NotFound => "Not found",
            Self::TooSlow => "The body did not come in time",
            Self::Conflict => "It is in the way",
            Self::NoBaseUrl => "The source has no address",
            Self::TooLarge => "The body is too large",
            Self::Encoded => "The body is encoded",
            Self::Unreadable => "The callback cannot be read",
            Self::Invalid => "A field is wrong",
            Self::TooMany => "More than this source's rate",
            Self::TooManyStreams => "Too many streams are open",
            Self::Unreached => "The provider could not be reached",
            Self::Unavailable => "The database cannot be used now",
            Self::TimedOut => "The provider did not answer in time",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_listed_once_and_under_its_status() {
        assert!(Code::ALL.is_sorted_by_key(|code| code.status().as_u16()));
        let mut words = Code::ALL.map(Code::as_str).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
    }
}
