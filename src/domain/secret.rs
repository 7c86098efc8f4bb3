//! Key material that never shows itself by accident.

use std::fmt;

use rand::RngExt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A token, signing secret or key. `Debug` hides it; only [`Secret::expose`] shows it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret as it was configured or stored.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// 256 random bits as 43 URL-safe characters behind `prefix`.
    pub fn random(prefix: &str) -> Self {
        let bits: [u8; 32] = rand::rng().random();
        Self(format!("{prefix}{}", encode(&bits)))
    }

    /// The secret itself, for signing, comparing or the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this secret, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// SHA-256 in hex: what is stored of a key that only has to be recognised.
    pub fn hash(&self) -> String {
        Sha256::digest(self.0.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::random("whsec_");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(secret.expose().starts_with("whsec_"));
        assert!(secret.matches(secret.expose()));
        assert!(!secret.matches("whsec_"));
    }
}
