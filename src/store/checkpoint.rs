//! Checkpoints of SQLite's write-ahead log, beside the connection that writes.
//!
//! SQLite itself copies the log into the file within the commit that fills it, and whoever waits for that connection
//! waits for the disk. Here a connection of its own copies while more is committed. What was added meanwhile is little:
//! the connection that writes copies that between two transactions, after which the log begins anew
//! (<https://www.sqlite.org/wal.html#ckpt>). Where it cannot keep up, or fails, SQLite's own checkpoint is the brake.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::thread::{Shared, Way};
use super::{Error, Result};

/// So many pages wait in the log before they are copied: 31 MiB, of which the pages written again and again are copied
/// once.
const BEGIN_AT: u64 = 4000;
/// What the connection that writes copies itself, at most: about as much as a batch writes.
const REMAINDER: u64 = 256;
/// A log that is filled faster than it is copied is not run after for ever.
const PASSES: usize = 4;
/// What is written meanwhile is far from filling the log.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What could not be copied is tried again after this, and said again.
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);

/// The thread that copies. It ends with this.
#[derive(Debug)]
pub(super) struct Checkpoints {
    hints: mpsc::SyncSender<()>,
    ended: oneshot::Receiver<()>,
}

impl Checkpoints {
    /// Copies the log of the database file at `path` from now on. `writer` is the connection that writes, on its thread.
    pub(super) fn start(path: &Path, way: Way, writer: Shared) -> Result<Self> {
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let (hints, hinted) = mpsc::sync_channel(1);
        let (end, ended) = oneshot::channel();
        let run = move || {
            while hinted.recv().is_ok() {
                let full = report(copy_most(&connection));
                if full == Some(true) {
                    let writer = writer.clone();
                    way.begin(move || {
                        writer.with(copy_rest);
                    });
                }
                std::thread::sleep(full.map_or(AFTER_AN_ERROR, |_| LOOK_EVERY));
            }
            drop((connection, writer, way));
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("callboard-checkpoint".into()).spawn(run);
        thread.map_err(|error| Error::Unusable(format!("cannot start the thread that copies the log: {error}")))?;
        Ok(Self { hints, ended })
    }

    /// Something was committed.
    pub(super) fn hint(&self) {
        // One hint that waits is enough.
        let _ = self.hints.try_send(());
    }

    /// Waits until its connection is closed.
    pub(super) async fn close(self) {
        drop(self.hints);
        let _ = self.ended.await;
    }
}

/// Copies a log that is full, but for a remainder. Gives whether it was.
fn copy_most(connection: &Connection) -> rusqlite::Result<bool> {
    if waiting(connection)? < BEGIN_AT {
        return Ok(false);
    }
    for _ in 0..PASSES {
        copy(connection)?;
        if waiting(connection)? <= REMAINDER {
            break;
        }
    }
    Ok(true)
}

/// Copies the remainder, on the connection that writes; within somebody's transaction SQLite would refuse it, and it is
/// done when the log has filled once more.
fn copy_rest(writer: &Connection) -> Option<u64> {
    if writer.is_autocommit() { report(copy(writer)) } else { None }
}

/// How many pages of the log are not in the file yet.
fn waiting(connection: &Connection) -> rusqlite::Result<u64> {
    checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")
}

/// Copies what is in the log by now and nobody reads an older state of. Nobody is kept waiting.
fn copy(connection: &Connection) -> rusqlite::Result<u64> {
    checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")
}

fn checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    connection.prepare_cached(sql)?.query_row([], |row| {
        let (in_log, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
        // Both are -1 where there is no log yet.
        Ok(u64::try_from(in_log - copied).unwrap_or_default())
    })
}

fn report<T>(done: rusqlite::Result<T>) -> Option<T> {
    let warn = |error: &rusqlite::Error| {
        tracing::warn!(%error, "the database's log is not copied beside the writing; SQLite does it within a commit");
    };
    done.inspect_err(warn).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::thread::Thread;

    async fn filled(path: &Path, pages: u64) -> Thread {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS blobs (value BLOB NOT NULL)")
            .unwrap();
        let thread = Thread::start(path).unwrap();
        thread.connection.with(|connection| {
            // A row and more is a page.
            let all = "WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
                       INSERT INTO blobs SELECT randomblob(4000) FROM n";
            connection.execute(all, [i64::try_from(pages).unwrap()]).unwrap();
            assert!(waiting(connection).unwrap() >= pages);
        });
        thread
    }

    #[tokio::test]
    async fn a_full_log_is_copied_and_begins_anew_with_the_next_commit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("callboard.db");
        let thread = filled(&path, BEGIN_AT).await;
        thread.checkpoints.hint();
        let (way, connection) = (thread.way.clone(), thread.connection.clone());
        // It takes the hint first, and gives the rest to the thread before it ends.
        thread.checkpoints.close().await;
        way.run(|| ()).await.unwrap();
        connection.with(|connection| {
            assert_eq!(waiting(connection).unwrap(), 0);
            connection.execute("INSERT INTO blobs VALUES (x'00')", []).unwrap();
            assert!(waiting(connection).unwrap() < 9, "the log holds the last commit alone");
        });
    }

    #[tokio::test]
    async fn what_does_not_fill_the_log_is_left_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("callboard.db");
        let thread = filled(&path, BEGIN_AT / 2).await;
        thread.checkpoints.hint();
        let connection = thread.connection.clone();
        thread.checkpoints.close().await;
        assert!(connection.with(waiting).unwrap() >= BEGIN_AT / 2);
    }

    #[tokio::test]
    async fn within_a_transaction_the_rest_is_left_for_later() {
        let directory = tempfile::tempdir().unwrap();
        let thread = filled(&directory.path().join("callboard.db"), 1).await;
        thread.connection.with(|connection| {
            connection.execute_batch("BEGIN IMMEDIATE; INSERT INTO blobs VALUES (x'00')").unwrap();
            assert_eq!(copy_rest(connection), None);
            connection.execute_batch("COMMIT").unwrap();
            assert_eq!(copy_rest(connection), Some(0));
        });
    }

    #[tokio::test]
    async fn what_somebody_still_reads_an_older_state_of_is_copied_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("callboard.db");
        filled(&path, 1).await.close().await;
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM blobs").unwrap();
        let thread = filled(&path, 1).await;
        assert!(thread.connection.with(copy).is_ok());
        assert!(thread.connection.with(waiting).unwrap() > 0);
        reader.execute_batch("COMMIT").unwrap();
        assert_eq!(thread.connection.with(copy).unwrap(), 0);
    }
}
