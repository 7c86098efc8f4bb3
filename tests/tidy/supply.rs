//! What we build on: licences, versions, and what must not come in. `cargo deny check` (see .deny.toml)
//! looks at the same and at the advisories, for which it needs the network; this part needs none.

use std::process::Command;

use serde_json::Value;

use crate::source::{project, toml_file};

/// One crate of the lock file: its name and its version's numbers.
struct Locked {
    name: String,
    version: Vec<u64>,
    /// Where it comes from; our own comes from nowhere.
    source: Option<String>,
}

fn locked() -> Vec<Locked> {
    let lock = toml_file("Cargo.lock");
    let packages = lock["package"].as_array().unwrap();
    packages
        .iter()
        .map(|package| Locked {
            name: package["name"].as_str().unwrap().to_owned(),
            version: numbers(package["version"].as_str().unwrap()),
            source: package.get("source").map(|source| source.as_str().unwrap().to_owned()),
        })
        .collect()
}

fn numbers(version: &str) -> Vec<u64> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    core.split('.').map(|part| part.parse().unwrap()).collect()
}

/// Two of these in one program would not work together, or double what must be watched.
const ONLY_ONE: [&str; 8] =
    ["rustls", "tokio", "reqwest", "hyper", "ring", "libsqlite3-sys", "sqlx-core", "rustls-webpki"];

/// TLS comes from rustls with ring. Anything else would be a second implementation to watch, and most
/// need more than a C compiler to build.
const BANNED: [&str; 6] = ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "boring"];

/// The oldest version without a known fault that concerns us. Those that are not in the lock file may stay out.
const FLOORS: &[(&str, &str, &str)] = &[
    ("actix-http", "3.12.1", "request smuggling by Content-Length beside Transfer-Encoding"),
    ("actix-files", "0.6.10", "a panic on an empty Range"),
    ("bytes", "1.11.1", "RUSTSEC-2026-0007"),
    ("h2", "0.4.16", "RUSTSEC-2026-0258"),
    ("hickory-proto", "0.26.1", "RUSTSEC-2026-0119"),
    ("idna", "1.0.0", "RUSTSEC-2024-0421"),
    ("lettre", "0.11.22", "RUSTSEC-2026-0141"),
    ("libsqlite3-sys", "0.37.0", "SQLite before 3.51.3 can corrupt a WAL database"),
    ("rustls", "0.23.18", "RUSTSEC-2024-0399"),
    ("rustls-webpki", "0.103.13", "RUSTSEC-2026-0104"),
    ("sqlx-core", "0.9.0", "RUSTSEC-2024-0363, and the SQLite version above"),
    ("time", "0.3.47", "RUSTSEC-2026-0009"),
    ("tracing-subscriber", "0.3.20", "RUSTSEC-2025-0055"),
];

#[test]
fn every_crate_comes_from_the_registry_and_none_is_banned() {
    let all = locked();
    let registry = all.iter().find_map(|package| package.source.clone());
    for package in all {
        let elsewhere = package.source.as_ref().is_some_and(|source| !source.starts_with("registry+"));
        let other = package.source.is_some() && package.source != registry;
        assert!(!elsewhere && !other, "{} comes from elsewhere than all the others", package.name);
        assert!(!BANNED.contains(&package.name.as_str()), "{} is banned", package.name);
    }
}

#[test]
fn what_must_be_there_once_is_there_once() {
    let locked = locked();
    for name in ONLY_ONE {
        let versions: Vec<_> = locked.iter().filter(|package| package.name == name).map(|p| &p.version).collect();
        assert_eq!(versions.len(), 1, "{name}: {versions:?}");
    }
}

#[test]
fn no_crate_is_older_than_its_floor() {
    for package in locked() {
        for (name, floor, why) in FLOORS.iter().filter(|(name, ..)| *name == package.name) {
            assert!(package.version >= numbers(floor), "{name} {:?} is below {floor}: {why}", package.version);
        }
    }
}

/// Each of the licences that .deny.toml allows, and nothing else, is what crates come under.
#[test]
fn every_licence_is_allowed() {
    let deny = toml_file(".deny.toml");
    let allowed: Vec<&str> = deny["licenses"]["allow"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for package in metadata()["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} says no licence"));
        assert!(is_allowed(licence, &allowed), "{name} is under `{licence}`, which .deny.toml does not allow");
    }
}

/// What is compiled for this machine, tests included. Other platforms' crates are `cargo deny`'s to judge.
fn metadata() -> Value {
    let cargo = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO")).current_dir(project()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let about = cargo(&["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo -vV names its host");
    let text = cargo(&["metadata", "--locked", "--format-version=1", "--filter-platform", host]);
    serde_json::from_str(&text).unwrap()
}

/// Reads an SPDX expression as far as crates use it: OR, AND, parentheses, and the old slash for OR.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().collect::<Vec<_>>();
    words.reverse();
    either(&mut words, allowed)
}

fn either(words: &mut Vec<&str>, allowed: &[&str]) -> bool {
    let mut holds = both(words, allowed);
    while words.last() == Some(&"OR") {
        words.pop();
        holds |= both(words, allowed);
    }
    holds
}

fn both(words: &mut Vec<&str>, allowed: &[&str]) -> bool {
    let mut holds = one(words, allowed);
    while words.last() == Some(&"AND") {
        words.pop();
        holds &= one(words, allowed);
    }
    holds
}

fn one(words: &mut Vec<&str>, allowed: &[&str]) -> bool {
    let Some(word) = words.pop() else { return false };
    if word == "(" {
        let holds = either(words, allowed);
        return words.pop() == Some(")") && holds;
    }
    if words.last() == Some(&"WITH") {
        words.pop();
        let exception = words.pop().unwrap_or_default();
        return allowed.contains(&format!("{word} WITH {exception}").as_str());
    }
    allowed.contains(&word)
}

#[test]
fn licence_expressions_are_read() {
    let allowed = ["MIT", "ISC", "Apache-2.0"];
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "(MIT OR GPL-3.0) AND ISC", "X WITH Y OR MIT"] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "Apache-2.0 WITH X", "", "MIT AND (ISC"] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}
