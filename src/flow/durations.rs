//! How long tasks take: what a new one of the same model is expected to take.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many of the latest are remembered of each model.
const REMEMBERED: usize = 64;
/// So few say nothing yet.
const ENOUGH: usize = 3;
/// So many models are remembered: their names are the providers', and need not end.
const MODELS_MAX: usize = 1024;

/// The latest durations, by source and model. They are gathered anew with each start.
#[derive(Default)]
pub struct Durations(Mutex<HashMap<(String, String), VecDeque<Duration>>>);

/// How long a task took until it was completed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Took {
    /// The source.
    pub source: String,
    /// The model.
    pub model: String,
    /// The time.
    pub time: Duration,
}

impl Durations {
    /// Notes how long a task took.
    pub fn note(&self, Took { source, model, time }: &Took) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (source.clone(), model.clone());
        if all.len() == MODELS_MAX && !all.contains_key(&key) {
            return;
        }
        let latest = all.entry(key).or_default();
        if latest.len() == REMEMBERED {
            latest.pop_front();
        }
        latest.push_back(*time);
    }

    /// The median of what is remembered; `None` where that is too little.
    pub fn median(&self, source: &str, model: Option<&str>) -> Option<Duration> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut latest: Vec<Duration> = all.get(&(source.to_owned(), model?.to_owned()))?.iter().copied().collect();
        if latest.len() < ENOUGH {
            return None;
        }
        latest.sort_unstable();
        Some(latest[latest.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_the_latest_of_the_same_model() {
        let durations = Durations::default();
        let seconds = Duration::from_secs;
        let took = |took| Took { source: "evolink".into(), model: "kling".into(), time: seconds(took) };
        [1, 2].iter().for_each(|&time| durations.note(&took(time)));
        assert_eq!(durations.median("evolink", Some("kling")), None);
        durations.note(&took(90));
        assert_eq!(durations.median("evolink", Some("kling")), Some(seconds(2)));
        for _ in 0..REMEMBERED {
            durations.note(&took(7));
        }
        assert_eq!(durations.median("evolink", Some("kling")), Some(seconds(7)));
        assert_eq!(durations.median("evolink", Some("veo")), None);
        assert_eq!(durations.median("other", Some("kling")), None);
        assert_eq!(durations.median("evolink", None), None);
    }
}
