//! Why nothing was sent, or nothing complete came back.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use url::Url;

use super::host_of;

/// A URL that is not posted to. Says the host at most: path and query may be a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be read.
    #[error("is not a URL ({0}); write one like https://example.com/hooks")]
    NotAUrl(String),
    /// Another scheme than http or https.
    #[error("begins with `{0}:`; write a URL that begins with https:// or http://")]
    Scheme(String),
    /// It holds a user or a password.
    #[error("must not hold a user or password; put a token into its path or query instead")]
    UserInfo,
    /// An inside address, written or found behind a name.
    #[error("{host} leads to {address}, a {kind} address; add it to `egress.allow` if that is meant")]
    Inside {
        /// As the URL names it.
        host: String,
        /// Where it leads.
        address: IpAddr,
        /// What kind of address that is.
        kind: &'static str,
    },
}

/// A request without a complete answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EgressError {
    /// It was not dialled.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The deadline came first.
    #[error("no answer from {host} within {}", Seconds(*after))]
    Timeout {
        /// The other side.
        host: String,
        /// The deadline.
        after: Duration,
    },
    /// The name has no address, or nobody could say.
    #[error("the name {host} could not be found")]
    Dns {
        /// The other side.
        host: String,
    },
    /// No connection.
    #[error("no connection to {host}: {cause}")]
    Connect {
        /// The other side.
        host: String,
        /// What the system said.
        cause: String,
    },
    /// No TLS.
    #[error("no TLS with {host}: {cause}")]
    Tls {
        /// The other side.
        host: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The connection ended before the answer did, or the answer is not HTTP.
    #[error("{host} broke off before its answer was complete")]
    Broken {
        /// The other side.
        host: String,
    },
}

/// A length of time as people write it: `15 s`, `1.5 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

/// The resolver found nothing.
#[derive(Debug, thiserror::Error)]
#[error("no address")]
pub(super) struct LookupFailed;

impl EgressError {
    /// Sorts what the client says. Its own words are not used, they may hold the URL.
    pub(super) fn of(url: &Url, error: &reqwest::Error) -> Self {
        let host = host_of(url);
        if let Some(refused) = cause::<Refused>(error) {
            return Self::Refused(refused.clone());
        }
        if cause::<LookupFailed>(error).is_some() {
            return Self::Dns { host };
        }
        if let Some(tls) = cause::<rustls::Error>(error) {
            return Self::Tls { host, cause: tls.to_string() };
        }
        if error.is_connect() {
            let said = cause::<io::Error>(error).map(|error| error.kind().to_string());
            return Self::Connect { host, cause: said.unwrap_or_else(|| "it failed".to_owned()) };
        }
        Self::Broken { host }
    }
}

/// The first error of that type among the causes.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An I/O error names as its source the source of what it wraps, and so hides that.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
