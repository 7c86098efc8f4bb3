//! Durable ingest against a bare handler, in one run: `cargo bench`.
//!
//! The bare handler is actix-web with two workers that parses the body into a typed struct and stores
//! nothing. Callboard takes the same posts on SQLite and on PostgreSQL, with one subscription, so that a
//! callback, a task, an event and a delivery are written and synced before each answer. Everything,
//! the load generator included, runs in this process. Medians of three.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, and is a client and an operator of the service"
)]

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App as Actix, HttpResponse, HttpServer, web};
use callboard::app::App;
use callboard::config::{Config, Env, Registries};
use callboard::domain::clock::SystemClock;
use callboard::domain::task::Metadata;
use callboard::flow::receive::callback_path;
use serde::Deserialize;

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod lists;
mod load;
#[path = "../../tests/it/postgres.rs"]
mod postgres;
mod watch;

const TIME: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

/// The 660 bytes or so that EvoLink posts of a finished video.
fn body(number: u64) -> String {
    format!(
        r#"{{"created":1757169743,"id":"task-unified-1757169743-{number:016}","model":"kling-o3-text-to-video","object":"video.generation.task","progress":100,"results":["https://cdn.example.com/videos/2025/09/06/3f7c0a52-5a80-4c3e-9c57-0b6f3f1c2d4e/{number:016}.mp4?signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef&expires=1757256143"],"status":"completed","task_info":{{"can_cancel":false,"estimated_time":180,"video_duration":5}},"type":"video","usage":{{"billing_rule":"per_second","credits_used":27.0,"user_group":"default"}}}}"#
    )
}

#[derive(Deserialize)]
struct Callback {
    id: String,
    status: String,
}

async fn bare() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = HttpServer::new(|| {
        Actix::new().route(
            "/callbacks/{source}/{token}",
            web::post().to(|body: web::Bytes| async move {
                match serde_json::from_slice::<Callback>(&body) {
                    Ok(callback) if !callback.id.is_empty() && !callback.status.is_empty() => {
                        HttpResponse::Ok().json(serde_json::json!({"outcome": "accepted", "task_id": callback.id}))
                    }
                    _ => HttpResponse::UnprocessableEntity().finish(),
                }
            }),
        )
    })
    .workers(2)
    .listen(listener)
    .expect("it listens");
    tokio::spawn(server.run());
    address
}

async fn service(database: &str, directory: &Path) -> (SocketAddr, String) {
    let text = format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        [database]
        url = "{database}"
        [sources.evolink]
        provider = "evolink"
        [destinations.sink]
        team = "bench"
        channel = "webhook"
        url = "https://sink.example.com/"
        [[subscriptions]]
        destination = "sink"
        "#
    );
    let env: Env = std::iter::empty::<(String, String)>().collect();
    let file = directory.join("callboard.toml");
    let config = Config::read(&text, Some(&file), &env, Registries::built_in()).expect("a good configuration");
    let app = App::build(config, Arc::new(SystemClock)).await.expect("it opens");
    let address = app.addresses()[0];
    let path = callback_path(&app.services.roster.now(), "evolink", &Metadata::new()).expect("a source");
    // Only HTTP and the recorder: what is measured is taking in, not sending.
    tokio::spawn(app.serve());
    (address, path)
}

fn url(database: &str, directory: &Path) -> String {
    match database {
        "sqlite" => format!("sqlite:{}", directory.join("bench.db").display()),
        _ => postgres::fresh(),
    }
}

async fn median(address: SocketAddr, path: &str, connections: u64) -> f64 {
    let mut rates = Vec::new();
    for round in 0..ROUNDS as u64 {
        // Other ids in every round: a repeat would be cheaper.
        let first = (connections * 10 + round) * 1_000_000_000;
        let path = path.to_owned();
        let load = load::apart(move || load::run(address, path, connections, TIME, first, body)).await;
        assert_eq!(load.bad, 0, "every post is taken");
        rates.push(load.per_second());
    }
    rates.sort_by(f64::total_cmp);
    rates[ROUNDS / 2]
}

/// `cargo bench -- watch` measures unfinished tasks instead, `cargo bench -- lists` lists; `cargo bench -- 64 sqlite` measures only these numbers of connections, or only this database.
#[tokio::main]
async fn main() {
    let asked: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let only = std::env::args().find(|word| ["sqlite", "postgres"].contains(&word.as_str()));
    if std::env::args().any(|word| word == "lists") {
        for database in ["sqlite", "postgres"] {
            if only.as_ref().is_none_or(|only| only == database) {
                lists::run_on(database, |directory| url(database, directory), &asked).await;
            }
        }
        return;
    }
    let asked = if asked.is_empty() { vec![1, 64, 256] } else { asked };
    let directory = tempfile::tempdir().expect("a directory");
    if std::env::args().any(|word| word == "watch") {
        for database in ["sqlite", "postgres"] {
            for pace in [None, Some("2000/s")] {
                if only.as_ref().is_none_or(|only| only == database) {
                    let directory = tempfile::tempdir().expect("a directory");
                    watch::run(database, &url(database, directory.path()), directory.path(), pace).await;
                }
            }
        }
        return;
    }
    let bare = bare().await;
    let mut services = Vec::new();
    for database in ["sqlite", "postgres"] {
        if only.as_ref().is_none_or(|only| only == database) {
            services.push((database, service(&url(database, directory.path()), directory.path()).await));
        }
    }
    println!("{:<12} {:<12} {:>12} {:>10}", "connections", "what", "posts/s", "of bare");
    for connections in asked {
        let bare = median(bare, "/callbacks/evolink/bench", connections).await;
        println!("{connections:<12} {:<12} {bare:>12.0} {:>10.3}", "bare", 1.0);
        for (database, (address, path)) in &services {
            let rate = median(*address, path, connections).await;
            println!("{connections:<12} {database:<12} {rate:>12.0} {:>10.3}", rate / bare);
        }
    }
}
