//! A stop takes its time and no more, and costs nothing: what was not sent is sent after the next start.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::endpoint::{Reply, Sink};
use super::process::{KEY, Place, Service, Signal, TOKEN, evolink};
use super::record::PATIENCE;
use super::wire::Connection;
use super::{postgres, signed};

/// What a stop may take beyond the time that it was given: a debug build on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

fn place(database: &str, shutdown_timeout: &str, timeout: &str, retry: &str, sink: &Sink) -> Place {
    Place::with(&format!(
        r#"
[server]
listen = "127.0.0.1:0"
admin_key = "{KEY}"
shutdown_timeout = "{shutdown_timeout}"
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
[[subscriptions]]
destination = "sink"
[delivery]
timeout = "{timeout}"
retry = {retry}
[egress]
allow = ["127.0.0.0/8"]
"#,
        sink.url(),
        signed::SECRET,
    ))
}

/// A sink that says 500 until it is told to recover.
fn failing() -> (Sink, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let sink = Sink::start(move |_| Reply::Status(if is_well.load(Ordering::SeqCst) { 200 } else { 500 }));
    (sink, well)
}

/// A sink that never answers until it is told to.
fn hanging() -> (Sink, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let sink = Sink::start(move |_| if is_well.load(Ordering::SeqCst) { Reply::Status(200) } else { Reply::Hang });
    (sink, well)
}

fn post_tasks(service: &Service, many: usize) {
    for number in 0..many {
        assert_eq!(service.post("evolink", &evolink(&format!("task-{number}"))).json()["outcome"], "accepted");
    }
}

fn retries_outlive(signal: Signal, database: &str) {
    const TASKS: usize = 20;
    let (sink, well) = failing();
    let place = place(database, "20s", "5s", r#"["100ms", "2s", "2s", "2s", "2s", "2s", "2s"]"#, &sink);
    let service = place.serve();
    post_tasks(&service, TASKS);
    sink.got.until_len(TASKS);
    let begun = Instant::now();
    service.signal(signal);
    assert_eq!(service.end(PATIENCE).code(), Some(0));
    assert!(begun.elapsed() < SLACK, "nothing was in flight, and the stop took {:?}", begun.elapsed());

    well.store(true, Ordering::SeqCst);
    let before = sink.got.len();
    let service = place.serve();
    let told = sink.got.until_len(before + TASKS);
    let ids: BTreeSet<String> =
        told[before..].iter().map(|got| signed::verified(&got.request)["id"].to_string()).collect();
    assert_eq!(ids.len(), TASKS, "each is sent again, once");
    service.out.until("all were delivered", |lines| {
        (lines.iter().filter(|line| line.ends_with(" delivered")).count() >= TASKS).then_some(())
    });
    let deliveries = service.list("/deliveries");
    assert_eq!(deliveries.len(), TASKS);
    assert!(deliveries.iter().all(|delivery| delivery["status"] == "delivered"), "{deliveries:#?}");
    service.stop();
    assert_eq!(sink.got.len(), before + TASKS, "nothing was sent again that had arrived");
}

#[test]
fn retries_outlive_a_sigterm() {
    retries_outlive(Signal::Terminate, "sqlite:callboard.db");
}

#[test]
fn retries_outlive_a_sigint() {
    retries_outlive(Signal::Interrupt, "sqlite:callboard.db");
}

#[test]
fn retries_outlive_a_sigterm_on_postgres() {
    retries_outlive(Signal::Terminate, &postgres::fresh());
}

/// Starts again with a sink that answers: the delivery that hung arrives, and its first try never counted.
fn assert_not_counted(place: &Place, sink: &Sink, well: &AtomicBool) {
    well.store(true, Ordering::SeqCst);
    let service = place.serve();
    let told = sink.got.until_len(2);
    assert_eq!(signed::verified(&told[0].request), signed::verified(&told[1].request));
    service.said("attempt 1 delivered");
    let id = service.list("/deliveries")[0]["id"].as_str().unwrap().to_owned();
    let delivery = service.get(&format!("/deliveries/{id}"));
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1, "{delivery:#}");
    service.stop();
}

#[test]
fn a_second_signal_ends_a_hanging_send_and_costs_it_nothing() {
    let (sink, well) = hanging();
    let place = place("sqlite:callboard.db", "60s", "50s", r#"["1s"]"#, &sink);
    let service = place.serve();
    post_tasks(&service, 1);
    sink.got.until_len(1);
    let begun = Instant::now();
    service.signal(Signal::Terminate);
    service.signal(Signal::Interrupt);
    assert_eq!(service.end(PATIENCE).code(), Some(0));
    assert!(begun.elapsed() < SLACK, "it took {:?}", begun.elapsed());
    assert_not_counted(&place, &sink, &well);
}

#[test]
fn a_hanging_send_is_given_up_in_time_and_costs_nothing() {
    let (sink, well) = hanging();
    let place = place("sqlite:callboard.db", "1s", "50s", r#"["1s"]"#, &sink);
    let service = place.serve();
    post_tasks(&service, 1);
    sink.got.until_len(1);
    let begun = Instant::now();
    service.signal(Signal::Terminate);
    assert_eq!(service.end(PATIENCE).code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_secs(1), "a send in flight is given its time");
    assert!(begun.elapsed() < Duration::from_secs(1) + SLACK, "it took {:?}", begun.elapsed());
    assert_not_counted(&place, &sink, &well);
}

/// What a killed process had in hand is sent `within` this after the next start.
fn in_hand_when_killed(database: &str, timeout: &str, within: Duration) {
    let (sink, well) = hanging();
    let place = place(database, "20s", timeout, r#"["1s"]"#, &sink);
    let service = place.serve();
    post_tasks(&service, 1);
    sink.got.until_len(1);
    service.kill();
    let begun = Instant::now();
    assert_not_counted(&place, &sink, &well);
    assert!(begun.elapsed() < within + SLACK, "it took {:?}", begun.elapsed());
}

#[test]
fn what_a_killed_process_had_in_hand_is_sent_at_the_next_start() {
    in_hand_when_killed("sqlite:callboard.db", "50s", Duration::ZERO);
}

#[test]
fn what_a_killed_process_had_in_hand_another_sends_soon_on_postgres() {
    in_hand_when_killed(&postgres::fresh(), "1s", Duration::from_secs(1 + 15));
}

#[test]
fn a_send_in_flight_is_waited_for_and_written_down() {
    // It answers only when the service has been told to stop.
    let (told_to_stop, stopping) = std::sync::mpsc::channel::<()>();
    let (reach, reached) = std::sync::mpsc::channel();
    let stopping = std::sync::Mutex::new(stopping);
    let sink = Sink::start(move |_| {
        reach.send(()).unwrap();
        stopping.lock().unwrap().recv().unwrap();
        Reply::Status(200)
    });
    let place = place("sqlite:callboard.db", "20s", "15s", r#"["1s"]"#, &sink);
    let service = place.serve();
    post_tasks(&service, 1);
    reached.recv_timeout(PATIENCE).unwrap();
    service.signal(Signal::Terminate);
    told_to_stop.send(()).unwrap();
    assert_eq!(service.end(PATIENCE).code(), Some(0));
    let service = place.serve();
    let deliveries = service.list("/deliveries");
    assert_eq!((&deliveries[0]["status"], &deliveries[0]["attempts"]), (&"delivered".into(), &1.into()));
    service.stop();
    assert_eq!(sink.got.len(), 1);
}

#[test]
fn idle_connections_do_not_delay_a_stop() {
    let sink = Sink::start(|_| Reply::Status(200));
    let place = place("sqlite:callboard.db", "20s", "15s", r#"["1s"]"#, &sink);
    let service = place.serve();
    let mut idle = Connection::open(&service.url).unwrap();
    assert_eq!(idle.exchange("GET", "/healthz", &[], b"").unwrap().status(), 200);
    let begun = Instant::now();
    service.signal(Signal::Terminate);
    assert_eq!(service.end(PATIENCE).code(), Some(0));
    assert!(begun.elapsed() < SLACK, "it took {:?}", begun.elapsed());
}

#[test]
fn a_request_that_never_ends_is_given_up_in_time_and_at_a_second_signal() {
    let sink = Sink::start(|_| Reply::Status(200));
    for (shutdown_timeout, signals, given) in [("2s", 1, 2), ("60s", 2, 0)] {
        let place = place("sqlite:callboard.db", shutdown_timeout, "15s", r#"["1s"]"#, &sink);
        let service = place.serve();
        let _unfinished = unfinished_request(&service);
        let begun = Instant::now();
        [Signal::Terminate, Signal::Interrupt].iter().take(signals).for_each(|signal| service.signal(*signal));
        assert_eq!(service.end(PATIENCE).code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(given) + SLACK, "it took {:?}", begun.elapsed());
    }
}

#[test]
fn requests_and_sends_share_the_time_of_a_stop() {
    const GIVEN: Duration = Duration::from_secs(6);
    let (sink, _) = hanging();
    let place = place("sqlite:callboard.db", "6s", "50s", r#"["1s"]"#, &sink);
    let service = place.serve();
    post_tasks(&service, 1);
    sink.got.until_len(1);
    let _unfinished = unfinished_request(&service);
    let begun = Instant::now();
    service.signal(Signal::Terminate);
    assert_eq!(service.end(PATIENCE).code(), Some(0));
    assert!(begun.elapsed() < GIVEN + SLACK, "it took {:?}", begun.elapsed());
}

/// A callback whose body does not come.
fn unfinished_request(service: &Service) -> TcpStream {
    let mut socket = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    let head = "HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    socket.write_all(format!("POST /callbacks/evolink/{TOKEN} {head}").as_bytes()).unwrap();
    // This answer says that the request is in the handler's hands.
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    socket
}
