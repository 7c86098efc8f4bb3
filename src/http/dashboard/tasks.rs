//! Tasks: the list, and each with all that happened to it.

use actix_web::http::StatusCode;
use askama::Template;

use super::super::api::timeline::Story;
use super::super::api::{list, tasks};
use super::super::problem::Problem;
use super::board::Act;
use super::bytes::{Shown, laid_out};
use super::media::Media;
use super::parts::task_path;
use super::query::Asked;
use super::timeline::{Item, timeline};
use super::visit::{Frame, Here, Visit, html};
use super::{Page, doing};
use crate::domain::clock::Timestamp;
use crate::domain::event::TaskData;
use crate::domain::task::{MetadataOrigin, Status, Task, TaskError};

/// What the list can be filtered by; `q` is a task's id or a pair of metadata.
const FILTERS: [&str; 7] = ["source", "status", "model", "since", "until", "q", "metadata."];

/// The tasks.
#[derive(Template)]
#[template(path = "tasks.html")]
struct Tasks {
    frame: Frame,
    acts: Vec<Act>,
    asked: Asked,
    lines: Vec<Line>,
    statuses: Vec<&'static str>,
    sources: Vec<String>,
    older: Option<String>,
    example: Option<String>,
}

/// A task in one line.
struct Line {
    task: Task,
    path: String,
    outputs: Vec<Media>,
    reason: Option<String>,
}

impl Line {
    fn of(task: Task, now: Timestamp) -> Self {
        Self {
            path: task_path(&task.source, &task.task_id),
            outputs: task.outputs.iter().map(|output| Media::of(output, now)).collect(),
            reason: task.error.as_ref().and_then(|error| error.message.clone().or(error.code.clone())),
            task,
        }
    }
}

/// Shows the tasks.
pub(super) async fn list(visit: &Visit) -> Page {
    let asked = visit.asked("tasks", &FILTERS)?;
    let (found, next) = match asked.query.text("q") {
        Some(text) if !text.contains('=') => (named(visit, &text).await?, None),
        text => {
            let mut filter = tasks::filter(&asked.query)?;
            let pair = text.as_deref().and_then(|text| text.split_once('='));
            filter.metadata.extend(pair.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())));
            let page = visit.services.store.read().await?.tasks(&visit.scope, &filter).await?;
            (page.items, page.next)
        }
    };
    let page = Tasks {
        frame: visit.frame(Here::Tasks),
        acts: doing::of_tasks(visit),
        older: next.map(|id| asked.from(&list::seal(&id, "tasks", &visit.roster.url_key))),
        lines: found.into_iter().map(|task| Line::of(task, visit.now)).collect(),
        statuses: Status::ALL.map(Status::as_str).to_vec(),
        sources: visit.sources(),
        example: visit.example(),
        asked,
    };
    Ok(html(StatusCode::OK, &page))
}

/// The tasks of this id, at each source that the visitor sees.
async fn named(visit: &Visit, task_id: &str) -> Result<Vec<Task>, Problem> {
    let mut tx = visit.services.store.read().await?;
    let mut found = Vec::new();
    for source in visit.sources() {
        found.extend(tx.task(&visit.scope, &source, task_id).await?);
    }
    Ok(found)
}

/// A task and all that happened to it.
#[derive(Template)]
#[template(path = "task.html")]
struct Whole {
    frame: Frame,
    acts: Vec<Act>,
    task: Task,
    outputs: Vec<Media>,
    items: Vec<Item>,
    origin: Origin,
    /// When the provider is asked next.
    asked_next: Option<Timestamp>,
    pruned_at: Option<Timestamp>,
    took: Option<String>,
    /// The kind of fault, in our word for it.
    category: String,
    data: String,
}

/// The kind of a fault, as events name it.
fn category(error: &TaskError) -> String {
    let named = serde_json::to_value(error.category).unwrap_or_default();
    named.as_str().unwrap_or_default().to_owned()
}

/// How we came to know of a task.
enum Origin {
    /// A client sent its request through us; what the provider answered.
    Relayed(Timestamp, Option<i64>),
    /// Somebody told us of it.
    Registered(Timestamp),
    /// It turned up in what the provider said.
    Heard(Timestamp),
}

/// Shows a task.
pub(super) async fn show(visit: &Visit) -> Page {
    let (source, task_id) = visit.path::<(String, String)>().await?;
    let mut tx = visit.services.read_callbacks().await?;
    let found = tx.task(&visit.scope, &source, &task_id).await?;
    let task = found.ok_or(Problem::NotFound("there is no such task at this source"))?;
    let story = Story::read(&mut tx, &visit.scope, &source, &task_id).await?;
    let relayed = tx.relayed_at(&source, &task_id).await?;
    let asked_next = tx.asked_next(&source, &task_id).await?;
    let pruned_at = tx.pruned_at(&source, &task_id).await?;
    drop(tx);
    let seen_at = task.first_seen_at;
    let origin = match relayed {
        Some((at, status)) => Origin::Relayed(at, status),
        None if task.metadata_origin == MetadataOrigin::Registered => Origin::Registered(seen_at),
        None => Origin::Heard(seen_at),
    };
    let frame = visit.frame(Here::Tasks);
    let ended = task.created_at.zip(task.completed_at).map(|(begun, ended)| ended.since(begun).as_secs());
    // What was told last can be told again.
    let last = story.events.iter().max_by(|a, b| a.id.cmp(&b.id)).map(|event| doing::of_event(visit, &event.id));
    let page = Whole {
        acts: last.unwrap_or_default(),
        outputs: task.outputs.iter().map(|output| Media::of(output, visit.now)).collect(),
        items: timeline(story),
        category: task.error.as_ref().map(category).unwrap_or_default(),
        took: ended.map(|seconds| frame.t.span(seconds)),
        data: serde_json::to_string(&TaskData::of(&task)).ok().and_then(|text| laid_out(&text)).unwrap_or_default(),
        frame,
        task,
        origin,
        asked_next,
        pruned_at,
    };
    Ok(html(StatusCode::OK, &page))
}
