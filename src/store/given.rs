//! Many rows bound at once. In the query they stand as a table named `given`.

use sqlx::Arguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

use super::Result;
use super::row::storable;
use super::tx::cannot_bind;
use crate::domain::clock::Timestamp;

/// Rows to be bound, column by column.
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

/// So many rows are bound by one SQLite statement. A batch is bound by the smallest of these that holds
/// it, the rest left empty: so few statements serve every number of rows, and stay prepared. The largest
/// is what fits the 32,766 values that SQLite binds, at the 21 columns of our widest table.
const SQLITE_ROWS: [usize; 14] = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 1024];

/// How many rows the statement has that binds so many, or as many of them as one can.
fn sqlite_rows(rows: usize) -> usize {
    let largest = SQLITE_ROWS[SQLITE_ROWS.len() - 1];
    SQLITE_ROWS.into_iter().find(|size| *size >= rows).unwrap_or(largest)
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

    /// `given` as it stands in a PostgreSQL statement that has `before` other places already.
    pub(super) fn as_arrays(&self, before: usize) -> String {
        let arrays: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, (_, column))| match column {
                Column::Text(_) => format!("${}::text[]", before + at + 1),
                Column::Int(_) => format!("${}::bigint[]", before + at + 1),
                Column::Bytes(_) => format!("${}::bytea[]", before + at + 1),
            })
            .collect();
        format!("given ({}) AS (SELECT * FROM UNNEST({}))", self.names(), arrays.join(", "))
    }

    pub(super) fn into_arrays(self, arguments: &mut PgArguments) -> Result<()> {
        for (_, column) in self.columns {
            match column {
                Column::Text(values) => arguments.add(values),
                Column::Int(values) => arguments.add(values),
                Column::Bytes(values) => arguments.add(values),
            }
            .map_err(cannot_bind)?;
        }
        Ok(())
    }

    /// Without numbers: SQLite looks numbered places up by name, each in time that grows with their number.
    /// The first column of a row is never empty but where there is no row.
    fn as_values(&self, rows: usize) -> String {
        let row = format!("({}), ", vec!["?"; self.columns.len()].join(", "));
        let all = row.repeat(rows);
        let all = all.trim_end_matches(", ");
        format!("given ({}) AS (SELECT * FROM (VALUES {all}) WHERE column1 IS NOT NULL)", self.names())
    }

    /// Whether there is no row at all.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether every row is bound.
    pub(super) fn is_bound(&self) -> bool {
        self.bound == self.rows
    }

    /// Binds the next rows, as many as one SQLite statement takes; gives `given` as it stands in that
    /// statement.
    pub(super) fn bind(&mut self, arguments: &mut SqliteArguments) -> Result<String> {
        let size = sqlite_rows(self.rows - self.bound);
        let (from, to) = (self.bound, (self.bound + size).min(self.rows));
        self.bound = to;
        arguments.reserve(size * self.columns.len(), 0);
        for row in from..to {
            for (_, column) in &mut self.columns {
                match column {
                    Column::Text(values) => arguments.add(values[row].take()),
                    Column::Int(values) => arguments.add(values[row]),
                    Column::Bytes(values) => arguments.add(values[row].take()),
                }
                .map_err(cannot_bind)?;
            }
        }
        for _ in 0..(from + size - to) * self.columns.len() {
            arguments.add(None::<i64>).map_err(cannot_bind)?;
        }
        Ok(self.as_values(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_served_by_few_sizes() {
        for (rows, size) in [(1, 1), (3, 4), (17, 24), (57, 64), (300, 1024), (5000, 1024)] {
            assert_eq!(sqlite_rows(rows), size);
        }
        // SQLITE_MAX_VARIABLE_NUMBER, at the columns of `tasks`.
        assert!(SQLITE_ROWS[13] * 21 <= 32_766);
    }

    #[test]
    fn given_rows_are_written_for_each_database() {
        let given = Given::rows(2).text("a", ["x", "y"].map(str::to_owned).into_iter()).int("b", [1, 2].into_iter());
        assert_eq!(
            given.as_values(2),
            "given (a, b) AS (SELECT * FROM (VALUES (?, ?), (?, ?)) WHERE column1 IS NOT NULL)"
        );
        assert_eq!(given.as_arrays(0), "given (a, b) AS (SELECT * FROM UNNEST($1::text[], $2::bigint[]))");
    }
}
