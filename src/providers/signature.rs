//! The signature families that providers use, as checks of a callback as it came in.

use std::time::Duration;

use subtle::{Choice, ConstantTimeEq};

use super::{Inbound, Rejection, Unverified};
use crate::domain::clock::Timestamp;
use crate::domain::id::EventId;
use crate::domain::secret::Secret;
use crate::domain::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, standard_webhooks};

/// How far the time of signing may lie from ours, back and ahead: the five minutes of the Standard
/// Webhooks libraries.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Checks a Standard Webhooks signature: one of the header's signatures must be that of one of
/// `secrets`, so that either side may rotate, and its time within [`TOLERANCE`] of our receipt.
///
/// # Errors
/// Which header is missing or unreadable, how old it is, or that no secret fits. A secret that is not
/// usable fits nothing here; the configuration refuses it.
pub fn standard_webhooks_verify(inbound: &Inbound<Unverified>, secrets: &[Secret]) -> Result<(), Rejection> {
    let id = required(inbound, ID_HEADER)?;
    let timestamp = required(inbound, TIMESTAMP_HEADER)?;
    let signatures = required(inbound, SIGNATURE_HEADER)?;

    let seconds = seconds_since_1970(timestamp)?;
    check_age(seconds, inbound.received_at())?;

    let candidates = || signatures.split(' ').filter(|signature| signature.starts_with("v1,"));
    if candidates().next().is_none() {
        return Err(Rejection::Malformed { header: SIGNATURE_HEADER, expected: "a list of `v1,<base64>`" });
    }
    // Every pair is compared to the end: neither which secret fits nor how far one fits shows in the time.
    let mut fits = Choice::from(0);
    for secret in secrets {
        let Ok(expected) = standard_webhooks(secret, id, seconds, inbound.signed_bytes()) else { continue };
        for candidate in candidates() {
            fits |= expected.as_bytes().ct_eq(candidate.as_bytes());
        }
    }
    if fits.into() { Ok(()) } else { Err(Rejection::Mismatch(SIGNATURE_HEADER)) }
}

/// The headers of a Standard Webhooks signature made now, with a new id. None where the secret cannot sign.
pub fn standard_webhooks_headers(secret: &Secret, body: &[u8], now: Timestamp) -> Vec<(&'static str, String)> {
    let id = EventId::new(now).to_string().replace("evt_", "msg_");
    let seconds = now.0.div_euclid(1000);
    let Ok(signature) = standard_webhooks(secret, &id, seconds, body) else { return Vec::new() };
    vec![(ID_HEADER, id), (TIMESTAMP_HEADER, seconds.to_string()), (SIGNATURE_HEADER, signature)]
}

fn required<'a>(inbound: &'a Inbound<Unverified>, header: &'static str) -> Result<&'a str, Rejection> {
    inbound.header(header).filter(|value| !value.is_empty()).ok_or(Rejection::Missing(header))
}

fn seconds_since_1970(text: &str) -> Result<i64, Rejection> {
    // `parse` alone would take a sign, and so a second spelling of what was signed.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or(Rejection::Malformed { header: TIMESTAMP_HEADER, expected: "a whole number of seconds since 1970" })
}

fn check_age(signed_at: i64, received_at: Timestamp) -> Result<(), Rejection> {
    let off = received_at.0.div_euclid(1000).saturating_sub(signed_at);
    let by = Duration::from_secs(off.unsigned_abs());
    if by > TOLERANCE {
        return Err(Rejection::Age { by, ahead: off < 0, allowed: TOLERANCE });
    }
    Ok(())
}
