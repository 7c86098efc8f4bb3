//! Sources: shown, made, changed, removed; their callback tokens.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::auth::Caller;
use super::super::problem::Problem;
use super::super::{Services, auth};
use super::Answer;
use super::list::{invalid, part};
use super::post::{Change, Changed, Wanted, settings};
use super::view::Page;
use crate::config::made_source;
use crate::config::value::{duration_text, name as check_name};
use crate::domain::access::Right;
use crate::domain::clock::Timestamp;
use crate::domain::secret::Secret;
use crate::domain::source::Source;
use crate::domain::spelling::suggestion;
use crate::flow::receive::token_path;
use crate::flow::roster::{ActiveSource, Roster};
use crate::http::openapi::{Nothing, asked, words};
use crate::providers::PROVIDERS;
use crate::store::{MadeSource, SourceState, SweepKind, Tx};

const NO_SOURCE: Problem = Problem::NotFound("there is no source of this name");
/// So many callback tokens a source may have at once: each is compared with each callback's.
const TOKENS_MAX: usize = 10;
/// What stays where a change leaves it out: secrets, which nobody can read back, and what cannot change.
const STAYS: [&str; 3] = ["provider", "signing_secret", "api_key"];

/// A source as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Source)]
pub(in crate::http) struct SourceView<'a> {
    name: &'a str,
    #[schema(value_type = words::ProviderName)]
    provider: &'a str,
    /// Who may see it; null for all.
    teams: Option<Vec<&'a str>>,
    /// How many callbacks at most.
    rate: Option<String>,
    /// Whether its callbacks must be signed.
    signed: bool,
    /// Whether the provider can be asked.
    can_ask: bool,
    base_url: Option<&'a str>,
    /// `auto`, `always` or `never`.
    confirm: &'static str,
    confirm_within: String,
    poll: PollView,
    /// Since when the provider refuses the key.
    refused_since: Option<Timestamp>,
    refused_reason: Option<&'a str>,
    /// What is the matter with it, if anything.
    trouble: Option<&'static str>,
    trouble_since: Option<Timestamp>,
    trouble_reason: Option<&'a str>,
    /// `keep` or `forget`.
    relay_keys: &'static str,
    /// Whether a file declares it; then it is changed only there.
    from_file: bool,
    /// What is put into requests; null in lists, and for who may only read.
    callback_url: Option<String>,
    /// Null in lists, and for who may only read.
    callback_tokens: Option<Vec<TokenView>>,
}

/// When a source's tasks are asked for.
#[derive(Serialize, ToSchema)]
#[schema(as = Polling)]
pub(in crate::http) struct PollView {
    after: String,
    every: String,
    give_up_after: String,
    pace: Option<String>,
    discover: bool,
}

/// What is known of a callback token.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = CallbackToken)]
pub(in crate::http) struct TokenView {
    id: String,
    /// Null where the file declares it.
    made_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

/// A callback token that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = NewCallbackToken)]
pub(in crate::http) struct NewToken<'a> {
    name: &'a str,
    callback_url: String,
    token_id: String,
}

/// List sources
///
/// Without their callback URLs.
#[utoipa::path(get, path = "/sources", security(("key" = ["read"])), params(asked::Paging), responses(
    (status = 200, description = "All that one may see", body = Page<SourceView>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let scope = caller.scope(&roster);
    let mut sources: Vec<&ActiveSource> =
        roster.sources.values().filter(|active| scope.sees_source(&active.source.name)).collect();
    sources.sort_by(|a, b| a.source.name.cmp(&b.source.name));
    let states = services.store.read().await?.source_states().await?;
    let state = |name: &str| states.iter().find(|state| state.name == name);
    let shown = |active: &ActiveSource| json!(view(&active.source, state(&active.source.name), &caller));
    let shown = sources.into_iter().map(|active| (active.source.name.clone(), shown(active)));
    part(request.query_string(), "sources", &roster.url_key, shown.collect())
}

/// Show a source
///
/// `callback_url` and `callback_tokens` are null for keys that may only read.
#[utoipa::path(get, path = "/sources/{name}", security(("key" = ["read"])), responses(
    (status = 200, description = "It", body = SourceView),
))]
pub(super) async fn show(services: Data<Services>, request: HttpRequest, name: Path<String>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let scope = caller.scope(&roster);
    let active = roster.sources.get(name.as_str()).filter(|_| scope.sees_source(&name)).ok_or(NO_SOURCE)?;
    let mut tx = services.store.read().await?;
    let state = tx.source_state(&name).await?;
    let uses = tx.token_uses().await?;
    let mut shown = view(&active.source, state.as_ref(), &caller);
    // Who has it can post callbacks: it is for those who put it into requests.
    if caller.role.has(Right::Manage) {
        let written =
            |id: &str| uses.iter().find(|(of, token, _)| of == name.as_str() && token == id).map(|(.., at)| *at);
        let tokens = active.tokens.iter().map(|token| TokenView {
            id: token.id.clone(),
            made_at: token.made.map(|(_, at)| at),
            last_used_at: written(&token.id).max(token.used.last()),
        });
        shown.callback_tokens = Some(tokens.collect());
        shown.callback_url = active.source.callback_tokens.first().map(|token| callback_url(&services, &name, token));
    }
    Ok(HttpResponse::Ok().json(shown))
}

fn callback_url(services: &Services, source: &str, token: &Secret) -> String {
    format!("{}{}", services.config.base_url(), token_path(source, token))
}

fn view<'a>(source: &'a Source, state: Option<&'a SourceState>, caller: &'a Caller) -> SourceView<'a> {
    let refused = state.and_then(|state| state.refused.as_ref());
    let trouble = state.and_then(|state| state.trouble.as_ref());
    let teams = source.teams.as_ref().map(|teams| {
        let seen = teams.iter().map(String::as_str);
        // A team is told of itself alone.
        seen.filter(|team| caller.team.as_deref().is_none_or(|own| own == *team)).collect()
    });
    SourceView {
        name: &source.name,
        provider: &source.provider,
        teams,
        rate: source.rate.map(|rate| rate.to_string()),
        signed: !source.signing_secrets.is_empty(),
        can_ask: source.can_ask(),
        base_url: source.base_url.as_deref(),
        confirm: source.confirm.as_str(),
        confirm_within: duration_text(source.confirm_within),
        poll: PollView {
            after: duration_text(source.poll.after),
            every: duration_text(source.poll.every),
            give_up_after: duration_text(source.poll.give_up_after),
            pace: source.poll.pace.map(|pace| pace.to_string()),
            discover: source.poll.discover,
        },
        refused_since: refused.map(|(since, _)| *since),
        refused_reason: refused.map(|(_, reason)| reason.as_str()),
        trouble: trouble.map(|trouble| trouble.ailment.as_str()),
        trouble_since: trouble.map(|trouble| trouble.since),
        trouble_reason: trouble.map(|trouble| trouble.reason.as_str()),
        relay_keys: source.relay_keys.as_str(),
        from_file: source.from_file,
        callback_url: None,
        callback_tokens: None,
    }
}

/// Make a source
#[utoipa::path(post, path = "/sources", security(("key" = ["administer"])), request_body = asked::NewSource, responses(
    (status = 201, description = "It is made, with its callback URL", body = SourceView),
))]
pub(in crate::http) async fn create(services: Data<Services>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Administer, async |change, tx, mut fields| {
        let name = fields.needed("name")?;
        check_name(&name).map_err(|problem| invalid("name", problem))?;
        if let Some(active) = change.roster.sources.get(&name) {
            let whose = if active.source.from_file { ": it is declared in the file" } else { "" };
            return Err(Problem::Conflict(format!("there is a source `{name}` already{whose}")));
        }
        let (source, made) = read(&services, &change.roster, &name, fields.all())?;
        tx.sweep_source(&name).await?;
        tx.insert_source(services.roster.safe(), &made, change.now).await.map_err(|error| {
            // It is there, and cannot be used by this build.
            if error.is_taken() {
                Problem::Conflict(format!("there is a source `{name}` already"))
            } else {
                error.into()
            }
        })?;
        put_tokens(&services, tx, &source, change.now).await?;
        change.audit(
            tx,
            "source.create",
            &name,
            None,
            Some(json!({"provider": source.provider, "teams": source.teams})),
        );
        Ok((StatusCode::CREATED, json!(shown(&services, change, tx, &source).await?)))
    })
    .await
}

/// Change a source
///
/// Its name and provider stay.
#[utoipa::path(put, path = "/sources/{name}", security(("key" = ["administer"])), request_body = asked::ChangedSource, responses(
    (status = 200, description = "It is changed", body = SourceView),
    (status = 409, description = "It is declared in the file: change it there"),
))]
pub(in crate::http) async fn update(services: Data<Services>, name: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Administer, async |change, tx, mut fields| {
        let active = changeable(&change.roster, &name)?;
        fields.unchanged("name", &name)?;
        let mut given = fields.all();
        if given.get("provider").is_some_and(|provider| *provider != json!(active.source.provider)) {
            let detail = format!("it cannot be changed from `{}`; make another source", active.source.provider);
            return Err(invalid("provider", detail));
        }
        let before = tx.made_source(services.roster.safe(), &name).await?.ok_or(NO_SOURCE)?;
        for key in STAYS {
            if let (None, Some(kept)) = (given.get(key), before.settings.get(key)) {
                given.insert(key.to_owned(), kept.clone());
            }
        }
        let (source, made) = read(&services, &change.roster, &name, given)?;
        tx.update_source(services.roster.safe(), &made, change.now).await?;
        if !source.callback_tokens.is_empty() {
            tx.drop_secrets(("callback_token", &name)).await?;
            put_tokens(&services, tx, &source, change.now).await?;
        }
        change.audit(tx, "source.update", &name, None, Some(json!({"keys": made.settings.keys().collect::<Vec<_>>()})));
        Ok((StatusCode::OK, json!(shown(&services, change, tx, &source).await?)))
    })
    .await
}

/// Delete a source
///
/// Its callback URLs are no more. Its tasks, callbacks and events stay.
#[utoipa::path(delete, path = "/sources/{name}", security(("key" = ["administer"])), request_body = Nothing, responses(
    (status = 204, description = "It is gone"),
    (status = 409, description = "It is declared in the file: change it there"),
))]
pub(in crate::http) async fn delete(services: Data<Services>, name: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Administer, async |change, tx, fields| {
        fields.end(&[])?;
        if let Err(problem) = changeable(&change.roster, &name) {
            // One that cannot be used any more, as by another build, can still be removed.
            let is_there = change.roster.sources.contains_key(name.as_str());
            if is_there || tx.made_source(services.roster.safe(), &name).await?.is_none() {
                return Err(problem);
            }
        }
        tx.delete_source(&name).await?;
        tx.begin_sweep(SweepKind::Source, &name, change.now).await?;
        change.audit(tx, "source.delete", &name, None, None);
        Ok((StatusCode::NO_CONTENT, Value::Null))
    })
    .await
}

/// A source that was made at run time.
fn changeable<'a>(roster: &'a Roster, name: &str) -> Result<&'a ActiveSource, Problem> {
    let active = roster.sources.get(name).ok_or(NO_SOURCE)?;
    if active.source.from_file {
        return Err(Problem::Conflict(format!("the source `{name}` is declared in the file: change it there")));
    }
    Ok(active)
}

/// Reads what was given for a source as the configuration does; and gives what is kept of it.
fn read(
    services: &Services,
    roster: &Roster,
    name: &str,
    given: Map<String, Value>,
) -> Result<(Source, MadeSource), Problem> {
    let mut settings: Map<String, Value> = given.into_iter().filter(|(_, value)| !value.is_null()).collect();
    if !settings.contains_key("provider") {
        let names = PROVIDERS.iter().map(|provider| provider.name());
        return Err(invalid("provider", format!("it is needed; {}", suggestion("", names))));
    }
    let source = made_source(name, &settings, PROVIDERS).map_err(|mistakes| {
        let first = mistakes.iter().next().map(|mistake| {
            let hint = mistake.suggestion.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            invalid(&mistake.place, format!("{}{hint}", mistake.problem))
        });
        first.unwrap_or_else(|| invalid("body", "it cannot be read"))
    })?;
    if let Some(team) = source.teams.iter().flatten().find(|team| !roster.teams.contains(*team)) {
        let known = suggestion(team, roster.teams.iter().map(String::as_str));
        return Err(invalid("teams", format!("there is no team `{team}`; {known}")));
    }
    if let Some(base_url) = &source.base_url {
        let checked = services.roster.house().egress.check_url(base_url);
        checked.map_err(|refused| invalid("base_url", refused.to_string()))?;
    }
    if source.callback_tokens.len() > TOKENS_MAX {
        return Err(invalid("callback_token", format!("at most {TOKENS_MAX} are taken")));
    }
    // They are kept with those that we make.
    settings.remove("callback_token");
    Ok((source, MadeSource { name: name.to_owned(), settings }))
}

/// Keeps the callback tokens that were given, the first as the newest; makes one where there is none.
async fn put_tokens(services: &Services, tx: &mut Tx, source: &Source, now: Timestamp) -> Result<(), Problem> {
    let (safe, purpose) = (services.roster.safe(), ("callback_token", source.name.as_str()));
    for token in source.callback_tokens.iter().rev() {
        tx.add_secret(safe, purpose, token, now).await?;
    }
    tx.secrets(safe, purpose, now, || Secret::random("")).await?;
    Ok(())
}

/// A source as it is shown to who has just changed it.
async fn shown<'a>(
    services: &Services,
    change: &'a Change,
    tx: &mut Tx,
    source: &'a Source,
) -> Result<SourceView<'a>, Problem> {
    let purpose = ("callback_token", source.name.as_str());
    let kept = tx.kept_secrets(services.roster.safe(), purpose, change.now).await?;
    let token = |kept: &crate::store::KeptSecret| TokenView {
        id: change.roster.token_id(&source.name, &kept.secret),
        made_at: Some(kept.made_at),
        last_used_at: None,
    };
    Ok(SourceView {
        callback_url: kept.first().map(|kept| callback_url(services, &source.name, &kept.secret)),
        callback_tokens: Some(kept.iter().map(token).collect()),
        ..view(source, None, &change.caller)
    })
}

/// Make a callback token
///
/// Beside the old ones, which go on working until they are retired.
#[utoipa::path(post, path = "/sources/{name}/token", security(("key" = ["administer"])), request_body = Nothing, responses(
    (status = 201, description = "It is made", body = NewToken),
    (status = 409, description = "The file declares its tokens, or it has as many as it may have"),
))]
pub(in crate::http) async fn add_token(services: Data<Services>, name: Path<String>, wanted: Wanted) -> Changed {
    settings(&services, wanted, Right::Administer, async |change, tx, fields| {
        fields.end(&[])?;
        let active = change.roster.sources.get(name.as_str()).ok_or(NO_SOURCE)?;
        not_of_the_file(active)?;
        if active.tokens.len() >= TOKENS_MAX {
            return Err(Problem::Conflict(format!("it has {TOKENS_MAX} callback tokens already; retire one of them")));
        }
        let token = Secret::random("");
        tx.add_secret(services.roster.safe(), ("callback_token", &name), &token, change.now).await?;
        let token_id = change.roster.token_id(&name, &token);
        change.audit(tx, "source.token.create", &name, None, Some(json!({"token_id": token_id})));
        let callback_url = callback_url(&services, &name, &token);
        Ok((StatusCode::CREATED, json!(NewToken { name: &name, callback_url, token_id })))
    })
    .await
}

fn not_of_the_file(active: &ActiveSource) -> Result<(), Problem> {
    if active.tokens.iter().all(|token| token.made.is_some()) {
        return Ok(());
    }
    let name = &active.source.name;
    let detail =
        format!("`callback_token` of the source `{name}` is declared in the file: write a list of tokens there");
    Err(Problem::Conflict(detail))
}

/// Retire a callback token
#[utoipa::path(delete, path = "/sources/{name}/tokens/{id}", security(("key" = ["administer"])), request_body = Nothing, responses(
    (status = 204, description = "It is gone"),
    (status = 409, description = "It is the last one, or the file declares it"),
))]
pub(in crate::http) async fn retire_token(
    services: Data<Services>,
    path: Path<(String, String)>,
    wanted: Wanted,
) -> Changed {
    let (name, id) = path.into_inner();
    settings(&services, wanted, Right::Administer, async |change, tx, fields| {
        fields.end(&[])?;
        let active = change.roster.sources.get(&name).ok_or(NO_SOURCE)?;
        let token = active.tokens.iter().find(|token| token.id == id);
        let token = token.ok_or(Problem::NotFound("this source has no callback token with this id"))?;
        not_of_the_file(active)?;
        if active.tokens.len() == 1 {
            return Err(Problem::Conflict("it is the last one of its source; make another before".into()));
        }
        let Some((number, _)) = token.made else { return Err(NO_SOURCE) };
        tx.drop_secret(("callback_token", &name), number).await?;
        change.audit(tx, "source.token.delete", &name, None, Some(json!({"token_id": id})));
        Ok((StatusCode::NO_CONTENT, Value::Null))
    })
    .await
}
