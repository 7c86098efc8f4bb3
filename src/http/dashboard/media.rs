//! What a task made, to be looked at: only over https, only when it is wanted, and only while its link lives.

use crate::domain::clock::Timestamp;
use crate::domain::task::{Output, OutputKind};

/// One output as a page shows it.
pub(super) struct Media {
    /// Where it is.
    pub(super) url: String,
    /// `image`, `video`, `audio`, `text` or `file`.
    pub(super) kind: &'static str,
    /// When the link dies.
    pub(super) expires_at: Option<Timestamp>,
    /// Whether it has died.
    pub(super) is_expired: bool,
    /// Whether a link to it may be followed: its address is a provider's word, and not each is one of the web.
    pub(super) is_link: bool,
    /// Whether it can be shown in the page.
    pub(super) is_shown: bool,
}

impl Media {
    /// An output as it is at this moment.
    pub(super) fn of(output: &Output, now: Timestamp) -> Self {
        let url = output.archived_url.as_ref().unwrap_or(&output.url);
        let parsed = url::Url::parse(url).ok();
        let scheme = parsed.as_ref().map_or("", |url| url.scheme());
        let is_expired = output.archived_url.is_none() && output.expires_at.is_some_and(|at| at <= now);
        Self {
            url: url.clone(),
            kind: kind(output.kind),
            expires_at: output.expires_at.filter(|_| output.archived_url.is_none()),
            is_expired,
            is_link: matches!(scheme, "https" | "http"),
            is_shown: scheme == "https" && !is_expired,
        }
    }
}

fn kind(kind: OutputKind) -> &'static str {
    match kind {
        OutputKind::Video => "video",
        OutputKind::Image => "image",
        OutputKind::Audio => "audio",
        OutputKind::Text => "text",
        OutputKind::File => "file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_https_and_lives_is_shown() {
        let now = Timestamp(1_775_001_600_000);
        let of = |url: &str, expires: Option<i64>| {
            let output = Output {
                url: url.into(),
                kind: OutputKind::Image,
                expires_at: expires.map(|by| Timestamp(now.0 + by)),
                archived_url: None,
            };
            let media = Media::of(&output, now);
            (media.is_shown, media.is_link, media.is_expired)
        };
        assert_eq!(of("https://a.example/b.png", None), (true, true, false));
        assert_eq!(of("https://a.example/b.png", Some(1)), (true, true, false));
        assert_eq!(of("https://a.example/b.png", Some(0)), (false, true, true));
        assert_eq!(of("http://a.example/b.png", None), (false, true, false));
        assert_eq!(of("javascript:alert(1)", None), (false, false, false));
        assert_eq!(of("data:text/html,x", None), (false, false, false));
        assert_eq!(of("b.png", None), (false, false, false));
    }
}
