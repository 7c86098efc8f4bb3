//! Who is signed in to the dashboard: rows, so that every instance knows them. A session is only as good as its key.

use super::Result;
use super::keys::{self, KeyRow};
use super::row::values;
use super::tx::Tx;
use crate::domain::clock::Timestamp;

/// A session that begins.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Of the token in the cookie.
    pub hash: String,
    /// The key that was signed in with; `None` for the administrator's of the configuration.
    pub key_id: Option<String>,
    /// The hash of the administrator's key of the configuration, if it was that one.
    pub admin_hash: Option<String>,
    /// When it ends in any case.
    pub ends_at: Timestamp,
    /// When it ends if it is not used.
    pub expires_at: Timestamp,
}

/// A session that holds.
#[derive(Clone, Debug)]
pub struct Session {
    /// The key it was begun with; `None` for the administrator's of the configuration.
    pub key: Option<KeyRow>,
    /// When it ends in any case.
    pub ends_at: Timestamp,
    /// When it ends if it is not used.
    pub expires_at: Timestamp,
}

impl Tx {
    /// Begins a session, and lets go of those that have ended.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn insert_session(&mut self, session: &NewSession, now: Timestamp) -> Result<()> {
        self.execute("DELETE FROM sessions WHERE expires_at <= $1", values![now]).await?;
        let NewSession { hash, key_id, admin_hash, ends_at, expires_at } = session;
        self.execute(
            "INSERT INTO sessions (hash, key_id, admin_hash, created_at, ends_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            values![hash.as_str(), key_id.as_deref(), admin_hash.as_deref(), now, *ends_at, *expires_at],
        )
        .await?;
        Ok(())
    }

    /// The session with this hash, if it and its key hold now. `admin_hash` is that of the administrator's key of the
    /// configuration, if there is one.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn session(&mut self, hash: &str, admin_hash: Option<&str>, now: Timestamp) -> Result<Option<Session>> {
        let sql = "SELECT s.ends_at, s.expires_at, k.id, k.name, k.role, k.team
             FROM sessions s LEFT JOIN keys k ON k.id = s.key_id AND k.revoked_at IS NULL
                 AND (k.expires_at IS NULL OR k.expires_at > $2)
             WHERE s.hash = $1 AND s.expires_at > $2 AND (k.id IS NOT NULL OR s.admin_hash = $3)";
        let Some(row) = self.fetch_one(sql, values![hash, now, admin_hash]).await? else { return Ok(None) };
        let key = if row.optional_text("id")?.is_some() { Some(keys::read(&row)?) } else { None };
        Ok(Some(Session { key, ends_at: row.time("ends_at")?, expires_at: row.time("expires_at")? }))
    }

    /// Puts off the end of a session that is used.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn extend_session(&mut self, hash: &str, expires_at: Timestamp) -> Result<()> {
        let sql = "UPDATE sessions SET expires_at = $2 WHERE hash = $1 AND ends_at >= $2";
        self.execute(sql, values![hash, expires_at]).await?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn delete_session(&mut self, hash: &str) -> Result<()> {
        self.execute("DELETE FROM sessions WHERE hash = $1", values![hash]).await?;
        Ok(())
    }
}
