//! The roller: counts events into rollups behind everybody's back, each exactly once.
//!
//! It follows the tail of events and writes what a batch comes to in one transaction with the place up to which it has
//! read. A batch that was not committed is read again, and one that was never is. What it reads on SQLite it reads
//! beside the writer; what it writes is a row for each source and model.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use crate::domain::rollup::{Counted, Rollup, RollupKey};
use crate::shutdown::Lifecycle;
use crate::store::{Awaited, Result, Store, TailRow, Tx};

/// So many events are counted in one transaction.
const BATCH: usize = 1000;
/// How often it looks for new ones.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it rests where the database cannot be read or written.
const TROUBLED: Duration = Duration::from_secs(5);
/// How it is called where its place is kept.
const CHORE: &str = "rollup";

/// Counts events.
pub struct Roller {
    store: Store,
    life: Lifecycle,
}

impl Roller {
    /// One that counts what is in this database.
    pub fn new(store: Store, life: Lifecycle) -> Self {
        Self { store, life }
    }

    /// Counts until the process stops. Others come first: after a batch it rests for as long as that took.
    pub async fn run(self) {
        while !self.life.soft().is_cancelled() {
            let begun = tokio::time::Instant::now();
            let rest = match AssertUnwindSafe(self.tick()).catch_unwind().await {
                Ok(Ok(0)) => LOOK_EVERY,
                Ok(Ok(_)) => begun.elapsed().min(LOOK_EVERY),
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "events could not be counted for the statistics; they are counted later");
                    TROUBLED
                }
                Err(_) => {
                    tracing::error!("counting events for the statistics panicked; it is tried again");
                    TROUBLED
                }
            };
            tokio::select! {
                () = self.life.soft().cancelled() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Counts one batch of at most 1,000 events. Gives how many; 0 where there is none, or another instance is at it.
    ///
    /// # Errors
    /// As the database gives them; nothing was counted then.
    pub async fn tick(&self) -> Result<usize> {
        let is_single = self.store.is_single();
        // On PostgreSQL the place stays locked from here on, so that no other instance counts the same.
        let mut tx = if is_single { self.store.read().await? } else { self.store.write().await? };
        let Some(from) = tx.chore_cursor(CHORE).await? else { return Ok(0) };
        let events = tx.events_after(Some(from), BATCH).await?;
        let Some(to) = events.last().map(|event| event.cursor) else { return Ok(0) };
        let rollups = counted(&mut tx, &events).await?;
        if is_single {
            tx.commit().await?;
            tx = self.store.write().await?;
        }
        if !tx.move_chore(CHORE, from, to).await? {
            return Ok(0);
        }
        tx.add_rollups(rollups).await?;
        tx.commit().await?;
        Ok(events.len())
    }
}

/// What events come to.
async fn counted(tx: &mut Tx, events: &[TailRow]) -> Result<BTreeMap<RollupKey, Rollup>> {
    let read = events.iter().filter_map(|event| {
        let source = event.source.as_deref()?;
        Some((event, source, Counted::read(event.kind, event.at, &event.body)?))
    });
    let read: Vec<_> = read.collect();
    let awaited = read.iter().filter(|(.., counted)| counted.wants_receipt()).map(|(event, source, _)| Awaited {
        event_id: event.id.clone(),
        source: (*source).to_owned(),
        task_id: event.task_id.clone().unwrap_or_default(),
        at: event.at,
    });
    let receipts = tx.receipts(&awaited.collect::<Vec<_>>()).await?;
    let mut rollups: BTreeMap<RollupKey, Rollup> = BTreeMap::new();
    for (event, source, counted) in read {
        let rollup = rollups.entry(counted.key(source)).or_default();
        counted.count(rollup, receipts.get(&event.id).copied());
    }
    Ok(rollups)
}
