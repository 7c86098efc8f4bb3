//! Places that are told: a webhook, something like Slack, and a mail server. Each keeps what it got.

use std::io;
use std::sync::Arc;

use super::journal::Journal;
use crate::domain::clock::SharedClock;
use crate::domain::secret::Secret;
use crate::shutdown::Lifecycle;

mod mail;
mod slack;
mod smtp;
mod webhook;

pub use mail::{Mail, MailSink};
pub use slack::{SlackAnswer, SlackSink};
pub use webhook::{Webhook, WebhookSink};

/// So much of each sort is kept, the newest.
const KEPT: usize = 1_000;

/// One sink of every sort. They listen until the process stops.
#[derive(Debug)]
pub struct Sinks {
    /// Takes signed webhooks.
    pub webhook: Arc<WebhookSink>,
    /// Takes what Slack's incoming webhooks take.
    pub slack: Arc<SlackSink>,
    /// Takes mail.
    pub mail: Arc<MailSink>,
}

impl Sinks {
    /// Starts them; `secret` is what the webhooks are signed with.
    ///
    /// # Errors
    /// Where no port of this machine can be listened on.
    pub fn start(secret: Secret, clock: &SharedClock, journal: &Journal, life: &Lifecycle) -> io::Result<Self> {
        Ok(Self {
            webhook: WebhookSink::start(secret, clock, journal, life)?,
            slack: SlackSink::start(clock, journal, life)?,
            mail: MailSink::start(clock, journal, life)?,
        })
    }
}

/// Keeps one more, and no more than [`KEPT`].
fn keep<T>(kept: &mut Vec<T>, one: T) {
    if kept.len() == KEPT {
        kept.remove(0);
    }
    kept.push(one);
}
