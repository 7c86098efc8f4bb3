//! Tasks: the one row of each that everything learned of it is folded into.

use std::collections::HashMap;
use std::sync::Arc;

use super::given::{Cell, Given, Kind};
use super::lists::{Listing, Page, holds, is};
use super::row::{Row, values};
use super::tx::{Guess, Tx};
use super::{Error, Result};
use crate::domain::access::Scope;
use crate::domain::clock::Timestamp;
use crate::domain::follow::Followed;
use crate::domain::id::{EventId, TaskKey};
use crate::domain::task::{Metadata, MetadataOrigin, Status, Task, Via};
use crate::domain::watch::Watch;

/// What identifies a task: its source and the provider's id.
pub type TaskId = (String, String);

/// Which tasks to list.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each narrows the list to those that have this value")]
pub struct TaskFilter {
    pub source: Option<String>,
    pub status: Option<Status>,
    pub model: Option<String>,
    /// Known since then, or later.
    pub since: Option<Timestamp>,
    /// Known before then.
    pub until: Option<Timestamp>,
    /// Metadata pairs that it must have.
    pub metadata: Vec<(String, String)>,
    pub before: Option<String>,
    pub limit: usize,
}

/// A task that is known, and has changed.
#[derive(Clone, Debug)]
pub struct ChangedTask {
    /// As it was.
    pub before: Arc<Task>,
    /// As it is.
    pub task: Arc<Task>,
}

impl ChangedTask {
    /// Whether it stands in another place of the lists.
    fn has_moved(&self) -> bool {
        self.before.status != self.task.status
    }
}

/// What a task keeps from the beginning.
const FIXED: [&str; 5] = ["key", "source", "task_id", "provider", "first_seen_at"];

const ROW: &str = "key, source, task_id, provider, status, model, progress, outputs, error, usage, created_at, \
    completed_at, observed_via, confirmed, metadata, metadata_origin, first_seen_at, updated_at, processing_event, \
    terminal_event, conflict_event";

const WATCH: &str = "source, task_id, vouched, ask_at, lease_owner, state, intent_id";

/// Whether any of the tasks is known, on PostgreSQL: whether it is the first from its id on. Asked for by its source and id it
/// would be looked for along any index of its source, while the statistics are those of an empty table.
const ANY_KNOWN: &str = "SELECT 1 FROM given
    CROSS JOIN LATERAL (SELECT source, task_id FROM tasks WHERE (source, task_id) >= (wanted_source, wanted_task)
        ORDER BY source, task_id LIMIT 1) first
    WHERE source = wanted_source AND task_id = wanted_task LIMIT 1";

impl Tx {
    /// The tasks of these ids that are known, locked until the transaction ends.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn lock_tasks(&mut self, mut ids: Vec<TaskId>) -> Result<HashMap<TaskId, Followed>> {
        // Everybody locks in the order of the ids, so that two never wait for each other.
        ids.sort_unstable();
        ids.dedup();
        let wanted = || Given::of_tasks(ids.iter());
        // Most are new: then there is nothing to lock, and a single write needs no transaction around it. One
        // that comes into being meanwhile refuses that write.
        if self.suppose(wanted, ANY_KNOWN) {
            return Ok(HashMap::new());
        }
        let is_looked_for = self.guess() != Guess::Known;
        if is_looked_for && self.glimpse(wanted(), ANY_KNOWN).await?.is_some_and(|found| found.is_empty()) {
            return Ok(HashMap::new());
        }
        let rows =
            self.bulk_fetch(wanted(), &format!("SELECT {ROW} {}", self.each_wanted("tasks", "FOR UPDATE"))).await?;
        let mut known = HashMap::with_capacity(rows.len());
        for row in &rows {
            let task = read(row)?;
            let id = (task.source.clone(), task.task_id.clone());
            known.insert(id, Followed { task: task.into(), watch: None, intent_id: None });
        }
        // Only now: who had the tasks until they were locked may have written them.
        let watches = format!("SELECT {WATCH} {}", self.each_wanted("watches", ""));
        for row in self.bulk_fetch(Given::of_tasks(known.keys()), &watches).await? {
            let Some(followed) = known.get_mut(&(row.text("source")?, row.text("task_id")?)) else { continue };
            (followed.watch, followed.intent_id) = (Some(read_watch(&row)?), row.optional_text("intent_id")?);
        }
        Ok(known)
    }

    /// From where the rows of the wanted tasks come, locked where others may write. PostgreSQL is told to look for each by
    /// itself: a plan that it made while the table was small, and keeps, reads all of it for each.
    fn each_wanted(&self, table: &str, lock: &str) -> String {
        let wanted = "source = wanted_source AND task_id = wanted_task";
        match self.is_shared() {
            true => format!("FROM given CROSS JOIN LATERAL (SELECT * FROM {table} WHERE {wanted} LIMIT 1 {lock}) one"),
            false => format!("FROM given CROSS JOIN {table} WHERE {wanted}"),
        }
    }

    /// Writes tasks that were not known. One that another instance has made meanwhile is refused when
    /// they are handed over, with an error that [`Error::is_taken`]: asked again, it is known.
    pub fn insert_tasks(&mut self, tasks: impl IntoIterator<Item = impl Into<Arc<Task>>>) {
        let tasks: Vec<Arc<Task>> = tasks.into_iter().map(Into::into).collect();
        self.index_metadata(&tasks);
        self.bulk(rows(tasks), &format!("INSERT INTO tasks ({ROW}) SELECT {ROW} FROM given"));
    }

    /// Writes tasks that are known and locked, over what was known of them.
    pub fn update_tasks(&mut self, changed: impl IntoIterator<Item = ChangedTask>) {
        let (moved, others): (Vec<_>, Vec<_>) = changed.into_iter().partition(ChangedTask::has_moved);
        let all = || moved.iter().chain(&others);
        let relabelled = all().filter(|changed| changed.task.metadata != changed.before.metadata);
        let relabelled: Vec<_> = relabelled.map(|changed| Arc::clone(&changed.task)).collect();
        self.index_metadata(&relabelled);
        self.overwrite(moved, &FIXED);
        // SQLite writes the entries of an index anew wherever a column of it is set, to whatever it is set.
        self.overwrite(others, &[FIXED.as_slice(), &["status"]].concat());
    }

    /// Writes tasks over what was known of them, but for these columns.
    fn overwrite(&mut self, changed: Vec<ChangedTask>, but: &[&str]) {
        let tasks: Vec<Arc<Task>> = changed.into_iter().map(|changed| changed.task).collect();
        // An insert that always conflicts: an update could not name the columns of both sides alike.
        let sets: Vec<String> = ROW
            .split(',')
            .map(str::trim)
            .filter(|column| !but.contains(column))
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let sql = format!(
            "INSERT INTO tasks ({ROW}) SELECT {ROW} FROM given WHERE true
             ON CONFLICT (source, task_id) DO UPDATE SET {}",
            sets.join(", ")
        );
        self.bulk(rows(tasks), &sql);
    }

    /// One task, where it is there for the caller.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn task(&mut self, scope: &Scope, source: &str, task_id: &str) -> Result<Option<Task>> {
        if !scope.sees_source(source) {
            return Ok(None);
        }
        let sql = format!("SELECT {ROW} FROM tasks WHERE source = $1 AND task_id = $2");
        self.fetch_one(sql, values![source, task_id]).await?.as_ref().map(read).transpose()
    }

    /// A page of the tasks that are there for the caller, newest first by when they were first known.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn tasks(&mut self, scope: &Scope, filter: &TaskFilter) -> Result<Page<Task>> {
        // What was buried has a key below all of these.
        let from = Some(TaskKey::first_of(filter.since.unwrap_or_default()).to_string());
        let until = filter.until.map(|until| TaskKey::first_of(until).to_string());
        let before = filter.before.clone().into_iter().chain(until);
        let sources = self.walked_sources("tasks", scope, filter.source.as_deref()).await?;
        let mut pairs = filter.metadata.iter().map(|(key, value)| pair(key, value));
        let mut listing = match pairs.next() {
            None => {
                // Of many walks few rows come to the page: only the index is walked over.
                let (columns, whole) = if self.is_shared() {
                    ("source, status, key", OF_STATUS)
                } else {
                    ("rowid AS place, key", OF_PLACE)
                };
                let mut listing = Listing::of("tasks", "key").whole(columns, whole).between(from, before);
                for source in &sources {
                    for status in
                        Status::ALL.into_iter().filter(|one| filter.status.is_none_or(|status| status == *one))
                    {
                        let walk = vec![is("source = ?", source.as_str()), is("status = ?", status.as_str())];
                        listing.walk(walk);
                    }
                }
                listing
            }
            Some(first) => {
                let mut listing = Listing::of("task_metadata", "key")
                    .whole("source, task_id, key", OF_METADATA)
                    .between(from, before);
                for source in &sources {
                    listing.walk(vec![is("source = ?", source.as_str()), is("pair = ?", indexed(&first))]);
                }
                listing.rest(holds("pruned_at IS NULL"));
                for pair in pairs.chain([first]) {
                    listing.rest(is("replace(metadata, ?, '') <> metadata", pair));
                }
                if let Some(status) = filter.status {
                    listing.rest(is("status = ?", status.as_str()));
                }
                listing
            }
        };
        if let Some(model) = &filter.model {
            listing.rest(is("model = ?", model.as_str()));
        }
        listing.page(self, filter.limit, read, |task| task.key.to_string()).await
    }

    /// The sources along which a list is walked: those that the table has rows of, and the caller sees.
    pub(super) async fn walked_sources(
        &mut self,
        table: &str,
        scope: &Scope,
        only: Option<&str>,
    ) -> Result<Vec<String>> {
        let mut sources = match only {
            Some(source) => vec![source.to_owned()],
            None => self.distinct(table, "source", "source IS NOT NULL").await?,
        };
        sources.retain(|source| scope.sees_source(source));
        Ok(sources)
    }

    /// Keeps by which metadata tasks are found.
    fn index_metadata(&mut self, tasks: &[Arc<Task>]) {
        let pairs =
            || tasks.iter().flat_map(|task| task.metadata.iter().map(move |(key, value)| (task, pair(key, value))));
        let given = Given::rows(pairs().count())
            .text("source", pairs().map(|(task, _)| task.source.clone()))
            .text("pair", pairs().map(|(_, pair)| indexed(&pair)))
            .text("key", pairs().map(|(task, _)| task.key.as_str().to_owned()))
            .text("task_id", pairs().map(|(task, _)| task.task_id.clone()));
        self.bulk(
            given,
            "INSERT INTO task_metadata (source, pair, key, task_id) SELECT source, pair, key, task_id FROM given WHERE true
             ON CONFLICT (source, pair, key) DO NOTHING",
        );
    }
}

/// The pairs by which a task of this metadata is found.
pub(super) fn metadata_index(metadata: &Metadata) -> impl Iterator<Item = String> + '_ {
    metadata.iter().map(|(key, value)| indexed(&pair(key, value)))
}

/// So many characters of a pair are in the index: what PostgreSQL takes in an index entry is bounded.
const INDEXED_CHARS: usize = 200;

/// The tasks of the rows of `task_metadata` that were walked over.
const OF_METADATA: &str =
    "SELECT t.* FROM {} AS found CROSS JOIN tasks t WHERE t.source = found.source AND t.task_id = found.task_id";

/// The tasks of the entries of `tasks_listed` that were walked over. PostgreSQL's index does not give their place.
const OF_STATUS: &str = "SELECT t.* FROM {} AS found CROSS JOIN tasks t
    WHERE t.source = found.source AND t.status = found.status AND t.key = found.key";

/// The same on SQLite, whose index does: each is looked for once, not twice.
const OF_PLACE: &str = "SELECT t.* FROM {} AS found CROSS JOIN tasks t WHERE t.rowid = found.place";

/// A pair of metadata as it stands in a task's JSON, which we wrote, without spaces: a pair is there exactly if this
/// text is. Quotes within a value are escaped, so that a value cannot pass for a pair.
fn pair(key: &str, value: &str) -> String {
    let pair = json(&HashMap::from([(key, value)])).unwrap_or_default();
    pair.trim_start_matches('{').trim_end_matches('}').to_owned()
}

/// What of a pair is in the index.
fn indexed(pair: &str) -> String {
    pair.chars().take(INDEXED_CHARS).collect()
}

/// The rows of `tasks`.
fn rows(tasks: Vec<Arc<Task>>) -> Given {
    const INTS: [&str; 7] =
        ["progress", "created_at", "completed_at", "confirmed", "metadata_origin", "first_seen_at", "updated_at"];
    let columns: Vec<_> = ROW.split(',').map(str::trim).map(|name| (name, Kind::of(name, &INTS))).collect();
    Given::of(&columns, tasks, |task, cells| {
        fn event(id: &Option<EventId>) -> Cell<'_> {
            Cell::text(id.as_ref().map(EventId::as_str))
        }
        cells.extend([
            Cell::text(task.key.as_str()),
            Cell::text(task.source.as_str()),
            Cell::text(task.task_id.as_str()),
            Cell::text(task.provider.as_str()),
            Cell::text(task.status.as_str()),
            Cell::text(task.model.as_deref()),
            Cell::int(task.progress.map(i64::from)),
            Cell::made(json(&task.outputs)),
            Cell::made(task.error.as_ref().and_then(json)),
            Cell::made(task.usage.as_ref().and_then(json)),
            Cell::time(task.created_at),
            Cell::time(task.completed_at),
            Cell::text(task.observed_via.as_str()),
            Cell::int(i64::from(task.confirmed)),
            Cell::made(json(&task.metadata)),
            Cell::int(task.metadata_origin as i64),
            Cell::time(task.first_seen_at),
            Cell::time(task.updated_at),
            event(&task.processing_event),
            event(&task.terminal_event),
            event(&task.conflict_event),
        ]);
    })
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}

fn read_watch(row: &Row) -> Result<Watch> {
    let watch: Watch = row.parsed("state", |text| serde_json::from_str(text).ok())?;
    let asking = row.optional_text("lease_owner")?.is_some();
    Ok(Watch { ask_at: row.optional_time("ask_at")?, asking, vouched: row.int("vouched")? == 1, ..watch })
}

fn read(row: &Row) -> Result<Task> {
    let optional = |column| row.optional_text(column);
    let event = |column| Ok::<_, Error>(row.optional_text(column)?.map(EventId::stored));
    Ok(Task {
        key: TaskKey::stored(row.text("key")?),
        source: row.text("source")?,
        provider: row.text("provider")?,
        task_id: row.text("task_id")?,
        status: row.parsed("status", Status::parse)?,
        model: optional("model")?,
        progress: row.optional_int("progress")?.and_then(|percent| percent.try_into().ok()),
        outputs: row.parsed("outputs", |text| serde_json::from_str(text).ok())?,
        error: optional("error")?.and_then(|text| serde_json::from_str(&text).ok()),
        usage: optional("usage")?.and_then(|text| serde_json::from_str(&text).ok()),
        created_at: row.optional_time("created_at")?,
        completed_at: row.optional_time("completed_at")?,
        observed_via: row.parsed("observed_via", Via::parse)?,
        confirmed: row.int("confirmed")? == 1,
        metadata: row.parsed("metadata", |text| serde_json::from_str(text).ok())?,
        metadata_origin: MetadataOrigin::from_number(row.int("metadata_origin")?),
        first_seen_at: row.time("first_seen_at")?,
        updated_at: row.time("updated_at")?,
        processing_event: event("processing_event")?,
        terminal_event: event("terminal_event")?,
        conflict_event: event("conflict_event")?,
    })
}
