//! How a request came to us, as far as its secrets are concerned.

use actix_web::HttpRequest;
use url::{Host, Url};

use super::super::{Services, client};

/// What lies between the browser and us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Carriage {
    /// HTTPS, ours or a proxy's.
    Https,
    /// Nothing but the browser's own machine.
    Loopback,
    /// A network that can read along.
    Open,
}

impl Carriage {
    /// How this request came.
    pub(super) fn of(request: &HttpRequest, services: &Services) -> Self {
        let server = &services.config.server;
        let public = server.public_url.as_deref().and_then(|url| Url::parse(url).ok());
        Self::judge(&Seen {
            is_tls: request.app_config().secure(),
            said: client::forwarded_scheme(request, &server.trusted_proxies),
            is_forwarded: client::is_forwarded(request),
            host: host(request),
            public: public.filter(|url| url.scheme() == "https").and_then(|url| authority(&url)),
        })
    }

    fn judge(seen: &Seen<'_>) -> Self {
        // A name that the operator published as https leads to us by https; where it does not, the browser keeps
        // no `Secure` cookie, and nothing is given away.
        let is_public = seen.host.is_some_and(|host| seen.public.as_deref() == Some(host));
        if seen.is_tls || seen.said.as_deref() == Some("https") || (seen.said.is_none() && is_public) {
            return Self::Https;
        }
        // By this name a browser asks its own machine only: what reached us further on (a container's port, a tunnel) was
        // carried there by whoever set that up. A proxy that speaks for others says so.
        if !seen.is_forwarded && seen.host.is_some_and(is_loopback) { Self::Loopback } else { Self::Open }
    }
}

/// What a request shows of its way.
struct Seen<'a> {
    is_tls: bool,
    /// What a trusted proxy says that it was asked by.
    said: Option<String>,
    is_forwarded: bool,
    host: Option<&'a str>,
    /// The host and port of `server.public_url`, if that is https.
    public: Option<String>,
}

/// The host and port that the browser asked.
pub(super) fn host(request: &HttpRequest) -> Option<&str> {
    request.headers().get("host")?.to_str().ok()
}

/// The same, taken apart.
pub(super) fn asked(request: &HttpRequest) -> Option<Url> {
    Url::parse(&format!("http://{}/", host(request)?)).ok()
}

fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn is_loopback(host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}/")) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_by_https_and_on_loopback_and_nowhere_else() {
        let judge = |is_tls, said: Option<&str>, is_forwarded, host| {
            let public = Some("hooks.example.com".to_owned());
            Carriage::judge(&Seen { is_tls, said: said.map(str::to_owned), is_forwarded, host: Some(host), public })
        };
        for (is_tls, said, is_forwarded, host, expected) in [
            (true, None, false, "10.0.0.5", Carriage::Https),
            (false, Some("https"), true, "hooks.example.com", Carriage::Https),
            (false, None, false, "hooks.example.com", Carriage::Https),
            (false, Some("http"), true, "hooks.example.com", Carriage::Open),
            (false, None, false, "localhost:8080", Carriage::Loopback),
            (false, None, false, "127.0.0.1:8080", Carriage::Loopback),
            (false, None, false, "[::1]:8080", Carriage::Loopback),
            (false, None, true, "127.0.0.1:8080", Carriage::Open),
            (false, None, false, "10.0.0.5:8080", Carriage::Open),
            (false, None, false, "localhost.example.com", Carriage::Open),
            (false, None, false, "localhost@example.com", Carriage::Open),
        ] {
            assert_eq!(judge(is_tls, said, is_forwarded, host), expected, "{host} {said:?}");
        }
    }
}
