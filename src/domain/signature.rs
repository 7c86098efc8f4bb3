//! Standard Webhooks signatures: the one primitive that both directions share.
//!
//! A signature is `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, with the bytes behind the
//! secret's base64 as the key (<https://www.standardwebhooks.com>). Providers check with it what comes
//! in, webhook destinations are signed with it.

use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use sha2::Sha256;

use super::secret::Secret;

/// What a secret may begin with; it is no part of the key.
pub const SECRET_PREFIX: &str = "whsec_";
/// The header with the message's id.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the time of signing, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures, separated by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// Secrets are copied by hand, and some consoles leave the padding off.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a signing secret cannot be used. The secret itself is not in the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadSecret {
    /// It holds characters that base64 does not have, or was cut off.
    #[error("a signing secret is base64 (A-Z a-z 0-9 + /), optionally behind `whsec_`, and this is not; copy it whole")]
    NotBase64,
    /// There is nothing behind the prefix.
    #[error("a signing secret has base64 behind `whsec_`, and here is nothing")]
    Empty,
}

/// Whether `secret` can sign: standard base64 of at least one byte, padded or not, `whsec_` optional.
/// Standard Webhooks recommends 24 to 64 bytes; shorter ones are the other side's choice.
///
/// # Errors
/// What is wrong with it.
pub fn check_secret(secret: &Secret) -> Result<(), BadSecret> {
    key(secret).map(drop)
}

/// A new secret of 256 random bits, in padded standard base64, which every library reads.
pub fn new_secret() -> Secret {
    let bits: [u8; 32] = rand::rng().random();
    Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bits)))
}

/// The signature `v1,<base64>` of a message with this id, signed at `seconds` since 1970, over the
/// exact bytes of `body`.
///
/// # Errors
/// When `secret` is not usable, see [`check_secret`].
pub fn standard_webhooks(secret: &Secret, id: &str, seconds: i64, body: &[u8]) -> Result<String, BadSecret> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)?).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

fn key(secret: &Secret) -> Result<Vec<u8>, BadSecret> {
    let text = secret.expose();
    let key = TOLERANT.decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text)).map_err(|_| BadSecret::NotBase64)?;
    if key.is_empty() { Err(BadSecret::Empty) } else { Ok(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(secret: &str, id: &str, seconds: i64, body: &str) -> Result<String, BadSecret> {
        standard_webhooks(&Secret::new(secret), id, seconds, body.as_bytes())
    }

    /// The example that the Standard Webhooks libraries share.
    #[test]
    fn the_published_vector_of_standard_webhooks() {
        let signed = |secret| {
            signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#).unwrap()
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), expected);
        assert_eq!(signed("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), expected);
    }

    /// The example on Kling's callback page, whose secret ends in padding.
    #[test]
    fn the_published_vector_of_kling() {
        let body = r#"{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,"update_time":1781080794151}"#;
        let expected = "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4=";
        for secret in
            ["whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI=", "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI"]
        {
            assert_eq!(signature(secret, "9876543210", 1_781_080_794, body).unwrap(), expected);
        }
    }

    #[test]
    fn every_part_of_a_message_is_signed() {
        let signed = |id, seconds, body| signature("c2VjcmV0", id, seconds, body).unwrap();
        let first = signed("a", 1, "{}");
        for other in [signed("b", 1, "{}"), signed("a", 2, "{}"), signed("a", 1, "{ }")] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        for (secret, expected) in [
            ("whsec_", BadSecret::Empty),
            ("", BadSecret::Empty),
            ("whsec_hunter2-hunter2", BadSecret::NotBase64),
            ("whsec_c2Vj cmV0", BadSecret::NotBase64),
            ("whsec_c2VjcmV0\n", BadSecret::NotBase64),
            ("whsec_geheimnis_mit_ü", BadSecret::NotBase64),
        ] {
            let refused = check_secret(&Secret::new(secret)).unwrap_err();
            assert_eq!(refused, expected, "{secret}");
            assert!(!refused.to_string().contains("hunter2"));
            assert_eq!(signature(secret, "a", 1, "{}"), Err(expected));
        }
    }

    #[test]
    fn a_new_secret_is_one_that_the_public_library_takes() {
        let secret = new_secret();
        let library = standardwebhooks::Webhook::new(secret.expose()).unwrap();
        assert_eq!(
            library.sign("msg_1", 1_700_000_000, b"{}").unwrap(),
            signature(secret.expose(), "msg_1", 1_700_000_000, "{}").unwrap()
        );
        assert_ne!(secret, new_secret());
    }
}
