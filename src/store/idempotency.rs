//! Answers to POSTs that carried an `Idempotency-Key`.

use super::Result;
use super::row::values;
use super::tx::Tx;
use crate::domain::clock::Timestamp;

/// How long an answer is kept: a day (contract §6), in milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// An answer that was given before.
#[derive(Clone, Debug)]
pub struct KeptAnswer {
    /// A hash of the request it was given to.
    pub request: String,
    /// Its status code.
    pub status: u16,
    /// Its body.
    pub body: String,
}

impl Tx {
    /// The answer kept under this key, if it is not a day old.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn kept_answer(&mut self, key: &str, now: Timestamp) -> Result<Option<KeptAnswer>> {
        let row = self
            .fetch_one(
                "SELECT request, status, body FROM idempotency WHERE key = $1 AND created_at > $2",
                values![key, now.0 - KEPT_MS],
            )
            .await?;
        row.map(|row| {
            Ok(KeptAnswer {
                request: row.text("request")?,
                status: u16::try_from(row.int("status")?).unwrap_or(200),
                body: row.text("body")?,
            })
        })
        .transpose()
    }

    /// Keeps an answer, and lets go of what is older than a day.
    ///
    /// # Errors
    /// One that [`super::Error::is_taken`] if the key is in use by another request at this moment.
    pub async fn keep_answer(&mut self, key: &str, answer: &KeptAnswer, now: Timestamp) -> Result<()> {
        self.execute("DELETE FROM idempotency WHERE created_at <= $1", values![now.0 - KEPT_MS]).await?;
        self.execute(
            "INSERT INTO idempotency (key, request, status, body, created_at) VALUES ($1, $2, $3, $4, $5)",
            values![key, answer.request.as_str(), i64::from(answer.status), answer.body.as_str(), now],
        )
        .await?;
        Ok(())
    }
}
