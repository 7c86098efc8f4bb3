//! `callboard listen`: what comes at a developer's own machine, and that nothing is missed on the way.

use std::process::{Child, Command};

use serde_json::Value;

use super::endpoint::{Got, Reply, Sink};
use super::process::{KEY, Place, Ran, Service, TOKEN, end_of, evolink, lines, steady_port};
use super::record::Record;
use super::signed::{SECRET, verified};

/// A place whose service always listens at the same port.
fn place() -> Place {
    let port = steady_port();
    Place::with(&format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\nadmin_key = \"{KEY}\"\n\
         [sources.evolink]\nprovider = \"evolink\"\ncallback_token = \"{TOKEN}\"\n"
    ))
}

/// A command that goes on until it is ended.
struct Running {
    child: Child,
    out: Record<String>,
    err: Record<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    /// A listener that is connected.
    fn listening(place: &Place, sink: &Sink, arguments: &[&str]) -> Self {
        let own = ["listen", "--forward-to", &sink.url(), "--secret", SECRET, "--name", "dev"];
        let mut command = place.command(&[&own, arguments].concat());
        command.env("HOME", place.path("."));
        let listener = Self::start(command);
        listener.complains("connected");
        listener
    }

    fn says(&self, words: &str) -> String {
        self.out.until(words, |lines| lines.iter().find(|line| line.contains(words)).cloned())
    }

    fn complains(&self, words: &str) -> String {
        self.err.until(words, |lines| lines.iter().find(|line| line.contains(words)).cloned())
    }

    /// Ctrl-C, and the end with exit code 0.
    fn interrupt(mut self) {
        let sent = Command::new("/bin/sh").args(["-c", "kill -INT \"$0\"", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{:#?}", self.err.all());
    }
}

fn handler() -> Sink {
    Sink::start(|_| Reply::Status(204))
}

fn tasks(got: &[Got]) -> Vec<String> {
    got.iter().map(|got| got.request.json()["data"]["task_id"].as_str().unwrap().to_owned()).collect()
}

fn event_of(service: &Service, task: &str) -> Value {
    service.get(&format!("/events?task_id={task}"))["items"][0].clone()
}

#[test]
fn each_event_is_forwarded_signed_as_it_is_and_told_on_a_line() {
    let (place, sink) = (place(), handler());
    let service = place.serve();
    service.post("evolink", &evolink("before"));
    let listener = Running::listening(&place, &sink, &["--events", "task.completed", "--source", "evolink"]);
    listener.says("callboard replay EVENT --listener dev");
    let id = service.post("evolink", &evolink("task-1")).json()["event_id"].as_str().unwrap().to_owned();
    let got = &sink.got.until_len(1)[0].request;
    assert_eq!(verified(got), event_of(&service, "task-1"), "what comes before it listens is not forwarded");
    assert_eq!((got.header("webhook-id"), got.header("callboard-replay")), (Some(id.as_str()), None));
    let line = listener.says("task-1");
    assert!(line.contains("  task.completed ") && line.contains("  → 204  ") && line.ends_with(" ms"), "{line}");
    listener.interrupt();
    service.stop();
}

#[test]
fn only_what_is_asked_for_is_forwarded_but_a_replay_always() {
    let (place, sink) = (place(), handler());
    let service = place.serve();
    let listener = Running::listening(&place, &sink, &["--where", "task.task_id == \"wanted\""]);
    service.post("evolink", &evolink("unwanted"));
    service.post("evolink", &evolink("wanted"));
    assert_eq!(tasks(&sink.got.until_len(1)), ["wanted"]);
    let unwanted = event_of(&service, "unwanted");
    let Ran { code, out, err } = place.run(&["replay", unwanted["id"].as_str().unwrap(), "--listener", "dev"]);
    assert_eq!(code, Some(0), "{err}");
    let replay_id = out.split_whitespace().next().unwrap();
    let got = &sink.got.until_len(2)[1].request;
    assert_eq!(verified(got), unwanted);
    assert_eq!(got.header("callboard-replay"), Some(replay_id));
    listener.says(&format!("({replay_id})"));
    let Ran { code, err, .. } = place.run(&["listen", "--forward-to", "http://localhost:1", "--where", "task.("]);
    assert_eq!(code, Some(2));
    assert!(err.contains("--where: line 1, column "), "{err}");
    service.stop();
}

#[test]
fn it_goes_on_where_it_was_whoever_was_restarted() {
    let (place, sink) = (place(), handler());
    let service = place.serve();
    let listener = Running::listening(&place, &sink, &[]);
    service.post("evolink", &evolink("task-1"));
    sink.got.until_len(1);
    service.stop();
    listener.complains("trying again in ");
    let service = place.serve();
    // While nobody is connected, perhaps.
    service.post("evolink", &evolink("task-2"));
    assert_eq!(tasks(&sink.got.until_len(2)), ["task-1", "task-2"]);
    listener.complains("connected again");
    listener.says("task-2");
    listener.interrupt();

    service.post("evolink", &evolink("task-3"));
    let listener = Running::listening(&place, &sink, &[]);
    listener.says("where it was, behind evt_");
    assert_eq!(tasks(&sink.got.until_len(3)), ["task-1", "task-2", "task-3"]);
    listener.says("task-3");
    listener.interrupt();

    service.post("evolink", &evolink("task-4"));
    let listener = Running::listening(&place, &sink, &["--from", "now"]);
    service.post("evolink", &evolink("task-5"));
    assert_eq!(tasks(&sink.got.until_len(4))[3], "task-5");
    listener.interrupt();
    let first = event_of(&service, "task-1")["id"].as_str().unwrap().to_owned();
    let listener = Running::listening(&place, &sink, &["--from", &first]);
    assert_eq!(tasks(&sink.got.until_len(8))[4..], ["task-2", "task-3", "task-4", "task-5"]);
    listener.interrupt();
    let listener = Running::listening(&place, &sink, &["--from", "1h"]);
    assert_eq!(tasks(&sink.got.until_len(13))[8..], ["task-1", "task-2", "task-3", "task-4", "task-5"]);
    listener.interrupt();
    service.stop();
}

#[test]
fn the_first_connection_misses_nothing_where_there_was_no_event_yet() {
    let (place, sink) = (place(), handler());
    let service = place.serve();
    let listener = Running::listening(&place, &sink, &[]);
    service.stop();
    listener.complains("trying again in ");
    let service = place.serve();
    service.post("evolink", &evolink("task-1"));
    assert_eq!(tasks(&sink.got.until_len(1)), ["task-1"]);
    service.stop();
}

#[test]
fn what_a_handler_refuses_is_told_and_not_tried_again() {
    let place = place();
    let sink = Sink::start(|got| match got.request.json()["data"]["task_id"].as_str().unwrap() {
        "refused" => Reply::Status(500),
        _ => Reply::Status(200),
    });
    let service = place.serve();
    let listener = Running::listening(&place, &sink, &[]);
    service.post("evolink", &evolink("refused"));
    service.post("evolink", &evolink("taken"));
    assert_eq!(tasks(&sink.got.until_len(2)), ["refused", "taken"]);
    let line = listener.says("refused");
    let id = event_of(&service, "refused")["id"].as_str().unwrap().to_owned();
    assert!(line.contains("→ 500  ") && line.ends_with(&id), "{line}");
    listener.says("taken");
    listener.interrupt();
    assert_eq!(sink.got.len(), 2);
    service.stop();
}

#[test]
fn whoever_cannot_listen_is_told_why_at_once() {
    let place = place();
    let service = place.serve();
    let listen = |arguments: &[&str]| {
        let mut command = place.command(&[&["listen", "--forward-to", "http://localhost:1/hook"], arguments].concat());
        command.env("HOME", place.path("."));
        end_of(command)
    };
    for (arguments, code, words) in [
        (&["--key", "cbk_wrong"][..], 1, "does not take the key from --key"),
        (&["--from", "evt_x"], 1, "there is no event with this id"),
        (&["--from", "yesterday"], 2, "or `now`, or an event's id"),
        (&["--secret", "whsec_$"], 2, "--secret: "),
        (&["--name", "A B"], 2, "--name"),
        (&["--url", "http://127.0.0.1:1", "--key", "k"], 1, "cannot be reached"),
    ] {
        let ran = listen(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
    }
    service.stop();
}

#[test]
fn events_are_followed_a_line_each() {
    let place = place();
    let service = place.serve();
    service.post("evolink", &evolink("task-1"));
    let following = Running::start(place.command(&["events", "--watch", "--json"]));
    following.says("task-1");
    service.post("evolink", &evolink("task-2"));
    following.says("task-2");
    for (line, task) in following.out.all().iter().zip(["task-1", "task-2"]) {
        assert_eq!(serde_json::from_str::<Value>(line).unwrap(), event_of(&service, task));
    }
    let shown = Running::start(place.command(&["events", "--watch", "--type", "task.completed"]));
    shown.says("  task.completed        evolink       task-2  evt_");
    service.stop();
    following.complains("again in ");
}
