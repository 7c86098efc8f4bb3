//! Which sources can be asked, and with whose key.

use super::question::Key;
use crate::domain::seal::Seal;
use crate::domain::secret::Secret;
use crate::domain::source::RelayKeys;
use crate::flow::relay::purpose;
use crate::flow::roster::{ActiveSource, Roster};
use crate::providers::api::Ask;
use crate::store::Asked;

/// A source that can be asked.
pub(super) struct Askable<'a> {
    pub(super) active: &'a ActiveSource,
    pub(super) ask: &'static dyn Ask,
    pub(super) base_url: &'a str,
    /// Our own key; without it only those tasks are asked for whose clients gave theirs.
    pub(super) key: Option<&'a Secret>,
}

impl Askable<'_> {
    pub(super) fn name(&self) -> &str {
        &self.active.source.name
    }

    /// What claimed tasks are asked for with: our key, else that of the client who relayed the one task.
    pub(super) fn key_for(&self, claimed: &[Asked], seal: Option<&Seal>) -> Option<Key> {
        let asked = claimed.first()?;
        if let Some(key) = self.key {
            return Some(Key::Ours(key.clone()));
        }
        let name = &self.active.source.name;
        match seal?.open(asked.sealed_key.as_deref()?, &purpose(name)) {
            Ok(authorization) => Some(Key::Clients(authorization)),
            Err(problem) => {
                tracing::error!(source.name = name, task.id = asked.task_id, %problem, "a client's key cannot be used");
                None
            }
        }
    }
}

impl<'a> Askable<'a> {
    fn of(active: &'a ActiveSource, keeps_keys: bool) -> Option<Self> {
        let ActiveSource { source, adapter, .. } = active;
        let (ask, base_url, key) = (adapter.ask()?, source.base_url.as_deref()?, source.api_key.as_ref());
        let may_ask = key.is_some() || keeps_keys && source.relay_keys == RelayKeys::Keep;
        may_ask.then_some(Self { active, ask, base_url, key })
    }
}

/// Every source that can be asked with some key, in the order of their names. `keeps_keys`: whether those of
/// clients are kept.
pub(super) fn askable(roster: &Roster, keeps_keys: bool) -> Vec<Askable<'_>> {
    let of = |active| Askable::of(active, keeps_keys);
    let mut all: Vec<_> = roster.sources.values().filter_map(of).collect();
    all.sort_by(|a, b| a.active.source.name.cmp(&b.active.source.name));
    all
}
