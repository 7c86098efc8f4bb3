//! Putting our callback URL where a provider looks for one, and taking the client's own out. Of a JSON body
//! only the URL's bytes are touched: whatever else stands in it, numbers and order and spaces, stays as it
//! was written.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use url::form_urlencoded;

use crate::egress::HeaderBytes;
use crate::providers::api::CallbackUrl;

/// The parts of a request in which a callback URL may stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parts {
    /// Without `?`.
    pub(super) query: Option<String>,
    pub(super) headers: Vec<HeaderBytes>,
    pub(super) body: Bytes,
}

impl Parts {
    /// The callback URL that stands there; `None` where there is none, or nothing that could be one.
    pub(super) fn callback_url(&self, place: CallbackUrl) -> Option<String> {
        match place {
            CallbackUrl::Nowhere => None,
            CallbackUrl::Body(path) => find(std::str::from_utf8(&self.body).ok()?, path),
            CallbackUrl::Query(key) => {
                let mut pairs = form_urlencoded::parse(self.query.as_deref()?.as_bytes());
                pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
            }
            CallbackUrl::Header(name) => {
                let (_, value) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
                String::from_utf8(value.clone()).ok()
            }
        }
        .filter(|url| !url.trim().is_empty())
    }

    /// Puts `url` there, in the place of whatever stood there. `false` where it cannot be put, as the body is no
    /// JSON object; then nothing is changed.
    pub(super) fn put_callback_url(&mut self, place: CallbackUrl, url: &str) -> bool {
        match place {
            CallbackUrl::Nowhere => return false,
            CallbackUrl::Body(path) => {
                let Some(body) = std::str::from_utf8(&self.body).ok().and_then(|body| put(body, path, url)) else {
                    return false;
                };
                self.body = Bytes::from(body);
            }
            CallbackUrl::Query(key) => {
                let query = self.query.take().unwrap_or_default();
                // The pairs of others stay as they are written.
                let others = query.split('&').filter(|pair| {
                    let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name.into_owned());
                    !pair.is_empty() && name.as_deref() != Some(key)
                });
                let ours = form_urlencoded::Serializer::new(String::new()).append_pair(key, url).finish();
                self.query = Some(others.map(str::to_owned).chain([ours]).collect::<Vec<_>>().join("&"));
            }
            CallbackUrl::Header(name) => {
                self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
                self.headers.push((name.to_ascii_lowercase(), url.as_bytes().to_vec()));
            }
        }
        true
    }
}

/// The members of a JSON object, in order, each value as it is written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn of(text: &'a str) -> Option<Self> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let members = json.deserialize_map(Read).ok()?;
        json.end().ok()?;
        Some(members)
    }

    fn named<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a str> + 'b {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.get())
    }
}

/// The text that stands at `path`.
fn find(text: &str, path: &[&str]) -> Option<String> {
    let (name, rest) = path.split_first()?;
    let members = Members::of(text)?;
    // Of a name given twice every reader we know takes the last.
    let value = members.named(name).last()?;
    if rest.is_empty() { serde_json::from_str(value).ok() } else { find(value, rest) }
}

/// `text` with `url` at `path`, and nothing else changed.
fn put(text: &str, path: &[&str], url: &str) -> Option<String> {
    let (name, rest) = path.split_first()?;
    let members = Members::of(text)?;
    let mut changed = String::with_capacity(text.len() + url.len() + 32);
    let mut from = 0;
    for value in members.named(name) {
        let at = offset(text, value);
        changed.push_str(&text[from..at]);
        changed.push_str(&if rest.is_empty() { quoted(url) } else { put(value, rest, url)? });
        from = at + value.len();
    }
    if from == 0 {
        let open = text.find('{')? + 1;
        changed.push_str(&text[..open]);
        changed.push_str(&format!("{}:{}", quoted(name), rest.iter().rfold(quoted(url), nested)));
        changed.push_str(if members.0.is_empty() { "" } else { "," });
        from = open;
    }
    changed.push_str(&text[from..]);
    // What is sent must be as good JSON as what came.
    serde_json::from_str::<IgnoredAny>(&changed).ok().map(|_| changed)
}

fn nested(inner: String, name: &&str) -> String {
    format!("{{{}:{inner}}}", quoted(name))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Where a part of `text` begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://ours.example.com/c?cb_intent=int_1";
    const TOP: CallbackUrl = CallbackUrl::Body(&["callback_url"]);
    const DEEP: CallbackUrl = CallbackUrl::Body(&["options", "callback_url"]);

    fn parts(query: Option<&str>, body: &str) -> Parts {
        Parts { query: query.map(str::to_owned), headers: Vec::new(), body: Bytes::from(body.to_owned()) }
    }

    fn body(place: CallbackUrl, body: &str) -> Option<String> {
        let mut parts = parts(None, body);
        let is_put = parts.put_callback_url(place, URL);
        let after = String::from_utf8(parts.body.to_vec()).unwrap();
        assert_eq!(is_put, after != body, "{body}");
        is_put.then_some(after)
    }

    #[test]
    fn only_the_url_is_touched() {
        let ours = format!("\"{URL}\"");
        for (before, after) in [
            ("{}", format!("{{\"callback_url\":{ours}}}")),
            ("{ }", format!("{{\"callback_url\":{ours} }}")),
            (" {\"z\": 1.0, \"a\":1e2}\n", format!(" {{\"callback_url\":{ours},\"z\": 1.0, \"a\":1e2}}\n")),
            (
                "{\"n\":123456789012345678901234567890,\"callback_url\" : \"http://a/\\u00e9\", \"b\":[ ]}",
                format!("{{\"n\":123456789012345678901234567890,\"callback_url\" : {ours}, \"b\":[ ]}}"),
            ),
            (
                "{\"callback_url\":null,\"a\":\"callback_url\",\"callback_url\":\"x\"}",
                format!("{{\"callback_url\":{ours},\"a\":\"callback_url\",\"callback_url\":{ours}}}"),
            ),
            // A name may be written in escapes.
            ("{\"callback\\u005furl\":\"x\"}", format!("{{\"callback\\u005furl\":{ours}}}")),
        ] {
            assert_eq!(body(TOP, before), Some(after), "{before}");
        }
    }

    #[test]
    fn a_url_may_stand_deeper() {
        let ours = format!("\"{URL}\"");
        for (before, after) in [
            ("{\"a\":1}", format!("{{\"options\":{{\"callback_url\":{ours}}},\"a\":1}}")),
            ("{\"options\":{\"x\":2}}", format!("{{\"options\":{{\"callback_url\":{ours},\"x\":2}}}}")),
            ("{\"options\": {\"callback_url\":\"y\"} }", format!("{{\"options\": {{\"callback_url\":{ours}}} }}")),
        ] {
            assert_eq!(body(DEEP, before), Some(after), "{before}");
        }
        assert_eq!(body(DEEP, "{\"options\":null}"), None);
    }

    #[test]
    fn what_is_no_object_stays_as_it_is() {
        for before in ["", "[]", "\"{}\"", "{", "{}{}", "{\"a\":}", "--boundary", "{\"a\":1,}"] {
            assert_eq!(body(TOP, before), None, "{before}");
        }
        assert!(!parts(None, "{}").put_callback_url(CallbackUrl::Nowhere, URL));
    }

    #[test]
    fn the_clients_own_url_is_found() {
        let found = |place, body| parts(Some("a=1&cb=http%3A%2F%2Fx%2F"), body).callback_url(place);
        assert_eq!(found(TOP, "{\"callback_url\":\"http:\\/\\/a\\/\"}").as_deref(), Some("http://a/"));
        assert_eq!(found(TOP, "{\"callback_url\":\"a\",\"callback_url\":\"b\"}").as_deref(), Some("b"));
        assert_eq!(found(DEEP, "{\"options\":{\"callback_url\":\"c\"}}").as_deref(), Some("c"));
        assert_eq!(found(CallbackUrl::Query("cb"), "").as_deref(), Some("http://x/"));
        for nothing in ["{}", "{\"callback_url\":null}", "{\"callback_url\":\" \"}", "{\"callback_url\":{}}", "x"] {
            assert_eq!(found(TOP, nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_query_and_a_header_take_it_too() {
        let mut parts = parts(Some("a=%20&cb=old&b&c%62=old"), "x");
        assert!(parts.put_callback_url(CallbackUrl::Query("cb"), "https://o/?a=b"));
        assert_eq!(parts.query.as_deref(), Some("a=%20&b&cb=https%3A%2F%2Fo%2F%3Fa%3Db"));
        parts.headers.push(("x-callback".into(), b"old".to_vec()));
        assert_eq!(parts.callback_url(CallbackUrl::Header("X-Callback")).as_deref(), Some("old"));
        assert!(parts.put_callback_url(CallbackUrl::Header("X-Callback"), "https://o/"));
        assert_eq!(parts.headers, [("x-callback".to_owned(), b"https://o/".to_vec())]);
        assert_eq!(&parts.body[..], b"x");
    }
}
