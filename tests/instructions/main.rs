//! What the steps of a callback's way cost, in instructions, held against what they cost before.
//!
//! Time on a shared machine is too noisy to notice that something became a twentieth slower; instructions are counted by
//! Valgrind and are almost the same each time. A step is run few and many times, and what one more costs is the
//! difference. It is told in units of a loop of this file, so that another compiler, which changes all of them, does not
//! look like a change of one. The steps are built as the tests are, without optimization: what is held is how much is
//! done, not how fast.
//!
//! The test needs Valgrind (Debian: `apt-get install valgrind`).

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail where it likes, reads what its parent gave it, and says how a baseline is stored"
)]

mod steps;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use steps::STEPS;

/// Names the step that the child runs, and how often.
const STEP: &str = "CALLBOARD_TEST_STEP";
const TIMES: &str = "CALLBOARD_TEST_TIMES";
/// Set to anything, stores what is measured as what it is to be from now on.
const STORE: &str = "CALLBOARD_TEST_STORE";
/// What everything is measured in.
const UNIT: &str = "unit";
/// A step may cost so much more than before: what hash maps and ids of chance make of it is below half of that.
const TOLERANCE: f64 = 0.03;

fn baseline() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/instructions/baseline.txt")
}

/// How many instructions this program takes in all to run a step so often.
fn count(step: &str, times: usize) -> u64 {
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "one_step", "--ignored", "--test-threads=1"])
        .env(STEP, step)
        .env(TIMES, times.to_string())
        .output();
    let output = valgrind.expect("this test needs Valgrind, which cannot be run: `apt-get install valgrind` on Debian");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{step} fails:\n{said}{}", String::from_utf8_lossy(&output.stdout));
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.unwrap_or_else(|| panic!("Valgrind told no count of {step}:\n{said}"))
}

/// How many instructions one more time of each step costs.
fn measured() -> BTreeMap<&'static str, f64> {
    let cost = |few: usize, many: usize, step: &str| {
        let more = count(step, many).saturating_sub(count(step, few));
        more as f64 / (many - few) as f64
    };
    STEPS.iter().map(|step| (step.name, cost(step.few, step.many, step.name))).collect()
}

/// A stored baseline: a name and a number of units a line.
fn read(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).map(|(name, units)| (name, units.trim().parse().unwrap())).collect()
}

fn written(units: &BTreeMap<&str, f64>) -> String {
    let head = format!("# What a step costs, in units of a loop. Stored by {STORE}=1 cargo test --test instructions\n");
    units.iter().fold(head, |text, (name, units)| text + &format!("{name} {units:.4}\n"))
}

/// What grew beyond the tolerance, and what is in one of both only.
fn grown(before: &BTreeMap<&str, f64>, now: &BTreeMap<&str, f64>) -> Vec<String> {
    let names = before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} is measured no more"));
    let grown = now.iter().filter_map(|(name, units)| match before.get(name) {
        None => Some(format!("{name} is new: {units:.4} units")),
        Some(before) => {
            let more = units / before - 1.0;
            (more > TOLERANCE)
                .then(|| format!("{name} grew by {:.1} %: from {before:.4} to {units:.4} units", more * 100.0))
        }
    });
    grown.chain(names).collect()
}

#[test]
fn no_step_costs_more_than_before() {
    let mut instructions = measured();
    let unit = instructions.remove(UNIT).unwrap();
    let units: BTreeMap<&str, f64> = instructions.iter().map(|(name, cost)| (*name, cost / unit)).collect();
    for (name, cost) in &instructions {
        println!("{name}: {cost:.0} instructions, {:.4} units", units[name]);
    }
    if std::env::var_os(STORE).is_some() {
        std::fs::write(baseline(), written(&units)).unwrap();
        return;
    }
    let before = std::fs::read_to_string(baseline()).unwrap();
    let grown = grown(&read(&before), &units);
    assert!(
        grown.is_empty(),
        "{}\nif that is meant, store it and say why in the commit: {STORE}=1 cargo test --test instructions",
        grown.join("\n")
    );
}

/// What Valgrind runs.
#[test]
#[ignore = "the other test runs it, under Valgrind"]
fn one_step() {
    let of = |name| std::env::var(name).expect("the other test sets it");
    let step = STEPS.iter().find(|step| of(STEP) == step.name).expect("a step");
    (step.run)(of(TIMES).parse().unwrap());
}

#[test]
fn what_grew_is_named() {
    let stored = written(&[("parse", 10.0), ("sign", 2.0), ("gone", 1.0)].into());
    let before = read(&stored);
    let now = [("parse", 10.29), ("sign", 2.07), ("new", 3.0)].into();
    let told =
        ["new is new: 3.0000 units", "sign grew by 3.5 %: from 2.0000 to 2.0700 units", "gone is measured no more"];
    assert_eq!(grown(&before, &now), told);
    assert_eq!(grown(&before, &before), Vec::<String>::new());
}
