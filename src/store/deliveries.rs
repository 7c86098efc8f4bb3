//! Deliveries: the rows that are the queue.

use super::Result;
use super::given::{Cell, Given, Kind};
use super::lists::{Listing, Page, WINDOW, among, holds, is};
use super::row::{Row, values};
use super::tx::Tx;
use crate::domain::access::Scope;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::{DeliveryStatus, FORWARD_LANES};
use crate::domain::id::{DeliveryId, EventId, ReplayId};

/// A delivery to be made.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// What is told.
    pub event_id: EventId,
    /// The event's type, or [`FORWARD`](crate::domain::delivery::FORWARD).
    pub event_type: &'static str,
    /// To whom.
    pub destination: String,
    /// The replay that asked for it; `None` for the first telling.
    pub replay_id: Option<ReplayId>,
    /// Where a replay goes to a URL instead of a destination.
    pub url: Option<String>,
}

/// What a claim takes.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The process, by host and address.
    pub owner: String,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// A delivery that this process holds the lease of, with what it tells.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Its id.
    pub id: String,
    /// To whom.
    pub destination: String,
    /// The fencing token that the settlement must carry.
    pub lease: i64,
    /// Attempts of the schedule that it has cost.
    pub failures: u32,
    /// Attempts that were made.
    pub attempts: u32,
    /// The replay that asked for it.
    pub replay_id: Option<String>,
    /// Where a replay goes to a URL instead of a destination.
    pub url: Option<String>,
    /// Parts that are done.
    pub parts_done: Vec<String>,
    /// Whether its destination is told, by a later event, that the task has ended.
    pub superseded: bool,
    /// The event's id.
    pub event_id: String,
    /// The event's type.
    pub event_type: String,
    /// When the event was made.
    pub event_at: Timestamp,
    /// The event, byte for byte.
    pub event_body: String,
    /// The bytes that are handed on, where it is no event.
    pub forwarded: Option<Forwarded>,
}

/// A callback, or a provider's answer, that is handed on to a client.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// The headers as JSON pairs, where it is a callback.
    pub headers: Option<String>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

/// A delivery as the API shows it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of `NewDelivery` and `Claimed`")]
pub struct DeliveryRow {
    pub id: String,
    pub event_id: String,
    pub event_type: String,
    pub destination: String,
    pub replay_id: Option<String>,
    pub url: Option<String>,
    pub status: DeliveryStatus,
    pub due_at: Option<Timestamp>,
    pub attempts: u32,
    pub reason: Option<String>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each narrows the list to those that have this value")]
pub struct DeliveryFilter {
    pub status: Option<DeliveryStatus>,
    pub destination: Option<String>,
    pub event_id: Option<String>,
    pub before: Option<String>,
    pub limit: usize,
}

const NEW: &[(&str, Kind)] = &[
    ("id", Kind::Text),
    ("event_id", Kind::Text),
    ("event_type", Kind::Text),
    ("destination", Kind::Text),
    ("replay_id", Kind::Text),
    ("url", Kind::Text),
    ("now", Kind::Int),
    ("lease_owner", Kind::Text),
    ("lease_until", Kind::Int),
];

const COLUMNS: &str = "id, event_id, event_type, destination, replay_id, url, status, due_at, attempts, reason, created_at, \
    finished_at";

impl Tx {
    /// Writes deliveries: due now, or held where their destination is disabled. One that is there
    /// already (the same event, destination and replay) stays as it is.
    pub fn insert_deliveries(&mut self, deliveries: impl IntoIterator<Item = NewDelivery>, now: Timestamp) {
        self.insert_leased(deliveries.into_iter().map(|delivery| (delivery, None)), now);
    }

    /// The same; those with a lease are as if they had been claimed, with the number 1.
    pub fn insert_leased(
        &mut self,
        deliveries: impl IntoIterator<Item = (NewDelivery, Option<Lease>)>,
        now: Timestamp,
    ) {
        let made: Vec<_> = deliveries.into_iter().map(|(delivery, lease)| (delivery, lease, now)).collect();
        let given = Given::of(NEW, made, |(delivery, lease, now), cells| {
            cells.extend([
                Cell::text(delivery.id.as_str()),
                Cell::text(delivery.event_id.as_str()),
                Cell::text(delivery.event_type),
                Cell::text(delivery.destination.as_str()),
                Cell::text(delivery.replay_id.as_ref().map_or("", ReplayId::as_str)),
                Cell::text(delivery.url.as_deref()),
                Cell::time(*now),
                Cell::text(lease.as_ref().map(|lease| lease.owner.as_str())),
                Cell::time(lease.as_ref().map(|lease| lease.until)),
            ]);
        });
        self.bulk(
            given,
            "INSERT INTO deliveries (id, event_id, event_type, destination, replay_id, url, status, due_at,
                 lease_owner, lease_until, lease, failures, attempts, reason, created_at)
             SELECT g.id, g.event_id, g.event_type, g.destination, g.replay_id, g.url,
                 CASE WHEN s.disabled_at IS NULL THEN 'pending' ELSE 'held' END,
                 CASE WHEN s.disabled_at IS NULL THEN COALESCE(g.lease_until, g.now) ELSE NULL END,
                 CASE WHEN s.disabled_at IS NULL THEN g.lease_owner ELSE NULL END,
                 CASE WHEN s.disabled_at IS NULL THEN g.lease_until ELSE NULL END,
                 CASE WHEN g.lease_until IS NULL THEN 0 ELSE 1 END, 0, 0, s.disabled_reason, g.now
             FROM given g LEFT JOIN destination_states s ON s.name = g.destination WHERE true
             ON CONFLICT (event_id, destination, replay_id) DO NOTHING",
        );
    }

    /// The destinations that were first told each of these events: (event id, destination).
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn told(&mut self, events: &[EventId]) -> Result<Vec<(String, String)>> {
        let given = Given::rows(events.len()).text("wanted", events.iter().map(|id| id.as_str().to_owned()));
        let rows = self
            .bulk_fetch(
                given,
                "SELECT event_id, destination FROM given CROSS JOIN deliveries WHERE event_id = wanted AND replay_id = ''",
            )
            .await?;
        rows.iter().map(|row| Ok((row.text("event_id")?, row.text("destination")?))).collect()
    }

    /// Every destination with pending deliveries, and when the next one of each is due. Its cost grows
    /// with the destinations, not with the deliveries: a `min()` PostgreSQL may count out over all of them.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn backlog(&mut self) -> Result<Vec<(String, Timestamp)>> {
        let rows = self
            .fetch(
                "WITH RECURSIVE waiting (name) AS (
                     SELECT (SELECT destination FROM deliveries WHERE status = 'pending' ORDER BY destination LIMIT 1)
                     UNION ALL
                     SELECT (SELECT destination FROM deliveries WHERE status = 'pending' AND destination > name
                         ORDER BY destination LIMIT 1)
                     FROM waiting WHERE name IS NOT NULL
                 )
                 SELECT name, (SELECT due_at FROM deliveries WHERE status = 'pending' AND destination = name
                         ORDER BY due_at LIMIT 1) AS due_at
                 FROM waiting WHERE name IS NOT NULL",
                values![],
            )
            .await?;
        rows.iter().map(|row| Ok((row.text("name")?, row.time("due_at")?))).collect()
    }

    /// Takes for a process the lease of up to `limit` due deliveries of a destination; a claimed one
    /// becomes due again by itself when the lease ends. Gives their ids.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn claim(&mut self, to: &str, limit: usize, now: Timestamp, lease: &Lease) -> Result<Vec<String>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // PostgreSQL would ask a subquery that locks anew for each row, and go beyond the limit. What is chosen is locked:
        // with its conditions said again, all that waits may be read through for it.
        let sql = format!(
            "WITH chosen AS MATERIALIZED (
                 SELECT id FROM deliveries WHERE destination = $1 AND status = 'pending' AND due_at <= $2
                 ORDER BY due_at LIMIT $3 {})
             UPDATE {} deliveries SET lease = lease + 1, lease_until = $4, lease_owner = $5, due_at = $4
             WHERE id IN (SELECT id FROM chosen)
             RETURNING id",
            self.lock_clause(),
            self.or_fail_clause()
        );
        let rows = self.fetch(sql, values![to, now, limit, lease.until, lease.owner.as_str()]).await?;
        rows.iter().map(|row| row.text("id")).collect()
    }

    /// What claimed deliveries tell.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn claimed(&mut self, ids: &[String]) -> Result<Vec<Claimed>> {
        let given = Given::rows(ids.len()).text("wanted", ids.iter().cloned());
        let rows = self
            .bulk_fetch(
                given,
                "SELECT d.id, d.destination, d.lease, d.failures, d.attempts, d.replay_id, d.url, d.parts_done,
                     d.event_id, d.event_type,
                     COALESCE(e.at, c.received_at, p.at) AS event_at, COALESCE(e.body, '') AS event_body,
                     c.headers AS forwarded_headers, COALESCE(c.body, p.body) AS forwarded,
                     CAST(CASE WHEN e.step = 'processing' AND d.replay_id = '' AND EXISTS (
                         SELECT 1 FROM tasks t JOIN deliveries later ON later.event_id = t.terminal_event
                         WHERE t.source = e.source AND t.task_id = e.task_id
                             AND later.destination = d.destination AND later.replay_id = ''
                     ) THEN 1 ELSE 0 END AS BIGINT) AS superseded
                 FROM given CROSS JOIN deliveries d LEFT JOIN events e ON e.id = d.event_id
                     LEFT JOIN callbacks c ON c.id = d.event_id LEFT JOIN polls p ON p.id = d.event_id
                 WHERE d.id = wanted AND COALESCE(e.id, c.id, p.id) IS NOT NULL",
            )
            .await?;
        let mut claimed = rows.iter().map(read_claimed).collect::<Result<Vec<_>>>()?;
        claimed.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(claimed)
    }

    /// Voids the leases of a process that is no more, or with `None` every lease: what it had in hand is
    /// due at once. Gives how many.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn void_leases(&mut self, owner: Option<&str>, now: Timestamp) -> Result<u64> {
        self.execute(
            "UPDATE deliveries SET lease = lease + 1, lease_until = NULL, lease_owner = NULL, due_at = $1
             WHERE status = 'pending' AND lease_until IS NOT NULL AND COALESCE($2, lease_owner) = lease_owner",
            values![now, owner],
        )
        .await
    }

    /// Gives leases back before anything was tried: what is still held by them is due now.
    pub fn return_leases(&mut self, claimed: &[Claimed], now: Timestamp) {
        let given = Given::rows(claimed.len())
            .text("returned", claimed.iter().map(|one| one.id.clone()))
            .int("held_lease", claimed.iter().map(|one| one.lease))
            .int("now", claimed.iter().map(|_| now.0));
        // By their ids alone, as with settlements.
        self.bulk(
            given,
            "UPDATE deliveries SET lease = lease + 1, lease_until = NULL, lease_owner = NULL, due_at = now
             FROM given WHERE id = returned AND lease = held_lease AND status || '' = 'pending'",
        );
    }

    /// What was handed on of these callbacks and polls: deliveries without an event, whose type is `forward`.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn forwards(&mut self, of: Vec<String>) -> Result<Vec<DeliveryRow>> {
        let given = Given::rows(of.len()).text("wanted", of.into_iter());
        let sql = format!("SELECT {COLUMNS} FROM given CROSS JOIN deliveries WHERE event_id = wanted");
        self.bulk_fetch(given, &sql).await?.iter().map(read).collect()
    }

    /// One delivery, where it is there for the caller.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn delivery(&mut self, scope: &Scope, id: &str) -> Result<Option<DeliveryRow>> {
        let mut values = values![id];
        let seen = match scope.team_scope() {
            None => String::new(),
            Some(team) => format!("AND {}", among("destination", &team.destinations, &mut values)),
        };
        let sql = format!("SELECT {COLUMNS} FROM deliveries WHERE id = $1 AND {NO_FORWARD} {seen}");
        self.fetch_one(sql, values).await?.as_ref().map(read).transpose()
    }

    /// A page of the deliveries that are there for the caller, newest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn deliveries(&mut self, scope: &Scope, filter: &DeliveryFilter) -> Result<Page<DeliveryRow>> {
        let mut listing = Listing::of("deliveries", "id").between(None, filter.before.clone());
        if filter.status == Some(DeliveryStatus::Dead) && filter.event_id.is_none() {
            listing = listing.whole(OF_DEAD, "{}");
        }
        let by_status = match filter.status {
            Some(status) if filter.event_id.is_none() => self.walked_by(status).await?,
            _ => None,
        };
        if let (Some(status), None) = (filter.status, by_status) {
            listing.rest(is("status = ?", status.as_str()));
        }
        let destinations = self.walked_destinations(scope, filter, by_status).await?;
        let destinations_are_all = destinations.is_none();
        let walks = match destinations {
            None => vec![Vec::new()],
            Some(names) => names.into_iter().map(|name| vec![is("destination = ?", name)]).collect(),
        };
        for mut walk in walks {
            walk.extend(filter.event_id.as_deref().map(|id| is("event_id = ?", id)));
            walk.extend(by_status.map(holds));
            listing.walk(walk);
        }
        if destinations_are_all {
            listing.rest(holds(NO_FORWARD));
        }
        listing.page(self, filter.limit, read, |delivery| delivery.id.clone()).await
    }

    /// How deliveries of a status are found by an index, in the words of that index, as SQLite compares words;
    /// `None` where they are looked for among all. Those that wait are few, or else the newest.
    async fn walked_by(&mut self, status: DeliveryStatus) -> Result<Option<&'static str>> {
        match status {
            DeliveryStatus::Held => Ok(Some("status = 'held'")),
            DeliveryStatus::Dead => Ok(Some("status = 'dead'")),
            DeliveryStatus::Delivered => Ok(None),
            DeliveryStatus::Pending => {
                let few =
                    "SELECT count(*) AS many FROM (SELECT 1 FROM deliveries WHERE status = 'pending' LIMIT $1) AS p";
                let row = self.fetch_one(few, values![WINDOW as i64]).await?;
                let many = row.map_or(Ok(0), |row| row.int("many"))?;
                Ok((many < WINDOW as i64).then_some("status = 'pending' AND due_at IS NOT NULL AND due_at >= 0"))
            }
        }
    }

    /// The destinations along which a list is walked; `None` where it is walked along all at once.
    async fn walked_destinations(
        &mut self,
        scope: &Scope,
        filter: &DeliveryFilter,
        by_status: Option<&str>,
    ) -> Result<Option<Vec<String>>> {
        Ok(match (&filter.destination, scope.team_scope()) {
            (Some(name), _) => {
                let is_shown = |name: &String| scope.sees_destination(name) && !name.starts_with(FORWARD_LANES);
                Some(Some(name.clone()).filter(is_shown).into_iter().collect())
            }
            (None, Some(team)) => Some(team.destinations.iter().cloned().collect()),
            (None, None) => match by_status {
                Some(condition) => {
                    let names = self.distinct("deliveries", "destination", condition).await?;
                    Some(names.into_iter().filter(|name| !name.starts_with(FORWARD_LANES)).collect())
                }
                None => None,
            },
        })
    }
}

/// The columns of those that are dead, as their index has them.
const OF_DEAD: &str = "id, event_id, event_type, destination, replay_id, url, 'dead' AS status, CAST(NULL AS BIGINT) AS due_at, attempts, \
    reason, created_at, finished_at";
/// What is handed on to clients is no delivery of an event.
const NO_FORWARD: &str = "event_type <> 'forward'";

fn replay(row: &Row) -> Result<Option<String>> {
    Ok(Some(row.text("replay_id")?).filter(|id| !id.is_empty()))
}

fn read(row: &Row) -> Result<DeliveryRow> {
    Ok(DeliveryRow {
        id: row.text("id")?,
        event_id: row.text("event_id")?,
        event_type: row.text("event_type")?,
        destination: row.text("destination")?,
        replay_id: replay(row)?,
        url: row.optional_text("url")?,
        status: row.parsed("status", DeliveryStatus::parse)?,
        due_at: row.optional_time("due_at")?,
        attempts: row.count("attempts")?,
        reason: row.optional_text("reason")?,
        created_at: row.time("created_at")?,
        finished_at: row.optional_time("finished_at")?,
    })
}

fn forwarded(row: &Row, body: Vec<u8>) -> Result<Forwarded> {
    Ok(Forwarded { headers: row.optional_text("forwarded_headers")?, body })
}

fn read_claimed(row: &Row) -> Result<Claimed> {
    Ok(Claimed {
        id: row.text("id")?,
        destination: row.text("destination")?,
        lease: row.int("lease")?,
        failures: row.count("failures")?,
        attempts: row.count("attempts")?,
        replay_id: replay(row)?,
        url: row.optional_text("url")?,
        parts_done: row
            .optional_text("parts_done")?
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        superseded: row.int("superseded")? == 1,
        event_id: row.text("event_id")?,
        event_type: row.text("event_type")?,
        event_at: row.time("event_at")?,
        event_body: row.text("event_body")?,
        forwarded: row.optional_bytes("forwarded")?.map(|body| forwarded(row, body)).transpose()?,
    })
}
