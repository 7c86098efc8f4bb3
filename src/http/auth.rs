//! Who is asking: the key of a request, what it is for and what it may see.

use actix_web::HttpRequest;
use actix_web::http::header;

use super::Services;
use super::problem::Problem;
use crate::domain::access::{Right, Role, Scope};
use crate::domain::secret::Secret;
use crate::flow::roster::Roster;
use crate::flow::uses::Used;
use crate::store::{Actor, KeyRow};

/// The administrator's key of the configuration; without one the key of the first start counts.
#[derive(Clone, Debug)]
pub struct AdminKey(Option<String>);

impl AdminKey {
    /// Keeps only the hash.
    pub fn new(configured: Option<&Secret>) -> Self {
        Self(configured.map(Secret::hash))
    }

    /// The hash, if one is configured.
    pub(super) fn hash(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// The header in which a client that relays sends its key.
const RELAY_KEY: &str = "x-callboard-key";

/// Whoever sent a request, by the key that it carries.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The key's id; `None` for the administrator's of the configuration.
    pub(super) key_id: Option<String>,
    /// What the key is called.
    pub(super) key_name: String,
    /// What the key is for.
    pub(super) role: Role,
    /// Whose it is; `None` for an administrator's.
    pub(super) team: Option<String>,
}

impl Caller {
    /// What may be seen with the key at this moment.
    pub(super) fn scope(&self, roster: &Roster) -> Scope {
        self.team.as_deref().map_or(Scope::All, |team| roster.scope_of(team))
    }

    /// Who it is in the audit log.
    pub(super) fn actor(&self) -> Actor {
        Actor { key_id: self.key_id.clone(), key_name: self.key_name.clone(), team: self.team.clone() }
    }
}

/// Whose request it is, if its key has this right.
///
/// # Errors
/// [`Problem::Unauthorized`] without a key that holds, [`Problem::Forbidden`] if it is for something else.
pub(super) async fn caller(request: &HttpRequest, services: &Services, right: Right) -> Result<Caller, Problem> {
    let key = bearer(request).ok_or(Problem::Unauthorized)?;
    let caller = known(&key, services).await?.ok_or(Problem::Unauthorized)?;
    if caller.role.has(right) { Ok(caller) } else { Err(Problem::Forbidden { role: caller.role, right }) }
}

/// Whose request it is that is to be relayed. Its key comes in a header of ours: `Authorization` is for the provider.
///
/// # Errors
/// [`Problem::NoRelayKey`] without a key that holds, [`Problem::Forbidden`] if it is for something else.
pub(super) async fn relay(request: &HttpRequest, services: &Services) -> Result<Caller, Problem> {
    let key = request.headers().get(RELAY_KEY).and_then(|value| value.to_str().ok()).ok_or(Problem::NoRelayKey)?;
    let caller = known(&Secret::new(key.trim()), services).await?.ok_or(Problem::NoRelayKey)?;
    let right = Right::Submit;
    if caller.role.has(right) { Ok(caller) } else { Err(Problem::Forbidden { role: caller.role, right }) }
}

/// Whose key this is; `None` if it does not hold.
///
/// # Errors
/// As the database gives them.
pub(super) async fn known(key: &Secret, services: &Services) -> Result<Option<Caller>, Problem> {
    let hash = key.hash();
    // Hashes are compared: how long it takes says nothing of the key.
    if services.admin.hash() == Some(hash.as_str()) {
        return Ok(Some(administrator()));
    }
    let found = services.store.read().await?.key(&hash, services.clock.now()).await?;
    Ok(found.map(|key| holder(services, key)))
}

/// Whoever has the administrator's key of the configuration.
pub(super) fn administrator() -> Caller {
    Caller { key_id: None, key_name: "server.admin_key".to_owned(), role: Role::Admin, team: None }
}

/// Whoever has this key, which is used now.
pub(super) fn holder(services: &Services, key: KeyRow) -> Caller {
    services.roster.now().uses.of(Used::Key(key.id.clone())).note(services.clock.now());
    Caller { key_id: Some(key.id), key_name: key.name, role: key.role, team: key.team }
}

/// The key of a request.
pub(super) fn bearer(request: &HttpRequest) -> Option<Secret> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(key.trim()))
}
