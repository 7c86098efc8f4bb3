//! Reading a kept callback again, by today's adapter and with today's secrets: after a fix, an upgrade, or a secret
//! that was mended. It goes the way of one that comes now.

use bytes::Bytes;

use super::receive::{Kept, Prints, Receiver, entry, read};
use super::record::Unrecorded;
use super::write::Receipt;
use crate::domain::callback::{CallbackOutcome, fingerprint};
use crate::providers::{Header, Inbound};
use crate::store::KeptCallback;

/// Why a callback was not read again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotRead {
    /// Nobody knows any more what its source is.
    NoSource,
    /// The database cannot take what would come of it now.
    Unrecorded,
}

impl From<Unrecorded> for NotRead {
    fn from(_: Unrecorded) -> Self {
        Self::Unrecorded
    }
}

impl Receiver {
    /// Reads a kept callback again. How old its signature is counts to when it came, and so do the lives of the links
    /// in it; what it makes is made now. The same outcome again is a repeat of the kept one.
    ///
    /// # Errors
    /// Why it was not read; nothing has changed then.
    pub async fn reprocess(&self, callback: KeptCallback) -> Result<Receipt, NotRead> {
        let roster = self.roster.now();
        let source = callback.row.source;
        let active = roster.sources.get(&source).ok_or(NotRead::NoSource)?;
        let body = Bytes::from(callback.body);
        let inbound = Inbound::new(headers(&callback.headers), body.clone(), callback.row.received_at);
        let content = fingerprint(&callback.query, &body);
        let verified = inbound.verify(active.adapter, &active.source.signing_secrets);
        let prints = Prints::of(content, &verified);
        let kept = Kept {
            query: callback.query,
            headers: callback.headers,
            body,
            remote: callback.row.remote,
            note: Some(format!("read again; it came as {}", callback.row.id)),
            was_forwarded: callback.row.outcome != CallbackOutcome::Rejected,
        };
        let entry = entry(&roster, &source, read(active, verified), kept, prints, self.clock.now());
        Ok(self.recorder.record(entry).await?)
    }
}

/// As they were kept: bytes that are no text were replaced then.
fn headers(pairs: &str) -> Vec<Header> {
    let pairs: Vec<(String, String)> = serde_json::from_str(pairs).unwrap_or_default();
    pairs.into_iter().map(|(name, value)| (name, value.into_bytes())).collect()
}
