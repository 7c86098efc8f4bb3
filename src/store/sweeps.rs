//! What a change leaves to be cleared away, in batches: it may be much, and nobody else is to wait for it.

use super::Result;
use super::row::values;
use super::tx::Tx;
use crate::domain::clock::Timestamp;

/// So many rows are cleared away in one statement.
const BATCH: u64 = 1000;
/// A sweep goes on for so long at least, in milliseconds: other instances, and what is on its way, know of the
/// removal a moment later only.
const LINGERS_MS: i64 = 10_000;

/// What is cleared away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SweepKind {
    /// The deliveries of a destination that was removed: pending and held ones become dead.
    Destination,
    /// The deliveries held for a destination that was enabled: they become dead.
    Held,
    /// The watches of a source that was removed.
    Source,
}

impl SweepKind {
    const ALL: [Self; 3] = [Self::Destination, Self::Held, Self::Source];

    fn as_str(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Held => "held",
            Self::Source => "source",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Something that is being cleared away.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sweep {
    /// What.
    pub kind: SweepKind,
    /// Of which destination or source.
    pub name: String,
    /// Since when.
    pub begun_at: Timestamp,
}

impl Sweep {
    /// Whether it may end once nothing is left: at once, or after a while where more may be written.
    fn may_end(&self, now: Timestamp) -> bool {
        self.kind == SweepKind::Held || now.0 - self.begun_at.0 >= LINGERS_MS
    }
}

const REMOVED: &str = "destination removed";
const DROPPED: &str = "dropped when the destination was enabled";

impl Tx {
    /// Everything that is being cleared away.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn sweeps(&mut self) -> Result<Vec<Sweep>> {
        let rows = self.fetch("SELECT kind, name, begun_at FROM sweeps ORDER BY begun_at", values![]).await?;
        let read = |row: &super::row::Row| {
            let kind = row.parsed("kind", SweepKind::parse)?;
            Ok(Sweep { kind, name: row.text("name")?, begun_at: row.time("begun_at")? })
        };
        rows.iter().map(read).collect()
    }

    /// Begins to clear something away; the first batch of it is gone with this transaction.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn begin_sweep(&mut self, kind: SweepKind, name: &str, now: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO sweeps (kind, name, begun_at) VALUES ($1, $2, $3)
             ON CONFLICT (kind, name) DO UPDATE SET begun_at = excluded.begun_at",
            values![kind.as_str(), name, now],
        )
        .await?;
        self.settings_changed().await?;
        self.sweep(&Sweep { kind, name: name.to_owned(), begun_at: now }, now).await.map(drop)
    }

    /// Clears one batch of it away, and ends it when nothing is left. Gives whether there is more at once.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn sweep(&mut self, sweep: &Sweep, now: Timestamp) -> Result<bool> {
        let name = sweep.name.as_str();
        let (more, rest) = match sweep.kind {
            SweepKind::Held => (self.kill(name, "held", DROPPED, now).await? >= BATCH, false),
            SweepKind::Source => (self.end_some_watches(name).await? >= BATCH, false),
            SweepKind::Destination => {
                let held = self.kill(name, "held", REMOVED, now).await? >= BATCH;
                let pending = self.kill(name, "pending", REMOVED, now).await? >= BATCH;
                // What is being sent at this moment ends as it ends, and may then be pending once more.
                let sent = "SELECT 1 AS one FROM deliveries WHERE destination = $1 AND status = 'pending' LIMIT 1";
                (held || pending, self.fetch_one(sent, values![name]).await?.is_some())
            }
        };
        if !more && !rest && sweep.may_end(now) {
            self.end_sweep(sweep.kind, name).await?;
        }
        Ok(more)
    }

    /// Clears away all that is left of a destination of this name, what is being sent as well: what is made now under
    /// that name has nothing of it.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn sweep_destination(&mut self, name: &str, now: Timestamp) -> Result<()> {
        for status in ["held", "pending"] {
            while self.kill(name, status, REMOVED, now).await? >= BATCH {}
        }
        self.execute(
            "UPDATE deliveries SET status = 'dead', due_at = NULL, lease_until = NULL, lease_owner = NULL,
                 lease = lease + 1, finished_at = $2, reason = $3 WHERE destination = $1 AND status = 'pending'",
            values![name, now, REMOVED],
        )
        .await?;
        self.end_sweep(SweepKind::Held, name).await?;
        self.end_sweep(SweepKind::Destination, name).await
    }

    /// Clears away all that is left of a source of this name.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn sweep_source(&mut self, name: &str) -> Result<()> {
        while self.end_some_watches(name).await? >= BATCH {}
        self.end_sweep(SweepKind::Source, name).await
    }

    async fn end_sweep(&mut self, kind: SweepKind, name: &str) -> Result<()> {
        let sql = "DELETE FROM sweeps WHERE kind = $1 AND name = $2";
        if self.execute(sql, values![kind.as_str(), name]).await? > 0 {
            self.settings_changed().await?;
        }
        Ok(())
    }

    /// Makes deliveries dead that nobody has in hand, a batch of them; gives how many.
    async fn kill(&mut self, name: &str, status: &str, reason: &str, now: Timestamp) -> Result<u64> {
        let sql = format!(
            "WITH chosen AS MATERIALIZED (
                 SELECT id FROM deliveries WHERE destination = $1 AND status = '{status}' AND lease_until IS NULL
                 LIMIT {BATCH} {})
             UPDATE deliveries SET status = 'dead', due_at = NULL, finished_at = $2, reason = $3
             WHERE id IN (SELECT id FROM chosen) AND status = '{status}' AND lease_until IS NULL",
            self.lock_clause()
        );
        self.execute(sql, values![name, now, reason]).await
    }

    async fn end_some_watches(&mut self, source: &str) -> Result<u64> {
        let sql = format!(
            "DELETE FROM watches WHERE source = $1 AND task_id IN
                 (SELECT task_id FROM watches WHERE source = $1 LIMIT {BATCH})"
        );
        self.execute(sql, values![source]).await
    }
}
