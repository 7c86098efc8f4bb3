//! Secrets that we keep: callback tokens, signing secrets, the key that signs callback URLs. Each lies there as
//! the [`Safe`] lays it down.

use super::row::{Row, values};
use super::tx::Tx;
use super::{Error, Result};
use crate::domain::clock::Timestamp;
use crate::domain::safe::Safe;
use crate::domain::seal::Unopened;
use crate::domain::secret::Secret;

/// What a secret is for: a purpose, and whose it is.
pub type Use<'a> = (&'a str, &'a str);

/// A secret as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptSecret {
    /// The secret itself.
    pub secret: Secret,
    /// Which of those of its purpose and name it is: later ones have higher numbers.
    pub number: i64,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it ends, where it was replaced.
    pub retires_at: Option<Timestamp>,
}

impl Tx {
    /// The secrets made for this use that hold now, newest first; one is made by `make` if there is none. Two
    /// that ask at once get the same.
    ///
    /// # Errors
    /// [`Error::Unusable`] where one is sealed with a key that is not there; else as the database gives them.
    pub async fn secrets(
        &mut self,
        safe: &Safe,
        (purpose, name): Use<'_>,
        now: Timestamp,
        make: impl FnOnce() -> Secret,
    ) -> Result<Vec<KeptSecret>> {
        let kept = self.kept_secrets(safe, (purpose, name), now).await?;
        if !kept.is_empty() {
            return Ok(kept);
        }
        self.execute(
            "INSERT INTO secrets (purpose, name, number, value, made_at) VALUES ($1, $2, 0, $3, $4)
             ON CONFLICT (purpose, name, number) DO NOTHING",
            values![purpose, name, safe.keep(&make(), &sealed_for(purpose, name)), now],
        )
        .await?;
        self.kept_secrets(safe, (purpose, name), now).await
    }

    /// The secrets kept for this use that hold now, newest first.
    ///
    /// # Errors
    /// As [`Tx::secrets`].
    pub async fn kept_secrets(
        &mut self,
        safe: &Safe,
        (purpose, name): Use<'_>,
        now: Timestamp,
    ) -> Result<Vec<KeptSecret>> {
        let rows = self
            .fetch(
                "SELECT number, value, made_at, retires_at FROM secrets
                 WHERE purpose = $1 AND name = $2 AND COALESCE(retires_at, $3 + 1) > $3 ORDER BY number DESC",
                values![purpose, name, now],
            )
            .await?;
        rows.iter().map(|row| read(row, safe, (purpose, name))).collect()
    }

    /// Keeps one more secret for this use, newer than all others.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn add_secret(
        &mut self,
        safe: &Safe,
        (purpose, name): Use<'_>,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<()> {
        self.execute(
            "INSERT INTO secrets (purpose, name, number, value, made_at)
             SELECT $1, $2, COALESCE(max(number), -1) + 1, $3, $4 FROM secrets WHERE purpose = $1 AND name = $2",
            values![purpose, name, safe.keep(secret, &sealed_for(purpose, name)), now],
        )
        .await?;
        Ok(())
    }

    /// The secrets of this use go on until then and no longer, but those that end before.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn retire_secrets(&mut self, (purpose, name): Use<'_>, at: Timestamp) -> Result<()> {
        let sql =
            "UPDATE secrets SET retires_at = $3 WHERE purpose = $1 AND name = $2 AND COALESCE(retires_at, $3) >= $3";
        self.execute(sql, values![purpose, name, at]).await?;
        Ok(())
    }

    /// Lets go of one secret.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn drop_secret(&mut self, (purpose, name): Use<'_>, number: i64) -> Result<()> {
        let sql = "DELETE FROM secrets WHERE purpose = $1 AND name = $2 AND number = $3";
        self.execute(sql, values![purpose, name, number]).await?;
        Ok(())
    }

    /// Lets go of every secret of this use.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn drop_secrets(&mut self, (purpose, name): Use<'_>) -> Result<()> {
        self.execute("DELETE FROM secrets WHERE purpose = $1 AND name = $2", values![purpose, name]).await?;
        Ok(())
    }

    /// Lets go of the secrets that have ended; gives when the next one ends.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn drop_retired(&mut self, now: Timestamp) -> Result<Option<Timestamp>> {
        let row = self.fetch_one("SELECT min(retires_at) AS at FROM secrets WHERE retires_at IS NOT NULL", values![]);
        let next = row.await?.map(|row| row.optional_time("at")).transpose()?.flatten();
        if next.is_none_or(|next| next > now) {
            return Ok(next);
        }
        self.execute("DELETE FROM secrets WHERE retires_at <= $1", values![now]).await?;
        let row = self.fetch_one("SELECT min(retires_at) AS at FROM secrets WHERE retires_at IS NOT NULL", values![]);
        Ok(row.await?.map(|row| row.optional_time("at")).transpose()?.flatten())
    }
}

fn read(row: &Row, safe: &Safe, (purpose, name): Use<'_>) -> Result<KeptSecret> {
    let of = || if name.is_empty() { purpose.to_owned() } else { format!("{purpose} `{name}`") };
    let opened = safe.open(&row.text("value")?, &sealed_for(purpose, name));
    Ok(KeptSecret {
        secret: opened.map_err(|problem| closed(&of(), &problem))?,
        number: row.int("number")?,
        made_at: row.time("made_at")?,
        retires_at: row.optional_time("retires_at")?,
    })
}

/// What a secret of this use is sealed for.
pub(super) fn sealed_for(purpose: &str, name: &str) -> String {
    format!("secrets:{purpose}:{name}")
}

/// What is said where a secret, called `of`, stays closed.
pub fn closed(of: &str, problem: &Unopened) -> Error {
    let what_to_do = match problem {
        Unopened::NoKey { .. } => {
            "Bring that key back: the file callboard.secrets beside the database, or what CALLBOARD_SECRETS_KEY named, \
             behind the key that seals now"
        }
        Unopened::Broken => "Bring the row back from a backup",
    };
    Error::Unusable(format!("a secret in the database cannot be read ({of}): {problem}. {what_to_do}"))
}
