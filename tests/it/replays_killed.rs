//! A replay that is under way when the process is killed goes on with the next one, and tells each event once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::endpoint::{Reply, Sink};
use super::process::{KEY, Place, Service, TOKEN, evolink, steady_port};
use super::wire::{self, Connection};
use super::{postgres, signed};

const EVENTS: usize = 700;
const KILLS: usize = 3;
/// What can be in flight to the sink at once, and so be sent again after a kill.
const CONCURRENCY: usize = 8;

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
[delivery]
timeout = "1s"
[egress]
allow = ["127.0.0.0/8"]
"#,
        sink.url(),
        signed::SECRET,
    )
}

fn post(service: &Service, path: &str, body: &Value) -> Value {
    let headers = [("Authorization", service.bearer())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = wire::request("POST", &format!("{}{path}", service.api), &headers, body.to_string().as_bytes());
    answer.unwrap().json()
}

fn lives(database: &str) {
    let sink = Sink::start(|_| Reply::Status(204));
    let place = Place::with(&config(database, steady_port(), &sink));
    let mut service = place.serve();
    let mut connection = Connection::open(&service.url).unwrap();
    for n in 0..EVENTS {
        let path = format!("/callbacks/evolink/{TOKEN}");
        let answer = connection.exchange("POST", &path, &[], &evolink(&format!("t{n}"))).unwrap();
        assert_eq!(answer.status(), 200);
    }
    let wanted = json!({"since": "2026-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z", "destination": "sink"});
    let made = post(&service, "/replays", &wanted);
    let id = made["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    assert_eq!(made["events_total"], json!(EVENTS));
    for life in 1..=KILLS {
        sink.got.until_len(EVENTS / (KILLS + 1) * life);
        service.kill();
        service = place.serve();
    }
    while service.get(&format!("/replays/{id}"))["status"] == "running" {
        std::thread::yield_now();
    }
    sink.got.until("every event was told", |got| {
        let told: std::collections::BTreeSet<_> = got.iter().map(|got| got.request.header("webhook-id")).collect();
        (told.len() == EVENTS).then_some(())
    });
    let shown = service.get(&format!("/replays/{id}"));
    assert_eq!(
        (&shown["events_done"], &shown["deliveries"], &shown["skipped"]),
        (&json!(EVENTS), &json!(EVENTS), &json!(0))
    );
    let deliveries = service.list("/deliveries");
    assert_eq!(deliveries.len(), EVENTS, "one delivery an event");
    service.stop();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for got in sink.got.all() {
        assert_eq!(got.request.header("callboard-replay"), Some(id.as_str()));
        *times.entry(got.request.header("webhook-id").unwrap().to_owned()).or_default() += 1;
    }
    let again: usize = times.values().map(|times| times - 1).sum();
    assert!(again <= KILLS * CONCURRENCY, "{again} were told again, and only {CONCURRENCY} were in flight at a kill");
}

#[test]
fn a_replay_outlives_kills_on_sqlite() {
    lives("sqlite:callboard.db");
}

#[test]
fn a_replay_outlives_kills_on_postgres() {
    lives(&postgres::fresh());
}
