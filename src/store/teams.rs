//! Teams made at run time. A team that the file names exists by that.

use super::Result;
use super::row::values;
use super::tx::Tx;
use crate::domain::clock::Timestamp;

impl Tx {
    /// Makes a team.
    ///
    /// # Errors
    /// One that [`super::Error::is_taken`] if the name is.
    pub async fn insert_team(&mut self, name: &str, now: Timestamp) -> Result<()> {
        self.execute("INSERT INTO teams (name, created_at) VALUES ($1, $2)", values![name, now]).await?;
        self.settings_changed().await
    }

    /// The names of the teams made at run time, in order.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn teams(&mut self) -> Result<Vec<String>> {
        let rows = self.fetch("SELECT name FROM teams ORDER BY name", values![]).await?;
        rows.iter().map(|row| row.text("name")).collect()
    }
}
