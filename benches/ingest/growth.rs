//! What a large database costs: taking in and claiming at ten million stored events beside the same at ten thousand.
//!
//! The large database is made by SQL: of each event its callback, task and delivery too, everything delivered. The ids of
//! its tasks grow with time, as most providers' do, or are spread over the whole index. Only `cargo bench -- growth` runs
//! it: it takes long, and tens of gigabytes; `events=1000000` makes it smaller.

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::asked::{Asked, Database};
use crate::bare::body;
use crate::deliver::{Look, destinations};
use crate::seed::{COUNTED, Shape, open, run as execute, seed, spread};
use crate::service::{Service, Works};
use crate::sink::{Answers, Sink};
use crate::table::{Compared, Target, median, per_second, plain, row};
use crate::{ROUNDS, load};

const SMALL: u64 = 10_000;
const LARGE: u64 = 10_000_000;
const CONNECTIONS: u64 = 64;
const TIME: Duration = Duration::from_secs(3);
/// In a round of claims this part of what was taken in is delivered, so that there is always more to be claimed.
const CLAIMED_PART: u64 = 6;
/// A round of claims ends by then at the latest.
const CLAIMED_WITHIN: Duration = Duration::from_secs(10);
const BEGUN_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(1);
const TIME_ORDERED: &[Target] = &[Target::AtLeast(0.9)];
const RANDOM: &[Target] = &[Target::AtLeast(0.6)];

fn random_body(number: u64) -> String {
    body(spread(number))
}

/// A database that holds so many events, and where its deliveries go.
struct Grown {
    database: Database,
    url: String,
    directory: TempDir,
    sink: Sink,
    ids_are_random: bool,
}

impl Grown {
    async fn make(database: Database, events: u64, ids_are_random: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = database.fresh(directory.path());
        open(database.name(), &url).await.close().await;
        let begun = Instant::now();
        let events = i64::try_from(events).unwrap();
        seed(database.name(), &url, &Shape::grown(ids_are_random), events).await;
        execute(database.name(), &url, COUNTED.into()).await;
        println!("# {}: {events} events made in {:.0} s", database.name(), begun.elapsed().as_secs_f64());
        Self { database, url, directory, sink: Sink::start(Answers::AtOnce), ids_are_random }
    }

    fn place(&self) -> &Path {
        self.directory.path()
    }

    async fn service(&self, works: Works) -> Service {
        let kept = "[retention]\ncallbacks = \"forever\"\nevents = \"forever\"\n";
        let settings = destinations(&[self.sink.address]) + kept;
        Service::start(&self.url, self.place(), &settings, works).await
    }

    /// Posts a second that are taken in.
    async fn takes(&self, service: &Service, round: u64) -> f64 {
        let body = if self.ids_are_random { random_body } else { body };
        let (address, path, first) = (service.address, service.path.clone(), (round + 1) * 1_000_000_000);
        let load = load::apart(move || load::run(address, path, CONNECTIONS, TIME, first, body)).await;
        assert_eq!(load.bad, 0, "every post is taken");
        load.per_second()
    }

    /// How many deliveries wait.
    async fn pending(&self) -> u64 {
        let mut look = Look::into(self.database, &self.url).await;
        let pending = look.number("SELECT count(*) FROM deliveries WHERE status = 'pending'").await;
        u64::try_from(pending).unwrap_or_default()
    }

    /// So many deliveries claimed and made, a second, from the first one on.
    async fn claims(&self, many: u64) -> f64 {
        let service = self.service(Works::Everything).await;
        let (started, before) = (Instant::now(), self.sink.received());
        while self.sink.received() == before {
            assert!(started.elapsed() < BEGUN_WITHIN, "nothing is delivered");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let (begun, before) = (Instant::now(), self.sink.received());
        while self.sink.received() < before + many && begun.elapsed() < CLAIMED_WITHIN {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let rate = (self.sink.received() - before) as f64 / begun.elapsed().as_secs_f64();
        service.stop().await;
        assert!(self.pending().await > 0, "there is more to be claimed");
        rate
    }
}

/// Measures and prints each database, with ids that grow and with ids that are spread.
pub(crate) async fn run(asked: &Asked) {
    let sizes = [asked.size("small", SMALL), asked.size("events", LARGE)];
    for database in asked.databases() {
        for ids_are_random in [false, true] {
            on_database(database, sizes, ids_are_random).await;
        }
    }
}

async fn on_database(database: Database, sizes: [u64; 2], ids_are_random: bool) {
    let [small, large] = sizes;
    let both = [Grown::make(database, small, ids_are_random).await, Grown::make(database, large, ids_are_random).await];
    let [mut taken, mut claimed]: [[Vec<f64>; 2]; 2] = Default::default();
    let services = [both[0].service(Works::TakingIn).await, both[1].service(Works::TakingIn).await];
    for round in 0..ROUNDS {
        for (at, grown) in both.iter().enumerate() {
            taken[at].push(grown.takes(&services[at], round).await);
        }
    }
    for service in services {
        service.stop().await;
    }
    // As many of both: a backlog that is worked off costs less the shorter it is.
    let many = both[0].pending().await.min(both[1].pending().await) / CLAIMED_PART;
    for _ in 0..ROUNDS {
        for (at, grown) in both.iter().enumerate() {
            claimed[at].push(grown.claims(many).await);
        }
    }
    let (ids, targets) = if ids_are_random { ("random ids", RANDOM) } else { ("time-ordered ids", TIME_ORDERED) };
    for (what, [of_small, of_large]) in [("ingest", taken.map(median)), ("claim", claimed.map(median))] {
        plain(&format!("{what}, {ids}, {small}"), database.name(), CONNECTIONS, &per_second(of_small));
        let compared = [Compared { with: "of small", figure: of_large / of_small, targets }];
        row(&format!("{what}, {ids}, {large}"), database.name(), CONNECTIONS, &per_second(of_large), &compared);
    }
    for grown in both {
        database.remove(&grown.url);
    }
}
