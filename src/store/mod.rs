//! The store: the only SQL of the house.
//!
//! One query text serves SQLite and PostgreSQL. What makes that possible:
//!
//! 1. Columns are text, 64-bit integers and bytes only. Ids and states are text with a CHECK, times are
//!    milliseconds, `now` is always bound.
//! 2. Many rows are bound as [`given::Given`] and stand in the query as a table named `given`.
//! 3. What differs is a handful of named places: [`open`], in [`given`] how many rows are bound, in [`tx`]
//!    how writes are handed over and the clause that locks what is claimed, and in [`tasks`] how tasks are locked that are not there yet.
//! 4. What is joined with `given` is written `given CROSS JOIN …`: SQLite then begins with `given`, and
//!    never reads a whole table for many rows. PostgreSQL is told so when it is opened.
//! 5. Raw bytes are bound as bytes, never inside JSON; a NUL in a text is bound as U+FFFD.
//!
//! A state that must not exist is forbidden by the schema, not by care.

mod activity;
mod audit;
mod backup;
mod callbacks;
mod checkpoint;
mod deliveries;
mod destinations;
mod error;
mod events;
mod given;
mod idempotency;
mod intents;
mod keys;
mod listeners;
mod lists;
mod log;
mod open;
mod polls;
mod prune;
mod replays;
mod reseal;
mod row;
mod sealed;
mod secrets;
mod selected;
mod sessions;
mod settle;
mod sources;
mod sources_made;
mod stats;
mod subscriptions;
mod sweeps;
mod tail;
mod tasks;
mod teams;
mod thread;
mod tx;
mod watches;
mod writer;

use std::time::Duration;

use sqlx::{PgPool, SqlitePool};

pub use activity::Activity;
pub use audit::{Actor, AuditFilter, AuditRow};
pub use backup::{Contents, copy_sqlite, inspect_sqlite};
pub use callbacks::{CallbackFilter, CallbackRow, JudgedCallback, KeptCallback, NewCallback, Repeats};
pub use deliveries::{Claimed, DeliveryFilter, DeliveryRow, Forwarded, Lease, NewDelivery};
pub use destinations::DestinationState;
pub use error::{Cause, Error};
pub use events::{EventFilter, EventRow};
pub use idempotency::KeptAnswer;
pub use intents::{Intent, NewIntent};
pub use keys::{FIRST_KEY, KeyRow, ShownKey};
pub use listeners::AimedReplay;
pub use lists::Page;
pub use log::Handed;
pub use open::{SQLITE_VERSION_MIN, lock_sqlite};
pub use polls::{NewPoll, PollRow};
pub use prune::{FileSpace, Heard, OldDelivery, OldEvent, OldMessage};
pub use replays::{NewReplay, ReplayRow, Turned};
pub use reseal::Place;
pub use sealed::{SealFile, renew_seal_beside, seal_beside, seal_file};
pub use secrets::{KeptSecret, Use, closed};
pub use selected::{Counted, Selected, Stretch};
pub use sessions::{NewSession, Session};
pub use settle::{AttemptRow, NewAttempt, Settled};

pub use sources::{SourceState, SourceTrouble};
pub use sources_made::MadeSource;
pub use stats::{Awaited, StatsFilter, StatsRow};
pub use subscriptions::StoredSubscription;
pub use sweeps::{Sweep, SweepKind};
pub use tail::{EventCursor, TailRow};
pub use tasks::{ChangedTask, TaskFilter, TaskId};
pub use teams::MadeTeam;
pub use tx::{Guess, On, Tx};
pub use watches::{Asked, NextAsk, SavedWatch};
pub use writer::{PostgresTx, SqliteTx, Writer, Writing};

/// A result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// An open database. Clones share its connections.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file: one writer, several readers.
    Sqlite {
        /// The one connection that writes.
        write: Writer,
        /// Connections that can only read.
        read: SqlitePool,
    },
    /// A server.
    Postgres(PgPool),
}

impl Store {
    /// Begins a transaction that may write. On SQLite there is one at a time. On PostgreSQL it begins
    /// with its second statement: a single one is a transaction by itself.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if none can be had within 3 s.
    pub async fn write(&self) -> Result<Tx> {
        let on = match self {
            Self::Sqlite { write, .. } => On::Sqlite(SqliteTx::Write(write.begin().await?)),
            Self::Postgres(pool) => On::Postgres(PostgresTx::Idle(pool.clone())),
        };
        Ok(on.into())
    }

    /// A transaction that may write, not yet begun, to be done as a whole where that is cheapest.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if none can be had within 3 s.
    pub async fn reserve(&self) -> Result<Reserved> {
        Ok(match self {
            Self::Sqlite { write, .. } => Reserved::Sqlite(write.begin().await?),
            Self::Postgres(pool) => Reserved::Postgres(pool.clone()),
        })
    }

    /// Begins a transaction that reads one consistent state.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if none can be had within 3 s.
    pub async fn read(&self) -> Result<Tx> {
        let on = match self {
            Self::Sqlite { read, .. } => On::Sqlite(SqliteTx::Read(read.begin().await?)),
            Self::Postgres(pool) => On::Postgres(PostgresTx::Begun(writer::begin(pool).await?)),
        };
        Ok(on.into())
    }

    /// Whether no other process can share this database, so that every lease found at start is void.
    pub fn is_single(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// How many batches are worth writing at the same time: on SQLite there is one writer; on PostgreSQL one
    /// batch is written while another syncs.
    pub fn writers(&self) -> usize {
        match self {
            Self::Sqlite { .. } => 1,
            Self::Postgres(_) => 2,
        }
    }

    /// What kind of database it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// Closes every connection; a SQLite file is left without its `-wal`.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A transaction that may write, and that nobody has begun: see [`Store::reserve`].
pub enum Reserved {
    /// The one connection that writes.
    Sqlite(Writing),
    /// Where there is a connection.
    Postgres(PgPool),
}

impl Reserved {
    /// Does this with the transaction: on SQLite on the thread that has the connection, where no statement is handed
    /// over. `work` may wait for nothing but its transaction. A panic goes on here.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the connection was closed meanwhile, or `work` waited for something else.
    pub async fn run<T, W>(self, work: impl FnOnce(Tx) -> W + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send,
    {
        match self {
            Self::Sqlite(writing) => writing.there(|tx| work(On::Sqlite(tx).into())).await,
            Self::Postgres(pool) => Ok(work(On::Postgres(PostgresTx::Idle(pool)).into()).await),
        }
    }
}

/// How long a connection is waited for.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
