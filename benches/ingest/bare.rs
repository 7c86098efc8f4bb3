//! What everything is measured against: an actix-web handler that parses a callback and stores nothing.

use std::net::{SocketAddr, TcpListener};

use actix_web::{App as Actix, HttpResponse, HttpServer, web};
use serde::Deserialize;

/// Where it and the raw writer loops take posts.
pub(crate) const PATH: &str = "/callbacks/evolink/bench";
/// So many threads serve it, as many as serve Callboard on two cores.
pub(crate) const WORKERS: usize = 2;

/// What EvoLink posts of a finished video, about 550 bytes, 660 with the request's head.
pub(crate) fn body(number: u64) -> String {
    format!(
        r#"{{"created":1757169743,"id":"task-unified-1757169743-{number:016}","model":"kling-o3-text-to-video","object":"video.generation.task","progress":100,"results":["https://cdn.example.com/videos/2025/09/06/3f7c0a52-5a80-4c3e-9c57-0b6f3f1c2d4e/{number:016}.mp4?signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef&expires=1757256143"],"status":"completed","task_info":{{"can_cancel":false,"estimated_time":180,"video_duration":5}},"type":"video","usage":{{"billing_rule":"per_second","credits_used":27.0,"user_group":"default"}}}}"#
    )
}

#[derive(Deserialize)]
pub(crate) struct Callback {
    pub(crate) id: String,
    status: String,
}

impl Callback {
    /// Parses a body; `None` for what is no callback.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let callback: Self = serde_json::from_slice(body).ok()?;
        (!callback.id.is_empty() && !callback.status.is_empty()).then_some(callback)
    }

    /// The answer of a bare handler.
    pub(crate) fn answer(&self) -> HttpResponse {
        HttpResponse::Ok().json(serde_json::json!({"outcome": "accepted", "task_id": self.id}))
    }
}

/// Starts it on a free port.
pub(crate) fn start() -> SocketAddr {
    start_with(|_| ())
}

/// The same, and does this with each callback before it is answered.
pub(crate) fn start_with(take: impl Fn(&Callback) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = HttpServer::new(move || {
        let take = take.clone();
        let answer = move |body: web::Bytes| {
            let callback = Callback::read(&body);
            callback.iter().for_each(&take);
            async move {
                match callback {
                    Some(callback) => callback.answer(),
                    None => HttpResponse::UnprocessableEntity().finish(),
                }
            }
        };
        Actix::new().route("/callbacks/{source}/{token}", web::post().to(answer))
    })
    .workers(WORKERS)
    .listen(listener)
    .expect("it listens");
    tokio::spawn(server.run());
    address
}
