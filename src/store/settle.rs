//! What is written after a try.

use std::collections::HashSet;

use super::Result;
use super::given::Given;
use super::row::{Row, values};
use super::tx::Tx;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::Settlement;
use crate::domain::id::AttemptId;

/// One try of a delivery, to be written down.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_ms: i64,
    /// How it went, in one word.
    pub outcome: &'static str,
    /// The status code of HTTP or SMTP.
    pub status_code: Option<u16>,
    /// Why it did not go.
    pub reason: Option<String>,
    /// What the destination answered.
    pub response: Vec<u8>,
}

/// What becomes of one claimed delivery.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Which.
    pub delivery_id: String,
    /// The fencing token that its claim gave.
    pub lease: i64,
    /// What was decided.
    pub settlement: Settlement,
    /// Parts that are done, as far as there are any.
    pub parts_done: Vec<String>,
    /// The try itself; `None` where there was none, as when it was interrupted.
    pub attempt: Option<NewAttempt>,
}

/// An attempt as the API shows it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of `NewAttempt`")]
pub struct AttemptRow {
    pub id: String,
    pub delivery_id: String,
    pub number: u32,
    pub started_at: Timestamp,
    pub duration_ms: i64,
    pub outcome: String,
    pub status_code: Option<i64>,
    pub reason: Option<String>,
    pub response: Vec<u8>,
    /// When the next one is due.
    pub next_at: Option<Timestamp>,
}

impl Tx {
    /// Writes what became of claimed deliveries. One whose lease has passed to somebody else is left
    /// as it is; gives which those were.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn settle(&mut self, settled: &[Settled], now: Timestamp) -> Result<HashSet<String>> {
        let each = || settled.iter();
        let given = Given::rows(settled.len())
            .text("settled_id", each().map(|s| s.delivery_id.clone()))
            .int("held_lease", each().map(|s| s.lease))
            .text("new_status", each().map(|s| s.settlement.status.as_str().to_owned()))
            .time("new_due", each().map(|s| s.settlement.due_at))
            .int("new_failures", each().map(|s| i64::from(s.settlement.failures)))
            .int("made", each().map(|s| i64::from(s.attempt.is_some())))
            .text("new_reason", each().map(|s| s.settlement.reason.clone()))
            .text("new_parts", each().map(|s| parts(&s.parts_done)))
            .int("now", each().map(|_| now.0));
        // PostgreSQL would find what is pending by the index of that, if it believes that little is, and read all that waits.
        let rows = self
            .bulk_fetch(
                given,
                "UPDATE deliveries SET status = new_status, due_at = new_due, lease_until = NULL, lease_owner = NULL,
                     failures = new_failures, attempts = attempts + made, reason = new_reason,
                     parts_done = COALESCE(new_parts, parts_done),
                     finished_at = CASE WHEN new_status IN ('delivered', 'dead') THEN now ELSE NULL END
                 FROM given WHERE id = settled_id AND lease = held_lease AND status || '' = 'pending'
                 RETURNING id",
            )
            .await?;
        let ours: HashSet<String> = rows.iter().map(|row| row.text("id")).collect::<Result<_>>()?;
        self.insert_attempts(settled.iter().filter(|s| ours.contains(&s.delivery_id)), now);
        Ok(each().map(|s| &s.delivery_id).filter(|id| !ours.contains(*id)).cloned().collect())
    }

    fn insert_attempts<'a>(&mut self, settled: impl Iterator<Item = &'a Settled>, now: Timestamp) {
        let made: Vec<(&Settled, &NewAttempt)> =
            settled.filter_map(|settled| Some((settled, settled.attempt.as_ref()?))).collect();
        let each = || made.iter().map(|(_, attempt)| *attempt);
        let given = Given::rows(made.len())
            .text("id", each().map(|_| AttemptId::new(now).as_str().to_owned()))
            .text("delivery_id", made.iter().map(|(settled, _)| settled.delivery_id.clone()))
            .int("number", each().map(|a| i64::from(a.number)))
            .int("started_at", each().map(|a| a.started_at.0))
            .int("duration_ms", each().map(|a| a.duration_ms))
            .text("outcome", each().map(|a| a.outcome.to_owned()))
            .int("status_code", each().map(|a| a.status_code.map(i64::from)))
            .text("reason", each().map(|a| a.reason.clone()))
            .bytes("response", each().map(|a| a.response.clone()))
            .time("next_at", made.iter().map(|(settled, _)| settled.settlement.due_at));
        self.bulk(
            given,
            "INSERT INTO attempts (id, delivery_id, number, started_at, duration_ms, outcome, status_code, reason,
                 response, next_at)
             SELECT id, delivery_id, number, started_at, duration_ms, outcome, status_code, reason, response, next_at
             FROM given",
        );
    }

    /// The attempts of these deliveries, oldest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn attempts(&mut self, deliveries: &[String]) -> Result<Vec<AttemptRow>> {
        let given = Given::rows(deliveries.len()).text("wanted", deliveries.iter().cloned());
        let rows = self
            .bulk_fetch(
                given,
                "SELECT id, delivery_id, number, started_at, duration_ms, outcome, status_code, reason, response, next_at
                 FROM given CROSS JOIN attempts WHERE delivery_id = wanted",
            )
            .await?;
        let mut attempts = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        attempts.sort_by_key(|attempt| (attempt.started_at, attempt.number));
        Ok(attempts)
    }

    /// A dead delivery, or one that waits, is due now. Gives whether there was one to be tried.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn retry(&mut self, delivery_id: &str, now: Timestamp) -> Result<bool> {
        let changed = self
            .execute(
                "UPDATE deliveries SET status = 'pending', due_at = $2, lease = lease + 1,
                     failures = 0, finished_at = NULL, reason = NULL
                 WHERE id = $1 AND (status = 'dead' OR (status = 'pending' AND lease_until IS NULL))",
                values![delivery_id, now],
            )
            .await?;
        Ok(changed == 1)
    }

    /// A delivery that waits or is held is dead now, for this reason. Gives whether there was one to be given up.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn give_up(&mut self, delivery_id: &str, reason: &str, now: Timestamp) -> Result<bool> {
        let changed = self
            .execute(
                "UPDATE deliveries SET status = 'dead', due_at = NULL, lease = lease + 1, finished_at = $2, reason = $3
                 WHERE id = $1 AND (status = 'held' OR (status = 'pending' AND lease_until IS NULL))",
                values![delivery_id, now, reason],
            )
            .await?;
        Ok(changed == 1)
    }
}

fn parts(done: &[String]) -> Option<String> {
    if done.is_empty() { None } else { serde_json::to_string(done).ok() }
}

fn read(row: &Row) -> Result<AttemptRow> {
    Ok(AttemptRow {
        id: row.text("id")?,
        delivery_id: row.text("delivery_id")?,
        number: row.count("number")?,
        started_at: row.time("started_at")?,
        duration_ms: row.int("duration_ms")?,
        outcome: row.text("outcome")?,
        status_code: row.optional_int("status_code")?,
        reason: row.optional_text("reason")?,
        response: row.bytes("response")?,
        next_at: row.optional_time("next_at")?,
    })
}
