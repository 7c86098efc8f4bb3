//! Secrets that we made and keep: callback tokens, signing secrets, the key that signs callback URLs.

use super::Result;
use super::row::values;
use super::tx::Tx;
use crate::domain::clock::Timestamp;
use crate::domain::secret::Secret;

impl Tx {
    /// The secrets made for this purpose and name, newest first; one is made by `make` if there is none.
    /// Two that ask at once get the same.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn secrets(
        &mut self,
        purpose: &str,
        name: &str,
        now: Timestamp,
        make: impl FnOnce() -> Secret,
    ) -> Result<Vec<Secret>> {
        let kept = self.kept_secrets(purpose, name).await?;
        if !kept.is_empty() {
            return Ok(kept);
        }
        self.execute(
            "INSERT INTO secrets (purpose, name, number, value, made_at) VALUES ($1, $2, 0, $3, $4)
             ON CONFLICT (purpose, name, number) DO NOTHING",
            values![purpose, name, make().expose(), now],
        )
        .await?;
        self.kept_secrets(purpose, name).await
    }

    async fn kept_secrets(&mut self, purpose: &str, name: &str) -> Result<Vec<Secret>> {
        let rows = self
            .fetch(
                "SELECT value FROM secrets WHERE purpose = $1 AND name = $2 ORDER BY number DESC",
                values![purpose, name],
            )
            .await?;
        rows.iter().map(|row| Ok(Secret::new(row.text("value")?))).collect()
    }
}
