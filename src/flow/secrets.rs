//! Secrets at rest: sealed at start where they lie there as they are, and sealed anew when the key is changed.

use std::sync::Arc;

use super::relay;
use crate::domain::clock::Timestamp;
use crate::domain::safe::Safe;
use crate::domain::seal::Seal;
use crate::store::{Actor, Error, Place, Result, Store, Tx, closed};

/// So many keys of clients are sealed anew in one transaction.
const BATCH: usize = 200;

/// Looks whether every secret of the settings can be opened, and seals those that lie there as they are, if there is
/// a key. Gives how many were sealed.
///
/// # Errors
/// [`Error::Unusable`], which names the key, where one is sealed with a key that is not there; nothing was changed then.
pub async fn seal_plain(store: &Store, safe: &Safe) -> Result<usize> {
    let mut tx = store.write().await?;
    let mut sealed = 0;
    for (place, kept) in tx.kept_settings().await? {
        let is_plain = crate::domain::seal::sealed_with(&kept).is_none();
        let laid = laid_down_anew(safe, &place, &kept)?;
        if is_plain && safe.seal().is_some() {
            tx.lay_down(&place, &kept, &laid).await?;
            sealed += 1;
        }
    }
    tx.commit().await?;
    Ok(sealed)
}

/// Seals every secret anew that is not sealed with the first key of `seal`: the settings in one transaction, the keys
/// of clients in batches. Gives how many those were. The service may run meanwhile, if it knows both keys.
///
/// # Errors
/// [`Error::Unusable`], which names the key, where one is sealed with a key that is not there; else as the database
/// gives them. What was sealed anew before stays so, and another run goes on.
pub async fn reseal(store: &Store, seal: &Seal, now: Timestamp) -> Result<usize> {
    let safe = Safe::new(Some(Arc::new(seal.clone())));
    let mut tx = store.write().await?;
    let all = tx.kept_settings().await?;
    let mut many = lay_down(&mut tx, &safe, &all).await?;
    let by = Actor { key_id: None, key_name: "callboard keys rotate-secrets".into(), team: None };
    tx.audit(&by, "secrets.reseal", seal.key_id(), None, now);
    tx.commit().await?;
    let mut behind = (String::new(), String::new());
    loop {
        let mut tx = store.write().await?;
        let batch = tx.kept_client_keys((&behind.0, &behind.1), BATCH).await?;
        many += lay_down(&mut tx, &safe, &batch).await?;
        tx.commit().await?;
        match batch.last() {
            Some((Place::Intent { id, source }, _)) => behind = (source.clone(), id.clone()),
            _ => return Ok(many),
        }
    }
}

async fn lay_down(tx: &mut Tx, safe: &Safe, all: &[(Place, String)]) -> Result<usize> {
    let mut many = 0;
    for (place, kept) in all.iter().filter(|(_, kept)| !safe.is_current(kept)) {
        let laid = laid_down_anew(safe, place, kept)?;
        tx.lay_down(place, kept, &laid).await?;
        many += 1;
    }
    Ok(many)
}

fn laid_down_anew(safe: &Safe, place: &Place, kept: &str) -> std::result::Result<String, Error> {
    let purpose = match place {
        Place::Intent { source, .. } => relay::purpose(source),
        other => other.sealed_for().unwrap_or_default(),
    };
    let secret = safe.open(kept, &purpose).map_err(|problem| closed(&place.title(), &problem))?;
    Ok(safe.keep(&secret, &purpose))
}
