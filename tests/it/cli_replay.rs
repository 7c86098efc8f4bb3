//! `callboard replay` of many: a plan first, then all of it, and not unasked.

use serde_json::Value;

use super::endpoint::{Reply, Sink};
use super::process::{Place, Ran, Service, evolink};
use super::signed::SECRET;

const DONE: Option<i32> = Some(0);
const WRONG: Option<i32> = Some(2);

/// A service with one destination, that told it of so many tasks.
fn told(place: &Place, sink: &Sink, tasks: usize) -> Service {
    place.write(
        "callboard.toml",
        format!(
            "[egress]\nallow = [\"127.0.0.0/8\"]\n[delivery]\nretry = [\"1ms\"]\n[destinations.backend]\nteam = \"ops\"\nchannel = \"webhook\"\n\
             url = \"{}\"\nsecret = \"{SECRET}\"\n[[subscriptions]]\ndestination = \"backend\"\n",
            sink.url()
        ),
    );
    let service = place.serve_with(&[("CALLBOARD_SERVER__LISTEN", "127.0.0.1:0")]);
    for number in 0..tasks {
        assert_eq!(service.post("evolink", &evolink(&format!("task-{number}"))).status(), 200);
    }
    sink.got.until_len(tasks);
    service
}

fn run(place: &Place, service: &Service, arguments: &[&str]) -> Ran {
    place.run(&[&["replay"], arguments, &["--url", &service.api]].concat())
}

#[test]
fn a_range_is_planned_and_not_begun_unasked() {
    let (place, sink) = (Place::new(), Sink::start(|_| Reply::Status(200)));
    let service = told(&place, &sink, 3);
    let Ran { code, out, err } = run(&place, &service, &["--since", "1h", "--dry-run"]);
    assert_eq!(code, DONE, "{err}");
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [vec!["3", "events,", "3", "deliveries"], vec!["backend", "3"]]);
    let Ran { out, .. } = run(&place, &service, &["--since", "1h", "--dry-run", "--json"]);
    let plan: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&plan["events"], &plan["deliveries"]), (&3.into(), &3.into()));

    let Ran { code, err, .. } = run(&place, &service, &["--since", "1h"]);
    assert_eq!(code, WRONG);
    assert!(err.contains("--yes") && err.contains("--dry-run"), "{err}");
    let Ran { code, out, .. } = run(&place, &service, &["--since", "2h", "--until", "1h", "--yes"]);
    assert!(code == DONE && out.contains("there is nothing to tell"), "{out}");
    let Ran { code, err, .. } = run(&place, &service, &["--since", "1h", "--destination", "nowhere", "--yes"]);
    assert!(code == WRONG && err.contains("there is no destination `nowhere`"), "{err}");
    assert_eq!(service.get("/replays")["items"], serde_json::json!([]));
    assert_eq!(sink.got.len(), 3);
    service.stop();
}

#[test]
fn a_range_is_told_again_to_its_end() {
    let (place, sink) = (Place::new(), Sink::start(|_| Reply::Status(200)));
    let service = told(&place, &sink, 5);
    let Ran { code, out, err } = run(&place, &service, &["--since", "1h", "--yes", "--json"]);
    assert_eq!(code, DONE, "{err}");
    let replay: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&replay["status"], &replay["events_done"]), (&"done".into(), &5.into()), "{replay}");
    let id = replay["id"].as_str().unwrap();
    let again = sink.got.until_len(10);
    assert!(again[5..].iter().all(|got| got.request.header("callboard-replay") == Some(id)));

    let Ran { out, .. } = run(&place, &service, &["list"]);
    assert!(out.lines().nth(1).unwrap().contains("done") && out.contains("5/5") && out.ends_with(id), "{out}");
    assert!(run(&place, &service, &["show", id]).out.contains("events_done        5"));
    let Ran { code, err, .. } = run(&place, &service, &["show", "rpl_x"]);
    assert!(code == Some(1) && err.contains("there is no replay with this id"), "{err}");
    service.stop();
}

#[test]
fn a_slow_replay_is_left_running_and_cancelled() {
    let (place, sink) = (Place::new(), Sink::start(|_| Reply::Status(200)));
    let service = told(&place, &sink, 3);
    let arguments = ["--since", "1h", "--rate", "1/h", "--yes", "--detach", "--json"];
    let Ran { code, out, err } = run(&place, &service, &arguments);
    assert_eq!(code, DONE, "{err}");
    let replay: Value = serde_json::from_str(&out).unwrap();
    let id = replay["id"].as_str().unwrap();
    assert_eq!(replay["status"], "running");
    let Ran { out, .. } = run(&place, &service, &["cancel", id, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["status"], "cancelled");
    service.stop();
}

#[test]
fn what_is_dead_is_told_again_to_its_own_destination() {
    let place = Place::new();
    let sink = Sink::start(|got| {
        let is_first = got.request.header("callboard-replay").is_none();
        Reply::Status(if is_first && got.request.json()["data"]["task_id"] == "task-1" { 500 } else { 200 })
    });
    let service = told(&place, &sink, 2);
    // Two tries, and no more.
    service.said("attempt 2 failed");
    sink.got.until_len(3);
    let dead = &service.get("/deliveries?status=dead")["items"];
    assert_eq!(dead.as_array().unwrap().len(), 1, "{dead}");
    let Ran { code, out, err } = run(&place, &service, &["--since", "1h", "--delivery-status", "dead", "--dry-run"]);
    assert_eq!(code, DONE, "{err}");
    assert!(out.starts_with("1 events, 1 deliveries"), "{out}");
    let Ran { code, err, .. } = run(&place, &service, &["--since", "1h", "--delivery-status", "dead", "--yes"]);
    assert_eq!(code, DONE, "{err}");
    assert_eq!(sink.got.until_len(4)[3].request.json()["data"]["task_id"], "task-1");
    service.stop();
}
