//! Destinations: where a team wants to hear.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::pace::Rate;

/// A destination's settings, as the configuration or the API gave them: what a channel reads.
pub type Settings = BTreeMap<String, Value>;

/// So many deliveries at the same time at most: each is a connection of ours and of theirs.
pub const CONCURRENCY_MAX: u32 = 256;

/// One destination as it was declared. `Debug` hides the settings, in which there are secrets.
#[derive(Clone, PartialEq)]
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

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("name", &self.name)
            .field("team", &self.team)
            .field("channel", &self.channel)
            .field("settings", &self.settings.keys())
            .field("rate", &self.rate)
            .field("concurrency", &self.concurrency)
            .field("from_file", &self.from_file)
            .finish()
    }
}
