//! Events told again to whoever listens by a name, kept until somebody does, for a day.

use super::Result;
use super::given::Given;
use super::lists::among;
use super::row::values;
use super::tx::Tx;
use crate::domain::access::Scope;
use crate::domain::clock::Timestamp;
use crate::domain::id::ReplayId;

/// An event that was aimed at a listener.
#[derive(Clone, Debug)]
pub struct AimedReplay {
    /// The replay.
    pub id: String,
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

    /// What is aimed at a name and nobody has had, and what came behind `after`, whoever has had it, as far as it is
    /// there for the caller; oldest first.
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
        let mut values = values![listener, oldest(now), after, scope.team(), PAGE];
        let seen = match scope.team_scope() {
            None => String::new(),
            Some(team) => format!("AND (e.team = $4 OR {})", among("e.source", &team.sources, &mut values)),
        };
        let sql = format!(
            "SELECT l.id, e.body FROM listener_replays l JOIN events e ON e.id = l.event_id
             WHERE l.listener = $1 AND l.id > $2 AND (l.delivered_at IS NULL OR l.id > $3)
                 AND COALESCE($4, l.team, '') = COALESCE(l.team, $4, '') {seen}
             ORDER BY l.id LIMIT $5"
        );
        let rows = self.fetch(sql, values).await?;
        rows.iter().map(|row| Ok(AimedReplay { id: row.text("id")?, body: row.text("body")? })).collect()
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
