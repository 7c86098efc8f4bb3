//! JSON as it is printed: in the order in which it came, and with nothing in it that a terminal obeys.

use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::console::is_harmful;

/// A JSON text on one line. What a terminal would obey is escaped, and so means the same to a program.
pub(super) fn line(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { escaped(c) } else { c.to_string() }).collect()
}

fn escaped(c: char) -> String {
    // Between the values of a JSON text there may be line breaks; in a string they are escaped already.
    if c.is_ascii_whitespace() { " ".to_owned() } else { format!("\\u{:04x}", u32::from(c)) }
}

/// A JSON text for people and programs: a line for each value.
pub(super) fn pretty(text: &str) -> String {
    let text = line(text);
    let mut pretty = String::with_capacity(text.len() * 2);
    let (mut depth, mut quoted, mut skip) = (0_usize, false, false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if quoted {
            pretty.push(c);
            quoted = skip || c != '"';
            skip = !skip && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                pretty.push(c);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    pretty.push(end);
                } else {
                    depth += 1;
                    new_line(&mut pretty, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut pretty, depth);
                pretty.push(c);
            }
            ',' => {
                pretty.push(c);
                new_line(&mut pretty, depth);
            }
            ':' => pretty.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                quoted = c == '"';
                pretty.push(c);
            }
        }
    }
    pretty
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

/// The fields of an object in the order in which they stand; none of what is no object.
pub(super) fn fields(text: &str) -> Vec<(String, Box<RawValue>)> {
    struct Fields;
    impl<'de> Visitor<'de> for Fields {
        type Value = Vec<(String, Box<RawValue>)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some(field) = map.next_entry()? {
                fields.push(field);
            }
            Ok(fields)
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_map(Fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_means_the_same_and_keeps_its_order() {
        let text = r#"{"z":1.0,"a":[],"s":"a\"b,{}\\","o":{"x":[1,{"y":null}]},"e":{}}"#;
        let shown = pretty(text);
        let expected = "{\n  \"z\": 1.0,\n  \"a\": [],\n  \"s\": \"a\\\"b,{}\\\\\",\n  \"o\": {\n    \"x\": [\n      1,\n      \
                        {\n        \"y\": null\n      }\n    ]\n  },\n  \"e\": {}\n}";
        assert_eq!(shown, expected);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&shown), value(text));
        assert_eq!(pretty(&shown), expected, "it is stable");
        let names: Vec<String> = fields(text).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["z", "a", "s", "o", "e"]);
        assert!(fields("[1]").is_empty());
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        let value = serde_json::json!({"model": "a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\n"});
        for shown in [line(&value.to_string()), pretty(&value.to_string())] {
            assert!(!shown.chars().any(|c| is_harmful(c) && c != '\n'), "{shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
