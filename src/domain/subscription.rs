//! Subscriptions: which events go to which destination.

use super::event::EventType;
use super::filter::Filter;
use super::id::SubscriptionId;

/// One rule.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its id; `sub_file_1`, `sub_file_2`, … in their order for those that a file declares.
    pub id: SubscriptionId,
    /// The destination's name.
    pub destination: String,
    /// The types it wants.
    pub events: Vec<EventType>,
    /// The sources it wants; `None` is all that the destination's team may see.
    pub sources: Option<Vec<String>>,
    /// What else must hold.
    pub filter: Option<Filter>,
    /// Whether a file declares it; then it is changed only there.
    pub from_file: bool,
}

impl Subscription {
    /// Whether it wants this type from this source; the filter is not asked.
    pub fn wants(&self, kind: EventType, source: &str) -> bool {
        self.events.contains(&kind) && self.sources.as_ref().is_none_or(|names| names.iter().any(|name| name == source))
    }
}
