//! The tail: events in the order in which they were committed, for whoever follows them and must skip none.
//!
//! On SQLite one transaction writes at a time, and `seq` is that order. On PostgreSQL a number that was taken early
//! may be committed late. There the order is that of transactions, and it is read only as far as every transaction
//! has ended: what is committed later then always stands behind what was read.

use super::Result;
use super::row::{Row, Value, values};
use super::tx::Tx;
use crate::domain::clock::Timestamp;
use crate::domain::event::EventType;

/// A place between two events in the order of their commits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EventCursor {
    /// The transaction; 0 on SQLite.
    pub xact: i64,
    /// The number within all.
    pub seq: i64,
}

/// An event as it stands in the tail.
#[derive(Clone, Debug)]
pub struct TailRow {
    /// The place behind it.
    pub cursor: EventCursor,
    /// Its id.
    pub id: String,
    /// What it tells.
    pub kind: EventType,
    /// The source that it is about; `None` where it is about none.
    pub source: Option<String>,
    /// The task that it is about; `None` for one of the service's own.
    pub task_id: Option<String>,
    /// The team that it is for, where it is one of the service's own.
    pub team: Option<String>,
    /// When it was made.
    pub at: Timestamp,
    /// The event, byte for byte.
    pub body: String,
}

/// A page ends with the event that makes it longer than so many characters: bodies may be long, and a slow
/// reader holds its page.
const PAGE_LENGTH: i64 = 256 * 1024;

/// What every transaction below this number did can be seen, or never will be.
const SETTLED: &str = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint";

/// Numbers of transactions that this server has not given out yet: the events are those of another one, from whose
/// dump they were restored. They come first then, and in their order.
pub(super) const SETTLE_RESTORED: &str = "UPDATE events SET xact = 1
    WHERE xact > 0 AND xact >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

impl Tx {
    /// The events behind a place, oldest first; with `None` from the first one that is kept. At most `limit`, fewer
    /// where they are long; none only where there is none.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn events_after(&mut self, after: Option<EventCursor>, limit: usize) -> Result<Vec<TailRow>> {
        let after = after.unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut values = values![after.seq, limit, PAGE_LENGTH];
        let behind = if self.is_shared() {
            values.push(Value::from(after.xact));
            // The index leaves out what SQLite has.
            format!("xact > 0 AND (xact, seq) > ($4, $1) AND xact < {SETTLED}")
        } else {
            "seq > $1".to_owned()
        };
        let order = self.commit_order();
        let sql = format!(
            "SELECT xact, seq, id, type, source, task_id, team, at, body FROM (
                 SELECT xact, seq, id, type, source, task_id, team, at, body,
                     sum(length(body)) OVER (ORDER BY {order}) - length(body) AS length_before
                 FROM (SELECT xact, seq, id, type, source, task_id, team, at, body FROM events WHERE {behind}
                       ORDER BY {order} LIMIT $2) AS tail) AS page
             WHERE length_before < $3 ORDER BY {order}"
        );
        self.fetch(sql, values).await?.iter().map(read).collect()
    }

    /// The place behind this event. `None` if it is not kept.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn cursor_of(&mut self, event_id: &str) -> Result<Option<EventCursor>> {
        let found = self.fetch_one("SELECT xact, seq FROM events WHERE id = $1", values![event_id]).await?;
        found.as_ref().map(cursor).transpose()
    }

    /// The place behind the last event whose id sorts before this one. `None` if there is none.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn cursor_before(&mut self, event_id: &str) -> Result<Option<EventCursor>> {
        let sql = "SELECT xact, seq FROM events WHERE id < $1 ORDER BY id DESC LIMIT 1";
        self.fetch_one(sql, values![event_id]).await?.as_ref().map(cursor).transpose()
    }

    /// The end: whatever is committed from now on stands behind it. On PostgreSQL a few that are committed already
    /// may stand behind it too; [`Tx::beyond`] names them.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn tail_end(&mut self) -> Result<EventCursor> {
        let sql = if self.is_shared() {
            format!("SELECT {SETTLED} - 1 AS xact, {} AS seq", i64::MAX)
        } else {
            "SELECT 0 AS xact, COALESCE(max(seq), 0) AS seq FROM events".to_owned()
        };
        let end = self.fetch_one(sql, values![]).await?;
        end.as_ref().map_or_else(|| Ok(EventCursor::default()), cursor)
    }

    /// The ids of the events behind a place that are committed by now, also where they cannot be read in order yet.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn beyond(&mut self, end: EventCursor) -> Result<Vec<String>> {
        let (behind, values) = if self.is_shared() {
            ("xact > 0 AND (xact, seq) > ($2, $1)", values![end.seq, end.xact])
        } else {
            ("seq > $1", values![end.seq])
        };
        let rows = self.fetch(format!("SELECT id FROM events WHERE {behind}"), values).await?;
        rows.iter().map(|row| row.text("id")).collect()
    }

    fn commit_order(&self) -> &'static str {
        if self.is_shared() { "xact, seq" } else { "seq" }
    }
}

fn cursor(row: &Row) -> Result<EventCursor> {
    Ok(EventCursor { xact: row.int("xact")?, seq: row.int("seq")? })
}

fn read(row: &Row) -> Result<TailRow> {
    Ok(TailRow {
        cursor: cursor(row)?,
        id: row.text("id")?,
        kind: row.parsed("type", EventType::parse)?,
        source: row.optional_text("source")?,
        task_id: row.optional_text("task_id")?,
        team: row.optional_text("team")?,
        at: row.time("at")?,
        body: row.text("body")?,
    })
}
