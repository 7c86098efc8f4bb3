//! Sealing: secrets of others that we keep are encrypted with a key that does not lie beside them.
//!
//! XChaCha20-Poly1305 with a random nonce of 24 bytes. What is sealed begins with the id of the key that
//! sealed it, so that a key can be changed while things sealed with the old one are still there; and it opens
//! only for the purpose that it was sealed for, so that it is of no use in another place.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use rand::RngExt;
use sha2::{Digest, Sha256};

use super::secret::Secret;

/// What everything that we seal begins with.
const VERSION: &str = "s1";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// So many characters of a key's hash name it.
const ID_CHARS: usize = 8;

/// One key: 32 bytes.
#[derive(Clone)]
pub struct SealKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

impl SealKey {
    /// Reads a key: 32 bytes in base64, of either alphabet.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('=');
        let bytes = URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD.decode(format!("{text}="))).ok()?;
        Some(Self::of(bytes.try_into().ok()?))
    }

    /// The key of these bytes.
    pub fn of(bytes: [u8; KEY_BYTES]) -> Self {
        let id = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { id: id[..ID_CHARS].to_owned(), cipher: XChaCha20Poly1305::new(&bytes.into()) }
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.id)
    }
}

/// What seals and opens.
#[derive(Clone)]
pub struct Seal {
    first: SealKey,
    older: Vec<SealKey>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    /// Seals with the first key; the others still open what they have sealed. `None` without any.
    pub fn new(keys: Vec<SealKey>) -> Option<Self> {
        let mut keys = keys.into_iter();
        Some(Self { first: keys.next()?, older: keys.collect() })
    }

    /// The id of the key that seals: eight hexadecimal digits of its hash.
    pub fn key_id(&self) -> &str {
        &self.first.id
    }

    /// Encrypts a secret for one purpose. `None` only where it is longer than the cipher takes: 256 GiB.
    pub fn seal(&self, secret: &Secret, purpose: &str) -> Option<String> {
        let nonce: [u8; NONCE_BYTES] = rand::rng().random();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: purpose.as_bytes() };
        let sealed = self.first.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let bytes = [nonce.as_slice(), &sealed].concat();
        Some(format!("{VERSION}.{}.{}", self.first.id, URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Decrypts what was sealed for this purpose.
    ///
    /// # Errors
    /// Its key is not there, or it is not what we sealed for this purpose.
    pub fn open(&self, sealed: &str, purpose: &str) -> Result<Secret, Unopened> {
        let mut parts = sealed.split('.');
        let (Some(VERSION), Some(id), Some(text), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Unopened::Broken);
        };
        let key = std::iter::once(&self.first).chain(&self.older).find(|key| key.id == id);
        let key = key.ok_or_else(|| Unopened::NoKey { id: id.to_owned() })?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Unopened::Broken)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(Unopened::Broken)?;
        let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
        let opened = key.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Unopened::Broken)?;
        String::from_utf8(opened).map(Secret::new).map_err(|_| Unopened::Broken)
    }
}

/// The id of the key that sealed this. `None` where it is nothing that we sealed.
pub fn sealed_with(text: &str) -> Option<&str> {
    let (id, _) = text.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')?;
    Some(id)
}

/// Why something sealed stays closed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unopened {
    /// It was sealed with a key that is not there.
    #[error("it was sealed with the key `{id}`, which is not there")]
    NoKey {
        /// The key's id.
        id: String,
    },
    /// It is not what we sealed for this purpose.
    #[error("it is damaged, or was sealed for something else")]
    Broken,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SealKey {
        SealKey::parse(text).unwrap()
    }

    fn keys() -> (SealKey, SealKey) {
        (key(Secret::random("").expose()), key(&STANDARD.encode([7_u8; 32])))
    }

    #[test]
    fn what_is_sealed_opens_again_for_its_purpose_alone() {
        let (one, _) = keys();
        let seal = Seal::new(vec![one]).unwrap();
        let secret = Secret::new("Bearer sk-client-1");
        let sealed = seal.seal(&secret, "intent:evolink").unwrap();
        assert!(!sealed.contains("sk-client-1"));
        assert_ne!(seal.seal(&secret, "intent:evolink"), Some(sealed.clone()), "every nonce is another");
        assert_eq!(seal.open(&sealed, "intent:evolink"), Ok(secret));
        assert_eq!(seal.open(&sealed, "intent:replicate"), Err(Unopened::Broken));
        let mut damaged = sealed.clone();
        damaged.pop();
        assert_eq!(seal.open(&damaged, "intent:evolink"), Err(Unopened::Broken));
        for other in ["", "s1", "s1.x.y", "s2.12345678.AAAA", &format!("{sealed}.x")] {
            assert!(seal.open(other, "intent:evolink").is_err(), "{other}");
        }
    }

    #[test]
    fn an_older_key_opens_and_no_longer_seals() {
        let (old, new) = keys();
        let sealed = Seal::new(vec![old.clone()]).unwrap().seal(&Secret::new("a"), "p").unwrap();
        let both = Seal::new(vec![new.clone(), old]).unwrap();
        assert_eq!(both.open(&sealed, "p"), Ok(Secret::new("a")));
        let resealed = both.seal(&Secret::new("a"), "p").unwrap();
        let only_new = Seal::new(vec![new]).unwrap();
        assert_eq!(only_new.open(&resealed, "p"), Ok(Secret::new("a")));
        let id = sealed_with(&sealed).unwrap().to_owned();
        assert_eq!(only_new.open(&sealed, "p"), Err(Unopened::NoKey { id }));
        assert_eq!(sealed_with(&resealed), Some(only_new.key_id()));
    }

    #[test]
    fn a_key_is_32_bytes() {
        assert!(SealKey::parse(&STANDARD.encode([255_u8; 32])).is_some());
        assert!(SealKey::parse(&format!(" {}\n", URL_SAFE_NO_PAD.encode([255_u8; 32]))).is_some());
        for text in ["", "short", &STANDARD.encode([1_u8; 31]), &STANDARD.encode([1_u8; 33])] {
            assert!(SealKey::parse(text).is_none(), "{text}");
        }
        assert!(Seal::new(Vec::new()).is_none());
        assert_eq!(format!("{:?}", Seal::new(vec![keys().0]).unwrap()), "Seal(…)");
    }

    /// Test vector of draft-irtf-cfrg-xchacha-03, A.3.1: the cipher is the one that it says.
    #[test]
    fn the_cipher_is_xchacha20_poly1305() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
        };
        let key: [u8; 32] = std::array::from_fn(|at| 0x80 + at as u8);
        let nonce: [u8; 24] = std::array::from_fn(|at| 0x40 + at as u8);
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
            sunscreen would be it.";
        let aad = hex("50515253c0c1c2c3c4c5c6c7");
        let payload = Payload { msg: text, aad: &aad };
        let sealed = XChaCha20Poly1305::new(&key.into()).encrypt(&XNonce::from(nonce), payload).unwrap();
        assert_eq!(sealed[..16], hex("bd6d179d3e83d43b9576579493c0e939"));
        assert_eq!(sealed[text.len()..], hex("c0875924c1c7987947deafd8780acf49"));
    }
}
