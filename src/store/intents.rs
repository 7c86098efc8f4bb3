//! Intents: relayed requests that make a task, kept before the provider is asked.

use super::given::Given;
use super::row::{Row, values};
use super::tx::Tx;
use super::{Error, Result};
use crate::domain::clock::Timestamp;
use crate::domain::id::IntentId;
use crate::domain::task::Metadata;

/// A request that is about to be passed on.
#[derive(Clone, Debug)]
pub struct NewIntent {
    /// Its id, unless the same was tried before.
    pub id: IntentId,
    /// The source it goes to.
    pub source: String,
    /// The client's `Idempotency-Key`: the same again is the same intent.
    pub idempotency_key: Option<String>,
    /// What the client gave along.
    pub metadata: Metadata,
    /// The client's own key, sealed, where its task is to be asked for with it.
    pub sealed_key: Option<String>,
    /// The client's own callback URL, where ours takes its place.
    pub client_url: Option<String>,
    /// When it came.
    pub created_at: Timestamp,
}

/// A relayed request as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are those of `NewIntent`")]
pub struct Intent {
    pub id: IntentId,
    pub source: String,
    pub metadata: Metadata,
    pub sealed_key: Option<String>,
    pub client_url: Option<String>,
    /// The status that the provider answered; `None` where that is not known.
    pub status: Option<u16>,
    /// The task that was made, once it is known.
    pub task_id: Option<String>,
    /// Whether a callback came for it.
    pub called_back: bool,
}

const ROW: &str = "id, source, metadata, sealed_key, client_url, status, task_id, called_back";

impl Tx {
    /// Keeps a request before it is passed on. With an `Idempotency-Key` that came before it is the intent of
    /// then; as long as no task is known of it, it takes on what is said now. Gives it as it is kept.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn open_intent(&mut self, new: &NewIntent) -> Result<Intent> {
        let metadata = serde_json::to_string(&new.metadata).unwrap_or_default();
        if new.idempotency_key.is_none() {
            return Ok(self.insert_intent(new, metadata));
        }
        let latest = |column: &str| {
            format!("{column} = CASE WHEN intents.task_id IS NULL THEN excluded.{column} ELSE intents.{column} END")
        };
        let sql = format!(
            "INSERT INTO intents (id, source, idempotency_key, metadata, sealed_key, client_url, created_at,
                 called_back) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
             ON CONFLICT (source, idempotency_key) DO UPDATE SET {}, {},
                 sealed_key = CASE WHEN intents.task_id IS NULL OR intents.sealed_key IS NULL
                     THEN COALESCE(excluded.sealed_key, intents.sealed_key) ELSE intents.sealed_key END
             RETURNING {ROW}",
            latest("metadata"),
            latest("client_url")
        );
        let values = values![
            new.id.as_str(),
            new.source.as_str(),
            new.idempotency_key.clone(),
            metadata,
            new.sealed_key.clone(),
            new.client_url.clone(),
            new.created_at
        ];
        let row = self.fetch_one(sql, values).await?;
        read(&row.ok_or(Error::Corrupt { column: "id" })?)
    }

    /// One that cannot have come before: a single write, which needs no transaction around it.
    fn insert_intent(&mut self, new: &NewIntent, metadata: String) -> Intent {
        let one = |text: Option<String>| std::iter::once(text);
        let given = Given::rows(1)
            .text("id", one(Some(new.id.to_string())))
            .text("source", one(Some(new.source.clone())))
            .text("metadata", one(Some(metadata)))
            .text("sealed_key", one(new.sealed_key.clone()))
            .text("client_url", one(new.client_url.clone()))
            .int("created_at", std::iter::once(new.created_at.0));
        self.bulk(
            given,
            "INSERT INTO intents (id, source, metadata, sealed_key, client_url, created_at, called_back)
             SELECT id, source, metadata, sealed_key, client_url, created_at, 0 FROM given",
        );
        let NewIntent { id, source, metadata, sealed_key, client_url, .. } = new.clone();
        Intent { id, source, metadata, sealed_key, client_url, status: None, task_id: None, called_back: false }
    }

    /// These intents, as far as they are known, locked until the transaction ends.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn lock_intents(&mut self, mut ids: Vec<String>) -> Result<Vec<Intent>> {
        // Everybody locks in the order of the ids, so that two never wait for each other.
        ids.sort_unstable();
        ids.dedup();
        let lock = if self.is_shared() { "ORDER BY id FOR UPDATE OF intents" } else { "" };
        let given = Given::rows(ids.len()).text("wanted", ids.into_iter());
        let sql = format!("SELECT {ROW} FROM given CROSS JOIN intents WHERE id = wanted {lock}");
        self.bulk_fetch(given, &sql).await?.iter().map(read).collect()
    }

    /// Writes what became of intents.
    pub fn save_intents(&mut self, intents: &[&Intent]) {
        let each = || intents.iter();
        let given = Given::rows(intents.len())
            .text("saved", each().map(|i| i.id.as_str().to_owned()))
            .text("new_key", each().map(|i| i.sealed_key.clone()))
            .int("new_status", each().map(|i| i.status.map(i64::from)))
            .text("new_task", each().map(|i| i.task_id.clone()))
            .int("came", each().map(|i| i64::from(i.called_back)));
        self.bulk(
            given,
            "UPDATE intents SET sealed_key = new_key, status = new_status, task_id = new_task, called_back = came
             FROM given WHERE id = saved",
        );
    }

    /// Notes that the provider answered an intent with something in which no task is named. With `forget` no task
    /// can have come of it, and its key is forgotten unless it is still needed for one of an earlier try.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn no_task(&mut self, id: &IntentId, status: u16, forget: bool) -> Result<()> {
        self.execute(
            "UPDATE intents SET status = CASE WHEN task_id IS NULL THEN $2 ELSE status END,
                 sealed_key = CASE WHEN $3 = 1 AND NOT EXISTS (SELECT 1 FROM watches
                     WHERE watches.source = intents.source AND watches.task_id = intents.task_id)
                 THEN NULL ELSE sealed_key END
             WHERE id = $1",
            values![id.as_str(), i64::from(status), i64::from(forget)],
        )
        .await?;
        Ok(())
    }

    /// Forgets the keys of intents before `before` of which no task was ever known. Gives how many.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn forget_keys(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(
            "UPDATE intents SET sealed_key = NULL
             WHERE task_id IS NULL AND sealed_key IS NOT NULL AND created_at < $1",
            values![before],
        )
        .await
    }

    /// When a task was relayed, and with which status the provider answered; `None` if it was not relayed.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn relayed_at(&mut self, source: &str, task_id: &str) -> Result<Option<(Timestamp, Option<i64>)>> {
        let sql = "SELECT created_at, status FROM intents WHERE source = $1 AND task_id = $2 ORDER BY id LIMIT 1";
        let Some(row) = self.fetch_one(sql, values![source, task_id]).await? else { return Ok(None) };
        Ok(Some((row.time("created_at")?, row.optional_int("status")?)))
    }
}

fn read(row: &Row) -> Result<Intent> {
    Ok(Intent {
        id: IntentId::stored(row.text("id")?),
        source: row.text("source")?,
        metadata: row.parsed("metadata", |text| serde_json::from_str(text).ok())?,
        sealed_key: row.optional_text("sealed_key")?,
        client_url: row.optional_text("client_url")?,
        status: row.optional_int("status")?.and_then(|status| status.try_into().ok()),
        task_id: row.optional_text("task_id")?,
        called_back: row.int("called_back")? == 1,
    })
}
