//! Tasks and their timelines.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::list::{self, Query, invalid};
use super::post::{Changed, Wanted, once};
use super::timeline::{Entry, Story};
use super::view::Page;
use super::{Answer, view};
use crate::config::value::duration;
use crate::domain::access::{Right, Scope};
use crate::domain::callback::{METADATA_BYTES_MAX, METADATA_KEYS_MAX};
use crate::domain::clock::Timestamp;
use crate::domain::event::TaskData;
use crate::domain::spelling::suggestion;
use crate::domain::task::{Metadata, Status, TASK_ID_MAX};
use crate::flow::register::{Registration, register as flow_register};
use crate::flow::roster::Roster;
use crate::http::openapi::asked;
use crate::http::openapi::event::TaskSchema;
use crate::store::TaskFilter;

/// A task and all that happened to it.
#[derive(Serialize, ToSchema)]
#[schema(as = TaskWithTimeline)]
pub(in crate::http) struct TaskView<'a> {
    #[serde(flatten)]
    #[schema(value_type = TaskSchema)]
    task: TaskData<'a>,
    /// When its results and its callbacks were removed; null while they are kept.
    pruned_at: Option<Timestamp>,
    /// What happened, the oldest first; of each kind the newest 250.
    timeline: Vec<Entry<'a>>,
}

/// List tasks
///
/// The newest first. A filter by `model` or metadata may answer a page that is not full and has a cursor all the same.
#[utoipa::path(get, path = "/tasks", security(("key" = ["read"])), params(asked::Tasks, asked::Paging), responses(
    (status = 200, description = "A page of them", body = Page<TaskSchema>),
))]
pub(super) async fn list(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let filters = ["source", "status", "model", "since", "until", "metadata."];
    let query = Query::read(request.query_string(), "tasks", &filters, &roster.url_key)?;
    let page = services.store.read().await?.tasks(&caller.scope(&roster), &filter(&query)?).await?;
    Ok(list::answer(&page, "tasks", &roster.url_key, view::task))
}

/// Which tasks a query asks for.
///
/// # Errors
/// [`Problem::Invalid`] for a value that is none.
pub(in crate::http) fn filter(query: &Query) -> Result<TaskFilter, Problem> {
    Ok(TaskFilter {
        source: query.text("source"),
        status: query.word("status", Status::parse, &Status::ALL.map(Status::as_str))?,
        model: query.text("model"),
        since: query.time("since")?,
        until: query.time("until")?,
        metadata: query.with_prefix("metadata."),
        before: query.before.clone(),
        limit: query.limit,
    })
}

/// Show a task with its timeline
#[utoipa::path(get, path = "/tasks/{source}/{task_id}", security(("key" = ["read"])), responses(
    (status = 200, description = "The task", body = TaskView),
))]
pub(super) async fn show(services: Data<Services>, request: HttpRequest, path: Path<(String, String)>) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let scope = caller.scope(&services.roster.now());
    let (source, task_id) = path.into_inner();
    let mut tx = services.read_callbacks().await?;
    let task =
        tx.task(&scope, &source, &task_id).await?.ok_or(Problem::NotFound("there is no such task at this source"))?;
    let story = Story::read(&mut tx, &scope, &source, &task_id).await?;
    let pruned_at = tx.pruned_at(&source, &task_id).await?;
    Ok(HttpResponse::Ok().json(TaskView { task: view::task(&task), pruned_at, timeline: story.entries() }))
}

/// Register a task
///
/// One that was submitted elsewhere is watched from now on as if it had been relayed: its metadata goes into its events, and the
/// provider is asked for it if no callback says its end. Registered again, its metadata and its deadline are changed.
#[utoipa::path(post, path = "/tasks", security(("key" = ["submit"])), request_body = asked::NewTask, responses(
    (status = 201, description = "It is watched", body = TaskSchema),
))]
pub(in crate::http) async fn register(services: Data<Services>, wanted: Wanted) -> Changed {
    let roster = services.roster.now();
    let answer = once(&services, wanted, Right::Submit, async |caller, tx, mut fields| {
        let scope = caller.scope(&roster);
        let registration = Registration {
            source: source(fields.needed("source")?, &roster, &scope)?,
            task_id: task_id(fields.needed("task_id")?)?,
            metadata: metadata(fields.value("metadata"))?,
            expect_within: expect_within(fields.text("expect_within")?)?,
        };
        fields.end(&["source", "task_id", "metadata", "expect_within"])?;
        let (source, task_id) = (registration.source.clone(), registration.task_id.clone());
        flow_register(tx, &roster, registration, services.clock.now()).await?;
        tx.flush().await?;
        let task = tx.task(&scope, &source, &task_id).await?.ok_or(Problem::NotFound("there is no such task"))?;
        Ok((StatusCode::CREATED, json!(view::task(&task))))
    })
    .await?;
    services.questions.notify_one();
    Ok(answer)
}

fn source(name: String, roster: &Roster, scope: &Scope) -> Result<String, Problem> {
    let known = roster.sources.keys().map(String::as_str).filter(|name| scope.sees_source(name));
    let unknown = || invalid("source", format!("there is no source `{name}`; {}", suggestion(&name, known)));
    let is_known = roster.sources.contains_key(&name) && scope.sees_source(&name);
    if is_known { Ok(name.clone()) } else { Err(unknown()) }
}

fn task_id(text: String) -> Result<String, Problem> {
    let wrong = || invalid("task_id", format!("1 to {TASK_ID_MAX} bytes are expected, without a NUL"));
    if text.is_empty() || text.len() > TASK_ID_MAX || text.contains('\0') { Err(wrong()) } else { Ok(text) }
}

/// Metadata within the limits of a callback URL's (contract §4): what does not fit is an error here.
fn metadata(value: Option<Value>) -> Result<Metadata, Problem> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Metadata::new()) };
    let wrong = |detail: String| invalid("metadata", detail);
    let pairs: Metadata =
        serde_json::from_value(value).map_err(|_| wrong("an object of strings is expected".to_owned()))?;
    let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    if pairs.len() > METADATA_KEYS_MAX || bytes > METADATA_BYTES_MAX {
        return Err(wrong(format!("at most {METADATA_KEYS_MAX} keys and {METADATA_BYTES_MAX} bytes are kept")));
    }
    match pairs.keys().find(|key| key.is_empty() || key.starts_with("cb_")) {
        Some(key) => Err(wrong(format!("`{key}` cannot be a key: names that begin with cb_ are Callboard's own"))),
        None => Ok(pairs),
    }
}

fn expect_within(text: Option<String>) -> Result<Option<Duration>, Problem> {
    let read = |text: String| duration(&text).map_err(|problem| invalid("expect_within", problem));
    text.map(read).transpose()
}
