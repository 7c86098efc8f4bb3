//! A load generator: keep-alive connections that post as fast as they are answered.

use std::net::SocketAddr;
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
    address: SocketAddr,
    path: String,
    connections: u64,
    time: Duration,
    first: u64,
    body: fn(u64) -> String,
) -> Load {
    let run = Run::new(address, path, body);
    let stop = Arc::clone(&run.stop);
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        stop.store(true, Ordering::Relaxed);
    });
    run.over(connections, first, u64::MAX).await
}

/// The same until so many are posted.
pub(crate) async fn fixed(
    address: SocketAddr,
    path: String,
    connections: u64,
    posts: u64,
    first: u64,
    body: fn(u64) -> String,
) -> Load {
    Run::new(address, path, body).over(connections, first, first + posts).await
}

#[derive(Clone)]
struct Run {
    address: SocketAddr,
    path: Arc<str>,
    body: fn(u64) -> String,
    stop: Arc<AtomicBool>,
    good: Arc<AtomicU64>,
    bad: Arc<AtomicU64>,
}

impl Run {
    fn new(address: SocketAddr, path: String, body: fn(u64) -> String) -> Self {
        let (stop, good, bad) = Default::default();
        Self { address, path: path.into(), body, stop, good, bad }
    }

    async fn over(self, connections: u64, first: u64, end: u64) -> Load {
        let begun = Instant::now();
        let posters: Vec<_> = (first..first + connections)
            .map(|first| {
                let run = self.clone();
                tokio::spawn(async move { run.post(first, connections, end).await })
            })
            .collect();
        for poster in posters {
            poster.await.expect("a poster does not panic");
        }
        Load { good: self.good.load(Ordering::Relaxed), bad: self.bad.load(Ordering::Relaxed), took: begun.elapsed() }
    }

    /// One connection, which posts every so-manieth number.
    async fn post(&self, first: u64, step: u64, end: u64) {
        let mut stream = TcpStream::connect(self.address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        let mut answer = vec![0; 16 * 1024];
        let mut number = first;
        while number < end && !self.stop.load(Ordering::Relaxed) {
            let request = request(&self.path, &(self.body)(number));
            number += step;
            stream.write_all(request.as_bytes()).await.expect("the server reads");
            let counter = if status(&mut stream, &mut answer).await == 200 { &self.good } else { &self.bad };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs a load on a thread of its own, as another process would, so that it takes no turn of the service's.
pub(crate) async fn apart<T: Send + 'static, F: Future<Output = T>>(load: impl FnOnce() -> F + Send + 'static) -> T {
    let (done, loaded) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _ = done.send(runtime.block_on(load()));
    });
    loaded.await.expect("the load ran")
}

/// A post of this body.
pub(crate) fn request(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Posts one body; gives the status of the answer.
pub(crate) async fn once(address: SocketAddr, path: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(request(path, body).as_bytes()).await.expect("the server reads");
    status(&mut stream, &mut vec![0; 16 * 1024]).await
}

/// Reads one answer to its end; gives its status.
pub(crate) async fn status(stream: &mut TcpStream, buffer: &mut [u8]) -> u16 {
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
