//! Bytes as people read and copy them: JSON laid out, and a request as a command.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;

/// What came, as it can be shown.
pub(super) enum Shown {
    /// JSON, laid out.
    Json(String),
    /// Any other text, as it is.
    Text(String),
    /// What is no text, in base64.
    Binary(String),
    /// Nothing.
    Nothing,
}

impl Shown {
    /// These bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok("") => Self::Nothing,
            Ok(text) => laid_out(text).map_or_else(|| Self::Text(text.to_owned()), Self::Json),
            Err(_) => Self::Binary(STANDARD.encode(bytes)),
        }
    }
}

/// JSON with a line for each value. Nothing else changes: neither the order of fields nor how a number is written.
/// `None` if it is no JSON.
pub(super) fn laid_out(text: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    let mut rest = text.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    while let Some(c) = rest.next() {
        if is_text {
            out.push(c);
            (is_text, is_escaped) = (c != '"' || is_escaped, c == '\\' && !is_escaped);
            continue;
        }
        match c {
            '"' => {
                is_text = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if rest.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    out.extend(rest.next());
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    Some(out)
}

/// Headers that say how a request travelled, and not what it is.
const OF_THE_WAY: [&str; 7] =
    ["host", "content-length", "connection", "transfer-encoding", "accept-encoding", "user-agent", "accept"];

/// A command that posts the same bytes again.
pub(super) fn curl(url: &str, headers: &[(String, String)], body: &[u8]) -> String {
    let kept = |name: &str| {
        let name = name.to_ascii_lowercase();
        !OF_THE_WAY.contains(&name.as_str()) && !name.starts_with("x-forwarded-")
    };
    let mut command = format!("curl {}", quoted(url));
    for (name, value) in headers.iter().filter(|(name, _)| kept(name)) {
        command.push_str(&format!(" \\\n  -H {}", quoted(&format!("{name}: {value}"))));
    }
    match std::str::from_utf8(body) {
        // An argument ends at a NUL, and curl reads a file's name after an `@`.
        Ok(text) if !text.contains('\0') && !text.starts_with('@') => {
            format!("{command} \\\n  --data-binary {}", quoted(text))
        }
        _ => format!("printf %s {} | base64 -d | {command} \\\n  --data-binary @-", STANDARD.encode(body)),
    }
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_nothing_of_it_changes() {
        let text = r#" {"b":1.50,"a":[ ],"c":{"d":"x, {\"y\":\\"},"e":[true,null]} "#;
        let expected = "{\n  \"b\": 1.50,\n  \"a\": [],\n  \"c\": {\n    \"d\": \"x, {\\\"y\\\":\\\\\"\n  },\n  \"e\": [\n    true,\n    null\n  ]\n}";
        assert_eq!(laid_out(text).as_deref(), Some(expected));
        assert_eq!(laid_out("{\"a\":"), None);
        assert!(matches!(Shown::of(b"<b>"), Shown::Text(text) if text == "<b>"));
        assert!(matches!(Shown::of(b"\xff"), Shown::Binary(text) if text == "/w=="));
        assert!(matches!(Shown::of(b""), Shown::Nothing));
    }

    #[test]
    fn a_command_posts_the_same_bytes() {
        let headers = [("Host".to_owned(), "a".to_owned()), ("webhook-id".to_owned(), "it's".to_owned())];
        assert_eq!(
            curl("https://a.example/x?y=1", &headers, b"{\"a\":\"it's\"}"),
            "curl 'https://a.example/x?y=1' \\\n  -H 'webhook-id: it'\\''s' \\\n  --data-binary '{\"a\":\"it'\\''s\"}'"
        );
        assert!(curl("u", &[], b"\xff\x00").starts_with("printf %s /wA= | base64 -d | curl 'u'"));
        assert!(curl("u", &[], b"@/etc/passwd").contains("@-"));
    }
}
