//! Channels: one file for each kind of place where people want to hear.
//!
//! A channel reads a destination's settings once ([`Channel::parse`], so that a bad one can never be
//! stored) and then answers one question only: did it go, and if not, what kind of failure was it?
//! It knows nothing of schedules, of the store or of other channels. Adding one is one file and one
//! line of [`CHANNELS`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::clock::Timestamp;
use crate::domain::delivery::Report;
use crate::domain::destination::Settings;
use crate::domain::pace::Rate;
use crate::egress::Egress;

mod answer;
mod email;
mod forward;
mod settings;
mod slack;
mod summary;
#[cfg(test)]
mod tests;
mod webhook;

pub use answer::retry_after;
pub use email::Mailer;
pub use forward::as_it_came;

/// Every channel that this build knows, in the order in which they are listed.
pub const CHANNELS: &[&dyn Channel] = &[&webhook::Webhook, &slack::Slack, &email::Email];

/// The channel of that name.
pub fn channel(name: &str) -> Option<&'static dyn Channel> {
    CHANNELS.iter().copied().find(|channel| channel.name() == name)
}

/// One kind of place.
pub trait Channel: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// What people are told about it, in one line.
    fn about(&self) -> &'static str;

    /// The settings that it takes beside those of every destination.
    fn fields(&self) -> &'static [Field];

    /// What a destination of this kind gets that sets no limits.
    fn limits(&self) -> Limits;

    /// Whether destinations of this kind sign, so that a secret is made for one that has none
    /// (setting `secret`).
    fn signs(&self) -> bool {
        false
    }

    /// Reads the settings.
    ///
    /// # Errors
    /// Which field is wrong, and what it should be.
    fn parse(&self, settings: &Settings, house: &House) -> Result<Arc<dyn Sender>, Invalid>;
}

/// One setting of a channel.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What is written there.
    pub kind: FieldKind,
    /// Whether it must be there.
    pub required: bool,
    /// Whether it is never shown: a secret, or a URL that is one.
    pub secret: bool,
}

/// What is written in a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldKind {
    /// A string.
    Text,
    /// A string, or a list of strings.
    Texts,
}

/// How much a destination takes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// So many per time; `None` is no limit.
    pub rate: Option<Rate>,
    /// So many at once, at least one.
    pub concurrency: usize,
}

/// A setting that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{field}`: {problem}")]
pub struct Invalid {
    /// Which.
    pub field: &'static str,
    /// What is wrong with it and what it should be. Never the value of a secret setting.
    pub problem: String,
}

/// What the channels use of the house.
#[derive(Clone)]
pub struct House {
    /// The one door out.
    pub egress: Egress,
    /// How mail leaves; `None` where `[email]` is not configured.
    pub mailer: Option<Arc<Mailer>>,
    /// What links to Callboard begin with, where it is known.
    pub public_url: Option<String>,
}

/// A destination, ready to be sent to.
pub trait Sender: Send + Sync {
    /// Where it goes, for people: a host or addresses, never a secret or a path.
    fn target(&self) -> String;

    /// One try. It ends within `message.timeout`, whatever the other side does.
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Report>;
}

/// One event on its way to one destination.
#[derive(Clone, Debug)]
pub struct Message {
    /// The event's id.
    pub event_id: String,
    /// The event's type.
    pub kind: String,
    /// When the event was made.
    pub at: Timestamp,
    /// The event, byte for byte as it was stored.
    pub body: String,
    /// Set where this is a replay.
    pub replay_id: Option<String>,
    /// The present, for signatures.
    pub now: Timestamp,
    /// How long the try may take, from name look-up to the last byte of the answer.
    pub timeout: Duration,
    /// Parts that earlier tries have done (an email's recipients).
    pub parts_done: Vec<String>,
}
