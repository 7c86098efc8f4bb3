//! Callbacks: what came in, and what we made of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::task::{Metadata, MetadataOrigin};

/// What became of a callback (contract §4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallbackOutcome {
    /// A new step.
    Accepted,
    /// The same step again, or progress only.
    Duplicate,
    /// An earlier step after a later one.
    Stale,
    /// Another end than the one told.
    Conflict,
    /// The provider denied it.
    Disputed,
    /// Not understood, kept to be read again.
    Quarantined,
    /// Its signature did not hold.
    Rejected,
}

impl CallbackOutcome {
    /// Every outcome there is.
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Stale,
        Self::Conflict,
        Self::Disputed,
        Self::Quarantined,
        Self::Rejected,
    ];

    /// The word for it, the same everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Conflict => "conflict",
            Self::Disputed => "disputed",
            Self::Quarantined => "quarantined",
            Self::Rejected => "rejected",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// A callback's bytes, as they came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The URL's query.
    pub query: String,
    /// The headers as JSON pairs.
    pub headers: String,
    /// The body.
    pub body: Bytes,
    /// The client's address.
    pub remote: Option<String>,
    /// What makes it the same as another of its source: see [`fingerprint`].
    pub fingerprint: Fingerprint,
}

/// A SHA-256.
pub type Fingerprint = [u8; 32];

impl Content {
    /// With its fingerprint.
    pub fn new(query: String, headers: String, body: Bytes, remote: Option<String>) -> Self {
        Self { fingerprint: fingerprint(&query, &body), query, headers, body, remote }
    }
}

/// SHA-256 over the query and the body: what makes two callbacks of a source the same.
pub fn fingerprint(query: &str, body: &[u8]) -> Fingerprint {
    let mut hash = Sha256::new();
    // The length keeps the end of the query from being read as the beginning of the body.
    hash.update((query.len() as u64).to_be_bytes());
    hash.update(query.as_bytes());
    hash.update(body);
    hash.finalize().into()
}

/// At most so many metadata keys (contract §4).
pub const METADATA_KEYS_MAX: usize = 20;
/// At most so many bytes of keys and values together (contract §4).
pub const METADATA_BYTES_MAX: usize = 2048;

/// Reads metadata that somebody wrote to be put into a callback URL: each pair as `key=value`.
///
/// # Errors
/// What is wrong, and with which pair.
pub fn written_metadata<'a>(given: impl IntoIterator<Item = &'a str>) -> Result<Metadata, String> {
    let mut pairs = Metadata::new();
    for pair in given {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair}: write it as KEY=VALUE"))?;
        if key.is_empty() || key.starts_with("cb_") {
            return Err(format!("{pair}: a key is at least one character and does not begin with `cb_`"));
        }
        if pairs.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("{pair}: `{key}` is given twice"));
        }
    }
    let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    if pairs.len() > METADATA_KEYS_MAX || bytes > METADATA_BYTES_MAX {
        return Err(format!("at most {METADATA_KEYS_MAX} keys and {METADATA_BYTES_MAX} bytes of it fit into a URL"));
    }
    Ok(pairs)
}

/// The metadata of a callback URL's query.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryMetadata {
    /// The pairs that fit.
    pub pairs: Metadata,
    /// Who vouches for them.
    pub origin: MetadataOrigin,
    /// The keys of the pairs that did not fit, to be shown.
    pub dropped: Vec<String>,
    /// The relayed request that it is the callback of (`cb_intent`).
    pub intent_id: Option<String>,
}

/// Reads the query of a callback URL. Of a key given twice the first stays; a pair that does not fit
/// is dropped whole; keys that begin with `cb_` are ours. `is_ours` says whether a `cb_sig` found in
/// the query signs these pairs.
pub fn query_metadata(query: &str, is_ours: impl FnOnce(&Metadata, &str) -> bool) -> QueryMetadata {
    let mut pairs = Metadata::new();
    let mut dropped = Vec::new();
    let (mut signature, mut intent_id) = (None, None);
    let mut bytes = 0;
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let (key, value) = (super::task::clean(&key), super::task::clean(&value));
        if key == SIGNATURE_KEY {
            signature.get_or_insert(value);
        } else if key == INTENT_KEY && value.len() <= INTENT_ID_MAX {
            intent_id.get_or_insert(value);
        } else if key.starts_with("cb_") || key.is_empty() || pairs.contains_key(&key) {
            continue;
        } else if pairs.len() == METADATA_KEYS_MAX || bytes + key.len() + value.len() > METADATA_BYTES_MAX {
            dropped.push(key.chars().take(64).collect());
        } else {
            bytes += key.len() + value.len();
            pairs.insert(key, value);
        }
    }
    dropped.truncate(METADATA_KEYS_MAX);
    let origin = match signature {
        _ if pairs.is_empty() => MetadataOrigin::Absent,
        Some(signature) if is_ours(&pairs, &signature) => MetadataOrigin::SignedUrl,
        _ => MetadataOrigin::Url,
    };
    QueryMetadata { pairs, origin, dropped, intent_id }
}

/// The query key that holds our signature of a callback URL's metadata.
pub const SIGNATURE_KEY: &str = "cb_sig";
/// The query key that says of which relayed request it is the callback URL.
pub const INTENT_KEY: &str = "cb_intent";
/// Longer than any id of ours, in bytes.
const INTENT_ID_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> QueryMetadata {
        query_metadata(query, |_, signature| signature == "good")
    }

    #[test]
    fn the_first_of_two_stays_and_our_names_are_left_out() {
        let read = read("a=1&a=2&cb_intent=x&b=%E6%98%A5&=z");
        assert_eq!(read.pairs, Metadata::from([("a".into(), "1".into()), ("b".into(), "春".into())]));
        assert_eq!(read.origin, MetadataOrigin::Url);
        assert!(read.dropped.is_empty());
        assert_eq!(read.intent_id.as_deref(), Some("x"));
    }

    #[test]
    fn what_does_not_fit_is_dropped_whole_and_named() {
        let long = "x".repeat(2048);
        let read_long = read(&format!("big={long}&small=1"));
        assert_eq!(read_long.pairs, Metadata::from([("small".into(), "1".into())]));
        assert_eq!(read_long.dropped, ["big"]);
        let many: Vec<String> = (0..25).map(|n| format!("k{n:02}=v")).collect();
        let read_many = read(&many.join("&"));
        assert_eq!(read_many.pairs.len(), 20);
        assert_eq!(read_many.dropped, ["k20", "k21", "k22", "k23", "k24"]);
    }

    #[test]
    fn a_good_signature_raises_the_rank() {
        assert_eq!(read("a=1&cb_sig=good").origin, MetadataOrigin::SignedUrl);
        assert_eq!(read("a=1&cb_sig=bad").origin, MetadataOrigin::Url);
        assert_eq!(read("cb_sig=good").origin, MetadataOrigin::Absent);
    }

    #[test]
    fn query_and_body_are_told_apart() {
        assert_ne!(fingerprint("a", b"b"), fingerprint("ab", b""));
        assert_eq!(fingerprint("a", b"b"), fingerprint("a", b"b"));
    }
}
