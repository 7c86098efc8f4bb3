//! The safe: how secrets lie in the database. Sealed where there is a key, as they are where there is none.

use std::sync::Arc;

use super::seal::{Seal, Unopened, sealed_with};
use super::secret::Secret;

/// What stands before a secret that lies there as it is and would be taken for a sealed one.
const PLAIN: &str = "plain:";

/// What secrets are laid down in and taken out of. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Safe(Option<Arc<Seal>>);

impl Safe {
    /// One that seals with this; without it secrets lie there as they are.
    pub fn new(seal: Option<Arc<Seal>>) -> Self {
        Self(seal)
    }

    /// What it seals with.
    pub fn seal(&self) -> Option<&Arc<Seal>> {
        self.0.as_ref()
    }

    /// A secret as it is laid down for one purpose.
    pub fn keep(&self, secret: &Secret, purpose: &str) -> String {
        match &self.0 {
            Some(seal) => seal.seal(secret, purpose).expect("no secret has 256 GiB"),
            None => {
                let text = secret.expose();
                let ambiguous = text.starts_with(PLAIN) || sealed_with(text).is_some();
                if ambiguous { format!("{PLAIN}{text}") } else { text.to_owned() }
            }
        }
    }

    /// A secret that was laid down for this purpose, sealed or not.
    ///
    /// # Errors
    /// Its key is not there, or it was not sealed by us for this purpose.
    pub fn open(&self, kept: &str, purpose: &str) -> Result<Secret, Unopened> {
        match (sealed_with(kept), &self.0) {
            (None, _) => Ok(Secret::new(kept.strip_prefix(PLAIN).unwrap_or(kept))),
            (Some(_), Some(seal)) => seal.open(kept, purpose),
            (Some(id), None) => Err(Unopened::NoKey { id: id.to_owned() }),
        }
    }

    /// Whether this lies there as it would be laid down now: sealed with the first key, where there is one.
    pub fn is_current(&self, kept: &str) -> bool {
        sealed_with(kept) == self.0.as_ref().map(|seal| seal.key_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::seal::SealKey;

    #[test]
    fn what_lies_in_the_safe_is_found_again_sealed_or_not() {
        let seal = Seal::new(vec![SealKey::of([7; 32])]).map(Arc::new);
        let (plain, sealing) = (Safe::default(), Safe::new(seal));
        for text in ["whsec_abc", "", "s1.", "s1.12345678.AAAA", "plain:", "plain:x", "{\"url\":\"https://a\"}"] {
            let secret = Secret::new(text);
            for (safe, sealed) in [(&plain, false), (&sealing, true)] {
                let kept = safe.keep(&secret, "secrets:replay:");
                assert_eq!(safe.open(&kept, "secrets:replay:"), Ok(secret.clone()), "{text}");
                assert_eq!(sealed_with(&kept).is_some(), sealed, "{text}");
                assert!(safe.is_current(&kept));
            }
            // What was laid down before there was a key.
            let kept = plain.keep(&secret, "p");
            assert_eq!(sealing.open(&kept, "p"), Ok(secret));
            assert!(!sealing.is_current(&kept));
        }
    }

    #[test]
    fn a_key_that_is_gone_is_named() {
        let seal = Seal::new(vec![SealKey::of([7; 32])]).map(Arc::new);
        let kept = Safe::new(seal.clone()).keep(&Secret::new("a"), "p");
        let id = seal.unwrap().key_id().to_owned();
        assert_eq!(Safe::default().open(&kept, "p"), Err(Unopened::NoKey { id: id.clone() }));
        assert!(Unopened::NoKey { id: id.clone() }.to_string().contains(&id));
    }
}
