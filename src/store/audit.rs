//! The audit log: who changed what. A row is written in the transaction of the change itself, so that there is
//! none without the other.

use serde_json::Value;

use super::Result;
use super::given::Given;
use super::lists::{Listing, Page, is};
use super::row::Row;
use super::tx::Tx;
use crate::domain::clock::Timestamp;
use crate::domain::id::AuditId;

/// Who makes a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    /// The id of their key; `None` for the administrator's key of the configuration.
    pub key_id: Option<String>,
    /// The name of their key.
    pub key_name: String,
    /// The team that the change concerns; `None` where it concerns all.
    pub team: Option<String>,
}

impl Actor {
    /// The same one, making a change that concerns this team.
    pub fn for_team(&self, team: &str) -> Self {
        Self { team: Some(team.to_owned()), ..self.clone() }
    }
}

/// A change as it was noted.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditRow {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who made it, and the team that it concerns.
    pub by: Actor,
    /// Its kind.
    pub action: String,
    /// The name or id of what was changed.
    pub object: String,
    /// What more there is to know of it.
    pub detail: Option<Value>,
}

/// Which changes to list.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each narrows the list to those that have this value")]
pub struct AuditFilter {
    pub team: Option<String>,
    pub action: Option<String>,
    pub object: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub before: Option<String>,
    pub limit: usize,
}

impl Tx {
    /// Notes a change: its kind as `noun.verb` (`destination.create`), the name or id of what was changed, and
    /// what more there is to know of it, without secrets.
    pub fn audit(&mut self, by: &Actor, action: &str, object: &str, detail: Option<Value>, now: Timestamp) {
        let one = |text: &str| std::iter::once(text.to_owned());
        let given = Given::rows(1)
            .text("id", one(AuditId::new(now).as_str()))
            .int("at", std::iter::once(now.0))
            .text("key_id", std::iter::once(by.key_id.clone()))
            .text("key_name", one(&by.key_name))
            .text("team", std::iter::once(by.team.clone()))
            .text("action", one(action))
            .text("object", one(object))
            .text("detail", std::iter::once(detail.map(|detail| detail.to_string())));
        self.bulk(
            given,
            "INSERT INTO audit (id, at, key_id, key_name, team, action, object, detail)
             SELECT id, at, key_id, key_name, team, action, object, detail FROM given",
        );
    }
    /// A page of the changes, newest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn audited(&mut self, filter: &AuditFilter) -> Result<Page<AuditRow>> {
        let from = filter.since.map(|since| AuditId::first_of(since).to_string());
        let until = filter.until.map(|until| AuditId::first_of(until).to_string());
        let mut listing = Listing::of("audit", "id").between(from, filter.before.clone().into_iter().chain(until));
        let filters = [("object = ?", &filter.object), ("team = ?", &filter.team), ("action = ?", &filter.action)];
        let mut given = filters.into_iter().filter_map(|(condition, value)| Some(is(condition, value.as_deref()?)));
        // Each has an index: it is walked along one of them.
        listing.walk(given.next().into_iter().collect());
        given.for_each(|condition| listing.rest(condition));
        listing.page(self, filter.limit, read, |row| row.id.clone()).await
    }
}

fn read(row: &Row) -> Result<AuditRow> {
    let by = Actor {
        key_id: row.optional_text("key_id")?,
        key_name: row.text("key_name")?,
        team: row.optional_text("team")?,
    };
    Ok(AuditRow {
        id: row.text("id")?,
        at: row.time("at")?,
        by,
        action: row.text("action")?,
        object: row.text("object")?,
        detail: row.optional_text("detail")?.and_then(|text| serde_json::from_str(&text).ok()),
    })
}
