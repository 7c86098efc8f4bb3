//! A bare client: signs bodies by the rules of Standard Webhooks and posts them, and keeps nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use callboard::domain::clock::{Clock, SystemClock};
use callboard::domain::id::EventId;
use callboard::domain::secret::Secret;
use callboard::domain::signature::{new_secret, standard_webhooks};

use crate::bare;

/// So many requests are under way at any time.
const IN_FLIGHT: u64 = 64;

/// An event as it goes out, of the size of those of Callboard.
fn event(number: u64) -> String {
    format!(
        r#"{{"id":"evt_01M8GPFZHDE5FBWJGAZ8FWXVNH","type":"task.completed","timestamp":"2026-11-28T09:06:33.133Z","data":{{"source":"evolink","provider":"evolink","task_id":"task-unified-1757169743-{number:016}","status":"completed","model":"kling-o3-text-to-video","progress":100,"outputs":[{{"url":"https://cdn.example.com/videos/2025/09/06/3f7c0a52-5a80-4c3e-9c57-0b6f3f1c2d4e/{number:016}.mp4?signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef&expires=1757256143","kind":"video","expires_at":"2025-09-07T14:42:23Z","archived_url":null}}],"error":null,"usage":{{"credits":27.0}},"created_at":"2025-09-06T14:42:23Z","completed_at":null,"observed_via":"callback","confirmed":false,"metadata":{{}}}}}}"#
    )
}

/// Signs events and posts them.
#[derive(Clone)]
struct Poster {
    client: reqwest::Client,
    secret: Arc<Secret>,
}

impl Poster {
    fn new() -> Self {
        Self { client: reqwest::Client::new(), secret: Arc::new(new_secret()) }
    }

    async fn post(&self, url: &str, body: String) {
        let now = SystemClock.now();
        let (id, seconds) = (EventId::new(now), now.0 / 1000);
        let signature = standard_webhooks(&self.secret, id.as_str(), seconds, body.as_bytes()).expect("a secret");
        let request = self.client.post(url).header("content-type", "application/json").body(body);
        let request = request.header("webhook-id", id.as_str()).header("webhook-timestamp", seconds);
        let answer = request.header("webhook-signature", signature).send().await.expect("the sink answers");
        assert_eq!(answer.status(), 204);
    }
}

/// Posts so many events to each of these addresses; gives how many posts were answered a second.
pub(crate) async fn per_second(sinks: &[SocketAddr], events: u64) -> f64 {
    let poster = Poster::new();
    let urls: Arc<Vec<String>> = Arc::new(sinks.iter().map(|sink| format!("http://{sink}/")).collect());
    let (next, posts) = (Arc::new(AtomicU64::new(0)), events * sinks.len() as u64);
    let begun = Instant::now();
    let posters = (0..IN_FLIGHT).map(|_| {
        let (poster, urls, next) = (poster.clone(), Arc::clone(&urls), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= posts {
                    return;
                }
                poster.post(&urls[(number % urls.len() as u64) as usize], event(number)).await;
            }
        })
    });
    for poster in posters.collect::<Vec<_>>() {
        poster.await.expect("a poster does not panic");
    }
    posts as f64 / begun.elapsed().as_secs_f64()
}

/// A bare handler that answers a callback and has its event posted to a sink. Gives where it listens.
pub(crate) fn forward(sink: SocketAddr) -> SocketAddr {
    let poster = Poster::new();
    bare::start_with(move |callback| {
        let (poster, url) = (poster.clone(), format!("http://{sink}/"));
        let number = callback.id.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default();
        tokio::spawn(async move { poster.post(&url, event(number)).await });
    })
}
