//! What is there, as a person and a script read it: tables, JSON, exit codes, and nothing that a terminal obeys.

use std::process::Command;

use serde_json::Value;

use super::endpoint::{Reply, Sink};
use super::process::{Place, Ran, Service, end_of, evolink, lines};
use super::record::PATIENCE;
use super::signed::SECRET;
use super::wire;

const ANY_PORT: (&str, &str) = ("CALLBOARD_SERVER__LISTEN", "127.0.0.1:0");

const DONE: Option<i32> = Some(0);
const FAILED: Option<i32> = Some(1);
const WRONG: Option<i32> = Some(2);

/// A callback of a provider that writes what a terminal would obey wherever it can.
fn hostile(task_id: &str) -> Vec<u8> {
    let text = String::from_utf8(evolink(task_id)).unwrap();
    let mut body: Value = serde_json::from_str(&text).unwrap();
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\nm";
    body["model"] = evil.into();
    body["status"] = "failed".into();
    body["error"] = serde_json::json!({"code": evil, "message": evil});
    body.to_string().into_bytes()
}

/// Runs a command of the service's user, who finds the key in the directory.
fn ask(place: &Place, service: &Service, arguments: &[&str]) -> Ran {
    place.run(&[arguments, &["--url", &service.api]].concat())
}

/// The same, which is to succeed with JSON.
fn json(place: &Place, service: &Service, arguments: &[&str]) -> Value {
    let Ran { code, out, err } = ask(place, service, &[arguments, &["--json"]].concat());
    assert_eq!(code, DONE, "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{out}"))
}

fn texts<'a>(items: &'a Value, place: &str) -> Vec<&'a str> {
    items.as_array().unwrap().iter().map(|item| item.pointer(place).unwrap().as_str().unwrap()).collect()
}

#[test]
fn a_list_is_a_table_for_people_and_an_array_for_scripts() {
    let place = Place::new();
    let service = place.serve_with(&[ANY_PORT]);
    for task in ["task-1", "task-2", "task-3"] {
        assert_eq!(service.post("evolink", &evolink(task)).status(), 200);
    }
    let Ran { code, out, err } = ask(&place, &service, &["events"]);
    assert_eq!((code, err.as_str()), (DONE, ""));
    let table: Vec<&str> = out.lines().collect();
    assert!(table[0].starts_with("AGE  TYPE") && table[0].ends_with("EVENT"), "{out}");
    assert_eq!(table.len(), 4, "{out}");
    for (line, task) in table[1..].iter().zip(["task-3", "task-2", "task-1"]) {
        assert!(
            line.contains("  task.completed  evolink  ") && line.contains(task) && line.contains("  evt_"),
            "{line}"
        );
    }
    let events = json(&place, &service, &["events", "list"]);
    assert_eq!(texts(&events, "/data/task_id"), ["task-3", "task-2", "task-1"]);
    assert_eq!(texts(&json(&place, &service, &["events", "--task", "task-2"]), "/data/task_id"), ["task-2"]);
    assert_eq!(
        texts(&json(&place, &service, &["tasks", "--status", "completed", "--limit", "2"]), "/task_id").len(),
        2
    );
    assert_eq!(texts(&json(&place, &service, &["callbacks", "--outcome", "accepted"]), "/task_id").len(), 3);
    assert_eq!(json(&place, &service, &["deliveries"]), serde_json::json!([]));
    assert_eq!(json(&place, &service, &["events", "--since", "1h", "--type", "task.failed"]), serde_json::json!([]));
    let Ran { code, out, err } = ask(&place, &service, &["events", "--type", "task.failed"]);
    assert_eq!((code, out.as_str(), err.as_str()), (DONE, "", "none"));
    let Ran { err, .. } = ask(&place, &service, &["events", "--limit", "2"]);
    assert!(err.contains("--all"), "{err}");
    service.stop();
}

#[test]
fn all_of_a_list_is_all_of_it_whatever_fits_into_a_page() {
    let place = Place::new();
    let service = place.serve_with(&[ANY_PORT]);
    let tasks: Vec<String> = (0..260).map(|number| format!("task-{number:03}")).collect();
    for task in &tasks {
        assert_eq!(service.post("evolink", &evolink(task)).status(), 200);
    }
    let newest_first: Vec<&str> = tasks.iter().rev().map(String::as_str).collect();
    let all = json(&place, &service, &["events", "--all"]);
    assert_eq!(texts(&all, "/data/task_id"), newest_first);
    assert_eq!(texts(&json(&place, &service, &["tasks", "--limit", "255"]), "/task_id").len(), 255);
    assert_eq!(json(&place, &service, &["events"]).as_array().unwrap().len(), 50);
    let Ran { out, .. } = ask(&place, &service, &["events", "--all"]);
    assert_eq!(out.lines().count(), 261, "the titles stand there once");
    service.stop();
}

#[test]
fn one_thing_is_shown_with_what_happened_to_it() {
    let place = Place::new();
    let sink = Sink::start(|_| Reply::Text("thank\u{1b}[2J you"));
    place.write(
        "callboard.toml",
        format!(
            "[egress]\nallow = [\"127.0.0.0/8\"]\n[destinations.backend]\nteam = \"ops\"\nchannel = \"webhook\"\n\
             url = \"{}\"\nsecret = \"{SECRET}\"\n[[subscriptions]]\ndestination = \"backend\"\n",
            sink.url()
        ),
    );
    let service = place.serve_with(&[ANY_PORT]);
    let body = evolink("task-1");
    assert_eq!(service.post("evolink", &body).status(), 200);
    sink.got.until_len(1);
    service.said("attempt 1 delivered");

    let delivery = json(&place, &service, &["deliveries"])[0].clone();
    let (delivery, event) = (delivery["id"].as_str().unwrap(), delivery["event_id"].as_str().unwrap());
    let shown = ask(&place, &service, &["events", "show", event]).out;
    for expected in ["task.completed", "task-1", "backend", delivery, "https://"] {
        assert!(shown.contains(expected), "`{expected}` is not in\n{shown}");
    }
    assert_eq!(json(&place, &service, &["events", "show", event])["id"], event);
    // The answer's end may be written a moment later than what is said of it.
    let begun = std::time::Instant::now();
    let mut shown = String::new();
    while !shown.contains("try 1") {
        assert!(begun.elapsed() < PATIENCE, "{shown}");
        shown = ask(&place, &service, &["deliveries", "show", delivery]).out;
    }
    assert!(shown.contains("try 1 delivered, HTTP 200, in ") && shown.contains("thank\u{FFFD}[2J you"), "{shown}");
    let shown = ask(&place, &service, &["tasks", "show", "evolink", "task-1"]).out;
    let kinds = ["callback", "event", "delivery", "attempt"];
    let mut found = shown.lines().filter_map(|line| kinds.iter().find(|kind| line.contains(&format!("Z  {kind}"))));
    assert!(kinds.iter().all(|kind| found.next() == Some(kind)), "{shown}");
    assert_eq!(
        json(&place, &service, &["tasks", "show", "evolink", "task-1"])["timeline"].as_array().unwrap().len(),
        4
    );

    let callback = json(&place, &service, &["callbacks"])[0]["id"].as_str().unwrap().to_owned();
    let shown = ask(&place, &service, &["callbacks", "show", &callback]).out;
    assert!(shown.contains("content-type, application/json") && !shown.contains("body_base64"), "{shown}");
    let mut given = place.command(&["callbacks", "body", &callback, "--url", &service.api]);
    assert_eq!(given.output().unwrap().stdout, body, "byte for byte");

    for (what, said) in [("retry", "it is delivered; replay its event"), ("give-up", "it is delivered")] {
        let Ran { code, err, .. } = ask(&place, &service, &["deliveries", what, delivery]);
        assert!(code == FAILED && err.contains(said), "{code:?} {err}");
    }
    let Ran { code, out, .. } = ask(&place, &service, &["replay", event, "--destination", "backend"]);
    assert_eq!(code, DONE);
    assert!(out.starts_with("rpl_") && out.contains("1 deliveries"), "{out}");
    assert!(sink.got.until_len(2)[1].request.header("callboard-replay").is_some());
    service.stop();
}

#[test]
fn what_a_provider_wrote_does_nothing_to_a_terminal() {
    let place = Place::new();
    let service = place.serve_with(&[ANY_PORT]);
    let answer = service.post("evolink", &hostile("task-1"));
    assert_eq!(answer.status(), 200, "{answer:?}");
    let event = answer.json()["event_id"].as_str().unwrap().to_owned();
    wire::post(&service.callback_url("evolink"), "\u{1b}[2J\u{9b}31m".as_bytes());
    let commands: [&[&str]; 8] = [
        &["events"],
        &["events", "--json"],
        &["events", "show", &event],
        &["events", "show", &event, "--json"],
        &["tasks"],
        &["tasks", "show", "evolink", "task-1"],
        &["callbacks"],
        &["callbacks", "--json"],
    ];
    for arguments in commands {
        let Ran { code, out, err } = ask(&place, &service, arguments);
        assert_eq!(code, DONE, "{arguments:?}: {err}");
        assert!(!out.is_empty() && !obeyed(&out) && !obeyed(&err), "{arguments:?}: {out:?} {err:?}");
        let shown = on_a_terminal(&place, &[arguments, &["--url", &service.api]].concat());
        assert!(!shown.is_empty() && !shown.iter().any(|line| obeyed(line)), "{arguments:?}: {shown:?}");
    }
    service.stop();
}

fn obeyed(text: &str) -> bool {
    text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
}

/// What a terminal is sent, a line each.
fn on_a_terminal(place: &Place, arguments: &[&str]) -> Vec<String> {
    // Of Debian's essential package `bsdutils`: it runs a command on a terminal of its own.
    let mut command = Command::new("script");
    let words: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
    let line = format!("stty cols 100; {} {}", env!("CARGO_BIN_EXE_callboard"), words.join(" "));
    command.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]);
    command.current_dir(place.path(".")).env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("`script` runs a command on a terminal; Debian: bsdutils");
    let shown = lines(child.stdout.take().unwrap());
    assert!(shown.until_end(PATIENCE));
    assert!(child.wait().unwrap().success(), "{:?}", shown.all());
    // The terminal itself ends lines with CR LF.
    shown.all().iter().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

#[test]
fn a_table_fits_the_terminal_and_its_ids_are_whole() {
    let place = Place::new();
    let service = place.serve_with(&[ANY_PORT]);
    let long = "a-task-with-a-very-long-name-".repeat(5);
    let event = service.post("evolink", &evolink(&long)).json()["event_id"].as_str().unwrap().to_owned();
    let shown = on_a_terminal(&place, &["events", "--url", &service.api]);
    assert!(shown.iter().all(|line| line.chars().count() <= 100), "{shown:#?}");
    assert!(shown[1].ends_with(&event) && shown[1].contains('…') && !shown[1].contains(&long), "{shown:#?}");
    assert!(ask(&place, &service, &["events"]).out.contains(&long), "a script gets all of it");
    service.stop();
}

#[test]
fn what_goes_wrong_says_what_to_do_and_has_its_exit_code() {
    let place = Place::new();
    let service = place.serve_with(&[ANY_PORT]);
    let api = service.api.clone();
    for (arguments, expected, words) in [
        (&["events", "show", "evt_x", "--url", &api][..], FAILED, "there is no event with this id"),
        (&["tasks", "show", "evolink", "a/b", "--url", &api], FAILED, "there is no such task"),
        (&["events", "--key", "cbk_wrong", "--url", &api], FAILED, "does not take the key from --key"),
        (&["events", "--url", "http://127.0.0.1:1"], FAILED, "http://127.0.0.1:1 cannot be reached"),
        (&["events", "--url", "https://elsewhere.example"], WRONG, "no key for https://elsewhere.example/"),
        (&["events", "--url", "elsewhere"], WRONG, "--url: `elsewhere` is not a URL"),
        (&["events", "--type", "task.complete", "--url", &api], WRONG, "possible values"),
        (&["events", "--since", "yesterday", "--url", &api], WRONG, "as in 2h or 7d"),
        (&["events", "--source", "a", "show", "evt_x", "--url", &api], WRONG, "behind the word `list`"),
        (&["tasks", "--meta", "campaign", "--url", &api], WRONG, "write it as KEY=VALUE"),
        (&["tasks", "register", "nowhere", "task-1", "--url", &api], WRONG, "there is no source `nowhere`"),
        (&["replay", "--url", &api], WRONG, "EVENT"),
        (
            &["replay", "evt_x", "--destination", "a", "--url-to", "http://b", "--url", &api],
            WRONG,
            "cannot be used with",
        ),
        (&["destinations", "create", "a", "--set", "b", "--url", &api], WRONG, "write it as FIELD=VALUE"),
        (&["events", "--profile", "work"], WRONG, "there is no profile `work`"),
    ] {
        let Ran { code, out, err } = place.run(arguments);
        assert_eq!((code, out.as_str()), (expected, ""), "{arguments:?}: {err}");
        assert!(err.contains(words), "{arguments:?}: `{words}` is not in\n{err}");
    }
    std::fs::remove_file(place.path("callboard.key")).unwrap();
    let Ran { code, err, .. } = ask(&place, &service, &["events"]);
    assert_eq!(code, WRONG);
    assert!(err.contains("callboard.key cannot be read") && err.contains("--key"), "{err}");
    service.stop();
}

#[test]
fn a_service_is_found_by_the_words_then_the_environment_then_a_profile() {
    let (here, there) = (Place::new(), Place::new());
    let (first, second) = (here.serve_with(&[ANY_PORT]), there.serve_with(&[ANY_PORT]));
    first.post("evolink", &evolink("first"));
    second.post("evolink", &evolink("second"));
    let home = Place::new();
    std::fs::create_dir_all(home.path(".config/callboard")).unwrap();
    let profile = |name: &str, service: &Service, key: &str| {
        format!("[profiles.{name}]\nurl = \"{}\"\nkey = \"{}\"\n", service.url, key.trim())
    };
    let (first_key, second_key) = (here.read("callboard.key"), there.read("callboard.key"));
    let profiles = profile("default", &first, &first_key) + &profile("other", &second, &second_key);
    home.write(".config/callboard/config.toml", profiles);
    let own = |mode: u32| {
        let path = home.path(".config/callboard/config.toml");
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    own(0o600);
    let found = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = home.command(&[&["tasks", "--json"], arguments].concat());
        command.env("HOME", home.path(".")).envs(variables.iter().copied());
        let Ran { code, out, err } = end_of(command);
        assert_eq!(code, DONE, "{err}");
        (serde_json::from_str::<Value>(&out).unwrap()[0]["task_id"].as_str().unwrap().to_owned(), err)
    };
    let second_url = ("CALLBOARD_URL", second.url.as_str());
    let second_named = ("CALLBOARD_KEY", second_key.trim());
    assert_eq!(found(&[], &[]), ("first".into(), String::new()));
    assert_eq!(found(&[], &[("CALLBOARD_PROFILE", "other")]).0, "second");
    assert_eq!(found(&["--profile", "other"], &[("CALLBOARD_PROFILE", "default")]).0, "second");
    assert_eq!(found(&[], &[second_url, second_named]).0, "second");
    assert_eq!(found(&["--profile", "default"], &[second_url, second_named]).0, "first");
    assert_eq!(found(&["--url", &first.url, "--key", first_key.trim()], &[second_url, second_named]).0, "first");
    own(0o644);
    let (task, warning) = found(&[], &[]);
    assert!(task == "first" && warning.contains("chmod 600") && !warning.contains("cbk_"), "{warning}");
    first.stop();
    second.stop();
}

#[test]
fn every_command_shows_an_example() {
    let place = Place::new();
    let whole = place.run(&["--help"]).out;
    let commands = |help: &str| -> Vec<String> {
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let listed = listed.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("    "));
        listed.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
    };
    let mut seen = 0;
    for command in commands(&whole) {
        let Ran { code, out, .. } = place.run(&[&command, "--help"]);
        assert!(code == DONE && out.contains("Example:\n  callboard "), "{command}: {out}");
        for below in commands(&out) {
            let Ran { code, out, .. } = place.run(&[&command, &below, "--help"]);
            assert!(code == DONE && out.contains("Example:\n  callboard "), "{command} {below}: {out}");
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} were found");
}
