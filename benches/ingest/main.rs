//! What Callboard costs beside what the machine can do, in one run: `cargo bench`.
//!
//! Each row of the table is measured beside its comparison, in turn, by the same program: a bare actix-web handler that
//! stores nothing, a raw writer loop that stores the same rows, a bare client that signs and sends. Everything, load
//! generators and sinks included, runs in this process, unless a row says otherwise. `cargo bench -- WORD…` picks rows
//! and databases, numbers are what a row counts. PERFORMANCE.md says what each row means.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, and is a client and an operator of the service"
)]

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod asked;
mod bare;
mod client;
mod deliver;
mod disk;
mod growth;
mod hanging;
mod ingest;
mod latency;
mod lists;
mod load;
mod model;
mod pages;
#[path = "../../tests/it/postgres.rs"]
mod postgres;
mod process;
mod prune;
mod raw;
mod repeats;
mod seed;
mod service;
mod single;
mod sink;
mod table;
mod watch;

use asked::Asked;
use bare::body;

/// Each figure is the median of so many runs.
const ROUNDS: u64 = 3;
/// What runs when nothing is asked for.
const USUAL: [&str; 9] = ["ingest", "deliver", "latency", "repeats", "hanging", "single", "memory", "start", "size"];
/// The usual ones and `growth`, in one run.
const TABLE: &str = "table";
/// What runs when it is asked for by name: these take long.
const SPECIAL: [&str; 5] = ["growth", "watch", "lists", "pages", "prune"];

#[tokio::main]
async fn main() {
    let asked = Asked::of_arguments().with_word(TABLE, &[USUAL.as_slice(), &["growth"]].concat());
    let unknown = asked.unknown(&[USUAL.as_slice(), SPECIAL.as_slice()].concat());
    if !unknown.is_empty() {
        println!("unknown: {}; there are {}, {}", unknown.join(" "), USUAL.join(" "), SPECIAL.join(" "));
        return;
    }
    for database in asked.databases() {
        special(&asked, database).await;
    }
    table::head();
    if asked.wants("growth", &[]) {
        growth::run(&asked).await;
    }
    for name in USUAL {
        if asked.wants(name, &USUAL) {
            usual(name, &asked).await;
        }
    }
}

/// A row of the table.
async fn usual(name: &str, asked: &Asked) {
    match name {
        "ingest" => ingest::run(asked).await,
        "deliver" => deliver::run(asked).await,
        "latency" => latency::run(asked).await,
        "repeats" => repeats::run(asked).await,
        "hanging" => hanging::run(asked).await,
        "single" => single::run(asked).await,
        "memory" => process::memory(asked).await,
        "start" => process::start(asked).await,
        _ => process::size(asked).await,
    }
}

/// Rows with tables of their own.
async fn special(asked: &Asked, database: asked::Database) {
    let url = |directory: &std::path::Path| database.fresh(directory);
    if asked.wants("lists", &[]) {
        lists::run_on(database.name(), url, &asked.numbers).await;
    }
    if asked.wants("pages", &[]) {
        let directory = tempfile::tempdir().unwrap();
        pages::run_on(database.name(), &url(directory.path()), directory.path(), asked.numbers.first().copied()).await;
    }
    if asked.wants("prune", &[]) {
        prune::run_on(database.name(), url, asked.numbers.first().copied()).await;
    }
    if asked.wants("watch", &[]) {
        watch::run_on(database.name(), url).await;
    }
}
