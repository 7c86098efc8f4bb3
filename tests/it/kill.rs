//! Nothing that was acknowledged is lost, and every event is told, however the process ends under load.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::endpoint::{Got, Reply, Sink};
use super::process::{KEY, Place, Service, TOKEN, evolink, steady_port};
use super::record::Record;
use super::wire::Connection;
use super::{postgres, signed};

const KILLS: usize = 10;
const POSTERS: usize = 8;
/// So many are acknowledged before each end, and a few more: no end is like the other.
const ACKED_BEFORE_AN_END: usize = 100;
/// Every so many posts one is sent again.
const REPEAT_EVERY: usize = 7;
/// What can be in flight to the sink at once, and so be sent again after a kill.
const CONCURRENCY: usize = 8;

/// One 200, as a poster wrote it down.
#[derive(Clone, Debug)]
struct Acked {
    task_id: String,
    callback_id: String,
    event_id: String,
    outcome: String,
}

/// Whether the service is up: who finds it dead waits here.
#[derive(Default)]
struct Gate {
    up: Mutex<bool>,
    changed: Condvar,
    over: AtomicBool,
}

impl Gate {
    fn set(&self, up: bool) {
        *self.up.lock().unwrap() = up;
        self.changed.notify_all();
    }

    fn wait(&self) {
        drop(self.changed.wait_while(self.up.lock().unwrap(), |up| !*up).unwrap());
    }
}

struct Load {
    gate: Gate,
    acked: Record<Acked>,
    sent: AtomicUsize,
    url: String,
}

impl Load {
    /// Posts until it is over; what was not acknowledged is posted again, as a provider does.
    fn post(&self, poster: usize) {
        let path = format!("/callbacks/evolink/{TOKEN}");
        let mut connection = None;
        for number in 0.. {
            if self.gate.over.load(Ordering::SeqCst) {
                return;
            }
            let task_id = format!("task-{poster}-{number}");
            self.sent.fetch_add(1, Ordering::SeqCst);
            let times = if number % REPEAT_EVERY == 0 { 2 } else { 1 };
            for _ in 0..times {
                let acked = self.until_acked(&mut connection, &path, &task_id);
                self.acked.push(acked);
            }
        }
    }

    fn until_acked(&self, connection: &mut Option<Connection>, path: &str, task_id: &str) -> Acked {
        loop {
            self.gate.wait();
            let open = match connection.take() {
                Some(open) => Ok(open),
                None => Connection::open(&self.url),
            };
            let Ok(mut open) = open else { continue };
            let Ok(answer) = open.exchange("POST", path, &[("Content-Type", "application/json")], &evolink(task_id))
            else {
                continue;
            };
            *connection = Some(open);
            // A database that is just being stopped may answer 503, which is no acknowledgement.
            if answer.status() != 200 {
                assert_eq!(answer.status(), 503, "{answer:?}");
                continue;
            }
            let said = answer.json();
            let text = |key: &str| said[key].as_str().unwrap_or_else(|| panic!("{said}")).to_owned();
            assert_eq!(text("task_id"), task_id);
            return Acked {
                task_id: task_id.to_owned(),
                callback_id: text("callback_id"),
                event_id: text("event_id"),
                outcome: text("outcome"),
            };
        }
    }
}

fn config(database: &str, port: u16, sink: &Sink) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
admin_key = "{KEY}"
[database]
url = "{database}"
[sources.evolink]
provider = "evolink"
callback_token = "{TOKEN}"
[destinations.sink]
team = "ops"
channel = "webhook"
url = "{}"
secret = "{}"
concurrency = {CONCURRENCY}
[[subscriptions]]
destination = "sink"
[delivery]
timeout = "1s"
retry = ["100ms", "1s", "1s", "1s"]
[egress]
allow = ["127.0.0.0/8"]
"#,
        sink.url(),
        signed::SECRET,
    )
}

/// What the sink was told, checked request by request.
struct Told {
    /// The events of each task.
    events: HashMap<String, BTreeSet<String>>,
    /// The eras in which each event came.
    eras: BTreeMap<String, Vec<usize>>,
}

fn told(got: &[Got]) -> Told {
    let mut told = Told { events: HashMap::new(), eras: BTreeMap::new() };
    for got in got {
        let event = signed::verified(&got.request);
        let id = event["id"].as_str().unwrap().to_owned();
        assert_eq!(got.request.header("webhook-id"), Some(id.as_str()));
        let task_id = event["data"]["task_id"].as_str().unwrap().to_owned();
        told.events.entry(task_id).or_default().insert(id.clone());
        told.eras.entry(id).or_default().push(got.era);
    }
    told
}

/// So many lives under load, each ended by `end`, and one that brings everything to its end.
fn lives(many: usize, database: &str, end: impl Fn(Service)) -> (Place, Told) {
    let sink = Sink::start(|_| Reply::Status(204));
    let port = steady_port();
    let place = Place::with(&config(database, port, &sink));
    let url = format!("http://127.0.0.1:{port}");
    let load = Arc::new(Load { gate: Gate::default(), acked: Record::default(), sent: AtomicUsize::new(0), url });
    let posters: Vec<_> = (0..POSTERS)
        .map(|poster| {
            let load = Arc::clone(&load);
            std::thread::spawn(move || load.post(poster))
        })
        .collect();
    for life in 0..many {
        let service = place.serve();
        load.gate.set(true);
        load.acked.until_len(load.acked.len() + ACKED_BEFORE_AN_END + life * 13);
        end(service);
        load.gate.set(false);
        sink.next_era();
    }
    let service = place.serve();
    load.gate.over.store(true, Ordering::SeqCst);
    load.gate.set(true);
    posters.into_iter().for_each(|poster| poster.join().unwrap());

    let acked = load.acked.all();
    let tasks: BTreeSet<&str> = acked.iter().map(|acked| acked.task_id.as_str()).collect();
    // Every poster went on until each of its posts was acknowledged.
    assert_eq!(tasks.len(), load.sent.load(Ordering::SeqCst));
    wait_until_settled(&service);
    assert_stored(&service, &acked, &tasks);
    service.stop();
    let all_told = told(&sink.got.all());
    assert_eq!(all_told.eras.len(), tasks.len(), "events were told that are of no task");
    let twice: usize = all_told.eras.values().map(|eras| eras.len() - 1).sum();
    let repeats = acked.iter().filter(|acked| acked.outcome == "duplicate").count();
    report(many, acked.len(), repeats, tasks.len(), twice);
    (place, all_told)
}

#[expect(clippy::print_stdout, reason = "the figures, for whoever asks for them with --nocapture")]
fn report(lives: usize, acked: usize, repeats: usize, tasks: usize, twice: usize) {
    println!(
        "{lives} lives: {acked} acknowledged ({repeats} of them repeats), {tasks} tasks, none lost, {twice} told twice"
    );
}

/// Waits until no delivery is open: with each attempt the service prints a line.
fn wait_until_settled(service: &Service) {
    loop {
        let lines = service.out.len();
        if service.get("/deliveries?status=pending&limit=1")["items"].as_array().unwrap().is_empty() {
            return;
        }
        service.out.until_len(lines + 1);
    }
}

/// Everything that was acknowledged is there, once, and nothing else is.
fn assert_stored(service: &Service, acked: &[Acked], tasks: &BTreeSet<&str>) {
    let events = service.list("/events");
    let mut event_of: HashMap<&str, &str> = HashMap::new();
    for event in &events {
        assert_eq!(event["type"], "task.completed");
        let task_id = event["data"]["task_id"].as_str().unwrap();
        assert!(event_of.insert(task_id, event["id"].as_str().unwrap()).is_none(), "{task_id} has two events");
    }
    let stored = service.list("/tasks");
    let stored: BTreeSet<&str> = stored.iter().map(|task| task["task_id"].as_str().unwrap()).collect();
    let missing: Vec<_> = tasks.difference(&stored).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    let invented: Vec<_> = stored.difference(tasks).collect();
    assert!(invented.is_empty(), "never sent: {invented:?}");
    let callbacks = service.list("/callbacks");
    let callbacks: HashMap<&str, &str> = callbacks
        .iter()
        .map(|callback| (callback["id"].as_str().unwrap(), callback["task_id"].as_str().unwrap()))
        .collect();
    for acked in acked {
        assert_eq!(event_of.get(acked.task_id.as_str()), Some(&acked.event_id.as_str()), "{acked:?}");
        assert_eq!(callbacks.get(acked.callback_id.as_str()), Some(&acked.task_id.as_str()), "{acked:?}");
    }
    assert_eq!(events.len(), tasks.len());
    let deliveries = service.list("/deliveries");
    assert!(deliveries.iter().all(|delivery| delivery["status"] == "delivered"));
    assert_eq!(deliveries.len(), tasks.len());
}

/// One event a task, and told again only what a kill had caught in flight.
fn assert_told_well(told: &Told) {
    for (task_id, events) in &told.events {
        assert_eq!(events.len(), 1, "{task_id} was told as {events:?}");
    }
    let mut again = 0;
    for (id, eras) in &told.eras {
        let lives: BTreeSet<usize> = eras.iter().copied().collect();
        assert_eq!(lives.len(), eras.len(), "{id} was told twice in one life: {eras:?}");
        again += eras.len() - 1;
    }
    assert!(again <= KILLS * CONCURRENCY, "{again} were told again, and only {CONCURRENCY} were in flight at a kill");
}

#[test]
fn nothing_acknowledged_is_lost_on_sqlite() {
    let (place, told) = lives(KILLS, "sqlite:callboard.db", Service::kill);
    assert_told_well(&told);
    assert_eq!(integrity(&place.path("callboard.db")), "ok");
}

#[test]
fn nothing_acknowledged_is_lost_on_postgres() {
    let (_place, told) = lives(KILLS, &postgres::fresh(), Service::kill);
    assert_told_well(&told);
}

#[test]
fn an_orderly_stop_under_load_loses_nothing_and_tells_nothing_twice() {
    let (_place, told) = lives(3, "sqlite:callboard.db", Service::stop);
    assert_told_well(&told);
    assert!(told.eras.values().all(|eras| eras.len() == 1));
}

fn integrity(database: &std::path::Path) -> String {
    use sqlx::{ConnectOptions, Row};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(database).connect().await.unwrap();
        let row = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
        row.get(0)
    })
}
