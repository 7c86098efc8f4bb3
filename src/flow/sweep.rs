//! What a change of the settings leaves is cleared away by the dispatcher's looks, a batch of each at a time.

use super::roster::Roster;
use crate::domain::clock::Timestamp;
use crate::store::{Result, Store};

/// Clears one batch of everything away that is to be. Gives whether there is more to do at once.
///
/// # Errors
/// As the database gives them; the next look goes on.
pub async fn sweep(store: &Store, roster: &Roster, now: Timestamp) -> Result<bool> {
    let mut more = false;
    for one in &roster.sweeps {
        let mut tx = store.write().await?;
        more |= tx.sweep(one, now).await?;
        tx.commit().await?;
    }
    Ok(more)
}

/// Whether this destination's deliveries are being cleared away, held ones at least.
pub fn is_swept(roster: &Roster, name: &str) -> bool {
    use crate::store::SweepKind::{Destination, Held};
    roster.sweeps.iter().any(|sweep| sweep.name == name && matches!(sweep.kind, Destination | Held))
}
