//! Everything in the database that is a secret, to be laid down anew with another key.

use super::row::{Row, values};
use super::tx::Tx;
use super::{Result, destinations, secrets, sources_made};

/// Where a secret lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// One of `secrets`: purpose, name, number.
    Secret(String, String, i64),
    /// The settings of a destination.
    Destination(String),
    /// The settings of a source.
    Source(String),
    /// A client's key.
    Intent {
        /// The relayed request.
        id: String,
        /// Its source.
        source: String,
    },
}

impl Place {
    /// What it is sealed for; `None` for a client's key, of which the relay knows.
    pub fn sealed_for(&self) -> Option<String> {
        match self {
            Self::Secret(purpose, name, _) => Some(secrets::sealed_for(purpose, name)),
            Self::Destination(name) => Some(destinations::sealed_for(name)),
            Self::Source(name) => Some(sources_made::sealed_for(name)),
            Self::Intent { .. } => None,
        }
    }

    /// What it is called, for people.
    pub fn title(&self) -> String {
        match self {
            Self::Secret(purpose, name, _) if name.is_empty() => purpose.clone(),
            Self::Secret(purpose, name, _) => format!("{purpose} `{name}`"),
            Self::Destination(name) => format!("destination `{name}`"),
            Self::Source(name) => format!("source `{name}`"),
            Self::Intent { id, .. } => format!("relayed request `{id}`"),
        }
    }
}

impl Tx {
    /// Every secret of the settings, as it lies there.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn kept_settings(&mut self) -> Result<Vec<(Place, String)>> {
        let secret = |row: &Row| {
            Ok((Place::Secret(row.text("purpose")?, row.text("name")?, row.int("number")?), row.text("value")?))
        };
        let rows = self.fetch("SELECT purpose, name, number, value FROM secrets", values![]).await?;
        let mut all = rows.iter().map(secret).collect::<Result<Vec<_>>>()?;
        let rows = self.fetch("SELECT name, settings FROM destinations WHERE removed_at IS NULL", values![]).await?;
        for row in &rows {
            all.push((Place::Destination(row.text("name")?), row.text("settings")?));
        }
        for row in &self.fetch("SELECT name, settings FROM sources", values![]).await? {
            all.push((Place::Source(row.text("name")?), row.text("settings")?));
        }
        Ok(all)
    }

    /// Up to `limit` keys of clients, as they lie there, behind this source and id.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn kept_client_keys(&mut self, (source, id): (&str, &str), limit: usize) -> Result<Vec<(Place, String)>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT id, source, sealed_key FROM intents WHERE sealed_key IS NOT NULL AND (source, id) > ($1, $2)
                   ORDER BY source, id LIMIT $3";
        let rows = self.fetch(sql, values![source, id, limit]).await?;
        let read = |row: &Row| {
            Ok((Place::Intent { id: row.text("id")?, source: row.text("source")? }, row.text("sealed_key")?))
        };
        rows.iter().map(read).collect()
    }

    /// Puts a secret where it lay, laid down anew; if another has taken its place meanwhile, that stays.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn lay_down(&mut self, place: &Place, before: &str, after: &str) -> Result<()> {
        let (sql, values) = match place {
            Place::Secret(purpose, name, number) => (
                "UPDATE secrets SET value = $2 WHERE value = $1 AND purpose = $3 AND name = $4 AND number = $5",
                values![before, after, purpose.as_str(), name.as_str(), *number],
            ),
            Place::Destination(name) => (
                "UPDATE destinations SET settings = $2 WHERE settings = $1 AND name = $3",
                values![before, after, name.as_str()],
            ),
            Place::Source(name) => (
                "UPDATE sources SET settings = $2 WHERE settings = $1 AND name = $3",
                values![before, after, name.as_str()],
            ),
            Place::Intent { id, .. } => (
                "UPDATE intents SET sealed_key = $2 WHERE sealed_key = $1 AND id = $3",
                values![before, after, id.as_str()],
            ),
        };
        self.execute(sql, values).await?;
        Ok(())
    }
}
