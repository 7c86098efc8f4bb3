//! Statistics: rollups of events, and the place in the tail up to which they are made.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::given::Given;
use super::lists::Page;
use super::row::{Row, Value, values};
use super::tail::EventCursor;
use super::tx::Tx;
use super::{Error, Result};
use crate::domain::clock::Timestamp;
use crate::domain::rollup::{Day, Histogram, Rollup, RollupKey};

/// An event whose callback is looked for.
#[derive(Clone, Debug)]
pub struct Awaited {
    /// The event.
    pub event_id: String,
    /// The source of its task.
    pub source: String,
    /// Its task.
    pub task_id: String,
    /// When it was made: a callback that came later did not tell it.
    pub at: Timestamp,
}

/// Which statistics to give.
#[derive(Clone, Debug)]
pub struct StatsFilter {
    /// The first day.
    pub since: Day,
    /// The day after the last.
    pub until: Day,
    /// Of this source only.
    pub source: Option<String>,
    /// Of this model only; empty for tasks of which none is known.
    pub model: Option<String>,
    /// The sources that the caller sees; `None` is all.
    pub seen: Option<BTreeSet<String>>,
    /// Whether each day is given by itself.
    pub by_day: bool,
    /// What [`Page::next`] gave.
    pub after: Option<String>,
    /// How many.
    pub limit: usize,
}

/// What the events of a source and model come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatsRow {
    /// The source.
    pub source: String,
    /// The model; empty where none is known.
    pub model: String,
    /// The day, where each is given by itself.
    pub day: Option<Day>,
    /// What they come to.
    pub rollup: Rollup,
}

const COLUMNS: &str = "day, source, model, completed, failed, cancelled, told_by_poll, disputed, conflicts, \
    micro_credits, generation, callback_delay";

impl Tx {
    /// The place up to which a work has come; nobody else goes on with it until the transaction ends. `None`
    /// where somebody does at this moment.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn chore_cursor(&mut self, name: &str) -> Result<Option<EventCursor>> {
        let sql = format!("SELECT xact, seq FROM chores WHERE name = $1 {}", self.lock_clause());
        self.fetch_one(sql, values![name]).await?.as_ref().map(place).transpose()
    }

    /// The place up to which a work has come, whoever is at it.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn chore_place(&mut self, name: &str) -> Result<EventCursor> {
        let row = self.fetch_one("SELECT xact, seq FROM chores WHERE name = $1", values![name]).await?;
        row.as_ref().map_or_else(|| Ok(EventCursor::default()), place)
    }

    /// Moves a work on from one place to another. False where it is not at that place: somebody else has moved it.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn move_chore(&mut self, name: &str, from: EventCursor, to: EventCursor) -> Result<bool> {
        let sql = "UPDATE chores SET xact = $2, seq = $3 WHERE name = $1 AND xact = $4 AND seq = $5";
        Ok(self.execute(sql, values![name, to.xact, to.seq, from.xact, from.seq]).await? == 1)
    }

    /// Begins a work that is done every so often. False where it was begun later than `before`, here or elsewhere.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn begin_chore(&mut self, name: &str, before: Timestamp, now: Timestamp) -> Result<bool> {
        let sql = "UPDATE chores SET begun_at = $3 WHERE name = $1 AND begun_at <= $2";
        Ok(self.execute(sql, values![name, before, now]).await? == 1)
    }

    /// When the first callback came that told each of these events, of those that are kept and came before it.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn receipts(&mut self, of: &[Awaited]) -> Result<HashMap<String, Timestamp>> {
        let given = Given::rows(of.len())
            .text("wanted", of.iter().map(|one| one.event_id.clone()))
            .text("wanted_source", of.iter().map(|one| one.source.clone()))
            .text("wanted_task", of.iter().map(|one| one.task_id.clone()))
            .int("made_at", of.iter().map(|one| one.at.0));
        let sql = "SELECT wanted, min(received_at) AS received_at FROM given CROSS JOIN callbacks
                   WHERE source = wanted_source AND task_id = wanted_task AND event_id = wanted
                       AND received_at <= made_at GROUP BY wanted";
        let rows = self.bulk_fetch(given, sql).await?;
        rows.iter().map(|row| Ok((row.text("wanted")?, row.time("received_at")?))).collect()
    }

    /// Adds to rollups what is counted from events. Nobody else may do so at the same time.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn add_rollups(&mut self, mut added: BTreeMap<RollupKey, Rollup>) -> Result<()> {
        let sql = format!(
            "SELECT {COLUMNS} FROM given CROSS JOIN rollups
             WHERE day = wanted_day AND source = wanted_source AND model = wanted_model"
        );
        let keys = || added.keys();
        let given = Given::rows(added.len())
            .text("wanted_day", keys().map(|key| key.day.to_string()))
            .text("wanted_source", keys().map(|key| key.source.clone()))
            .text("wanted_model", keys().map(|key| key.model.clone()));
        for row in self.bulk_fetch(given, &sql).await? {
            let (key, known) = read(&row)?;
            if let Some(rollup) = added.get_mut(&key) {
                rollup.merge(&known);
            }
        }
        // `disputed` is counted by whoever records, at any time: it stays as it is.
        let sets: Vec<String> = ["completed", "failed", "cancelled", "told_by_poll", "conflicts", "micro_credits"]
            .into_iter()
            .chain(["generation", "callback_delay"])
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let sql = format!(
            "INSERT INTO rollups ({COLUMNS}) SELECT {COLUMNS} FROM given WHERE true
             ON CONFLICT (day, source, model) DO UPDATE SET {}",
            sets.join(", ")
        );
        added.values_mut().for_each(|rollup| rollup.disputed = 0);
        self.bulk(rows(&added)?, &sql);
        Ok(())
    }

    /// Counts ends that were claimed and that the provider denied: how many of each source and model.
    ///
    /// # Errors
    /// Where it cannot be written down as JSON, which does not happen.
    pub fn count_disputed(&mut self, disputed: &BTreeMap<RollupKey, i64>) -> Result<()> {
        let counted = |many: &i64| Rollup { disputed: *many, ..Rollup::default() };
        let added = disputed.iter().map(|(key, many)| (key.clone(), counted(many))).collect();
        let sql = format!(
            "INSERT INTO rollups ({COLUMNS}) SELECT {COLUMNS} FROM given WHERE true
             ON CONFLICT (day, source, model) DO UPDATE SET disputed = rollups.disputed + excluded.disputed"
        );
        self.bulk(rows(&added)?, &sql);
        Ok(())
    }

    /// A page of statistics: by source and model, or by day as well, the newest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn stats(&mut self, filter: &StatsFilter) -> Result<Page<StatsRow>> {
        if filter.by_day { self.stats_by_day(filter).await } else { self.stats_of_all_days(filter).await }
    }

    async fn stats_by_day(&mut self, filter: &StatsFilter) -> Result<Page<StatsRow>> {
        let (mut conditions, mut values) = matching(filter);
        if let Some([day, source, model]) = after(filter) {
            values.extend([day, source, model].map(Value::from));
            let at = values.len();
            conditions.push_str(&format!(
                " AND (day < ${} OR day = ${} AND (source, model) > (${}, ${at}))",
                at - 2,
                at - 2,
                at - 1
            ));
        }
        values.push(Value::from(rows_of(filter)));
        let limit = values.len();
        let order = "ORDER BY day DESC, source, model";
        let sql = format!("SELECT {COLUMNS} FROM rollups {conditions} {order} LIMIT ${limit}");
        let mut items = Vec::new();
        for row in self.fetch(sql, values).await? {
            let (RollupKey { day, source, model }, rollup) = read(&row)?;
            items.push(StatsRow { source, model, day: Some(day), rollup });
        }
        Ok(page(items, filter.limit))
    }

    async fn stats_of_all_days(&mut self, filter: &StatsFilter) -> Result<Page<StatsRow>> {
        let (mut conditions, mut values) = matching(filter);
        if let Some([_, source, model]) = after(filter) {
            values.extend([source, model].map(Value::from));
            conditions.push_str(&format!(" AND (source, model) > (${}, ${})", values.len() - 1, values.len()));
        }
        let mut with_limit = values.clone();
        with_limit.push(Value::from(rows_of(filter)));
        let grouped = "GROUP BY source, model ORDER BY source, model";
        let sql = format!("SELECT source, model FROM rollups {conditions} {grouped} LIMIT ${}", with_limit.len());
        let rows = self.fetch(sql, with_limit).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            let (source, model) = (row.text("source")?, row.text("model")?);
            items.push(StatsRow { source, model, day: None, rollup: Rollup::default() });
        }
        let mut page = page(items, filter.limit);
        let Some(last) = page.items.last() else { return Ok(page) };
        // What lies between the bounds is what is on the page: one look along the days gives all of it.
        values.extend([last.source.as_str(), last.model.as_str()].map(Value::from));
        conditions.push_str(&format!(" AND (source, model) <= (${}, ${})", values.len() - 1, values.len()));
        let places: HashMap<(String, String), usize> =
            page.items.iter().enumerate().map(|(at, row)| ((row.source.clone(), row.model.clone()), at)).collect();
        for row in self.fetch(format!("SELECT {COLUMNS} FROM rollups {conditions}"), values).await? {
            let (key, rollup) = read(&row)?;
            let at = places.get(&(key.source, key.model));
            if let Some(row) = at.and_then(|at| page.items.get_mut(*at)) {
                row.rollup.merge(&rollup);
            }
        }
        Ok(page)
    }
}

/// The conditions that a filter makes, with their values.
fn matching(filter: &StatsFilter) -> (String, Vec<Value>) {
    let mut values = values![filter.since.to_string(), filter.until.to_string()];
    let mut conditions = "WHERE day >= $1 AND day < $2".to_owned();
    for (column, value) in [("source", &filter.source), ("model", &filter.model)] {
        if let Some(value) = value {
            values.push(Value::from(value.as_str()));
            conditions.push_str(&format!(" AND {column} = ${}", values.len()));
        }
    }
    if let Some(seen) = &filter.seen {
        let places: Vec<String> =
            seen.iter().enumerate().map(|(at, _)| format!("${}", values.len() + at + 1)).collect();
        values.extend(seen.iter().map(|source| Value::from(source.as_str())));
        let among = if places.is_empty() { "FALSE".to_owned() } else { format!("source IN ({})", places.join(", ")) };
        conditions.push_str(&format!(" AND {among}"));
    }
    (conditions, values)
}

fn place(row: &Row) -> Result<EventCursor> {
    Ok(EventCursor { xact: row.int("xact")?, seq: row.int("seq")? })
}

fn rows_of(filter: &StatsFilter) -> i64 {
    i64::try_from(filter.limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// What stands in a cursor: the day, source and model of the last row before the page.
fn after(filter: &StatsFilter) -> Option<[String; 3]> {
    serde_json::from_str(filter.after.as_deref()?).ok()
}

fn page(mut items: Vec<StatsRow>, limit: usize) -> Page<StatsRow> {
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let cursor = |row: &StatsRow| {
        let day = row.day.map(|day| day.to_string()).unwrap_or_default();
        serde_json::json!([day, row.source, row.model]).to_string()
    };
    Page { next: last.map(cursor), items }
}

fn rows(rollups: &BTreeMap<RollupKey, Rollup>) -> Result<Given> {
    let json =
        |histogram: &Histogram| serde_json::to_string(histogram).map_err(|_| Error::Corrupt { column: "generation" });
    let generation = rollups.values().map(|rollup| json(&rollup.generation)).collect::<Result<Vec<_>>>()?;
    let delay = rollups.values().map(|rollup| json(&rollup.callback_delay)).collect::<Result<Vec<_>>>()?;
    let (keys, each) = (|| rollups.keys(), || rollups.values());
    Ok(Given::rows(rollups.len())
        .text("day", keys().map(|key| key.day.to_string()))
        .text("source", keys().map(|key| key.source.clone()))
        .text("model", keys().map(|key| key.model.clone()))
        .int("completed", each().map(|r| r.completed))
        .int("failed", each().map(|r| r.failed))
        .int("cancelled", each().map(|r| r.cancelled))
        .int("told_by_poll", each().map(|r| r.told_by_poll))
        .int("disputed", each().map(|r| r.disputed))
        .int("conflicts", each().map(|r| r.conflicts))
        .int("micro_credits", each().map(|r| r.micro_credits))
        .text("generation", generation.into_iter())
        .text("callback_delay", delay.into_iter()))
}

fn read(row: &Row) -> Result<(RollupKey, Rollup)> {
    let histogram = |column| row.parsed(column, |text| serde_json::from_str::<Histogram>(text).ok());
    let key = RollupKey { day: row.parsed("day", Day::parse)?, source: row.text("source")?, model: row.text("model")? };
    let rollup = Rollup {
        completed: row.int("completed")?,
        failed: row.int("failed")?,
        cancelled: row.int("cancelled")?,
        told_by_poll: row.int("told_by_poll")?,
        disputed: row.int("disputed")?,
        conflicts: row.int("conflicts")?,
        micro_credits: row.int("micro_credits")?,
        generation: histogram("generation")?,
        callback_delay: histogram("callback_delay")?,
    };
    Ok((key, rollup))
}
