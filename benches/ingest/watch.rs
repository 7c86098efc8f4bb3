//! A hundred thousand unfinished tasks: what they cost in memory, how many questions a second are kept up
//! with, and what that takes from taking callbacks in. `cargo bench -- watch`.
//!
//! Posts are taken in with nobody asked and beside the asking in turn, on one database that grows meanwhile, and each
//! run beside the asking is held against the two around it: the callbacks that are recorded, and all messages, which are
//! the answers too. So is each with nobody asked against the two such around it: what that differs by is what the machine
//! does. The provider that is asked, the load and the database share the machine's cores with the service: what they take
//! counts as if the service had.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::{App as Actix, HttpResponse, HttpServer, web};
use callboard::app::App;
use callboard::config::{Config, Env, Registries};
use callboard::domain::clock::{Clock, SystemClock, Timestamp};
use callboard::domain::follow::{Context, Followed};
use callboard::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Status, Trust, Via};
use callboard::domain::watch::Saving;
use callboard::flow::poll::Poller;
use callboard::flow::receive::callback_path;
use callboard::store::{SavedWatch, Store};
use serde_json::{Value, json};

use crate::load;
use crate::table::median;

const TASKS: usize = 100_000;
const SOURCES: [&str; 5] = ["evolink", "evolink-2", "evolink-3", "aivideoapi", "replicate"];
const SEEDED_AT_ONCE: usize = 1000;
/// How often each is asked for.
const EVERY: Duration = Duration::from_secs(60);
/// What nothing but the machine bounds, requests a second and source.
const UNBOUNDED: &str = "2000/s";
/// How long questions are counted.
const TIME: Duration = Duration::from_secs(10);
/// How long posts are taken in each time: short, as the machine's speed changes within a minute.
const LOAD_TIME: Duration = Duration::from_secs(2);
/// So often beside the asking, and once more with nobody asked.
const ROUNDS: usize = 31;
/// What is under way when the asking begins or ends is not measured.
const SETTLING: Duration = Duration::from_secs(1);
/// More posts than are taken in by any run.
const POSTS_MAX: u64 = 100_000_000;

/// A provider that answers at once that everything is being worked on; gives how many tasks it was asked for.
fn provider() -> (SocketAddr, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = HttpServer::new(move || {
        let (one, many) = (Arc::clone(&counter), Arc::clone(&counter));
        let single = move |id: web::Path<String>| {
            one.fetch_add(1, Ordering::Relaxed);
            async move { HttpResponse::Ok().json(json!({"id": id.into_inner(), "status": "processing"})) }
        };
        let batch = move |body: web::Json<Value>| {
            let ids: Vec<Value> = body["task_ids"].as_array().cloned().unwrap_or_default();
            many.fetch_add(ids.len() as u64, Ordering::Relaxed);
            let rows: Vec<Value> = ids.into_iter().map(|id| json!({"id": id, "status": "processing"})).collect();
            async move { HttpResponse::Ok().json(json!({ "data": rows })) }
        };
        Actix::new()
            .route("/v1/tasks/batch", web::post().to(batch))
            .route("/v1/tasks/{id}", web::get().to(single.clone()))
            .route("/v1/predictions/{id}", web::get().to(single))
    })
    .workers(1)
    .listen(listener)
    .expect("it listens");
    tokio::spawn(server.run());
    (address, asked)
}

fn config(database: &str, provider: SocketAddr, directory: &Path, pace: Option<&str>) -> Config {
    let pace = pace.map(|pace| format!(", pace = \"{pace}\"")).unwrap_or_default();
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{database}\"\n[sources.plain]\nprovider = \"evolink\"\n"
    );
    for name in SOURCES {
        let kind = name.split('-').next().unwrap_or(name);
        text.push_str(&format!(
            "[sources.{name}]\nprovider = \"{kind}\"\napi_key = \"bench\"\nbase_url = \"http://{provider}\"\n\
             poll = {{ every = \"{}s\"{pace} }}\n",
            EVERY.as_secs()
        ));
    }
    text.push_str(
        "[destinations.sink]\nteam = \"bench\"\nchannel = \"webhook\"\nurl = \"https://sink.example.com/\"\n\
         [[subscriptions]]\ndestination = \"sink\"\nsources = [\"plain\"]\n",
    );
    let env: Env = std::iter::empty::<(String, String)>().collect();
    Config::read(&text, Some(&directory.join("watch.toml")), &env, Registries::built_in())
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Tasks that were begun and have not ended, every one due `within` a time from now.
async fn seed(store: &Store, app: &App, within: Duration) {
    let now = SystemClock.now();
    let roster = app.services.roster.now();
    for first in (0..TASKS).step_by(SEEDED_AT_ONCE) {
        let followed: Vec<(Followed, Timestamp)> = (first..first + SEEDED_AT_ONCE)
            .map(|number| {
                let source = SOURCES[number % SOURCES.len()];
                let active = &roster.sources[source];
                let seen = Observation::new(&format!("task-unified-1757169743-{number:016}"), Status::Processing);
                let (metadata, metadata_origin) = (Metadata::new(), MetadataOrigin::Absent);
                let from = Provenance { via: Via::Poll, trust: Trust::SignedBody, metadata, metadata_origin };
                let spread = within.mul_f64(number as f64 / TASKS as f64);
                let context = Context {
                    from: &from,
                    plan: &active.plan,
                    callback_id: None,
                    vouches: true,
                    expected: Some(spread),
                    deadline: None,
                    now,
                };
                let (followed, _) = Followed::begin(source, active.adapter.name(), &seen, &context);
                (followed, now.after(Duration::from_secs(86_400)))
            })
            .collect();
        let ids: Vec<_> = followed.iter().map(|(one, _)| (one.task.source.clone(), one.task.task_id.clone())).collect();
        let mut tx = store.write().await.expect("a transaction");
        tx.insert_tasks(followed.iter().map(|(one, _)| Arc::clone(&one.task)));
        let watches: Vec<SavedWatch<'_>> = followed
            .iter()
            .zip(&ids)
            .filter_map(|((one, look_at), id)| {
                Some(SavedWatch {
                    id,
                    watch: one.watch.as_ref()?,
                    look_at: Some(*look_at),
                    intent_id: None,
                    saving: Saving::All,
                })
            })
            .collect();
        tx.save_watches(&watches);
        tx.commit().await.expect("it is stored");
    }
}

fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

/// Where posts go, and how many runs there were.
struct Posts {
    address: SocketAddr,
    path: String,
    runs: u64,
}

impl Posts {
    /// Takes posts of new tasks in for a while; gives how many a second.
    async fn ingest(&mut self) -> f64 {
        tokio::time::sleep(SETTLING).await;
        let (address, path, first) = (self.address, self.path.clone(), 1 + self.runs * POSTS_MAX);
        self.runs += 1;
        let load = load::apart(move || load::run(address, path, 64, LOAD_TIME, first, crate::body)).await;
        assert_eq!(load.bad, 0, "every post is taken");
        load.per_second()
    }

    /// The same beside a poller, which is ended afterwards. What it had claimed becomes due by itself, and many others
    /// are due meanwhile. Gives the tasks a second that were asked for, too.
    async fn ingest_beside(&mut self, poller: Poller, asked: &AtomicU64) -> (f64, f64) {
        let asking = tokio::spawn(poller.run());
        let (before, begun) = (asked.load(Ordering::Relaxed), Instant::now());
        let beside = self.ingest().await;
        let answers = (asked.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
        asking.abort();
        (beside, answers)
    }
}

/// Each run beside the asking as a part of the two around it.
fn ratios(alone: &[f64], beside: &[f64]) -> Vec<f64> {
    alone.windows(2).zip(beside).map(|(around, beside)| beside * 2.0 / (around[0] + around[1])).collect()
}

/// Each run with nobody asked as a part of the two such around it.
fn control(alone: &[f64]) -> Vec<f64> {
    alone.windows(3).map(|around| around[1] * 2.0 / (around[0] + around[2])).collect()
}

/// The middle of some ratios, and between what half of them lie.
fn spread(mut ratios: Vec<f64>) -> String {
    ratios.sort_by(f64::total_cmp);
    let runs = ratios.len();
    let [lower, upper] = [ratios[runs / 4], ratios[runs * 3 / 4]];
    format!("{:>8.3}  half of {runs} between {lower:.3} and {upper:.3}", median(ratios))
}

/// What asking costs with nothing else to do.
struct Asking {
    /// Tasks that are asked for a second.
    per_second: f64,
    /// Memory that it added.
    kib: f64,
    /// How many cores this process used for it, the provider with it, but no server of a database.
    cores: f64,
}

/// Asks for a while with nothing else to do.
async fn ask(poller: Poller, asked: &AtomicU64) -> Asking {
    let (memory, before, begun) = (resident_kib(), asked.load(Ordering::Relaxed), Instant::now());
    let worked = worked_seconds();
    let asking = tokio::spawn(poller.run());
    tokio::time::sleep(TIME).await;
    let seconds = begun.elapsed().as_secs_f64();
    let per_second = (asked.load(Ordering::Relaxed) - before) as f64 / seconds;
    let cores = (worked_seconds() - worked) / seconds;
    asking.abort();
    Asking { per_second, kib: resident_kib() - memory, cores }
}

/// How long this process has used a core, in hundredths of a second (`proc_pid_stat(5)`: `utime` and `stime`).
fn worked_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let (_, behind_name) = stat.rsplit_once(')').unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Runs it on one database, each time a new one.
pub(crate) async fn run_on(name: &str, url: impl Fn(&Path) -> String) {
    for pace in [None, Some(UNBOUNDED)] {
        let directory = tempfile::tempdir().expect("a directory");
        run(name, &url(directory.path()), directory.path(), pace).await;
    }
    let directory = tempfile::tempdir().expect("a directory");
    capacity(name, &url(directory.path()), directory.path()).await;
}

/// How many a second are asked for where all are due at once.
async fn capacity(name: &str, database: &str, directory: &Path) {
    let (provider, asked) = provider();
    let config = config(database, provider, directory, Some(UNBOUNDED));
    let app = App::build(config, Arc::new(SystemClock)).await.expect("it opens");
    let (store, poller) = (app.services.store.clone(), app.poller());
    seed(&store, &app, Duration::ZERO).await;
    tokio::spawn(app.serve());
    let begun = Instant::now();
    let asking = tokio::spawn(poller.run());
    while asked.load(Ordering::Relaxed) < TASKS as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let per_second = TASKS as f64 / begun.elapsed().as_secs_f64();
    asking.abort();
    println!("{name}: {TASKS} unfinished tasks, all due at once, {UNBOUNDED}");
    println!("  asked for a second                   {per_second:>8.0}");
    store.close().await;
}

/// At this pace of each source, else at the adapters' own.
async fn run(name: &str, database: &str, directory: &Path, pace: Option<&str>) {
    let (provider, asked) = provider();
    let app = App::build(config(database, provider, directory, pace), Arc::new(SystemClock)).await.expect("it opens");
    let path = callback_path(&app.services.roster.now(), "plain", &Metadata::new()).expect("a source");
    let mut posts = Posts { address: app.addresses()[0], path, runs: 0 };
    let (first, pollers) = (app.poller(), std::array::from_fn::<Poller, ROUNDS, _>(|_| app.poller()));
    let store = app.services.store.clone();
    seed(&store, &app, EVERY).await;
    tokio::spawn(app.serve());
    let asking = ask(first, &asked).await;
    let (mut alone, mut beside, mut messages) = (vec![posts.ingest().await], Vec::new(), Vec::new());
    for poller in pollers {
        let (callbacks, answers) = posts.ingest_beside(poller, &asked).await;
        beside.push(callbacks);
        messages.push(callbacks + answers);
        alone.push(posts.ingest().await);
    }
    let pace = pace.unwrap_or("the adapters' own pace");
    println!("{name}: {TASKS} unfinished tasks over {} sources, {pace}", SOURCES.len());
    println!("  due a second, each once a minute     {:>8.0}", TASKS as f64 / EVERY.as_secs_f64());
    println!("  asked for a second                   {:>8.0}", asking.per_second);
    println!("  memory added, bytes a task           {:>8.1}", asking.kib * 1024.0 / TASKS as f64);
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    println!(
        "  cores used by the asking alone       {:>8.2}  leaving {:.2} of {cores}",
        asking.cores,
        1.0 - asking.cores / cores
    );
    println!("  callbacks a second, nobody asked     {:>8.0}", median(alone.clone()));
    println!("  callbacks a second beside the asking {:>8.0}", median(beside.clone()));
    println!("  messages a second beside the asking  {:>8.0}", median(messages.clone()));
    println!("  recorded beside the asking, of what is with nobody asked around it:");
    println!("    callbacks                          {}", spread(ratios(&alone, &beside)));
    println!("    messages, callbacks and answers    {}", spread(ratios(&alone, &messages)));
    println!("    callbacks, with nobody asked       {}", spread(control(&alone)));
    store.close().await;
}
