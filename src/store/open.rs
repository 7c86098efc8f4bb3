//! Opening a database: settings that are set and read back, the version floor, the migrations.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection, Row, SqlSafeStr, SqliteConnection};

use super::log::Log;
use super::tail::SETTLE_RESTORED;
use super::thread::Thread;
use super::writer::Writer;
use super::{ACQUIRE_TIMEOUT, Error, Result, Store};
use crate::domain::secret::Secret;

/// Older versions can corrupt a WAL database when a checkpoint races a commit
/// (<https://www.sqlite.org/releaselog/3_51_3.html>).
pub const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// So many statements are kept prepared on each connection: all of ours.
const STATEMENTS_KEPT: usize = 512;
/// Of a new file. A callback, a task and an event are about a kilobyte each: SQLite's 4 KiB hold three, and each page is two writes to the
/// log.
const PAGE_BYTES: u32 = 8192;
const SQLITE_READERS: u32 = 4;
/// A megabyte of pages for each, which most lists do not fill; the kernel keeps the rest.
const READER_CACHE_KIB: &str = "-1000";
const POSTGRES_CONNECTIONS: u32 = 10;

impl Store {
    /// Opens a SQLite file, which is made with mode 0600 if it is not there, and migrates it.
    ///
    /// # Errors
    /// [`Error::Unusable`] where the library is too old or a setting does not hold.
    pub async fn open_sqlite(path: &Path) -> Result<Self> {
        make_private(path)
            .map_err(|error| Error::Unusable(format!("cannot open the database file {}: {error}", path.display())))?;
        let reads = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(STATEMENTS_KEPT)
            .disable_statement_logging();
        let options = reads
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .page_size(PAGE_BYTES)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .foreign_keys(true);
        let mut first = SqliteConnection::connect_with(&options).await?;
        check_sqlite(&mut first).await?;
        migrator(SQLITE).run_direct(None, &mut first, false).await.map_err(cannot_migrate)?;
        first.close().await?;

        let write = Writer::new(Thread::start(path)?, Log::start(path)?);
        let read = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .connect_with(reads.read_only(true).pragma("cache_size", READER_CACHE_KIB))
            .await?;
        Ok(Self::Sqlite { write, read })
    }

    /// Opens a PostgreSQL database and migrates it.
    ///
    /// # Errors
    /// [`Error::Unusable`] where the URL cannot be read or a migration fails.
    pub async fn open_postgres(url: &Secret) -> Result<Self> {
        let options = PgConnectOptions::from_str(url.expose())
            .map_err(|_| Error::Unusable("`database.url` is not a PostgreSQL URL that can be read".into()))?
            .statement_cache_capacity(STATEMENTS_KEPT)
            .application_name("callboard")
            .disable_statement_logging();
        // Migrations may take as long as they need; everything else is bounded.
        let mut first = PgConnection::connect_with(&options).await?;
        migrate_postgres(&mut first).await?;
        first.close().await?;

        let bounded = options.options([
            ("synchronous_commit", "on"),
            ("lock_timeout", "1s"),
            ("statement_timeout", "4s"),
            ("idle_in_transaction_session_timeout", "5s"),
            // Every query of ours has an index to go by. A plan that is made while a table is small is
            // kept, and must not be one that reads the whole table when it has grown.
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            // The rows that an index leads to are in memory, or on a disk that does not turn: at 4, for which PostgreSQL
            // takes them, it reads a small table along an index that knows less, if its rows lie in that one's order.
            ("random_page_cost", "1.1"),
            // What is switched off counts as immensely dear, and what is dear PostgreSQL compiles first: 30 ms to read
            // three rows (https://www.postgresql.org/docs/current/jit-decision.html).
            ("jit", "off"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A round trip each time; who takes one that has died takes the next.
            .test_before_acquire(false)
            .connect_with(bounded)
            .await?;
        Ok(Self::Postgres(pool))
    }
}

/// Takes the lock that says that this SQLite file is being served. It is held while the file returned
/// is open.
///
/// # Errors
/// [`Error::Unusable`] where another process holds it.
pub fn lock_sqlite(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let cannot = |error: String| Error::Unusable(format!("cannot lock {}: {error}", name.display()));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|error| cannot(error.to_string()))?;
    file.try_lock().map_err(|_| {
        cannot("another `callboard serve` uses this database. Stop it, or give this one another `database.url`".into())
    })?;
    Ok(file)
}

fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    Ok(())
}

/// Whoever migrates a PostgreSQL database holds this advisory lock: the first letters of the name, in ASCII.
const MIGRATING: i64 = i64::from_be_bytes(*b"callboar");

/// Brings a PostgreSQL database to this version, in one transaction: one commit is cheaper than eleven, and what fails leaves
/// it as it was. The lock of the migrator itself ends before the commit, so that whoever comes second waits for ours, and sees
/// what was done meanwhile, whatever isolation is the server's default.
async fn migrate_postgres(connection: &mut PgConnection) -> Result<()> {
    let mut all = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATING).execute(&mut *all).await?;
    migrator(POSTGRES).run_direct(None, &mut *all, false).await.map_err(cannot_migrate)?;
    sqlx::query(SETTLE_RESTORED).execute(&mut *all).await?;
    Ok(all.commit().await?)
}

async fn check_sqlite(connection: &mut SqliteConnection) -> Result<()> {
    let version: String = sqlx::query("SELECT sqlite_version()").fetch_one(&mut *connection).await?.try_get(0)?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    if (next(), next(), next()) < SQLITE_VERSION_MIN {
        return Err(Error::Unusable(format!("SQLite {version} can corrupt its files: 3.51.3 or later is needed")));
    }
    Ok(())
}

type Script = (i64, &'static str, &'static str);

const SQLITE: &[Script] = &[
    (1, "initial", include_str!("../../migrations/sqlite/0001_initial.sql")),
    (2, "watching", include_str!("../../migrations/sqlite/0002_watching.sql")),
    (3, "lists", include_str!("../../migrations/sqlite/0003_lists.sql")),
    (4, "stats", include_str!("../../migrations/sqlite/0004_stats.sql")),
    (5, "settings", include_str!("../../migrations/sqlite/0005_settings.sql")),
    (6, "replays", include_str!("../../migrations/sqlite/0006_replays.sql")),
    (7, "notices", include_str!("../../migrations/sqlite/0007_notices.sql")),
    (8, "lighter", include_str!("../../migrations/sqlite/0008_lighter.sql")),
    (9, "sessions", include_str!("../../migrations/sqlite/0009_sessions.sql")),
    (10, "lighter again", include_str!("../../migrations/sqlite/0010_lighter_again.sql")),
    (11, "typed deliveries", include_str!("../../migrations/sqlite/0011_typed_deliveries.sql")),
];
const POSTGRES: &[Script] = &[
    (1, "initial", include_str!("../../migrations/postgres/0001_initial.sql")),
    (2, "watching", include_str!("../../migrations/postgres/0002_watching.sql")),
    (3, "lists", include_str!("../../migrations/postgres/0003_lists.sql")),
    (4, "stats", include_str!("../../migrations/postgres/0004_stats.sql")),
    (5, "settings", include_str!("../../migrations/postgres/0005_settings.sql")),
    (6, "replays", include_str!("../../migrations/postgres/0006_replays.sql")),
    (7, "notices", include_str!("../../migrations/postgres/0007_notices.sql")),
    (8, "lighter", include_str!("../../migrations/postgres/0008_lighter.sql")),
    (9, "sessions", include_str!("../../migrations/postgres/0009_sessions.sql")),
    (10, "lighter again", include_str!("../../migrations/postgres/0010_lighter_again.sql")),
    (11, "typed deliveries", include_str!("../../migrations/postgres/0011_typed_deliveries.sql")),
];

fn migrator(scripts: &[Script]) -> Migrator {
    Migrator::with_migrations(
        scripts
            .iter()
            .map(|&(version, name, sql)| {
                Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
            })
            .collect(),
    )
}

/// The last migration that this build knows.
pub(super) fn newest_migration() -> i64 {
    SQLITE.iter().map(|(version, ..)| *version).max().unwrap_or_default()
}

fn cannot_migrate(error: sqlx::migrate::MigrateError) -> Error {
    Error::Unusable(format!("the database could not be brought to this version: {error}"))
}
