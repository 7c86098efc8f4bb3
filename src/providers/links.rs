//! The links in a callback: which texts are links, what lies behind them, and when they die.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::domain::clock::Timestamp;
use crate::domain::task::{Observation, Output, OutputKind, clean};

/// At most so many links are taken from one callback. Providers give a few, a batch some dozens; a
/// hostile sender would make one event of megabytes.
const LINKS_MAX: usize = 1000;
/// How deep results may be nested. Known models nest two or three levels.
const DEPTH_MAX: usize = 16;

/// The links found so far, in the order in which they stand; none twice.
#[derive(Default)]
pub(super) struct Links {
    found: Vec<Link>,
    /// How many were offered: bounds the search for repeats.
    offered: usize,
}

struct Link {
    /// As the provider wrote it; signed links must not be touched.
    url: String,
    parsed: Url,
    kind: Option<OutputKind>,
}

impl Links {
    /// Takes `value` if it is a link. `kind` is what the provider calls it, where it does.
    pub(super) fn add(&mut self, value: &Value, kind: Option<OutputKind>) {
        let Some((text, parsed)) = value.as_str().and_then(link) else { return };
        if self.offered == LINKS_MAX {
            return;
        }
        self.offered += 1;
        match self.found.iter_mut().find(|known| known.url == text) {
            Some(known) => known.kind = known.kind.or(kind),
            None => self.found.push(Link { url: text.to_owned(), parsed, kind }),
        }
    }

    /// Takes every link in `value`, be it a text, a list or an object of such.
    pub(super) fn add_all(&mut self, value: &Value) {
        self.add_within(value, DEPTH_MAX);
    }

    fn add_within(&mut self, value: &Value, depth: usize) {
        match value {
            Value::String(_) => self.add(value, None),
            Value::Array(items) if depth > 0 => items.iter().for_each(|item| self.add_within(item, depth - 1)),
            Value::Object(fields) if depth > 0 => fields.values().for_each(|field| self.add_within(field, depth - 1)),
            _ => {}
        }
    }

    /// The outputs. Where the provider did not say what a link is, its path's extension does, else
    /// `hint`, else it is a file.
    pub(super) fn outputs(
        self,
        hint: Option<OutputKind>,
        expires_at: impl Fn(&Url) -> Option<Timestamp>,
    ) -> Vec<Output> {
        let output = |link: Link| Output {
            kind: link.kind.or_else(|| kind_of_path(&link.parsed)).or(hint).unwrap_or(OutputKind::File),
            expires_at: expires_at(&link.parsed),
            url: clean(&link.url),
            archived_url: None,
        };
        self.found.into_iter().map(output).collect()
    }
}

/// When links that live `live` long die: counted from the task's end, else its beginning, else our receipt.
pub(super) fn dies_at(seen: &Observation, received_at: Timestamp, live: Duration) -> Timestamp {
    seen.completed_at.or(seen.created_at).unwrap_or(received_at).after(live)
}

/// A text is a link if all of it is an absolute http or https URL: prose that begins with one is not.
fn link(text: &str) -> Option<(&str, Url)> {
    let prose = text.chars().any(|c| c.is_whitespace() || c.is_control());
    let parsed = Url::parse(text).ok().filter(|_| !prose)?;
    matches!(parsed.scheme(), "http" | "https").then_some((text, parsed))
}

fn kind_of_path(url: &Url) -> Option<OutputKind> {
    let (_, extension) = url.path_segments()?.next_back()?.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "mp4" | "mov" | "webm" | "mkv" | "avi" | "m4v" | "m3u8" => Some(OutputKind::Video),
        "png" | "jpg" | "jpeg" | "webp" | "gif" | "avif" | "heic" | "bmp" | "tiff" | "svg" => Some(OutputKind::Image),
        "mp3" | "wav" | "flac" | "ogg" | "opus" | "m4a" | "aac" => Some(OutputKind::Audio),
        "txt" | "md" | "srt" | "vtt" => Some(OutputKind::Text),
        "zip" | "tar" | "gz" | "pdf" | "json" | "glb" | "gltf" | "obj" | "ply" | "stl" | "fbx" | "usdz"
        | "safetensors" => Some(OutputKind::File),
        _ => None,
    }
}

/// What a name such as `kling-o3-text-to-video` or `image.generation.task` says its result is: of
/// several kinds in it the last one, since a name goes from the input to the result.
pub(super) fn kind_of_name(name: &str) -> Option<OutputKind> {
    const WORDS: [(&str, OutputKind); 4] = [
        ("video", OutputKind::Video),
        ("image", OutputKind::Image),
        ("audio", OutputKind::Audio),
        ("text", OutputKind::Text),
    ];
    let name = name.to_ascii_lowercase();
    let places = WORDS.iter().filter_map(|(word, kind)| Some((name.rfind(word)?, *kind)));
    places.max_by_key(|(place, _)| *place).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn urls(value: &Value) -> Vec<String> {
        let mut links = Links::default();
        links.add_all(value);
        links.outputs(None, |_| None).into_iter().map(|output| output.url).collect()
    }

    #[test]
    fn links_are_found_at_any_place_and_once() {
        let value =
            json!({"a": ["https://x.example/1", {"b": "http://x.example/2?s=ü%20"}], "c": "https://x.example/1"});
        assert_eq!(urls(&value), ["https://x.example/1", "http://x.example/2?s=ü%20"]);
    }

    #[test]
    fn texts_that_only_look_like_links_are_not() {
        for text in [
            "hello Alice",
            "https://",
            "https://x.example/ is the site",
            "https://x.example/a\nb",
            "ftp://x.example/a.mp4",
            "data:image/png;base64,AAAA",
            "//x.example/a.mp4",
            "javascript:alert(1)",
        ] {
            assert_eq!(urls(&json!(text)), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_or_too_much_is_left() {
        let nested = |depth| (0..depth).fold(json!("https://x.example/1"), |inner, _| json!([inner]));
        assert_eq!(urls(&nested(DEPTH_MAX)).len(), 1);
        assert_eq!(urls(&nested(DEPTH_MAX + 1)).len(), 0);
        let many: Vec<String> = (0..LINKS_MAX + 5).map(|n| format!("https://x.example/{n}")).collect();
        assert_eq!(urls(&json!(many)), many[..LINKS_MAX]);
    }

    #[test]
    fn a_kind_comes_from_the_provider_else_the_extension_else_the_hint() {
        let mut links = Links::default();
        links.add(&json!("https://x.example/a.png"), None);
        links.add(&json!("https://x.example/a.png"), Some(OutputKind::Video));
        links.add(&json!("https://x.example/b.MP3?format=.png"), None);
        links.add(&json!("https://x.example/v1.0/c"), None);
        let kinds: Vec<_> = links.outputs(Some(OutputKind::Text), |_| None).into_iter().map(|o| o.kind).collect();
        assert_eq!(kinds, [OutputKind::Video, OutputKind::Audio, OutputKind::Text]);
        let mut links = Links::default();
        links.add(&json!("https://x.example/model.glb"), None);
        links.add(&json!("https://x.example/"), None);
        assert!(links.outputs(None, |_| None).iter().all(|output| output.kind == OutputKind::File));
    }

    #[test]
    fn a_name_tells_its_result_last() {
        assert_eq!(kind_of_name("kling-v3-image-to-video"), Some(OutputKind::Video));
        assert_eq!(kind_of_name("Video-To-Audio"), Some(OutputKind::Audio));
        assert_eq!(kind_of_name("image.generation.task"), Some(OutputKind::Image));
        assert_eq!(kind_of_name("suno-v4"), None);
    }
}
