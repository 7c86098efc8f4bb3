//! A summary as Block Kit, within its limits and with nothing in it that Slack would obey.
//!
//! Slack reads `<!channel>`, `<@U…>` and `<url|label>` wherever `<` and `>` are not escaped, and
//! formatting marks in `mrkdwn` text. So every text is escaped, texts that may hold marks stand in code
//! spans or in `plain_text`, and `verbatim` keeps Slack from making links and mentions by itself.
//! Limits: docs.slack.dev, "Blocks". They are counted here in UTF-16 units after escaping, the
//! strictest way to count.

use serde_json::{Value, json};
use url::Url;

use crate::channels::summary::{Link, Mood, Row, Summary};

/// Of a header's text.
const HEADER_MAX: usize = 150;
/// Of a section's text.
const SECTION_MAX: usize = 3000;
/// Fields of one section.
const FIELDS_MAX: usize = 10;
/// Elements of one context block.
const CONTEXT_MAX: usize = 10;

/// Beside the limits of each block Slack answers `msg_blocks_too_long` to somewhat above 13,200
/// characters in all. These caps are our own and keep the sum below 12,000: ten fields, an error, links,
/// metadata and ten context elements.
const FIELD_UNITS: usize = 400;
const ERROR_UNITS: usize = 2000;
const METADATA_UNITS: usize = 1500;
const ORIGIN_UNITS: usize = 120;
/// A longer URL is not linked; it would not leave room for others.
const URL_UNITS: usize = 2000;

/// What is posted.
pub(super) fn payload(summary: &Summary) -> Value {
    let title = format!("{} {}", emoji(summary.mood), summary.title);
    let origin = summary.origin.iter().map(|row| format!("{} {}", row.label, row.value));
    let fallback = format!("{title} ({})", origin.collect::<Vec<_>>().join(", "));
    let mut blocks = vec![json!({"type": "header", "text": plain(&title, HEADER_MAX)})];
    if !summary.rows.is_empty() {
        let fields: Vec<Value> = summary.rows.iter().take(FIELDS_MAX).map(field).collect();
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    if let Some(error) = summary.error.as_deref().filter(|error| !error.is_empty()) {
        blocks.push(json!({"type": "section", "text": plain(error, ERROR_UNITS)}));
    }
    if !summary.links.is_empty() {
        blocks.push(section(&links(summary)));
    }
    if !summary.metadata.is_empty() {
        let lines: Vec<String> = summary.metadata.iter().map(|row| named(row, METADATA_UNITS / 2)).collect();
        blocks.push(section(&lines_within(&lines, 0, METADATA_UNITS)));
    }
    let elements: Vec<Value> =
        summary.origin.iter().take(CONTEXT_MAX).map(|row| mrkdwn(&named(row, ORIGIN_UNITS))).collect();
    blocks.push(json!({"type": "context", "elements": elements}));
    json!({"text": fit(&fallback, SECTION_MAX), "unfurl_links": false, "link_names": false, "blocks": blocks})
}

fn emoji(mood: Mood) -> &'static str {
    match mood {
        Mood::Good => "✅",
        Mood::Bad => "❌",
        Mood::Stopped => "🚫",
        Mood::Busy => "⏳",
        Mood::Warning => "⚠️",
    }
}

fn plain(text: &str, max: usize) -> Value {
    json!({"type": "plain_text", "text": fit(text, max), "emoji": false})
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}

fn field(row: &Row) -> Value {
    mrkdwn(&format!("*{}*\n{}", span(&row.label, FIELD_UNITS / 4), span(&row.value, FIELD_UNITS / 2)))
}

fn named(row: &Row, max: usize) -> String {
    format!("{}: {}", span(&row.label, max / 2), span(&row.value, max / 2))
}

/// A value within `mrkdwn`: as it is where it cannot hold a formatting mark, else as code.
fn span(value: &str, max: usize) -> String {
    let harmless = |char: char| char.is_alphanumeric() || matches!(char, ' ' | '.' | ',' | '-' | '/' | '%' | '(' | ')');
    match value {
        "" => "–".to_owned(),
        value if value.chars().all(harmless) => fit(value, max),
        // A backtick would end the code; this one only looks like it.
        value => format!("`{}`", fit(&value.replace('`', "ˋ"), max.saturating_sub(2))),
    }
}

fn links(summary: &Summary) -> String {
    let lines: Vec<String> = summary.links.iter().map(link_line).collect();
    lines_within(&lines, summary.more_links, SECTION_MAX)
}

fn link_line(link: &Link) -> String {
    let label = fit(&link.label, 250);
    let shown = match link.url.as_ref().map(link_target) {
        Some(target) if units(&target) <= URL_UNITS => format!("<{target}|{label}>"),
        Some(_) => format!("{} (the link is too long for Slack)", span(&link.label, 250)),
        None => span(&link.label, 250),
    };
    let note = link.note.as_deref().map(|note| format!(", {}", fit(note, 50)));
    format!("• {shown}{}", note.unwrap_or_default())
}

/// The URL as it stands between `<` and `|`.
fn link_target(url: &Url) -> String {
    let mut target = String::new();
    for char in url.as_str().chars() {
        match char {
            '|' => target.push_str("%7C"),
            '<' => target.push_str("%3C"),
            '>' => target.push_str("%3E"),
            '&' => target.push_str("&amp;"),
            other => target.push(other),
        }
    }
    target
}

/// Whole lines only, as many as fit, and how many more there are.
fn lines_within(lines: &[String], more: usize, max: usize) -> String {
    // Room for "\n… and 18446744073709551615 more".
    let room = max - 32;
    let mut text = String::new();
    for (shown, line) in lines.iter().enumerate() {
        if units(&text) + units(line) + 1 > room {
            return format!("{text}… and {} more", lines.len() - shown + more);
        }
        text.push_str(line);
        text.push('\n');
    }
    if more > 0 { format!("{text}… and {more} more") } else { text.trim_end().to_owned() }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Escaped, and cut so that it has at most `max` units, an ellipsis for the rest. An escape sequence is
/// never cut.
fn fit(text: &str, max: usize) -> String {
    let mut fitted = String::new();
    let mut used = 0;
    // Where to cut if it turns out to be too long.
    let mut cut = 0;
    for char in text.chars() {
        let mut buffer = [0; 4];
        let piece = match char {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            other => other.encode_utf8(&mut buffer),
        };
        used += units(piece);
        if used > max {
            fitted.truncate(cut);
            fitted.push('…');
            return fitted;
        }
        fitted.push_str(piece);
        if used < max {
            cut = fitted.len();
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_escapes() {
        assert_eq!(fit("a&b", 7), "a&amp;b");
        assert_eq!(fit("a&b", 6), "a…");
        assert_eq!(fit("a&bc", 7), "a&amp;…");
        assert_eq!(fit("😀😀", 4), "😀😀");
        assert_eq!(fit("😀😀", 3), "😀…");
        assert_eq!(fit("<<<", 4), "…");
        for max in 1..40 {
            assert!(units(&fit("&<>&<>&<>😀", max)) <= max, "{max}");
        }
    }

    #[test]
    fn links_cannot_be_forged() {
        let url = Url::parse("https://a.example/p|x>y?a=1&b=<c>|d#|<!channel>").unwrap();
        let target = link_target(&url);
        assert!(!target.contains(['<', '>', '|']), "{target}");
        assert!(!target.replace("&amp;", "").contains('&'), "{target}");
    }

    #[test]
    fn lists_say_how_much_is_left_out() {
        let lines: Vec<String> = (0..9).map(|_| "x".repeat(20)).collect();
        let text = lines_within(&lines, 2, 100);
        assert!(text.ends_with("… and 8 more") && units(&text) <= 100, "{text}");
        assert_eq!(lines_within(&lines[..1], 0, 100), "x".repeat(20));
    }
}
