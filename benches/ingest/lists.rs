//! Lists and filters at ten thousand events and at ten million: `cargo bench -- lists`. The rows are made by the
//! database itself, in the shape in which the service writes them, and each filter finds a full page among ten thousand;
//! the pages are asked for over HTTP.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use callboard::app::App;
use callboard::config::{Config, Env, Registries};
use callboard::domain::clock::SystemClock;
use callboard::shutdown::Lifecycle;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::seed::{Shape, open, seed};
use crate::table::median;

/// So many events there are in the small and in the large database, unless others are asked for.
const SIZES: [u64; 2] = [10_000, 10_000_000];
/// Of each filter so many pages are asked for, so many times: the figures are the medians of those times.
const PAGES: usize = 200;
const ROUNDS: usize = 5;
const KEY: &str = "the-key-of-the-bench";

/// The queries, each of which is asked for page after page.
const QUERIES: [&str; 12] = [
    "events?limit=50",
    "events?source=source-2&limit=50",
    "events?type=task.cancelled&limit=50",
    "events?source=source-2&type=task.failed&limit=50",
    "events?task_id=task-unified-1757169743-0000000000004321",
    "tasks?limit=50",
    "tasks?status=failed&limit=50",
    "tasks?source=source-4&status=cancelled&limit=50",
    "tasks?metadata.campaign=c7&limit=50",
    "tasks?model=kling-o3-7&limit=50",
    "deliveries?status=dead&limit=50",
    "deliveries?destination=sink-1&limit=50",
];

/// The median and the 99th percentile of a query's pages, in milliseconds.
async fn pages(client: &reqwest::Client, base: &str, query: &str) -> (f64, f64) {
    let mut times = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let more = cursor.map(|cursor| format!("{}cursor={cursor}", if query.contains('?') { "&" } else { "?" }));
        let url = format!("{base}/api/v1/{query}{}", more.unwrap_or_default());
        let begun = Instant::now();
        let answer = client.get(url).bearer_auth(KEY).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{query}");
        let page: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        cursor = page["next_cursor"].as_str().map(str::to_owned);
    }
    times.sort_by(f64::total_cmp);
    (times[PAGES / 2], times[PAGES * 99 / 100])
}

/// A service over a database that holds so many events.
struct Served {
    base: String,
    life: Lifecycle,
    serving: JoinHandle<anyhow::Result<()>>,
    _directory: TempDir,
}

impl Served {
    async fn start(database: &str, url: impl Fn(&Path) -> String, events: i64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = url(directory.path());
        open(database, &url).await.close().await;
        let begun = Instant::now();
        seed(database, &url, &Shape::LISTS, events).await;
        println!("{database}: {events} events made in {:.0} s", begun.elapsed().as_secs_f64());
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin_key = \"{KEY}\"\n[database]\nurl = \"{url}\"\n[sources.source-1]\nprovider = \"evolink\"\n"
        );
        let env: Env = std::iter::empty::<(String, String)>().collect();
        let config = Config::read(&text, Some(&directory.path().join("lists.toml")), &env, Registries::built_in());
        let app = App::build(config.unwrap_or_else(|mistakes| panic!("{mistakes}")), Arc::new(SystemClock)).await;
        let app = app.expect("it opens");
        let (base, life) = (format!("http://{}", app.addresses()[0]), app.life.clone());
        Self { base, life, serving: tokio::spawn(app.serve()), _directory: directory }
    }

    async fn stop(self) {
        self.life.stop();
        self.serving.await.expect("it ends").expect("it ends well");
    }
}

/// A query's figures of each of these, which are asked in turn: a machine that is slow for a while is so for all.
async fn in_turn(client: &reqwest::Client, all: &[Served], query: &str) -> Vec<(f64, f64)> {
    let mut rounds: Vec<Vec<(f64, f64)>> = vec![Vec::new(); all.len()];
    for served in all {
        // What no cache holds yet is another question: the small database is in memory as a whole.
        let (first, first_99) = pages(client, &served.base, query).await;
        println!("{query:<60} read for the first time: {first:>8.2} {first_99:>8.2}");
    }
    for _ in 0..ROUNDS {
        for (served, rounds) in all.iter().zip(&mut rounds) {
            rounds.push(pages(client, &served.base, query).await);
        }
    }
    let medians = |rounds: Vec<(f64, f64)>| {
        let (halves, last): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
        (median(halves), median(last))
    };
    rounds.into_iter().map(medians).collect()
}

async fn plan(client: &reqwest::Client, base: &str) {
    let begun = Instant::now();
    let answer = client.post(format!("{base}/api/v1/replays")).bearer_auth(KEY);
    let wanted = serde_json::json!({
        "since": "2025-06-01T00:00:00Z", "until": "2026-11-01T00:00:00Z", "type": "task.completed", "dry_run": true,
    });
    let answer = answer.body(wanted.to_string()).send().await.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
    println!("replay plan: {status} {text} in {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
}

/// Measures both sizes on one database.
pub(crate) async fn run_on(database: &str, url: impl Fn(&Path) -> String, asked: &[u64]) {
    let sizes = if asked.len() == 2 { asked } else { &SIZES };
    let mut all = Vec::new();
    for size in sizes.iter().filter_map(|size| i64::try_from(*size).ok()) {
        all.push(Served::start(database, &url, size).await);
    }
    let client = reqwest::Client::new();
    let mut lines = Vec::new();
    for query in QUERIES {
        lines.push((query, in_turn(&client, &all, query).await));
    }
    for served in all {
        plan(&client, &served.base).await;
        served.stop().await;
    }
    println!("{:<52} {:>10} {:>10} {:>10} {:>10} {:>8}", database, "p50", "p99", "p50", "p99", "p99/p99");
    for (query, figures) in lines {
        let [(small, small_99), (large, large_99)] = figures[..] else { continue };
        println!(
            "{query:<52} {small:>10.2} {small_99:>10.2} {large:>10.2} {large_99:>10.2} {:>8.2}",
            large_99 / small_99
        );
    }
}
