//! The one door out: every HTTP request that Callboard makes goes through here.
//!
//! A URL comes from whoever may write a destination, so it must not reach what only this machine can
//! reach. The address is judged where it is dialled: by our own resolver for names (all addresses of a
//! name, at every dial, so that a name which changes its mind gains nothing) and before the request for
//! literal addresses, for which hyper asks no resolver. Only what the operator's own file names may be
//! inside ([`Egress::operators`]). Redirects are not followed, proxies of the environment are not used,
//! nothing is sent twice, and one deadline covers everything from the look-up of the name to the last
//! byte of the answer.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::domain::delivery::RESPONSE_BYTES_MAX;

mod address;
mod error;
mod pass;
#[cfg(test)]
pub(crate) mod tests;

pub use address::inside;
pub use error::{EgressError, Refused};
pub use pass::{BodyStream, HeaderBytes, Pass, PassBody, Passed};

use error::LookupFailed;

/// How long an idle connection is kept: shorter than the 60 s after which common servers and load
/// balancers close theirs, so that a request seldom meets a connection that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// What finds the addresses of a name.
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The outbound client. Cloning it is cheap; all clones share their connections.
#[derive(Clone)]
pub struct Egress {
    client: reqwest::Client,
    rules: Arc<Rules>,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// One POST.
#[derive(Clone)]
pub struct Post<'a> {
    /// Where to.
    pub url: &'a Url,
    /// Names in lower case, values without control characters.
    pub headers: Vec<(&'static str, String)>,
    /// Sent as it is.
    pub body: Bytes,
}

/// One question to a provider's API.
#[derive(Clone)]
pub struct Ask<'a> {
    /// In upper case.
    pub method: &'static str,
    /// Where to.
    pub url: &'a Url,
    /// Names in lower case, values without control characters.
    pub headers: Vec<(&'static str, String)>,
    /// Sent as it is; `None` is a request without a body.
    pub body: Option<Bytes>,
    /// So many bytes of the answer's body are read at most.
    pub body_max: usize,
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header as it was sent.
    pub retry_after: Option<String>,
    /// The first bytes of the body, [`RESPONSE_BYTES_MAX`] unless the request says otherwise; the rest was
    /// not read.
    pub body: Vec<u8>,
}

impl Egress {
    /// A client that never dials an inside address, but for those in `allow`.
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self::with(Rules::Outside { allow }, Arc::new(|name| Box::pin(system_lookup(name))), &[])
    }

    /// A client that dials every address, for the operator's own URLs alone: `base_url` of a source in the
    /// file, and `public_url`. A URL that somebody else wrote must never come here.
    pub fn operators() -> Self {
        Self::with(Rules::Everywhere, Arc::new(|name| Box::pin(system_lookup(name))), &[])
    }

    fn with(rules: Rules, lookup: Lookup, roots: &[reqwest::Certificate]) -> Self {
        // An error here says that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let rules = Arc::new(rules);
        let builder = || client_builder(Guard { rules: rules.clone(), lookup: lookup.clone() });
        let client = builder().tls_certs_merge(roots.iter().cloned()).build().or_else(|error| {
            // A machine without a certificate store can still post to http URLs.
            tracing::error!(%error, "no certificate authorities found: install ca-certificates, or https fails");
            builder().tls_certs_only(roots.iter().cloned()).build()
        });
        Self { client: client.expect("fixed options and no system certificates: nothing in it can fail"), rules }
    }

    /// Reads the URL of a destination that is about to be written.
    ///
    /// A name is not looked up here: where it leads is judged each time it is dialled.
    ///
    /// # Errors
    /// It is no URL, neither http nor https, holds a user or password, or is a literal inside address.
    /// What is said of it names the host at most, because the rest of a URL may be a secret.
    pub fn check_url(&self, url: &str) -> Result<Url, Refused> {
        let url = Url::parse(url.trim()).map_err(|error| Refused::NotAUrl(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        self.rules.judge_literal(&url)?;
        Ok(url)
    }

    /// Posts once and reads the answer, whatever its status. A redirect is an answer like any other.
    ///
    /// # Errors
    /// There was no complete answer within `timeout`, or the address is refused; then nothing was
    /// dialled.
    pub async fn post(&self, request: Post<'_>, timeout: Duration) -> Result<Answer, EgressError> {
        let Post { url, headers, body } = request;
        let ask = Ask { method: "POST", url, headers, body: Some(body), body_max: RESPONSE_BYTES_MAX };
        self.ask(ask, timeout).await
    }

    /// Asks once and reads the answer, whatever its status. A redirect is an answer like any other.
    ///
    /// # Errors
    /// As [`Egress::post`].
    pub async fn get(&self, url: &Url, timeout: Duration) -> Result<Answer, EgressError> {
        let ask = Ask { method: "GET", url, headers: Vec::new(), body: None, body_max: RESPONSE_BYTES_MAX };
        self.ask(ask, timeout).await
    }

    /// Sends one request and reads the answer, whatever its status. A redirect is an answer like any other.
    ///
    /// # Errors
    /// As [`Egress::post`].
    ///
    /// # Panics
    /// The method is no word of HTTP.
    pub async fn ask(&self, request: Ask<'_>, timeout: Duration) -> Result<Answer, EgressError> {
        let Ask { method, url, headers, body, body_max } = request;
        self.rules.judge_literal(url)?;
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method is a word in the code");
        let mut builder = self.client.request(method, url.clone());
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = body {
            builder = builder.body(body);
        }
        match tokio::time::timeout(timeout, exchange(builder, body_max)).await {
            Ok(answer) => answer.map_err(|error| EgressError::of(url, &error)),
            Err(_) => Err(EgressError::Timeout { host: host_of(url), after: timeout }),
        }
    }
}

async fn exchange(request: reqwest::RequestBuilder, body_max: usize) -> Result<Answer, reqwest::Error> {
    let mut response = request.send().await?;
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let mut answer =
        Answer { status: response.status().as_u16(), retry_after: retry_after.map(str::to_owned), body: Vec::new() };
    while answer.body.len() < body_max {
        let Some(chunk) = response.chunk().await? else { break };
        let room = body_max - answer.body.len();
        answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(answer)
}

#[expect(clippy::disallowed_methods, reason = "the one place where an HTTP client is made")]
fn client_builder(guard: Guard) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("Callboard/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(guard)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .pool_idle_timeout(IDLE_MAX)
}

/// The host and the port, where one is written: all that is ever shown of a URL.
pub fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

async fn system_lookup(name: String) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

/// Which addresses may be dialled.
#[derive(Debug)]
enum Rules {
    /// Public ones, and inside ones in these networks.
    Outside { allow: Vec<IpNet> },
    /// All: the operator named them.
    Everywhere,
}

impl Rules {
    fn judge(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        let Self::Outside { allow } = self else { return Ok(()) };
        let Some(kind) = inside(address) else { return Ok(()) };
        // `127.0.0.0/8` is meant to cover ::ffff:127.0.0.1 as well, which is dialled as 127.0.0.1.
        let dialled = address.to_canonical();
        if allow.iter().any(|net| net.contains(&dialled)) {
            return Ok(());
        }
        Err(Refused::Inside { host: host.to_owned(), address, kind })
    }

    fn judge_literal(&self, url: &Url) -> Result<(), Refused> {
        match url.host() {
            Some(Host::Ipv4(v4)) => self.judge(&host_of(url), IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => self.judge(&host_of(url), IpAddr::V6(v6)),
            Some(Host::Domain(name)) if !name.is_empty() => Ok(()),
            _ => Err(Refused::NotAUrl("it has no host".to_owned())),
        }
    }
}

/// The resolver: no address leaves it that may not be dialled.
struct Guard {
    rules: Arc<Rules>,
    lookup: Lookup,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.rules.clone();
        let name = name.as_str().to_owned();
        let found = (self.lookup)(name.clone());
        Box::pin(async move {
            let found = found.await.map_err(|_| LookupFailed)?;
            // One inside address among public ones condemns the name: which one is dialled is luck.
            for address in &found {
                rules.judge(&name, address.ip())?;
            }
            if found.is_empty() {
                return Err(LookupFailed.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
