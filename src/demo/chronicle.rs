//! What happened to each task and why, in words: from what was planned and what was told. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::journal::{Happening, Taken, TaskName, What};
use super::plan::{Calls, End, Plan, Says};
use super::summary::{Row, Sink, Summary};
use super::told::Told;
use crate::domain::clock::Timestamp;
use crate::domain::task::Status;

/// So many characters are shown of what was written for others to read.
const SHOWN: usize = 72;

/// So many stories and events are remembered, the newest; of older ones only how many there were.
const KEPT: usize = 10_000;
/// Whom a message for people speaks of is looked for among so many tasks, the newest.
const LOOKED_AT: usize = 256;

/// Everything that was heard, and the lines that came of it.
#[derive(Debug, Default)]
pub struct Chronicle {
    stories: BTreeMap<TaskName, Story>,
    /// The tasks in the order in which they were made.
    order: VecDeque<TaskName>,
    /// How many were made.
    made: usize,
    /// The stories that are not remembered any more.
    past: BTreeMap<String, Row>,
    /// The ids of the events, which are in the order of their times.
    events: BTreeSet<String>,
    /// How many events there were of each type.
    kinds: BTreeMap<String, usize>,
    sinks: BTreeMap<&'static str, Sink>,
    /// How many events were of tasks that no provider of ours made.
    strangers: usize,
}

/// What is known of one task.
#[derive(Debug)]
struct Story {
    /// Which task it is, from 1.
    number: usize,
    plan: Plan,
    calls_back: bool,
    /// How often its callback was tried, and whether one was taken.
    tries: u32,
    taken: bool,
    forged: bool,
    lost: bool,
    conflict: bool,
    /// Whether it was said that the provider was asked and told the end, or denied a forged one.
    heard_the_end: bool,
    heard_the_lie: bool,
    told: Option<Told>,
    /// Whether its end was known by asking, before any true callback.
    was_polled: bool,
    /// How many ends were told.
    ends: usize,
}

impl Chronicle {
    /// Takes a happening; gives the lines that tell it.
    pub fn hear(&mut self, happening: &Happening) -> Vec<String> {
        let at = happening.at;
        match &happening.what {
            What::Made { task, plan, calls_back } => {
                self.begin(task, plan, *calls_back);
                vec![self.of(task, at, &format!("submitted as {}: {}", task.id, foretold(plan, *calls_back)))]
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
                vec![self.of(task, at, &format!("{who} `{}`{again}: {how}", status.as_str()))]
            }
            What::Lost { task } => {
                if let Some(story) = self.stories.get_mut(task) {
                    story.lost = true;
                }
                vec![self.of(task, at, "its callback is lost on the way")]
            }
            What::Asked { task, status } => {
                let is_news = self.stories.get_mut(task).is_some_and(|story| story.asked(*status));
                let said = format!("asked, the provider says `{}`", status.as_str());
                if is_news { vec![self.of(task, at, &said)] } else { Vec::new() }
            }
            What::Told { sink, event } => self.told(at, sink, event),
            What::Got { sink, line: text, taken } => {
                self.sink(sink, *taken);
                let what = if *taken { "got" } else { "refused" };
                vec![line(at, self.spoken_of(text), sink, &format!("{what} {}", short(text)))]
            }
            What::Judged { task, outcome, detail } => {
                vec![self.of(task, at, &format!("the forged callback is `{outcome}`: {detail}"))]
            }
            What::Failed { task, destination, attempt, reason, next_at } => {
                let next = match next_at {
                    Some(next) => format!("again in {}", span(next.since(at))),
                    None => "given up".to_owned(),
                };
                let text = format!("{destination}, try {attempt}: {reason}; {next}");
                vec![line(at, task.as_ref().and_then(|task| self.number(task)), "callboard", &text)]
            }
            What::Troubled { trouble, lasts } => {
                let text = match lasts {
                    Some(lasts) => format!("{} for {}", trouble.what(), span(*lasts)),
                    None => format!("no more: {}", trouble.what()),
                };
                vec![line(at, None, "trouble", &text)]
            }
        }
    }

    fn begin(&mut self, task: &TaskName, plan: &Plan, calls_back: bool) {
        self.made += 1;
        self.stories.insert(task.clone(), Story::new(self.made, plan.clone(), calls_back));
        self.order.push_back(task.clone());
        if self.order.len() <= KEPT {
            return;
        }
        let Some(oldest) = self.order.pop_front() else { return };
        match self.stories.remove(&oldest) {
            Some(story) if story.told.is_some() => {
                story.count(self.past.entry(oldest.source.clone()).or_insert_with(|| Row::new(&oldest.source)));
            }
            Some(story) => {
                self.order.push_back(oldest.clone());
                self.stories.insert(oldest, story);
            }
            None => {}
        }
    }

    fn told(&mut self, at: Timestamp, sink: &'static str, event: &Told) -> Vec<String> {
        self.sink(sink, true);
        if !self.events.insert(event.event_id.clone()) {
            return Vec::new();
        }
        if self.events.len() > KEPT {
            self.events.pop_first();
        }
        *self.kinds.entry(event.kind.clone()).or_default() += 1;
        let Some(task) = &event.task else {
            return vec![line(at, None, sink, &format!("got {}", event.kind))];
        };
        let mut lines = vec![line(at, self.number(task), sink, &format!("got {}{}", event.kind, how_known(event)))];
        let Some(story) = self.stories.get_mut(task) else {
            self.strangers += 1;
            return lines;
        };
        story.conflict |= event.kind == "task.conflict";
        if event.is_the_end() {
            story.ended(event);
            let why = story.why();
            lines.push(self.of(task, at, &format!("= {why}")));
        }
        lines
    }

    /// The line of a task that its provider writes.
    fn of(&self, task: &TaskName, at: Timestamp, text: &str) -> String {
        line(at, self.number(task), &task.source, text)
    }

    fn number(&self, task: &TaskName) -> Option<usize> {
        self.stories.get(task).map(|story| story.number)
    }

    /// The task whose id is in a text.
    fn spoken_of(&self, text: &str) -> Option<usize> {
        let task = self.order.iter().rev().take(LOOKED_AT).find(|task| text.contains(&task.id))?;
        self.number(task)
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
        (self.made, self.stories.values().filter(|story| story.told.is_none()).count())
    }

    /// Everything in numbers.
    pub fn summary(&self) -> Summary {
        let mut rows = self.past.clone();
        for (task, story) in &self.stories {
            story.count(rows.entry(task.source.clone()).or_insert_with(|| Row::new(&task.source)));
        }
        Summary {
            rows: rows.into_values().collect(),
            events: self.kinds.clone(),
            sinks: self.sinks.clone(),
            strangers: self.strangers,
        }
    }
}

impl Story {
    fn new(number: usize, plan: Plan, calls_back: bool) -> Self {
        Self {
            number,
            plan,
            calls_back,
            tries: 0,
            taken: false,
            forged: false,
            lost: false,
            conflict: false,
            heard_the_end: false,
            heard_the_lie: false,
            told: None,
            was_polled: false,
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

    /// Whether it is news what the provider answers: the end, and that what was forged is not true.
    fn asked(&mut self, status: Status) -> bool {
        let is_new = match status.is_terminal() {
            true => !std::mem::replace(&mut self.heard_the_end, true),
            false => self.forged && !std::mem::replace(&mut self.heard_the_lie, true),
        };
        is_new && self.told.is_none()
    }

    fn ended(&mut self, event: &Told) {
        self.ends += 1;
        if self.told.is_none() {
            self.was_polled = event.observed_via.as_deref() == Some("poll") && !self.taken;
            self.told = Some(event.clone());
        }
    }

    /// Whether what was told is not what was planned.
    fn mismatch(&self) -> bool {
        let is_other = |told: &Told| told.forged || told.status != Some(self.plan.end.told());
        self.ends > 1 || self.told.as_ref().is_some_and(is_other)
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
        row.polled += usize::from(self.was_polled);
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
        if self.was_polled {
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

/// `12:00:03  #7    evolink     text`.
fn line(at: Timestamp, number: Option<usize>, who: &str, text: &str) -> String {
    let written = at.to_string();
    let time = written.get(11..19).unwrap_or(&written);
    let number = number.map(|number| format!("#{number}")).unwrap_or_default();
    format!("{time}  {number:<4}  {who:<10}  {text}")
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
