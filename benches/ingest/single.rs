//! One connection: how long a durable callback takes, beside one synced append of 4 KiB and the bare handler, and beside
//! the raw loop, which shows what the database itself takes for the same rows.

use std::net::SocketAddr;
use std::time::Duration;

use crate::asked::{Asked, Database};
use crate::bare::{self, body};
use crate::disk::syncs;
use crate::service::{SUBSCRIBED, Service, Works};
use crate::table::{Compared, Target, median, plain, row};
use crate::{ROUNDS, load, raw};

const TIME: Duration = Duration::from_secs(3);
const SYNCS: usize = 1000;
const OF_BOTH: &[Target] = &[Target::AtMost(3.0), Target::AtMost(1.5)];

/// Milliseconds a post.
async fn time(address: SocketAddr, path: &str, round: u64) -> f64 {
    let path = path.to_owned();
    let load = load::apart(move || load::run(address, path, 1, TIME, round * 1_000_000_000, body)).await;
    assert_eq!(load.bad, 0, "every post is taken");
    1000.0 / load.per_second()
}

/// Measures and prints each database.
pub(crate) async fn run(asked: &Asked) {
    let bare = bare::start();
    for database in asked.databases() {
        on_database(bare, database).await;
    }
}

async fn on_database(bare: SocketAddr, database: Database) {
    let directory = tempfile::tempdir().unwrap();
    let url = database.fresh(directory.path());
    let service = Service::start(&url, directory.path(), SUBSCRIBED, Works::TakingIn).await;
    let raw_directory = tempfile::tempdir().unwrap();
    let raw = raw::start(database, raw_directory.path(), SUBSCRIBED).await;
    let (mut sync, mut alone, mut rows_alone, mut ours) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let place = directory.path().to_owned();
        let all = load::apart(move || async move { syncs(&place, SYNCS, Duration::ZERO) }).await;
        sync.push(all.iter().sum::<f64>() / SYNCS as f64);
        alone.push(time(bare, bare::PATH, round).await);
        rows_alone.push(time(raw, bare::PATH, round).await);
        ours.push(time(service.address, &service.path, round).await);
    }
    service.stop().await;
    let (sync, alone, rows_alone, ours) = (median(sync), median(alone), median(rows_alone), median(ours));
    plain("one synced append of 4 KiB", "", 1, &format!("{sync:.3} ms"));
    plain("bare handler", "", 1, &format!("{alone:.3} ms"));
    plain("raw loop", database.name(), 1, &format!("{rows_alone:.3} ms"));
    let compared = [
        Compared { with: "of both", figure: ours / (sync + alone), targets: OF_BOTH },
        Compared { with: "of raw", figure: ours / rows_alone, targets: &[] },
    ];
    row("one connection", database.name(), 1, &format!("{ours:.3} ms"), &compared);
}
