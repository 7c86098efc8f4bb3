//! Teams.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::Answer;
use super::list::{invalid, part};
use super::post::{Change, Changed, Fields, Wanted, settings};
use super::view::Page;
use crate::config::value::name as check_name;
use crate::domain::access::Right;
use crate::flow::roster::Roster;
use crate::http::openapi::{Nothing, asked};
use crate::store::MadeTeam;

const NO_TEAM: Problem = Problem::NotFound("there is no team of this name");
/// So many characters say what a team is.
const DESCRIPTION_MAX: usize = 1000;

/// A team as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Team)]
pub(in crate::http) struct TeamView<'a> {
    name: &'a str,
    /// What it is, for people.
    description: Option<&'a str>,
    /// It exists because the file names it.
    from_file: bool,
}

fn view<'a>(roster: &'a Roster, name: &'a str) -> TeamView<'a> {
    let made = roster.made_teams.iter().find(|team| team.name == name);
    TeamView { name, description: made.and_then(|team| team.description.as_deref()), from_file: made.is_none() }
}

/// List teams
#[utoipa::path(get, path = "/teams", security(("key" = ["read"])), params(asked::Paging), responses(
    (status = 200, description = "All that one may see", body = Page<TeamView>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let scope = caller.scope(&roster);
    let seen = roster.teams.iter().filter(|name| scope.sees_team(name));
    let shown = seen.map(|name| (name.clone(), view(&roster, name)));
    part(request.query_string(), "teams", &roster.url_key, shown.collect())
}

/// Show a team
#[utoipa::path(get, path = "/teams/{name}", security(("key" = ["read"])), responses(
    (status = 200, description = "It", body = TeamView),
))]
pub(super) async fn show(services: Data<Services>, request: HttpRequest, name: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let seen = roster.teams.contains(name.as_str()) && caller.scope(&roster).sees_team(&name);
    if seen { Ok(HttpResponse::Ok().json(view(&roster, &name))) } else { Err(NO_TEAM) }
}

/// Make a team
#[utoipa::path(post, path = "/teams", security(("key" = ["administer"])), request_body = asked::NewTeam, responses(
    (status = 201, description = "It is made", body = TeamView),
))]
pub(in crate::http) async fn create(services: Data<Services>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Administer, async |change, tx, mut fields| {
        let name = fields.needed("name")?;
        check_name(&name).map_err(|problem| invalid("name", problem))?;
        let made = MadeTeam { description: description(&mut fields)?, name };
        fields.end(&["name", "description"])?;
        if change.roster.teams.contains(&made.name) {
            return Err(Problem::Conflict(format!("there is a team `{}` already", made.name)));
        }
        tx.insert_team(&made, change.now).await?;
        change.audit(tx, "team.create", &made.name, Some(&made.name), None);
        Ok((StatusCode::CREATED, shown(&made)))
    })
    .await
}

/// Change a team
#[utoipa::path(put, path = "/teams/{name}", security(("key" = ["administer"])), request_body = asked::ChangedTeam, responses(
    (status = 200, description = "It is changed", body = TeamView),
    (status = 409, description = "It is declared in the file: change it there"),
))]
pub(in crate::http) async fn update(services: Data<Services>, name: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Administer, async |change, tx, mut fields| {
        is_made(change, &name)?;
        fields.unchanged("name", &name)?;
        let made = MadeTeam { description: description(&mut fields)?, name: name.to_string() };
        fields.end(&["description"])?;
        tx.update_team(&made).await?;
        change.audit(tx, "team.update", &name, Some(&name), None);
        Ok((StatusCode::OK, shown(&made)))
    })
    .await
}

/// Delete a team
#[utoipa::path(delete, path = "/teams/{name}", security(("key" = ["administer"])), request_body = Nothing, responses(
    (status = 204, description = "It is gone"),
    (status = 409, description = "A destination, key or source names it, or the file declares it"),
))]
pub(in crate::http) async fn delete(services: Data<Services>, name: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Administer, async |change, tx, fields| {
        fields.end(&[])?;
        is_made(change, &name)?;
        let mut what = named_by(&change.roster, &name);
        // What cannot be used any more is its own still.
        let made = tx.destinations(services.roster.safe()).await?.into_iter().find(|made| made.team == *name);
        what = what.or_else(|| made.map(|made| format!("the destination `{}`", made.name)));
        if let Some(what) = what {
            return Err(Problem::Conflict(format!("{what} names the team `{name}`; change that before")));
        }
        if tx.has_keys(&name, change.now).await? {
            return Err(Problem::Conflict(format!("the team `{name}` has keys; revoke them before")));
        }
        tx.delete_team(&name).await?;
        change.audit(tx, "team.delete", &name, Some(&name), None);
        Ok((StatusCode::NO_CONTENT, Value::Null))
    })
    .await
}

fn shown(made: &MadeTeam) -> Value {
    json!(TeamView { name: &made.name, description: made.description.as_deref(), from_file: false })
}

/// It is there, and was made at run time.
fn is_made(change: &Change, name: &str) -> Result<(), Problem> {
    if !change.roster.teams.contains(name) {
        return Err(NO_TEAM);
    }
    if change.roster.made_teams.iter().any(|team| team.name == name) {
        return Ok(());
    }
    Err(Problem::Conflict(format!("the team `{name}` is declared in the file: change it there")))
}

/// A destination or source that belongs to a team.
fn named_by(roster: &Roster, team: &str) -> Option<String> {
    let destination = roster.targets.values().map(|target| &target.destination).find(|one| one.team == team);
    let source = roster.sources.values().map(|active| &active.source);
    let mut source = source.filter(|source| source.teams.iter().flatten().any(|name| name == team));
    let destination = destination.map(|destination| format!("the destination `{}`", destination.name));
    destination.or_else(|| source.next().map(|source| format!("the source `{}`", source.name)))
}

fn description(fields: &mut Fields) -> Result<Option<String>, Problem> {
    let text = fields.text("description")?;
    if text.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
        return Err(invalid("description", format!("at most {DESCRIPTION_MAX} characters are taken")));
    }
    Ok(text)
}
