//! Taking callbacks in beside the removal of a million rows that are too old: `cargo bench -- prune`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callboard::app::App;
use callboard::config::{Config, Env, Registries};
use callboard::domain::clock::SystemClock;
use callboard::domain::task::Metadata;
use callboard::flow::receive::callback_path;
use callboard::store::Store;

use crate::table::median;
use crate::{body, load, seed};

/// An event, its delivery and its task each: a million rows.
const EVENTS: u64 = 334_000;
const CONNECTIONS: u64 = 64;
/// How long each rate is measured.
const TIME: Duration = Duration::from_secs(3);
/// So many rates are measured before, and as many after.
const ROUNDS: u64 = 3;
/// It is given up after so many rounds beside the removal.
const ROUNDS_MAX: u64 = 300;

/// How many are left of those that were seeded, at most so many: what was taken in meanwhile is younger.
async fn left(store: &Store, limit: u64) -> u64 {
    let mut tx = store.read().await.expect("a transaction");
    let left = tx.old_events("", "evt_01K", usize::try_from(limit).expect("a size")).await.expect("an answer");
    left.len() as u64
}

/// Measures on one database.
pub(crate) async fn run_on(database: &str, url: impl Fn(&Path) -> String, asked: Option<u64>) {
    let directory = tempfile::tempdir().expect("a directory");
    let url = url(directory.path());
    seed::open(database, &url).await.close().await;
    let events = asked.unwrap_or(EVENTS);
    seed::seed(database, &url, &seed::Shape::LISTS, i64::try_from(events).expect("a size")).await;
    // What is not counted yet stays.
    seed::run(database, &url, seed::COUNTED.into()).await;

    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{url}\"\n[sources.evolink]\nprovider = \"evolink\"\n"
    );
    let env: Env = std::iter::empty::<(String, String)>().collect();
    let config = Config::read(&text, Some(&directory.path().join("prune.toml")), &env, Registries::built_in());
    let app = App::build(config.unwrap_or_else(|mistakes| panic!("{mistakes}")), Arc::new(SystemClock)).await;
    let app = app.expect("it opens");
    let (address, life, store) = (app.addresses()[0], app.life.clone(), app.services.store.clone());
    let path = callback_path(&app.services.roster.now(), "evolink", &Metadata::new()).expect("a source");
    let janitor = app.janitor();
    let serving = tokio::spawn(app.serve());
    let rate = async |round: u64| {
        let path = path.clone();
        let load = load::apart(move || load::run(address, path, CONNECTIONS, TIME, round * 1_000_000_000, body)).await;
        assert_eq!(load.bad, 0, "every post is taken");
        load.per_second()
    };
    let mut alone = Vec::new();
    let mut beside = Vec::new();
    for round in 0..ROUNDS {
        alone.push(rate(round).await);
    }
    let begun = Instant::now();
    tokio::spawn(janitor.run());
    while beside.len() < usize::try_from(ROUNDS_MAX).expect("a number") && left(&store, 1).await > 0 {
        beside.push(rate(ROUNDS + beside.len() as u64).await);
    }
    let took = begun.elapsed().as_secs_f64();
    let removed = events - left(&store, events).await;
    for round in 0..ROUNDS {
        alone.push(rate(ROUNDS + ROUNDS_MAX + round).await);
    }
    let (alone, beside) = (median(alone), median(beside));
    println!(
        "{database}: of {events} events, their deliveries and tasks {removed} removed in {took:.0} s; callbacks taken in alone \
         {alone:.0}/s, beside it {beside:.0}/s: {:.3}",
        beside / alone
    );
    life.stop();
    serving.await.expect("it ends").expect("it ends well");
}
