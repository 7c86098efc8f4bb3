//! Events: written once, in commit order, never altered.

use std::collections::HashMap;
use std::sync::Arc;

use super::Result;
use super::given::{Cell, Given, Kind};
use super::lists::{Listing, Page, among, holds, is};
use super::row::{Row, values};
use super::tx::Tx;
use crate::domain::access::Scope;
use crate::domain::clock::Timestamp;
use crate::domain::event::{Event, EventType};
use crate::domain::id::EventId;

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

const NEW: &[(&str, Kind)] = &[
    ("id", Kind::Text),
    ("type", Kind::Text),
    ("step", Kind::Text),
    ("source", Kind::Text),
    ("task_id", Kind::Text),
    ("team", Kind::Text),
    ("at", Kind::Int),
    ("body", Kind::Text),
];

impl Tx {
    /// Writes events, in this order. A second end of a task is refused when they are handed over, with
    /// [`super::Error::Content`].
    pub fn insert_events(&mut self, events: impl IntoIterator<Item = impl Into<Arc<Event>>>) {
        let events: Vec<Arc<Event>> = events.into_iter().map(Into::into).collect();
        let given = Given::of(NEW, events, |event, cells| {
            cells.extend([
                Cell::text(event.id.as_str()),
                Cell::text(event.kind.as_str()),
                Cell::text(event.kind.step()),
                Cell::text(event.source.as_deref()),
                Cell::text(event.task_id.as_deref()),
                Cell::text(event.team.as_deref()),
                Cell::time(event.at),
                Cell::text(event.body.as_str()),
            ]);
        });
        self.bulk(
            given,
            "INSERT INTO events (id, type, step, source, task_id, team, at, body)
             SELECT id, type, step, source, task_id, team, at, body FROM given",
        );
    }

    /// One event, where it is there for the caller.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn event(&mut self, scope: &Scope, id: &str) -> Result<Option<EventRow>> {
        let mut values = values![id];
        let seen = match scope.team_scope() {
            None => String::new(),
            Some(team) => {
                values.push(team.team.as_str().into());
                format!("AND (team = $2 OR {})", among("source", &team.sources, &mut values))
            }
        };
        let row = self.fetch_one(format!("SELECT {ROW} FROM events WHERE id = $1 {seen}"), values).await?;
        row.as_ref().map(read).transpose()
    }

    /// Source and id of the tasks that these events tell of, by the events' ids.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn tasks_told(&mut self, events: Vec<String>) -> Result<HashMap<String, (String, String)>> {
        let given = Given::rows(events.len()).text("wanted", events.into_iter());
        let sql = "SELECT id, source, task_id FROM given CROSS JOIN events WHERE id = wanted AND task_id IS NOT NULL";
        let rows = self.bulk_fetch(given, sql).await?;
        rows.iter().map(|row| Ok((row.text("id")?, (row.text("source")?, row.text("task_id")?)))).collect()
    }

    /// A page of the events that are there for the caller, newest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn events(&mut self, scope: &Scope, filter: &EventFilter) -> Result<Page<EventRow>> {
        let from = filter.since.map(|since| EventId::first_of(since).to_string());
        let until = filter.until.map(|until| EventId::first_of(until).to_string());
        let before = filter.before.clone().into_iter().chain(until);
        let mut listing = Listing::of("events", "id").between(from, before);
        let of_tasks = filter.source.is_some() || filter.task_id.is_some();
        let service = |kind: &EventType| kind.step() == SERVICE;
        if *scope == Scope::All && !of_tasks && filter.kind.is_none() {
            listing.walk(Vec::new());
            return listing.page(self, filter.limit, read, |event| event.id.clone()).await;
        }
        for source in self.walked_sources("events", scope, filter.source.as_deref()).await? {
            let of_source = is("source = ?", source.as_str());
            match &filter.task_id {
                Some(task_id) => {
                    let kind = filter.kind.map(|kind| is("type = ?", kind.as_str()));
                    // In the words of the index, so that it is taken.
                    let of_task = [of_source, is("task_id = ?", task_id.as_str()), holds("step <> 'service'")];
                    listing.walk(of_task.into_iter().chain(kind).collect());
                }
                None => {
                    for kind in EventType::ALL
                        .into_iter()
                        .filter(|kind| filter.kind.map_or(!service(kind), |only| only == *kind))
                    {
                        listing.walk(vec![of_source.clone(), is("type = ?", kind.as_str())]);
                    }
                }
            }
        }
        if !of_tasks && filter.kind.as_ref().is_none_or(service) {
            let team = scope.team().map(|team| is("team = ?", team));
            let kind = filter.kind.map(|kind| is("type = ?", kind.as_str()));
            listing.walk([holds("step = 'service'")].into_iter().chain(team).chain(kind).collect());
        }
        listing.page(self, filter.limit, read, |event| event.id.clone()).await
    }
}

/// The step of the service's own events.
const SERVICE: &str = "service";

fn read(row: &Row) -> Result<EventRow> {
    Ok(EventRow {
        id: row.text("id")?,
        kind: row.parsed("type", EventType::parse)?,
        source: row.optional_text("source")?,
        at: row.time("at")?,
        body: row.text("body")?,
    })
}
