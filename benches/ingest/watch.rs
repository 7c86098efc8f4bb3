//! A hundred thousand unfinished tasks: what they cost in memory, how many questions a second are kept up
//! with, and what that takes from taking callbacks in. `cargo bench -- watch`.

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
use callboard::flow::receive::callback_path;
use callboard::store::{SavedWatch, Store};
use serde_json::{Value, json};

use crate::load;

const TASKS: usize = 100_000;
const SOURCES: [&str; 5] = ["evolink", "evolink-2", "evolink-3", "aivideoapi", "replicate"];
const SEEDED_AT_ONCE: usize = 1000;
/// How long questions are counted.
const TIME: Duration = Duration::from_secs(10);

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
             poll = {{ every = \"1m\"{pace} }}\n"
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

/// Tasks that were begun and have not ended, every one due within a minute.
async fn seed(store: &Store, app: &App, now: Timestamp) {
    let roster = app.services.roster.now();
    for first in (0..TASKS).step_by(SEEDED_AT_ONCE) {
        let followed: Vec<(Followed, Timestamp)> = (first..first + SEEDED_AT_ONCE)
            .map(|number| {
                let source = SOURCES[number % SOURCES.len()];
                let active = &roster.sources[source];
                let seen = Observation::new(&format!("task-unified-1757169743-{number:016}"), Status::Processing);
                let (metadata, metadata_origin) = (Metadata::new(), MetadataOrigin::Absent);
                let from = Provenance { via: Via::Poll, trust: Trust::SignedBody, metadata, metadata_origin };
                let spread = Duration::from_millis((number % 60_000) as u64);
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
                Some(SavedWatch { id, watch: one.watch.as_ref()?, look_at: Some(*look_at), intent_id: None })
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

async fn ingest(address: SocketAddr, path: &str, first: u64) -> f64 {
    let path = path.to_owned();
    let load = load::apart(move || load::run(address, path, 64, Duration::from_secs(5), first, crate::body)).await;
    assert_eq!(load.bad, 0, "every post is taken");
    load.per_second()
}

/// Runs it on one database, at this pace of each source, else at the adapters' own.
pub(crate) async fn run(name: &str, database: &str, directory: &Path, pace: Option<&str>) {
    let (provider, asked) = provider();
    let app = App::build(config(database, provider, directory, pace), Arc::new(SystemClock)).await.expect("it opens");
    let address = app.addresses()[0];
    let path = callback_path(&app.services.roster.now(), "plain", &Metadata::new()).expect("a source");
    let (poller, store) = (app.poller(), app.services.store.clone());
    let alone = {
        let services = app.services.clone();
        seed(&services.store, &app, SystemClock.now()).await;
        tokio::spawn(app.serve());
        ingest(address, &path, 1).await
    };
    let before = resident_kib();
    let begun = Instant::now();
    tokio::spawn(poller.run());
    tokio::time::sleep(TIME).await;
    let per_second = asked.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    let added = resident_kib() - before;
    let beside = ingest(address, &path, 2_000_000_000).await;
    let pace = pace.unwrap_or("the adapters' own pace");
    println!("{name}: {TASKS} unfinished tasks over {} sources, {pace}", SOURCES.len());
    println!("  due a second, each once a minute     {:>8.0}", TASKS as f64 / 60.0);
    println!("  asked for a second                   {per_second:>8.0}");
    println!("  memory added, bytes a task           {:>8.1}", added * 1024.0 / TASKS as f64);
    println!("  posts/s taken in, nobody asked       {alone:>8.0}");
    println!("  posts/s taken in beside the asking   {beside:>8.0}  {:.2} of that", beside / alone);
    store.close().await;
}
