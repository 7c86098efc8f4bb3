//! Who may manage: `Authorization: Bearer KEY`.

use actix_web::HttpRequest;
use actix_web::http::header;

use super::Services;
use super::problem::Problem;
use crate::domain::secret::Secret;

/// The administrator's key of the configuration; without one the key of the first start counts.
#[derive(Clone, Debug)]
pub struct AdminKey(Option<String>);

impl AdminKey {
    /// Keeps only the hash.
    pub fn new(configured: Option<&Secret>) -> Self {
        Self(configured.map(Secret::hash))
    }
}

const ADMIN: &str = "admin";
/// The header in which a client that relays sends its key.
const RELAY_KEY: &str = "x-callboard-key";

/// Lets the administrator pass.
///
/// # Errors
/// [`Problem::Unauthorized`] for everybody else.
pub(super) async fn admin(request: &HttpRequest, services: &Services) -> Result<(), Problem> {
    let key = bearer(request).ok_or(Problem::Unauthorized)?;
    if is_admins(&key, services).await? { Ok(()) } else { Err(Problem::Unauthorized) }
}

/// Lets pass who may relay. Its key comes in a header of ours: `Authorization` is for the provider.
///
/// # Errors
/// [`Problem::NoRelayKey`] for everybody else.
pub(super) async fn relay(request: &HttpRequest, services: &Services) -> Result<(), Problem> {
    let key = request.headers().get(RELAY_KEY).and_then(|value| value.to_str().ok()).ok_or(Problem::NoRelayKey)?;
    if is_admins(&Secret::new(key.trim()), services).await? { Ok(()) } else { Err(Problem::NoRelayKey) }
}

async fn is_admins(key: &Secret, services: &Services) -> Result<bool, Problem> {
    let hash = key.hash();
    // Hashes are compared: how long it takes says nothing of the key.
    if services.admin.0.as_ref().is_some_and(|configured| *configured == hash) {
        return Ok(true);
    }
    let mut tx = services.store.read().await?;
    Ok(tx.key(&hash, services.clock.now()).await?.is_some_and(|found| found.role == ADMIN))
}

fn bearer(request: &HttpRequest) -> Option<Secret> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(key.trim()))
}
