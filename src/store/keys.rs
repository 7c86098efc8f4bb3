//! API keys, stored only as hashes.

use super::Result;
use super::row::values;
use super::tx::Tx;
use crate::domain::access::Role;
use crate::domain::clock::Timestamp;
use crate::domain::id::KeyId;

/// What a key may do.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// What it was called.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The team; `None` for `admin`.
    pub team: Option<String>,
}

/// The name of the administrator's key that the first start makes.
const FIRST_KEY: &str = "first start";

impl Tx {
    /// Puts the hash of the administrator's key of the first start in the place of an older one.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn put_first_key(&mut self, hash: &str, now: Timestamp) -> Result<()> {
        self.drop_first_key().await?;
        self.execute(
            "INSERT INTO keys (id, hash, name, role, created_at) VALUES ($1, $2, $3, 'admin', $4)",
            values![KeyId::new(now).as_str(), hash, FIRST_KEY, now],
        )
        .await?;
        Ok(())
    }

    /// Lets go of the administrator's key of the first start: another one is configured.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn drop_first_key(&mut self) -> Result<()> {
        self.execute("DELETE FROM keys WHERE name = $1 AND role = 'admin'", values![FIRST_KEY]).await?;
        Ok(())
    }

    /// The key with this hash, if there is one that holds now.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn key(&mut self, hash: &str, now: Timestamp) -> Result<Option<KeyRow>> {
        let row = self
            .fetch_one(
                "SELECT id, name, role, team FROM keys
                 WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
                values![hash, now],
            )
            .await?;
        row.map(|row| {
            Ok(KeyRow {
                id: row.text("id")?,
                name: row.text("name")?,
                role: row.parsed("role", Role::parse)?,
                team: row.optional_text("team")?,
            })
        })
        .transpose()
    }
}
