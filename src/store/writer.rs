//! The connections that write, and transactions on them that begin only when they have to.
//!
//! SQLite has one, without a pool: a pool would test the connection after each use and fetch it back
//! through a task of its own. Each such hand-over wakes a thread, and at one sync for many callbacks that
//! is what costs. For the same reason `BEGIN` travels with the first statement, and on PostgreSQL, where
//! it would be a round trip, it is left out before a single statement.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection};
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};

use super::log::{Handed, Log};
use super::{ACQUIRE_TIMEOUT, Error, Result};

/// The connection that writes; nobody has it after [`Writer::close`].
#[derive(Clone, Debug)]
pub struct Writer {
    connection: Arc<Mutex<Option<SqliteConnection>>>,
    log: Log,
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection, log: Log) -> Self {
        Self { connection: Arc::new(Mutex::new(Some(connection))), log }
    }

    /// Waits for the connection; what is done with it is one transaction.
    pub(super) async fn begin(&self) -> Result<SqliteTx> {
        let lock = tokio::time::timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.connection).lock_owned()).await;
        let lock = lock.map_err(|_| Error::Unavailable(sqlx::Error::PoolTimedOut))?;
        let connection = OwnedMutexGuard::try_map(lock, Option::as_mut);
        let connection = connection.map_err(|_| Error::Unavailable(sqlx::Error::PoolClosed))?;
        Ok(SqliteTx::Write(Writing { connection: Some(connection), log: self.log.clone(), begun: false }))
    }

    pub(super) async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            // What is committed is synced; an error here leaves the log to the next start.
            let _ = connection.close().await;
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
    connection: Option<OwnedMappedMutexGuard<Option<SqliteConnection>, SqliteConnection>>,
    log: Log,
    begun: bool,
}

impl SqliteTx {
    /// What must stand before the next statement for it to be in the transaction: `BEGIN` travels with
    /// the first one.
    pub(super) fn prefix(&mut self) -> &'static str {
        match self {
            Self::Write(writing) if !writing.begun => {
                writing.begun = true;
                "BEGIN IMMEDIATE;"
            }
            Self::Write(_) | Self::Read(_) => "",
        }
    }
}

impl Writing {
    /// Runs the last statements and commits, in one hand-over. The sync is on its way then, and the
    /// connection free for the next transaction.
    pub(super) async fn commit(mut self, text: &str, arguments: SqliteArguments) -> Result<Handed> {
        let text = match (self.begun, text.is_empty()) {
            (false, true) => return Ok(Handed::durable()),
            (false, false) => ["BEGIN IMMEDIATE;", text, "COMMIT"].concat(),
            (true, _) => [text, "COMMIT"].concat(),
        };
        self.begun = true;
        if let Some(connection) = &mut self.connection {
            sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut **connection).await?;
        }
        self.begun = false;
        Ok(self.log.sync())
    }
}

impl Deref for SqliteTx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Read(tx) => tx,
            Self::Write(writing) => writing.connection.as_ref().expect("it is taken only when dropped"),
        }
    }
}

impl DerefMut for SqliteTx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Read(tx) => tx,
            Self::Write(writing) => writing.connection.as_mut().expect("it is taken only when dropped"),
        }
    }
}

impl Drop for Writing {
    /// Rolls back what was not committed, before anybody else has the connection.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take().filter(|_| self.begun) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // Where `BEGIN` itself failed there is nothing to roll back, and that is the error here.
            let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
        });
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
            Self::Idle(_) => Err(Error::Unavailable(sqlx::Error::PoolClosed)),
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
