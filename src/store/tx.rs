//! A transaction on either database, and the few places where the two differ.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Arguments, AssertSqlSafe, Database, Encode, IntoArguments, Postgres, Row as _, Sqlite, Type};

use super::given::Given;
use super::log::Handed;
use super::row::{Row, Value};
use super::writer::{PostgresTx, SqliteTx};
use super::{Error, Result, thread};

/// A transaction. Dropped without [`Tx::commit`], it never was.
pub struct Tx {
    on: On,
    /// Bulk writes that wait for the next query or the commit, to be handed over together: on SQLite a
    /// hand-over wakes another thread and is woken by it, which costs more than a small statement.
    waiting: Vec<(Given, String)>,
    guess: Guess,
    /// Queries that are supposed to find nothing: see [`Tx::suppose`].
    supposed: Vec<(Given, String)>,
}

/// What a transaction takes the tasks for that it is about to lock. It is right however it guesses: a wrong guess costs
/// a round trip. On SQLite, where there is none, nothing is guessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Guess {
    /// All are new: that is supposed, and where it is not so nothing is written ([`Error::Supposed`]).
    New,
    /// It is looked first.
    #[default]
    Unsure,
    /// Some are known.
    Known,
}

/// The database's own transaction.
pub enum On {
    /// On a file.
    Sqlite(SqliteTx),
    /// On a server.
    Postgres(PostgresTx),
}

impl From<On> for Tx {
    fn from(on: On) -> Self {
        Self { on, waiting: Vec::new(), guess: Guess::default(), supposed: Vec::new() }
    }
}

impl Tx {
    /// The same, with a guess.
    pub fn guessing(self, guess: Guess) -> Self {
        Self { guess, ..self }
    }

    /// Makes everything that was done durable: on SQLite synced to the file, on PostgreSQL to its log.
    ///
    /// # Errors
    /// As the database gives them; nothing was done then.
    pub async fn commit(self) -> Result<()> {
        self.hand_over().await?.synced().await
    }

    /// Commits, and gives what is to be waited for until it is durable. The next transaction can begin
    /// meanwhile.
    ///
    /// # Errors
    /// As the database gives them; nothing was done then.
    pub async fn hand_over(mut self) -> Result<Handed> {
        match self.on {
            On::Sqlite(SqliteTx::Write(writing)) => writing.commit(self.waiting).await,
            On::Sqlite(SqliteTx::Read(tx)) => Ok(tx.commit().await.map(|()| Handed::durable())?),
            On::Postgres(PostgresTx::Idle(pool)) => {
                if !self.waiting.is_empty() || !self.supposed.is_empty() {
                    let (text, arguments) = together(self.waiting, self.supposed)?;
                    let row = sqlx::query_with(AssertSqlSafe(text), arguments).fetch_one(&pool).await?;
                    as_supposed(row.try_get(0)?)?;
                }
                Ok(Handed::durable())
            }
            On::Postgres(PostgresTx::Begun(_)) => {
                self.flush().await?;
                if let On::Postgres(PostgresTx::Begun(tx)) = self.on {
                    tx.commit().await?;
                }
                Ok(Handed::durable())
            }
        }
    }

    /// The database's own transaction, to ask it what the store does not know of.
    pub fn on(&mut self) -> &mut On {
        &mut self.on
    }

    /// Whether other transactions may write at the same time.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.on, On::Postgres(_))
    }

    /// The clause that locks what a claim selects, and passes over what others have locked. On SQLite
    /// there is one writer, and nothing to lock.
    pub(super) fn lock_clause(&self) -> &'static str {
        if self.is_shared() { "FOR UPDATE SKIP LOCKED" } else { "" }
    }

    /// What an `UPDATE` of many rows says on SQLite where it stands behind a `WITH` of its own: an error ends the
    /// transaction, and SQLite need not be able to undo the statement alone (see [`thread::write`]).
    pub(super) fn or_fail_clause(&self) -> &'static str {
        if self.is_shared() { "" } else { "OR FAIL" }
    }

    /// Runs a statement; gives how many rows it changed.
    pub(super) async fn execute(&mut self, sql: impl Into<String>, values: Vec<Value>) -> Result<u64> {
        self.flush().await?;
        let sql = sql.into();
        Ok(match &mut self.on {
            On::Sqlite(SqliteTx::Write(writing)) => {
                writing.run(move |connection| thread::execute(connection, &sql, &values)).await?
            }
            On::Sqlite(SqliteTx::Read(tx)) => bound::<Sqlite>(sql, values)?.execute(&mut **tx).await?.rows_affected(),
            On::Postgres(tx) => bound::<Postgres>(sql, values)?.execute(tx.begun().await?).await?.rows_affected(),
        })
    }

    /// Runs a query; gives its rows.
    pub(super) async fn fetch(&mut self, sql: impl Into<String>, values: Vec<Value>) -> Result<Vec<Row>> {
        self.flush().await?;
        let sql = sql.into();
        Ok(match &mut self.on {
            On::Sqlite(SqliteTx::Write(writing)) => {
                let rows = writing.run(move |connection| thread::fetch(connection, &sql, &values)).await?;
                rows.into_iter().map(Row::Own).collect()
            }
            On::Sqlite(SqliteTx::Read(tx)) => {
                let rows = bound::<Sqlite>(sql, values)?.fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            On::Postgres(tx) => {
                let rows = bound::<Postgres>(sql, values)?.fetch_all(tx.begun().await?).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Runs a query; gives its first row.
    pub(super) async fn fetch_one(&mut self, sql: impl Into<String>, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.fetch(sql, values).await?.into_iter().next())
    }

    /// Runs a statement over the rows `given`, however many there are, before whatever comes next; what
    /// is wrong with it shows itself then, or at the commit. Of what others do that wait with it, it may
    /// see nothing, and must not change the same rows.
    pub(super) fn bulk(&mut self, given: Given, sql: &str) {
        if given.count() > 0 {
            self.waiting.push((given, sql.to_owned()));
        }
    }

    /// Runs a query over the rows `given`; gives the rows of the answer, in no particular order. What it says of one row
    /// must not hang on the others: SQLite is asked for one after the other where it may be written to.
    pub(super) async fn bulk_fetch(&mut self, given: Given, sql: &str) -> Result<Vec<Row>> {
        let mut answer = Vec::new();
        if given.count() == 0 {
            return Ok(answer);
        }
        self.flush().await?;
        match &mut self.on {
            On::Postgres(tx) => {
                let (text, arguments) = asked(given, sql)?;
                let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                answer.extend(query.fetch_all(tx.begun().await?).await?.into_iter().map(Row::Postgres));
            }
            On::Sqlite(SqliteTx::Write(writing)) => {
                let sql = sql.to_owned();
                let rows = writing.run(move |connection| thread::ask(connection, &given, &sql)).await?;
                answer.extend(rows.into_iter().map(Row::Own));
            }
            On::Sqlite(SqliteTx::Read(tx)) => {
                for some in given.in_values() {
                    let (values, arguments) = some?;
                    let query = sqlx::query_with(AssertSqlSafe(format!("WITH {values} {sql}")), arguments);
                    answer.extend(query.fetch_all(&mut **tx).await?.into_iter().map(Row::Sqlite));
                }
            }
        }
        Ok(answer)
    }

    /// As [`Tx::bulk_fetch`], and begins no transaction for it where there is none: what is found may have
    /// changed when one begins. `None` where there is one.
    pub(super) async fn glimpse(&mut self, given: Given, sql: &str) -> Result<Option<Vec<Row>>> {
        let (On::Postgres(PostgresTx::Idle(pool)), true) = (&self.on, self.waiting.is_empty()) else { return Ok(None) };
        let (text, arguments) = asked(given, sql)?;
        let rows = sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(pool).await?;
        Ok(Some(rows.into_iter().map(Row::Postgres).collect()))
    }

    /// Supposes that a query over the rows `given` finds nothing, where all tasks are guessed to be new and no
    /// transaction has begun: then it is asked in the very statement that writes, which writes nothing if it was wrong.
    /// Gives whether it is supposed.
    pub(super) fn suppose(&mut self, given: impl FnOnce() -> Given, sql: &str) -> bool {
        let supposes = self.guess == Guess::New && matches!(self.on, On::Postgres(PostgresTx::Idle(_)));
        if supposes {
            self.supposed.push((given(), sql.to_owned()));
        }
        supposes
    }

    /// What the tasks are taken for.
    pub(super) fn guess(&self) -> Guess {
        self.guess
    }

    /// Runs the writes that wait, once what is supposed is found to be so.
    ///
    /// # Errors
    /// As the database gives them, and [`Error::Supposed`].
    pub async fn flush(&mut self) -> Result<()> {
        let supposed = std::mem::take(&mut self.supposed);
        if let (On::Postgres(tx), false) = (&mut self.on, supposed.is_empty()) {
            let (text, arguments) = together(Vec::new(), supposed)?;
            let row = sqlx::query_with(AssertSqlSafe(text), arguments).fetch_one(tx.begun().await?).await?;
            as_supposed(row.try_get(0)?)?;
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        match &mut self.on {
            On::Sqlite(SqliteTx::Write(writing)) => writing.write(waiting).await?,
            On::Sqlite(SqliteTx::Read(_)) => return Err(Error::Unusable("this transaction only reads".into())),
            On::Postgres(tx) => {
                let (text, arguments) = together(waiting, Vec::new())?;
                sqlx::query_with(AssertSqlSafe(text), arguments).execute(tx.begun().await?).await?;
            }
        }
        Ok(())
    }
}

/// A query over given rows for PostgreSQL.
fn asked(given: Given, sql: &str) -> Result<(String, PgArguments)> {
    let mut arguments = PgArguments::default();
    let text = format!("WITH {} {sql}", given.as_arrays(0, ""));
    given.into_arrays(&mut arguments)?;
    Ok((text, arguments))
}

/// Writes as one statement for PostgreSQL, which takes each statement in a round trip of its own. Where one of the
/// queries that are supposed to find nothing finds something, nothing is written; whether one did is its answer.
fn together(writes: Vec<(Given, String)>, supposed: Vec<(Given, String)>) -> Result<(String, PgArguments)> {
    let mut parts = Vec::with_capacity(writes.len() + 1);
    let mut arguments = PgArguments::default();
    let (condition, answer) = match supposed.len() {
        0 => ("", "SELECT false"),
        _ => (" WHERE NOT EXISTS (SELECT FROM supposed)", "SELECT EXISTS (SELECT FROM supposed)"),
    };
    let mut queries = Vec::with_capacity(supposed.len());
    for (given, sql) in supposed {
        queries.push(format!("EXISTS (WITH {} {sql})", given.as_arrays(arguments.len(), "")));
        given.into_arrays(&mut arguments)?;
    }
    if !queries.is_empty() {
        parts.push(format!("supposed AS MATERIALIZED (SELECT 1 WHERE {})", queries.join(" OR ")));
    }
    for (number, (given, sql)) in writes.into_iter().enumerate() {
        parts.push(format!("write_{number} AS (WITH {} {sql})", given.as_arrays(arguments.len(), condition)));
        given.into_arrays(&mut arguments)?;
    }
    Ok((format!("WITH {} {answer}", parts.join(", ")), arguments))
}

fn as_supposed(found: bool) -> Result<()> {
    if found { Err(Error::Supposed) } else { Ok(()) }
}

/// A statement with its values, for either database.
fn bound<DB>(sql: String, values: Vec<Value>) -> Result<Query<'static, DB, DB::Arguments>>
where
    DB: Database,
    DB::Arguments: IntoArguments<DB>,
    Option<String>: for<'q> Encode<'q, DB> + Type<DB>,
    Option<i64>: for<'q> Encode<'q, DB> + Type<DB>,
{
    let mut arguments = DB::Arguments::default();
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(number) => arguments.add(number),
        }
        .map_err(cannot_bind)?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(sql), arguments))
}

pub(super) fn cannot_bind(error: sqlx::error::BoxDynError) -> Error {
    Error::Content(sqlx::Error::Encode(error).into())
}
