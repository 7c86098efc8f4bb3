//! The recorder: one writer, many waiters.
//!
//! Whoever has something to record hands it over and waits for the commit. All that is queued is one
//! transaction and one sync, after which all of it is answered. A success means committed and synced; a
//! failure means that nothing of it is there.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};

use super::entry::{Entry, Reading};
use super::fresh::Fresh;
use super::inbox::{self, Inbox};
use super::notice::{Notice, Notices};
use super::repeats::{Again, Repeats};
pub use super::write::Receipt;
use super::write::{Written, write};
use crate::domain::clock::{SharedClock, Timestamp};
use crate::shutdown::Lifecycle;
use crate::store::{Error, Guess, Handed, Store, Tx};

/// How long a commit is waited for (contract §4).
const PATIENCE: Duration = Duration::from_secs(3);

/// It could not be recorded; nothing of it was kept. The same may be recorded later.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the database cannot take it now")]
pub struct Unrecorded;

struct Job {
    entry: Entry,
    reply: oneshot::Sender<Result<Receipt, Unrecorded>>,
}

impl Job {
    fn is_answer(&self) -> bool {
        matches!(self.entry.reading, Reading::Answered(_))
    }
}

/// Whom the recorder wakes. A wake-up carries no data and is only a hint.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    /// After a commit that made deliveries which nobody has in hand.
    pub deliveries: Arc<Notify>,
    /// After a commit with a question that is due at once.
    pub questions: Arc<Notify>,
    /// After a commit that made events: whoever follows them looks again.
    pub events: watch::Sender<()>,
}

/// What the recorder works with.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// Who watches.
    pub notices: Notices,
    /// Whom it wakes.
    pub wakes: Wakes,
    /// Where deliveries go that were made this moment.
    pub fresh: Fresh,
    /// The callbacks that are remembered.
    pub repeats: Repeats,
}

/// The recorder. Clones are the same one.
#[derive(Clone)]
pub struct Recorder {
    inbox: Inbox<Job>,
    writer: Arc<Writer>,
    life: Lifecycle,
    runtime: Handle,
}

impl Recorder {
    /// A recorder that writes as a part of this life, on the runtime that this is called on.
    pub fn new(parts: Parts, life: &Lifecycle) -> Self {
        let inbox = Inbox::new(parts.store.writers());
        let writer = Arc::new(Writer { parts, all_new: AtomicBool::new(true) });
        Self { inbox, writer, life: life.clone(), runtime: Handle::current() }
    }

    /// What is answered to a callback that is remembered as recorded, and that only came again. It is counted.
    pub(super) fn again(&self, again: Again<'_>, received_at: Timestamp) -> Option<Receipt> {
        let parts = &self.writer.parts;
        let receipt = parts.repeats.again(again, received_at)?;
        tell(&parts.notices, again.source, received_at, &receipt);
        Some(receipt)
    }

    /// Records a message; the answer comes after the commit.
    ///
    /// # Errors
    /// [`Unrecorded`] when the database cannot take it, or not within 3 s.
    pub async fn record(&self, entry: Entry) -> Result<Receipt, Unrecorded> {
        let (reply, answer) = oneshot::channel();
        let batch = self.inbox.push(Job { entry, reply }).map_err(|_| Unrecorded)?;
        self.begin(batch);
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| Unrecorded)?.map_err(|_| Unrecorded)?
    }

    /// Takes nothing more; what is queued is written before the life ends.
    pub fn close(&self) {
        self.inbox.close();
    }

    /// Begins to write a batch, if there is one. That is done here and now, as far as nothing is waited for: what writes
    /// has it before another thread of ours was woken.
    fn begin(&self, batch: Option<inbox::Batch<Job>>) {
        let Some(batch) = batch else { return };
        // Who hands something over may be on a runtime that ends before this does.
        let _entered = self.runtime.enter();
        let mut writing = Box::pin(self.clone().write(batch));
        if writing.as_mut().now_or_never().is_none() {
            self.life.spawn(writing);
        }
    }

    /// Writes a batch, and begins the next when all of it is handed over: that is made while this one syncs. A panic
    /// answers those of its batch, and the next one is begun afresh.
    async fn write(self, (mut jobs, turn): inbox::Batch<Job>) {
        // Who waited too long was told so, and must find nothing of theirs later.
        jobs.retain(|job| !job.reply.is_closed());
        let writing = async {
            let handed = self.writer.write(jobs).await;
            drop(turn);
            self.begin(self.inbox.next());
            self.writer.answer_all(handed).await;
        };
        if AssertUnwindSafe(writing).catch_unwind().await.is_err() {
            tracing::error!("the recorder panicked over a batch; it goes on with the next");
            metrics::counter!("callboard_recorder_panics_total").increment(1);
            self.begin(self.inbox.next());
        }
    }
}

struct Writer {
    parts: Parts,
    /// Whether the last callbacks were all of tasks that were not known, so that the next ones are guessed to be.
    all_new: AtomicBool,
}

/// What a transaction wrote, whose sync is on its way, and who waits for it.
type Unsynced = (Vec<Job>, (Written, Handed));

/// Messages that are to be written in one transaction.
struct Batch {
    jobs: Vec<Job>,
    guess: Guess,
    /// Whether somebody was in their way before.
    tried: bool,
}

impl Writer {
    /// Writes all of them, in as few transactions as their content allows.
    async fn write(&self, jobs: Vec<Job>) -> Vec<Unsynced> {
        let mut left = self.batches(jobs);
        let mut handed = Vec::new();
        while let Some(Batch { jobs, guess, tried }) = left.pop() {
            if jobs.is_empty() {
                continue;
            }
            let (clock, fresh) = (self.parts.clock.clone(), self.parts.fresh.clone());
            let reserved = match self.parts.store.reserve().await {
                Ok(reserved) => reserved,
                Err(error) => {
                    refuse(jobs, &error);
                    continue;
                }
            };
            // Where nothing comes back, those who wait were told so as the batch was dropped.
            let Ok((mut jobs, outcome)) = reserved.run(move |tx| commit(tx.guessing(guess), jobs, fresh, clock)).await
            else {
                continue;
            };
            match outcome {
                Ok(Some(written)) => handed.push((jobs, written)),
                Ok(None) => {
                    jobs.retain(|job| !job.reply.is_closed());
                    left.push(Batch { jobs, guess, tried });
                }
                Err(Error::Supposed) => left.push(Batch { jobs, guess: Guess::Unsure, tried }),
                // Another instance was in the way, or has just kept the same: tried again, it is a repeat.
                Err(error) if !tried && (matches!(error, Error::Contention(_)) || error.is_taken()) => {
                    left.push(Batch { jobs, guess: Guess::Unsure, tried: true });
                }
                // One bad row must not fail its neighbours: halves, until the guilty one is alone.
                Err(Error::Contention(_) | Error::Content(_)) if jobs.len() > 1 => {
                    let second = jobs.split_off(jobs.len() / 2);
                    left.extend([second, jobs].map(|jobs| Batch { jobs, guess: Guess::Unsure, tried: false }));
                }
                Err(error) => refuse(jobs, &error),
            }
        }
        handed
    }

    async fn answer_all(&self, handed: Vec<Unsynced>) {
        for (batch, (written, handed)) in handed {
            match handed.synced().await {
                Ok(()) => self.answer(batch, written),
                Err(error) => refuse(batch, &error),
            }
        }
    }

    /// The messages, as they are written together. Callbacks are mostly of tasks that are new, which PostgreSQL is told in
    /// one statement: an answer among them is about one that is known, and that has to be locked first.
    fn batches(&self, jobs: Vec<Job>) -> Vec<Batch> {
        let of_new = if self.all_new.load(Ordering::Relaxed) { Guess::New } else { Guess::Unsure };
        if self.parts.store.is_single() {
            return vec![Batch { jobs, guess: of_new, tried: false }];
        }
        let (answers, others): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(Job::is_answer);
        [(answers, Guess::Known), (others, of_new)].map(|(jobs, guess)| Batch { jobs, guess, tried: false }).into()
    }

    fn answer(&self, batch: Vec<Job>, written: Written) {
        if !batch.iter().any(Job::is_answer) {
            self.all_new.store(written.all_new, Ordering::Relaxed);
        }
        if written.asks {
            self.parts.wakes.questions.notify_one();
        }
        if let Some(job) = batch.first() {
            written.took.iter().for_each(|took| job.entry.roster.durations.note(took));
        }
        written.hand.over();
        if written.waits {
            self.parts.wakes.deliveries.notify_one();
        }
        if !written.events.is_empty() {
            self.parts.wakes.events.send_replace(());
        }
        for (event, destinations) in written.events {
            metrics::counter!("callboard_events_total", "type" => event.kind.as_str()).increment(1);
            self.parts.notices.tell(|| Notice::Event {
                at: event.at,
                kind: event.kind.as_str(),
                id: event.id.to_string(),
                source: event.source.clone().unwrap_or_default(),
                task_id: event.task_id.clone().unwrap_or_default(),
                destinations,
            });
        }
        for (job, receipt) in batch.into_iter().zip(written.receipts) {
            if job.entry.arrival.is_none() {
                let _ = job.reply.send(Ok(receipt));
                continue;
            }
            self.parts.repeats.remember(&job.entry, &receipt);
            tell(&self.parts.notices, &job.entry.source, job.entry.received_at, &receipt);
            let _ = job.reply.send(Ok(receipt));
        }
    }
}

/// Says what became of a callback.
fn tell(notices: &Notices, source: &str, received_at: Timestamp, receipt: &Receipt) {
    let labels = [("source", source.to_owned()), ("outcome", receipt.outcome.as_str().to_owned())];
    metrics::counter!("callboard_callbacks_total", &labels).increment(1);
    notices.tell(|| Notice::Callback {
        at: received_at,
        source: source.to_owned(),
        task_id: receipt.task_id().map(str::to_owned),
        outcome: receipt.outcome,
        event_id: receipt.tasks.first().and_then(|folded| Some(folded.event_id.as_ref()?.to_string())),
        detail: receipt.detail.clone(),
    });
}

/// What a batch wrote, once it is handed over; `None` where somebody stopped waiting before the commit: then nothing
/// was committed.
async fn commit(
    mut tx: Tx,
    batch: Vec<Job>,
    fresh: Fresh,
    clock: SharedClock,
) -> (Vec<Job>, Result<Option<(Written, Handed)>, Error>) {
    let entries: Vec<&Entry> = batch.iter().map(|job| &job.entry).collect();
    let outcome = async {
        let written = write(&mut tx, &entries, &fresh, clock.now()).await?;
        // The database was slow, or somebody else had it: who was told so must find nothing of theirs.
        if batch.iter().any(|job| job.reply.is_closed()) {
            return Ok(None);
        }
        Ok(Some((written, tx.hand_over().await?)))
    };
    let outcome = outcome.await;
    drop(entries);
    (batch, outcome)
}

fn refuse(batch: Vec<Job>, error: &Error) {
    tracing::error!(error = error as &dyn std::error::Error, messages = batch.len(), "not recorded");
    metrics::counter!("callboard_unrecorded_total").increment(batch.len() as u64);
    for job in batch {
        let _ = job.reply.send(Err(Unrecorded));
    }
}
