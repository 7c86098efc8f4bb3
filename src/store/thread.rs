//! The thread that has the one SQLite connection that writes.
//!
//! It is given work, one piece after the other, and each piece is as much as can be handed over at once, at best a whole
//! transaction: a hand-over wakes a thread and is woken by it, which costs more than a small statement. Rows are bound
//! from where they are.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, Statement, ToSql};
use tokio::sync::oneshot;

use super::checkpoint::Checkpoints;
use super::given::{Cell, Given};
use super::row::{OwnRow, Value};
use super::{Error, Result};

/// What fills the log is copied beside the writing ([`super::checkpoint`]); within a commit only where it has come to
/// four times as much.
const WAL_PAGES: i64 = 16_000;
/// 4 MiB of pages; SQLite's 2 MiB are fewer than a batch touches. More is no faster, as the kernel keeps them too
/// (`PERFORMANCE.md`).
const CACHE_KIB: i64 = -4_000;
/// The log is cut to this when it begins anew.
const WAL_BYTES: i64 = 64 * 1024 * 1024;
/// So many statements are kept prepared: all of ours that write.
const STATEMENTS_KEPT: usize = 256;

type Work = Box<dyn FnOnce() + Send>;

/// The thread and its connection. It ends with this.
#[derive(Debug)]
pub(super) struct Thread {
    /// The connection, for what is done on the thread.
    pub(super) connection: Shared,
    /// The way to the thread.
    pub(super) way: Way,
    /// Copies what it writes into the file.
    pub(super) checkpoints: Checkpoints,
    ended: oneshot::Receiver<()>,
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub(super) struct Way(mpsc::Sender<Work>);

/// The connection. One piece of work has it at a time: those on the thread, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Connection>>);

impl Shared {
    /// Does this on the thread that asks, which is to be the connection's own.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Way {
    /// Does this on the thread, once everything that was given before is done; it is done even if nobody waits. A panic
    /// goes on here.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (reply, done) = oneshot::channel();
        self.begin(move || {
            let _ = reply.send(catch_unwind(AssertUnwindSafe(work)));
        });
        let done = done.await.map_err(|_| Error::Unavailable(sqlx::Error::WorkerCrashed.into()))?;
        Ok(done.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// The same, and nobody waits for it.
    pub(super) fn begin(&self, work: impl FnOnce() + Send + 'static) {
        // Where the thread is gone, so is whoever would have answered.
        let _ = self.0.send(Box::new(work));
    }
}

impl Thread {
    /// Opens the connection on a thread of its own.
    pub(super) fn start(path: &Path) -> Result<Self> {
        let connection = Shared(Arc::new(Mutex::new(open(path)?)));
        let (work, given) = mpsc::channel::<Work>();
        let (end, ended) = oneshot::channel();
        let kept = connection.clone();
        let run = move || {
            for work in given {
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    tracing::error!("a write panicked; the thread that writes goes on");
                }
            }
            // What is committed is synced; an error of closing leaves the log to the next start.
            drop(kept);
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("callboard-write".into()).spawn(run);
        thread.map_err(|error| Error::Unusable(format!("cannot start the thread that writes: {error}")))?;
        let way = Way(work);
        let checkpoints = Checkpoints::start(path, way.clone(), connection.clone())?;
        Ok(Self { connection, way, checkpoints, ended })
    }

    /// Waits until everything is done and the connection closed.
    pub(super) async fn close(self) {
        self.checkpoints.close().await;
        // The thread has the last one then, and closes it.
        drop(self.connection);
        drop(self.way);
        let _ = self.ended.await;
    }
}

fn open(path: &Path) -> Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    let text = |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0));
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (journal, sync, keys) = (text("journal_mode")?, number("synchronous")?, number("foreign_keys")?);
    if (journal.as_str(), sync, keys) != ("wal", 1, 1) {
        return Err(Error::Unusable(format!(
            "SQLite did not take its settings (journal_mode {journal}, synchronous {sync}, foreign_keys {keys}): \
             is the file on a network file system?"
        )));
    }
    Ok(connection)
}

/// Runs a statement for each row given.
pub(super) fn write(connection: &Connection, given: &Given, sql: &str) -> rusqlite::Result<()> {
    let mut statement = prepared(connection, given, sql)?;
    for_each(&mut statement, given, |statement| statement.raw_execute().map(drop))
}

/// Runs a query for each row given; gives the rows of all answers.
pub(super) fn ask(connection: &Connection, given: &Given, sql: &str) -> rusqlite::Result<Vec<OwnRow>> {
    let mut statement = prepared(connection, given, sql)?;
    let mut all = Vec::new();
    let names = names(&statement);
    for_each(&mut statement, given, |statement| answer(statement, &names, &mut all))?;
    Ok(all)
}

fn prepared<'c>(connection: &'c Connection, given: &Given, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
    connection.prepare_cached(&format!("WITH {} {}", given.as_values(1), or_fail(sql)))
}

fn for_each(
    statement: &mut Statement<'_>,
    given: &Given,
    mut run: impl FnMut(&mut Statement<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut cells = Vec::new();
    for row in 0..given.count() {
        cells.clear();
        given.cells(row, &mut cells);
        for (at, cell) in cells.iter().enumerate() {
            statement.raw_bind_parameter(at + 1, cell)?;
        }
        run(statement)?;
    }
    Ok(())
}

/// Runs a statement; gives how many rows it changed.
pub(super) fn execute(connection: &Connection, sql: &str, values: &[Value]) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, values)?;
    Ok(statement.raw_execute()? as u64)
}

/// Runs a query; gives its rows.
pub(super) fn fetch(connection: &Connection, sql: &str, values: &[Value]) -> rusqlite::Result<Vec<OwnRow>> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, values)?;
    let mut all = Vec::new();
    let names = names(&statement);
    answer(&mut statement, &names, &mut all)?;
    Ok(all)
}

/// The place `$2` takes the second value, wherever it stands.
fn bind(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    for at in 1..=statement.parameter_count() {
        let number = statement.parameter_name(at).and_then(|name| name.trim_start_matches('$').parse().ok());
        let value =
            values.get(number.unwrap_or(at) - 1).ok_or(rusqlite::Error::InvalidParameterCount(at, values.len()))?;
        statement.raw_bind_parameter(at, value)?;
    }
    Ok(())
}

fn names(statement: &Statement<'_>) -> Arc<[String]> {
    statement.column_names().into_iter().map(str::to_owned).collect()
}

fn answer(statement: &mut Statement<'_>, names: &Arc<[String]>, all: &mut Vec<OwnRow>) -> rusqlite::Result<()> {
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let values = (0..names.len()).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?;
        all.push(OwnRow { names: Arc::clone(names), values });
    }
    Ok(())
}

/// A write that SQLite need not be able to undo by itself: an error ends the whole transaction anyway. It would keep a
/// copy of each page that a statement changes (<https://www.sqlite.org/tempfiles.html#statement_journal_files>).
fn or_fail(sql: &str) -> String {
    let sql = sql.trim_start();
    match (sql.strip_prefix("INSERT "), sql.strip_prefix("UPDATE ")) {
        (Some(rest), _) => format!("INSERT OR FAIL {rest}"),
        (_, Some(rest)) => format!("UPDATE OR FAIL {rest}"),
        _ => sql.to_owned(),
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Int(Some(number)) => ValueRef::Integer(*number),
            Self::Text(None) | Self::Int(None) => ValueRef::Null,
        }))
    }
}
