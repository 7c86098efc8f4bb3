//! The simulated providers over real sockets, on a clock that the test moves: they behave as the
//! providers' documents say, and their callbacks are what the service takes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use callboard::demo::{
    BatchFault, Calls, Down, End, Faults, Journal, KeySeen, Options, Plan, Request, SimulatedProvider, Simulator,
};
use callboard::domain::clock::{Clock, ManualClock, SharedClock, SystemClock};
use callboard::shutdown::Lifecycle;
use serde_json::{Value, json};

use super::app::{Answer, Db, START, TOKEN, TestApp, answer};
use super::sink::{Reply, Sink};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The simulator and whoever asks it.
struct Place {
    simulator: Simulator,
    clock: Arc<ManualClock>,
    life: Lifecycle,
    client: reqwest::Client,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.life.stop();
    }
}

impl Place {
    fn new() -> Self {
        Self::with(&Options::default(), Arc::new(ManualClock::new(START)))
    }

    fn with(options: &Options, clock: Arc<ManualClock>) -> Self {
        let life = Lifecycle::default();
        let shared = Arc::clone(&clock) as SharedClock;
        let simulator = Simulator::start(options, &shared, &Journal::default(), &life).unwrap();
        Self { simulator, clock, life, client: reqwest::Client::new() }
    }

    fn provider(&self, name: &str) -> &Arc<SimulatedProvider> {
        self.simulator.provider(name).unwrap()
    }

    fn request(&self, name: &str, method: &str, path: &str, body: &Value) -> reqwest::RequestBuilder {
        let provider = self.provider(name);
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", provider.base_url));
        let request = request.bearer_auth(provider.api_key.expose());
        if body.is_null() { request } else { request.body(body.to_string()) }
    }

    async fn ask(&self, name: &str, method: &str, path: &str, body: Value) -> Answer {
        answer(self.request(name, method, path, &body)).await
    }

    /// Makes a task at EvoLink; gives its id.
    async fn evolink(&self, plan: Plan, callback_url: &str) -> String {
        self.provider("evolink").plan_next(plan);
        let answer = self.ask("evolink", "POST", VIDEOS, order(callback_url)).await.expect(200);
        answer.text("id").to_owned()
    }

    async fn status(&self, id: &str) -> String {
        let shown = self.ask("evolink", "GET", &format!("/v1/tasks/{id}"), Value::Null).await.expect(200);
        shown.text("status").to_owned()
    }

    /// Lets the time pass, second by second, and posts what becomes due.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(s(1));
            self.simulator.tick().await;
        }
    }
}

const VIDEOS: &str = "/v1/videos/generations";

fn order(callback_url: &str) -> Value {
    json!({"model": "kling-o3-text-to-video", "prompt": "A golden retriever", "callback_url": callback_url})
}

/// After how many seconds each request came.
fn seconds(seen: &[Request]) -> Vec<u64> {
    seen.iter().map(|request| request.at.since(START).as_secs()).collect()
}

#[tokio::test]
async fn a_task_is_made_asked_for_and_called_back_and_again_after_one_two_and_four_seconds() {
    let (place, sink) = (Place::new(), Sink::scripted(|_| Reply::status(500)).await);
    let id = place.evolink(Plan::default(), &sink.url()).await;
    assert_eq!(place.status(&id).await, "pending");
    place.pass(61).await;
    assert_eq!((place.status(&id).await.as_str(), sink.count()), ("processing", 0));
    // Failed at 62, 63 and 65, the last time at 69, and never after.
    for (seconds, posted) in [(1, 1), (1, 2), (1, 2), (1, 3), (3, 3), (1, 4), (3600, 4)] {
        place.pass(seconds).await;
        let passed = place.clock.now().since(START).as_secs();
        assert_eq!(sink.count(), posted, "after {passed} s");
    }
    let shown = place.ask("evolink", "GET", &format!("/v1/tasks/{id}"), Value::Null).await.expect(200);
    assert_eq!(shown.text("status"), "completed");
    for request in sink.requests() {
        assert_eq!(request.json(), shown.body);
        assert_eq!(request.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn a_callback_that_is_taken_is_not_repeated() {
    let (place, sink) = (Place::new(), Sink::scripted(|_| Reply::status(503)).await);
    place.evolink(Plan::default(), &sink.url()).await;
    place.pass(62).await;
    sink.answer(|_| Reply::status(202));
    place.pass(60).await;
    assert_eq!(sink.count(), 2);
    assert_eq!(place.provider("evolink").next_at(), None);
}

#[tokio::test]
async fn aivideoapi_calls_back_three_times_in_ten_minutes_and_says_so_in_headers() {
    let (place, sink) = (Place::new(), Sink::scripted(|_| Reply::status(500)).await);
    let provider = place.provider("aivideoapi");
    provider
        .plan_for("a dog", Plan { end: End::failed("upstream_error", "Video generation failed"), ..Plan::default() });
    let order = json!({"model": "kling-3.0", "callback_url": sink.url(), "input": {"prompt": "a dog"}});
    let made = place.ask("aivideoapi", "POST", VIDEOS, order).await.expect(200);
    let id = made.body["data"]["taskId"].as_str().unwrap();
    for (seconds, posted) in [(61, 0), (1, 1), (179, 1), (1, 2), (419, 2), (1, 3), (3600, 3)] {
        place.pass(seconds).await;
        assert_eq!(sink.count(), posted, "after {} s", place.clock.now().since(START).as_secs());
    }
    let request = &sink.requests()[0];
    let header = |name| request.header(name).unwrap();
    let at = ((START.0 / 1000) + 62).to_string();
    assert_eq!((header("x-event"), header("x-task-id"), header("x-timestamp")), ("task.failed", id, at.as_str()));
    assert_eq!(request.json()["error"]["code"], json!("upstream_error"));
}

#[tokio::test]
async fn plans_say_how_often_when_and_by_whom_a_task_is_called_back() {
    let failed = End::failed("service_error", "The service failed.");
    for (calls, expected) in [
        (Calls::Never, vec![]),
        (Calls::FiveAtOnce, vec!["failed"; 5]),
        (Calls::OutOfOrder, vec!["failed", "processing"]),
        (Calls::Forged, vec!["completed", "failed"]),
        (Calls::Late(s(900)), vec!["failed"]),
    ] {
        let (place, sink) = (Place::new(), Sink::start().await);
        place.evolink(Plan { calls, end: failed.clone(), ..Plan::default() }, &sink.url()).await;
        // All at once, as after a long sleep: what is due in order comes in order.
        place.clock.advance(s(3600));
        place.simulator.tick().await;
        let said: Vec<String> =
            sink.requests().iter().map(|request| request.json()["status"].as_str().unwrap().to_owned()).collect();
        assert_eq!(said, expected, "{calls:?}");
    }
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_makes_one_task() {
    let place = Place::new();
    let post = |body: Value| answer(place.request("evolink", "POST", VIDEOS, &body).header("idempotency-key", "k-1"));
    let first = post(order("https://example.com/cb")).await.expect(200);
    let again = post(order("https://example.com/cb")).await.expect(200);
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    assert_eq!(first.bytes, again.bytes);
    let other = post(order("https://example.com/other")).await.expect(409);
    assert_eq!(other.body["error"]["code"], json!("idempotency_conflict"));
    assert_eq!(place.provider("evolink").tasks().len(), 1);
    let requests = place.provider("evolink").requests();
    assert_eq!(requests[0].header("idempotency-key"), Some("k-1"));
    assert_eq!(requests.iter().map(|request| request.status).collect::<Vec<_>>(), [Some(200), Some(200), Some(409)]);
}

#[tokio::test]
async fn who_has_no_right_or_asks_wrongly_is_refused_in_the_documented_shape() {
    let place = Place::new();
    let error = |answer: Answer| {
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let error = answer.body["error"].clone();
        let keys: BTreeSet<&str> = error.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["code", "message", "type"]));
        (answer.status, error["code"].as_str().unwrap().to_owned())
    };
    let url = format!("{}/v1/tasks/x", place.provider("evolink").base_url);
    for request in [place.client.get(&url), place.client.get(&url).bearer_auth("sk-other")] {
        assert_eq!(error(answer(request).await), (401, "invalid_api_key".into()));
    }
    let seen: Vec<KeySeen> = place.provider("evolink").requests().iter().map(|request| request.key).collect();
    assert_eq!(seen, [KeySeen::None, KeySeen::Wrong]);
    for (path, body, expected) in [
        ("/v1/tasks/x", Value::Null, (404, "task_not_found")),
        (VIDEOS, order("http://example.com/cb"), (400, "invalid_parameters")),
        (VIDEOS, order("https://10.0.0.1/cb"), (400, "invalid_parameters")),
        (VIDEOS, json!([]), (400, "invalid_parameters")),
    ] {
        let method = if body.is_null() { "GET" } else { "POST" };
        let said = error(place.ask("evolink", method, path, body).await);
        assert_eq!(said, (expected.0, expected.1.to_owned()), "{path}");
    }
    let strict = Options { local_callbacks: false, ..Options::default() };
    let strict = Place::with(&strict, Arc::clone(&place.clock));
    let said = error(strict.ask("evolink", "POST", VIDEOS, order("https://127.0.0.1/cb")).await);
    assert_eq!(said, (400, "invalid_parameters".into()));
    assert_eq!(strict.provider("evolink").tasks(), []);
}

#[tokio::test]
async fn many_tasks_are_asked_for_at_once_and_listed_newest_first() {
    let place = Place::new();
    let mut ids = Vec::new();
    for _ in 0..51 {
        ids.push(place.evolink(Plan::default(), "https://example.com/cb").await);
    }
    place.clock.advance(s(62));
    let batch = |ids: Vec<&str>| place.ask("evolink", "POST", "/v1/tasks/batch", json!({"task_ids": ids}));
    let found = batch(vec![ids[0].as_str(), "unknown", ids[1].as_str()]).await.expect(200);
    let one = place.ask("evolink", "GET", &format!("/v1/tasks/{}", ids[0]), Value::Null).await.expect(200);
    assert_eq!(found.body["data"].as_array().unwrap().len(), 2);
    assert_eq!(found.body["data"][0], one.body);
    assert!(one.body["results"].is_array());
    batch(ids.iter().map(String::as_str).collect()).await.expect(400);
    batch(ids.iter().skip(1).map(String::as_str).collect()).await.expect(200);

    for (fault, status, shape) in [
        (BatchFault::NotFound, 404, "/error/code"),
        (BatchFault::NotAllowed, 405, "/error/code"),
        (BatchFault::BareList, 200, "/0/results"),
        (BatchFault::NoResults, 200, "/data/0/id"),
    ] {
        place.provider("evolink").set_faults(Faults { batch: Some(fault), ..Faults::default() });
        let answer = batch(vec![ids[0].as_str()]).await.expect(status);
        assert!(answer.body.pointer(shape).is_some(), "{fault:?}: {}", answer.body);
        assert_eq!(answer.body.pointer("/data/0/results"), None, "{fault:?}");
    }

    let page = place.ask("evolink", "GET", "/v1/tasks?page=2&page_size=20", Value::Null).await.expect(200);
    let listed: Vec<&str> =
        page.body["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    let expected: Vec<&str> = ids.iter().rev().skip(20).take(20).map(String::as_str).collect();
    assert_eq!(listed, expected);
    assert_eq!((&page.body["total"], &page.body["page"]), (&json!(51), &json!(2)));
    let row = &page.body["data"][0];
    assert_eq!((&row["has_results"], row.get("results")), (&json!(true), None));
    let none = place.ask("evolink", "GET", "/v1/tasks?status=failed", Value::Null).await.expect(200);
    assert_eq!(none.body["total"], json!(0));
}

#[tokio::test]
async fn faults_come_and_go() {
    let place = Place::new();
    let provider = place.provider("evolink");
    let id = place.evolink(Plan::default(), "https://example.com/cb").await;
    let path = format!("/v1/tasks/{id}");
    let get = || place.request("evolink", "GET", &path, &Value::Null);
    for (faults, status, code) in [
        (Faults { down: Some(Down::Unavailable), ..Faults::default() }, 503, "service_unavailable"),
        (Faults { throttled: Some(s(30)), ..Faults::default() }, 429, "rate_limit_exceeded"),
        (Faults { key_refused: true, ..Faults::default() }, 401, "invalid_api_key"),
        (Faults { address_refused: true, ..Faults::default() }, 403, "ip_not_allowed"),
    ] {
        provider.set_faults(faults);
        let answer = answer(get()).await.expect(status);
        assert_eq!(answer.body["error"]["code"], json!(code));
        assert_eq!(answer.header("retry-after"), faults.throttled.map(|_| "30"));
    }
    let slow = Faults { latency: Duration::from_millis(30), ..Faults::default() };
    provider.set_faults(slow);
    let begun = std::time::Instant::now();
    answer(get()).await.expect(200);
    assert!(begun.elapsed() >= slow.latency);

    provider.set_faults(Faults { down: Some(Down::Closed), ..Faults::default() });
    assert!(get().send().await.is_err());
    assert_eq!(provider.requests().last().unwrap().status, None);

    provider.set_faults(Faults { down: Some(Down::Hangs), ..Faults::default() });
    let asked = provider.requests().len();
    let hanging = tokio::spawn(answer(get()));
    provider.asked(asked + 1).await;
    assert_eq!(provider.requests().last().unwrap().status, None);
    provider.set_faults(Faults::default());
    hanging.await.unwrap().expect(200);
}

#[tokio::test]
async fn an_answer_can_be_lost_and_the_task_is_made_all_the_same() {
    let place = Place::new();
    let provider = place.provider("evolink");
    provider.set_faults(Faults { answers_lost: true, ..Faults::default() });
    assert!(place.request("evolink", "POST", VIDEOS, &order("https://example.com/cb")).send().await.is_err());
    let made: Vec<String> = provider.tasks().iter().map(|task| task.prompt().to_owned()).collect();
    assert_eq!(made, ["A golden retriever"]);
}

#[tokio::test]
async fn callbacks_that_are_cut_off_never_come_and_forgers_do_not_care() {
    let (place, sink) = (Place::new(), Sink::start().await);
    place.evolink(Plan { calls: Calls::Forged, ..Plan::default() }, &sink.url()).await;
    place.provider("evolink").set_faults(Faults { callbacks_cut: true, ..Faults::default() });
    place.pass(100).await;
    place.provider("evolink").set_faults(Faults::default());
    place.pass(100).await;
    assert_eq!(sink.count(), 1);
    assert!(sink.requests()[0].json()["results"][0].as_str().unwrap().contains("forged"));
}

#[tokio::test]
async fn speed_divides_all_times_and_the_clock_stands_on_every_request() {
    let (options, sink) = (Options { speed: 60.0, ..Options::default() }, Sink::start().await);
    let place = Place::with(&options, Arc::new(ManualClock::new(START)));
    let id = place.evolink(Plan::default(), &sink.url()).await;
    place.pass(1).await;
    assert_eq!((place.status(&id).await.as_str(), sink.count()), ("processing", 0));
    place.pass(1).await;
    assert_eq!((place.status(&id).await.as_str(), sink.count()), ("completed", 1));
    assert_eq!(seconds(&place.provider("evolink").requests()), [0, 1, 2]);
}

/// With the system's clock, as the demo has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_runs_by_itself_and_stops_when_it_is_told_to() {
    let (life, clock, sink) = (Lifecycle::default(), Arc::new(SystemClock) as SharedClock, Sink::start().await);
    let options = Options { speed: 1000.0, ..Options::default() };
    let simulator = Simulator::start(&options, &clock, &Journal::default(), &life).unwrap();
    simulator.run(&life);
    let provider = simulator.provider("evolink").unwrap();
    let ask = |body: String| {
        let request = reqwest::Client::new().post(format!("{}{VIDEOS}", provider.base_url));
        answer(request.bearer_auth(provider.api_key.expose()).body(body))
    };
    provider.plan_next(Plan { calls: Calls::FiveAtOnce, ..Plan::default() });
    provider.plan_next(Plan { calls: Calls::OutOfOrder, ..Plan::default() });
    ask(order(&sink.url()).to_string()).await.expect(200);
    ask(order(&sink.url()).to_string()).await.expect(200);
    sink.wait_for(7).await;

    provider.set_faults(Faults { down: Some(Down::Hangs), ..Faults::default() });
    let url = format!("{}/v1/tasks/x", provider.base_url);
    let hanging = tokio::spawn(reqwest::Client::new().get(url).send());
    provider.asked(3).await;
    life.stop();
    life.drained(Duration::MAX).await;
    assert!(hanging.await.unwrap().is_err());
}

/// The very service: what is simulated is what its adapters read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_takes_what_the_simulated_providers_post() {
    let app = TestApp::new(Db::Sqlite, "").await;
    let place = Place::with(&Options::default(), Arc::clone(&app.clock));
    let url = |source: &str| app.url(&format!("/callbacks/{source}/{TOKEN}?campaign=spring"));
    let cancelled = End::failed("request_cancelled", "The request was cancelled.");
    for (calls, end, short) in [
        (Calls::FiveAtOnce, End::Completed, false),
        (Calls::OutOfOrder, End::failed("generation_timeout", "It took too long."), false),
        (Calls::Normal, cancelled, true),
        (Calls::Late(s(600)), End::Cancelled, true),
    ] {
        place.evolink(Plan { calls, end, short, ..Plan::default() }, &url("evolink")).await;
    }
    place.provider("aivideoapi").plan_next(Plan { calls: Calls::OutOfOrder, ..Plan::default() });
    let order = json!({"model": "kling-3.0", "callback_url": url("aivideoapi"), "input": {"prompt": "a dog"}});
    place.ask("aivideoapi", "POST", VIDEOS, order).await.expect(200);
    place.pass(700).await;
    for name in ["evolink", "aivideoapi"] {
        for task in place.provider(name).tasks() {
            let known = app.get(&format!("/api/v1/tasks/{name}/{}", task.id)).await.expect(200);
            assert_eq!(known.text("status"), task.plan.end.told().as_str(), "{task:?}");
            assert_eq!(known.body["metadata"]["campaign"], json!("spring"));
        }
    }
    let count = |list: Answer| list.expect(200).items().len();
    assert_eq!(count(app.get("/api/v1/events?type=task.completed").await), 2);
    assert_eq!(count(app.get("/api/v1/events?type=task.cancelled").await), 2);
    assert_eq!(count(app.get("/api/v1/events?type=task.failed").await), 1);
    assert_eq!(count(app.get("/api/v1/callbacks?outcome=stale").await), 2);
    assert_eq!(count(app.get("/api/v1/callbacks?outcome=quarantined").await), 0);
}
