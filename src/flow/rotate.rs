//! Changing the secret of a destination without losing a delivery.

use std::time::Duration;

use serde_json::Value;

use crate::domain::clock::Timestamp;
use crate::domain::destination::Destination;
use crate::domain::safe::Safe;
use crate::domain::secret::Secret;
use crate::domain::signature::new_secret;
use crate::store::{Result, Tx};

/// For so long the secrets of before go on signing.
const GO_ON: Duration = Duration::from_secs(24 * 60 * 60);
/// So many secrets sign at most.
const SIGN_MAX: usize = 3;

/// Makes a new secret of a destination, which signs first. Those of before go on for a day, the newest two of them.
///
/// # Errors
/// As the database gives them.
pub async fn rotated(tx: &mut Tx, safe: &Safe, destination: &Destination, now: Timestamp) -> Result<Secret> {
    let purpose = ("destination", destination.name.as_str());
    // Those that were given are kept from here on with those that we make.
    let given = match destination.settings.get("secret") {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(text)) => vec![text.as_str()],
        _ => Vec::new(),
    };
    if !given.is_empty() {
        for text in given.iter().rev() {
            tx.add_secret(safe, purpose, &Secret::new(*text), now).await?;
        }
        let mut without = destination.clone();
        without.settings.remove("secret");
        tx.update_destination(safe, &without, now).await?;
    }
    tx.retire_secrets(purpose, now.after(GO_ON)).await?;
    let secret = new_secret();
    tx.add_secret(safe, purpose, &secret, now).await?;
    for too_many in tx.kept_secrets(safe, purpose, now).await?.into_iter().skip(SIGN_MAX) {
        tx.drop_secret(purpose, too_many.number).await?;
    }
    Ok(secret)
}
