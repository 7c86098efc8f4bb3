//! Sources made at run time: what was given for each, kept as it was given and read by the configuration.

use serde_json::{Map, Value};

use super::row::{Row, values};
use super::secrets::closed;
use super::tx::Tx;
use super::{Error, Result};
use crate::domain::clock::Timestamp;
use crate::domain::safe::Safe;
use crate::domain::secret::Secret;

/// A source as it was made: its keys are those of `[sources.NAME]`.
#[derive(Clone, PartialEq)]
pub struct MadeSource {
    /// Its name.
    pub name: String,
    /// Its keys but for the callback tokens, which are kept with all others. There are secrets in it.
    pub settings: Map<String, Value>,
}

impl Tx {
    /// Makes a source; how one of this name fared before is forgotten.
    ///
    /// # Errors
    /// One that [`Error::is_taken`] if the name is.
    pub async fn insert_source(&mut self, safe: &Safe, made: &MadeSource, now: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO sources (name, settings, created_at, updated_at) VALUES ($1, $2, $3, $3)",
            values![made.name.as_str(), kept(safe, made), now],
        )
        .await?;
        self.execute("DELETE FROM source_states WHERE name = $1", values![made.name.as_str()]).await?;
        self.add_sources(&[&made.name], now);
        self.settings_changed().await.map(drop)
    }

    /// Changes a source.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn update_source(&mut self, safe: &Safe, made: &MadeSource, now: Timestamp) -> Result<()> {
        let sql = "UPDATE sources SET settings = $2, updated_at = $3 WHERE name = $1";
        self.execute(sql, values![made.name.as_str(), kept(safe, made), now]).await?;
        self.settings_changed().await.map(drop)
    }

    /// Removes a source, its secrets and the keys of clients that are kept for it. Its tasks stay, as does what was
    /// noted of it but for what its next question would be: see [`super::Sweep`].
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn delete_source(&mut self, name: &str) -> Result<()> {
        for sql in [
            "DELETE FROM sources WHERE name = $1",
            "DELETE FROM secrets WHERE purpose = 'callback_token' AND name = $1",
            "DELETE FROM token_uses WHERE source = $1",
            "DELETE FROM source_states WHERE name = $1",
            "UPDATE intents SET sealed_key = NULL WHERE source = $1 AND sealed_key IS NOT NULL",
        ] {
            self.execute(sql, values![name]).await?;
        }
        self.settings_changed().await.map(drop)
    }

    /// Every source that was made at run time.
    ///
    /// # Errors
    /// [`Error::Unusable`] where one is sealed with a key that is not there; else as the database gives them.
    pub async fn made_sources(&mut self, safe: &Safe) -> Result<Vec<MadeSource>> {
        let rows = self.fetch("SELECT name, settings FROM sources ORDER BY name", values![]).await?;
        rows.iter().map(|row| read(row, safe)).collect()
    }

    /// One source that was made at run time.
    ///
    /// # Errors
    /// As [`Tx::made_sources`].
    pub async fn made_source(&mut self, safe: &Safe, name: &str) -> Result<Option<MadeSource>> {
        let row = self.fetch_one("SELECT name, settings FROM sources WHERE name = $1", values![name]).await?;
        row.map(|row| read(&row, safe)).transpose()
    }

    /// When each callback token was last used: its source, its id, and the time.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn token_uses(&mut self) -> Result<Vec<(String, String, Timestamp)>> {
        let rows = self.fetch("SELECT source, token, last_used_at FROM token_uses", values![]).await?;
        rows.iter().map(|row| Ok((row.text("source")?, row.text("token")?, row.time("last_used_at")?))).collect()
    }

    /// Notes that a callback token was used.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn note_token_used(&mut self, source: &str, token: &str, at: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO token_uses (source, token, last_used_at) VALUES ($1, $2, $3)
             ON CONFLICT (source, token) DO UPDATE SET last_used_at = excluded.last_used_at
             WHERE token_uses.last_used_at < excluded.last_used_at",
            values![source, token, at],
        )
        .await?;
        Ok(())
    }
}

/// What the settings of a source are sealed for.
pub(super) fn sealed_for(name: &str) -> String {
    format!("sources:{name}")
}

fn kept(safe: &Safe, made: &MadeSource) -> String {
    let settings = serde_json::to_string(&made.settings).unwrap_or_default();
    safe.keep(&Secret::new(settings), &sealed_for(&made.name))
}

fn read(row: &Row, safe: &Safe) -> Result<MadeSource> {
    let name = row.text("name")?;
    let opened = safe.open(&row.text("settings")?, &sealed_for(&name));
    let settings = opened.map_err(|problem| closed(&format!("source `{name}`"), &problem))?;
    let settings = serde_json::from_str(settings.expose()).map_err(|_| Error::Corrupt { column: "settings" })?;
    Ok(MadeSource { name, settings })
}
