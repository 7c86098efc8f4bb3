//! Durable ingest: a callback, its task and its event, and with a subscription its delivery, committed and synced before
//! the answer; beside the bare handler, and beside a raw writer loop of the same rows.

use std::net::SocketAddr;
use std::time::Duration;

use crate::asked::{Asked, Database};
use crate::bare::{self, body};
use crate::service::{SUBSCRIBED, Service, Works};
use crate::table::{Compared, Target, median, per_second, plain, row};
use crate::{ROUNDS, load, raw};

const TIME: Duration = Duration::from_secs(3);
const CONNECTIONS: [u64; 2] = [64, 256];
const OF_RAW: &[Target] = &[Target::AtLeast(0.70), Target::AtLeast(0.90)];

/// Whether anything is subscribed, and what is to be reached of the bare handler.
struct Case {
    name: &'static str,
    settings: &'static str,
    of_bare: &'static [Target],
}

const CASES: [Case; 2] = [
    Case { name: "nothing subscribed", settings: "", of_bare: &[Target::AtLeast(0.35), Target::AtLeast(0.50)] },
    Case { name: "one subscription", settings: SUBSCRIBED, of_bare: &[Target::AtLeast(0.30), Target::AtLeast(0.40)] },
];

/// Who takes the same posts.
struct Taker {
    address: SocketAddr,
    path: String,
}

impl Taker {
    fn at(address: SocketAddr) -> Self {
        Self { address, path: bare::PATH.to_owned() }
    }

    /// Good answers a second; each run has ids of its own, because a repeat would be cheaper.
    async fn rate(&self, connections: u64, run: u64) -> f64 {
        let (address, path) = (self.address, self.path.clone());
        let first = (connections * 10 + run) * 1_000_000_000;
        let load = load::apart(move || load::run(address, path, connections, TIME, first, body)).await;
        assert_eq!(load.bad, 0, "every post is taken");
        load.per_second()
    }
}

/// Measures and prints all cases, databases and numbers of connections that are asked for.
pub(crate) async fn run(asked: &Asked) {
    let connections = if asked.numbers.is_empty() { CONNECTIONS.to_vec() } else { asked.numbers.clone() };
    let bare = Taker::at(bare::start());
    for case in CASES {
        for database in asked.databases() {
            on_database(&bare, &case, database, &connections).await;
        }
    }
}

async fn on_database(bare: &Taker, case: &Case, database: Database, connections: &[u64]) {
    let (directory, raw_directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let raw = Taker::at(raw::start(database, raw_directory.path(), case.settings).await);
    let url = database.fresh(directory.path());
    let service = Service::start(&url, directory.path(), case.settings, Works::TakingIn).await;
    let ours = Taker { address: service.address, path: service.path.clone() };
    for &connections in connections {
        let mut rates: [Vec<f64>; 3] = Default::default();
        for round in 0..ROUNDS {
            // In turn, so that a machine that is busy for a while is so for all of them.
            for (rates, taker) in rates.iter_mut().zip([bare, &raw, &ours]) {
                rates.push(taker.rate(connections, round).await);
            }
        }
        let [bare, raw, ours] = rates.map(median);
        let what = |who: &str| format!("{who}, {}", case.name);
        plain(&what("bare handler"), "", connections, &per_second(bare));
        plain(&what("raw loop"), database.name(), connections, &per_second(raw));
        let compared = [
            Compared { with: "of bare", figure: ours / bare, targets: case.of_bare },
            Compared { with: "of raw", figure: ours / raw, targets: OF_RAW },
        ];
        row(&what("ingest"), database.name(), connections, &per_second(ours), &compared);
    }
    service.stop().await;
}
