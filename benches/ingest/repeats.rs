//! The same callbacks again, byte for byte, as a provider sends them that had no answer: beside the bare handler.

use std::net::SocketAddr;
use std::time::Duration;

use crate::asked::{Asked, Database};
use crate::bare::{self, body};
use crate::deliver::Look;
use crate::service::{SUBSCRIBED, Service, Works};
use crate::table::{Compared, Target, median, per_second, plain, row};
use crate::{ROUNDS, load};

const TIME: Duration = Duration::from_secs(3);
const CONNECTIONS: u64 = 64;
/// So many different callbacks are repeated.
const DIFFERENT: u64 = 1024;
const OF_BARE: &[Target] = &[Target::AtLeast(0.6)];

fn repeated(number: u64) -> String {
    body(number % DIFFERENT)
}

async fn rate(address: SocketAddr, path: &str) -> f64 {
    let path = path.to_owned();
    let load = load::apart(move || load::run(address, path, CONNECTIONS, TIME, 0, repeated)).await;
    assert_eq!(load.bad, 0, "every post is taken");
    load.per_second()
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
    let (address, path) = (service.address, service.path.clone());
    let first = load::apart(move || load::fixed(address, path, CONNECTIONS, DIFFERENT, 0, body)).await;
    assert_eq!(first.good, DIFFERENT, "every callback is taken");
    let (mut alone, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(rate(bare, bare::PATH).await);
        ours.push(rate(service.address, &service.path).await);
    }
    service.stop().await;
    let events = Look::into(database, &url).await.number("SELECT count(*) FROM events").await;
    assert_eq!(events, i64::try_from(DIFFERENT).unwrap(), "a repeat makes no event");
    let (alone, ours) = (median(alone), median(ours));
    plain("bare handler, repeats", "", CONNECTIONS, &per_second(alone));
    let compared = [Compared { with: "of bare", figure: ours / alone, targets: OF_BARE }];
    row("repeats", database.name(), CONNECTIONS, &per_second(ours), &compared);
}
