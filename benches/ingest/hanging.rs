//! A destination that never answers beside one that does: what the good one keeps of its rate.
//!
//! A backlog of the same size is delivered to the good one alone and beside the hanging one, by a service that is started
//! over it: so what taking in costs is in neither. Requests to the hanging one end after a second, so that its failures
//! are written meanwhile too. What the rows of a second destination cost by themselves, which lie among those of the good
//! one, is shown by one that is hardly sent to.

use std::time::{Duration, Instant};

use crate::asked::{Asked, Database};
use crate::bare::body;
use crate::deliver::Look;
use crate::service::{Service, Works};
use crate::sink::{Answers, Sink};
use crate::table::{Compared, Target, median, per_second, plain, row};
use crate::{ROUNDS, load};

/// So many deliveries wait for each destination, unless another number is asked for.
const EVENTS: u64 = 20_000;
const CONNECTIONS: u64 = 64;
const DRAINED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(2);
const OF_ALONE: &[Target] = &[Target::AtLeast(0.95)];
const LEFT: &str =
    "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE status = 'pending' AND destination = 'good' LIMIT 1) t";

/// What is beside the good one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// A destination that takes one request an hour.
    Waiting,
    /// One that takes as many as the good one, and never answers.
    Hanging,
}

fn settings(good: &Sink, beside: Beside, second: &Sink) -> String {
    let mut text = "[egress]\nallow = [\"127.0.0.0/8\"]\n[delivery]\ntimeout = \"1s\"\n".to_owned();
    let rate = match beside {
        Beside::Nothing => None,
        Beside::Waiting => Some("rate = \"1/h\"\n"),
        Beside::Hanging => Some(""),
    };
    let second = rate.map(|rate| ("second", second, rate));
    for (name, sink, rate) in std::iter::once(("good", good, "")).chain(second) {
        text.push_str(&format!(
            "[destinations.{name}]\nteam = \"bench\"\nchannel = \"webhook\"\nurl = \"http://{}/\"\nconcurrency = 64\n\
             {rate}[[subscriptions]]\ndestination = \"{name}\"\n",
            sink.address
        ));
    }
    text
}

/// Deliveries a second to the good one, out of a backlog.
async fn rate(database: Database, events: u64, beside: Beside) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let (good, second) = (Sink::start(Answers::AtOnce), Sink::start(Answers::Never));
    let settings = settings(&good, beside, &second);
    let url = database.fresh(directory.path());
    let service = Service::start(&url, directory.path(), &settings, Works::TakingIn).await;
    let (address, path) = (service.address, service.path.clone());
    let load = load::apart(move || load::fixed(address, path, CONNECTIONS, events, 0, body)).await;
    assert_eq!(load.good, events, "every post is taken");
    service.stop().await;

    let service = Service::start(&url, directory.path(), &settings, Works::Everything).await;
    let begun = Instant::now();
    let mut look = Look::into(database, &url).await;
    while good.received() < events || look.number(LEFT).await > 0 {
        assert!(begun.elapsed() < DRAINED_WITHIN, "deliveries are still pending");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let took = begun.elapsed().as_secs_f64();
    assert!(beside != Beside::Hanging || second.received() > 0, "the hanging one was tried");
    service.stop().await;
    events as f64 / took
}

/// Measures and prints each database.
pub(crate) async fn run(asked: &Asked) {
    let events = asked.size("events", EVENTS);
    for database in asked.databases() {
        let mut rates: [Vec<f64>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (rates, beside) in rates.iter_mut().zip([Beside::Nothing, Beside::Waiting, Beside::Hanging]) {
                rates.push(rate(database, events, beside).await);
            }
        }
        let [alone, waiting, beside] = rates.map(median);
        plain("a good destination alone", database.name(), 0, &per_second(alone));
        plain("a good one beside one that waits", database.name(), 0, &per_second(waiting));
        let compared = [Compared { with: "of alone", figure: beside / alone, targets: OF_ALONE }];
        row("a good one beside a hanging one", database.name(), 0, &per_second(beside), &compared);
    }
}
