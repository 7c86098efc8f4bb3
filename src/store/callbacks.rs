//! Callbacks, kept byte for byte.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Result;
use super::given::{Cell, Given, Kind};
use super::lists::{Listing, Page, among, is};
use super::row::{Row, values};
use super::tx::Tx;
use crate::domain::access::Scope;
use crate::domain::callback::{CallbackOutcome, Content};
use crate::domain::clock::Timestamp;
use crate::domain::id::{CallbackId, EventId};

/// A callback to be kept.
#[derive(Clone, Debug)]
pub struct NewCallback {
    /// Its id, unless it repeats one that is kept.
    pub id: CallbackId,
    /// The source that it came to.
    pub source: String,
    /// The task it speaks of, where that is known; the first where there are several.
    pub task_id: Option<String>,
    /// What became of it.
    pub outcome: CallbackOutcome,
    /// Why, for people.
    pub detail: Option<String>,
    /// How far it could be believed.
    pub trust: &'static str,
    /// The event that it made or repeats.
    pub event_id: Option<EventId>,
    /// What became of each task, as JSON, where it speaks of several.
    pub tasks: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// Its bytes.
    pub content: Arc<Content>,
    /// Whether it cannot repeat a kept one, as it is the first that was heard of its task.
    pub is_first: bool,
}

/// What became of a callback that claimed an end.
#[derive(Clone, Debug)]
pub struct JudgedCallback {
    /// Which.
    pub id: CallbackId,
    /// What it is now; `None` where that has not changed.
    pub outcome: Option<CallbackOutcome>,
    /// The event that tells what it claimed.
    pub event_id: Option<EventId>,
    /// Why, for people.
    pub detail: Option<String>,
}

/// A callback as lists show it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of `NewCallback`")]
pub struct CallbackRow {
    pub id: CallbackId,
    pub source: String,
    pub task_id: Option<String>,
    pub outcome: CallbackOutcome,
    pub detail: Option<String>,
    pub trust: String,
    pub event_id: Option<String>,
    pub received_at: Timestamp,
    /// How often the same came again with the same outcome.
    pub repeats: i64,
    /// When it last did.
    pub repeated_at: Option<Timestamp>,
    pub remote: Option<String>,
}

/// A callback with everything that is kept of it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of `NewCallback`")]
pub struct KeptCallback {
    pub row: CallbackRow,
    pub query: String,
    pub headers: String,
    pub body: Vec<u8>,
    pub tasks: Option<String>,
}

/// Which callbacks to list.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each narrows the list to those that have this value")]
pub struct CallbackFilter {
    pub outcome: Option<CallbackOutcome>,
    pub source: Option<String>,
    pub task_id: Option<String>,
    pub before: Option<String>,
    pub limit: usize,
}

/// So many rejected callbacks are kept of each source; older ones make room.
const REJECTED_KEPT: i64 = 1000;

const ROW: &str = "id, source, task_id, outcome, detail, trust, event_id, received_at, repeats, repeated_at, remote";

/// How often each comes again, and when it last does.
pub type Repeats = BTreeMap<CallbackId, (i64, Timestamp)>;
/// Source, task id, fingerprint and outcome.
type Sameness = (String, String, Vec<u8>, &'static str);

const NEW: &[(&str, Kind)] = &[
    ("id", Kind::Text),
    ("source", Kind::Text),
    ("task_id", Kind::Text),
    ("fingerprint", Kind::Bytes),
    ("outcome", Kind::Text),
    ("detail", Kind::Text),
    ("trust", Kind::Text),
    ("event_id", Kind::Text),
    ("tasks", Kind::Text),
    ("received_at", Kind::Int),
    ("repeats", Kind::Int),
    ("repeated_at", Kind::Int),
    ("remote", Kind::Text),
    ("query", Kind::Text),
    ("headers", Kind::Text),
    ("body", Kind::Bytes),
];

impl Tx {
    /// Keeps callbacks; gives the id of each, in the same order: that of the one it repeats, where it
    /// is the same as a kept one and became the same.
    ///
    /// # Errors
    /// As the database gives them; one that [`super::Error::is_taken`] where another instance is keeping the
    /// same at this moment: asked again, it is a repeat.
    pub async fn keep_callbacks(&mut self, callbacks: Vec<NewCallback>) -> Result<Vec<CallbackId>> {
        let mut known = self.known_callbacks(&callbacks).await?;
        let mut ids = Vec::with_capacity(callbacks.len());
        let mut fresh: Vec<NewCallback> = Vec::new();
        let mut repeats = Repeats::new();
        for callback in callbacks {
            let first = if callback.is_first { None } else { Some(known.entry(owned(sameness(&callback)))) };
            if let Some(Entry::Occupied(first)) = first {
                let repeat = repeats.entry(first.get().clone()).or_insert((0, callback.received_at));
                *repeat = (repeat.0 + 1, callback.received_at);
                ids.push(first.get().clone());
            } else {
                first.map(|first| first.insert_entry(callback.id.clone()));
                ids.push(callback.id.clone());
                fresh.push(callback);
            }
        }
        // One order for all instances, so that two never wait for each other.
        fresh.sort_by(|a, b| sameness(a).cmp(&sameness(b)));
        let rejected = fresh.iter().filter(|callback| callback.outcome == CallbackOutcome::Rejected);
        let rejected: BTreeSet<String> = rejected.map(|callback| callback.source.clone()).collect();
        self.insert_callbacks(fresh, &mut repeats);
        self.count_repeats(&repeats);
        for source in rejected {
            self.bound_rejected(&source).await?;
        }
        Ok(ids)
    }

    async fn known_callbacks(&mut self, callbacks: &[NewCallback]) -> Result<HashMap<Sameness, CallbackId>> {
        let keys: Vec<Sameness> =
            callbacks.iter().filter(|callback| !callback.is_first).map(|one| owned(sameness(one))).collect();
        let given = Given::rows(keys.len())
            .text("wanted_source", keys.iter().map(|(source, ..)| source.clone()))
            .text("wanted_task", keys.iter().map(|(_, task_id, ..)| task_id.clone()))
            .bytes("wanted", keys.iter().map(|(.., fingerprint, _)| fingerprint.clone()))
            .text("wanted_outcome", keys.iter().map(|(.., outcome)| (*outcome).to_owned()));
        let rows = self
            .bulk_fetch(
                given,
                "SELECT id, source, task_id, fingerprint, outcome FROM given CROSS JOIN callbacks
                 WHERE source = wanted_source AND task_id = wanted_task AND outcome = wanted_outcome
                     AND fingerprint = wanted",
            )
            .await?;
        rows.iter()
            .map(|row| {
                let outcome = row.parsed("outcome", CallbackOutcome::parse)?.as_str();
                let key = (row.text("source")?, row.text("task_id")?, row.bytes("fingerprint")?, outcome);
                Ok((key, CallbackId::stored(row.text("id")?)))
            })
            .collect()
    }

    /// Writes those that are new, each with its own repeats, which it takes out of `repeats`.
    fn insert_callbacks(&mut self, callbacks: Vec<NewCallback>, repeats: &mut Repeats) {
        let again = |callback: NewCallback| {
            let again = repeats.remove(&callback.id);
            (callback, again)
        };
        let given = Given::of(NEW, callbacks.into_iter().map(again).collect(), |(callback, again), cells| {
            cells.extend([
                Cell::text(callback.id.as_str()),
                Cell::text(callback.source.as_str()),
                Cell::text(callback.task_id.as_deref().unwrap_or_default()),
                Cell::Bytes(&callback.content.fingerprint),
                Cell::text(callback.outcome.as_str()),
                Cell::text(callback.detail.as_deref()),
                Cell::text(callback.trust),
                Cell::text(callback.event_id.as_ref().map(EventId::as_str)),
                Cell::text(callback.tasks.as_deref()),
                Cell::time(callback.received_at),
                Cell::int(again.map_or(0, |(many, _)| many)),
                Cell::time(again.map(|(_, at)| at)),
                Cell::text(callback.content.remote.as_deref()),
                Cell::text(callback.content.query.as_str()),
                Cell::text(callback.content.headers.as_str()),
                Cell::Bytes(&callback.content.body),
            ]);
        });
        self.bulk(
            given,
            "INSERT INTO callbacks (id, source, task_id, fingerprint, outcome, detail, trust, event_id, tasks,
                 received_at, repeats, repeated_at, remote, query, headers, body)
             SELECT id, source, task_id, fingerprint, outcome, detail, trust, event_id, tasks,
                 received_at, repeats, repeated_at, remote, query, headers, body FROM given",
        );
    }

    /// Counts that callbacks came again, and when they last did.
    pub fn count_repeats(&mut self, repeats: &Repeats) {
        let given = Given::rows(repeats.len())
            .text("repeated", repeats.keys().map(|id| id.as_str().to_owned()))
            .int("more", repeats.values().map(|(more, _)| *more))
            .int("last_at", repeats.values().map(|(_, at)| at.0));
        self.bulk(
            given,
            "UPDATE callbacks SET repeats = repeats + more,
                 repeated_at = CASE WHEN repeated_at > last_at THEN repeated_at ELSE last_at END
             FROM given WHERE id = repeated",
        );
    }

    /// Writes what became of callbacks that claimed an end, once that is known: their outcome where it is another
    /// one, the event, and why. One that would then be the same as a kept one stays as it is.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn judge_callbacks(&mut self, judged: &[JudgedCallback]) -> Result<()> {
        if judged.is_empty() {
            return Ok(());
        }
        // They may be among the writes that wait.
        self.flush().await?;
        let each = || judged.iter();
        let given = Given::rows(judged.len())
            .text("judged", each().map(|j| j.id.as_str().to_owned()))
            .text("new_outcome", each().map(|j| j.outcome.map(|outcome| outcome.as_str().to_owned())))
            .text("new_event", each().map(|j| j.event_id.as_ref().map(|id| id.as_str().to_owned())))
            .text("new_detail", each().map(|j| j.detail.clone()));
        self.bulk(
            given,
            "UPDATE callbacks SET outcome = COALESCE(new_outcome, outcome), event_id = COALESCE(new_event, event_id),
                 detail = COALESCE(new_detail, detail)
             FROM given WHERE id = judged AND NOT EXISTS (
                 SELECT 1 FROM callbacks same WHERE same.source = callbacks.source AND same.task_id = callbacks.task_id
                     AND same.outcome = new_outcome AND same.fingerprint = callbacks.fingerprint)",
        );
        Ok(())
    }

    async fn bound_rejected(&mut self, source: &str) -> Result<()> {
        self.execute(
            "DELETE FROM callbacks WHERE outcome = 'rejected' AND source = $1 AND id <=
                 (SELECT id FROM callbacks WHERE outcome = 'rejected' AND source = $1
                  ORDER BY id DESC LIMIT 1 OFFSET $2)",
            values![source, REJECTED_KEPT],
        )
        .await?;
        Ok(())
    }

    /// One callback with its bytes, where it is there for the caller.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn callback(&mut self, scope: &Scope, id: &str) -> Result<Option<KeptCallback>> {
        let mut values = values![id];
        let seen = match scope.team_scope() {
            None => String::new(),
            Some(team) => format!("AND {}", among("source", &team.sources, &mut values)),
        };
        let sql = format!("SELECT {ROW}, tasks, query, headers, body FROM callbacks WHERE id = $1 {seen}");
        let Some(row) = self.fetch_one(sql, values).await? else { return Ok(None) };
        Ok(Some(KeptCallback {
            query: row.text("query")?,
            headers: row.text("headers")?,
            body: row.bytes("body")?,
            tasks: row.optional_text("tasks")?,
            row: read(&row)?,
        }))
    }

    /// A page of the callbacks that are there for the caller, newest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn callbacks(&mut self, scope: &Scope, filter: &CallbackFilter) -> Result<Page<CallbackRow>> {
        let mut listing = Listing::of("callbacks", "id").between(None, filter.before.clone());
        let is_filtered = filter.source.is_some() || filter.task_id.is_some() || filter.outcome.is_some();
        if *scope == Scope::All && !is_filtered {
            listing.walk(Vec::new());
            return listing.page(self, filter.limit, read, |row| row.id.to_string()).await;
        }
        for source in self.walked_sources("callbacks", scope, filter.source.as_deref()).await? {
            let of_source = is("source = ?", source.as_str());
            if let Some(task_id) = &filter.task_id {
                let outcome = filter.outcome.map(|outcome| is("outcome = ?", outcome.as_str()));
                let of_task = [of_source, is("task_id = ?", task_id.as_str())];
                listing.walk(of_task.into_iter().chain(outcome).collect());
                continue;
            }
            for outcome in CallbackOutcome::ALL.into_iter().filter(|one| filter.outcome.is_none_or(|only| only == *one))
            {
                listing.walk(vec![of_source.clone(), is("outcome = ?", outcome.as_str())]);
            }
        }
        listing.page(self, filter.limit, read, |row| row.id.to_string()).await
    }
}

fn sameness(callback: &NewCallback) -> (&str, &str, &[u8], &'static str) {
    let task_id = callback.task_id.as_deref().unwrap_or_default();
    (&callback.source, task_id, &callback.content.fingerprint, callback.outcome.as_str())
}

fn owned((source, task_id, fingerprint, outcome): (&str, &str, &[u8], &'static str)) -> Sameness {
    (source.to_owned(), task_id.to_owned(), fingerprint.to_vec(), outcome)
}

fn read(row: &Row) -> Result<CallbackRow> {
    Ok(CallbackRow {
        id: CallbackId::stored(row.text("id")?),
        source: row.text("source")?,
        task_id: Some(row.text("task_id")?).filter(|id| !id.is_empty()),
        outcome: row.parsed("outcome", CallbackOutcome::parse)?,
        detail: row.optional_text("detail")?,
        trust: row.text("trust")?,
        event_id: row.optional_text("event_id")?,
        received_at: row.time("received_at")?,
        repeats: row.int("repeats")?,
        repeated_at: row.optional_time("repeated_at")?,
        remote: row.optional_text("remote")?,
    })
}
