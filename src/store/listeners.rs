//! Events told again to whoever listens by a name, kept until somebody does, for a day.

use super::Result;
use super::given::Given;
use super::row::{Row, values};
use super::tx::Tx;
use crate::domain::access::Scope;
use crate::domain::clock::Timestamp;
use crate::domain::event::EventType;
use crate::domain::id::ReplayId;

/// An event that was aimed at a listener.
#[derive(Clone, Debug)]
pub struct AimedReplay {
    /// The replay.
    pub id: String,
    /// The event.
    pub event_id: String,
    /// What it tells.
    pub kind: EventType,
    /// The source that it is about; `None` where it is about none.
    pub source: Option<String>,
    /// The team that it is for, where it is one of the service's own.
    pub team: Option<String>,
    /// The event, byte for byte.
    pub body: String,
}

/// How long they are kept.
const KEPT_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// So many are read at once.
const PAGE: i64 = 20;

impl Tx {
    /// Keeps an event for whoever listens by this name; what is older than a day goes.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn aim_replay(
        &mut self,
        id: &ReplayId,
        listener: &str,
        team: Option<&str>,
        event_id: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.execute("DELETE FROM listener_replays WHERE id < $1", values![oldest(now)]).await?;
        self.execute(
            "INSERT INTO listener_replays (id, listener, team, event_id, created_at) VALUES ($1, $2, $3, $4, $5)",
            values![id.as_str(), listener, team, event_id, now],
        )
        .await?;
        Ok(())
    }

    /// What is aimed at a name and nobody has had, and what came behind `after`, whoever has had it; oldest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn aimed_replays(
        &mut self,
        listener: &str,
        scope: &Scope,
        after: &str,
        now: Timestamp,
    ) -> Result<Vec<AimedReplay>> {
        let rows = self
            .fetch(
                "SELECT l.id, l.event_id, e.type, e.source, e.team, e.body
                 FROM listener_replays l JOIN events e ON e.id = l.event_id
                 WHERE l.listener = $1 AND l.id > $2 AND (l.delivered_at IS NULL OR l.id > $3)
                     AND COALESCE($4, l.team, '') = COALESCE(l.team, $4, '')
                 ORDER BY l.id LIMIT $5",
                values![listener, oldest(now), after, scope.team(), PAGE],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// Notes that listeners have had these.
    pub fn note_aimed(&mut self, ids: &[String], now: Timestamp) {
        let given = Given::rows(ids.len()).text("had", ids.iter().cloned()).int("had_at", ids.iter().map(|_| now.0));
        self.bulk(
            given,
            "UPDATE listener_replays SET delivered_at = had_at FROM given WHERE id = had AND delivered_at IS NULL",
        );
    }
}

fn oldest(now: Timestamp) -> String {
    ReplayId::first_of(Timestamp(now.0 - KEPT_MILLIS)).to_string()
}

fn read(row: &Row) -> Result<AimedReplay> {
    Ok(AimedReplay {
        id: row.text("id")?,
        event_id: row.text("event_id")?,
        kind: row.parsed("type", EventType::parse)?,
        source: row.optional_text("source")?,
        team: row.optional_text("team")?,
        body: row.text("body")?,
    })
}
