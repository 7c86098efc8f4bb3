//! Destinations made at run time, and how every destination is faring.

use std::collections::HashSet;

use super::given::Given;
use super::row::{Row, Value, values};
use super::secrets::closed;
use super::sweeps::SweepKind;
use super::tx::Tx;
use super::{Error, Result};
use crate::domain::clock::Timestamp;
use crate::domain::destination::Destination;
use crate::domain::pace::Rate;
use crate::domain::safe::Safe;
use crate::domain::secret::Secret;
use crate::domain::trouble::Trouble;

/// So many deliveries are held or released in one transaction: nobody waits for more.
const AT_ONCE: i64 = 1000;

/// How a destination is faring. One without a row is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationState {
    /// Its name.
    pub name: String,
    /// When and why it was disabled.
    pub disabled: Option<(Timestamp, String)>,
    /// Until when it asked to be left alone.
    pub paused_until: Option<Timestamp>,
    /// Since when it has only failed.
    pub failing_since: Option<Timestamp>,
    /// How often it has failed since.
    pub failures: i64,
    /// What its team knows of its trouble.
    pub trouble: Trouble,
}

const STATE: &str = "s.name, s.disabled_at, s.disabled_reason, s.paused_until, s.failing_since, s.failures, \
    s.trouble_at, s.told_dead_at, s.dead_count, s.dead_at, s.recovered_at";

impl Tx {
    /// Makes a destination, of which nothing is left that had its name before.
    ///
    /// # Errors
    /// One that [`Error::is_taken`] if the name is.
    pub async fn insert_destination(&mut self, safe: &Safe, made: &Destination, now: Timestamp) -> Result<()> {
        self.execute(
            "DELETE FROM destinations WHERE name = $1 AND team = $2 AND removed_at IS NOT NULL",
            values![made.name.as_str(), made.team.as_str()],
        )
        .await?;
        self.execute(
            "INSERT INTO destinations (name, team, channel, settings, rate, concurrency, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
            kept(safe, made, now),
        )
        .await?;
        self.forget_destination(&made.name).await?;
        self.sweep_destination(&made.name, now).await?;
        self.settings_changed().await.map(drop)
    }

    /// Changes a destination. Its name and its team stay.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn update_destination(&mut self, safe: &Safe, made: &Destination, now: Timestamp) -> Result<()> {
        self.execute(
            "UPDATE destinations SET team = $2, channel = $3, settings = $4, rate = $5, concurrency = $6,
                 updated_at = $7 WHERE name = $1",
            kept(safe, made, now),
        )
        .await?;
        self.settings_changed().await.map(drop)
    }

    /// Removes a destination with its subscriptions and its secrets; what waits for it becomes dead. Its name stays
    /// its team's, under which the deliveries of before are shown.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn delete_destination(&mut self, name: &str, now: Timestamp) -> Result<()> {
        let sql = "UPDATE destinations SET removed_at = $2, settings = '' WHERE name = $1";
        self.execute(sql, values![name, now]).await?;
        self.execute("DELETE FROM subscriptions WHERE destination = $1", values![name]).await?;
        self.forget_destination(name).await?;
        self.begin_sweep(SweepKind::Destination, name, now).await
    }

    /// How it fared, and what signed in its name.
    async fn forget_destination(&mut self, name: &str) -> Result<()> {
        self.execute("DELETE FROM destination_states WHERE name = $1", values![name]).await?;
        self.drop_secrets(("destination", name)).await
    }

    /// The team whose destination had this name, if it was removed.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn former_team(&mut self, name: &str) -> Result<Option<String>> {
        let sql = "SELECT team FROM destinations WHERE name = $1 AND removed_at IS NOT NULL";
        self.fetch_one(sql, values![name]).await?.map(|row| row.text("team")).transpose()
    }

    /// Every destination that was made at run time.
    ///
    /// # Errors
    /// [`Error::Unusable`] where one is sealed with a key that is not there; else as the database gives them.
    pub async fn destinations(&mut self, safe: &Safe) -> Result<Vec<Destination>> {
        let rows = self
            .fetch(
                "SELECT name, team, channel, settings, rate, concurrency FROM destinations
                 WHERE removed_at IS NULL ORDER BY name",
                values![],
            )
            .await?;
        rows.iter().map(|row| read(row, safe)).collect()
    }

    /// How the destinations are faring that have had trouble.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn destination_states(&mut self) -> Result<Vec<DestinationState>> {
        let rows = self.fetch(format!("SELECT {STATE} FROM destination_states s"), values![]).await?;
        rows.iter().map(read_state).collect()
    }

    /// Those of these destinations that are disabled at this moment; none where that is supposed ([`super::Guess::New`]). It
    /// begins no transaction: where instances share the database, one may be disabled meanwhile.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn disabled(&mut self, names: &HashSet<&str>) -> Result<HashSet<String>> {
        let given = || Given::rows(names.len()).text("wanted", names.iter().map(|&name| name.to_owned()));
        let sql = "SELECT s.name FROM given CROSS JOIN destination_states s
                   WHERE s.name = wanted AND s.disabled_at IS NOT NULL";
        if self.suppose(given, sql) {
            return Ok(HashSet::new());
        }
        let rows = match self.glimpse(given(), sql).await? {
            Some(rows) => rows,
            None => self.bulk_fetch(given(), sql).await?,
        };
        rows.iter().map(|row| row.text("name")).collect()
    }

    /// How these destinations are faring, locked until the transaction ends: those that are in trouble, and those
    /// that are said to be ill now, which get a row if they have none.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn lock_destination_states(&mut self, names: &[(&str, bool)]) -> Result<Vec<DestinationState>> {
        let ill: Vec<&str> = names.iter().filter(|(_, is_ill)| *is_ill).map(|(name, _)| *name).collect();
        let given = Given::rows(ill.len()).text("wanted", ill.iter().map(|name| (*name).to_owned()));
        self.bulk(
            given,
            "INSERT INTO destination_states (name, failures) SELECT wanted, 0 FROM given WHERE true
             ON CONFLICT (name) DO NOTHING",
        );
        let given = Given::rows(names.len())
            .text("wanted", names.iter().map(|(name, _)| (*name).to_owned()))
            .int("is_ill", names.iter().map(|(_, is_ill)| i64::from(*is_ill)));
        // Everybody locks in the order of the names, so that two never wait for each other.
        let lock = if self.is_shared() { "ORDER BY s.name FOR UPDATE OF s" } else { "" };
        let sql = format!(
            "SELECT {STATE} FROM given CROSS JOIN destination_states s
             WHERE s.name = wanted AND (is_ill = 1 OR s.trouble_at IS NOT NULL) {lock}"
        );
        self.bulk_fetch(given, &sql).await?.iter().map(read_state).collect()
    }

    /// Writes what the team of a destination knows of its trouble.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn save_trouble(&mut self, name: &str, trouble: &Trouble) -> Result<()> {
        self.execute(
            "UPDATE destination_states SET trouble_at = $2, told_dead_at = $3, dead_count = $4, dead_at = $5,
                 recovered_at = $6 WHERE name = $1",
            values![name, trouble.told_at, trouble.told_dead_at, trouble.dead, trouble.dead_at, trouble.recovered_at],
        )
        .await?;
        Ok(())
    }

    /// Notes that a destination took something: it is not failing any more.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn note_success(&mut self, name: &str) -> Result<()> {
        self.execute(
            "UPDATE destination_states SET failing_since = NULL, failures = 0 WHERE name = $1 AND failures > 0",
            values![name],
        )
        .await?;
        Ok(())
    }

    /// Notes failures; gives since when and how often it has only failed.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn note_failures(&mut self, name: &str, failures: i64, now: Timestamp) -> Result<(Timestamp, i64)> {
        let row = self
            .fetch_one(
                "INSERT INTO destination_states (name, failing_since, failures) VALUES ($1, $2, $3)
                 ON CONFLICT (name) DO UPDATE SET
                     failures = destination_states.failures + excluded.failures,
                     failing_since = COALESCE(destination_states.failing_since, excluded.failing_since)
                 RETURNING failing_since, failures",
                values![name, now, failures],
            )
            .await?
            .ok_or(Error::Corrupt { column: "failures" })?;
        Ok((row.time("failing_since")?, row.int("failures")?))
    }

    /// Leaves a destination alone until then, or longer if it asked for longer before.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn pause(&mut self, name: &str, until: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO destination_states (name, paused_until, failures) VALUES ($1, $2, 0)
             ON CONFLICT (name) DO UPDATE SET paused_until =
                 CASE WHEN destination_states.paused_until > excluded.paused_until
                 THEN destination_states.paused_until ELSE excluded.paused_until END",
            values![name, until],
        )
        .await?;
        Ok(())
    }

    /// Disables a destination; what waits for it is held. Gives whether it was enabled before.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn disable(&mut self, name: &str, reason: &str, now: Timestamp) -> Result<bool> {
        let sql = "INSERT INTO destination_states (name, disabled_at, disabled_reason, failures) VALUES ($1, $2, $3, 0)
             ON CONFLICT (name) DO UPDATE SET disabled_at = excluded.disabled_at,
                 disabled_reason = excluded.disabled_reason WHERE destination_states.disabled_at IS NULL";
        let changed = self.execute(sql, values![name, now, reason]).await?;
        self.hold(name, reason).await?;
        Ok(changed == 1)
    }

    /// Holds what is pending for a destination and not in anybody's hand, a thousand of it, if that is disabled still.
    /// Gives whether there may be more.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn hold(&mut self, name: &str, reason: &str) -> Result<bool> {
        // What another instance is claiming at this moment is held at the next look, not waited for. As with claims, what
        // is chosen is locked, and its conditions are not said again.
        let sql = format!(
            "WITH chosen AS MATERIALIZED (
                 SELECT id FROM deliveries WHERE destination = $1 AND status = 'pending' AND lease_until IS NULL
                 ORDER BY due_at LIMIT $3 {})
             UPDATE deliveries SET status = 'held', due_at = NULL, reason = $2
             WHERE id IN (SELECT id FROM chosen) AND EXISTS
                 (SELECT 1 FROM destination_states WHERE name = $1 AND disabled_at IS NOT NULL)",
            self.lock_clause()
        );
        Ok(self.execute(sql, values![name, reason, AT_ONCE]).await? == AT_ONCE.unsigned_abs())
    }

    /// Enables a destination; what was held for it is sent, or dropped as dead. Gives how many those are: beyond the
    /// first thousand, it is done in the moments after.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn enable(&mut self, name: &str, send: bool, now: Timestamp) -> Result<u64> {
        self.execute(
            "UPDATE destination_states SET disabled_at = NULL, disabled_reason = NULL, paused_until = NULL,
                 failing_since = NULL, failures = 0 WHERE name = $1",
            values![name],
        )
        .await?;
        let sql = "SELECT count(*) AS many FROM deliveries WHERE destination = $1 AND status = 'held'";
        let many = self.fetch_one(sql, values![name]).await?.map_or(Ok(0), |row| row.int("many"))?;
        if send {
            self.release(name, now).await?;
        } else {
            self.begin_sweep(SweepKind::Held, name, now).await?;
        }
        Ok(many.unsigned_abs())
    }

    /// How many deliveries are held for a destination, counted up to `most`.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn held_count(&mut self, name: &str, most: usize) -> Result<u64> {
        let sql = "SELECT count(*) AS many FROM (
                       SELECT 1 FROM deliveries WHERE destination = $1 AND status = 'held' LIMIT $2) AS counted";
        let row = self.fetch_one(sql, values![name, most as i64]).await?;
        row.map_or(Ok(0), |row| row.int("many")).map(i64::unsigned_abs)
    }

    /// The destinations for which something is held.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn holding(&mut self) -> Result<Vec<String>> {
        self.distinct("deliveries", "destination", "status = 'held'").await
    }

    /// What is held for a destination is due now, a thousand of it, unless the destination is disabled or the rest is
    /// being dropped.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn release(&mut self, name: &str, now: Timestamp) -> Result<()> {
        let sql = format!(
            "WITH chosen AS MATERIALIZED (
                 SELECT id FROM deliveries WHERE destination = $1 AND status = 'held' ORDER BY id LIMIT $3 {})
             UPDATE deliveries SET status = 'pending', due_at = $2, reason = NULL
             WHERE id IN (SELECT id FROM chosen)
                 AND NOT EXISTS (SELECT 1 FROM destination_states WHERE name = $1 AND disabled_at IS NOT NULL)
                 AND NOT EXISTS (SELECT 1 FROM sweeps WHERE name = $1 AND kind IN ('destination', 'held'))",
            self.lock_clause()
        );
        self.execute(sql, values![name, now, AT_ONCE]).await?;
        Ok(())
    }

    /// Notes that settings made at run time have changed, for every instance to read them anew; whoever else
    /// changes some waits until this transaction has ended. Gives the new version.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn settings_changed(&mut self) -> Result<i64> {
        let row = self
            .fetch_one(
                "INSERT INTO meta (key, value) VALUES ('settings', '1')
                 ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT) RETURNING value",
                values![],
            )
            .await?;
        row.map_or(Ok(0), |row| row.parsed("value", |text| text.parse().ok()))
    }

    /// A number that grows with every change of the settings made at run time.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn settings_version(&mut self) -> Result<i64> {
        let row = self.fetch_one("SELECT value FROM meta WHERE key = 'settings'", values![]).await?;
        row.map_or(Ok(0), |row| row.parsed("value", |text| text.parse().ok()))
    }
}

fn read_state(row: &Row) -> Result<DestinationState> {
    let disabled_at = row.optional_time("disabled_at")?;
    Ok(DestinationState {
        name: row.text("name")?,
        disabled: disabled_at.zip(row.optional_text("disabled_reason")?),
        paused_until: row.optional_time("paused_until")?,
        failing_since: row.optional_time("failing_since")?,
        failures: row.int("failures")?,
        trouble: Trouble {
            told_at: row.optional_time("trouble_at")?,
            told_dead_at: row.optional_time("told_dead_at")?,
            dead: row.int("dead_count")?,
            dead_at: row.optional_time("dead_at")?,
            recovered_at: row.optional_time("recovered_at")?,
        },
    })
}

/// What the settings of a destination are sealed for.
pub(super) fn sealed_for(name: &str) -> String {
    format!("destinations:{name}")
}

fn kept(safe: &Safe, made: &Destination, now: Timestamp) -> Vec<Value> {
    let settings = Secret::new(serde_json::to_string(&made.settings).unwrap_or_default());
    values![
        made.name.as_str(),
        made.team.as_str(),
        made.channel.as_str(),
        safe.keep(&settings, &sealed_for(&made.name)),
        made.rate.map(|rate| rate.to_string()),
        made.concurrency.and_then(|many| i64::try_from(many).ok()),
        now
    ]
}

fn read(row: &Row, safe: &Safe) -> Result<Destination> {
    let (rate, name) = (row.optional_text("rate")?, row.text("name")?);
    let opened = safe.open(&row.text("settings")?, &sealed_for(&name));
    let settings = opened.map_err(|problem| closed(&format!("destination `{name}`"), &problem))?;
    Ok(Destination {
        settings: serde_json::from_str(settings.expose()).map_err(|_| Error::Corrupt { column: "settings" })?,
        name,
        team: row.text("team")?,
        channel: row.text("channel")?,
        rate: rate.map(|text| Rate::parse(&text)).transpose().map_err(|_| Error::Corrupt { column: "rate" })?,
        concurrency: row.optional_int("concurrency")?.and_then(|many| many.try_into().ok()),
        from_file: false,
    })
}
