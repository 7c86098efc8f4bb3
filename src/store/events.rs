//! Events: written once, in commit order, never altered.

use super::Result;
use super::given::Given;
use super::lists::{Conditions, Page};
use super::row::{Row, values};
use super::tx::Tx;
use crate::domain::clock::Timestamp;
use crate::domain::event::{Event, EventType};

/// An event as it was stored.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// Its id.
    pub id: String,
    /// What it tells.
    pub kind: EventType,
    /// The source of its task; `None` for one of the service's own.
    pub source: Option<String>,
    /// When it was made.
    pub at: Timestamp,
    /// The event, byte for byte as it is told.
    pub body: String,
}

/// Which events to list.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each narrows the list to those that have this value")]
pub struct EventFilter {
    pub kind: Option<EventType>,
    pub source: Option<String>,
    pub task_id: Option<String>,
    /// Made then or later.
    pub since: Option<Timestamp>,
    /// Made before then.
    pub until: Option<Timestamp>,
    pub before: Option<String>,
    pub limit: usize,
}

const ROW: &str = "id, type, source, at, body";

impl Tx {
    /// Writes events, in this order. A second end of a task is refused when they are handed over, with
    /// [`super::Error::Content`].
    pub fn insert_events<'a>(&mut self, events: impl Iterator<Item = &'a Event>) {
        let events: Vec<&Event> = events.collect();
        let given = Given::rows(events.len())
            .text("id", events.iter().map(|e| e.id.as_str().to_owned()))
            .text("type", events.iter().map(|e| e.kind.as_str().to_owned()))
            .text("step", events.iter().map(|e| e.kind.step().to_owned()))
            .text("source", events.iter().map(|e| e.source.clone()))
            .text("task_id", events.iter().map(|e| e.task_id.clone()))
            .text("team", events.iter().map(|e| e.team.clone()))
            .int("at", events.iter().map(|e| e.at.0))
            .text("body", events.iter().map(|e| e.body.clone()));
        self.bulk(
            given,
            "INSERT INTO events (id, type, step, source, task_id, team, at, body)
             SELECT id, type, step, source, task_id, team, at, body FROM given",
        );
    }

    /// One event.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn event(&mut self, id: &str) -> Result<Option<EventRow>> {
        let sql = format!("SELECT {ROW} FROM events WHERE id = $1");
        self.fetch_one(sql, values![id]).await?.as_ref().map(read).transpose()
    }

    /// A page of events.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn events(&mut self, filter: &EventFilter) -> Result<Page<EventRow>> {
        let (sql, values) = Conditions::default()
            .and("type = ?", filter.kind.map(EventType::as_str))
            .and("source = ?", filter.source.clone())
            .and("task_id = ?", filter.task_id.clone())
            .and("at >= ?", filter.since)
            .and("at < ?", filter.until)
            .and("id < ?", filter.before.clone())
            .query(&format!("SELECT {ROW} FROM events"), "id", filter.limit);
        let rows = self.fetch(sql, values).await?;
        let items = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Page::cut(items, filter.limit, |event| event.id.clone()))
    }
}

fn read(row: &Row) -> Result<EventRow> {
    Ok(EventRow {
        id: row.text("id")?,
        kind: row.parsed("type", EventType::parse)?,
        source: row.optional_text("source")?,
        at: row.time("at")?,
        body: row.text("body")?,
    })
}
