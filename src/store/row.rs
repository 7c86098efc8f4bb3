//! Single values bound, and rows read back.

use std::borrow::Cow;
use std::sync::Arc;

use rusqlite::types::FromSql;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Postgres, Row as _, Sqlite};

use super::{Error, Result};
use crate::domain::clock::Timestamp;
use crate::domain::task::clean;

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
    Own(OwnRow),
}

/// A row that the thread which writes to SQLite has read.
#[derive(Debug)]
pub(super) struct OwnRow {
    pub(super) names: Arc<[String]>,
    pub(super) values: Vec<rusqlite::types::Value>,
}

impl OwnRow {
    fn get<T: FromSql>(&self, column: &str) -> Option<T> {
        let at = self.names.iter().position(|name| name == column)?;
        T::column_result((&self.values[at]).into()).ok()
    }
}

impl Row {
    fn get<T>(&self, column: &'static str) -> Result<T>
    where
        T: for<'r> sqlx::Decode<'r, Sqlite>
            + sqlx::Type<Sqlite>
            + for<'r> sqlx::Decode<'r, Postgres>
            + sqlx::Type<Postgres>
            + FromSql,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column).ok(),
            Self::Postgres(row) => row.try_get(column).ok(),
            Self::Own(row) => row.get(column),
        }
        .ok_or(Error::Corrupt { column })
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

    pub(super) fn optional_bytes(&self, column: &'static str) -> Result<Option<Vec<u8>>> {
        self.get(column)
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
pub(super) fn storable(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(clean(&text)) } else { text }
}

fn owned(text: String) -> String {
    storable(text.into()).into_owned()
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
    &str => Text, text => Some(owned(text.to_owned()));
    String => Text, text => Some(owned(text));
    Option<String> => Text, text => text.map(owned);
    Option<&str> => Text, text => text.map(|text| owned(text.to_owned()));
    i64 => Int, number => Some(number);
    Option<i64> => Int, number => number;
    Timestamp => Int, at => Some(at.0);
    Option<Timestamp> => Int, at => at.map(|at| at.0);
}

/// The values of a statement, in the order of its `$1`, `$2`, …
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::row::Value::from($value)),*] };
}
pub(super) use values;
