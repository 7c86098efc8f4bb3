//! Replays of many events: which ones there are, and how far each is.
//!
//! Where a replay stands is moved in the transaction that writes what it makes, by whoever holds its lease.

use super::Result;
use super::lists::{Listing, Page, is};
use super::row::{Row, values};
use super::tx::Tx;
use crate::domain::access::Scope;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::event::EventType;
use crate::domain::id::ReplayId;
use crate::domain::pace::Rate;
use crate::domain::replay::{ReplayStatus, Selection};

/// A replay to be made.
#[derive(Clone, Debug)]
pub struct NewReplay {
    /// Its id.
    pub id: ReplayId,
    /// Whose key made it; `None` for an administrator's.
    pub team: Option<String>,
    /// Which events.
    pub selection: Selection,
    /// To this destination alone.
    pub destination: Option<String>,
    /// To this URL alone.
    pub url: Option<String>,
    /// How many a second; `None` is as fast as they are taken.
    pub rate: Option<Rate>,
    /// How many events there are.
    pub events_total: u64,
    /// Whether that was counted, and not estimated.
    pub is_exact: bool,
}

/// A replay as it is kept.
#[derive(Clone, Debug)]
pub struct ReplayRow {
    /// What was asked for.
    pub made: NewReplay,
    /// Where it stands.
    pub status: ReplayStatus,
    /// What was handled last; empty at the beginning.
    pub position: String,
    /// How many events were handled.
    pub events_done: u64,
    /// How many deliveries were made of them.
    pub deliveries: u64,
    /// How many were passed over, as the event or the destination was gone.
    pub skipped: u64,
    /// The fencing token of who has it in hand.
    pub lease: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What one page of a replay came to.
#[derive(Clone, Debug, Default)]
pub struct Turned {
    /// Where it stands now.
    pub position: String,
    /// How many events were handled.
    pub events: u64,
    /// How many deliveries were made.
    pub deliveries: u64,
    /// How many events were passed over.
    pub skipped: u64,
    /// When the next page is due; `None` at the end.
    pub due_at: Option<Timestamp>,
}

const ROW: &str = "id, team, status, since, until, source, type, destination, url, delivery_status, rate, position, \
    events_total, is_exact, events_done, deliveries, skipped, lease, created_at, finished_at";

impl Tx {
    /// Makes a replay, due at once.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn insert_replay(&mut self, replay: &NewReplay, now: Timestamp) -> Result<()> {
        let Selection { since, until, source, kind, delivery_status } = &replay.selection;
        self.execute(
            "INSERT INTO replays (id, team, status, since, until, source, type, destination, url, delivery_status,
                 rate, position, events_total, is_exact, events_done, deliveries, skipped, due_at, lease, created_at)
             VALUES ($1, $2, 'running', $3, $4, $5, $6, $7, $8, $9, $10, '', $11, $12, 0, 0, 0, $13, 0, $13)",
            values![
                replay.id.as_str(),
                replay.team.clone(),
                *since,
                *until,
                source.clone(),
                kind.map(EventType::as_str),
                replay.destination.clone(),
                replay.url.clone(),
                delivery_status.map(DeliveryStatus::as_str),
                replay.rate.map(|rate| rate.to_string()),
                number(replay.events_total),
                i64::from(replay.is_exact),
                now,
            ],
        )
        .await?;
        Ok(())
    }

    /// One replay, where it is there for the caller.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn replay(&mut self, scope: &Scope, id: &str) -> Result<Option<ReplayRow>> {
        let sql = format!("SELECT {ROW} FROM replays WHERE id = $1 AND COALESCE($2, team, '') = COALESCE(team, '')");
        self.fetch_one(sql, values![id, scope.team()]).await?.as_ref().map(read).transpose()
    }

    /// A page of the replays that are there for the caller, newest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn replays(&mut self, scope: &Scope, before: Option<String>, limit: usize) -> Result<Page<ReplayRow>> {
        let mut listing = Listing::of("replays", "id").between(None, before);
        listing.walk(scope.team().map(|team| is("team = ?", team)).into_iter().collect());
        listing.page(self, limit, read, |replay| replay.made.id.to_string()).await
    }

    /// Takes for a process the lease of the replay that has been due for longest; it becomes due again by itself when
    /// the lease ends.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn claim_replay(&mut self, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<ReplayRow>> {
        let sql = format!(
            "WITH chosen AS MATERIALIZED (
                 SELECT id FROM replays WHERE status = 'running' AND due_at <= $1 ORDER BY due_at, id LIMIT 1 {})
             UPDATE replays SET lease = lease + 1, lease_owner = $2, due_at = $3
             WHERE status = 'running' AND due_at <= $1 AND id IN (SELECT id FROM chosen)
             RETURNING {ROW}",
            self.lock_clause()
        );
        self.fetch_one(sql, values![now, owner, until]).await?.as_ref().map(read).transpose()
    }

    /// When the next page of any replay is due.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn next_replay_at(&mut self) -> Result<Option<Timestamp>> {
        let sql = "SELECT min(due_at) AS due_at FROM replays WHERE status = 'running'";
        self.fetch_one(sql, values![]).await?.map_or(Ok(None), |row| row.optional_time("due_at"))
    }

    /// Moves a replay on by one page, and gives it out of hand. `false` if the lease has passed to another process, or
    /// somebody has ended it: nothing of the page may be committed then.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn turn_replay(&mut self, row: &ReplayRow, turned: &Turned, now: Timestamp) -> Result<bool> {
        let changed = self
            .execute(
                "UPDATE replays SET position = $1, events_done = events_done + $2, deliveries = deliveries + $3,
                     skipped = skipped + $4, due_at = $5, lease_owner = NULL,
                     status = CASE WHEN $5 IS NULL THEN 'done' ELSE status END,
                     finished_at = CASE WHEN $5 IS NULL THEN $6 ELSE finished_at END,
                     events_total = CASE WHEN $5 IS NULL OR events_done + $2 > events_total
                         THEN events_done + $2 ELSE events_total END
                 WHERE id = $7 AND lease = $8 AND status = 'running'",
                values![
                    turned.position.as_str(),
                    number(turned.events),
                    number(turned.deliveries),
                    number(turned.skipped),
                    turned.due_at,
                    now,
                    row.made.id.as_str(),
                    row.lease,
                ],
            )
            .await?;
        Ok(changed == 1)
    }

    /// Ends a replay: nothing more of it is put into the queue. `false` if it had ended before.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn cancel_replay(&mut self, id: &str, now: Timestamp) -> Result<bool> {
        let sql = "UPDATE replays SET status = 'cancelled', due_at = NULL, lease_owner = NULL, lease = lease + 1,
                       finished_at = $1
                   WHERE id = $2 AND status = 'running'";
        Ok(self.execute(sql, values![now, id]).await? == 1)
    }

    /// Voids the leases of a process that is no more, or with `None` every lease.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn void_replay_leases(&mut self, owner: Option<&str>, now: Timestamp) -> Result<u64> {
        let sql = "UPDATE replays SET lease = lease + 1, lease_owner = NULL, due_at = $1
                   WHERE status = 'running' AND lease_owner IS NOT NULL AND COALESCE($2, lease_owner) = lease_owner";
        self.execute(sql, values![now, owner]).await
    }
}

fn number(many: u64) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

fn many(row: &Row, column: &'static str) -> Result<u64> {
    row.int(column).map(|many| u64::try_from(many).unwrap_or_default())
}

fn word<T>(row: &Row, column: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
    if row.optional_text(column)?.is_none() {
        return Ok(None);
    }
    row.parsed(column, parse).map(Some)
}

fn read(row: &Row) -> Result<ReplayRow> {
    let selection = Selection {
        since: row.time("since")?,
        until: row.time("until")?,
        source: row.optional_text("source")?,
        kind: word(row, "type", EventType::parse)?,
        delivery_status: word(row, "delivery_status", DeliveryStatus::parse)?,
    };
    Ok(ReplayRow {
        made: NewReplay {
            id: ReplayId::stored(row.text("id")?),
            team: row.optional_text("team")?,
            selection,
            destination: row.optional_text("destination")?,
            url: row.optional_text("url")?,
            rate: word(row, "rate", |text| Rate::parse(text).ok())?,
            events_total: many(row, "events_total")?,
            is_exact: row.int("is_exact")? == 1,
        },
        status: row.parsed("status", ReplayStatus::parse)?,
        position: row.text("position")?,
        events_done: many(row, "events_done")?,
        deliveries: many(row, "deliveries")?,
        skipped: many(row, "skipped")?,
        lease: row.int("lease")?,
        created_at: row.time("created_at")?,
        finished_at: row.optional_time("finished_at")?,
    })
}
