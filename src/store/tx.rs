//! A transaction on either database, and the few places where the two differ.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Postgres, Row as _, Sqlite};

use super::{Error, Result};
use crate::domain::clock::Timestamp;
use crate::domain::task::clean;

/// A transaction. Dropped without [`Tx::commit`], it never was.
pub enum Tx {
    /// On a file.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// On a server.
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// One bound value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

/// One row of an answer.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Many rows to be bound at once. In the query they stand as a table named `given`.
#[derive(Debug, Default)]
pub(super) struct Given {
    rows: usize,
    /// So many of them are bound already.
    bound: usize,
    columns: Vec<(&'static str, Column)>,
}

#[derive(Debug)]
enum Column {
    Text(Vec<Option<String>>),
    Int(Vec<Option<i64>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// SQLite binds at most 32,766 values a statement; so many rows of our widest table stay below that.
const SQLITE_ROWS_MAX: usize = 128;

impl Tx {
    /// Makes everything that was done durable: on SQLite synced to the file, on PostgreSQL to its log.
    ///
    /// # Errors
    /// As the database gives them; nothing was done then.
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// The clause that locks what a claim selects, and passes over what others have locked. On SQLite
    /// there is one writer, and nothing to lock.
    pub(super) fn lock_clause(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => "FOR UPDATE SKIP LOCKED",
        }
    }

    /// Runs a statement; gives how many rows it changed.
    pub(super) async fn execute(&mut self, sql: impl Into<String>, values: Vec<Value>) -> Result<u64> {
        Ok(match self {
            Self::Sqlite(tx) => sqlite(sql.into(), values)?.execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => postgres(sql.into(), values)?.execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// Runs a query; gives its rows.
    pub(super) async fn fetch(&mut self, sql: impl Into<String>, values: Vec<Value>) -> Result<Vec<Row>> {
        Ok(match self {
            Self::Sqlite(tx) => {
                sqlite(sql.into(), values)?.fetch_all(&mut **tx).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(tx) => {
                postgres(sql.into(), values)?.fetch_all(&mut **tx).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Runs a query; gives its first row.
    pub(super) async fn fetch_one(&mut self, sql: impl Into<String>, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.fetch(sql, values).await?.into_iter().next())
    }

    /// Runs a statement over the rows `given`, however many there are.
    pub(super) async fn bulk(&mut self, given: Given, sql: &str) -> Result<()> {
        self.bulk_fetch(given, sql).await.map(drop)
    }

    /// The same; gives the rows of the answer, in no particular order.
    pub(super) async fn bulk_fetch(&mut self, mut given: Given, sql: &str) -> Result<Vec<Row>> {
        let mut answer = Vec::new();
        if given.rows == 0 {
            return Ok(answer);
        }
        match self {
            Self::Postgres(tx) => {
                let text = format!("WITH {} {sql}", given.as_arrays());
                let query = sqlx::query_with(AssertSqlSafe(text), given.into_arrays()?);
                answer.extend(query.fetch_all(&mut **tx).await?.into_iter().map(Row::Postgres));
            }
            Self::Sqlite(tx) => {
                for size in sizes(given.rows) {
                    let text = format!("WITH {} {sql}", given.as_values(size));
                    let query = sqlx::query_with(AssertSqlSafe(text), given.take_values(size)?);
                    answer.extend(query.fetch_all(&mut **tx).await?.into_iter().map(Row::Sqlite));
                }
            }
        }
        Ok(answer)
    }
}

/// `rows` in powers of two, largest first: so few statements serve every number of rows, and stay prepared.
fn sizes(mut rows: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut size = SQLITE_ROWS_MAX;
    while rows > 0 {
        while size > rows {
            size /= 2;
        }
        sizes.push(size);
        rows -= size;
    }
    sizes
}

fn sqlite(sql: String, values: Vec<Value>) -> Result<Query<'static, Sqlite, SqliteArguments>> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(number) => arguments.add(number),
        }
        .map_err(cannot_bind)?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(sql), arguments))
}

fn postgres(sql: String, values: Vec<Value>) -> Result<Query<'static, Postgres, PgArguments>> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(number) => arguments.add(number),
        }
        .map_err(cannot_bind)?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(sql), arguments))
}

fn cannot_bind(error: sqlx::error::BoxDynError) -> Error {
    Error::Content(sqlx::Error::Encode(error))
}

impl Given {
    pub(super) fn rows(rows: usize) -> Self {
        Self { rows, bound: 0, columns: Vec::with_capacity(20) }
    }

    fn column(mut self, name: &'static str, column: Column) -> Self {
        self.columns.push((name, column));
        self
    }

    /// A column of texts, one for each row.
    pub(super) fn text<T: Into<Option<String>>>(self, name: &'static str, values: impl Iterator<Item = T>) -> Self {
        let values = values.map(|text| text.into().map(storable)).collect();
        self.column(name, Column::Text(values))
    }

    /// A column of numbers, one for each row.
    pub(super) fn int<T: Into<Option<i64>>>(self, name: &'static str, values: impl Iterator<Item = T>) -> Self {
        let values = values.map(Into::into).collect();
        self.column(name, Column::Int(values))
    }

    /// A column of moments, one for each row.
    pub(super) fn time(self, name: &'static str, values: impl Iterator<Item = Option<Timestamp>>) -> Self {
        self.int(name, values.map(|at| at.map(|at| at.0)))
    }

    /// A column of bytes, one for each row.
    pub(super) fn bytes<T: Into<Option<Vec<u8>>>>(self, name: &'static str, values: impl Iterator<Item = T>) -> Self {
        let values = values.map(Into::into).collect();
        self.column(name, Column::Bytes(values))
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    fn as_arrays(&self) -> String {
        let arrays: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, (_, column))| match column {
                Column::Text(_) => format!("${}::text[]", at + 1),
                Column::Int(_) => format!("${}::bigint[]", at + 1),
                Column::Bytes(_) => format!("${}::bytea[]", at + 1),
            })
            .collect();
        format!("given ({}) AS (SELECT * FROM UNNEST({}))", self.names(), arrays.join(", "))
    }

    fn into_arrays(self) -> Result<PgArguments> {
        let mut arguments = PgArguments::default();
        for (_, column) in self.columns {
            match column {
                Column::Text(values) => arguments.add(values),
                Column::Int(values) => arguments.add(values),
                Column::Bytes(values) => arguments.add(values),
            }
            .map_err(cannot_bind)?;
        }
        Ok(arguments)
    }

    /// Without numbers: SQLite looks numbered places up by name, each in time that grows with their number.
    fn as_values(&self, rows: usize) -> String {
        let row = vec!["?"; self.columns.len()].join(", ");
        let all = vec![format!("({row})"); rows].join(", ");
        format!("given ({}) AS (VALUES {all})", self.names())
    }

    /// The next `rows` rows as arguments; they are taken out.
    fn take_values(&mut self, rows: usize) -> Result<SqliteArguments> {
        let from = self.bound;
        self.bound += rows;
        let mut arguments = SqliteArguments::default();
        arguments.reserve(rows * self.columns.len(), 0);
        for row in from..from + rows {
            for (_, column) in &mut self.columns {
                match column {
                    Column::Text(values) => arguments.add(values[row].take()),
                    Column::Int(values) => arguments.add(values[row]),
                    Column::Bytes(values) => arguments.add(values[row].take()),
                }
                .map_err(cannot_bind)?;
            }
        }
        Ok(arguments)
    }
}

impl Row {
    fn get<T>(&self, column: &'static str) -> Result<T>
    where
        T: for<'r> sqlx::Decode<'r, Sqlite>
            + sqlx::Type<Sqlite>
            + for<'r> sqlx::Decode<'r, Postgres>
            + sqlx::Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|_| Error::Corrupt { column })
    }

    pub(super) fn text(&self, column: &'static str) -> Result<String> {
        self.get(column)
    }

    pub(super) fn optional_text(&self, column: &'static str) -> Result<Option<String>> {
        self.get(column)
    }

    pub(super) fn int(&self, column: &'static str) -> Result<i64> {
        self.get(column)
    }

    pub(super) fn count(&self, column: &'static str) -> Result<u32> {
        self.int(column)?.try_into().map_err(|_| Error::Corrupt { column })
    }

    pub(super) fn optional_int(&self, column: &'static str) -> Result<Option<i64>> {
        self.get(column)
    }

    pub(super) fn time(&self, column: &'static str) -> Result<Timestamp> {
        self.int(column).map(Timestamp)
    }

    pub(super) fn optional_time(&self, column: &'static str) -> Result<Option<Timestamp>> {
        Ok(self.optional_int(column)?.map(Timestamp))
    }

    pub(super) fn bytes(&self, column: &'static str) -> Result<Vec<u8>> {
        self.get(column)
    }

    /// A word of one of our closed sets, or JSON that we wrote: read by `parse`.
    pub(super) fn parsed<T>(&self, column: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        parse(&self.text(column)?).ok_or(Error::Corrupt { column })
    }
}

/// PostgreSQL takes no NUL in a text: a peer's words or a client's question must not fail for one.
fn storable(text: String) -> String {
    if text.contains('\0') { clean(&text) } else { text }
}

macro_rules! from {
    ($($kind:ty => $variant:ident, $value:ident => $made:expr;)*) => {$(
        impl From<$kind> for Value {
            fn from($value: $kind) -> Self {
                Self::$variant($made)
            }
        }
    )*};
}

from! {
    &str => Text, text => Some(storable(text.to_owned()));
    String => Text, text => Some(storable(text));
    Option<String> => Text, text => text.map(storable);
    Option<&str> => Text, text => text.map(|text| storable(text.to_owned()));
    i64 => Int, number => Some(number);
    Option<i64> => Int, number => number;
    Timestamp => Int, at => Some(at.0);
    Option<Timestamp> => Int, at => at.map(|at| at.0);
}

/// The values of a statement, in the order of its `$1`, `$2`, …
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::tx::Value::from($value)),*] };
}
pub(super) use values;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_served_by_few_sizes() {
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(57), [32, 16, 8, 1]);
        assert_eq!(sizes(300), [128, 128, 32, 8, 4]);
        assert!(sizes(0).is_empty());
    }

    #[test]
    fn given_rows_are_written_for_each_database() {
        let given = Given::rows(2).text("a", ["x", "y"].map(str::to_owned).into_iter()).int("b", [1, 2].into_iter());
        assert_eq!(given.as_values(2), "given (a, b) AS (VALUES (?, ?), (?, ?))");
        assert_eq!(given.as_arrays(), "given (a, b) AS (SELECT * FROM UNNEST($1::text[], $2::bigint[]))");
    }
}
