//! The audit log: who changed what. A row is written in the transaction of the change itself, so that there is
//! none without the other.

use serde_json::Value;

use super::given::Given;
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
}
