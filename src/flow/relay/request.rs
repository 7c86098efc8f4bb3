//! A client's request, read before anything is asked: where it goes, what it carries for us, what it carries on.

use url::{Host, Url};

use super::Refused;
use crate::domain::callback::{METADATA_BYTES_MAX, METADATA_KEYS_MAX};
use crate::domain::task::Metadata;
use crate::egress::{HeaderBytes, inside};

/// What stands before the key of a metadata header.
const METADATA_PREFIX: &str = "x-callboard-metadata-";
/// What stands before every header that is for us alone.
const OURS: &str = "x-callboard-";
/// At most so many characters of an `Idempotency-Key`.
const IDEMPOTENCY_KEY_MAX: usize = 255;
/// The longest callback URL that providers take, in characters.
const CALLBACK_URL_MAX: usize = 2048;

/// Headers of a connection, not of a message (RFC 9110 §7.6.1), and those that the next connection gets anew.
const OF_THE_CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The URL that a request goes to: `path` behind the source's `base_url`, and nowhere else. `path` is what stands
/// in the request's URL, from the first `/`.
pub(super) fn target(base_url: &str, path: &str, query: Option<&str>) -> Result<Url, Refused> {
    if leads_out(path) {
        return Err(Refused::Path);
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let base = Url::parse(base_url).map_err(|_| Refused::Path)?;
    let url = Url::parse(&format!("{base_url}{path}{query}")).map_err(|_| Refused::Path)?;
    // What is written above leads nowhere else; this holds it if that is wrong.
    let stays = url.origin() == base.origin() && url.path().starts_with(base.path().trim_end_matches('/'));
    if stays && url.username().is_empty() && url.fragment().is_none() { Ok(url) } else { Err(Refused::Path) }
}

/// Whether a server could read a path as one with `..` in it, however it is encoded.
fn leads_out(path: &str) -> bool {
    let mut text = path.to_owned();
    // Encoded again and again it would take as many servers to read it.
    for _ in 0..4 {
        let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
        if text.split(['/', '\\']).any(is_dots) {
            return true;
        }
        let decoded = percent_decoded(&text);
        if decoded == text {
            return !path.starts_with('/');
        }
        text = decoded;
    }
    true
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The headers that are passed on: not those of the connection, nor those that are for us.
pub(super) fn passed_on(headers: Vec<HeaderBytes>) -> Vec<HeaderBytes> {
    let named: Vec<String> = headers
        .iter()
        .filter(|(name, _)| name == "connection")
        .flat_map(|(_, value)| {
            String::from_utf8_lossy(value).to_ascii_lowercase().split(',').map(trimmed).collect::<Vec<_>>()
        })
        .collect();
    let stays =
        |name: &String| !OF_THE_CONNECTION.contains(&name.as_str()) && !name.starts_with(OURS) && !named.contains(name);
    headers.into_iter().filter(|(name, _)| stays(name)).collect()
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

/// The metadata that the client gives along, within the limits of a callback URL's: what does not fit is an error.
pub(super) fn metadata(headers: &[HeaderBytes]) -> Result<Metadata, Refused> {
    let mut pairs = Metadata::new();
    for (name, value) in headers {
        let Some(key) = name.strip_prefix(METADATA_PREFIX) else { continue };
        let wrong = |problem: &str| Refused::Invalid { field: name.clone(), problem: problem.to_owned() };
        if key.is_empty() || key.starts_with("cb_") {
            return Err(wrong("it needs a key behind its name, and names that begin with cb_ are Callboard's own"));
        }
        let value = String::from_utf8(value.clone()).map_err(|_| wrong("its value is not UTF-8"))?;
        pairs.entry(key.to_owned()).or_insert(value);
    }
    let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    if pairs.len() > METADATA_KEYS_MAX || bytes > METADATA_BYTES_MAX {
        let problem = format!("at most {METADATA_KEYS_MAX} keys and {METADATA_BYTES_MAX} bytes are kept");
        return Err(Refused::Invalid { field: "X-Callboard-Metadata-*".to_owned(), problem });
    }
    Ok(pairs)
}

/// The client's `Idempotency-Key`.
pub(super) fn idempotency_key(headers: &[HeaderBytes]) -> Result<Option<String>, Refused> {
    let Some((_, value)) = headers.iter().find(|(name, _)| name == "idempotency-key") else { return Ok(None) };
    let text = String::from_utf8(value.clone()).ok();
    let text = text.filter(|text| !text.is_empty() && text.len() <= IDEMPOTENCY_KEY_MAX);
    let problem = || format!("it must be 1 to {IDEMPOTENCY_KEY_MAX} visible characters");
    text.map(Some).ok_or_else(|| Refused::Invalid { field: "Idempotency-Key".to_owned(), problem: problem() })
}

/// Whether providers take a callback URL: https, not to an address or name that is inside, and not too long.
pub(super) fn providers_take(url: &str) -> bool {
    let Ok(parsed) = Url::parse(url) else { return false };
    let is_outside = match parsed.host() {
        Some(Host::Ipv4(v4)) => inside(v4.into()).is_none(),
        Some(Host::Ipv6(v6)) => inside(v6.into()).is_none(),
        Some(Host::Domain(name)) => name != "localhost" && !name.ends_with(".localhost"),
        None => false,
    };
    parsed.scheme() == "https" && is_outside && url.chars().count() <= CALLBACK_URL_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Vec<HeaderBytes> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_request_stays_behind_its_base_url() {
        let base = "https://api.example.com/v2";
        for (path, expected) in [
            ("/v1/tasks/a", "https://api.example.com/v2/v1/tasks/a"),
            ("/", "https://api.example.com/v2/"),
            ("/a%2Fb//c/...", "https://api.example.com/v2/a%2Fb//c/..."),
            ("/@evil.example.com/x", "https://api.example.com/v2/@evil.example.com/x"),
        ] {
            assert_eq!(target(base, path, None).unwrap().as_str(), expected, "{path}");
        }
        let asked = target(base, "/a", Some("b=%20&c")).unwrap();
        assert_eq!(asked.as_str(), "https://api.example.com/v2/a?b=%20&c");
        for path in [
            "",
            "a",
            "@evil.example.com/",
            ":8443/",
            "/..",
            "/a/../../b",
            "/a/./b",
            "/%2e%2e/b",
            "/a/.%2E/b",
            "/a/..;x=1/b",
            "/a/..%2fb",
            "/a/%2e%2e%5cb",
            "/a\\..\\b",
            "/a/%252e%252e/b",
            "/a/%25252525252525252e/b",
        ] {
            assert!(matches!(target(base, path, None), Err(Refused::Path)), "{path}");
        }
    }

    #[test]
    fn headers_of_the_connection_and_ours_are_not_passed_on() {
        let came = headers(&[
            ("host", "h"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("x-callboard-key", "secret"),
            ("x-callboard-metadata-a", "b"),
            ("content-length", "3"),
            ("te", "trailers"),
            ("authorization", "Bearer x"),
            ("accept", "a"),
            ("accept", "b"),
        ]);
        let kept = headers(&[("authorization", "Bearer x"), ("accept", "a"), ("accept", "b")]);
        assert_eq!(passed_on(came), kept);
    }

    #[test]
    fn metadata_that_does_not_fit_is_an_error() {
        let read = |pairs: &[(&str, &str)]| metadata(&headers(pairs));
        let two = read(&[("x-callboard-metadata-order", "42"), ("x-other", "x"), ("x-callboard-metadata-order", "43")]);
        assert_eq!(two.unwrap(), Metadata::from([("order".into(), "42".into())]));
        let long = "x".repeat(METADATA_BYTES_MAX);
        for (name, value) in
            [("x-callboard-metadata-", "x"), ("x-callboard-metadata-cb_a", "x"), ("x-callboard-metadata-a", &long)]
        {
            assert!(matches!(read(&[(name, value)]), Err(Refused::Invalid { .. })), "{name}");
        }
        assert!(metadata(&[("x-callboard-metadata-a".to_owned(), vec![0xff])]).is_err());
        let many: Vec<String> = (0..21).map(|n| format!("x-callboard-metadata-k{n}")).collect();
        assert!(read(&many.iter().map(|name| (name.as_str(), "v")).collect::<Vec<_>>()).is_err());
    }

    #[test]
    fn an_idempotency_key_has_an_end() {
        assert_eq!(idempotency_key(&[]).unwrap(), None);
        assert_eq!(idempotency_key(&headers(&[("idempotency-key", "a")])).unwrap().as_deref(), Some("a"));
        for value in ["", &"k".repeat(256)] {
            assert!(idempotency_key(&headers(&[("idempotency-key", value)])).is_err());
        }
    }

    #[test]
    fn only_a_public_https_url_is_put_in() {
        assert!(providers_take("https://hooks.example.com/callbacks/a/b?cb_intent=int_1"));
        assert!(providers_take("https://8.8.8.8/x"));
        let long = format!("https://hooks.example.com/{}", "a".repeat(2048));
        for url in [
            "http://hooks.example.com/",
            "https://localhost/",
            "https://a.localhost/",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "x",
            &long,
        ] {
            assert!(!providers_take(url), "{url}");
        }
    }
}
