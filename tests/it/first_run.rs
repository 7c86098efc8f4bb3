//! The first minute: nothing is configured, and what is printed works when it is copied.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::process::{Place, Ran, Service, end_of, lines};
use super::wire::{self, Message};

/// The default port may be taken on the machine of the tests.
const ANY_PORT: (&str, &str) = ("CALLBOARD_SERVER__LISTEN", "127.0.0.1:0");

fn serve(place: &Place) -> Service {
    place.serve_with(&[ANY_PORT])
}

/// The arguments of the printed curl line, as a shell gives them to curl.
fn curl_arguments(service: &Service) -> Vec<String> {
    let line = format!("curl {}", service.said("  curl "));
    let script = format!("curl() {{ for word do printf '%s\\0' \"$word\"; done; }}\n{line}");
    let given = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    assert!(given.status.success() && given.stderr.is_empty(), "{given:?}");
    let words = String::from_utf8(given.stdout).unwrap();
    words.split_terminator('\0').map(str::to_owned).collect()
}

/// Does what curl does with these arguments.
fn curl(arguments: &[String]) -> Message {
    let [header_option, header, data_option, data, url] = arguments else { panic!("{arguments:?}") };
    assert_eq!((header_option.as_str(), data_option.as_str()), ("-H", "-d"));
    let (name, value) = header.split_once(": ").unwrap();
    wire::request("POST", url, &[(name, value)], data.as_bytes()).unwrap()
}

#[test]
fn the_printed_line_makes_an_event_and_its_repeat_none() {
    let place = Place::new();
    let service = serve(&place);
    service
        .out
        .until("the last line of the welcome", |lines| lines.iter().any(|line| line.contains("  curl ")).then_some(()));
    let welcome = service.out.all().join("\n");
    for expected in [
        "Callboard ",
        " is ready on http://127.0.0.1:",
        "dashboard      http://127.0.0.1:",
        "/api/v1",
        "callboard.key, made just now",
    ] {
        assert!(welcome.contains(expected), "`{expected}` is not in\n{welcome}");
    }
    for expected in ["  evolink  ", "  aivideoapi  ", "  replicate  ", "public https", "tunnel", "cannot be noticed"] {
        assert!(welcome.contains(expected), "`{expected}` is not in\n{welcome}");
    }
    // Who never calls is shown no URL as if it were called.
    assert!(welcome.contains("  kling3api: never calls back"), "{welcome}");
    assert!(!welcome.contains("/callbacks/kling3api/") && !welcome.contains("/callbacks/api-in-one/"), "{welcome}");
    assert!(!welcome.contains(":0/"), "the port is the one that the system made:\n{welcome}");

    let arguments = curl_arguments(&service);
    let answer = curl(&arguments);
    assert_eq!(answer.status(), 200);
    let said = answer.json();
    assert_eq!(said["outcome"], "accepted");
    let (task_id, event_id) = (said["task_id"].as_str().unwrap(), said["event_id"].as_str().unwrap());
    let line = service.said(" task.completed  evolink  ");
    assert_eq!(line.trim_start(), format!("{task_id}  {event_id}  → nobody subscribes"));

    let again = curl(&arguments).json();
    assert_eq!((&again["outcome"], &again["event_id"]), (&"duplicate".into(), &event_id.into()));
    assert_eq!(service.said(" callback  evolink  "), format!("{task_id}  duplicate of {event_id}, nothing sent"));
    assert_eq!(service.get("/events")["items"].as_array().unwrap().len(), 1);
    service.stop();
}

#[test]
fn what_it_makes_is_for_its_owner_only() {
    let place = Place::new();
    let service = serve(&place);
    service.post("evolink", &super::process::evolink("task-1"));
    let mut kept: Vec<String> = std::fs::read_dir(place.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert!(kept.contains(&"callboard.db".to_owned()) && kept.contains(&"callboard.key".to_owned()), "{kept:?}");
    for name in kept.iter().filter(|name| !name.ends_with(".lock")) {
        let mode = std::fs::metadata(place.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let key = place.read("callboard.key");
    assert!(key.starts_with("cbk_") && key.trim().len() > 20);
    let (out, err) = (service.out.clone(), service.err.clone());
    service.stop();
    for line in out.all().iter().chain(&err.all()) {
        assert!(!line.contains(key.trim()), "the key is printed where no person reads it: {line}");
    }
}

#[test]
fn a_terminal_is_shown_the_key_once() {
    let place = Place::new();
    // Of Debian's essential package `bsdutils`: it runs a command on a terminal of its own.
    let mut command = Command::new("script");
    // Without a shell between them, which would take the signal for itself.
    let serve = format!("exec {} serve", env!("CARGO_BIN_EXE_callboard"));
    command.args(["--quiet", "--flush", "--return", "--command", &serve, "/dev/null"]);
    command.current_dir(place.path(".")).env_clear().env("PATH", "/usr/bin:/bin").env(ANY_PORT.0, ANY_PORT.1);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for is_first in [true, false] {
        let mut child = command.spawn().expect("`script` runs a command on a terminal; Debian: bsdutils");
        let shown = lines(child.stdout.take().unwrap());
        shown.until("the curl line", |lines| lines.iter().any(|line| line.contains("  curl ")).then_some(()));
        let key = place.read("callboard.key");
        assert_eq!(shown.all().iter().any(|line| line.trim() == key.trim()), is_first, "{:#?}", shown.all());
        // It passes the signal on.
        let sent = Command::new("/bin/sh").args(["-c", "kill -TERM \"$0\"", &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        shown.until_end(super::record::PATIENCE);
        child.wait().unwrap();
        // `script` may end before what it ran, which has the lock until it has closed the database.
        std::fs::File::open(place.path("callboard.db.lock")).unwrap().lock().unwrap();
    }
}

#[test]
fn a_second_start_keeps_the_key_and_the_urls() {
    let place = Place::new();
    let sources = ["evolink", "aivideoapi", "replicate"];
    let seen = |service: &Service| {
        let urls = sources.map(|source| wire::path_of(&service.callback_url(source)).to_owned());
        (place.read("callboard.key"), urls, curl_arguments(service)[3].clone())
    };
    let service = serve(&place);
    let (key, urls, example) = seen(&service);
    service.post("evolink", &super::process::evolink("task-1"));
    service.stop();

    let service = serve(&place);
    let (same_key, same_urls, other_example) = seen(&service);
    assert_eq!((key, urls), (same_key, same_urls));
    assert_ne!(example, other_example, "each start shows an example of a task of its own");
    assert!(service.out.all().iter().all(|line| !line.contains("made just now")));
    assert_eq!(service.get("/tasks")["items"][0]["task_id"], "task-1");
    service.stop();
}

#[test]
fn a_configured_key_takes_the_place_of_the_one_that_was_made() {
    let place = Place::new();
    let service = serve(&place);
    service.get("/tasks");
    let made = service.bearer();
    service.stop();

    let configured = "configured-and-long-enough";
    let service = place.serve_with(&[("CALLBOARD_SERVER__ADMIN_KEY", configured)]);
    let ask = |bearer: &str| {
        let url = format!("{}/tasks", service.api);
        wire::request("GET", &url, &[("Authorization", bearer)], b"").unwrap().status()
    };
    assert_eq!((ask(&made), ask(&format!("Bearer {configured}"))), (401, 200));
    service.stop();
}

#[test]
fn a_second_service_on_the_same_file_says_so_and_ends() {
    let place = Place::new();
    let service = serve(&place);
    let mut second = place.command(&["serve"]);
    second.env(ANY_PORT.0, ANY_PORT.1);
    let Ran { code, out, err } = end_of(second);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("another `callboard serve` uses this database") && out.is_empty(), "{out}{err}");
    assert_eq!(service.post("evolink", &super::process::evolink("task-1")).status(), 200);
    service.stop();
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new();
    let mut command = place.command(&[]);
    command.env(ANY_PORT.0, &address);
    let Ran { code, err, .. } = end_of(command);
    assert_eq!(code, Some(1));
    assert!(err.contains(&address) && err.contains("`server.listen`"), "{err}");
}
