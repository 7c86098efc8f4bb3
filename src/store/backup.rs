//! Copies of a SQLite database while it is served, and what is in a copy.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};

use super::open::newest_migration;
use super::{Error, Result};

/// What is in a copy that was found whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    /// The last migration that it has.
    pub version: i64,
    /// So many tasks.
    pub tasks: i64,
    /// So many events.
    pub events: i64,
    /// So many callbacks.
    pub callbacks: i64,
    /// So many deliveries.
    pub deliveries: i64,
}

impl Contents {
    /// Whether this build knows everything that is in it.
    pub fn is_known(&self) -> bool {
        self.version <= newest_migration()
    }
}

/// Writes the state of this moment into `to`, which must be empty or not there. Whoever serves the database goes on
/// writing meanwhile; nothing is migrated.
///
/// # Errors
/// [`Error::Unusable`] where it cannot be read or written; `to` may then hold a part.
pub async fn copy_sqlite(from: &Path, to: &Path) -> Result<()> {
    let cannot = |error: sqlx::Error| Error::Unusable(format!("{} cannot be copied: {error}", from.display()));
    // What is relative, or begins with `file:`, would be read as something else.
    let to = std::path::absolute(to).ok().and_then(|to| to.to_str().map(str::to_owned));
    let to = to.ok_or_else(|| Error::Unusable("the path of the copy is not UTF-8".to_owned()))?;
    let mut source = open(from, false).await.map_err(cannot)?;
    sqlx::query("VACUUM INTO $1").bind(to).execute(&mut source).await.map_err(cannot)?;
    source.close().await.map_err(cannot)
}

/// Reads a whole copy that nobody writes, and says what is in it.
///
/// # Errors
/// [`Error::Unusable`] where it is damaged, or no database of Callboard.
pub async fn inspect_sqlite(copy: &Path) -> Result<Contents> {
    let damaged = |said: String| Error::Unusable(format!("the copy is damaged, or no SQLite database: {said}"));
    let mut copy = open(copy, true).await.map_err(|error| damaged(error.to_string()))?;
    let said: Vec<String> =
        rows(&mut copy, "PRAGMA integrity_check").await.map_err(|error| damaged(error.to_string()))?;
    if said != ["ok"] {
        return Err(damaged(said.join("; ")));
    }
    let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut copy).await?;
    if !strays.is_empty() {
        return Err(damaged(format!("{} rows speak of others that are not there", strays.len())));
    }
    let foreign = |_| Error::Unusable("it is a SQLite database, but not one of Callboard".to_owned());
    let version = number(&mut copy, "SELECT COALESCE(max(version), 0) FROM _sqlx_migrations").await.map_err(foreign)?;
    let contents = Contents {
        version,
        tasks: count(&mut copy, "tasks").await.map_err(foreign)?,
        events: count(&mut copy, "events").await.map_err(foreign)?,
        callbacks: count(&mut copy, "callbacks").await.map_err(foreign)?,
        deliveries: count(&mut copy, "deliveries").await.map_err(foreign)?,
    };
    copy.close().await?;
    Ok(contents)
}

/// Opens a file to read it. One that is `still` is not locked, and no file is made beside it.
async fn open(path: &Path, still: bool) -> sqlx::Result<SqliteConnection> {
    let options =
        SqliteConnectOptions::new().filename(path).read_only(true).immutable(still).disable_statement_logging();
    SqliteConnection::connect_with(&options).await
}

async fn count(copy: &mut SqliteConnection, table: &'static str) -> sqlx::Result<i64> {
    number(copy, &format!("SELECT count(*) FROM {table}")).await
}

async fn number(copy: &mut SqliteConnection, sql: &str) -> sqlx::Result<i64> {
    sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(copy).await?.try_get(0)
}

async fn rows(copy: &mut SqliteConnection, sql: &'static str) -> sqlx::Result<Vec<String>> {
    sqlx::query(sql).fetch_all(copy).await?.iter().map(|row| row.try_get(0)).collect()
}
