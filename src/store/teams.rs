//! Teams made at run time. A team that the file names exists by that.

use super::Result;
use super::row::values;
use super::tx::Tx;
use crate::domain::clock::Timestamp;

/// A team as it was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MadeTeam {
    /// Its name.
    pub name: String,
    /// What people are told about it.
    pub description: Option<String>,
}

impl Tx {
    /// Makes a team.
    ///
    /// # Errors
    /// One that [`super::Error::is_taken`] if the name is.
    pub async fn insert_team(&mut self, made: &MadeTeam, now: Timestamp) -> Result<()> {
        let sql = "INSERT INTO teams (name, description, created_at) VALUES ($1, $2, $3)";
        self.execute(sql, values![made.name.as_str(), made.description.as_deref(), now]).await?;
        self.settings_changed().await.map(drop)
    }

    /// Changes a team.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn update_team(&mut self, made: &MadeTeam) -> Result<()> {
        let sql = "UPDATE teams SET description = $2 WHERE name = $1";
        self.execute(sql, values![made.name.as_str(), made.description.as_deref()]).await?;
        self.settings_changed().await.map(drop)
    }

    /// Removes a team.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn delete_team(&mut self, name: &str) -> Result<()> {
        self.execute("DELETE FROM teams WHERE name = $1", values![name]).await?;
        self.settings_changed().await.map(drop)
    }

    /// The teams made at run time, in the order of their names.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn teams(&mut self) -> Result<Vec<MadeTeam>> {
        let rows = self.fetch("SELECT name, description FROM teams ORDER BY name", values![]).await?;
        rows.iter()
            .map(|row| Ok(MadeTeam { name: row.text("name")?, description: row.optional_text("description")? }))
            .collect()
    }
}
