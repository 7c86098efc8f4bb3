//! Teams.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use serde_json::json;

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::Answer;
use super::list::{invalid, whole};
use super::post::once;
use crate::config::value::name as check_name;
use crate::domain::access::Right;

pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let scope = caller.scope(&roster);
    let seen = roster.teams.iter().filter(|name| scope.sees_team(name));
    Ok(whole(seen.map(|name| json!({"name": name})).collect()))
}

pub(super) async fn create(services: Data<Services>, request: HttpRequest, body: Payload) -> Answer {
    let answer = once(&services, &request, body, Right::Administer, async |_, tx, mut fields| {
        let name = fields.needed("name")?;
        fields.end(&["name"])?;
        check_name(&name).map_err(|problem| invalid("name", problem))?;
        let taken = || Problem::Conflict(format!("there is a team `{name}` already"));
        if services.roster.now().teams.contains(&name) {
            return Err(taken());
        }
        tx.insert_team(&name, services.clock.now())
            .await
            .map_err(|error| if error.is_taken() { taken() } else { error.into() })?;
        Ok((StatusCode::CREATED, json!({"name": name})))
    })
    .await?;
    services.settings_changed().await;
    Ok(answer)
}
