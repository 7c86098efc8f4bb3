//! A look at Rust source that needs no compiler: comments and texts taken out, the rest as words with
//! their lines. Enough to see which path names what, and how long a function is.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// One source file.
pub(crate) struct Source {
    /// From the project's directory, as `src/domain/task.rs`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    tokens: Vec<Token>,
}

/// A word, `::`, or one sign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A function and how many lines it has, from `fn` to its closing brace.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// The project's directory.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A TOML file of the project, as JSON would have it.
pub(crate) fn toml_file(path: &str) -> Value {
    let text = read(path);
    let table = DeTable::parse(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    json(&DeValue::Table(table.into_inner()))
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => Value::from(number.as_str().parse::<i64>().unwrap()),
        DeValue::Boolean(is) => Value::from(*is),
        DeValue::Array(items) => items.iter().map(|item| json(item.as_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.as_ref().to_string(), json(value.as_ref()))).collect()
        }
        DeValue::Float(_) | DeValue::Datetime(_) => panic!("no file of ours has {}", value.type_str()),
    }
}

/// Every Rust file below a directory of the project, in the order of their paths.
pub(crate) fn sources(directory: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&project().join(directory), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "there is no Rust in {directory}");
    let relative = |path: &Path| path.strip_prefix(project()).unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| Source::new(relative(path), fs::read_to_string(path).unwrap())).collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

impl Source {
    pub(crate) fn new(path: String, text: String) -> Self {
        let tokens = tokens(&without_texts(&text));
        Self { path, text, tokens }
    }

    /// The room it belongs to: the first name behind `src/`.
    pub(crate) fn room(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Whether all of it is for tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// Every word and sign.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// What is compiled into the program: without what stands behind `#[cfg(test)]`.
    pub(crate) fn production(&self) -> Vec<Token> {
        const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
        let mut kept = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let ahead = self.tokens[at..].iter().take(CFG_TEST.len()).map(|token| token.text.as_str());
            if ahead.eq(CFG_TEST) {
                at = end_of_item(&self.tokens, at + CFG_TEST.len());
            } else {
                kept.push(self.tokens[at].clone());
                at += 1;
            }
        }
        kept
    }

    /// The top-level modules that paths in `tokens` begin with: `crate::store`, `crate::{app, cli}`,
    /// `super::super::flow`, and `callboard::cli` in the program.
    pub(crate) fn rooms_named(&self, tokens: &[Token]) -> Vec<Token> {
        let mut named = Vec::new();
        let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token: &Token| token.text == text);
        for at in 0..tokens.len() {
            let behind_a_path = at > 0 && is(at - 1, "::");
            let root = match tokens[at].text.as_str() {
                "crate" | "callboard" if is(at + 1, "::") && !behind_a_path => at + 2,
                "super" if !behind_a_path => {
                    let ups = (0..).take_while(|up| is(at + 2 * up, "super") && is(at + 2 * up + 1, "::")).count();
                    if ups == 0 || ups < self.depth() {
                        continue;
                    }
                    at + 2 * ups
                }
                _ => continue,
            };
            if is(root, "{") {
                named.extend(first_names(&tokens[root..]));
            } else {
                named.extend(tokens.get(root).cloned());
            }
        }
        named
    }

    /// How many `super` lead from here to the top.
    fn depth(&self) -> usize {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        below.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).count()
    }

    /// Every function with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let tokens = &self.tokens;
        let mut functions = Vec::new();
        for at in 0..tokens.len().saturating_sub(1) {
            let is_named = tokens[at + 1].text.starts_with(|c: char| c.is_alphabetic() || c == '_');
            if tokens[at].text != "fn" || !is_named {
                continue;
            }
            let end = end_of_item(tokens, at);
            if tokens[end - 1].text == "}" {
                let (first, last) = (tokens[at].line, tokens[end - 1].line);
                functions.push(Function { name: tokens[at + 1].text.clone(), line: first, lines: last - first + 1 });
            }
        }
        functions
    }

    /// The names of the public asynchronous functions in `impl Tx` blocks.
    pub(crate) fn queries(&self) -> Vec<String> {
        let texts: Vec<&str> = self.tokens.iter().map(|token| token.text.as_str()).collect();
        let mut names = Vec::new();
        for at in 0..texts.len() {
            if texts[at..].starts_with(&["impl", "Tx", "{"]) {
                let block = &texts[at..end_of_item(&self.tokens, at)];
                let public = block.windows(4).filter(|window| window.starts_with(&["pub", "async", "fn"]));
                names.extend(public.map(|window| window[3].to_owned()));
            }
        }
        names
    }
}

/// Behind the `;` or the closing brace that ends the item which begins at `from`.
fn end_of_item(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0_i32;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && (token.text == ";" || token.text == "}") {
            return at + 1;
        }
    }
    tokens.len()
}

/// The first name of every path in `{…}`.
fn first_names(tokens: &[Token]) -> Vec<Token> {
    let mut depth = 0;
    let mut named = Vec::new();
    for pair in tokens.windows(2) {
        match pair[0].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && ["{", ","].contains(&pair[0].text.as_str()) && pair[1].text != "}" {
            named.push(pair[1].clone());
        }
    }
    named
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let length = match first {
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                c => c.len_utf8(),
            };
            tokens.push(Token { text: rest[..length].to_owned(), line: number + 1 });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// The text with comments and literals blanked out, line by line as long as it was.
fn without_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let length = literal(rest, text[..at].chars().next_back());
        let step = length.unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
        match length {
            Some(_) => code.extend(rest[..step].chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => code.push_str(&rest[..step]),
        }
        at += step;
    }
    code
}

/// How long the comment or literal is that begins here, if one does.
fn literal(rest: &str, before: Option<char>) -> Option<usize> {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if rest.starts_with('\'') {
        let mut chars = rest.chars().skip(1);
        let is_char = match (chars.next(), chars.next()) {
            (Some('\\'), _) => true,
            (_, after) => after == Some('\''),
        };
        return is_char.then(|| quoted(rest, '\''));
    }
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).filter(|_| !in_word)?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    let inner = raw[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let closing = inner.find(&end).map_or(inner.len(), |found| found + end.len());
    Some(rest.len() - inner.len() + closing)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}
