//! How sources are faring, whether a file declares them or not.

use super::Result;
use super::given::Given;
use super::row::{Row, values};
use super::tx::Tx;
use crate::domain::clock::Timestamp;
use crate::domain::silence::Ailment;

/// How one source is faring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceState {
    /// Which.
    pub name: String,
    /// When it was first there.
    pub added_at: Timestamp,
    /// When a key first found a task, and a hash of that key.
    pub found: Option<(Timestamp, String)>,
    /// Since when its key is refused, and why.
    pub refused: Option<(Timestamp, String)>,
    /// The provider's list has been read up to tasks of this time.
    pub listed_at: Option<Timestamp>,
    /// What trouble of it is told.
    pub trouble: Option<SourceTrouble>,
    /// When it was last told to be well again.
    pub recovered_at: Option<Timestamp>,
}

/// Trouble of a source that its teams were told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceTrouble {
    /// What.
    pub ailment: Ailment,
    /// When it was told.
    pub told_at: Timestamp,
    /// When it began.
    pub since: Timestamp,
    /// The same for people.
    pub reason: String,
}

const ROW: &str = "name, added_at, found_at, found_with, refused_at, refused_reason, listed_at, \
    trouble, trouble_at, trouble_since, trouble_reason, recovered_at";

impl Tx {
    /// Notes that these sources are there.
    pub fn add_sources(&mut self, names: &[&str], now: Timestamp) {
        let given = Given::rows(names.len())
            .text("name", names.iter().map(|name| (*name).to_owned()))
            .int("now", names.iter().map(|_| now.0));
        self.bulk(
            given,
            "INSERT INTO source_states (name, added_at) SELECT name, now FROM given WHERE true
             ON CONFLICT (name) DO NOTHING",
        );
    }

    /// How each source is faring that was ever there.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn source_states(&mut self) -> Result<Vec<SourceState>> {
        let rows = self.fetch(format!("SELECT {ROW} FROM source_states"), values![]).await?;
        rows.iter().map(read).collect()
    }

    /// How one source is faring; `None` where it was never there.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn source_state(&mut self, name: &str) -> Result<Option<SourceState>> {
        let row = self.fetch_one(format!("SELECT {ROW} FROM source_states WHERE name = $1"), values![name]).await?;
        row.as_ref().map(read).transpose()
    }

    /// Notes that a key, given as a hash, found a task: it is not refused.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn note_found(&mut self, name: &str, with: &str, now: Timestamp) -> Result<()> {
        let sql = "UPDATE source_states SET refused_at = NULL, refused_reason = NULL, found_with = $2,
                       found_at = CASE WHEN found_with = $2 THEN found_at ELSE $3 END WHERE name = $1";
        self.execute(sql, values![name, with, now]).await?;
        Ok(())
    }

    /// Notes that the key is refused, and why. Since when is kept while it goes on.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn note_refused(&mut self, name: &str, reason: &str, now: Timestamp) -> Result<()> {
        let sql = "UPDATE source_states SET refused_at = COALESCE(refused_at, $3), refused_reason = $2 WHERE name = $1";
        self.execute(sql, values![name, reason, now]).await?;
        Ok(())
    }

    /// Notes that the provider's list was read up to tasks of this time.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn note_listed(&mut self, name: &str, up_to: Timestamp) -> Result<()> {
        let sql = "UPDATE source_states SET listed_at = $2 WHERE name = $1 AND COALESCE(listed_at, $2) <= $2";
        self.execute(sql, values![name, up_to]).await?;
        Ok(())
    }

    /// Notes what trouble of a source is told. Gives whether none was: else another instance was faster.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn note_trouble(&mut self, name: &str, trouble: &SourceTrouble) -> Result<bool> {
        let SourceTrouble { ailment, told_at, since, reason } = trouble;
        let sql = "UPDATE source_states SET trouble = $2, trouble_at = $3, trouble_since = $4, trouble_reason = $5
                   WHERE name = $1 AND trouble IS NULL";
        let values = values![name, ailment.as_str(), *told_at, *since, reason.as_str()];
        Ok(self.execute(sql, values).await? == 1)
    }

    /// Notes that the trouble which was told then is over. Gives whether it was there still.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn end_trouble(&mut self, name: &str, told_at: Timestamp, now: Timestamp) -> Result<bool> {
        let sql = "UPDATE source_states SET trouble = NULL, trouble_at = NULL, trouble_since = NULL,
                       trouble_reason = NULL, recovered_at = $3 WHERE name = $1 AND trouble_at = $2";
        Ok(self.execute(sql, values![name, told_at, now]).await? == 1)
    }
}

fn read_trouble(row: &Row) -> Result<Option<SourceTrouble>> {
    let Some(told_at) = row.optional_time("trouble_at")? else { return Ok(None) };
    let ailment = row.parsed("trouble", Ailment::parse)?;
    let (since, reason) = (row.time("trouble_since")?, row.text("trouble_reason")?);
    Ok(Some(SourceTrouble { ailment, told_at, since, reason }))
}

fn read(row: &Row) -> Result<SourceState> {
    Ok(SourceState {
        name: row.text("name")?,
        added_at: row.time("added_at")?,
        found: row.optional_time("found_at")?.zip(row.optional_text("found_with")?),
        refused: row.optional_time("refused_at")?.zip(row.optional_text("refused_reason")?),
        listed_at: row.optional_time("listed_at")?,
        trouble: read_trouble(row)?,
        recovered_at: row.optional_time("recovered_at")?,
    })
}
