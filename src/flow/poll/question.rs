//! One request to a provider, and what its answer tells of which task.

use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::lane::Went;
use crate::channels::retry_after;
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::retry::throttle_wait;
use crate::domain::secret::Secret;
use crate::domain::task::{Observation, Status};
use crate::egress::{Answer, Egress};
use crate::providers::api::{Ask, Call, Listed, Reply, Told};

/// How long an answer is waited for. Reading an unfinished task goes to the model's own host at some providers.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// So much of an answer is read: fifty tasks with long prompts.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Asks {
    /// For one task.
    One(String),
    /// For several in one request.
    Many(Vec<String>),
    /// For a page of the list.
    List(u32),
}

/// What a question is put with: an `Authorization`.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// The source's own.
    Ours(Secret),
    /// That of the client who relayed the task, as it came. What it is refused says nothing of our own.
    Clients(Secret),
}

impl Key {
    fn authorization(&self) -> String {
        match self {
            Self::Ours(key) => format!("Bearer {}", key.expose()),
            Self::Clients(authorization) => authorization.expose().to_owned(),
        }
    }
}

/// A request to be made.
pub(super) struct Question {
    pub(super) ask: &'static dyn Ask,
    pub(super) base_url: String,
    pub(super) key: Key,
    pub(super) asks: Asks,
    /// Those among many whose answer somebody is to get: each has an answer of its own once it has ended.
    pub(super) awaited: Vec<String>,
}

/// What was told.
pub(super) struct Answers {
    /// How it went, for the lane.
    pub(super) went: Went,
    /// What was told of each task, and the answer itself where it is about that task alone.
    pub(super) told: Vec<(String, Told, Option<Bytes>)>,
    /// Tasks that have to be asked for one by one.
    pub(super) singles: Vec<String>,
    /// The provider has no request for many.
    pub(super) one_by_one: bool,
    /// A page of the list.
    pub(super) listed: Option<Vec<Listed>>,
    /// Why the key was refused, if it was.
    pub(super) refused: Option<String>,
    /// Whether the key found a task.
    pub(super) found: bool,
}

impl Answers {
    fn of(went: Went) -> Self {
        let (told, singles) = (Vec::new(), Vec::new());
        Self { went, told, singles, one_by_one: false, listed: None, refused: None, found: false }
    }
}

impl Question {
    /// Asks.
    pub(super) async fn put(self, egress: &Egress, clock: &SharedClock) -> Answers {
        let call = match &self.asks {
            Asks::One(task_id) => Some(self.ask.one(task_id)),
            Asks::Many(task_ids) => self.ask.many(&task_ids.iter().map(String::as_str).collect::<Vec<_>>()),
            Asks::List(page) => self.ask.list(*page),
        };
        let Some(call) = call else { return self.all(Told::Nothing("it cannot be asked".into()), Went::Well) };
        match call_provider(egress, &self.base_url, &self.key, call).await {
            Ok(answer) => self.read(answer, clock.now()),
            Err(problem) => self.all(Told::Nothing(problem), Went::Wrong),
        }
    }

    fn read(self, answer: Answer, now: Timestamp) -> Answers {
        let reply = Reply { status: answer.status, body: &answer.body, received_at: now };
        let wait = || throttle_wait(answer.retry_after.as_deref().and_then(|text| retry_after(text, now)));
        let went = match answer.status {
            429 => Went::Throttled(wait()),
            503 if answer.retry_after.is_some() => Went::Throttled(wait()),
            501 if matches!(self.asks, Asks::Many(_)) => Went::Well,
            500.. => Went::Wrong,
            _ => Went::Well,
        };
        match &self.asks {
            Asks::One(task_id) => {
                let told = self.ask.read_one(task_id, &reply);
                let body = Bytes::copy_from_slice(&answer.body);
                let mut answers = Answers::of(went).noting(&told);
                answers.told.push((task_id.clone(), told, Some(body)));
                answers
            }
            Asks::Many(task_ids) => match self.ask.read_many(&reply) {
                Ok(seen) => of_many(task_ids, &self.awaited, seen, went),
                // Not a word about the tasks: the route is not there, or the answer is of another shape.
                Err(Told::NotFound | Told::Nothing(_)) if went == Went::Well => {
                    // Any other refusal may be about one of the ids.
                    let one_by_one = matches!(answer.status, 404 | 405 | 501);
                    Answers { singles: task_ids.clone(), one_by_one, ..Answers::of(went) }
                }
                Err(told) => self.all(told, went),
            },
            Asks::List(_) => match self.ask.read_list(&reply) {
                Ok(rows) => Answers { listed: Some(rows), ..Answers::of(went) },
                Err(told) => Answers::of(went).noting(&told),
            },
        }
    }

    /// The same of every task that was asked for.
    fn all(self, told: Told, went: Went) -> Answers {
        let mut answers = Answers::of(went).noting(&told);
        let task_ids = match self.asks {
            Asks::One(task_id) => vec![task_id],
            Asks::Many(task_ids) => task_ids,
            Asks::List(_) => Vec::new(),
        };
        answers.told = task_ids.into_iter().map(|task_id| (task_id, told.clone(), None)).collect();
        answers
    }
}

impl Answers {
    fn noting(mut self, told: &Told) -> Self {
        match told {
            Told::Refused(reason) => self.refused = Some(reason.clone()),
            Told::Task(_) => self.found = true,
            Told::NotFound | Told::Throttled | Told::Nothing(_) => {}
        }
        self
    }
}

/// Who is absent is not known there; what is completed without results is asked for once more, alone, and so is
/// an end whose answer somebody is to get.
fn of_many(task_ids: &[String], awaited: &[String], seen: Vec<Observation>, went: Went) -> Answers {
    let mut answers = Answers { found: !seen.is_empty(), ..Answers::of(went) };
    for task_id in task_ids {
        match seen.iter().find(|seen| seen.task_id == *task_id) {
            Some(seen)
                if seen.status == Status::Completed && seen.outputs.is_empty()
                    || seen.status.is_terminal() && awaited.contains(task_id) =>
            {
                answers.singles.push(task_id.clone());
            }
            Some(seen) => answers.told.push((task_id.clone(), Told::Task(Box::new(seen.clone())), None)),
            None => answers.told.push((task_id.clone(), Told::NotFound, None)),
        }
    }
    answers
}

/// Makes a call of an adapter with a key.
async fn call_provider(egress: &Egress, base_url: &str, key: &Key, call: Call) -> Result<Answer, String> {
    let url =
        Url::parse(&format!("{base_url}{}", call.path)).map_err(|error| format!("`base_url` is wrong: {error}"))?;
    let mut headers = vec![("authorization", key.authorization()), ("accept", "application/json".into())];
    if call.body.is_some() {
        headers.push(("content-type", "application/json".into()));
    }
    let request = crate::egress::Ask { method: call.method, url: &url, headers, body: call.body, body_max: BODY_MAX };
    egress.ask(request, TIMEOUT).await.map_err(|error| error.to_string())
}
