//! Sessions: a random token in a cookie, and a row with its hash.

use std::time::Duration;

use actix_web::HttpRequest;

use super::super::Services;
use super::super::auth::{self, Caller};
use super::super::problem::Problem;
use super::carriage::Carriage;
use super::cookie;
use crate::domain::clock::Timestamp;
use crate::domain::secret::Secret;
use crate::store::{NewSession, Session as Row};

/// A session that is not used ends after this.
const IDLE: Duration = Duration::from_secs(12 * 60 * 60);
/// However much it is used, it ends after this.
pub(super) const LASTS: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// It is noted no more often than this that it is used.
const NOTED_EVERY: Duration = Duration::from_secs(5 * 60);

/// A session that holds, and whose it is.
#[derive(Clone)]
pub(super) struct Session {
    /// Who signed in.
    pub(super) caller: Caller,
    token: Secret,
}

impl Session {
    /// The session of a request, if it has one that holds.
    ///
    /// # Errors
    /// As the database gives them.
    pub(super) async fn of(request: &HttpRequest, services: &Services) -> Result<Option<Self>, Problem> {
        let Some(token) = token(request, services) else { return Ok(None) };
        let (hash, now) = (token.hash(), services.clock.now());
        let found = services.store.read().await?.session(&hash, services.admin.hash(), now).await?;
        let Some(row) = found else { return Ok(None) };
        keep(services, &hash, &row, now).await?;
        let caller = row.key.map_or_else(auth::administrator, |key| auth::holder(services, key));
        Ok(Some(Self { caller, token }))
    }

    /// Begins one for a caller; gives its token, which goes into the cookie and nowhere else.
    ///
    /// # Errors
    /// As the database gives them.
    pub(super) async fn begin(services: &Services, caller: &Caller) -> Result<Secret, Problem> {
        let (token, now) = (Secret::random(""), services.clock.now());
        let session = NewSession {
            hash: token.hash(),
            key_id: caller.key_id.clone(),
            admin_hash: if caller.key_id.is_none() { services.admin.hash().map(str::to_owned) } else { None },
            ends_at: now.after(LASTS),
            expires_at: now.after(IDLE),
        };
        let mut tx = services.store.write().await?;
        tx.insert_session(&session, now).await?;
        tx.commit().await?;
        Ok(token)
    }

    /// What every form of this session carries, and no other page can know.
    pub(super) fn form_token(&self) -> String {
        Secret::new(format!("form {}", self.token.expose())).hash()
    }

    /// Whether a form carries it.
    pub(super) fn made(&self, form_token: &str) -> bool {
        Secret::new(self.form_token()).matches(form_token)
    }
}

/// Ends the session of a request, if it has one.
///
/// # Errors
/// As the database gives them.
pub(super) async fn end(request: &HttpRequest, services: &Services) -> Result<(), Problem> {
    let Some(token) = token(request, services) else { return Ok(()) };
    let mut tx = services.store.write().await?;
    tx.delete_session(&token.hash()).await?;
    Ok(tx.commit().await?)
}

fn token(request: &HttpRequest, services: &Services) -> Option<Secret> {
    let name = cookie::session_name(request, Carriage::of(request, services))?;
    cookie::read(request, &name).map(Secret::new)
}

/// Puts off the end of a session that is used.
async fn keep(services: &Services, hash: &str, row: &Row, now: Timestamp) -> Result<(), Problem> {
    let until = now.after(IDLE).min(row.ends_at);
    if until.since(row.expires_at) < NOTED_EVERY {
        return Ok(());
    }
    let mut tx = services.store.write().await?;
    tx.extend_session(hash, until).await?;
    Ok(tx.commit().await?)
}
