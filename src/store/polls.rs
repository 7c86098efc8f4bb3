//! Polls: what providers answered when they were asked.

use super::Result;
use super::given::Given;
use super::row::values;
use super::tx::Tx;
use crate::domain::clock::Timestamp;
use crate::domain::id::PollId;

/// An answer to be kept.
#[derive(Clone, Debug)]
pub struct NewPoll {
    /// Its id.
    pub id: PollId,
    /// The source that was asked.
    pub source: String,
    /// The task that was asked for.
    pub task_id: String,
    /// What it was, in one word: a status, `not_found`, `refused`, `throttled` or `nothing`.
    pub outcome: String,
    /// What it said, for people.
    pub detail: Option<String>,
    /// When it came.
    pub at: Timestamp,
    /// The answer as it came, where somebody is to get it.
    pub body: Option<Vec<u8>>,
}

/// An answer as the API shows it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of `NewPoll`")]
pub struct PollRow {
    pub id: String,
    pub outcome: String,
    pub detail: Option<String>,
    pub at: Timestamp,
    /// How often the same was answered again.
    pub repeats: i64,
    /// When it last was.
    pub repeated_at: Option<Timestamp>,
}

impl Tx {
    /// Keeps answers.
    pub fn insert_polls(&mut self, polls: &[NewPoll]) {
        let each = || polls.iter();
        let given = Given::rows(polls.len())
            .text("id", each().map(|p| p.id.as_str().to_owned()))
            .text("source", each().map(|p| p.source.clone()))
            .text("task_id", each().map(|p| p.task_id.clone()))
            .text("outcome", each().map(|p| p.outcome.clone()))
            .text("detail", each().map(|p| p.detail.clone()))
            .int("at", each().map(|p| p.at.0))
            .bytes("body", each().map(|p| p.body.clone()));
        self.bulk(
            given,
            "INSERT INTO polls (id, source, task_id, outcome, detail, at, repeats, body)
             SELECT id, source, task_id, outcome, detail, at, 0, body FROM given",
        );
    }

    /// Counts answers that said the same as the one before, which is kept.
    pub fn repeat_polls(&mut self, polls: &[(PollId, Timestamp)]) {
        let given = Given::rows(polls.len())
            .text("repeated", polls.iter().map(|(id, _)| id.as_str().to_owned()))
            .int("last_at", polls.iter().map(|(_, at)| at.0));
        self.bulk(
            given,
            "UPDATE polls SET repeats = repeats + 1, repeated_at = last_at FROM given WHERE id = repeated",
        );
    }

    /// Up to `limit` answers about a task, the newest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn polls(&mut self, source: &str, task_id: &str, limit: i64) -> Result<Vec<PollRow>> {
        let sql = "SELECT id, outcome, detail, at, repeats, repeated_at FROM polls
                   WHERE source = $1 AND task_id = $2 ORDER BY id DESC LIMIT $3";
        let rows = self.fetch(sql, values![source, task_id, limit]).await?;
        rows.iter()
            .map(|row| {
                Ok(PollRow {
                    id: row.text("id")?,
                    outcome: row.text("outcome")?,
                    detail: row.optional_text("detail")?,
                    at: row.time("at")?,
                    repeats: row.int("repeats")?,
                    repeated_at: row.optional_time("repeated_at")?,
                })
            })
            .collect()
    }
}
