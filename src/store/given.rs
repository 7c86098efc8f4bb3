//! Many rows bound at once. In the query they stand as a table named `given`.
//!
//! The thread that writes to SQLite gets them one by one, through a statement that is prepared once and in which
//! `given` is one row: it binds them where they are, without a copy of its own. Everybody else gets many at once.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::Arguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

use super::Result;
use super::row::storable;
use super::tasks::TaskId;
use super::tx::cannot_bind;
use crate::domain::clock::Timestamp;

/// Rows to be bound.
#[derive(Debug)]
pub(super) struct Given {
    columns: Vec<(&'static str, Kind)>,
    rows: usize,
    held: Held,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// 64-bit integers.
    Int,
    /// Bytes.
    Bytes,
}

/// One value of a row, where its owner has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    Int(i64),
    Bytes(&'a [u8]),
}

impl Kind {
    /// That of a column of text or numbers, by the names of those that hold numbers.
    pub(super) fn of(name: &str, ints: &[&str]) -> Self {
        if ints.contains(&name) { Self::Int } else { Self::Text }
    }
}

#[derive(Debug)]
enum Held {
    /// Column by column, made for the purpose.
    Columns(Vec<Column>),
    /// Row by row, as they were before.
    Rows(Box<dyn Rows>),
}

#[derive(Debug)]
enum Column {
    Text(Vec<Option<String>>),
    Int(Vec<Option<i64>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

trait Rows: Send + Sync + std::fmt::Debug {
    fn cells<'a>(&'a self, row: usize, cells: &mut Vec<Cell<'a>>);
}

/// What puts the cells of a row into a list, in the order of its columns.
pub(super) type Cells<R> = for<'a> fn(&'a R, &mut Vec<Cell<'a>>);

struct Owned<R> {
    rows: Vec<R>,
    cells: Cells<R>,
}

impl<R> std::fmt::Debug for Owned<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows", self.rows.len())
    }
}

impl<R: Send + Sync> Rows for Owned<R> {
    fn cells<'a>(&'a self, row: usize, cells: &mut Vec<Cell<'a>>) {
        (self.cells)(&self.rows[row], cells);
    }
}

/// So many rows are bound by one statement that reads SQLite, of the 32,766 values that it takes.
const SQLITE_ROWS: usize = 1000;

impl Given {
    /// So many rows, to be given column by column.
    pub(super) fn rows(rows: usize) -> Self {
        Self { columns: Vec::with_capacity(8), rows, held: Held::Columns(Vec::with_capacity(8)) }
    }

    /// Tasks that are wanted.
    pub(super) fn of_tasks<'t>(ids: impl ExactSizeIterator<Item = &'t TaskId> + Clone) -> Self {
        Self::rows(ids.len())
            .text("wanted_source", ids.clone().map(|(source, _)| source.clone()))
            .text("wanted_task", ids.map(|(_, task_id)| task_id.clone()))
    }

    /// Rows as their owner has them.
    pub(super) fn of<R: Send + Sync + 'static>(
        columns: &[(&'static str, Kind)],
        rows: Vec<R>,
        cells: Cells<R>,
    ) -> Self {
        Self { columns: columns.to_vec(), rows: rows.len(), held: Held::Rows(Box::new(Owned { rows, cells })) }
    }

    fn column(mut self, name: &'static str, kind: Kind, column: Column) -> Self {
        self.columns.push((name, kind));
        if let Held::Columns(columns) = &mut self.held {
            columns.push(column);
        }
        self
    }

    /// A column of texts, one for each row.
    pub(super) fn text<T: Into<Option<String>>>(self, name: &'static str, values: impl Iterator<Item = T>) -> Self {
        let storable = |text: String| storable(text.into()).into_owned();
        let values = values.map(|text| text.into().map(storable)).collect();
        self.column(name, Kind::Text, Column::Text(values))
    }

    /// A column of numbers, one for each row.
    pub(super) fn int<T: Into<Option<i64>>>(self, name: &'static str, values: impl Iterator<Item = T>) -> Self {
        let values = values.map(Into::into).collect();
        self.column(name, Kind::Int, Column::Int(values))
    }

    /// A column of moments, one for each row.
    pub(super) fn time(self, name: &'static str, values: impl Iterator<Item = Option<Timestamp>>) -> Self {
        self.int(name, values.map(|at| at.map(|at| at.0)))
    }

    /// A column of bytes, one for each row.
    pub(super) fn bytes<T: Into<Option<Vec<u8>>>>(self, name: &'static str, values: impl Iterator<Item = T>) -> Self {
        let values = values.map(Into::into).collect();
        self.column(name, Kind::Bytes, Column::Bytes(values))
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> usize {
        self.rows
    }

    /// Puts the cells of a row into `cells`.
    pub(super) fn cells<'a>(&'a self, row: usize, cells: &mut Vec<Cell<'a>>) {
        match &self.held {
            Held::Rows(rows) => rows.cells(row, cells),
            Held::Columns(columns) => cells.extend(columns.iter().map(|column| match column {
                Column::Text(values) => {
                    values[row].as_deref().map_or(Cell::Null, |text| Cell::Text(Cow::Borrowed(text)))
                }
                Column::Int(values) => Cell::int(values[row]),
                Column::Bytes(values) => values[row].as_deref().map_or(Cell::Null, Cell::Bytes),
            })),
        }
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// `given` as it stands in a PostgreSQL statement that has `before` other places already, under a `condition`.
    pub(super) fn as_arrays(&self, before: usize, condition: &str) -> String {
        let places = self.columns.iter().enumerate();
        let arrays: Vec<String> = places
            .map(|(at, (_, kind))| match kind {
                Kind::Text => format!("${}::text[]", before + at + 1),
                Kind::Int => format!("${}::bigint[]", before + at + 1),
                Kind::Bytes => format!("${}::bytea[]", before + at + 1),
            })
            .collect();
        format!("given ({}) AS (SELECT * FROM UNNEST({}){condition})", self.names(), arrays.join(", "))
    }

    pub(super) fn into_arrays(self, arguments: &mut PgArguments) -> Result<()> {
        let width = self.columns.len();
        let mut cells = Vec::with_capacity(self.rows * width);
        (0..self.rows).for_each(|row| self.cells(row, &mut cells));
        for (at, (_, kind)) in self.columns.iter().enumerate() {
            let column = cells.iter().skip(at).step_by(width);
            match kind {
                Kind::Text => arguments.add(column.map(Cell::as_text).collect::<Vec<Option<&str>>>()),
                Kind::Int => arguments.add(column.map(Cell::as_int).collect::<Vec<Option<i64>>>()),
                Kind::Bytes => arguments.add(column.map(Cell::as_bytes).collect::<Vec<Option<&[u8]>>>()),
            }
            .map_err(cannot_bind)?;
        }
        Ok(())
    }

    /// `given` of so many rows as it stands in a SQLite statement. The places have no numbers: SQLite looks numbered
    /// ones up by name, each in time that grows with their number.
    pub(super) fn as_values(&self, rows: usize) -> String {
        let row = format!("({}), ", vec!["?"; self.columns.len()].join(", "));
        let all = row.repeat(rows);
        format!("given ({}) AS (VALUES {})", self.names(), all.trim_end_matches(", "))
    }

    /// What is bound by the statements that read SQLite through a pool: each with `given` as it stands in it.
    pub(super) fn in_values(&self) -> impl Iterator<Item = Result<(String, SqliteArguments)>> + '_ {
        (0..self.rows).step_by(SQLITE_ROWS).map(|from| {
            let to = (from + SQLITE_ROWS).min(self.rows);
            let (mut arguments, mut cells) = (SqliteArguments::default(), Vec::new());
            (from..to).for_each(|row| self.cells(row, &mut cells));
            for cell in cells {
                match cell {
                    Cell::Null => arguments.add(None::<i64>),
                    Cell::Text(text) => arguments.add(Arc::<str>::from(text)),
                    Cell::Int(number) => arguments.add(number),
                    Cell::Bytes(bytes) => arguments.add(bytes.to_vec()),
                }
                .map_err(cannot_bind)?;
            }
            Ok((self.as_values(to - from), arguments))
        })
    }
}

impl<'a> Cell<'a> {
    /// A text that may be missing.
    pub(super) fn text(text: impl Into<Option<&'a str>>) -> Self {
        text.into().map_or(Self::Null, |text| Self::Text(storable(Cow::Borrowed(text))))
    }

    /// A text made of what is there, that may be missing.
    pub(super) fn made(text: Option<String>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(storable(Cow::Owned(text))))
    }

    /// A number that may be missing.
    pub(super) fn int(number: impl Into<Option<i64>>) -> Self {
        number.into().map_or(Self::Null, Self::Int)
    }

    /// A moment that may be missing.
    pub(super) fn time(at: impl Into<Option<Timestamp>>) -> Self {
        Self::int(at.into().map(|at| at.0))
    }

    fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_rows_are_written_for_each_database() {
        let given = Given::rows(2).text("a", ["x", "y"].map(str::to_owned).into_iter()).int("b", [1, 2].into_iter());
        assert_eq!(given.as_values(2), "given (a, b) AS (VALUES (?, ?), (?, ?))");
        assert_eq!(given.as_arrays(0, ""), "given (a, b) AS (SELECT * FROM UNNEST($1::text[], $2::bigint[]))");
    }

    #[test]
    fn rows_are_the_same_however_they_are_held() {
        let texts = || ["x", "y\0z"].into_iter().map(str::to_owned);
        let columns = Given::rows(2).text("a", texts()).int("b", [Some(1), None].into_iter());
        let rows: Vec<(String, Option<i64>)> = texts().zip([Some(1), None]).collect();
        let rows = Given::of(&[("a", Kind::Text), ("b", Kind::Int)], rows, |(text, number), cells| {
            cells.extend([Cell::text(text.as_str()), Cell::int(*number)]);
        });
        for given in [columns, rows] {
            let mut cells = Vec::new();
            (0..given.count()).for_each(|row| given.cells(row, &mut cells));
            let expected = [Cell::text("x"), Cell::Int(1), Cell::text("y\u{fffd}z"), Cell::Null];
            assert_eq!(cells, expected);
            assert_eq!(given.as_values(1), "given (a, b) AS (VALUES (?, ?))");
        }
    }
}
