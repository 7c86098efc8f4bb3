//! `[retention]`: how long what came in, and what was told of it, is kept.

use std::time::Duration;

use super::section::Section;
use super::{Retention, value};

/// The default of contract §3.
const CALLBACKS: Duration = Duration::from_secs(30 * 86_400);
/// The default of contract §3.
const EVENTS: Duration = Duration::from_secs(365 * 86_400);

/// What is written where nothing is ever removed.
const FOREVER: &str = "forever";

pub(super) fn retention(mut section: Section<'_>) -> Retention {
    let mut read = |key| section.read(key, "a duration such as \"30d\", or \"forever\"", age);
    let callbacks = read("callbacks").map_or(Some(CALLBACKS), |found| found.value);
    let events = read("events").map_or(Some(EVENTS), |found| found.value);
    section.finish();
    Retention { callbacks, events }
}

/// `None` is for ever.
fn age(text: &str) -> Result<Option<Duration>, String> {
    match text {
        FOREVER => Ok(None),
        "off" | "never" | "none" | "0" | "" => Err(format!("`{text}` is not clear here: {}", keep_all())),
        _ => match value::positive(text) {
            Ok(age) => Ok(Some(age)),
            Err(problem) => Err(format!("{problem}; {}", keep_all())),
        },
    }
}

fn keep_all() -> String {
    format!("to keep everything, write \"{FOREVER}\"")
}
