//! The signature of Standard Webhooks: what we sign with, and what some providers sign with.
//! <https://www.standardwebhooks.com>, "Signature scheme".

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret::Secret;

/// What a secret begins with; it is not part of the key.
const PREFIX: &str = "whsec_";

/// Secrets are seen with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret that is no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a signing secret is base64 (A-Z a-z 0-9 + /), with or without `whsec_` before it")]
pub struct BadSecret;

/// Signs a message: `v1,` and the base64 of HMAC-SHA256 over `{id}.{seconds}.{body}`. `seconds` since
/// 1970 is when it is sent.
///
/// # Errors
/// The secret is no key.
pub fn standard_webhooks(secret: &Secret, id: &str, seconds: i64, body: &[u8]) -> Result<String, BadSecret> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)?).map_err(|_| BadSecret)?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", BASE64.encode(mac.finalize().into_bytes())))
}

/// Whether the secret can sign.
///
/// # Errors
/// It cannot.
pub fn check_secret(secret: &Secret) -> Result<(), BadSecret> {
    key(secret).map(|_| ())
}

fn key(secret: &Secret) -> Result<Vec<u8>, BadSecret> {
    let text = secret.expose();
    let bytes = BASE64.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| BadSecret)?;
    if bytes.is_empty() { Err(BadSecret) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_published_example_holds() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature =
            standard_webhooks(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["", "whsec_", "whsec_not base64", "whsec_a-b_c"] {
            assert_eq!(check_secret(&Secret::new(bad)), Err(BadSecret), "{bad}");
        }
        for good in ["whsec_c2VjcmV0", "c2VjcmV0MQ", "c2VjcmV0MQ=="] {
            assert_eq!(check_secret(&Secret::new(good)), Ok(()), "{good}");
        }
    }
}
