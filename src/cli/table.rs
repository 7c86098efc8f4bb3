//! Tables and fields for people: cut to the terminal's width, plain and whole where there is none.

use comfy_table::{ColumnConstraint, ContentArrangement, Row, presets};
use serde_json::Value;

use super::console::{self, harmless};
use super::json;
use crate::domain::clock::Timestamp;

/// What stands where there is nothing.
const NOTHING: &str = "-";

/// A terminal that says it is narrower does not know, or could show nothing.
const WIDTH_MIN: u16 = 40;

/// One column of a list: its title, and what stands in it of an item.
pub(super) struct Column {
    title: &'static str,
    /// Whether it is never cut: an id that is to be copied.
    is_whole: bool,
    cell: fn(&Value, Timestamp) -> String,
}

impl Column {
    /// A column that may be cut.
    pub(super) const fn new(title: &'static str, cell: fn(&Value, Timestamp) -> String) -> Self {
        Self { title, is_whole: false, cell }
    }

    /// A column that is never cut.
    pub(super) const fn whole(title: &'static str, cell: fn(&Value, Timestamp) -> String) -> Self {
        Self { title, is_whole: true, cell }
    }
}

/// Items as a table with these columns.
pub(super) fn table(items: &[Value], columns: &[Column], now: Timestamp, with_titles: bool) -> String {
    let rows = items.iter().map(|item| columns.iter().map(|column| (column.cell)(item, now)).collect());
    let width = console::is_terminal().then(|| comfy_table::Table::new().width()).flatten();
    let width = width.filter(|width| *width >= WIDTH_MIN);
    let titles = columns.iter().map(|column| column.title);
    let wholes: Vec<bool> = columns.iter().map(|column| column.is_whole).collect();
    drawn(with_titles.then(|| titles.map(str::to_owned).collect()), rows.collect(), &wholes, width)
}

/// Rows, each on one line of at most `width` characters.
fn drawn(titles: Option<Vec<String>>, rows: Vec<Vec<String>>, wholes: &[bool], width: Option<u16>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING).set_truncation_indicator("…");
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for cells in titles.into_iter().chain(rows) {
        let mut row = Row::from(cells.iter().map(|cell| one_line(cell)).collect::<Vec<_>>());
        row.max_height(1);
        table.add_row(row);
    }
    for (column, is_whole) in table.column_iter_mut().zip(wholes) {
        column.set_padding((0, 2));
        if *is_whole {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Text of others on one line, without what a terminal obeys.
pub(super) fn one_line(text: &str) -> String {
    let breaks: String = text.chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c }).collect();
    harmless(&breaks, &[])
}

/// What stands at a place of an item (a JSON pointer such as `/data/model`), for people.
pub(super) fn cell(item: &Value, place: &str) -> String {
    item.pointer(place).map_or_else(|| NOTHING.to_owned(), words)
}

/// How long ago the moment at a place of an item was.
pub(super) fn age(item: &Value, place: &str, now: Timestamp) -> String {
    let at = item.pointer(place).and_then(Value::as_str).and_then(Timestamp::parse);
    at.map_or_else(|| NOTHING.to_owned(), |at| if at > now { format!("in {}", span(at, now)) } else { span(now, at) })
}

/// A length of time in its largest unit: `5s`, `3m`, `2h`, `4d`.
fn span(later: Timestamp, earlier: Timestamp) -> String {
    let seconds = later.since(earlier).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A value in words.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => NOTHING.to_owned(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(fields) if fields.is_empty() => NOTHING.to_owned(),
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(name, value)| format!("{name}={}", words(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// The fields of an object, a line each, without those named.
pub(super) fn fields(text: &str, without: &[&str]) -> String {
    let mut lines = Vec::new();
    for (name, value) in json::fields(text) {
        if without.contains(&name.as_str()) {
            continue;
        }
        let value = serde_json::from_str(value.get()).unwrap_or_default();
        match value {
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                let named = std::iter::once(name.as_str()).chain(std::iter::repeat(""));
                lines.extend(items.iter().zip(named).map(|(item, name)| field(name, &words(item))));
            }
            value => lines.push(field(&name, &words(&value))),
        }
    }
    lines.join("\n")
}

/// One field, its value where those of the others stand.
pub(super) fn field(name: &str, value: &str) -> String {
    format!("{:<18} {}", one_line(name), one_line(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_757_169_743_000);

    #[test]
    fn a_row_is_one_line_that_fits_and_its_id_is_whole() {
        let rows = vec![
            vec!["evt_0123456789".to_owned(), "a model with a very long name that nobody can read".to_owned()],
            vec!["evt_1".to_owned(), "one\ntwo\u{1b}[31m\u{202e}three".to_owned()],
        ];
        let titles = Some(vec!["ID".to_owned(), "MODEL".to_owned()]);
        let cut = drawn(titles.clone(), rows.clone(), &[true, false], Some(36));
        let lines: Vec<&str> = cut.lines().collect();
        assert_eq!(lines.len(), 3, "{cut}");
        assert!(lines.iter().all(|line| line.chars().count() <= 36), "{cut}");
        assert!(lines[1].starts_with("evt_0123456789  a model") && lines[1].ends_with('…'), "{cut}");
        assert!(!cut.contains('\u{1b}') && !cut.contains('\u{202e}'), "{cut:?}");
        let plain = drawn(titles, rows, &[true, false], None);
        assert!(plain.contains("a model with a very long name that nobody can read"), "{plain}");
        assert!(plain.contains("evt_1           one two\u{FFFD}[31m\u{FFFD}three"), "{plain}");
    }

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let at = |text: &str| age(&serde_json::json!({"at": text}), "/at", NOW);
        for (text, told) in [
            ("2025-09-06T14:42:23Z", "0s"),
            ("2025-09-06T14:41:08Z", "75s"),
            ("2025-09-06T14:02:23Z", "40m"),
            ("2025-09-05T14:42:23Z", "24h"),
            ("2025-09-01T14:42:23Z", "5d"),
            ("2025-09-06T14:45:23Z", "in 3m"),
            ("soon", "-"),
        ] {
            assert_eq!(at(text), told, "{text}");
        }
    }

    #[test]
    fn fields_are_told_a_line_each() {
        let text = r#"{"z":"a\u001b[2J","n":null,"list":["a","b"],"many":[{"k":"v","n":1},{"k":"w"}],"hidden":1}"#;
        let told = fields(text, &["hidden"]);
        let lines: Vec<String> =
            told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines, ["z a\u{FFFD}[2J", "n -", "list a, b", "many k=v n=1", "k=w"]);
    }
}
