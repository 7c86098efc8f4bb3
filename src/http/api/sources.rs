//! Sources; what a file declares is shown, and changed only there.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::Answer;
use super::list::whole;
use crate::config::value::duration_text;
use crate::domain::access::Right;
use crate::domain::task::Metadata;
use crate::flow::receive::callback_path;
use crate::flow::roster::ActiveSource;
use crate::store::SourceState;

pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let scope = caller.scope(&roster);
    let mut sources: Vec<&ActiveSource> =
        roster.sources.values().filter(|active| scope.sees_source(&active.source.name)).collect();
    sources.sort_by(|a, b| a.source.name.cmp(&b.source.name));
    let states = services.store.read().await?.source_states().await?;
    let state = |name: &str| states.iter().find(|state| state.name == name);
    Ok(whole(sources.into_iter().map(|active| view(active, state(&active.source.name))).collect()))
}

pub(super) async fn show(services: Data<Services>, request: HttpRequest, name: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let scope = caller.scope(&roster);
    let active = roster.sources.get(name.as_str()).filter(|active| scope.sees_source(&active.source.name));
    let active = active.ok_or(Problem::NotFound("there is no source of this name"))?;
    let state = services.store.read().await?.source_state(&active.source.name).await?;
    let mut shown = view(active, state.as_ref());
    let path = callback_path(&roster, &active.source.name, &Metadata::new()).unwrap_or_default();
    // Who has it can post callbacks: it is for those who put it into requests.
    let shows = caller.role.has(Right::Manage);
    shown["callback_url"] = json!(shows.then(|| format!("{}{path}", services.config.base_url())));
    Ok(HttpResponse::Ok().json(shown))
}

fn view(active: &ActiveSource, state: Option<&SourceState>) -> Value {
    let source = &active.source;
    let refused = state.and_then(|state| state.refused.as_ref());
    json!({
        "name": source.name,
        "provider": source.provider,
        "teams": source.teams,
        "rate": source.rate.map(|rate| rate.to_string()),
        "signed": !source.signing_secrets.is_empty(),
        "can_ask": source.can_ask(),
        "base_url": source.base_url,
        "confirm": source.confirm.as_str(),
        "confirm_within": duration_text(source.confirm_within),
        "poll": {
            "after": duration_text(source.poll.after),
            "every": duration_text(source.poll.every),
            "give_up_after": duration_text(source.poll.give_up_after),
            "pace": source.poll.pace.map(|pace| pace.to_string()),
            "discover": source.poll.discover,
        },
        "refused_since": refused.map(|(since, _)| since),
        "refused_reason": refused.map(|(_, reason)| reason),
        "relay_keys": source.relay_keys.as_str(),
        "from_file": true,
    })
}
