//! Provider adapters: one file each, data and pure functions over bytes.
//!
//! An adapter never sees the store, the network or the clock. It is given the bytes that came in and
//! says what they are, what to ask its provider, and what the answer says. Adding a provider is one file,
//! its fixtures under `tests/fixtures/<name>/`, and one line of [`PROVIDERS`]; the README's table, the API's
//! messages and `check` come from there.
//!
//! The order of things is held by types: only [`Inbound<Verified>`] gives its body to be interpreted,
//! and the only way to one is [`Inbound::verify`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::clock::Timestamp;
use crate::domain::secret::Secret;
use crate::domain::task::{Observation, Trust};

mod aivideoapi;
pub mod api;
mod api_in_one;
mod ask;
mod evolink;
mod kling3api;
mod links;
mod read;
mod replicate;
pub mod signature;
#[cfg(test)]
mod tests;
mod wrapped;

/// Every provider that this build knows, in the order in which they are listed.
pub const PROVIDERS: &[&dyn Provider] =
    &[&evolink::EvoLink, &aivideoapi::AiVideoApi, &replicate::Replicate, &kling3api::Kling3Api, &api_in_one::ApiInOne];

/// The adapter of that name.
pub fn provider(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().copied().find(|provider| provider.name() == name)
}

/// What one kind of provider API means.
pub trait Provider: Send + Sync {
    /// Its name in the configuration: lower case, digits and `-`.
    fn name(&self) -> &'static str;

    /// What people are told about it.
    fn about(&self) -> About;

    /// Checks the signature of a callback of a source that has signing secrets; any of them may fit.
    /// `inbound.received_at()` is the present for the age of a signature.
    ///
    /// # Errors
    /// Why the callback is not to be believed. The default is for providers that do not sign.
    fn verify(&self, inbound: &Inbound<Unverified>, secrets: &[Secret]) -> Result<Trust, Rejection> {
        let _ = (inbound, secrets);
        Ok(Trust::Unsigned)
    }

    /// Whether a signing secret of the configuration can be one of this provider's.
    ///
    /// # Errors
    /// What a secret of this provider looks like, without the secret. The default takes every one.
    fn check_secret(&self, secret: &Secret) -> Result<(), String> {
        let _ = secret;
        Ok(())
    }

    /// The answer to a handshake or challenge, if this is one. It makes no event and is not kept.
    fn handshake(&self, inbound: &Inbound<Unverified>) -> Option<Answer> {
        let _ = inbound;
        None
    }

    /// The headers, in lower case, that [`Provider::interpret`] reads: it is shown no others, so that a callback whose query,
    /// body and these are the same says the same. The default is for providers that say everything in the body.
    fn read_headers(&self) -> &'static [&'static str] {
        &[]
    }

    /// What the callback says: one observation a task, at least one.
    ///
    /// Reads tolerantly (only the id and the status are required, unknown fields are let be) and maps
    /// strictly (a status word that is not in the provider's own table is named, never guessed).
    ///
    /// # Errors
    /// What was not understood, and where.
    fn interpret(&self, inbound: &Inbound<Verified>) -> Result<Vec<Observation>, Unread>;

    /// How its API is asked. `None` where this build cannot: its tasks are known by their callbacks alone.
    fn ask(&self) -> Option<&'static dyn api::Ask> {
        None
    }

    /// The exact body that the provider wants in answer to a callback, where it wants one.
    fn wanted_answer(&self) -> Option<Answer> {
        None
    }

    /// The headers with which the provider would sign this body now: what `callboard send` adds. The
    /// default is for providers that do not sign.
    fn sign(&self, secret: &Secret, body: &[u8], now: Timestamp) -> Vec<(&'static str, String)> {
        let _ = (secret, body, now);
        Vec::new()
    }

    /// A callback as the provider's documents show it, of a completed task with this id that began at
    /// `created`: the body of the first run's example.
    fn example(&self, task_id: &str, created: Timestamp) -> String;
}

/// What people are told about a provider.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// How it writes itself.
    pub title: &'static str,
    /// Where its documents are; `None` where we know of no address.
    pub docs: Option<&'static str>,
    /// Where the callback URL goes in a request that makes a task, for people: "`callback_url` in the body".
    pub callback_url_goes: &'static str,
    /// Whether it can sign its callbacks over the body.
    pub signs: bool,
    /// How often it tries again when we do not answer, for people.
    pub retries: &'static str,
    /// How long its result links live, for people.
    pub links_live: &'static str,
}

/// An answer for which a provider asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The body, byte for byte.
    pub body: Bytes,
}

/// Why a signed callback is not believed; the text is for people and is kept with the callback.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    /// A header that the signature needs is not there.
    #[error("the header `{0}` is missing, and this source has a signing secret")]
    Missing(&'static str),
    /// A header that the signature needs cannot be read.
    #[error("the header `{header}` is not {expected}")]
    Malformed {
        /// Which.
        header: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It was signed too long ago, or in the future.
    #[error("it was signed {} s {}, and at most {} s are allowed", .by.as_secs(), if *.ahead { "ahead of our clock" } else { "ago" }, .allowed.as_secs())]
    Age {
        /// By how much.
        by: Duration,
        /// Whether it lies in the future.
        ahead: bool,
        /// How much is allowed.
        allowed: Duration,
    },
    /// No secret of the source gives this signature.
    #[error("no signing secret of this source gives the signature in `{0}`")]
    Mismatch(&'static str),
}

/// Why a callback could not be understood. Each text says what was expected where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unread {
    /// Not readable at all, or no task id in it: answered 422.
    #[error("{0}")]
    NoTask(String),
    /// The task is known, but not what is said of it: answered 200 and kept as quarantined.
    #[error("{detail}")]
    Unknown {
        /// The task's id.
        task_id: String,
        /// What was not understood, with the word and where it stands.
        detail: String,
    },
}

/// A callback whose signature has not been looked at.
#[derive(Clone, Copy, Debug)]
pub struct Unverified;

/// A callback that may be interpreted, and how far it can be believed.
#[derive(Clone, Copy, Debug)]
pub struct Verified {
    trust: Trust,
    read_headers: &'static [&'static str],
}

/// A header's name in lower case and its value's bytes, as they came.
pub type Header = (String, Vec<u8>);

/// One callback as it came in. `S` is [`Unverified`] or [`Verified`].
#[derive(Clone, Debug)]
pub struct Inbound<S> {
    headers: Arc<[Header]>,
    body: Bytes,
    received_at: Timestamp,
    state: S,
}

impl<S> Inbound<S> {
    fn text_of(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(value).ok()
    }

    /// When it came.
    pub fn received_at(&self) -> Timestamp {
        self.received_at
    }
}

impl Inbound<Unverified> {
    /// Takes a request's headers and raw body.
    pub fn new(headers: impl Into<Arc<[Header]>>, body: Bytes, received_at: Timestamp) -> Self {
        Self { headers: headers.into(), body, received_at, state: Unverified }
    }

    /// The value of the header of this lower-case name, the first where there are several.
    /// `None` if it is not there or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text_of(name)
    }

    /// The raw bytes, for computing a signature and for nothing else.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.body
    }

    /// The only way to a callback that can be interpreted. A source without signing secrets believes
    /// its callbacks as unsigned.
    ///
    /// # Errors
    /// Why the adapter does not believe it.
    pub fn verify(self, adapter: &dyn Provider, secrets: &[Secret]) -> Result<Inbound<Verified>, Rejection> {
        let trust = if secrets.is_empty() { Trust::Unsigned } else { adapter.verify(&self, secrets)? };
        let state = Verified { trust, read_headers: adapter.read_headers() };
        Ok(Inbound { headers: self.headers, body: self.body, received_at: self.received_at, state })
    }
}

impl Inbound<Verified> {
    /// The raw bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The value of one of the adapter's [`Provider::read_headers`], the first where there are several.
    /// `None` if it is not there, not text, or not one of them.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text_of(name).filter(|_| self.state.read_headers.contains(&name))
    }

    /// What the adapter may read beside the body: each of its [`Provider::read_headers`].
    pub fn read_headers(&self) -> impl Iterator<Item = Option<&str>> {
        self.state.read_headers.iter().map(|name| self.text_of(name))
    }

    /// How far it can be believed.
    pub fn trust(&self) -> Trust {
        self.state.trust
    }
}
