//! The demo, as a newcomer runs it: the service as it is, in the midst of simulated providers.

use std::collections::BTreeSet;

use super::process::{Place, Ran, Service, Signal, end_of};
use super::record::PATIENCE;

/// Among the first twelve tasks of this seed are forged ones and forgotten ones, and a trouble comes on the way.
const TWELVE: [&str; 7] = ["demo", "--tasks", "12", "--seed", "5", "--speed", "300"];

/// A row of the table at the end, by the names of its columns.
fn cell(out: &str, row: &str, column: &str) -> usize {
    let words =
        |line: &str| line.split("  ").filter(|word| !word.is_empty()).map(|word| word.trim().to_owned()).collect();
    let table = out.lines().skip_while(|line| !line.starts_with("provider  "));
    let table: Vec<Vec<String>> = table.map(words).collect();
    let place = table[0].iter().position(|name| name == column).unwrap_or_else(|| panic!("no {column}: {out}"));
    let found = table.iter().find(|words| words[0] == row).unwrap_or_else(|| panic!("no {row}: {out}"));
    found[place].parse().unwrap()
}

/// What was planned for each task, by its number: what follows from the seed.
fn plans(out: &str) -> BTreeSet<String> {
    let submitted = out.lines().filter_map(|line| {
        let (before, plan) = line.split_once(": after ")?;
        let (who, _) = before.split_once(" submitted as ")?;
        Some(format!("{} {plan}", who.split_once("  ")?.1.split_once("  ")?.1.trim()))
    });
    submitted.collect()
}

#[test]
fn every_task_is_told_as_it_is_the_forged_and_the_forgotten_too() {
    let place = Place::new();
    let mut command = place.command(&TWELVE);
    command.env("TMPDIR", place.path(""));
    let Ran { code, out, err } = end_of(command);
    assert_eq!(code, Some(0), "{out}\n{err}");
    let all = |column| cell(&out, "all", column);
    assert_eq!((all("submitted"), all("open"), all("mismatches")), (12, 0, 0), "{out}");
    assert_eq!(all("completed") + all("failed") + all("cancelled"), 12, "{out}");
    assert!(all("forged") > 0 && all("caught") == all("forged"), "{out}");
    assert!(all("polled") > 0 && all("called back") > 0, "{out}");
    for said in [
        "its callback never came, so the provider was asked",
        "nobody calls back for it, so the provider was asked",
        "it calls back `completed`: accepted",
        "a forger posts `completed`: accepted, no event yet",
        "the forged callback is `disputed`: the provider, when asked, denied it",
        "trouble     slack takes no messages for ",
        "webhook     got task.completed, known by poll, confirmed",
        "slack       got ✅ ",
        "mail        got to ops@example.com: ",
    ] {
        assert!(out.contains(said), "{said}\n{out}");
    }
    let left = std::fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_same_seed_plays_the_same_tasks() {
    let place = Place::new();
    let play = |seed: &str| plans(&place.run(&["demo", "--tasks", "3", "--seed", seed, "--speed", "1000"]).out);
    let first = play("5");
    assert_eq!(first.len(), 3);
    assert_eq!(first, play("5"));
    assert_ne!(first, play("6"));
}

#[test]
fn it_goes_on_until_it_is_interrupted_and_then_sums_up() {
    let place = Place::new();
    let demo = Service::start(place.command(&["demo", "--speed", "600", "--listen", "127.0.0.1:0"]));
    let out = demo.out.clone();
    out.until("three tasks have ended", |lines| {
        (lines.iter().filter(|line| line.contains("  = ")).count() >= 3).then_some(())
    });
    demo.signal(Signal::Interrupt);
    assert_eq!(demo.end(PATIENCE).code(), Some(0), "{:#?}", out.all());
    let out = out.all().join("\n");
    assert!(cell(&out, "all", "submitted") >= 3, "{out}");
    assert_eq!(cell(&out, "all", "mismatches"), 0, "{out}");
}

#[test]
fn what_it_cannot_play_is_a_wrong_usage() {
    let place = Place::new();
    for (arguments, said) in [
        (["demo", "--speed", "0"], "1 to 1000"),
        (["demo", "--tasks", "0"], "0 is not in"),
        (["demo", "--listen", "192.0.2.1:8080"], "write 127.0.0.1:PORT"),
    ] {
        let Ran { code, err, .. } = place.run(&arguments);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
}
