//! A scene: the service, and simulated providers that it asks, on one clock that stands still until it is moved.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callboard::demo::{Calls, End, Faults, Journal, Options, Plan, Request, SimulatedProvider, Simulator};
use callboard::domain::clock::{ManualClock, SharedClock};
use callboard::shutdown::Lifecycle;
use serde_json::{Value, json};

use super::app::{Answer, Db, START, TOKEN, TestApp, answer};
use super::database::Database;

/// The host of `public_url`, behind which the service is for the simulated providers.
pub(crate) const PUBLIC: &str = "hooks.example.com";

/// What one test plays with.
pub(crate) struct Scene {
    pub(crate) app: TestApp,
    pub(crate) simulator: Simulator,
    config: String,
    life: Lifecycle,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.life.stop();
    }
}

/// A task that ends after so many seconds, half of them waiting.
pub(crate) fn plan(end: End, calls: Calls, seconds: u64) -> Plan {
    let half = Duration::from_millis(seconds * 500);
    Plan { queued: half, processing: half, steps: 4, end, calls, short: false }
}

impl Scene {
    /// Every simulated provider is a source with its key, asked as `settings` says (lines of its section).
    pub(crate) async fn new(db: Db, settings: &str) -> Self {
        Self::with(db, settings, "").await
    }

    /// The same, with more configuration.
    pub(crate) async fn with(db: Db, settings: &str, more: &str) -> Self {
        Self::keyed(db, true, settings, more).await
    }

    /// The same, whose sources have a key of their own or not.
    pub(crate) async fn keyed(db: Db, with_keys: bool, settings: &str, more: &str) -> Self {
        let (clock, life) = (Arc::new(ManualClock::new(START)), Lifecycle::default());
        let shared = Arc::clone(&clock) as SharedClock;
        let simulator = Simulator::start(&Options::default(), &shared, &Journal::default(), &life).unwrap();
        let config = format!("{}\n{more}", sources(&simulator, with_keys, settings));
        let app = TestApp::on(Arc::new(Database::fresh(db)), clock, &config).await;
        for provider in simulator.providers() {
            provider.put_in_front(PUBLIC, app.address);
        }
        Self { app, simulator, config, life }
    }

    /// Another instance beside it on the same database; with other settings, as far as `edit` changes them.
    pub(crate) async fn another(&self, edit: impl FnOnce(String) -> String) -> TestApp {
        let config = edit(self.config.clone());
        TestApp::on(Arc::clone(&self.app.database), Arc::clone(&self.app.clock), &config).await
    }

    /// The service ends and is started again, with other settings as far as `edit` changes them.
    pub(crate) async fn restart(&mut self, edit: impl FnOnce(String) -> String) {
        self.app.stop().await;
        self.app = self.another(edit).await;
        self.app.poller.take_over().await.unwrap();
    }

    pub(crate) fn provider(&self, name: &str) -> &SimulatedProvider {
        self.simulator.provider(name).unwrap()
    }

    pub(crate) fn set_faults(&self, name: &str, faults: Faults) {
        self.provider(name).set_faults(faults);
    }

    /// Makes a task at a provider as its user would, without the relay; its callbacks come to us if `calls_us`.
    pub(crate) async fn submit(&self, source: &str, plan: Plan, calls_us: bool) -> String {
        let provider = self.provider(source);
        provider.plan_next(plan);
        let submission = self.simulator.submissions().find(|submission| submission.source == source).unwrap();
        let mut body: Value = serde_json::from_slice(&submission.body).unwrap();
        // Another prompt than the submission's own, for which a plan was drawn.
        let prompt = if body["input"].is_object() { &mut body["input"]["prompt"] } else { &mut body["prompt"] };
        *prompt = json!("a test");
        if calls_us {
            body["callback_url"] = json!(self.app.url(&format!("/callbacks/{source}/{TOKEN}")));
        }
        let request = self.app.client.post(format!("{}{}", provider.base_url, submission.path));
        let made = answer(request.bearer_auth(provider.api_key.expose()).body(body.to_string())).await.expect(200);
        let ids = ["/id", "/data/taskId", "/data/task_id"];
        ids.iter().find_map(|at| made.body.pointer(at)?.as_str()).unwrap().to_owned()
    }

    /// The same, at a provider that answers its user and not us.
    pub(crate) async fn submit_refused(&self, source: &str, plan: Plan) -> String {
        let faults = self.provider(source).faults();
        self.set_faults(source, Faults::default());
        let task = self.submit(source, plan, true).await;
        self.set_faults(source, faults);
        task
    }

    pub(crate) async fn register(&self, source: &str, task_id: &str) -> Answer {
        self.app.post_api("/api/v1/tasks", json!({"source": source, "task_id": task_id})).await
    }

    /// Lets time pass in steps; in each, callbacks come, questions are put, and events are told.
    pub(crate) async fn pass(&mut self, time: Duration, step: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let now = step.min(left);
            left -= now;
            self.app.advance(now);
            self.simulator.tick().await;
            self.ask_all().await;
            self.app.tick_all().await;
        }
    }

    /// Asks until nothing more can be asked at this moment; gives how many requests that took.
    pub(crate) async fn ask_all(&mut self) -> usize {
        let mut all = 0;
        loop {
            match self.app.poller.tick().await.unwrap() {
                0 => return all,
                many => all += many,
            }
        }
    }

    pub(crate) async fn task(&self, source: &str, task_id: &str) -> Value {
        self.app.get(&format!("/api/v1/tasks/{source}/{task_id}")).await.expect(200).body
    }

    /// The events of a task, oldest first, by type.
    pub(crate) async fn told(&self, task_id: &str) -> Vec<String> {
        let events = self.events(task_id).await;
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// The events of a task, oldest first.
    pub(crate) async fn events(&self, task_id: &str) -> Vec<Value> {
        let list = self.app.get(&format!("/api/v1/events?limit=250&task_id={task_id}")).await.expect(200);
        list.items().iter().rev().cloned().collect()
    }

    /// How often each word was answered, over the polls of a task.
    pub(crate) async fn polls(&self, source: &str, task_id: &str) -> BTreeMap<String, i64> {
        let mut polls = BTreeMap::new();
        for entry in self.task(source, task_id).await["timeline"].as_array().unwrap() {
            if entry["kind"] == "poll" {
                let word = entry["poll"]["outcome"].as_str().unwrap().to_owned();
                *polls.entry(word).or_default() += 1 + entry["poll"]["repeats"].as_i64().unwrap();
            }
        }
        polls
    }

    /// The questions that a provider was asked, in order: whatever made no task.
    pub(crate) fn asks(&self, source: &str) -> Vec<Request> {
        let all = self.provider(source).requests().into_iter();
        all.filter(|request| request.method == "GET" || request.path.ends_with("/batch")).collect()
    }

    /// Makes so many tasks and registers them.
    pub(crate) async fn submit_many(&self, source: &str, plan: &Plan, many: usize) -> Vec<String> {
        let mut tasks = Vec::new();
        for _ in 0..many {
            let task = self.submit(source, plan.clone(), false).await;
            self.register(source, &task).await.expect(201);
            tasks.push(task);
        }
        tasks
    }

    /// A source as the API shows it.
    pub(crate) async fn source(&self, name: &str) -> Value {
        self.app.get(&format!("/api/v1/sources/{name}")).await.expect(200).body
    }

    /// A kept callback as the API shows it.
    pub(crate) async fn callback(&self, posted: &Answer) -> Value {
        self.app.get(&format!("/api/v1/callbacks/{}", posted.text("callback_id"))).await.expect(200).body
    }

    /// Posts what a provider would, or somebody who knows the URL.
    pub(crate) async fn call(&self, source: &str, query: &str, body: Value) -> Answer {
        self.app.post(source, query, body.to_string(), &[]).await
    }
}

/// In no second did a provider get more than this.
#[track_caller]
pub(crate) fn assert_pace(asks: &[Request], count: usize) {
    assert!(!asks.is_empty());
    for (at, first) in asks.iter().enumerate() {
        let within = asks[at..].iter().take_while(|ask| ask.at.since(first.at) < Duration::from_secs(1)).count();
        assert!(within <= count, "{within} requests within a second of {}", first.at);
    }
}

fn sources(simulator: &Simulator, with_keys: bool, settings: &str) -> String {
    let one = |provider: &Arc<SimulatedProvider>| {
        // One of them has a list.
        let lists = provider.name() == "evolink";
        let settings = if lists { settings.to_owned() } else { settings.replace(", discover = true", "") };
        let key = format!("api_key = \"{}\"\n", provider.api_key.expose());
        let key = if with_keys { key } else { String::new() };
        format!(
            "[sources.{name}]\nprovider = \"{name}\"\ncallback_token = \"{TOKEN}\"\nbase_url = \"{}\"\n{key}{settings}\n",
            provider.base_url,
            name = provider.name(),
        )
    };
    simulator.providers().iter().map(one).collect()
}
