//! Ingest, delivery and attempts, until everything is drained: a fixed number of callbacks is posted as fast as it is
//! taken, and the time ends when the database has no delivery left that is not delivered. In deliveries a second, beside a
//! bare client that signs and posts as many to the same sinks.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use crate::asked::{Asked, Database};
use crate::bare::body;
use crate::service::{Service, Works};
use crate::sink::{Answers, Sink};
use crate::table::{Compared, Target, median, per_second, plain, row};
use crate::{ROUNDS, client, load};

/// So many callbacks are posted in a round, unless another number is asked for.
const EVENTS: u64 = 20_000;
const CONNECTIONS: u64 = 64;
/// Everything is delivered by then, or something is wrong.
const DRAINED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// So many destinations, and what is to be reached of the bare client.
const CASES: [(usize, &[Target]); 2] =
    [(1, &[Target::AtLeast(0.25), Target::AtLeast(0.35)]), (3, &[Target::AtLeast(0.35), Target::AtLeast(0.50)])];

/// The settings of destinations at these addresses, to each of which everything goes.
pub(crate) fn destinations(sinks: &[SocketAddr]) -> String {
    let mut text = "[egress]\nallow = [\"127.0.0.0/8\"]\n".to_owned();
    for (number, sink) in sinks.iter().enumerate() {
        text.push_str(&format!(
            "[destinations.sink-{number}]\nteam = \"bench\"\nchannel = \"webhook\"\nurl = \"http://{sink}/\"\n\
             concurrency = 256\n[[subscriptions]]\ndestination = \"sink-{number}\"\n"
        ));
    }
    text
}

/// A connection beside the service's own, to look at what it wrote.
pub(crate) enum Look {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Look {
    pub(crate) async fn into(database: Database, url: &str) -> Self {
        match database {
            Database::Sqlite => {
                let url = format!("sqlite://{}", url.trim_start_matches("sqlite:"));
                Self::Sqlite(SqliteConnection::connect(&url).await.expect("it opens"))
            }
            Database::Postgres => Self::Postgres(PgConnection::connect(url).await.expect("it opens")),
        }
    }

    /// The number that a query gives.
    pub(crate) async fn number(&mut self, sql: &str) -> i64 {
        let query = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(one) => sqlx::query(query).fetch_one(one).await.expect("a row").get(0),
            Self::Postgres(one) => sqlx::query(query).fetch_one(one).await.expect("a row").get(0),
        }
    }

    /// Waits until no delivery is pending; it must be so in time.
    pub(crate) async fn drained(&mut self) {
        let begun = Instant::now();
        // By the index of what is due, so that the question costs nothing beside what is measured.
        while self.number("SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE status = 'pending' LIMIT 1) t").await
            > 0
        {
            assert!(begun.elapsed() < DRAINED_WITHIN, "deliveries are still pending");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Measures and prints each case on each database.
pub(crate) async fn run(asked: &Asked) {
    let events = asked.size("events", EVENTS);
    for (count, targets) in CASES {
        for database in asked.databases() {
            on_database(database, count, targets, events).await;
        }
    }
}

async fn on_database(database: Database, count: usize, targets: &'static [Target], events: u64) {
    let directory = tempfile::tempdir().unwrap();
    let sinks: Vec<Sink> = (0..count).map(|_| Sink::start(Answers::AtOnce)).collect();
    let addresses: Vec<SocketAddr> = sinks.iter().map(|sink| sink.address).collect();
    let url = database.fresh(directory.path());
    let service = Service::start(&url, directory.path(), &destinations(&addresses), Works::Everything).await;
    let mut look = Look::into(database, &url).await;
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        bare.push(client::per_second(&addresses, events).await);
        let (address, path) = (service.address, service.path.clone());
        let begun = Instant::now();
        let load = load::apart(move || load::fixed(address, path, CONNECTIONS, events, round * events, body)).await;
        assert_eq!(load.bad, 0, "every post is taken");
        // Of what is not received yet the database need not be asked.
        let received = (2 * round + 2) * events;
        while sinks.iter().any(|sink| sink.received() < received) && begun.elapsed() < DRAINED_WITHIN {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        look.drained().await;
        ours.push((events * count as u64) as f64 / begun.elapsed().as_secs_f64());
    }
    let delivered = look.number("SELECT count(*) FROM deliveries WHERE status = 'delivered'").await;
    assert_eq!(delivered, i64::try_from(events * ROUNDS * count as u64).unwrap(), "all are delivered");
    assert_eq!(look.number("SELECT count(*) FROM attempts").await, delivered, "each with its attempt");
    service.stop().await;
    let (bare, ours) = (median(bare), median(ours));
    let destinations = format!("{count} destination{}", if count == 1 { "" } else { "s" });
    plain(&format!("bare client, {destinations}"), "", CONNECTIONS, &per_second(bare));
    let compared = [Compared { with: "of client", figure: ours / bare, targets }];
    row(&format!("deliver, {destinations}"), database.name(), CONNECTIONS, &per_second(ours), &compared);
}
