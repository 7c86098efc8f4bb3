//! What many pages show: moments, words with their colour, addresses of other pages.

use std::fmt::Write;

use askama::Template;
use askama::filters::HtmlSafe;
use url::form_urlencoded;

use super::text::Texts;
use super::visit::Frame;
use crate::domain::clock::Timestamp;

/// A moment as one reads it; the script says the exact time in the reader's own zone.
#[derive(Template)]
#[template(source = r#"<time datetime="{{ at }}" title="{{ at }}">{{ said }}</time>"#, ext = "html")]
pub(super) struct When {
    at: Timestamp,
    said: String,
}
impl HtmlSafe for When {}

/// A word of ours in the colour of what it means.
#[derive(Template)]
#[template(source = r#"<span class="badge {{ tone }}">{{ said }}</span>"#, ext = "html")]
pub(super) struct Badge<'a> {
    tone: &'static str,
    said: &'a str,
}
impl HtmlSafe for Badge<'_> {}

impl Frame {
    /// A moment, by how long ago it was or how long it will be.
    pub(super) fn when(&self, at: &Timestamp) -> When {
        When { at: *at, said: relative(self.t, *at, self.now) }
    }

    /// A pair of metadata, as a part of an address's query.
    pub(super) fn query(&self, key: &str, value: &str) -> String {
        form_urlencoded::byte_serialize(format!("{key}={value}").as_bytes()).collect()
    }

    /// A word of ours.
    pub(super) fn badge<'a>(&self, word: &'a str) -> Badge<'a> {
        Badge { tone: tone(word), said: self.t.word(word) }
    }
}

fn relative(t: &Texts, at: Timestamp, now: Timestamp) -> String {
    if at > now {
        t.frame.ahead.with(t.span(at.since(now).as_secs()))
    } else {
        t.frame.ago.with(t.span(now.since(at).as_secs()))
    }
}

/// What a word means for who reads it.
fn tone(word: &str) -> &'static str {
    match word.strip_prefix("task.").unwrap_or(word) {
        "completed"
        | "delivered"
        | "accepted"
        | "destination.recovered"
        | "signed_body"
        | "well"
        | "enabled"
        | "holds"
        | "done" => "good",
        "failed"
        | "dead"
        | "rejected"
        | "conflict"
        | "disputed"
        | "delivery.dead"
        | "destination.disabled"
        | "gone"
        | "disabled"
        | "refused"
        | "unreadable"
        | "failing" => "bad",
        "overdue" | "held" | "quarantined" | "throttled" | "source.silent" | "interrupted" | "silent" | "paused" => {
            "warn"
        }
        "processing" | "pending" | "running" => "busy",
        _ => "calm",
    }
}

/// The address of a task's page.
pub(super) fn task_path(source: &str, task_id: &str) -> String {
    format!("/ui/tasks/{}/{}", encoded(source), encoded(task_id))
}

/// The path with these parts.
pub(super) fn path(parts: &[&str]) -> String {
    parts.iter().fold(String::new(), |path, part| format!("{path}/{}", encoded(part)))
}

/// A text as one part of a path.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::dashboard::text::Language;

    #[test]
    fn a_moment_is_told_in_one_unit() {
        let (english, chinese) = (Language::English.texts(), Language::Chinese.texts());
        let now = Timestamp(1_775_001_600_000);
        let at = |seconds: i64| Timestamp(now.0 + seconds * 1000);
        assert_eq!(relative(english, at(-59), now), "59s ago");
        assert_eq!(relative(english, at(-3599), now), "59m ago");
        assert_eq!(relative(english, at(7200), now), "in 2h");
        assert_eq!(relative(chinese, at(-86_400 * 3), now), "3天前");
        let when = When { at: now, said: "now".into() };
        assert_eq!(
            when.to_string(),
            r#"<time datetime="2026-04-01T00:00:00Z" title="2026-04-01T00:00:00Z">now</time>"#
        );
    }

    #[test]
    fn an_id_stays_in_its_place_of_a_path() {
        assert_eq!(task_path("a", "b/../c?d#e é"), "/ui/tasks/a/b%2F..%2Fc%3Fd%23e%20%C3%A9");
    }
}
