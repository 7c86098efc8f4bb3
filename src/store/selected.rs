//! The events that a replay selects: walked over page by page, and counted, along indexes only.

use std::collections::BTreeSet;

use super::Result;
use super::given::Given;
use super::lists::among;
use super::row::{Row, Value, values};
use super::tx::Tx;
use crate::domain::access::Scope;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::event::EventType;
use crate::domain::id::EventId;
use crate::domain::replay::{Selection, estimate};

/// An event that is to be told again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selected {
    /// What the walk goes by: the event's id, or that of its delivery.
    pub position: String,
    /// The event.
    pub event_id: String,
    /// What it tells.
    pub kind: EventType,
    /// The source that it is about; `None` where it is about none.
    pub source: Option<String>,
}

/// Some of the selected events, in order.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// They.
    pub events: Vec<Selected>,
    /// Up to where the walk has come; `None` where it has come to its end.
    pub reached: Option<String>,
}

/// How many selected events of one source and type there are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    /// The source; `None` for events of the service's own.
    pub source: Option<String>,
    /// Their type; `None` where all types were counted together.
    pub kind: Option<EventType>,
    /// How many.
    pub many: u64,
    /// Whether all were counted; the rest is estimated.
    pub is_exact: bool,
}

/// The service's own events of one team, or of all.
const OF_SERVICE: &str = "step = 'service' AND COALESCE($1, team, '') = COALESCE(team, '')";
/// So many rows are looked at for one stretch.
const WINDOW: i64 = 2000;

impl Tx {
    /// The next selected events that are there for the caller, at most `limit`, above one id and below another.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn walk_events(
        &mut self,
        scope: &Scope,
        selection: &Selection,
        (after, before): (&str, &str),
        limit: usize,
    ) -> Result<Stretch> {
        let sql = "SELECT id FROM events WHERE id > $1 AND id < $2 ORDER BY id LIMIT 1 OFFSET $3";
        let window = self.fetch_one(sql, values![after, before, WINDOW - 1]).await?;
        let window = window.map(|row| row.text("id")).transpose()?;
        let limit_value = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut values = values![after, before, limit_value];
        let mut seen = conditions(scope, selection, &mut values);
        if let Some(end) = &window {
            values.push(Value::from(end.as_str()));
            seen.push_str(&format!(" AND e.id <= ${}", values.len()));
        }
        let sql = format!(
            "SELECT e.id AS position, e.id, e.type, e.source FROM events e
             WHERE e.id > $1 AND e.id < $2 {seen} ORDER BY e.id LIMIT $3"
        );
        stretch(&self.fetch(sql, values).await?, window, limit)
    }

    /// The next deliveries of a destination that stand so and tell a selected event, at most `limit`, above one id and
    /// below another.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn walk_deliveries(
        &mut self,
        destination: &str,
        status: DeliveryStatus,
        scope: &Scope,
        selection: &Selection,
        (after, before): (&str, &str),
        limit: usize,
    ) -> Result<Stretch> {
        // Written out, so that the index is taken that has only those.
        let status = format!("status = '{}'", status.as_str());
        let sql = format!(
            "SELECT id FROM deliveries WHERE destination = $1 AND {status} AND id > $2 AND id < $3
             ORDER BY id LIMIT 1 OFFSET $4"
        );
        let window = self.fetch_one(sql, values![destination, after, before, WINDOW - 1]).await?;
        let window = window.map(|row| row.text("id")).transpose()?;
        let limit_value = i64::try_from(limit).unwrap_or(i64::MAX);
        let end = window.as_deref().unwrap_or(before);
        let mut values = values![destination, after, before, limit_value, end, selection.first(), end_of(selection)];
        let seen = conditions(scope, selection, &mut values);
        let sql = format!(
            "SELECT d.id AS position, e.id, e.type, e.source FROM deliveries d JOIN events e ON e.id = d.event_id
             WHERE d.destination = $1 AND d.{status} AND d.id > $2 AND d.id < $3 AND d.id <= $5
                 AND e.id > $6 AND e.id < $7 {seen} ORDER BY d.id LIMIT $4"
        );
        stretch(&self.fetch(sql, values).await?, window, limit)
    }

    /// How many selected events there are for the caller below an id, by source and type. Each count looks at so many
    /// index entries as are left of `budget`, at least at a hundredth of it; beyond, it is estimated.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn count_selected(
        &mut self,
        scope: &Scope,
        selection: &Selection,
        before: &str,
        budget: u64,
    ) -> Result<Vec<Counted>> {
        let (mut counts, mut left) = (Vec::new(), budget);
        let kinds = EventType::ALL.into_iter().filter(|kind| selection.kind.is_none_or(|only| only == *kind));
        let (of_service, of_tasks): (Vec<EventType>, Vec<EventType>) = kinds.partition(|kind| kind.step() == "service");
        for source in self.selected_sources(scope, selection).await? {
            for kind in &of_tasks {
                let which = "source = $1 AND type = $2";
                let values = values![source.as_str(), kind.as_str(), selection.first(), before];
                let limit = left.max(budget / 100);
                let (many, is_exact) = self.count_up_to(which, values, limit).await?;
                left = left.saturating_sub(many);
                counts.push(Counted { source: Some(source.clone()), kind: Some(*kind), many, is_exact });
            }
        }
        for kind in of_service.into_iter().filter(|_| selection.source.is_none()) {
            let team = scope.team();
            let which = format!("{OF_SERVICE} AND type = $2");
            let values = values![team, kind.as_str(), selection.first(), before];
            let (many, is_exact) = self.count_up_to(&which, values, left.max(budget / 100)).await?;
            counts.push(Counted { source: None, kind: Some(kind), many, is_exact });
        }
        counts.retain(|counted| counted.many > 0);
        Ok(counts)
    }

    async fn count_up_to(&mut self, which: &str, mut values: Vec<Value>, limit: u64) -> Result<(u64, bool)> {
        let range = format!("FROM events WHERE {which} AND id > $3 AND id < $4");
        values.push(Value::from(i64::try_from(limit).unwrap_or(i64::MAX)));
        let sql = format!(
            "SELECT count(*) AS many, min(id) AS first, max(id) AS last
             FROM (SELECT id {range} ORDER BY id LIMIT $5) AS counted"
        );
        let Some(row) = self.fetch_one(sql, values.clone()).await? else { return Ok((0, true)) };
        let many = u64::try_from(row.int("many")?).unwrap_or_default();
        if many < limit {
            return Ok((many, true));
        }
        let made_at = |id: Option<String>| id.and_then(|id| EventId::made_at(&id)).unwrap_or_default();
        let (first, last) = (made_at(row.optional_text("first")?), made_at(row.optional_text("last")?));
        values[4] = Value::from(1);
        let end = self.fetch_one(format!("SELECT id {range} ORDER BY id DESC LIMIT $5"), values).await?;
        let end = made_at(end.map(|row| row.text("id")).transpose()?);
        Ok((estimate(many, first, last, end), false))
    }

    /// How many deliveries of a destination stand so and tell a selected event, as far as `limit` of them are looked at,
    /// and whether those were all.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn count_selected_deliveries(
        &mut self,
        destination: &str,
        status: DeliveryStatus,
        scope: &Scope,
        selection: &Selection,
        (after, before): (&str, &str),
        limit: u64,
    ) -> Result<(u64, u64)> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut values = values![destination, after, before, limit, selection.first(), end_of(selection)];
        let seen = conditions(scope, selection, &mut values);
        let sql = format!(
            "SELECT count(e.id) AS many, count(*) AS looked_at FROM
                 (SELECT event_id FROM deliveries WHERE destination = $1 AND status = '{}' AND id > $2 AND id < $3
                  ORDER BY id LIMIT $4) AS d
             LEFT JOIN events e ON e.id = d.event_id AND e.id > $5 AND e.id < $6 {seen}",
            status.as_str()
        );
        let Some(row) = self.fetch_one(sql, values).await? else { return Ok((0, 0)) };
        let number = |column| row.int(column).map(|many| u64::try_from(many).unwrap_or_default());
        Ok((number("many")?, number("looked_at")?))
    }

    /// The newest selected events of a source and type below an id, with their bodies: what is asked of some of them
    /// says something of all.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn sample_selected(
        &mut self,
        scope: &Scope,
        counted: &Counted,
        selection: &Selection,
        before: &str,
        limit: usize,
    ) -> Result<Vec<String>> {
        let Some(kind) = counted.kind else { return Ok(Vec::new()) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (which, whose) = match &counted.source {
            Some(source) => ("source = $1", Some(source.as_str())),
            None => (OF_SERVICE, scope.team()),
        };
        let sql = format!(
            "SELECT body FROM events WHERE {which} AND type = $2 AND id > $3 AND id < $4 ORDER BY id DESC LIMIT $5"
        );
        let values = values![whose, kind.as_str(), selection.first(), before, limit];
        self.fetch(sql, values).await?.iter().map(|row| row.text("body")).collect()
    }

    /// The bodies of events that are kept, by id, in no particular order.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn event_bodies(&mut self, ids: &[String]) -> Result<Vec<(String, String)>> {
        let given = Given::rows(ids.len()).text("wanted", ids.iter().cloned());
        let sql = "SELECT id, body FROM given CROSS JOIN events WHERE id = wanted";
        let rows = self.bulk_fetch(given, sql).await?;
        rows.iter().map(|row| Ok((row.text("id")?, row.text("body")?))).collect()
    }

    /// Those of these events that are kept.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn kept_events(&mut self, ids: &[String]) -> Result<BTreeSet<String>> {
        let given = Given::rows(ids.len()).text("wanted", ids.iter().cloned());
        let rows = self.bulk_fetch(given, "SELECT id FROM given CROSS JOIN events WHERE id = wanted").await?;
        rows.iter().map(|row| row.text("id")).collect()
    }

    /// What a replay has told already of these events: event and destination.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn told_by_replay(&mut self, replay_id: &str, ids: &[String]) -> Result<BTreeSet<(String, String)>> {
        let given = Given::rows(ids.len())
            .text("wanted", ids.iter().cloned())
            .text("wanted_replay", ids.iter().map(|_| replay_id.to_owned()));
        let sql = "SELECT event_id, destination FROM given CROSS JOIN deliveries
                   WHERE event_id = wanted AND replay_id = wanted_replay";
        let rows = self.bulk_fetch(given, sql).await?;
        rows.iter().map(|row| Ok((row.text("event_id")?, row.text("destination")?))).collect()
    }

    /// Those of these destinations before which at least `many` deliveries wait that are due, and that take what they
    /// are sent.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn crowded(&mut self, destinations: &[String], many: usize, now: Timestamp) -> Result<Vec<String>> {
        let given = Given::rows(destinations.len())
            .text("wanted", destinations.iter().cloned())
            .int("at", destinations.iter().map(|_| now.0));
        let last = many.saturating_sub(1);
        let sql = format!(
            "SELECT wanted FROM given LEFT JOIN destination_states s ON s.name = wanted
             WHERE s.failing_since IS NULL AND s.disabled_at IS NULL AND EXISTS (
                 SELECT 1 FROM deliveries WHERE status = 'pending' AND destination = wanted AND due_at <= at
                 ORDER BY due_at LIMIT 1 OFFSET {last})"
        );
        self.bulk_fetch(given, &sql).await?.iter().map(|row| row.text("wanted")).collect()
    }

    async fn selected_sources(&mut self, scope: &Scope, selection: &Selection) -> Result<Vec<String>> {
        Ok(match (&selection.source, scope.team_scope()) {
            (Some(source), _) => Some(source.clone()).filter(|name| scope.sees_source(name)).into_iter().collect(),
            (None, Some(team)) => team.sources.iter().cloned().collect(),
            (None, None) => self.distinct("events", "source", "source IS NOT NULL").await?,
        })
    }
}

/// What must hold of an event `e`, beside the bounds of its id; begins with AND, where there is anything.
fn conditions(scope: &Scope, selection: &Selection, values: &mut Vec<Value>) -> String {
    let mut text = String::new();
    if let Some(source) = &selection.source {
        values.push(Value::from(source.as_str()));
        text.push_str(&format!(" AND e.source = ${}", values.len()));
    }
    if let Some(kind) = selection.kind {
        values.push(Value::from(kind.as_str()));
        text.push_str(&format!(" AND e.type = ${}", values.len()));
    }
    if let Some(team) = scope.team_scope() {
        values.push(Value::from(team.team.as_str()));
        let of_team = values.len();
        text.push_str(&format!(" AND (e.team = ${of_team} OR {})", among("e.source", &team.sources, values)));
    }
    text
}

fn end_of(selection: &Selection) -> String {
    EventId::first_of(selection.until).to_string()
}

fn stretch(rows: &[Row], window: Option<String>, limit: usize) -> Result<Stretch> {
    let events = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    let full = events.last().filter(|_| events.len() >= limit).map(|last| last.position.clone());
    Ok(Stretch { reached: full.or(window), events })
}

fn read(row: &Row) -> Result<Selected> {
    Ok(Selected {
        position: row.text("position")?,
        event_id: row.text("id")?,
        kind: row.parsed("type", EventType::parse)?,
        source: row.optional_text("source")?,
    })
}
