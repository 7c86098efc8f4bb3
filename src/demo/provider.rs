//! A simulated provider: it answers as its documents say, keeps its tasks, and posts their callbacks.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{Notify, watch};
use url::Url;

use super::Options;
use super::agenda::{Agenda, Post};
use super::dialect::{Dialect, Refusal};
use super::draw::{Habits, Weights};
use super::faults::{Down, Faults};
use super::journal::{Journal, Taken, TaskName, What};
use super::listener::{Answers, Asked, Port, Reply};
use super::plan::{Plan, Says, Tempo};
use super::requests::{KeySeen, Log, Request};
use super::task::SimulatedTask;
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::secret::Secret;
use crate::egress::{self, Egress};
use crate::shutdown::Lifecycle;

mod answers;

/// So many tasks are kept, the newest.
const KEPT: usize = 10_000;
/// How long the driver rests where nothing is due; a new task ends its rest.
const REST_MAX: Duration = Duration::from_secs(60);

/// One of the simulated providers, at its own address.
pub struct SimulatedProvider {
    /// What its paths are put behind, as `http://127.0.0.1:PORT`.
    pub base_url: String,
    /// The key it wants as `Authorization: Bearer …`.
    pub api_key: Secret,
    dialect: &'static dyn Dialect,
    weights: Weights,
    tempo: Tempo,
    local_callbacks: bool,
    callback_timeout: Duration,
    clock: SharedClock,
    egress: Egress,
    journal: Journal,
    life: Lifecycle,
    faults: watch::Sender<Faults>,
    /// Hosts that stand for an address of this machine.
    fronts: Mutex<HashMap<String, SocketAddr>>,
    asked: watch::Sender<usize>,
    changed: Notify,
    state: Mutex<State>,
}

impl fmt::Debug for SimulatedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.dialect.name();
        f.debug_struct("SimulatedProvider").field("name", &name).field("base_url", &self.base_url).finish()
    }
}

/// What it remembers.
struct State {
    rng: StdRng,
    /// The newest, in order.
    tasks: VecDeque<SimulatedTask>,
    /// The number of each, from 0.
    numbers: HashMap<String, usize>,
    /// How many are not kept any more.
    dropped: usize,
    agenda: Agenda,
    log: Log,
    /// By idempotency key: the body it came with, and the answer.
    idempotent: HashMap<String, (Bytes, Bytes)>,
    /// Plans by prompt or model.
    given: HashMap<String, Plan>,
    /// Plans by prompt, each for one task.
    foreseen: HashMap<String, Plan>,
    /// Plans of the next tasks.
    next: VecDeque<Plan>,
}

/// What stands for the simulator as it is started.
pub(super) struct Surroundings<'a> {
    pub(super) options: &'a Options,
    pub(super) clock: &'a SharedClock,
    pub(super) egress: &'a Egress,
    pub(super) journal: &'a Journal,
    pub(super) life: &'a Lifecycle,
}

impl SimulatedProvider {
    /// Starts to listen.
    pub(super) fn start(dialect: &'static dyn Dialect, seed: u64, around: &Surroundings<'_>) -> io::Result<Arc<Self>> {
        let port = Port::bind()?;
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            tasks: VecDeque::new(),
            numbers: HashMap::new(),
            dropped: 0,
            agenda: Agenda::default(),
            log: Log::default(),
            idempotent: HashMap::new(),
            given: HashMap::new(),
            foreseen: HashMap::new(),
            next: VecDeque::new(),
        };
        let provider = Arc::new(Self {
            base_url: format!("http://{}", port.address),
            api_key: Secret::random(dialect.key_prefix()),
            dialect,
            weights: around.options.weights,
            tempo: Tempo::new(around.options.speed),
            local_callbacks: around.options.local_callbacks,
            callback_timeout: around.options.callback_timeout,
            clock: Arc::clone(around.clock),
            egress: around.egress.clone(),
            journal: around.journal.clone(),
            life: around.life.clone(),
            faults: watch::Sender::new(Faults::default()),
            fronts: Mutex::default(),
            asked: watch::Sender::new(0),
            changed: Notify::new(),
            state: Mutex::new(state),
        });
        port.serve(Arc::clone(&provider) as Arc<dyn Answers>, around.life)?;
        Ok(provider)
    }

    /// Its name, as in `provider = "…"`.
    pub fn name(&self) -> &'static str {
        self.dialect.name()
    }

    pub(super) fn habits(&self) -> &'static Habits {
        self.dialect.habits()
    }

    /// What is wrong with it.
    pub fn faults(&self) -> Faults {
        *self.faults.borrow()
    }

    /// From now on this is wrong with it, and nothing else.
    pub fn set_faults(&self, faults: Faults) {
        self.faults.send_replace(faults);
    }

    /// From now on callbacks to this host go to `address` over http, as they do where a proxy with the
    /// certificate stands in front.
    pub fn put_in_front(&self, host: &str, address: SocketAddr) {
        self.fronts.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), address);
    }

    /// Where a callback URL leads.
    fn behind(&self, url: &Url) -> Url {
        let fronts = self.fronts.lock().unwrap_or_else(PoisonError::into_inner);
        let address = url.host_str().and_then(|host| fronts.get(host));
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let behind = address.and_then(|address| Url::parse(&format!("http://{address}{}{query}", url.path())).ok());
        behind.unwrap_or_else(|| url.clone())
    }

    /// The next task gets this plan; called several times, each of the next ones gets one.
    pub fn plan_next(&self, plan: Plan) {
        self.state().next.push_back(plan);
    }

    /// Every task with this prompt, or of this model, gets this plan from now on. The prompt counts more
    /// than the model, and both more than [`SimulatedProvider::plan_next`].
    pub fn plan_for(&self, prompt_or_model: &str, plan: Plan) {
        self.state().given.insert(prompt_or_model.to_owned(), plan);
    }

    /// The next task with this prompt gets this plan.
    pub(super) fn foresee(&self, prompt: &str, plan: Plan) {
        self.state().foreseen.insert(prompt.to_owned(), plan);
    }

    /// Every request that came, in order; of very many the newest.
    pub fn requests(&self) -> Vec<Request> {
        self.state().log.all()
    }

    /// Waits until so many requests came, answered or not.
    pub async fn asked(&self, many: usize) {
        // The sender is part of us, so that it cannot have gone.
        let _ = self.asked.subscribe().wait_for(|count| *count >= many).await;
    }

    /// Every task it made, in order; of very many the newest.
    pub fn tasks(&self) -> Vec<SimulatedTask> {
        self.state().tasks.iter().cloned().collect()
    }

    /// When it posts something next; `None` where nothing is planned.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.state().agenda.next_at()
    }

    /// Posts every callback that is due by now, those of a moment at once, and waits for the answers. What
    /// fails is tried again by a later call.
    pub async fn tick(&self) {
        loop {
            let due = self.state().agenda.take_due(self.clock.now());
            if due.is_empty() {
                return;
            }
            join_all(due.into_iter().map(|post| self.post(post))).await;
        }
    }

    /// Posts callbacks as they become due, until the process stops.
    pub(super) async fn run(self: Arc<Self>) {
        let soft = self.life.soft().clone();
        while !soft.is_cancelled() {
            let now = self.clock.now();
            let due = self.state().agenda.take_due(now);
            for post in due {
                let provider = Arc::clone(&self);
                self.life.spawn(async move { provider.post(post).await });
            }
            let rest = self.next_at().map_or(REST_MAX, |next| next.since(now).min(REST_MAX));
            tokio::select! {
                () = soft.cancelled() => {}
                () = self.changed.notified() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    async fn post(&self, post: Post) {
        let Some(task) = self.task(&post.task_id) else { return };
        let Some(url) = &task.callback_url else { return };
        let name = self.task_name(&task.id);
        if self.faults().callbacks_cut && post.says != Says::Forgery {
            self.journal.tell(self.clock.now(), What::Lost { task: name });
            return;
        }
        let moment = task.called(post.says);
        let (mut headers, body) = self.dialect.callback(&task, &moment, self.clock.now());
        headers.push(("content-type", "application/json".to_owned()));
        let url = &self.behind(url);
        let request = egress::Post { url, headers, body: Bytes::from(body.to_string()) };
        let taken = self.send(request).await;
        let (now, attempt, says) = (self.clock.now(), post.attempt, post.says);
        let next_at = match taken {
            Taken::Well(_) => None,
            _ => self.state().agenda.failed(post, self.dialect.retries(), now, self.tempo),
        };
        self.changed.notify_one();
        self.journal.tell(now, What::Posted { task: name, says, status: moment.status, attempt, taken, next_at });
    }

    async fn send(&self, request: egress::Post<'_>) -> Taken {
        if self.faults().way_blocked {
            return Taken::NotAtAll("no way through".to_owned());
        }
        match self.egress.post(request, self.callback_timeout).await {
            Ok(answer) if (200..300).contains(&answer.status) => Taken::Well(outcome(&answer.body)),
            Ok(answer) => Taken::Badly(answer.status),
            Err(error) => Taken::NotAtAll(error.to_string()),
        }
    }

    fn task(&self, id: &str) -> Option<SimulatedTask> {
        let state = self.state();
        let place = state.numbers.get(id)?.checked_sub(state.dropped)?;
        state.tasks.get(place).cloned()
    }

    fn task_name(&self, id: &str) -> TaskName {
        TaskName { source: self.name().to_owned(), id: id.to_owned() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while it hangs; says what is done instead of an answer.
    async fn hindered(&self) -> Option<Reply> {
        let mut faults = self.faults.subscribe();
        let latency = faults.borrow().latency;
        if !latency.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(latency) => {}
                () = self.life.soft().cancelled() => return Some(Reply::Close),
            }
        }
        loop {
            let down = faults.borrow_and_update().down;
            match down {
                None => return None,
                Some(Down::Closed) => return Some(Reply::Close),
                Some(Down::Unavailable) => return Some(self.refuse(&Refusal::Down)),
                Some(Down::Hangs) => tokio::select! {
                    _ = faults.changed() => {}
                    () = self.life.soft().cancelled() => return Some(Reply::Close),
                },
            }
        }
    }

    fn key_seen(&self, asked: &Asked) -> KeySeen {
        let Some(header) = asked.header("authorization") else { return KeySeen::None };
        let key = header.strip_prefix("Bearer ").unwrap_or_default();
        if self.api_key.matches(key) { KeySeen::Right } else { KeySeen::Wrong }
    }
}

impl Answers for SimulatedProvider {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            let key = self.key_seen(&asked);
            let number = self.state().log.add(&asked, key, self.clock.now());
            self.asked.send_modify(|count| *count += 1);
            let reply = match self.hindered().await {
                Some(reply) => reply,
                None => self.reply(&asked, key),
            };
            let reply = if self.faults().answers_lost { Reply::Close } else { reply };
            if let Reply::Answer { status, .. } = &reply {
                self.state().log.answered(number, *status);
            }
            reply
        })
    }
}

/// The `outcome` that Callboard answers a callback with; and that it made no event, where one could expect it.
fn outcome(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let outcome = body["outcome"].as_str()?;
    let waits = outcome == "accepted" && body["event_id"].is_null();
    Some(if waits { format!("{outcome}, no event yet") } else { outcome.to_owned() })
}
