//! The janitor: removes what is older than `[retention]` says, and gives its space back.
//!
//! It goes through what is old in small steps, each a transaction of a bounded number of rows, and rests after each for
//! much longer than it had the database: whoever records or delivers never waits for more than one step. What is looked at is found
//! by its id, which is ordered by time. Nothing goes that is still needed: see [`mod@portion`] for what may.

mod portion;

use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use self::portion::{Candidate, portion};
use crate::config::Retention;
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::id::{EventId, IntentId};
use crate::shutdown::Lifecycle;
use crate::store::{EventCursor, Handed, Heard, Result, Store, TaskId, Tx};

/// So many rows of one kind are looked at in one step.
const LOOKED_AT: usize = 250;
/// So many rows are removed in one step at most, all kinds together.
const ROWS_MAX: usize = 1000;
/// So many pages are given back in one step.
const PAGES: i64 = 256;
/// This share of a file stays free, as what comes next will need it: 1 in so many pages.
const RESERVE: i64 = 20;
/// A round is made so often, or ten times in the shortest age where that is more often.
const ROUND_EVERY: Duration = Duration::from_secs(60 * 60);
/// Nor is a round made more often than this.
const ROUND_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// After a step it rests for so many times as long as that had the database,
const REST: u32 = 31;
/// and at least for this.
const REST_MIN: Duration = Duration::from_millis(10);
const REST_MAX: Duration = Duration::from_secs(1);
/// Answers to POSTs with an `Idempotency-Key` are kept for a day (contract §6).
const ANSWERS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How it is called where it is kept when it last began.
const CHORE: &str = "retention";
/// What counts events for the statistics: what it has not counted yet stays.
const ROLLUP: &str = "rollup";

/// Removes what is old.
pub struct Janitor {
    store: Store,
    retention: Retention,
    clock: SharedClock,
    life: Lifecycle,
    round: Option<Round>,
    /// How long the last step had the connection that writes.
    worked: Duration,
    /// Whether it was said that this file keeps its space.
    said: bool,
}

/// One way through everything that is old.
struct Round {
    begun_at: Timestamp,
    stage: Stage,
    /// What of this stage was looked at last.
    after: String,
    removed: BTreeMap<&'static str, u64>,
}

/// What is looked at, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Heard(Heard),
    Events,
    Intents,
    Answers,
    Space,
}

/// What a step came to.
enum Step {
    /// It went up to here, and there is more behind it.
    UpTo(String),
    /// This stage is done.
    Done,
}

/// What a step removed.
struct Removed {
    step: Step,
    counts: Vec<(&'static str, u64)>,
}

impl Janitor {
    /// One that has nothing begun.
    pub fn new(store: Store, retention: Retention, clock: SharedClock, life: Lifecycle) -> Self {
        Self { store, retention, clock, life, round: None, worked: Duration::ZERO, said: false }
    }

    /// Removes what is old until the process stops.
    pub async fn run(mut self) {
        let soft = self.life.soft().clone();
        while !soft.is_cancelled() {
            let rest = match AssertUnwindSafe(self.tick()).catch_unwind().await {
                Ok(Ok(true)) => (self.worked * REST).clamp(REST_MIN, REST_MAX),
                Ok(Ok(false)) => self.every().min(ROUND_EVERY / 60),
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "what is old could not be removed; it is tried again in a minute");
                    ROUND_EVERY / 60
                }
                Err(_) => {
                    tracing::error!("removing what is old panicked; the next round begins afresh");
                    self.round = None;
                    ROUND_EVERY / 60
                }
            };
            tokio::select! {
                () = soft.cancelled() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// One step of a round. Gives whether the round goes on; false where none is due, here or at another instance.
    ///
    /// # Errors
    /// As the database gives them; the step was not made then.
    pub async fn tick(&mut self) -> Result<bool> {
        let now = self.clock.now();
        if self.round.is_none() {
            let mut tx = self.store.write().await?;
            let is_due = tx.begin_chore(CHORE, before(now, self.every()), now).await?;
            tx.commit().await?;
            if !is_due {
                return Ok(false);
            }
            let stage = Stage::Heard(Heard::Callbacks);
            self.round = Some(Round { begun_at: now, stage, after: String::new(), removed: BTreeMap::new() });
        }
        let Some(mut round) = self.round.take() else { return Ok(false) };
        let step = match round.stage {
            Stage::Heard(heard) => self.remove_messages(heard, &mut round).await,
            Stage::Events => self.remove_events(&mut round).await,
            Stage::Intents => self.remove_intents(&mut round).await,
            Stage::Answers => self.remove_answers(&mut round).await,
            Stage::Space => self.give_back().await,
        };
        let goes_on = match step {
            Ok(Step::UpTo(after)) => {
                round.after = after;
                true
            }
            Ok(Step::Done) => {
                round.after = String::new();
                round.stage.next().is_some_and(|next| {
                    round.stage = next;
                    true
                })
            }
            Err(error) => {
                self.round = Some(round);
                return Err(error);
            }
        };
        if goes_on {
            self.round = Some(round);
        } else {
            round.tell();
        }
        Ok(goes_on)
    }

    fn every(&self) -> Duration {
        let ages = [self.retention.callbacks, self.retention.events];
        let shortest = ages.into_iter().flatten().min().unwrap_or(ROUND_EVERY);
        (shortest / 10).clamp(ROUND_AT_MOST_EVERY, ROUND_EVERY)
    }

    async fn remove_messages(&mut self, heard: Heard, round: &mut Round) -> Result<Step> {
        let Some(age) = self.retention.callbacks else { return Ok(Step::Done) };
        let (until, after) = (before(round.begun_at, age), round.after.clone());
        let removed = self.work(move |tx| remove_messages(tx, heard, after, until)).await?;
        Ok(round.take(removed))
    }

    async fn remove_events(&mut self, round: &mut Round) -> Result<Step> {
        let Some(age) = self.retention.events else { return Ok(Step::Done) };
        let until = EventId::first_of(before(round.begun_at, age));
        let (after, now) = (round.after.clone(), self.clock.now());
        let removed = self.work(move |tx| remove_events(tx, after, until, now)).await?;
        Ok(round.take(removed))
    }

    async fn remove_intents(&mut self, round: &mut Round) -> Result<Step> {
        let Some(age) = self.retention.events else { return Ok(Step::Done) };
        let until = IntentId::first_of(before(round.begun_at, age));
        let after = round.after.clone();
        let work = move |mut tx: Tx| async move {
            let (last, removed) = tx.remove_intents(&after, until.as_str(), LOOKED_AT).await?;
            let step = last.map_or(Step::Done, Step::UpTo);
            Ok((Removed { step, counts: vec![("intents", removed)] }, tx.hand_over().await?))
        };
        Ok(round.take(self.work(work).await?))
    }

    async fn remove_answers(&mut self, round: &mut Round) -> Result<Step> {
        let before = before(round.begun_at, ANSWERS_KEPT);
        let work = move |mut tx: Tx| async move {
            let removed = tx.remove_answers(before, LOOKED_AT).await?;
            let step = if removed == 0 { Step::Done } else { Step::UpTo(String::new()) };
            Ok((Removed { step, counts: vec![("answers", removed)] }, tx.hand_over().await?))
        };
        Ok(round.take(self.work(work).await?))
    }

    /// Gives the space back that nothing is in, but for a reserve.
    async fn give_back(&mut self) -> Result<Step> {
        let work = |mut tx: Tx| async move {
            let space = tx.file_space().await?;
            let surplus = space.as_ref().map_or(0, |space| space.free - space.pages / RESERVE);
            if let Some(space) = &space
                && space.gives_back
                && surplus > 0
            {
                tx.give_back(surplus.min(PAGES)).await?;
            }
            Ok((space.filter(|_| surplus > 0), tx.hand_over().await?))
        };
        match self.work(work).await? {
            None => Ok(Step::Done),
            Some(space) if space.gives_back => Ok(Step::UpTo(String::new())),
            Some(space) => {
                if !std::mem::replace(&mut self.said, true) {
                    tracing::warn!(
                        free_pages = space.free,
                        "this SQLite file was made without auto_vacuum and keeps the space of what was removed, for what \
                         comes. To give it back, stop the service and run: sqlite3 FILE 'PRAGMA auto_vacuum = INCREMENTAL; VACUUM;'"
                    );
                }
                Ok(Step::Done)
            }
        }
    }

    /// Does this in one transaction, and notes how long it had the database for that.
    async fn work<T, W>(&mut self, work: impl FnOnce(Tx) -> W + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<(T, Handed)>> + Send,
    {
        let reserved = self.store.reserve().await?;
        let begun = tokio::time::Instant::now();
        let done = reserved.run(work).await?;
        self.worked = begun.elapsed();
        let (done, handed) = done?;
        handed.synced().await?;
        Ok(done)
    }
}

async fn remove_messages(mut tx: Tx, heard: Heard, after: String, until: Timestamp) -> Result<(Removed, Handed)> {
    let old = tx.old_messages(heard, &after, until, LOOKED_AT).await?;
    let tasks = old.iter().flat_map(|message| message.tasks.iter().cloned()).collect();
    let unfinished = tx.lock_unfinished(tasks).await?;
    let ids: Vec<String> = old.iter().map(|message| message.id.clone()).collect();
    let mut deliveries = tx.lock_deliveries_of(&ids).await?;
    let candidates = old.iter().map(|message| Candidate {
        id: message.id.clone(),
        is_needed: message.heard_at >= until || message.tasks.iter().any(|task| unfinished.contains(task)),
        deliveries: deliveries.remove(&message.id).unwrap_or_default(),
    });
    let gone = portion(candidates.collect(), ROWS_MAX);
    let attempts = tx.remove_deliveries(&gone.deliveries).await?;
    tx.remove_messages(heard, &gone.ids).await?;
    let counts = vec![
        (if heard == Heard::Callbacks { "callbacks" } else { "polls" }, gone.ids.len() as u64),
        ("deliveries", gone.deliveries.len() as u64),
        ("attempts", attempts),
    ];
    Ok((Removed { step: gone.step(&after, &ids), counts }, tx.hand_over().await?))
}

async fn remove_events(mut tx: Tx, after: String, until: EventId, now: Timestamp) -> Result<(Removed, Handed)> {
    let old = tx.old_events(&after, until.as_str(), LOOKED_AT).await?;
    let counted = tx.chore_place(ROLLUP).await?;
    let unfinished = tx.lock_unfinished(old.iter().filter_map(|event| event.task.clone()).collect()).await?;
    let ids: Vec<String> = old.iter().map(|event| event.id.clone()).collect();
    let mut deliveries = tx.lock_deliveries_of(&ids).await?;
    let is_needed = |cursor: EventCursor, task: Option<&TaskId>| {
        cursor > counted || task.is_some_and(|task| unfinished.contains(task))
    };
    let candidates = old.iter().map(|event| Candidate {
        id: event.id.clone(),
        is_needed: is_needed(event.cursor, event.task.as_ref()),
        deliveries: deliveries.remove(&event.id).unwrap_or_default(),
    });
    let gone = portion(candidates.collect(), ROWS_MAX);
    let going: HashSet<&String> = gone.ids.iter().collect();
    let ends = old.iter().filter(|event| event.is_end && going.contains(&event.id));
    let ended: Vec<_> = ends.filter_map(|event| Some((event.task.clone()?, event.id.clone()))).collect();
    let tasks = if ended.is_empty() { 0 } else { tx.bury_tasks(&ended, now).await? };
    let attempts = tx.remove_deliveries(&gone.deliveries).await?;
    tx.remove_events(&gone.ids).await?;
    let counts = vec![
        ("events", gone.ids.len() as u64),
        ("deliveries", gone.deliveries.len() as u64),
        ("attempts", attempts),
        ("tasks", tasks),
    ];
    Ok((Removed { step: gone.step(&after, &ids), counts }, tx.hand_over().await?))
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}

impl Stage {
    fn next(self) -> Option<Self> {
        match self {
            Self::Heard(Heard::Callbacks) => Some(Self::Heard(Heard::Polls)),
            Self::Heard(Heard::Polls) => Some(Self::Events),
            Self::Events => Some(Self::Intents),
            Self::Intents => Some(Self::Answers),
            Self::Answers => Some(Self::Space),
            Self::Space => None,
        }
    }
}

impl portion::Portion {
    /// Where the next step goes on, after one that looked at these, behind `after`.
    fn step(&self, after: &str, looked_at: &[String]) -> Step {
        let is_whole = self.up_to.as_ref() == looked_at.last();
        if is_whole && looked_at.len() < LOOKED_AT {
            return Step::Done;
        }
        // Where not even the first could go whole, it is looked at again.
        Step::UpTo(self.up_to.clone().unwrap_or_else(|| after.to_owned()))
    }
}

impl Round {
    /// Counts what a step removed; gives what it came to.
    fn take(&mut self, removed: Removed) -> Step {
        for (what, many) in removed.counts.into_iter().filter(|(_, many)| *many > 0) {
            *self.removed.entry(what).or_default() += many;
            metrics::counter!("callboard_pruned_total", "what" => what).increment(many);
        }
        removed.step
    }

    fn tell(&self) {
        let removed: Vec<String> = self.removed.iter().map(|(what, many)| format!("{many} {what}")).collect();
        if !removed.is_empty() {
            tracing::info!(removed = removed.join(", "), "removed what is older than `[retention]` says");
        }
    }
}
