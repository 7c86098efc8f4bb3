//! API keys, stored only as hashes.

use super::Result;
use super::row::{Row, values};
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

/// A key as it is shown.
#[derive(Clone, Debug)]
pub struct ShownKey {
    /// What it may do.
    pub key: KeyRow,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When somebody ended it.
    pub revoked_at: Option<Timestamp>,
}

/// The name of the administrator's key that the first start makes. No other key has it.
pub const FIRST_KEY: &str = "first start";

const SHOWN: &str = "SELECT id, name, role, team, created_at, expires_at, last_used_at, revoked_at FROM keys";

impl Tx {
    /// Puts the hash of the administrator's key of the first start in the place of an older one.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn put_first_key(&mut self, hash: &str, now: Timestamp) -> Result<()> {
        let same = "SELECT id FROM keys WHERE hash = $1 AND name = $2 AND role = 'admin' AND revoked_at IS NULL";
        if self.fetch_one(same, values![hash, FIRST_KEY]).await?.is_some() {
            return Ok(());
        }
        self.drop_first_key().await?;
        let key = KeyRow { id: KeyId::new(now).to_string(), name: FIRST_KEY.into(), role: Role::Admin, team: None };
        self.insert_key(&key, hash, None, now).await
    }

    /// Lets go of the administrator's key of the first start: another one is configured.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn drop_first_key(&mut self) -> Result<()> {
        self.execute("DELETE FROM keys WHERE name = $1 AND role = 'admin'", values![FIRST_KEY]).await?;
        Ok(())
    }

    /// Keeps the hash of a new key.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn insert_key(
        &mut self,
        key: &KeyRow,
        hash: &str,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<()> {
        self.execute(
            "INSERT INTO keys (id, hash, name, role, team, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            values![key.id.as_str(), hash, key.name.as_str(), key.role.as_str(), key.team.as_deref(), expires_at, now],
        )
        .await?;
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
        row.as_ref().map(read).transpose()
    }

    /// Every key of a team, or with `None` every key there is, newest first; those that do not hold any more as well.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn keys(&mut self, team: Option<&str>) -> Result<Vec<ShownKey>> {
        let sql = format!("{SHOWN} WHERE team = $1 OR $1 IS NULL ORDER BY id DESC");
        self.fetch(sql, values![team]).await?.iter().map(read_shown).collect()
    }

    /// One key, if it is this team's, or with `None` whosever it is.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn shown_key(&mut self, id: &str, team: Option<&str>) -> Result<Option<ShownKey>> {
        let sql = format!("{SHOWN} WHERE id = $1 AND (team = $2 OR $2 IS NULL)");
        self.fetch_one(sql, values![id, team]).await?.as_ref().map(read_shown).transpose()
    }

    /// Whether a team has keys that hold now.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn has_keys(&mut self, team: &str, now: Timestamp) -> Result<bool> {
        let sql = "SELECT id FROM keys WHERE team = $1 AND revoked_at IS NULL
                       AND (expires_at IS NULL OR expires_at > $2) LIMIT 1";
        Ok(self.fetch_one(sql, values![team, now]).await?.is_some())
    }

    /// Changes what a key is called and when it ends.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn update_key(&mut self, id: &str, name: &str, expires_at: Option<Timestamp>) -> Result<()> {
        self.execute("UPDATE keys SET name = $2, expires_at = $3 WHERE id = $1", values![id, name, expires_at]).await?;
        Ok(())
    }

    /// Ends a key. When it was ended first is kept.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn revoke_key(&mut self, id: &str, now: Timestamp) -> Result<()> {
        let sql = "UPDATE keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        self.execute(sql, values![id, now]).await?;
        Ok(())
    }

    /// Notes that a key was used.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn note_key_used(&mut self, id: &str, at: Timestamp) -> Result<()> {
        let sql = "UPDATE keys SET last_used_at = $2 WHERE id = $1 AND COALESCE(last_used_at, 0) < $2";
        self.execute(sql, values![id, at]).await?;
        Ok(())
    }
}

pub(super) fn read(row: &Row) -> Result<KeyRow> {
    Ok(KeyRow {
        id: row.text("id")?,
        name: row.text("name")?,
        role: row.parsed("role", Role::parse)?,
        team: row.optional_text("team")?,
    })
}

fn read_shown(row: &Row) -> Result<ShownKey> {
    Ok(ShownKey {
        key: read(row)?,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
        last_used_at: row.optional_time("last_used_at")?,
        revoked_at: row.optional_time("revoked_at")?,
    })
}
