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

/// Lets the administrator pass.
///
/// # Errors
/// [`Problem::Unauthorized`] for everybody else.
pub(super) async fn admin(request: &HttpRequest, services: &Services) -> Result<(), Problem> {
    let key = bearer(request).ok_or(Problem::Unauthorized)?;
    let hash = key.hash();
    // Hashes are compared: how long it takes says nothing of the key.
    if services.admin.0.as_ref().is_some_and(|configured| *configured == hash) {
        return Ok(());
    }
    let mut tx = services.store.read().await?;
    match tx.key(&hash, services.clock.now()).await? {
        Some(found) if found.role == ADMIN => Ok(()),
        _ => Err(Problem::Unauthorized),
    }
}

fn bearer(request: &HttpRequest) -> Option<Secret> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(key.trim()))
}
