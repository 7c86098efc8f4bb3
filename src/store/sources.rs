//! How sources are faring, whether a file declares them or not.

use super::Result;
use super::given::Given;
use super::row::values;
use super::tx::Tx;
use crate::domain::clock::Timestamp;

/// How one source is faring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceState {
    /// Which.
    pub name: String,
    /// When it was first there.
    pub added_at: Timestamp,
    /// When its key first found a task.
    pub found_at: Option<Timestamp>,
    /// Since when its key is refused, and why.
    pub refused: Option<(Timestamp, String)>,
    /// The provider's list has been read up to tasks of this time.
    pub listed_at: Option<Timestamp>,
}

impl Tx {
    /// Notes that these sources are there; gives the states of all.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn source_states(&mut self, names: &[&str], now: Timestamp) -> Result<Vec<SourceState>> {
        let given = Given::rows(names.len())
            .text("name", names.iter().map(|name| (*name).to_owned()))
            .int("now", names.iter().map(|_| now.0));
        self.bulk(
            given,
            "INSERT INTO source_states (name, added_at) SELECT name, now FROM given WHERE true
             ON CONFLICT (name) DO NOTHING",
        );
        let sql = "SELECT name, added_at, found_at, refused_at, refused_reason, listed_at FROM source_states";
        let rows = self.fetch(sql, values![]).await?;
        rows.iter()
            .map(|row| {
                Ok(SourceState {
                    name: row.text("name")?,
                    added_at: row.time("added_at")?,
                    found_at: row.optional_time("found_at")?,
                    refused: row.optional_time("refused_at")?.zip(row.optional_text("refused_reason")?),
                    listed_at: row.optional_time("listed_at")?,
                })
            })
            .collect()
    }

    /// Writes how a source is faring.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn note_source(&mut self, state: &SourceState) -> Result<()> {
        let (refused_at, reason) = match &state.refused {
            Some((at, reason)) => (Some(*at), Some(reason.as_str())),
            None => (None, None),
        };
        self.execute(
            "UPDATE source_states SET found_at = $2, refused_at = $3, refused_reason = $4, listed_at = $5 WHERE name = $1",
            values![state.name.as_str(), state.found_at, refused_at, reason, state.listed_at],
        )
        .await?;
        Ok(())
    }
}
