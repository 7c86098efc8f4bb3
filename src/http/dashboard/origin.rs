//! Where a form was sent from: only our own pages may have us do something.

use actix_web::HttpRequest;

use super::carriage::host;

/// Whether a request comes from a page of ours. Every browser of today says so itself, and by `no-referrer` it leaves out the
/// origin; an older one names the origin.
pub(super) fn is_ours(request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    judge(header("sec-fetch-site"), header("origin"), host(request))
}

fn judge(site: Option<&str>, origin: Option<&str>, host: Option<&str>) -> bool {
    let named = origin.filter(|origin| *origin != "null").map(|origin| origin.split_once("://").map(|(_, name)| name));
    match (site, named) {
        (Some(site), None) => site == "same-origin",
        (Some(site), Some(name)) => site == "same-origin" && name == host,
        (None, Some(name)) => name.is_some() && name == host,
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_send_forms() {
        let host = Some("hooks.example.com");
        for (site, origin, expected) in [
            (Some("same-origin"), None, true),
            (Some("same-origin"), Some("null"), true),
            (Some("same-origin"), Some("https://hooks.example.com"), true),
            (None, Some("https://hooks.example.com"), true),
            (Some("same-origin"), Some("https://evil.example"), false),
            (Some("same-site"), Some("https://hooks.example.com"), false),
            (Some("cross-site"), None, false),
            (Some("none"), None, false),
            (None, Some("https://evil.example"), false),
            (None, Some("null"), false),
            (None, Some("hooks.example.com"), false),
            (None, None, false),
        ] {
            assert_eq!(judge(site, origin, host), expected, "{site:?} {origin:?}");
        }
        assert!(!judge(None, Some("x"), None));
    }
}
