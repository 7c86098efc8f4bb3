//! The connections that write, and transactions on them that begin only when they have to.
//!
//! SQLite has one, without a pool, on a thread of its own (see [`super::thread`]). `BEGIN` travels with the first
//! statement and `COMMIT` with the last ones; on PostgreSQL, where `BEGIN` would be a round trip, it is left out before a
//! single statement.

use std::sync::Arc;

use futures_util::FutureExt;
use rusqlite::Connection;
use sqlx::{PgConnection, PgPool, Postgres, Sqlite};
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};

use super::given::Given;
use super::log::{Handed, Log};
use super::thread::{self, Thread};
use super::{ACQUIRE_TIMEOUT, Error, Result};

/// The connection that writes; nobody has it after [`Writer::close`].
#[derive(Clone, Debug)]
pub struct Writer {
    thread: Arc<Mutex<Option<Thread>>>,
    log: Log,
}

impl Writer {
    pub(super) fn new(thread: Thread, log: Log) -> Self {
        Self { thread: Arc::new(Mutex::new(Some(thread))), log }
    }

    /// Waits for the connection; what is done with it is one transaction.
    pub(super) async fn begin(&self) -> Result<Writing> {
        let lock = tokio::time::timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.thread).lock_owned()).await;
        let lock = lock.map_err(|_| Error::busy())?;
        let thread = OwnedMutexGuard::try_map(lock, Option::as_mut);
        let thread = thread.map_err(|_| Error::Unavailable(sqlx::Error::PoolClosed.into()))?;
        Ok(Writing { thread, log: self.log.clone(), begun: false, is_there: false })
    }

    pub(super) async fn close(&self) {
        if let Some(thread) = self.thread.lock().await.take() {
            thread.close().await;
        }
    }
}

/// A transaction on a SQLite file.
pub enum SqliteTx {
    /// On a connection that cannot write.
    Read(sqlx::Transaction<'static, Sqlite>),
    /// On the one that can.
    Write(Writing),
}

/// The connection that writes, in hand.
pub struct Writing {
    thread: OwnedMappedMutexGuard<Option<Thread>, Thread>,
    log: Log,
    begun: bool,
    /// Whether it is used on the thread itself.
    is_there: bool,
}

impl Writing {
    /// Does this with a transaction on the connection's own thread, where each statement is only a call.
    pub(super) async fn there<T, W>(mut self, work: impl FnOnce(SqliteTx) -> W + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = T>,
    {
        self.is_there = true;
        let way = self.thread.way.clone();
        let done = way.run(move || work(SqliteTx::Write(self)).now_or_never()).await?;
        done.ok_or(Error::Unavailable(sqlx::Error::WorkerCrashed.into()))
    }

    /// Does this with the connection, in the transaction, which begins now if it has not.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let begins = !std::mem::replace(&mut self.begun, true);
        let connection = self.thread.connection.clone();
        let work = move || {
            connection.with(|connection| {
                if begins {
                    thread::execute(connection, "BEGIN IMMEDIATE", &[])?;
                }
                work(connection)
            })
        };
        if self.is_there {
            return Ok(work()?);
        }
        Ok(self.thread.way.run(work).await??)
    }

    /// Runs these writes.
    pub(super) async fn write(&mut self, writes: Vec<(Given, String)>) -> Result<()> {
        self.run(move |connection| write_all(connection, &writes)).await
    }

    /// Runs the last writes and commits. The sync is on its way then, and the connection free for the next
    /// transaction.
    pub(super) async fn commit(mut self, writes: Vec<(Given, String)>) -> Result<Handed> {
        if !self.begun && writes.is_empty() {
            return Ok(Handed::durable());
        }
        let work = move |connection: &Connection| {
            write_all(connection, &writes)?;
            thread::execute(connection, "COMMIT", &[])
        };
        self.run(work).await?;
        self.begun = false;
        self.thread.checkpoints.hint();
        Ok(self.log.sync())
    }
}

fn write_all(connection: &Connection, writes: &[(Given, String)]) -> rusqlite::Result<()> {
    writes.iter().try_for_each(|(given, sql)| thread::write(connection, given, sql))
}

impl Drop for Writing {
    /// Rolls back what was not committed, before anybody else has the connection.
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        let connection = self.thread.connection.clone();
        // Where `BEGIN` itself failed there is nothing to roll back, and that is the error here.
        let roll_back = move || connection.with(|connection| drop(thread::execute(connection, "ROLLBACK", &[])));
        if self.is_there { roll_back() } else { self.thread.way.begin(roll_back) }
    }
}

/// A transaction on a PostgreSQL server.
pub enum PostgresTx {
    /// One that has begun.
    Begun(sqlx::Transaction<'static, Postgres>),
    /// None yet: a statement made now is a transaction of its own.
    Idle(PgPool),
}

impl PostgresTx {
    /// The connection of the transaction, which begins now if it has not.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn begun(&mut self) -> Result<&mut PgConnection> {
        if let Self::Idle(pool) = self {
            *self = Self::Begun(begin(pool).await?);
        }
        match self {
            Self::Begun(tx) => Ok(tx),
            Self::Idle(_) => Err(Error::Unavailable(sqlx::Error::PoolClosed.into())),
        }
    }
}

/// Begins a transaction. Connections are not tested before they are taken from the pool: one that has died there
/// shows itself now, and is passed over.
pub(super) async fn begin(pool: &PgPool) -> Result<sqlx::Transaction<'static, Postgres>> {
    let mut left = pool.options().get_max_connections();
    loop {
        match pool.begin().await {
            Err(sqlx::Error::Io(_)) if left > 0 => left -= 1,
            begun => return Ok(begun?),
        }
    }
}
