//! Rollups: what events come to, counted by source, model and day, in numbers that can be added up.
//!
//! Durations are kept as histograms whose buckets grow with the values, so that two days can be merged and still
//! give percentiles. Credits are added as whole millionths, so that a sum never depends on its order.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::event::EventType;
use super::observation::{Via, optional_time};
use super::task::Usage;

/// A day in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day(i64);

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// 9999-12-30: our library writes no time behind it.
const LAST: Day = Day(2_932_895);

impl Day {
    /// The day that a moment lies in.
    pub fn of(at: Timestamp) -> Self {
        Self(at.0.div_euclid(DAY_MS))
    }

    /// Reads it back as it is written. `None` if it is not a date.
    pub fn parse(text: &str) -> Option<Self> {
        let day = Self::of(Timestamp::parse(&format!("{text}T00:00:00Z"))?);
        (day.to_string() == text).then_some(day)
    }

    /// Its first moment.
    pub fn start(self) -> Timestamp {
        Timestamp(self.0 * DAY_MS)
    }

    /// The day after; it stops at 9999-12-30.
    pub fn next(self) -> Self {
        Self(self.0 + 1).min(LAST)
    }
}

/// As in `2026-11-21`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.start().to_string().get(..10).unwrap_or_default())
    }
}

/// So many buckets lie between a number and its double: each is at most 1/32 (3.2 %) wide.
const BUCKETS: u64 = 32;
/// Ten years: what takes longer is a slip of a clock, and is counted as this.
const LONGEST_MS: u64 = 10 * 366 * 24 * 60 * 60 * 1000;

/// How often durations of about the same length were seen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<u64, u64>);

impl Histogram {
    /// Counts one duration, in milliseconds.
    pub fn note(&mut self, millis: u64) {
        *self.0.entry(bucket(millis.min(LONGEST_MS))).or_default() += 1;
    }

    /// Takes in all of another.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, many) in &other.0 {
            *self.0.entry(*bucket).or_default() += many;
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// In milliseconds, what `percent` of all durations do not exceed, at most 1.6 % off. `None` of none.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = (self.count() * percent.min(100)).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.0.iter().find(|(_, many)| {
            seen += **many;
            seen >= rank
        });
        found.map(|(bucket, _)| middle(*bucket))
    }
}

/// Below twice [`BUCKETS`] every number has its own; above, the leading six bits choose.
fn bucket(millis: u64) -> u64 {
    let shift = u64::from(millis.checked_ilog2().unwrap_or(0)).saturating_sub(5);
    shift * BUCKETS + (millis >> shift)
}

fn middle(bucket: u64) -> u64 {
    let shift = (bucket / BUCKETS).saturating_sub(1);
    let low = (bucket - shift * BUCKETS) << shift;
    low + ((1 << shift) - 1) / 2
}

/// What a rollup is of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RollupKey {
    /// The day.
    pub day: Day,
    /// The source.
    pub source: String,
    /// The model; empty where none is known.
    pub model: String,
}

/// What the events of one source, model and day come to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rollup {
    /// Tasks that ended well.
    pub completed: i64,
    /// Tasks that ended without a result.
    pub failed: i64,
    /// Tasks that somebody ended.
    pub cancelled: i64,
    /// Ends that the provider told when it was asked.
    pub told_by_poll: i64,
    /// Ends that were claimed and that the provider denied.
    pub disputed: i64,
    /// Contrary ends that turned out to be true.
    pub conflicts: i64,
    /// What the tasks cost, in millionths of the provider's credits.
    pub micro_credits: i64,
    /// How long completed tasks took.
    pub generation: Histogram,
    /// How long after the provider says that a task ended its callback came.
    pub callback_delay: Histogram,
}

impl Rollup {
    /// Takes in all of another.
    pub fn merge(&mut self, other: &Self) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.told_by_poll += other.told_by_poll;
        self.disputed += other.disputed;
        self.conflicts += other.conflicts;
        self.micro_credits = self.micro_credits.saturating_add(other.micro_credits);
        self.generation.merge(&other.generation);
        self.callback_delay.merge(&other.callback_delay);
    }

    /// How many tasks ended.
    pub fn ended(&self) -> i64 {
        self.completed + self.failed + self.cancelled
    }

    /// The share of completed tasks among those that nobody cancelled. `None` of none.
    pub fn success_rate(&self) -> Option<f64> {
        share(self.completed, self.completed + self.failed)
    }

    /// The share of ends that the provider told when it was asked. `None` of none.
    pub fn needed_poll(&self) -> Option<f64> {
        share(self.told_by_poll, self.ended())
    }

    /// What the tasks cost, in the provider's credits.
    pub fn credits(&self) -> f64 {
        self.micro_credits as f64 / 1e6
    }
}

fn share(part: i64, of: i64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// What is counted of one event.
#[derive(Clone, PartialEq, Debug)]
pub struct Counted {
    kind: EventType,
    at: Timestamp,
    data: Data,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
struct Data {
    model: Option<String>,
    usage: Option<Usage>,
    #[serde(default, with = "optional_time")]
    created_at: Option<Timestamp>,
    #[serde(default, with = "optional_time")]
    completed_at: Option<Timestamp>,
    observed_via: Via,
    confirmed: bool,
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

impl Counted {
    /// Reads an event, given its bytes. `None` where nothing of it is counted: only ends and conflicts are.
    pub fn read(kind: EventType, at: Timestamp, body: &str) -> Option<Self> {
        let counts = is_end(kind) || kind == EventType::TaskConflict;
        let Envelope { data } = counts.then(|| serde_json::from_str(body).ok())??;
        Some(Self { kind, at, data })
    }

    /// Whether it matters when the callback came of which the event was made: that may have been before the event.
    pub fn wants_receipt(&self) -> bool {
        let was_awaited = match self.data.observed_via {
            Via::Callback => !self.data.confirmed,
            Via::Poll => true,
            Via::Relay => false,
        };
        is_end(self.kind) && self.data.completed_at.is_some() && was_awaited
    }

    /// What it is counted under.
    pub fn key(&self, source: &str) -> RollupKey {
        RollupKey {
            day: Day::of(self.at),
            source: source.to_owned(),
            model: self.data.model.clone().unwrap_or_default(),
        }
    }

    /// Counts it. `received_at` is when the callback came that told it, where that is known better than by the event.
    pub fn count(&self, rollup: &mut Rollup, received_at: Option<Timestamp>) {
        match self.kind {
            EventType::TaskCompleted => rollup.completed += 1,
            EventType::TaskFailed => rollup.failed += 1,
            EventType::TaskCancelled => rollup.cancelled += 1,
            EventType::TaskConflict => rollup.conflicts += 1,
            _ => {}
        }
        if !is_end(self.kind) {
            return;
        }
        let Data { usage, created_at, completed_at, observed_via, .. } = &self.data;
        rollup.told_by_poll += i64::from(*observed_via == Via::Poll);
        rollup.micro_credits = rollup.micro_credits.saturating_add(micro_credits(usage.as_ref()));
        let took = created_at.and_then(|began| positive(began, completed_at.unwrap_or(self.at)));
        if let (EventType::TaskCompleted, Some(took)) = (self.kind, took) {
            rollup.generation.note(took);
        }
        let received_at = received_at.or((*observed_via == Via::Callback).then_some(self.at));
        if let Some((ended, received)) = completed_at.zip(received_at) {
            // A clock that is ahead of ours makes it come before it was sent: at once, then.
            rollup.callback_delay.note(positive(ended, received).unwrap_or(0));
        }
    }
}

fn is_end(kind: EventType) -> bool {
    matches!(kind, EventType::TaskCompleted | EventType::TaskFailed | EventType::TaskCancelled)
}

/// Milliseconds from one moment to a later one; `None` where it is not later.
fn positive(from: Timestamp, to: Timestamp) -> Option<u64> {
    u64::try_from(to.0.checked_sub(from.0)?).ok()
}

/// Whole millionths; what is no number above zero counts as nothing.
fn micro_credits(usage: Option<&Usage>) -> i64 {
    let credits = usage.and_then(|usage| usage.credits).filter(|credits| credits.is_finite() && *credits > 0.0);
    credits.map_or(0, |credits| (credits * 1e6).round() as i64)
}

#[cfg(test)]
mod tests;
