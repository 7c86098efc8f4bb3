//! Reads a table key by key. Each getter says by its use which keys there are and what they take; what is
//! left over at the end is an unknown key. Nothing stops at the first mistake: a getter notes it and gives
//! `None`, as for a key that is not there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::env::variable_for;
use super::mistakes::Mistake;
use super::tree::{Content, Entry, Node, Origin, Table};
use super::{Env, value};
use crate::domain::spelling::{nearest, suggestion};

/// Where a value was written, and its path of keys.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) origin: Origin,
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What all sections share: where mistakes go, and from where variables come.
pub(super) struct Reader<'a> {
    file: Option<PathBuf>,
    env: &'a Env,
    mistakes: RefCell<Vec<Mistake>>,
    lines: RefCell<BTreeMap<String, usize>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: Option<PathBuf>, env: &'a Env) -> Self {
        Self { file, env, mistakes: RefCell::default(), lines: RefCell::default() }
    }

    /// Notes a mistake.
    pub(super) fn wrong(&self, place: &Place, problem: impl Into<String>) {
        self.note(place, problem.into(), None);
    }

    /// Notes a mistake and what to write instead.
    pub(super) fn wrong_but(&self, place: &Place, problem: impl Into<String>, suggestion: impl Into<String>) {
        self.note(place, problem.into(), Some(suggestion.into()));
    }

    fn note(&self, place: &Place, problem: String, suggestion: Option<String>) {
        let (file, line, place) = match &place.origin {
            Origin::Line(line) => (self.file.clone(), Some(*line), place.path.clone()),
            Origin::Variable(name) => (None, None, name.clone()),
            Origin::BuiltIn => (self.file.clone(), None, place.path.clone()),
        };
        self.mistakes.borrow_mut().push(Mistake { file, line, place, problem, suggestion });
    }

    /// Everything that was noted, and the line of every key that was read.
    pub(super) fn finish(self) -> (Vec<Mistake>, BTreeMap<String, usize>) {
        (self.mistakes.into_inner(), self.lines.into_inner())
    }

    /// The text of a node, its variables filled in. `wanted` says what should be there.
    fn text(&self, node: &Node, place: Place, wanted: &str) -> Option<Found<String>> {
        let filled = match &node.content {
            Content::Text(text) => value::fill(text, self.env),
            Content::Literal(text) | Content::Given(text) => Ok(text.clone()),
            other => Err(format!("it is {}: write {wanted}", describe(other))),
        };
        match filled {
            Ok(value) => Some(Found { value, place }),
            Err(problem) => {
                self.wrong(&place, problem);
                None
            }
        }
    }
}

fn describe(content: &Content) -> &'static str {
    match content {
        Content::Text(_) | Content::Literal(_) => "a text in quotes",
        Content::Given(_) => "what a variable says",
        Content::Integer(_) => "a number without quotes",
        Content::List(_) => "a list",
        Content::Table(_) => "a table",
        Content::Boolean(_) => "true or false",
        Content::Other(word) => match *word {
            "float" => "a number without quotes",
            _ => "a date or time",
        },
    }
}

/// One table that is being read.
pub(super) struct Section<'a> {
    reader: &'a Reader<'a>,
    entries: &'a [Entry],
    place: Place,
    /// Whether there is a table, so that something can be missing in it.
    written: bool,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(reader: &'a Reader<'a>, table: &'a Table) -> Self {
        let place = Place { path: String::new(), origin: Origin::Line(1) };
        Self { reader, entries: table.entries(), place, written: true, known: Vec::new() }
    }

    /// The table in a node, or a mistake and an empty one.
    fn of(reader: &'a Reader<'a>, node: Option<&'a Node>, place: Place) -> Self {
        let problem = match node.map(|node| &node.content) {
            None => None,
            Some(Content::Table(table)) => {
                let entries = table.entries();
                return Self { reader, entries, place, written: true, known: Vec::new() };
            }
            Some(Content::Given(_)) => Some("a table cannot be set by a variable: set its keys in the file".to_owned()),
            Some(other) => Some(format!("it is {}, and a table is needed here", describe(other))),
        };
        problem.into_iter().for_each(|problem| reader.wrong(&place, problem));
        Self { reader, entries: &[], place, written: false, known: Vec::new() }
    }

    /// Where mistakes go.
    pub(super) fn reader(&self) -> &'a Reader<'a> {
        self.reader
    }

    fn place_of(&self, key: &str, origin: &Origin) -> Place {
        let path = if self.place.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place.path) };
        if let Origin::Line(line) = origin {
            self.reader.lines.borrow_mut().insert(path.clone(), *line);
        }
        Place { path, origin: origin.clone() }
    }

    fn look(&mut self, key: &'static str) -> Option<(&'a Node, Place)> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let entries: &'a [Entry] = self.entries;
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some((&entry.node, self.place_of(key, &entry.node.origin)))
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Where the key was written, if it was.
    pub(super) fn place(&self, key: &str) -> Option<Place> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(self.place_of(key, &entry.origin))
    }

    /// The variable of a key that is missing beside one that a variable gives; `None` beside one of the file.
    pub(super) fn variable(&self, key: &str, beside: &Place) -> Option<String> {
        let path: Vec<&str> = self.place.path.split('.').chain([key]).collect();
        matches!(beside.origin, Origin::Variable(_)).then(|| variable_for(&path))
    }

    /// Whether the table was written at all.
    pub(super) fn is_there(&self) -> bool {
        self.written
    }

    /// Notes that a key has to be there and is not.
    pub(super) fn requires(&self, key: &str, hint: impl Into<String>) {
        if self.written && !self.has(key) {
            self.reader.wrong_but(&self.place, format!("`{key}` is missing"), hint);
        }
    }

    /// The text of a key.
    pub(super) fn text(&mut self, key: &'static str, wanted: &str) -> Option<Found<String>> {
        let (node, place) = self.look(key)?;
        self.reader.text(node, place, wanted)
    }

    /// The text of a key, read by `parse`, whose errors must not show a secret.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Found<T>> {
        let text = self.text(key, wanted)?;
        parsed(self.reader, text, parse)
    }

    /// One of these words, and what it stands for.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<Found<T>> {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let found = self.text(key, &quoted.join(" or "))?;
        let Some((_, value)) = words.iter().find(|(word, _)| *word == found.value) else {
            let hint = suggestion(&found.value, words.iter().map(|(word, _)| *word));
            self.reader.wrong_but(&found.place, format!("`{}` is unknown", found.value), hint);
            return None;
        };
        Some(Found { value: *value, place: found.place })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<Found<bool>> {
        let (node, place) = self.look(key)?;
        let value = match &node.content {
            Content::Boolean(value) => Some(*value),
            Content::Given(text) => text.parse().ok(),
            _ => None,
        };
        if value.is_none() {
            self.reader.wrong(&place, "write true or false, without quotes");
        }
        value.map(|value| Found { value, place })
    }

    /// A whole number within bounds.
    pub(super) fn count(&mut self, key: &'static str, bounds: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let (node, place) = self.look(key)?;
        let number = match &node.content {
            Content::Integer(number) => *number,
            _ => None,
        };
        let within = number.filter(|number| bounds.contains(number));
        if within.is_none() {
            self.reader.wrong(&place, format!("write a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        within
    }

    /// A size in bytes: a text such as `"1MiB"`, or a whole number.
    pub(super) fn size(&mut self, key: &'static str) -> Option<Found<u64>> {
        let (node, place) = self.look(key)?;
        if let Content::Integer(number) = &node.content {
            let number = number.and_then(|number| u64::try_from(number).ok());
            if number.is_none() {
                self.reader.wrong(&place, "it is not a size: write a number of bytes, or as in \"1MiB\"");
            }
            return number.map(|value| Found { value, place });
        }
        let text = self.reader.text(node, place, "a size such as \"1MiB\"")?;
        parsed(self.reader, text, value::size)
    }

    /// A list of texts, each read by `parse`; what cannot be read is left out.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Found<Vec<Found<T>>>> {
        let (node, place) = self.look(key)?;
        let value = match &node.content {
            Content::List(items) => self.items(items, &place, wanted, parse),
            Content::Given(_) => {
                self.reader.wrong(&place, "a list cannot be set by a variable: write it in the file");
                return None;
            }
            other => {
                let problem = format!("it is {}: write a list, as in [{wanted}]", describe(other));
                self.reader.wrong(&place, problem);
                return None;
            }
        };
        Some(Found { value, place })
    }

    /// A text or a list of texts, each read by `parse`; the list may not be empty.
    pub(super) fn one_or_more<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Found<Vec<Found<T>>>> {
        let (node, place) = self.look(key)?;
        let value = match &node.content {
            Content::List(items) => self.filled(items, &place, wanted, parse)?,
            _ => {
                let text = self.reader.text(node, place.clone(), wanted)?;
                parsed(self.reader, text, parse).into_iter().collect()
            }
        };
        Some(Found { value, place })
    }

    /// Whether the value of a key is a list; says nothing of what is in it.
    pub(super) fn is_list(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && matches!(entry.node.content, Content::List(_)))
    }

    /// A list of texts as [`Section::list`], which may not be empty.
    pub(super) fn filled_list<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Found<Vec<Found<T>>>> {
        if let Some((Node { content: Content::List(items), .. }, place)) = self.look(key) {
            let value = self.filled(items, &place, wanted, parse)?;
            return Some(Found { value, place });
        }
        self.list(key, wanted, parse)
    }

    fn filled<T>(
        &self,
        items: &[Node],
        place: &Place,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<Found<T>>> {
        if items.is_empty() {
            self.reader.wrong(place, format!("the list is empty: write as in [{wanted}], or leave the key out"));
            return None;
        }
        Some(self.items(items, place, wanted, parse))
    }

    fn items<T>(
        &self,
        items: &[Node],
        place: &Place,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<Found<T>> {
        let item = |node: &Node| {
            let place = Place { path: place.path.clone(), origin: node.origin.clone() };
            parsed(self.reader, self.reader.text(node, place, wanted)?, &parse)
        };
        items.iter().filter_map(item).collect()
    }

    /// The table of a key; empty where there is none.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        match self.look(key) {
            Some((node, place)) => Section::of(self.reader, Some(node), place),
            None => Section::of(self.reader, None, self.place_of(key, &Origin::BuiltIn)),
        }
    }

    /// The tables of a list of tables, numbered from 1 in their paths.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some((node, place)) = self.look(key) else { return Vec::new() };
        let Content::List(items) = &node.content else {
            self.reader.wrong_but(&place, format!("it is {}", describe(&node.content)), format!("write [[{key}]]"));
            return Vec::new();
        };
        let numbered = items.iter().enumerate().map(|(at, node)| {
            let place = self.place_of(&format!("{key}[{}]", at + 1), &node.origin);
            Section::of(self.reader, Some(node), place)
        });
        numbered.collect()
    }

    /// The tables of a table of names, with their names. All of its keys are names.
    pub(super) fn named_sections(self) -> Vec<(Found<String>, Section<'a>)> {
        let named = self.entries.iter().map(|entry| {
            let place = self.place_of(&entry.key, &entry.origin);
            let name = Found { value: entry.key.clone(), place: place.clone() };
            (name, Section::of(self.reader, Some(&entry.node), place))
        });
        named.collect()
    }

    /// Every key that was not asked for is unknown.
    pub(super) fn finish(self) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let what = match entry.node.content {
                Content::Table(_) if self.place.path.is_empty() => "unknown section",
                _ => "unknown key",
            };
            self.reader.wrong_but(&self.place_of(&entry.key, &entry.origin), what, self.hint(entry));
        }
    }

    /// The nearest known key, spelled as the unknown one was: as a key, or as a variable.
    fn hint(&self, entry: &Entry) -> String {
        let known = self.known.iter().copied();
        match (&entry.origin, nearest(&entry.key, known.clone())) {
            (Origin::Variable(_), Some(near)) => {
                let path: Vec<&str> = self.place.path.split('.').chain([near]).collect();
                let more = if matches!(entry.node.content, Content::Table(_)) { "__…" } else { "" };
                format!("did you mean `{}{more}`?", variable_for(&path))
            }
            _ => suggestion(&entry.key, known),
        }
    }
}

fn parsed<T>(reader: &Reader<'_>, text: Found<String>, parse: impl Fn(&str) -> Result<T, String>) -> Option<Found<T>> {
    match parse(&text.value) {
        Ok(value) => Some(Found { value, place: text.place }),
        Err(problem) => {
            reader.wrong(&text.place, problem);
            None
        }
    }
}
