//! Teams that manage themselves by commands: keys, destinations, subscriptions, sources, secrets, and who changed what.

use std::process::Command;

use serde_json::{Value, json};

use super::endpoint::{Reply, Sink};
use super::process::{Place, Ran, Service, evolink, lines};
use super::record::PATIENCE;
use super::wire;

const DONE: Option<i32> = Some(0);
const FAILED: Option<i32> = Some(1);
const WRONG: Option<i32> = Some(2);

fn serve(place: &Place) -> Service {
    place.write("callboard.toml", "[egress]\nallow = [\"127.0.0.0/8\"]\n");
    place.serve_with(&[("CALLBOARD_SERVER__LISTEN", "127.0.0.1:0")])
}

/// Runs a command as the administrator.
fn run(place: &Place, service: &Service, arguments: &[&str]) -> Ran {
    place.run(&[arguments, &["--url", &service.api]].concat())
}

/// The same, which is to succeed.
fn done(place: &Place, service: &Service, arguments: &[&str]) -> String {
    let Ran { code, out, err } = run(place, service, arguments);
    assert_eq!(code, DONE, "{arguments:?}: {err}");
    out
}

fn shown(place: &Place, service: &Service, arguments: &[&str]) -> Value {
    serde_json::from_str(&done(place, service, &[arguments, &["--json"]].concat())).unwrap()
}

fn webhook(place: &Place, service: &Service, name: &str, sink: &Sink) -> Value {
    let url = format!("url={}", sink.url());
    let fields = ["--set", "team=ads", "--set", "channel=webhook", "--set", &url, "--set", "concurrency=2"];
    shown(place, service, &[&["destinations", "create", name], &fields[..]].concat())
}

#[test]
fn a_team_is_set_up_by_commands_and_hears_what_it_asked_for() {
    let (place, sink) = (Place::new(), Sink::start(|_| Reply::Status(200)));
    let service = serve(&place);
    done(&place, &service, &["teams", "create", "ads", "--set", "description=who advertises"]);
    assert_eq!(shown(&place, &service, &["teams", "show", "ads"])["description"], "who advertises");
    let made = webhook(&place, &service, "backend", &sink);
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"), "{made}");
    assert_eq!(made["concurrency"], 2);
    let wanted =
        ["--set", "destination=backend", "--set", "events=task.completed", "--set", "where=task.task_id != \"b\""];
    let subscription = shown(&place, &service, &[&["subscriptions", "create"], &wanted[..]].concat());
    assert_eq!(subscription["events"], json!(["task.completed"]));
    let id = subscription["id"].as_str().unwrap();
    assert!(done(&place, &service, &["subscriptions", "list"]).contains(id));

    done(&place, &service, &["destinations", "test", "backend"]);
    for task in ["a", "b", "c"] {
        assert_eq!(service.post("evolink", &evolink(task)).status(), 200);
    }
    let got = sink.got.until_len(3);
    let tasks: Vec<Value> = got.iter().map(|got| got.request.json()["data"]["task_id"].clone()).collect();
    assert!(tasks.contains(&json!("a")) && tasks.contains(&json!("c")) && tasks[0] == "test", "{tasks:?}");

    let secret = done(&place, &service, &["secret", "backend"]);
    assert!(secret.starts_with("whsec_") && secret != made["secret"].as_str().unwrap(), "{secret}");
    let replaced = ["--set", "destination=backend", "--set", "events=task.failed,task.cancelled"];
    let replaced = shown(&place, &service, &[&["subscriptions", "replace", id], &replaced[..]].concat());
    assert_eq!((&replaced["events"], &replaced["where"]), (&json!(["task.failed", "task.cancelled"]), &Value::Null));
    assert_eq!(done(&place, &service, &["subscriptions", "delete", id]), format!("{id} is deleted"));
    done(&place, &service, &["destinations", "delete", "backend"]);
    let Ran { code, err, .. } = run(&place, &service, &["destinations", "show", "backend"]);
    assert!(code == FAILED && err.contains("there is no destination"), "{err}");

    let audit = shown(&place, &service, &["audit"]);
    let actions: Vec<&str> = audit.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    for action in ["team.create", "destination.create", "subscription.create", "destination.delete"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
    assert_eq!(shown(&place, &service, &["audit", "--action", "team.create"])[0]["object"], "ads");
    service.stop();
}

#[test]
fn a_source_is_made_and_its_callback_url_works() {
    let place = Place::new();
    let service = serve(&place);
    let fields = ["--set", "provider=evolink", "--set", "poll.every=2m", "--set", "teams=ads"];
    place.write("more.json", r#"{"api_key": "hush-hush", "confirm": "never"}"#);
    done(&place, &service, &["teams", "create", "ads"]);
    let made = done(&place, &service, &[&["sources", "create", "studio", "--file", "more.json"], &fields[..]].concat());
    assert!(made.contains("studio") && !made.contains("hush-hush"), "{made}");
    let shown = shown(&place, &service, &["sources", "show", "studio"]);
    assert_eq!(
        (&shown["poll"]["every"], &shown["teams"], &shown["confirm"]),
        (&"2m".into(), &json!(["ads"]), &"never".into())
    );
    let url = format!("{}{}", service.url, wire::path_of(shown["callback_url"].as_str().unwrap()));
    assert_eq!(wire::post(&url, &evolink("task-1")).status(), 200);
    assert!(done(&place, &service, &["tasks", "--source", "studio"]).contains("task-1"));
    let Ran { code, err, .. } = run(&place, &service, &["sources", "create", "studio", "--set", "provider=evolink"]);
    assert!(code == FAILED && err.contains("studio"), "{err}");
    let Ran { code, err, .. } = run(&place, &service, &["sources", "create", "other", "--set", "provider=evolnk"]);
    assert!(code == WRONG && err.contains("did you mean `evolink`"), "{err}");
    done(&place, &service, &["sources", "delete", "studio"]);
    service.stop();
}

#[test]
fn a_key_sees_its_team_and_is_shown_once() {
    let (place, sink) = (Place::new(), Sink::start(|_| Reply::Status(200)));
    let service = serve(&place);
    done(&place, &service, &["teams", "create", "ads"]);
    done(&place, &service, &["teams", "create", "ops"]);
    webhook(&place, &service, "backend", &sink);
    let create = |name: &str, team: &str| {
        let made = ["keys", "create", "--name", name, "--role", "read", "--team", team, "--expires-in", "90d"];
        shown(&place, &service, &made)
    };
    let (ads, ops) = (create("ads-ci", "ads"), create("ops-ci", "ops"));
    let key = |made: &Value| made["key"].as_str().unwrap().to_owned();
    assert!(key(&ads).starts_with("cbk_") && !ads["expires_at"].is_null(), "{ads}");
    let list = done(&place, &service, &["keys", "list"]);
    assert!(list.contains("ads-ci") && list.contains("in 90d") | list.contains("in 89d"), "{list}");
    assert!(!list.contains(&key(&ads)));

    let ask = |key: &str, arguments: &[&str]| run(&place, &service, &[arguments, &["--key", key]].concat());
    assert!(ask(&key(&ads), &["destinations", "list"]).out.contains("backend"));
    assert_eq!(ask(&key(&ops), &["destinations", "list"]).out, "");
    let Ran { code, err, .. } = ask(&key(&ops), &["destinations", "show", "backend"]);
    assert!(code == FAILED && err.contains("there is no destination"), "{err}");
    let Ran { code, err, .. } = ask(&key(&ads), &["destinations", "delete", "backend"]);
    assert!(code == FAILED && err.contains("The key from --key has not the right"), "{err}");

    let id = ads["id"].as_str().unwrap();
    assert_eq!(done(&place, &service, &["keys", "revoke", id]), format!("{id} is revoked"));
    let Ran { code, err, .. } = ask(&key(&ads), &["destinations", "list"]);
    assert!(code == FAILED && err.contains("does not take the key from --key"), "{err}");
    service.stop();
}

#[test]
fn a_key_is_not_made_where_nobody_could_read_it() {
    let place = Place::new();
    let service = serve(&place);
    let create = ["keys", "create", "--name", "all", "--role", "admin", "--url", &service.api];
    let Ran { code, out, err } = place.run(&create);
    assert_eq!((code, out.as_str()), (WRONG, ""));
    assert!(err.contains("to a terminal only") && err.contains("--json"), "{err}");
    let made = |list: &str| list.lines().filter(|line| line.contains(" all ")).count();
    assert_eq!(made(&done(&place, &service, &["keys", "list"])), 0);

    // Of Debian's essential package `bsdutils`: it runs a command on a terminal of its own.
    let mut command = Command::new("script");
    let line = format!("{} {}", env!("CARGO_BIN_EXE_callboard"), create.join(" "));
    command.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]);
    command.current_dir(place.path(".")).env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("`script` runs a command on a terminal; Debian: bsdutils");
    let said = lines(child.stdout.take().unwrap());
    assert!(said.until_end(PATIENCE) && child.wait().unwrap().success(), "{:?}", said.all());
    let keys: Vec<String> =
        said.all().iter().map(|line| line.trim().to_owned()).filter(|line| line.starts_with("cbk_")).collect();
    assert_eq!(keys.len(), 1, "{:?}", said.all());
    assert_eq!(made(&done(&place, &service, &["keys", "list", "--key", &keys[0]])), 1);
    service.stop();
}

#[test]
fn a_callback_is_read_again_and_the_statistics_have_its_end() {
    let place = Place::new();
    let service = serve(&place);
    assert_eq!(service.post("evolink", b"no JSON").status(), 422);
    let quarantined = shown(&place, &service, &["callbacks", "--outcome", "quarantined"]);
    let id = quarantined[0]["id"].as_str().unwrap();
    let again = shown(&place, &service, &["callbacks", "reprocess", id]);
    assert_eq!(again["outcome"], "quarantined", "{again}");
    let Ran { code, err, .. } = run(&place, &service, &["callbacks", "reprocess", "cb_x"]);
    assert!(code == FAILED && err.contains("there is no callback with this id"), "{err}");

    for task in ["a", "b"] {
        assert_eq!(service.post("evolink", &evolink(task)).status(), 200);
    }
    // Rolled up a moment later.
    let begun = std::time::Instant::now();
    let mut rows = Value::Null;
    while rows[0]["tasks"]["completed"] != 2 {
        assert!(begun.elapsed() < PATIENCE, "{rows}");
        rows = shown(&place, &service, &["stats", "--source", "evolink", "--by", "day"]);
    }
    let table = done(&place, &service, &["stats"]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert!(table.starts_with("SOURCE  ") && row.contains(&"evolink") && row.contains(&"100.0%"), "{table}");
    service.stop();
}

#[test]
fn secrets_are_sealed_anew_while_nobody_serves_them() {
    let (place, sink) = (Place::new(), Sink::start(|_| Reply::Status(200)));
    let service = serve(&place);
    done(&place, &service, &["teams", "create", "ads"]);
    webhook(&place, &service, "backend", &sink);
    let Ran { code, err, .. } = place.run(&["keys", "rotate-secrets"]);
    assert!(code == FAILED && err.contains("another `callboard serve` uses this database"), "{err}");
    service.stop();
    let before = place.read("callboard.secrets");
    let Ran { code, out, err } = place.run(&["keys", "rotate-secrets"]);
    assert_eq!(code, DONE, "{err}");
    let after = place.read("callboard.secrets");
    assert!(after.ends_with(&before) && after.lines().count() == 2, "the old one still opens older backups");
    assert!(after.lines().all(|key| !out.contains(key)) && out.contains("sealed anew"), "{out}");
    // Only the new one is needed for what is there.
    place.write("callboard.secrets", format!("{}\n", after.lines().next().unwrap()));
    let service = serve(&place);
    done(&place, &service, &["destinations", "test", "backend"]);
    assert!(sink.got.until_len(1)[0].request.header("webhook-signature").is_some());
    service.stop();
    assert_eq!(Place::new().run(&["keys", "rotate-secrets"]).code, WRONG, "there is no database");
}
