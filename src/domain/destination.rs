//! Destinations: where a team wants to hear.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pace::Rate;

/// A destination's settings, as the configuration or the API gave them: what a channel reads.
pub type Settings = BTreeMap<String, Value>;

/// One destination as it was declared.
#[derive(Clone, PartialEq, Debug)]
pub struct Destination {
    /// Its name.
    pub name: String,
    /// The team that owns it.
    pub team: String,
    /// The kind of place, one of `channels::CHANNELS`.
    pub channel: String,
    /// What the channel needs to know: URL, addresses, secrets.
    pub settings: Settings,
    /// How many deliveries it takes; `None` is the channel's default.
    pub rate: Option<Rate>,
    /// How many at the same time; `None` is the channel's default.
    pub concurrency: Option<usize>,
    /// Whether a file declares it; then it is changed only there.
    pub from_file: bool,
}
