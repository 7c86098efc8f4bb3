//! API keys: made, shown, changed, revoked. The key itself is in one answer only, and nowhere else.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::Services;
use super::super::auth::{self, Caller};
use super::super::problem::Problem;
use super::Answer;
use super::list::{invalid, part};
use super::post::{Change, Changed, Fields, Wanted, settings};
use super::view::Page;
use crate::domain::access::{Right, Role};
use crate::domain::clock::Timestamp;
use crate::domain::id::KeyId;
use crate::domain::secret::Secret;
use crate::domain::spelling::suggestion;
use crate::http::openapi::{Nothing, asked};
use crate::store::{FIRST_KEY, KeyRow, ShownKey, Tx};

const NO_KEY: Problem = Problem::NotFound("there is no key with this id");
/// So many characters name a key.
const NAME_MAX: usize = 100;

/// A key as it is shown; `key` only to who has just made it.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub(in crate::http) struct KeyView<'a> {
    id: &'a str,
    name: &'a str,
    #[schema(value_type = Role)]
    role: &'static str,
    /// Null for `admin`.
    team: Option<&'a str>,
    created_at: Timestamp,
    /// Null where it does not end.
    expires_at: Option<Timestamp>,
    /// To a minute.
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    /// The key itself, in the answer that made it and nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<&'a str>,
}

fn view(shown: &ShownKey) -> KeyView<'_> {
    let KeyRow { id, name, role, team } = &shown.key;
    KeyView {
        id,
        name,
        role: role.as_str(),
        team: team.as_deref(),
        created_at: shown.created_at,
        expires_at: shown.expires_at,
        last_used_at: shown.last_used_at,
        revoked_at: shown.revoked_at,
        key: None,
    }
}

/// List API keys
///
/// Those of one's team, or all; without the keys themselves, which are kept as hashes alone.
#[utoipa::path(get, path = "/keys", security(("key" = ["manage"])), params(asked::Paging), responses(
    (status = 200, description = "All of them", body = Page<KeyView>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Manage).await?;
    let keys = services.store.read().await?.keys(caller.team.as_deref()).await?;
    let shown = keys.iter().map(|key| (key.key.id.clone(), view(key)));
    part(request.query_string(), "keys", &services.roster.now().url_key, shown.collect())
}

/// Show an API key
#[utoipa::path(get, path = "/keys/{id}", security(("key" = ["manage"])), responses(
    (status = 200, description = "It, without the key itself", body = KeyView),
))]
pub(super) async fn show(services: Data<Services>, request: HttpRequest, id: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Manage).await?;
    let key = services.store.read().await?.shown_key(&id, caller.team.as_deref()).await?.ok_or(NO_KEY)?;
    Ok(HttpResponse::Ok().json(view(&key)))
}

/// Make an API key
///
/// `key` of the answer is the key itself; it is never shown again.
#[utoipa::path(post, path = "/keys", security(("key" = ["manage"])), request_body = asked::NewKey, responses(
    (status = 201, description = "It is made, with `key`", body = KeyView),
))]
pub(in crate::http) async fn create(services: Data<Services>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, mut fields| {
        let name = read_name(&mut fields)?;
        let (role, team) = read_role(&mut fields, change)?;
        let expires_at = read_expiry(&mut fields, change.now)?;
        fields.end(&["name", "role", "team", "expires_at"])?;
        let secret = Secret::random("cbk_");
        let key = KeyRow { id: KeyId::new(change.now).to_string(), name, role, team };
        tx.insert_key(&key, &secret.hash(), expires_at, change.now).await?;
        let detail = json!({"name": key.name, "role": role.as_str(), "expires_at": expires_at});
        change.audit(tx, "key.create", &key.id, key.team.as_deref(), Some(detail));
        let made = ShownKey { key, created_at: change.now, expires_at, last_used_at: None, revoked_at: None };
        Ok((StatusCode::CREATED, json!(KeyView { key: Some(secret.expose()), ..view(&made) })))
    })
    .await
}

/// Change an API key
#[utoipa::path(put, path = "/keys/{id}", security(("key" = ["manage"])), request_body = asked::ChangedKey, responses(
    (status = 200, description = "It is changed", body = KeyView),
    (status = 409, description = "It is revoked, or the key of the first start"),
))]
pub(in crate::http) async fn update(services: Data<Services>, id: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, mut fields| {
        let before = changeable(tx, &change.caller, &id).await?;
        if before.revoked_at.is_some() {
            return Err(Problem::Conflict("it is revoked, and stays so; make another one".into()));
        }
        fields.unchanged("role", before.key.role.as_str())?;
        fields.unchanged("team", before.key.team.as_deref().unwrap_or_default())?;
        let name = read_name(&mut fields)?;
        let expires_at = read_expiry(&mut fields, change.now)?;
        fields.end(&["name", "expires_at"])?;
        tx.update_key(&id, &name, expires_at).await?;
        let detail = json!({"name": name, "expires_at": expires_at});
        change.audit(tx, "key.update", &id, before.key.team.as_deref(), Some(detail));
        let after = ShownKey { key: KeyRow { name, ..before.key }, expires_at, ..before };
        Ok((StatusCode::OK, json!(view(&after))))
    })
    .await
}

/// Revoke an API key
///
/// From this moment on it is no key.
#[utoipa::path(delete, path = "/keys/{id}", security(("key" = ["manage"])), request_body = Nothing, responses(
    (status = 204, description = "It is revoked"),
    (status = 409, description = "It is the key of the first start"),
))]
pub(in crate::http) async fn revoke(services: Data<Services>, id: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Manage, async |change, tx, fields| {
        fields.end(&[])?;
        let before = changeable(tx, &change.caller, &id).await?;
        tx.revoke_key(&id, change.now).await?;
        let detail = json!({"name": before.key.name});
        change.audit(tx, "key.revoke", &id, before.key.team.as_deref(), Some(detail));
        Ok((StatusCode::NO_CONTENT, Value::Null))
    })
    .await
}

/// A key that is there for the caller, and is not that of the first start.
async fn changeable(tx: &mut Tx, caller: &Caller, id: &str) -> Result<ShownKey, Problem> {
    let found = tx.shown_key(id, caller.team.as_deref()).await?.ok_or(NO_KEY)?;
    if found.key.name == FIRST_KEY {
        let detail = "it is the key of the first start, kept in callboard.key: set `server.admin_key` to put another in its \
                      place";
        return Err(Problem::Conflict(detail.into()));
    }
    Ok(found)
}

fn read_name(fields: &mut Fields) -> Result<String, Problem> {
    let name = fields.needed("name")?;
    let is_good = (1..=NAME_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if !is_good || name == FIRST_KEY {
        let detail = format!("write 1 to {NAME_MAX} characters that are no control characters, and not `{FIRST_KEY}`");
        return Err(invalid("name", detail));
    }
    Ok(name)
}

/// The role, and the team whose key it is to be.
fn read_role(fields: &mut Fields, change: &Change) -> Result<(Role, Option<String>), Problem> {
    let word = fields.needed("role")?;
    let role = Role::parse(&word).ok_or_else(|| {
        let known = suggestion(&word, Role::ALL.map(Role::as_str));
        invalid("role", format!("there is no role `{word}`; {known}"))
    })?;
    let team = fields.text("team")?;
    if role == Role::Admin {
        if !change.caller.role.has(Right::Administer) {
            return Err(Problem::Forbidden { role: change.caller.role, right: Right::Administer });
        }
        return match team {
            None => Ok((role, None)),
            Some(_) => Err(invalid("team", "an `admin` key is of no team; leave it out")),
        };
    }
    let team = team.or_else(|| change.caller.team.clone());
    let Some(team) = team else { return Err(invalid("team", format!("a `{word}` key is of one team: name it"))) };
    if !change.roster.teams.contains(&team) || !change.scope.sees_team(&team) {
        return Err(invalid("team", format!("there is no team `{team}`; make it with POST /api/v1/teams first")));
    }
    Ok((role, Some(team)))
}

fn read_expiry(fields: &mut Fields, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let expires_at = fields.time("expires_at")?;
    match expires_at {
        Some(at) if at <= now => {
            Err(invalid("expires_at", "it is in the past; leave it out for a key that does not end"))
        }
        other => Ok(other),
    }
}
