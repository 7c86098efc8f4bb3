//! The syncs of SQLite's write-ahead log.
//!
//! SQLite itself would sync within `COMMIT`, and the connection that writes would wait for the disk.
//! Here it commits without a sync (`synchronous=NORMAL`) and is free for the next transaction, while a
//! thread of ours syncs the log; who wrote is told so only afterwards. One sync serves all who committed
//! before it began. What a power cut can take is what nobody was told of, as with `synchronous=FULL`.
//! The log's header, checkpoints and the directory are synced by SQLite all the same
//! (<https://www.sqlite.org/pragma.html#pragma_synchronous>).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use tokio::sync::oneshot;

use super::{Error, Result};

/// The way to the thread that syncs. It ends with the last clone.
#[derive(Clone, Debug)]
pub(super) struct Log(mpsc::Sender<oneshot::Sender<()>>);

/// Something committed whose sync is on its way.
#[derive(Debug)]
pub struct Handed(Option<oneshot::Receiver<()>>);

impl Log {
    /// Syncs the log of the database file at `path` from now on.
    pub(super) fn start(path: &Path) -> Result<Self> {
        let (asks, asked) = mpsc::channel();
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let thread = std::thread::Builder::new().name("callboard-sync".into());
        let started = thread.spawn(move || run(&PathBuf::from(log), &asked));
        started.map_err(|error| Error::Unusable(format!("cannot start the thread that syncs: {error}")))?;
        Ok(Self(asks))
    }

    /// Asks for a sync of everything that is committed by now.
    pub(super) fn sync(&self) -> Handed {
        let (done, synced) = oneshot::channel();
        // Where the thread is gone, so is `done`, and nobody is told that it was synced.
        let _ = self.0.send(done);
        Handed(Some(synced))
    }
}

impl Handed {
    /// What is durable already.
    pub(super) fn durable() -> Self {
        Self(None)
    }

    /// Waits until it is durable.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the disk did not take it; nothing that follows is taken either.
    pub async fn synced(self) -> Result<()> {
        match self.0 {
            None => Ok(()),
            Some(synced) => synced.await.map_err(|_| Error::Unavailable(sqlx::Error::WorkerCrashed.into())),
        }
    }
}

/// Ends with the first failure: the kernel may have dropped what it could not write, so that a later
/// sync that succeeds would say nothing of it (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
fn run(path: &Path, asked: &mpsc::Receiver<oneshot::Sender<()>>) {
    let mut log = None;
    while let Ok(first) = asked.recv() {
        let all: Vec<oneshot::Sender<()>> = std::iter::once(first).chain(asked.try_iter()).collect();
        if let Err(error) = sync(&mut log, path) {
            tracing::error!(%error, "the database's log cannot be synced; nothing more is taken until a new start");
            return;
        }
        for one in all {
            let _ = one.send(());
        }
    }
}

fn sync(log: &mut Option<File>, path: &Path) -> io::Result<()> {
    if log.is_none() {
        // There since the first commit, and the same file as long as a connection is open.
        *log = Some(File::open(path)?);
    }
    log.as_ref().map_or(Ok(()), File::sync_data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_sync_that_failed_nothing_is_said_to_be_durable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("callboard.db");
        let log = Log::start(&path).unwrap();
        assert!(matches!(log.sync().synced().await, Err(Error::Unavailable(_))));
        std::fs::write(directory.path().join("callboard.db-wal"), "").unwrap();
        assert!(matches!(log.sync().synced().await, Err(Error::Unavailable(_))));
    }

    #[tokio::test]
    async fn whoever_asks_is_told_after_a_sync() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("callboard.db-wal"), "").unwrap();
        let log = Log::start(&directory.path().join("callboard.db")).unwrap();
        let (first, second) = (log.sync(), log.sync());
        second.synced().await.unwrap();
        first.synced().await.unwrap();
    }
}
