//! A load generator: keep-alive connections that post as fast as they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a run came to.
pub(crate) struct Load {
    /// Answers of 200.
    pub(crate) good: u64,
    /// Any other answer.
    pub(crate) bad: u64,
    /// How long it ran.
    pub(crate) took: Duration,
}

impl Load {
    /// Good answers a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.good as f64 / self.took.as_secs_f64()
    }
}

/// Posts to `path` at `address` over `connections` for `time`; `body` gives each post's body
/// from its number, from `first` on.
pub(crate) async fn run(
    address: std::net::SocketAddr,
    path: String,
    connections: u64,
    time: Duration,
    first: u64,
    body: fn(u64) -> String,
) -> Load {
    let stop = Arc::new(AtomicBool::new(false));
    let (good, bad) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let posters: Vec<_> = (0..connections)
        .map(|connection| {
            let (path, stop, good, bad) = (path.clone(), Arc::clone(&stop), Arc::clone(&good), Arc::clone(&bad));
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("the server listens");
                stream.set_nodelay(true).expect("a socket option");
                let mut answer = vec![0; 16 * 1024];
                let mut number = first + connection;
                while !stop.load(Ordering::Relaxed) {
                    let body = body(number);
                    number += connections;
                    let request = format!(
                        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    stream.write_all(request.as_bytes()).await.expect("the server reads");
                    let counter = if status(&mut stream, &mut answer).await == 200 { &good } else { &bad };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    for poster in posters {
        poster.await.expect("a poster does not panic");
    }
    Load { good: good.load(Ordering::Relaxed), bad: bad.load(Ordering::Relaxed), took: begun.elapsed() }
}

/// Runs a load on a thread of its own, as another process would, so that it takes no turn of the service's.
pub(crate) async fn apart<F: Future<Output = Load>>(load: impl FnOnce() -> F + Send + 'static) -> Load {
    let (done, loaded) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _ = done.send(runtime.block_on(load()));
    });
    loaded.await.expect("the load ran")
}

/// Reads one answer to its end; gives its status.
async fn status(stream: &mut TcpStream, buffer: &mut [u8]) -> u16 {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.expect("the server answers");
        assert!(read > 0, "the server closed the connection");
        filled += read;
        let text = std::str::from_utf8(&buffer[..filled]).unwrap_or_default();
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length: usize = text[..head]
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").and_then(|n| n.parse().ok()))
            .unwrap_or(0);
        if filled >= head + 4 + length {
            return text[9..12].parse().unwrap_or(0);
        }
    }
}
