//! The rows that Callboard writes of one callback, as a model for whoever writes the same rows without it.
//!
//! One callback is posted to Callboard, and what it wrote is read from the database: so the raw writer loop has the same
//! tables, columns and sizes whatever the schema becomes. What differs from callback to callback is found by what it is:
//! ids, the task's number, times, and bytes that are a hash of the body.

use std::collections::BTreeMap;
use std::path::Path;

use callboard::domain::clock::Timestamp;
use callboard::domain::id::EventId;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::asked::Database;
use crate::bare::body;
use crate::load;
use crate::service::{Service, Works};

/// Of the tables that a callback can write to, in the order in which they are written.
const TABLES: [&str; 7] = ["callbacks", "tasks", "task_metadata", "watches", "events", "deliveries", "attempts"];
const ID_PREFIXES: [&str; 5] = ["cb_", "tsk_", "evt_", "dlv_", "att_"];
const ID_DIGITS: usize = 26;
/// The number of the task that is the model.
const NUMBER: u64 = 7_654_321_000_007;
/// A number of milliseconds since 1970 this near to now is a time of this run.
const NOW_WITHIN_MS: i64 = 600_000;

/// A table, and of one row the columns that are not NULL.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<(String, Kind)>,
    cells: Vec<Cell>,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Number,
    Text,
    Bytes,
}

/// A value to be bound.
pub(crate) enum Bound {
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// How a cell is made for another callback.
enum Cell {
    Same(i64),
    Now,
    Text(Vec<Part>),
    Bytes(Vec<Part>),
    Hash(Vec<u8>),
}

enum Part {
    Same(String),
    Number,
    /// An id, by its place among the model's ids.
    Id(usize),
}

/// All rows of one callback.
pub(crate) struct Model {
    pub(crate) tables: Vec<Table>,
    /// The prefixes of the ids.
    ids: Vec<String>,
}

/// The rows of one callback, table after table, ready to be bound.
pub(crate) type RowSet = Vec<Vec<Bound>>;

impl Model {
    /// Has Callboard, with these settings, write one callback into a new database, and reads what it wrote. The database
    /// is left as it is: migrated, and with one callback in it.
    pub(crate) async fn of(database: Database, url: &str, directory: &Path, settings: &str) -> Self {
        let service = Service::start(url, directory, settings, Works::TakingIn).await;
        let answer = load::once(service.address, &service.path, &body(NUMBER)).await;
        assert_eq!(answer, 200, "the model is taken");
        service.stop().await;
        let mut read = Vec::new();
        for table in TABLES {
            read.extend(match database {
                Database::Sqlite => sqlite_row(url, table),
                Database::Postgres => postgres_row(url, table).await,
            });
        }
        let mut ids: BTreeMap<String, usize> = BTreeMap::new();
        for value in read.iter().flat_map(|(_, row)| row).filter_map(|(_, value)| value.text()) {
            if is_id(value) {
                let next = ids.len();
                ids.entry(value.to_owned()).or_insert(next);
            }
        }
        let mut prefixes = vec![String::new(); ids.len()];
        for (id, at) in &ids {
            prefixes[*at] = id.split_inclusive('_').next().unwrap_or_default().to_owned();
        }
        let tables = read.into_iter().map(|(name, row)| {
            let columns = row.iter().map(|(column, value)| (column.clone(), value.kind())).collect();
            Table { name, columns, cells: row.iter().map(|(_, value)| cell(value, &ids)).collect() }
        });
        Self { tables: tables.collect(), ids: prefixes }
    }

    /// The rows of another callback.
    pub(crate) fn rows(&self, task_id: &str, now: Timestamp) -> RowSet {
        let number = &task_id[task_id.len().saturating_sub(16)..];
        let ids: Vec<String> = self.ids.iter().map(|prefix| new_id(prefix, now)).collect();
        let bind = |cell: &Cell| match cell {
            Cell::Same(number) => Bound::Number(*number),
            Cell::Now => Bound::Number(now.0),
            Cell::Text(parts) => Bound::Text(joined(parts, number, &ids)),
            Cell::Bytes(parts) => Bound::Bytes(joined(parts, number, &ids).into_bytes()),
            Cell::Hash(bytes) => {
                // As far apart from each other as hashes are, without the cost of one.
                let mixed = number.parse::<u64>().unwrap_or_default().wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let mut bytes = bytes.clone();
                bytes.iter_mut().zip(mixed.to_be_bytes()).for_each(|(byte, new)| *byte = new);
                Bound::Bytes(bytes)
            }
        };
        self.tables.iter().map(|table| table.cells.iter().map(bind).collect()).collect()
    }
}

impl Bound {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Number(_) => Kind::Number,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
        }
    }
}

fn is_id(text: &str) -> bool {
    ID_PREFIXES.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|digits| digits.len() == ID_DIGITS))
}

fn new_id(prefix: &str, now: Timestamp) -> String {
    let id = EventId::new(now);
    format!("{prefix}{}", id.as_str().trim_start_matches("evt_"))
}

fn joined(parts: &[Part], number: &str, ids: &[String]) -> String {
    let mut text = String::with_capacity(1024);
    for part in parts {
        text.push_str(match part {
            Part::Same(same) => same,
            Part::Number => number,
            Part::Id(at) => &ids[*at],
        });
    }
    text.shrink_to_fit();
    text
}

fn cell(value: &Bound, ids: &BTreeMap<String, usize>) -> Cell {
    use callboard::domain::clock::{Clock, SystemClock};
    match value {
        Bound::Number(number) if (SystemClock.now().0 - number).abs() < NOW_WITHIN_MS => Cell::Now,
        Bound::Number(number) => Cell::Same(*number),
        Bound::Text(text) => Cell::Text(parts(text, ids)),
        Bound::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(&format!("{NUMBER:016}")) => Cell::Bytes(parts(text, ids)),
            _ => Cell::Hash(bytes.clone()),
        },
    }
}

/// Cuts a text where something stands in it that differs from callback to callback.
fn parts(text: &str, ids: &BTreeMap<String, usize>) -> Vec<Part> {
    let number = format!("{NUMBER:016}");
    let found = |text: &str| {
        let number = text.find(&number).map(|at| (at, number.len(), Part::Number));
        let ids = ids.iter().filter_map(|(id, place)| text.find(id).map(|at| (at, id.len(), Part::Id(*place))));
        ids.chain(number).min_by_key(|(at, ..)| *at)
    };
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((at, length, part)) = found(rest) {
        parts.push(Part::Same(rest[..at].to_owned()));
        parts.push(part);
        rest = &rest[at + length..];
    }
    parts.push(Part::Same(rest.to_owned()));
    parts
}

type ReadRow = (&'static str, Vec<(String, Bound)>);

/// Columns that the database itself fills.
fn is_given_by_the_database(table: &str, column: &str) -> bool {
    table == "events" && ["seq", "xact"].contains(&column)
}

fn sqlite_row(url: &str, table: &'static str) -> Option<ReadRow> {
    use rusqlite::types::ValueRef;
    let connection = rusqlite::Connection::open(url.trim_start_matches("sqlite:")).expect("it opens");
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} LIMIT 1")).expect("a table");
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([]).expect("rows");
    let row = rows.next().expect("a row")?;
    let mut all = Vec::new();
    for (at, name) in names.into_iter().enumerate().filter(|(_, name)| !is_given_by_the_database(table, name)) {
        let value = match row.get_ref(at).expect("a column") {
            ValueRef::Null => continue,
            ValueRef::Integer(number) => Bound::Number(number),
            ValueRef::Text(text) => Bound::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Bound::Bytes(bytes.to_vec()),
            ValueRef::Real(_) => panic!("{table}.{name} has a fraction, which no table of ours had"),
        };
        all.push((name, value));
    }
    Some((table, all))
}

async fn postgres_row(url: &str, table: &'static str) -> Option<ReadRow> {
    let mut connection = sqlx::PgConnection::connect(url).await.expect("it opens");
    let sql = format!("SELECT to_jsonb(t)::text FROM {table} t LIMIT 1");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut connection).await.expect("an answer")?;
    let row: serde_json::Map<String, Value> = serde_json::from_str(row.get(0)).expect("JSON");
    let columns = row.into_iter().filter(|(name, _)| !is_given_by_the_database(table, name));
    let all = columns.filter_map(|(name, value)| {
        let value = match value {
            Value::Null => return None,
            Value::Number(number) => Bound::Number(number.as_i64().expect("a whole number")),
            Value::String(text) => text.strip_prefix("\\x").map_or(Bound::Text(text.clone()), |hex| {
                let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
                Bound::Bytes((0..hex.len()).step_by(2).map(byte).collect())
            }),
            other => panic!("{table}.{name} is {other}, a kind which no table of ours had"),
        };
        Some((name, value))
    });
    Some((table, all.collect()))
}
