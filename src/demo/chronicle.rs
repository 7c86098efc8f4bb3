//! What happened to each task and why, in words: from what was planned and what was told. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::journal::{Happening, Taken, TaskName, What};
use super::plan::{Calls, End, Plan, Says};
use super::summary::{Row, Sink, Summary};
use super::told::Told;
use crate::domain::clock::Timestamp;

/// So many characters are shown of what was written for others to read.
const SHOWN: usize = 72;

/// Everything that was heard, and the lines that came of it.
#[derive(Debug, Default)]
pub struct Chronicle {
    stories: BTreeMap<TaskName, Story>,
    /// Each event's type, by its id.
    events: BTreeMap<String, String>,
    sinks: BTreeMap<&'static str, Sink>,
    /// The events of tasks that no provider of ours made.
    strangers: BTreeSet<String>,
}

/// What is known of one task.
#[derive(Debug)]
struct Story {
    plan: Plan,
    calls_back: bool,
    /// How often its callback was tried, and whether one was taken.
    tries: u32,
    taken: bool,
    forged: bool,
    lost: bool,
    conflict: bool,
    heard_the_end: bool,
    told: Option<Told>,
    /// How many ends were told.
    ends: usize,
}

impl Chronicle {
    /// Takes a happening; gives the lines that tell it.
    pub fn hear(&mut self, happening: &Happening) -> Vec<String> {
        let at = happening.at;
        match &happening.what {
            What::Made { task, plan, calls_back } => {
                self.stories.insert(task.clone(), Story::new(plan.clone(), *calls_back));
                vec![line(at, &task.source, &task.id, &format!("submitted: {}", foretold(plan, *calls_back)))]
            }
            What::Posted { task, says, status, attempt, taken, next_at } => {
                if let Some(story) = self.stories.get_mut(task) {
                    story.posted(*says, *attempt, taken);
                }
                let who = match says {
                    Says::Forgery => "a forger posts",
                    _ => "it calls back",
                };
                let again = if *attempt > 1 { format!(" (try {attempt})") } else { String::new() };
                let how = how_taken(taken, *says, next_at.map(|next| next.since(at)));
                vec![line(at, &task.source, &task.id, &format!("{who} `{}`{again}: {how}", status.as_str()))]
            }
            What::Lost { task } => {
                if let Some(story) = self.stories.get_mut(task) {
                    story.lost = true;
                }
                vec![line(at, &task.source, &task.id, "its callback is lost on the way")]
            }
            What::Asked { task, status } => {
                let Some(story) = self.stories.get_mut(task) else { return Vec::new() };
                // Of all the questions, the one that is news.
                if !status.is_terminal() || story.told.is_some() || story.heard_the_end {
                    return Vec::new();
                }
                story.heard_the_end = true;
                vec![line(at, &task.source, &task.id, &format!("asked, it is `{}`", status.as_str()))]
            }
            What::Told { sink, event } => self.told(at, sink, event),
            What::Got { sink, line: text, taken } => {
                self.sink(sink, *taken);
                let what = if *taken { "got" } else { "refused" };
                vec![line(at, sink, what, &short(text))]
            }
        }
    }

    fn told(&mut self, at: Timestamp, sink: &'static str, event: &Told) -> Vec<String> {
        self.sink(sink, true);
        if self.events.insert(event.event_id.clone(), event.kind.clone()).is_some() {
            return Vec::new();
        }
        let Some(task) = &event.task else {
            return vec![line(at, sink, "got", &event.kind)];
        };
        let mut lines = vec![line(at, sink, "got", &format!("{} of {}{}", event.kind, task.id, how_known(event)))];
        let Some(story) = self.stories.get_mut(task) else {
            self.strangers.insert(event.event_id.clone());
            return lines;
        };
        story.conflict |= event.kind == "task.conflict";
        if event.is_the_end() {
            story.ends += 1;
            story.told.get_or_insert_with(|| event.clone());
            lines.push(line(at, &task.source, &task.id, &format!("= {}", story.why())));
        }
        lines
    }

    fn sink(&mut self, sink: &'static str, taken: bool) {
        let counted = self.sinks.entry(sink).or_default();
        if taken { counted.taken += 1 } else { counted.refused += 1 }
    }

    /// What happened to a task and why, in a sentence. `None` where its end was not told yet.
    pub fn why(&self, task: &TaskName) -> Option<String> {
        self.stories.get(task).filter(|story| story.told.is_some()).map(Story::why)
    }

    /// How many tasks were submitted, and how many of them have not been told an end.
    pub fn counts(&self) -> (usize, usize) {
        (self.stories.len(), self.stories.values().filter(|story| story.told.is_none()).count())
    }

    /// Everything in numbers.
    pub fn summary(&self) -> Summary {
        let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
        for (task, story) in &self.stories {
            let row = rows.entry(&task.source).or_insert_with(|| Row::new(&task.source));
            story.count(row);
        }
        let mut events: BTreeMap<String, usize> = BTreeMap::new();
        for kind in self.events.values() {
            *events.entry(kind.clone()).or_default() += 1;
        }
        Summary {
            rows: rows.into_values().collect(),
            events,
            sinks: self.sinks.clone(),
            strangers: self.strangers.len(),
        }
    }
}

impl Story {
    fn new(plan: Plan, calls_back: bool) -> Self {
        Self {
            plan,
            calls_back,
            tries: 0,
            taken: false,
            forged: false,
            lost: false,
            conflict: false,
            heard_the_end: false,
            told: None,
            ends: 0,
        }
    }

    fn posted(&mut self, says: Says, attempt: u32, taken: &Taken) {
        match says {
            Says::Forgery => self.forged = true,
            Says::Processing => {}
            Says::TheEnd => {
                self.tries = self.tries.max(attempt);
                self.taken |= matches!(taken, Taken::Well(_));
            }
        }
    }

    /// Whether what was told is not what was planned.
    fn mismatch(&self) -> bool {
        let is_other = |told: &Told| told.forged || told.status != Some(self.plan.end.told());
        self.ends > 1 || self.told.as_ref().is_some_and(is_other)
    }

    fn was_polled(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.observed_via.as_deref() == Some("poll"))
    }

    fn count(&self, row: &mut Row) {
        row.submitted += 1;
        let Some(told) = &self.told else {
            row.open += 1;
            return;
        };
        match told.kind.as_str() {
            "task.completed" => row.completed += 1,
            "task.failed" => row.failed += 1,
            _ => row.cancelled += 1,
        }
        row.called_back += usize::from(self.taken);
        row.polled += usize::from(self.was_polled());
        row.forged += usize::from(self.forged);
        row.forged_caught += usize::from(self.forged && !self.mismatch());
        row.conflicts += usize::from(self.conflict);
        row.mismatches += usize::from(self.mismatch());
    }

    fn why(&self) -> String {
        let Some(told) = &self.told else { return "not told yet".to_owned() };
        let status = told.status.map_or(told.kind.as_str(), |status| status.as_str());
        let error = told.error.as_ref().map(|code| format!(" with `{code}`")).unwrap_or_default();
        if self.ends > 1 {
            return format!("MISMATCH: {} ends were told of one task", self.ends);
        }
        if self.mismatch() {
            let forged = if told.forged { ", with a forged link" } else { "" };
            let planned = self.plan.end.told();
            return format!("MISMATCH: told `{status}`{forged}, but it is `{}`", planned.as_str());
        }
        format!("{status}{error}, as it was: {}", self.reason())
    }

    fn reason(&self) -> &'static str {
        if self.was_polled() {
            return match self.plan.calls {
                _ if !self.calls_back => "nobody calls back for it, so the provider was asked",
                _ if self.lost => "its callback was lost, so the provider was asked",
                Calls::Never => "its callback never came, so the provider was asked",
                Calls::Late(_) => "its callback was late, so the provider was asked first",
                Calls::Forged => "what a forger said was checked with the provider",
                _ if self.tries > 0 && !self.taken => "its callback was not taken, so the provider was asked",
                _ => "the provider was asked",
            };
        }
        match self.plan.calls {
            Calls::FiveAtOnce => "it called back five times at once, and was told once",
            Calls::OutOfOrder => "an older status comes after its end, and changes nothing",
            Calls::Forged => "what a forger said before was not told",
            Calls::Late(_) => "its callback was late, and nobody had asked before",
            Calls::Lagging(_) => "it called back before its own status said so",
            _ if self.tries > 1 => "it called back until it was heard",
            _ => "it called back once",
        }
    }
}

/// `12:00:03  evolink     task-1  text`.
fn line(at: Timestamp, who: &str, which: &str, text: &str) -> String {
    let written = at.to_string();
    let time = written.get(11..19).unwrap_or(&written);
    format!("{time}  {who:<10}  {which}  {text}")
}

fn foretold(plan: &Plan, calls_back: bool) -> String {
    let end = match &plan.end {
        End::Completed => "completed".to_owned(),
        End::Failed { code, .. } => format!("failed with `{code}`"),
        End::Cancelled => "cancelled".to_owned(),
    };
    let calls = match plan.calls {
        _ if !calls_back => "without a callback".to_owned(),
        Calls::Normal => "with a callback".to_owned(),
        Calls::Never => "and its callback will never come".to_owned(),
        Calls::FiveAtOnce => "with five callbacks at once".to_owned(),
        Calls::OutOfOrder => "with a callback, and an older one after it".to_owned(),
        Calls::Late(by) => format!("with a callback {} later", span(by)),
        Calls::Forged => "with a callback, and a forged one before".to_owned(),
        Calls::Lagging(lag) => format!("with a callback that is {} ahead of its status", span(lag)),
    };
    format!("after {} {end}, {calls}", span(plan.ends_after()))
}

fn how_taken(taken: &Taken, says: Says, next: Option<Duration>) -> String {
    let why = match taken {
        Taken::Well(outcome) => return outcome.clone().unwrap_or_else(|| "taken".to_owned()),
        Taken::Badly(status) => format!("HTTP {status}"),
        Taken::NotAtAll(why) => why.clone(),
    };
    match next {
        Some(wait) => format!("{why}, again in {}", span(wait)),
        None if says == Says::Forgery => why,
        None => format!("{why}, given up"),
    }
}

fn how_known(event: &Told) -> String {
    let via = event.observed_via.as_ref().map(|via| format!(", known by {via}")).unwrap_or_default();
    let confirmed = if event.confirmed { ", confirmed" } else { "" };
    format!("{via}{confirmed}")
}

/// A text, cut off where it is too long for a line.
fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `800 ms`, `42 s`, `3 m 5 s`.
fn span(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (0, millis) => format!("{millis} ms"),
        (seconds @ 1..60, _) => format!("{seconds} s"),
        (seconds, _) if seconds % 60 == 0 => format!("{} m", seconds / 60),
        (seconds, _) => format!("{} m {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests;
