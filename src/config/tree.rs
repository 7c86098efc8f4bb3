//! What was written, before anybody asks what it means: TOML as a tree whose every node knows its line,
//! and the environment's overrides hung into it.

use std::path::Path;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Env;
use super::env::variable_for;
use super::mistakes::Mistake;
use crate::domain::spelling::suggestion;

/// Where something was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// In the file, on this line.
    Line(usize),
    /// In this environment variable.
    Variable(String),
    /// Nowhere: it is a default.
    BuiltIn,
}

/// One value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A string of the file, its variables not yet filled in.
    Text(String),
    /// A string in which nothing is to be filled in.
    Literal(String),
    /// What an environment variable says; its key decides what it is.
    Given(String),
    /// A whole number; `None` where it does not fit.
    Integer(Option<i64>),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
    /// Something that no key takes, and TOML's word for it.
    Other(&'static str),
}

/// A table's entries.
#[derive(Clone, Default, Debug)]
pub(super) struct Table(Vec<Entry>);

/// One key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) node: Node,
}

impl Table {
    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == key)
    }

    fn set(&mut self, key: &str, origin: Origin, content: Content) {
        self.0.retain(|entry| entry.key != key);
        let node = Node { origin: origin.clone(), content };
        self.0.push(Entry { key: key.to_owned(), origin, node });
    }

    /// The table of that name, made if there is none. `None` where something else has that name.
    fn table(&mut self, key: &str, origin: &Origin) -> Option<&mut Table> {
        if self.get(key).is_none() {
            self.set(key, origin.clone(), Content::Table(Table::default()));
        }
        self.0.iter_mut().find(|entry| entry.key == key).and_then(|entry| match &mut entry.node.content {
            Content::Table(table) => Some(table),
            _ => None,
        })
    }
}

/// What was given as JSON: it has no lines, and nothing is filled into its strings. Null is as good as not there.
pub(super) fn of_json(given: &Map<String, Value>) -> Table {
    let entry = |(key, value): (&String, &Value)| {
        let node = json_node(value)?;
        Some(Entry { key: key.clone(), origin: Origin::BuiltIn, node })
    };
    Table(given.iter().filter_map(entry).collect())
}

fn json_node(value: &Value) -> Option<Node> {
    let content = match value {
        Value::Null => return None,
        Value::Bool(value) => Content::Boolean(*value),
        Value::Number(number) if number.is_f64() => Content::Other("float"),
        Value::Number(number) => Content::Integer(number.as_i64()),
        Value::String(text) => Content::Literal(text.clone()),
        Value::Array(items) => Content::List(items.iter().filter_map(json_node).collect()),
        Value::Object(table) => Content::Table(of_json(table)),
    };
    Some(Node { origin: Origin::BuiltIn, content })
}

/// Parses a file's text.
///
/// # Errors
/// Each line that is not TOML.
pub(super) fn parse(text: &str, file: &Path) -> Result<Table, Vec<Mistake>> {
    let lines = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(lines.table(document.get_ref()));
    }
    let mut mistakes: Vec<Mistake> = errors
        .iter()
        .map(|error| Mistake {
            file: Some(file.to_owned()),
            line: error.span().map(|span| lines.at(span.start)),
            place: String::new(),
            problem: format!("not valid TOML: {}", error.message()),
            suggestion: None,
        })
        .collect();
    // What follows the first error of a line is mostly its echo.
    mistakes.dedup_by_key(|mistake| mistake.line);
    Err(mistakes)
}

/// Where the lines of a text begin.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    fn at(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte)
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let key: &Spanned<std::borrow::Cow<'_, str>> = key;
            Entry {
                key: key.get_ref().clone().into_owned(),
                origin: Origin::Line(self.at(key.span().start)),
                node: self.node(value),
            }
        };
        Table(table.iter().map(entry).collect())
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let span = value.span();
        let mut line = self.at(span.start);
        let content = match value.get_ref() {
            DeValue::String(text) => {
                // A text in three quotes may begin on the next line; then that is where its first line is.
                let written = &self.text[span];
                let opening = written.get(..3).filter(|quotes| ["\"\"\"", "'''"].contains(quotes));
                line += usize::from(opening.is_some() && written[3..].trim_start_matches('\r').starts_with('\n'));
                Content::Text(text.clone().into_owned())
            }
            DeValue::Integer(number) => Content::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
            DeValue::Boolean(value) => Content::Boolean(*value),
            DeValue::Array(items) => Content::List(items.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Content::Table(self.table(table)),
            other => Content::Other(other.type_str()),
        };
        Node { origin: Origin::Line(line), content }
    }
}

/// The sections whose keys a variable overrides, beside `sources`.
const SECTIONS: [&str; 5] = ["server", "database", "email", "delivery", "egress"];

/// Writes the sources that there are where none is declared: one for each provider, of its name.
pub(super) fn add_default_sources<'p>(root: &mut Table, providers: impl Iterator<Item = &'p str>) {
    let Some(sources) = root.table("sources", &Origin::BuiltIn) else { return };
    if sources.entries().is_empty() {
        for name in providers {
            if let Some(source) = sources.table(name, &Origin::BuiltIn) {
                source.set("provider", Origin::BuiltIn, Content::Text(name.to_owned()));
            }
        }
    }
}

/// Hangs the environment's overrides into the tree. Whether a key exists, and what it takes, is seen when
/// it is read; here it is only found where it belongs.
pub(super) fn apply_overrides(root: &mut Table, env: &Env) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (variable, rest, value) in env.settings() {
        let origin = Origin::Variable(variable.to_owned());
        match find(root, rest, &origin) {
            Ok(Some((table, key))) => table.set(&key, origin, Content::Given(value.to_owned())),
            // What should be a table is something else: that is told when it is read.
            Ok(None) => {}
            Err((problem, suggestion)) => mistakes.push(Mistake {
                file: None,
                line: None,
                place: variable.to_owned(),
                problem,
                suggestion: Some(suggestion),
            }),
        }
    }
    mistakes
}

type NotFound = (String, String);

/// The table and the key that `rest` of a variable's name means.
fn find<'t>(root: &'t mut Table, rest: &str, origin: &Origin) -> Result<Option<(&'t mut Table, String)>, NotFound> {
    let (section, key) = rest.split_once("__").unwrap_or((rest, ""));
    if section == "SOURCES" {
        return find_source(root, key, origin);
    }
    if ["DESTINATIONS", "SUBSCRIPTIONS"].contains(&section) {
        let hint = "write ${NAME} in the file, with a name without two underscores".to_owned();
        return Err((format!("`{}` are not set by variables", section.to_lowercase()), hint));
    }
    let Some(name) = SECTIONS.into_iter().find(|name| name.to_uppercase() == section) else {
        let sections: Vec<String> =
            SECTIONS.iter().chain(&["sources"]).map(|name| variable_for(&[name]) + "__…").collect();
        let hint = suggestion(&(variable_for(&[section]) + "__…"), sections.iter().map(String::as_str));
        return Err((format!("there is no section `{}`", section.to_lowercase()), hint));
    };
    root.table(name, origin).map(|table| within(table, key, origin)).transpose()
}

/// The table and the key that `KEY`, or `TABLE__KEY` of a table in it, means.
fn within<'t>(table: &'t mut Table, key: &str, origin: &Origin) -> Result<(&'t mut Table, String), NotFound> {
    let Some((inner, key)) = key.split_once("__") else { return Ok((table, key.to_lowercase())) };
    let inner = inner.to_lowercase();
    match table.table(&inner, origin) {
        Some(table) => within(table, key, origin),
        None => Err((format!("`{inner}` is no table, so that it has no keys"), "remove it".to_owned())),
    }
}

/// `NAME__KEY` or `NAME__TABLE__KEY` of a source. A name may have two underscores of its own: the longest
/// name that fits is meant.
fn find_source<'t>(
    root: &'t mut Table,
    rest: &str,
    origin: &Origin,
) -> Result<Option<(&'t mut Table, String)>, NotFound> {
    if !rest.contains("__") {
        let hint = "write CALLBOARD_SOURCES__<NAME>__<KEY>".to_owned();
        return Err(("it names no key of a source".to_owned(), hint));
    }
    let Some(sources) = root.table("sources", &Origin::BuiltIn) else { return Ok(None) };
    let upper = |known: &str| known.to_uppercase().replace('-', "_");
    let names: Vec<String> = sources.entries().iter().map(|entry| entry.key.clone()).collect();
    let key_of = |known: &String| rest.strip_prefix(&upper(known)).and_then(|rest| rest.strip_prefix("__"));
    let fitting = names.iter().filter_map(|known| Some((known, key_of(known)?)));
    let Some((found, key)) = fitting.max_by_key(|(known, _)| known.len()) else {
        let name = rest.split("__").next().unwrap_or(rest);
        let variables: Vec<String> = names.iter().map(|known| upper(known)).collect();
        let hint = suggestion(name, variables.iter().map(String::as_str));
        return Err((format!("no source is written `{name}` in a variable"), hint));
    };
    sources.table(found, origin).map(|table| within(table, key, origin)).transpose()
}
