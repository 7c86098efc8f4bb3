//! The rules of the house, held as an ordinary test: who may know whom, how long things may be, what
//! the papers say. ARCHITECTURE.md gives the reasons.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

#[path = "tidy/papers.rs"]
mod papers;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/supply.rs"]
mod supply;

use std::collections::BTreeSet;
use std::fs;

use source::{Source, project, read, sources};

/// Each room and those whose names it may say. The order is that of `src/lib.rs`.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("providers", &["domain"]),
    ("egress", &["domain"]),
    ("channels", &["domain", "egress"]),
    ("config", &["domain", "providers", "channels"]),
    ("store", &["domain"]),
    ("shutdown", &[]),
    ("telemetry", &[]),
    ("flow", &["domain", "providers", "egress", "channels", "config", "store", "shutdown"]),
    ("http", &["domain", "providers", "channels", "config", "store", "shutdown", "flow"]),
    ("app", &["domain", "providers", "egress", "channels", "config", "store", "shutdown", "telemetry", "flow", "http"]),
    ("demo", &["domain", "egress", "shutdown"]),
    (
        "cli",
        &[
            "domain",
            "providers",
            "egress",
            "channels",
            "config",
            "store",
            "shutdown",
            "telemetry",
            "flow",
            "http",
            "app",
            "demo",
        ],
    ),
    ("main", &["cli"]),
];

/// Crates that only some places may name.
const HOMES: &[(&str, &[&str])] = &[
    ("sqlx", &["src/store/"]),
    ("actix_web", &["src/http/", "src/app.rs", "src/demo/listener.rs"]),
    ("askama", &["src/http/dashboard/"]),
    ("reqwest", &["src/egress/"]),
    ("lettre", &["src/channels/email/"]),
    ("anyhow", &["src/main.rs", "src/cli/", "src/app.rs"]),
];

/// Tests that need a crate outside its home.
const STRANGERS: &[(&str, &str)] = &[
    // The public library that checks our signatures takes headers in the type that reqwest re-exports.
    ("src/channels/tests/webhook.rs", "reqwest"),
];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const MAIN_LINES_MAX: usize = 60;
/// Names that say nothing of what is in a module.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"];

fn everything() -> Vec<Source> {
    let mut all = sources("src");
    all.extend(sources("tests"));
    if project().join("benches").is_dir() {
        all.extend(sources("benches"));
    }
    all
}

fn hold(what: &str, broken: Vec<String>) {
    assert!(broken.is_empty(), "{what}:\n  {}", broken.join("\n  "));
}

#[test]
fn rooms_know_only_whom_they_may() {
    let mut broken = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources("src").iter().filter(|source| !source.is_test() && source.path != "src/lib.rs") {
        let room = source.room();
        let Some((_, may)) = MAY_KNOW.iter().find(|(name, _)| *name == room) else {
            broken.push(format!("{}: the room `{room}` is not in MAY_KNOW", source.path));
            continue;
        };
        for named in source.rooms_named(&source.production()) {
            seen.insert((room.to_owned(), named.text.clone()));
            let is_room = MAY_KNOW.iter().any(|(name, _)| *name == named.text);
            if is_room && named.text != room && !may.contains(&named.text.as_str()) {
                broken.push(format!("{}:{}: {room} may not know {}", source.path, named.line, named.text));
            }
        }
    }
    // What it finds where it is known to be: otherwise it would find nothing anywhere.
    for (from, to) in [("main", "cli"), ("cli", "app"), ("app", "http"), ("http", "flow"), ("flow", "store")] {
        assert!(seen.contains(&(from.to_owned(), to.to_owned())), "no path from {from} to {to} was found");
    }
    hold("arrows of ARCHITECTURE.md, \"Who may know whom\"", broken);
}

#[test]
fn crates_stay_in_their_homes() {
    let mut broken = Vec::new();
    for source in sources("src") {
        for (name, homes) in HOMES {
            let at_home = homes.iter().any(|home| source.path.starts_with(home));
            if at_home || STRANGERS.contains(&(source.path.as_str(), name)) {
                continue;
            }
            let named = source.tokens().iter().filter(|token| token.text == *name);
            broken.extend(named.map(|token| format!("{}:{}: {name} is named", source.path, token.line)));
        }
    }
    hold("crates outside their homes", broken);
}

#[test]
fn files_and_functions_stay_short() {
    let mut broken = Vec::new();
    let mut functions = 0;
    for source in everything() {
        let lines = source.text.lines().count();
        let most = if source.path == "src/main.rs" { MAIN_LINES_MAX } else { FILE_LINES_MAX };
        if lines > most {
            broken.push(format!("{}: {lines} lines, at most {most}", source.path));
        }
        for function in source.functions() {
            functions += 1;
            if function.lines > FUNCTION_LINES_MAX {
                let place = format!("{}:{}: {}", source.path, function.line, function.name);
                broken.push(format!("{place} has {} lines, at most {FUNCTION_LINES_MAX}", function.lines));
            }
        }
    }
    assert!(functions > 500, "only {functions} functions were found");
    hold("too long", broken);
}

#[test]
fn modules_are_named_for_what_is_in_them() {
    let said = |source: &Source| {
        let named = source.path.split('/').map(|part| part.trim_end_matches(".rs"));
        let inline = source.tokens().windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1].text.as_str());
        let empty: Vec<String> =
            named.chain(inline).filter(|name| EMPTY_NAMES.contains(name)).map(str::to_owned).collect();
        empty
    };
    let broken = everything();
    let broken = broken.iter().flat_map(|source| said(source).into_iter().map(|name| (name, &source.path)));
    hold("empty names", broken.map(|(name, path)| format!("{path}: `{name}`")).collect());
}

#[test]
fn nothing_is_left_to_be_done() {
    // In parts, so that this file does not find itself.
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let macros = [concat!("to", "do"), concat!("unimple", "mented")];
    let mut broken = Vec::new();
    for source in everything() {
        for (at, line) in source.text.lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.into_iter().any(|word| notes.contains(&word)) {
                broken.push(format!("{}:{}: {}", source.path, at + 1, line.trim()));
            }
        }
        let calls = source.tokens().windows(2).filter(|pair| pair[1].text == "!");
        let calls = calls.filter(|pair| macros.contains(&pair[0].text.as_str()));
        broken.extend(calls.map(|pair| format!("{}:{}: {}!", source.path, pair[0].line, pair[0].text)));
    }
    hold("left to be done", broken);
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(project().join("migrations").join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let (sqlite, postgres) = (names("sqlite"), names("postgres"));
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, postgres);
    let opened = read("src/store/open.rs");
    for name in &sqlite {
        for folder in ["sqlite", "postgres"] {
            let included = format!("../../migrations/{folder}/{name}");
            assert!(opened.contains(&included), "src/store/open.rs does not run {included}");
        }
    }
}

#[test]
fn every_query_is_run_on_both_databases() {
    let tests: Vec<Source> = sources("tests").into_iter().filter(|s| s.path.starts_with("tests/it/store")).collect();
    assert!(
        !tests.is_empty(),
        "tests/it/store.rs, which runs every query of the store on both databases, is not there"
    );
    let called: BTreeSet<&str> = tests
        .iter()
        .flat_map(|source| source.tokens().windows(3))
        .filter(|three| three[0].text == "." && three[2].text == "(")
        .map(|three| three[1].text.as_str())
        .collect();
    let queries: Vec<(String, String)> = sources("src/store")
        .into_iter()
        .flat_map(|source| source.queries().into_iter().map(move |name| (source.path.clone(), name)))
        .collect();
    assert!(queries.len() > 30, "only {} queries were found", queries.len());
    let missing = queries.iter().filter(|(_, name)| !called.contains(name.as_str()));
    hold(
        "queries that tests/it/store.rs does not run",
        missing.map(|(path, name)| format!("{path}: {name}")).collect(),
    );
}

/// The scanner itself, on what could mislead it.
#[test]
fn the_scanner_sees_through_texts_and_tests() {
    let text = r##"
use crate::{store::Tx, flow::{record, fold}};
use super::super::http;
// crate::app
fn f<'a>(x: &'a [u8; 2]) -> char { let _ = ("crate::cli", r#"crate::"cli"#, '"', '\'', b'{'); crate::config::x() }
#[cfg(test)]
#[expect(dead_code, reason = "x")]
mod tests { use crate::app::App; fn g() {} }
trait T { fn h(&self) -> [u8; 1]; }
"##;
    let source = Source::new("src/domain/x.rs".into(), text.into());
    let named: Vec<String> = source.rooms_named(&source.production()).into_iter().map(|token| token.text).collect();
    assert_eq!(named, ["store", "flow", "http", "config"]);
    let functions: Vec<(String, usize)> = source.functions().into_iter().map(|f| (f.name, f.lines)).collect();
    assert_eq!(functions, [("f".to_owned(), 1), ("g".to_owned(), 1)]);
    assert_eq!((source.room(), source.is_test()), ("domain", false));
}
