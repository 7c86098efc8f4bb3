//! Watches: the tasks whose end is not known, and the queue of questions to their providers.

use super::Result;
use super::given::Given;
use super::row::{Row, values};
use super::tasks::TaskId;
use super::tx::Tx;
use crate::domain::clock::Timestamp;
use crate::domain::watch::{Saving, Watch};

/// A watch to be written.
#[derive(Clone, Debug)]
pub struct SavedWatch<'a> {
    /// The task.
    pub id: &'a TaskId,
    /// What is to be done about it.
    pub watch: &'a Watch,
    /// When something is told without an answer.
    pub look_at: Option<Timestamp>,
    /// The relayed request that made it.
    pub intent_id: Option<&'a str>,
    /// What of it has changed.
    pub saving: Saving,
}

/// A question that this process holds the lease of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The task.
    pub task_id: String,
    /// The client's key to ask with, sealed, where it was relayed and that was kept.
    pub sealed_key: Option<String>,
    /// Whether a client is to get the answer if the task has ended.
    pub is_awaited: bool,
}

/// When the next question is due at a source, among the tasks that somebody stands for or among the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextAsk {
    /// The source.
    pub source: String,
    /// Whether somebody stands for them.
    pub vouched: bool,
    /// When.
    pub ask_at: Timestamp,
}

/// What a claim gives of a watch.
const ASKED: &str = "task_id, (SELECT sealed_key FROM intents WHERE id = watches.intent_id) AS sealed_key, \
    (SELECT client_url FROM intents WHERE id = watches.intent_id) AS client_url";
/// Whether the client that relayed a task gave a key to ask for it with.
const HAS_KEY: &str = "EXISTS (SELECT 1 FROM intents WHERE id = watches.intent_id AND sealed_key IS NOT NULL)";

impl Tx {
    /// Writes watches, over what was known of them. Whoever is asking for one keeps its lease, unless it is now to be
    /// asked for at another time.
    pub fn save_watches(&mut self, watches: &[SavedWatch<'_>]) {
        let each = || watches.iter().filter(|saved| saved.saving == Saving::All);
        let given = questions(each)
            .int("vouched", each().map(|w| i64::from(w.watch.vouched)))
            .time("look_at", each().map(|w| w.look_at))
            .text("intent_id", each().map(|w| w.intent_id.map(str::to_owned)));
        self.bulk(
            given,
            "INSERT INTO watches (source, task_id, vouched, ask_at, look_at, intent_id, state)
             SELECT source, task_id, vouched, ask_at, look_at, intent_id, state FROM given WHERE true
             ON CONFLICT (source, task_id) DO UPDATE SET ask_at = excluded.ask_at, state = excluded.state,
                 lease_owner = CASE WHEN excluded.ask_at = watches.ask_at THEN watches.lease_owner END,
                 vouched = excluded.vouched, look_at = excluded.look_at,
                 intent_id = COALESCE(excluded.intent_id, watches.intent_id)",
        );
        // One that is there, and of its indexes moves that of the questions alone.
        self.bulk(
            questions(|| watches.iter().filter(|saved| saved.saving == Saving::Question)),
            "UPDATE watches SET ask_at = given.ask_at, state = given.state,
                 lease_owner = CASE WHEN given.ask_at = watches.ask_at THEN lease_owner END
             FROM given WHERE watches.source = given.source AND watches.task_id = given.task_id",
        );
    }

    /// Ends watches.
    pub fn end_watches(&mut self, ids: &[&TaskId]) {
        let given = Given::rows(ids.len())
            .text("ended_source", ids.iter().map(|id| id.0.clone()))
            .text("ended_task", ids.iter().map(|id| id.1.clone()));
        self.bulk(given, "DELETE FROM watches WHERE (source, task_id) IN (SELECT ended_source, ended_task FROM given)");
    }

    /// Takes for a process the lease of up to `limit` due questions of a source; they become due again by
    /// themselves when the lease ends.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn claim_questions(
        &mut self,
        source: &str,
        vouched: bool,
        limit: usize,
        now: Timestamp,
        (owner, until): (&str, Timestamp),
    ) -> Result<Vec<Asked>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = format!(
            "WITH chosen AS MATERIALIZED (
                 SELECT task_id FROM watches WHERE source = $1 AND vouched = $2 AND ask_at <= $3
                 ORDER BY ask_at LIMIT $4 {})
             UPDATE {} watches SET ask_at = $5, lease_owner = $6
             WHERE source = $1 AND task_id IN (SELECT task_id FROM chosen) AND ask_at <= $3
             RETURNING {ASKED}",
            self.lock_clause(),
            self.or_fail_clause()
        );
        let rows = self.fetch(sql, values![source, i64::from(vouched), now, limit, until, owner]).await?;
        rows.iter().map(read_asked).collect()
    }

    /// The same for the longest due relayed task of a source whose client gave a key to ask with.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn claim_relayed(
        &mut self,
        source: &str,
        now: Timestamp,
        (owner, until): (&str, Timestamp),
    ) -> Result<Option<Asked>> {
        let sql = format!(
            "WITH chosen AS MATERIALIZED (
                 SELECT task_id FROM watches WHERE source = $1 AND intent_id IS NOT NULL AND ask_at <= $2
                     AND {HAS_KEY} ORDER BY ask_at LIMIT 1 {})
             UPDATE watches SET ask_at = $3, lease_owner = $4
             WHERE source = $1 AND task_id IN (SELECT task_id FROM chosen) AND ask_at <= $2
             RETURNING {ASKED}",
            self.lock_clause()
        );
        self.fetch_one(sql, values![source, now, until, owner]).await?.as_ref().map(read_asked).transpose()
    }

    /// When the next such task is due at each of these sources.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn next_relayed(&mut self, sources: &[&str]) -> Result<Vec<NextAsk>> {
        let given = Given::rows(sources.len()).text("wanted_source", sources.iter().map(|source| (*source).to_owned()));
        let sql = format!(
            "SELECT wanted_source, (SELECT ask_at FROM watches WHERE source = wanted_source
                 AND intent_id IS NOT NULL AND ask_at IS NOT NULL AND {HAS_KEY} ORDER BY ask_at LIMIT 1) AS ask_at
             FROM given"
        );
        let rows = self.bulk_fetch(given, &sql).await?;
        let read = |row: &Row| {
            let Some(ask_at) = row.optional_time("ask_at")? else { return Ok(None) };
            Ok(Some(NextAsk { source: row.text("wanted_source")?, vouched: true, ask_at }))
        };
        rows.iter().map(read).filter_map(Result::transpose).collect()
    }

    /// When the next question is due at each of these sources. Its cost grows with the sources, not with the tasks.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn next_questions(&mut self, sources: &[&str]) -> Result<Vec<NextAsk>> {
        let both = || sources.iter().flat_map(|source| [(*source, 0), (*source, 1)]);
        let given = Given::rows(sources.len() * 2)
            .text("wanted_source", both().map(|(source, _)| source.to_owned()))
            .int("wanted", both().map(|(_, vouched)| vouched));
        let rows = self
            .bulk_fetch(
                given,
                "SELECT wanted_source, wanted, (SELECT min(ask_at) FROM watches
                     WHERE source = wanted_source AND vouched = wanted AND ask_at IS NOT NULL) AS ask_at
                 FROM given",
            )
            .await?;
        let read = |row: &Row| {
            let Some(ask_at) = row.optional_time("ask_at")? else { return Ok(None) };
            Ok(Some(NextAsk { source: row.text("wanted_source")?, vouched: row.int("wanted")? == 1, ask_at }))
        };
        rows.iter().map(read).filter_map(Result::transpose).collect()
    }

    /// Up to `limit` tasks about which something is to be told without an answer, the longest due first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn due_looks(&mut self, now: Timestamp, limit: i64) -> Result<Vec<TaskId>> {
        let sql = "SELECT source, task_id FROM watches WHERE look_at <= $1 ORDER BY look_at LIMIT $2";
        let rows = self.fetch(sql, values![now, limit]).await?;
        rows.iter().map(|row| Ok((row.text("source")?, row.text("task_id")?))).collect()
    }

    /// When the provider is asked for a task next; `None` if it is not to be asked.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn asked_next(&mut self, source: &str, task_id: &str) -> Result<Option<Timestamp>> {
        let sql = "SELECT ask_at FROM watches WHERE source = $1 AND task_id = $2";
        let row = self.fetch_one(sql, values![source, task_id]).await?;
        Ok(row.map(|row| row.optional_time("ask_at")).transpose()?.flatten())
    }

    /// When the next of them is due.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn next_look(&mut self) -> Result<Option<Timestamp>> {
        let row = self.fetch_one("SELECT min(look_at) AS at FROM watches WHERE look_at IS NOT NULL", values![]).await?;
        Ok(row.map(|row| row.optional_time("at")).transpose()?.flatten())
    }

    /// Voids the leases of questions that a process had in hand when it died, or with `None` of all: they
    /// are due at once. Gives how many.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn void_questions(&mut self, owner: Option<&str>, now: Timestamp) -> Result<u64> {
        self.execute(
            "UPDATE watches SET ask_at = $1, lease_owner = NULL
             WHERE ask_at IS NOT NULL AND lease_owner IS NOT NULL AND COALESCE($2, lease_owner) = lease_owner",
            values![now, owner],
        )
        .await
    }
}

/// Watches as they are asked about.
fn questions<'w, W: Iterator<Item = &'w SavedWatch<'w>>>(each: impl Fn() -> W) -> Given {
    Given::rows(each().count())
        .text("source", each().map(|w| w.id.0.clone()))
        .text("task_id", each().map(|w| w.id.1.clone()))
        .time("ask_at", each().map(|w| w.watch.ask_at))
        .text("state", each().map(|w| serde_json::to_string(w.watch).unwrap_or_default()))
}

fn read_asked(row: &Row) -> Result<Asked> {
    Ok(Asked {
        task_id: row.text("task_id")?,
        sealed_key: row.optional_text("sealed_key")?,
        is_awaited: row.optional_text("client_url")?.is_some(),
    })
}
