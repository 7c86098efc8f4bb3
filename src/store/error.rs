//! What can go wrong with the database, as far as callers branch on it.

use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot take or give anything now; the same may work later.
    #[error("the database is not available")]
    Unavailable(#[source] Cause),
    /// Two transactions were in each other's way; the same may work at once.
    #[error("two transactions were in each other's way")]
    Contention(#[source] Cause),
    /// A transaction supposed something that is not so, and wrote nothing.
    #[error("it is not as it was supposed to be")]
    Supposed,
    /// This content cannot be stored; other content can.
    #[error("the database refuses this content")]
    Content(#[source] Cause),
    /// Something is in the database that we never write.
    #[error("`{column}` holds something that was never written by this program")]
    Corrupt {
        /// The column.
        column: &'static str,
    },
    /// The database cannot be used at all; the text says why and what to do.
    #[error("{0}")]
    Unusable(String),
}

/// What the database said.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Any connection but the one that writes to SQLite.
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
    /// The one that writes to SQLite.
    #[error(transparent)]
    Rusqlite(#[from] rusqlite::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(ref database) => {
                let code = database.code().unwrap_or_default().into_owned();
                match database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                    Some(_) => postgres(&code, error.into()),
                    None => sqlite(code.parse().unwrap_or_default(), error.into()),
                }
            }
            sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => Self::Content(error.into()),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt { column: "a column" },
            _ => Self::Unavailable(error.into()),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) => sqlite(failure.extended_code, error.into()),
            _ => Self::Unavailable(error.into()),
        }
    }
}

/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>
fn postgres(code: &str, error: Cause) -> Error {
    match code {
        "40P01" | "40001" | "55P03" => Error::Contention(error),
        // A trigger refused it.
        "P0001" => Error::Content(error),
        // Data exceptions, broken constraints, and what is too large or too deep.
        _ if ["22", "23", "54"].contains(&code.get(..2).unwrap_or_default()) => Error::Content(error),
        _ => Error::Unavailable(error),
    }
}

/// <https://www.sqlite.org/rescode.html>: the low byte is the primary code.
fn sqlite(code: i32, error: Cause) -> Error {
    const TOOBIG: i32 = 18;
    const CONSTRAINT: i32 = 19;
    const MISMATCH: i32 = 20;
    match code & 0xff {
        TOOBIG | CONSTRAINT | MISMATCH => Error::Content(error),
        _ => Error::Unavailable(error),
    }
}

impl Error {
    /// Others are at it all the time; the same may work later.
    pub fn busy() -> Self {
        Self::Unavailable(sqlx::Error::PoolTimedOut.into())
    }

    /// Whether a unique name or id was already taken.
    pub fn is_taken(&self) -> bool {
        match self {
            Self::Content(Cause::Sqlx(sqlx::Error::Database(database))) => database.is_unique_violation(),
            Self::Content(Cause::Rusqlite(rusqlite::Error::SqliteFailure(failure, _))) => {
                matches!(failure.extended_code, SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY)
            }
            _ => false,
        }
    }
}
