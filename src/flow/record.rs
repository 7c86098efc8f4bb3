//! The recorder: one writer, many waiters.
//!
//! Whoever has something to record hands it over and waits for the commit. The recorder takes all that
//! is queued, makes one transaction and one sync of it, and answers them all. A success means
//! committed and synced; a failure means that nothing of it is there.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use super::notice::{Notice, Notices};
pub use super::write::Receipt;
use super::write::{Written, write};
use crate::domain::clock::SharedClock;
use crate::shutdown::Lifecycle;
use crate::store::{Error, Handed, Store};

/// So many may wait; whoever comes then is told to come again.
const QUEUE: usize = 4096;
/// So many make one transaction at most.
const BATCH: usize = 256;
/// So many are worth a transaction beside another one.
const WORTH: usize = 24;
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

/// Whom the recorder wakes. A wake-up carries no data and is only a hint.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    /// After a commit that made deliveries.
    pub deliveries: Arc<Notify>,
    /// After a commit with a question that is due at once.
    pub questions: Arc<Notify>,
    /// After a commit that made events: whoever follows them looks again.
    pub events: watch::Sender<()>,
}

/// The way to the recorder. Clones lead to the same one.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Job>,
    closing: CancellationToken,
}

impl Recorder {
    /// Starts the recorder.
    pub fn start(store: Store, clock: SharedClock, notices: Notices, wakes: Wakes, life: &Lifecycle) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let writer = Writer { store, clock, notices, wakes };
        life.spawn(run(writer, jobs, closing.clone()));
        Self { queue, closing }
    }

    /// Records a message; the answer comes after the commit.
    ///
    /// # Errors
    /// [`Unrecorded`] when the database cannot take it, or not within 3 s.
    pub async fn record(&self, entry: Entry) -> Result<Receipt, Unrecorded> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Job { entry, reply }).map_err(|_| Unrecorded)?;
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| Unrecorded)?.map_err(|_| Unrecorded)?
    }

    /// Ends the recorder once everything that is queued is written.
    pub fn close(&self) {
        self.closing.cancel();
    }
}

async fn run(writer: Writer, mut jobs: mpsc::Receiver<Job>, closing: CancellationToken) {
    let turns = Turns::default();
    let mut in_hand = FuturesUnordered::new();
    let mut batch = Vec::with_capacity(BATCH);
    let mut open = true;
    while open || !batch.is_empty() || !in_hand.is_empty() {
        let waiting = batch.len();
        tokio::select! {
            biased;
            Some(()) = in_hand.next() => {}
            // What comes until the batch can be written goes with it.
            many = jobs.recv_many(&mut batch, BATCH - waiting), if open && waiting < BATCH => open = many > 0,
            turn = turns.take(writer.store.writers(), waiting), if waiting > 0 => {
                // Who waited too long was told so, and must find nothing of theirs later.
                batch.retain(|job| !job.reply.is_closed());
                in_hand.push(supervised(writer.write(std::mem::take(&mut batch), turn)));
            }
            () = closing.cancelled(), if open && !jobs.is_closed() => jobs.close(),
        }
    }
}

/// How many batches are being written.
#[derive(Clone, Default)]
struct Turns(Arc<(AtomicUsize, Notify)>);

/// One of them. It ends when the batch is handed over to be synced.
struct Turn(Turns);

impl Turns {
    /// Waits until a batch of so many may be written: at once where none is being written, else beside the
    /// others if that is worth a transaction of its own.
    async fn take(&self, writers: usize, many: usize) -> Turn {
        let (writing, freed) = &*self.0;
        loop {
            let others = writing.load(Ordering::Acquire);
            if others == 0 || others < writers && many >= WORTH {
                writing.fetch_add(1, Ordering::AcqRel);
                return Turn(self.clone());
            }
            freed.notified().await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (writing, freed) = &*self.0.0;
        writing.fetch_sub(1, Ordering::AcqRel);
        freed.notify_one();
    }
}

/// A panic answers those of its batch, and the next one is begun afresh.
async fn supervised(writing: impl Future<Output = ()>) {
    if AssertUnwindSafe(writing).catch_unwind().await.is_err() {
        tracing::error!("the recorder panicked over a batch; it goes on with the next");
        metrics::counter!("callboard_recorder_panics_total").increment(1);
    }
}

struct Writer {
    store: Store,
    clock: SharedClock,
    notices: Notices,
    wakes: Wakes,
}

impl Writer {
    /// Writes all of them, in as few transactions as their content allows. The turn ends when all is handed
    /// over: the next batch is made while this one syncs.
    async fn write(&self, jobs: Vec<Job>, turn: Turn) {
        let mut left = vec![(jobs, false)];
        let mut handed = Vec::new();
        while let Some((mut batch, tried)) = left.pop() {
            if batch.is_empty() {
                continue;
            }
            match self.commit(&batch).await {
                Ok(Some(written)) => handed.push((batch, written)),
                Ok(None) => {
                    batch.retain(|job| !job.reply.is_closed());
                    left.push((batch, tried));
                }
                // Another instance was in the way, or has just kept the same: tried again, it is a repeat.
                Err(error) if !tried && (matches!(error, Error::Contention(_)) || error.is_taken()) => {
                    left.push((batch, true));
                }
                // One bad row must not fail its neighbours: halves, until the guilty one is alone.
                Err(Error::Contention(_) | Error::Content(_)) if batch.len() > 1 => {
                    let second = batch.split_off(batch.len() / 2);
                    left.push((second, false));
                    left.push((batch, false));
                }
                Err(error) => refuse(batch, &error),
            }
        }
        drop(turn);
        for (batch, (written, handed)) in handed {
            match handed.synced().await {
                Ok(()) => self.answer(batch, written),
                Err(error) => refuse(batch, &error),
            }
        }
    }

    /// `None` where somebody stopped waiting before the commit: then nothing was committed.
    async fn commit(&self, jobs: &[Job]) -> Result<Option<(Written, Handed)>, Error> {
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        let entries: Vec<&Entry> = jobs.iter().map(|job| &job.entry).collect();
        let written = write(&mut tx, &entries, now).await?;
        // The database was slow, or somebody else had it: who was told so must find nothing of theirs.
        if jobs.iter().any(|job| job.reply.is_closed()) {
            return Ok(None);
        }
        let handed = tx.hand_over().await?;
        Ok(Some((written, handed)))
    }

    fn answer(&self, batch: Vec<Job>, written: Written) {
        if written.asks {
            self.wakes.questions.notify_one();
        }
        if written.forwards {
            self.wakes.deliveries.notify_one();
        }
        if !written.events.is_empty() {
            self.wakes.events.send_replace(());
        }
        for (event, destinations) in written.events {
            metrics::counter!("callboard_events_total", "type" => event.kind.as_str()).increment(1);
            self.notices.tell(|| Notice::Event {
                at: event.at,
                kind: event.kind.as_str(),
                id: event.id.to_string(),
                source: event.source.unwrap_or_default(),
                task_id: event.task_id.unwrap_or_default(),
                destinations,
            });
            self.wakes.deliveries.notify_one();
        }
        for (job, receipt) in batch.into_iter().zip(written.receipts) {
            if job.entry.arrival.is_none() {
                let _ = job.reply.send(Ok(receipt));
                continue;
            }
            let labels = [("source", job.entry.source.clone()), ("outcome", receipt.outcome.as_str().to_owned())];
            metrics::counter!("callboard_callbacks_total", &labels).increment(1);
            self.notices.tell(|| Notice::Callback {
                at: job.entry.received_at,
                source: job.entry.source.clone(),
                task_id: receipt.task_id().map(str::to_owned),
                outcome: receipt.outcome,
                event_id: receipt.tasks.first().and_then(|folded| Some(folded.event_id.as_ref()?.to_string())),
                detail: receipt.detail.clone(),
            });
            let _ = job.reply.send(Ok(receipt));
        }
    }
}

fn refuse(batch: Vec<Job>, error: &Error) {
    tracing::error!(error = error as &dyn std::error::Error, messages = batch.len(), "not recorded");
    metrics::counter!("callboard_unrecorded_total").increment(batch.len() as u64);
    for job in batch {
        let _ = job.reply.send(Err(Unrecorded));
    }
}
