//! What retention finds and removes. Ids are ordered by time, so that what is old is found by the primary key.

use std::collections::{HashMap, HashSet};

use super::Result;
use super::given::Given;
use super::row::{Value, values};
use super::tail::EventCursor;
use super::tasks::{TaskId, metadata_index};
use super::tx::Tx;
use crate::domain::clock::Timestamp;
use crate::domain::id::{CallbackId, PollId};
use crate::domain::task::{Metadata, MetadataOrigin};

/// What was heard of tasks, and is kept for a while.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Heard {
    /// What the providers posted.
    Callbacks,
    /// What they answered.
    Polls,
}

/// A callback or poll that is old enough to be removed.
#[derive(Clone, Debug)]
pub struct OldMessage {
    /// Its id.
    pub id: String,
    /// The tasks that it speaks of.
    pub tasks: Vec<TaskId>,
    /// When the same last came.
    pub heard_at: Timestamp,
}

/// An event that is old enough to be removed.
#[derive(Clone, Debug)]
pub struct OldEvent {
    /// Its id.
    pub id: String,
    /// Its place in the tail.
    pub cursor: EventCursor,
    /// Its task; `None` for one of the service's own.
    pub task: Option<TaskId>,
    /// Whether it tells the task's end.
    pub is_end: bool,
}

/// A delivery of what is to be removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OldDelivery {
    /// Its id.
    pub id: String,
    /// What it tells.
    pub event_id: String,
    /// Whether it is pending or held.
    pub is_open: bool,
    /// How many attempts it had.
    pub attempts: usize,
}

/// How the space of a SQLite file is used, in pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileSpace {
    /// Whether pages can be given back while it is being written.
    pub gives_back: bool,
    /// All of them.
    pub pages: i64,
    /// Those in which nothing is.
    pub free: i64,
}

impl Heard {
    fn table(self) -> &'static str {
        match self {
            Self::Callbacks => "callbacks",
            Self::Polls => "polls",
        }
    }

    /// The bound of what was first heard before a moment.
    fn first_of(self, at: Timestamp) -> String {
        match self {
            Self::Callbacks => CallbackId::first_of(at).to_string(),
            Self::Polls => PollId::first_of(at).to_string(),
        }
    }
}

impl Tx {
    /// Up to `limit` callbacks or polls behind the id `after` that were first heard before `until`, oldest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn old_messages(
        &mut self,
        of: Heard,
        after: &str,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<OldMessage>> {
        let (at, tasks) = match of {
            Heard::Callbacks => ("received_at", "tasks"),
            Heard::Polls => ("at", "NULL"),
        };
        let sql = format!(
            "SELECT id, source, task_id, {tasks} AS tasks, COALESCE(repeated_at, {at}) AS heard_at FROM {}
             WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3",
            of.table()
        );
        let rows = self.fetch(sql, values![after, of.first_of(until), rows_of(limit)]).await?;
        rows.iter()
            .map(|row| {
                let source = row.text("source")?;
                let first = Some(row.text("task_id")?).filter(|id| !id.is_empty());
                let all = row.optional_text("tasks")?.map(|tasks| named_in(&tasks)).unwrap_or_default();
                let tasks = first.into_iter().chain(all).map(|task_id| (source.clone(), task_id)).collect();
                Ok(OldMessage { id: row.text("id")?, tasks, heard_at: row.time("heard_at")? })
            })
            .collect()
    }

    /// Up to `limit` events with ids behind `after` and before `until`, oldest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn old_events(&mut self, after: &str, until: &str, limit: usize) -> Result<Vec<OldEvent>> {
        let sql = "SELECT id, xact, seq, step, source, task_id FROM events
                   WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3";
        let rows = self.fetch(sql, values![after, until, rows_of(limit)]).await?;
        rows.iter()
            .map(|row| {
                let cursor = EventCursor { xact: row.int("xact")?, seq: row.int("seq")? };
                let task = row.optional_text("source")?.zip(row.optional_text("task_id")?);
                Ok(OldEvent { id: row.text("id")?, cursor, task, is_end: row.text("step")? == "terminal" })
            })
            .collect()
    }

    /// Those of these tasks that are not over: they have no end, or are still watched. All of them are locked until the
    /// transaction ends, so that it stays so.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn lock_unfinished(&mut self, mut ids: Vec<TaskId>) -> Result<HashSet<TaskId>> {
        // Everybody locks in the order of the ids, so that two never wait for each other.
        ids.sort_unstable();
        ids.dedup();
        let wanted = || Given::of_tasks(ids.iter());
        let lock = if self.is_shared() { "ORDER BY t.source, t.task_id FOR UPDATE OF t" } else { "" };
        let sql = format!(
            "SELECT t.source, t.task_id, t.status FROM given CROSS JOIN tasks t
             WHERE t.source = wanted_source AND t.task_id = wanted_task {lock}"
        );
        let mut unfinished = HashSet::new();
        for row in self.bulk_fetch(wanted(), &sql).await? {
            if matches!(row.text("status")?.as_str(), "pending" | "processing") {
                unfinished.insert((row.text("source")?, row.text("task_id")?));
            }
        }
        // Only now that they are locked: a watch may have begun while another transaction was waited for.
        let sql = "SELECT w.source, w.task_id FROM given CROSS JOIN watches w
                   WHERE w.source = wanted_source AND w.task_id = wanted_task";
        for row in self.bulk_fetch(wanted(), sql).await? {
            unfinished.insert((row.text("source")?, row.text("task_id")?));
        }
        Ok(unfinished)
    }

    /// The deliveries of these events, callbacks or polls, locked until the transaction ends.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn lock_deliveries_of(&mut self, ids: &[String]) -> Result<HashMap<String, Vec<OldDelivery>>> {
        let lock = if self.is_shared() { "ORDER BY d.id FOR UPDATE OF d" } else { "" };
        let given = Given::rows(ids.len()).text("wanted", ids.iter().cloned());
        let sql = format!(
            "SELECT d.id, d.event_id, d.status, d.attempts FROM given CROSS JOIN deliveries d
             WHERE d.event_id = wanted {lock}"
        );
        let mut deliveries: HashMap<String, Vec<OldDelivery>> = HashMap::new();
        for row in self.bulk_fetch(given, &sql).await? {
            let event_id = row.text("event_id")?;
            let is_open = matches!(row.text("status")?.as_str(), "pending" | "held");
            let attempts = row.count("attempts")? as usize;
            let delivery = OldDelivery { id: row.text("id")?, event_id: event_id.clone(), is_open, attempts };
            deliveries.entry(event_id).or_default().push(delivery);
        }
        Ok(deliveries)
    }

    /// Removes deliveries and their attempts. Gives how many attempts there were.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn remove_deliveries(&mut self, ids: &[String]) -> Result<u64> {
        let attempts = self.remove("attempts", "delivery_id", ids).await?;
        self.remove("deliveries", "id", ids).await?;
        Ok(attempts)
    }

    /// Removes those of these deliveries that tell nothing that is kept: made at the very moment in which that was
    /// removed, they could never be sent.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn remove_orphans(&mut self, ids: &[String]) -> Result<()> {
        let given = Given::rows(ids.len()).text("wanted", ids.iter().cloned());
        let sql = "SELECT d.id FROM given CROSS JOIN deliveries d WHERE d.id = wanted
                       AND NOT EXISTS (SELECT 1 FROM events WHERE events.id = d.event_id)
                       AND NOT EXISTS (SELECT 1 FROM callbacks WHERE callbacks.id = d.event_id)
                       AND NOT EXISTS (SELECT 1 FROM polls WHERE polls.id = d.event_id)";
        let orphans =
            self.bulk_fetch(given, sql).await?.iter().map(|row| row.text("id")).collect::<Result<Vec<_>>>()?;
        self.remove_deliveries(&orphans).await.map(drop)
    }

    /// Removes callbacks or polls.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn remove_messages(&mut self, of: Heard, ids: &[String]) -> Result<()> {
        self.remove(of.table(), "id", ids).await.map(drop)
    }

    /// Removes events.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn remove_events(&mut self, ids: &[String]) -> Result<()> {
        self.remove("events", "id", ids).await.map(drop)
    }

    /// Gives how many rows there were.
    async fn remove(&mut self, table: &str, column: &str, ids: &[String]) -> Result<u64> {
        let given = Given::rows(ids.len()).text("gone", ids.iter().cloned());
        let sql = format!("DELETE FROM {table} WHERE {column} IN (SELECT gone FROM given) RETURNING 1");
        Ok(self.bulk_fetch(given, &sql).await?.len() as u64)
    }

    /// Makes tombstones of tasks whose end is no longer kept, given with the ids of those events: that and how they
    /// ended stays known, what they said does not, and nothing is taken on any more. Their keys move out of where lists
    /// walk, so that no list has to pass over them. Gives how many.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn bury_tasks(&mut self, ended: &[(TaskId, String)], now: Timestamp) -> Result<u64> {
        let given = Given::rows(ended.len())
            .text("buried_source", ended.iter().map(|((source, _), _)| source.clone()))
            .text("buried_task", ended.iter().map(|((_, task), _)| task.clone()))
            .text("end_event", ended.iter().map(|(_, event)| event.clone()));
        let which = "source = buried_source AND task_id = buried_task AND terminal_event = end_event
                     AND pruned_at IS NULL";
        let sql = format!("SELECT source, task_id, key, metadata FROM given CROSS JOIN tasks WHERE {which}");
        let mut buried = Vec::new();
        let mut pairs = Vec::new();
        for row in self.bulk_fetch(given, &sql).await? {
            let source = row.text("source")?;
            let metadata: Metadata = serde_json::from_str(&row.text("metadata")?).unwrap_or_default();
            let key = row.text("key")?;
            pairs.extend(metadata_index(&metadata).map(|pair| (source.clone(), pair, key.clone())));
            buried.push((source, row.text("task_id")?));
        }
        let given = Given::rows(pairs.len())
            .text("gone_source", pairs.iter().map(|(source, ..)| source.clone()))
            .text("gone_pair", pairs.iter().map(|(_, pair, _)| pair.clone()))
            .text("gone_key", pairs.iter().map(|(.., key)| key.clone()));
        self.bulk(
            given,
            "DELETE FROM task_metadata
             WHERE (source, pair, key) IN (SELECT gone_source, gone_pair, gone_key FROM given)",
        );
        let given = Given::rows(buried.len())
            .text("buried_source", buried.iter().map(|(source, _)| source.clone()))
            .text("buried_task", buried.iter().map(|(_, task)| task.clone()))
            .int("at", buried.iter().map(|_| now.0))
            .int("origin", buried.iter().map(|_| MetadataOrigin::Registered as i64));
        self.bulk(
            given,
            "UPDATE tasks SET outputs = '[]', error = NULL, usage = NULL, metadata = '{}', metadata_origin = origin,
                 pruned_at = at, key = 'gone_' || substr(key, 5)
             FROM given WHERE source = buried_source AND task_id = buried_task",
        );
        Ok(buried.len() as u64)
    }

    /// When a task became a tombstone; `None` where it is none, or is not known.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn pruned_at(&mut self, source: &str, task_id: &str) -> Result<Option<Timestamp>> {
        let sql = "SELECT pruned_at FROM tasks WHERE source = $1 AND task_id = $2";
        self.fetch_one(sql, values![source, task_id]).await?.map_or(Ok(None), |row| row.optional_time("pruned_at"))
    }

    /// Removes relayed requests with ids behind `after` and before `until`, of which there is no task, or whose task
    /// is a tombstone. Looks at up to `limit`; gives the last of those, if any, and how many were removed.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn remove_intents(&mut self, after: &str, until: &str, limit: usize) -> Result<(Option<String>, u64)> {
        let sql = "SELECT i.id, t.task_id, t.pruned_at FROM (SELECT * FROM intents WHERE id > $1 AND id < $2
                       ORDER BY id LIMIT $3) AS i
                   LEFT JOIN tasks t ON t.source = i.source AND t.task_id = i.task_id ORDER BY i.id";
        let rows = self.fetch(sql, values![after, until, rows_of(limit)]).await?;
        let mut gone = Vec::new();
        for row in &rows {
            if row.optional_text("task_id")?.is_none() || row.optional_time("pruned_at")?.is_some() {
                gone.push(row.text("id")?);
            }
        }
        let last = rows.last().map(|row| row.text("id")).transpose()?;
        Ok((last, self.remove("intents", "id", &gone).await?))
    }

    /// Removes up to `limit` answers to POSTs with an `Idempotency-Key` that were given before `before`. Gives how many.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn remove_answers(&mut self, before: Timestamp, limit: usize) -> Result<u64> {
        let sql = "DELETE FROM idempotency WHERE key IN
                       (SELECT key FROM idempotency WHERE created_at <= $1 ORDER BY created_at LIMIT $2)";
        self.execute(sql, values![before, rows_of(limit)]).await
    }

    /// How the space of the file is used; `None` on PostgreSQL, whose autovacuum sees to it.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn file_space(&mut self) -> Result<Option<FileSpace>> {
        if self.is_shared() {
            return Ok(None);
        }
        let mut numbers = [0; 3];
        for (number, name) in numbers.iter_mut().zip(["auto_vacuum", "page_count", "freelist_count"]) {
            let row = self.fetch_one(format!("SELECT {name} AS number FROM pragma_{name}"), values![]).await?;
            *number = row.map_or(Ok(0), |row| row.int("number"))?;
        }
        let [mode, pages, free] = numbers;
        Ok(Some(FileSpace { gives_back: mode == INCREMENTAL, pages, free }))
    }

    /// Gives up to `pages` free pages of a SQLite file back.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn give_back(&mut self, pages: i64) -> Result<()> {
        self.fetch(format!("PRAGMA incremental_vacuum({pages})"), values![]).await.map(drop)
    }
}

/// `PRAGMA auto_vacuum`: <https://www.sqlite.org/pragma.html#pragma_auto_vacuum>
const INCREMENTAL: i64 = 2;

fn rows_of(limit: usize) -> Value {
    Value::from(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// The tasks of a callback that speaks of several, as its row has them.
fn named_in(tasks: &str) -> Vec<String> {
    let all: Vec<serde_json::Value> = serde_json::from_str(tasks).unwrap_or_default();
    all.iter().filter_map(|one| one["task_id"].as_str().map(str::to_owned)).collect()
}
