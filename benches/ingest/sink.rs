//! Where deliveries go: a minimal HTTP/1.1 server that keeps connections and answers 204, on a thread of its own, as
//! another process would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it does with each body.
pub(crate) type OnBody = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// A sink that runs until the process ends.
pub(crate) struct Sink {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    received: Arc<AtomicU64>,
}

/// What comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// 204, at once.
    AtOnce,
    /// Nothing, ever.
    Never,
}

impl Sink {
    /// One that only counts.
    pub(crate) fn start(answers: Answers) -> Self {
        Self::with(answers, Arc::new(|_| {}))
    }

    /// One that does this with each body before it answers.
    pub(crate) fn with(answers: Answers, on_body: OnBody) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket option");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, answers, Arc::clone(&counter), Arc::clone(&on_body)));
                }
            });
        });
        Self { address, received }
    }

    /// How many bodies came.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// Serves one connection to its end; a request that comes in parts is read to its end first.
async fn serve(mut stream: TcpStream, answers: Answers, received: Arc<AtomicU64>, on_body: OnBody) {
    let _ = stream.set_nodelay(true);
    let mut buffer = vec![0; 64 * 1024];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(0) | Err(_) => return,
            Ok(read) => filled += read,
        }
        let Some((head, end)) = request(&buffer[..filled]) else { continue };
        received.fetch_add(1, Ordering::Relaxed);
        on_body(&buffer[head..end]);
        if answers == Answers::AtOnce && stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
            return;
        }
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
}

/// Where the body of a request begins and ends, once it is there as a whole.
fn request(read: &[u8]) -> Option<(usize, usize)> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let lines = std::str::from_utf8(&read[..head]).ok()?.lines();
    let mut lengths = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head + lengths.next().unwrap_or(0);
    (read.len() >= end).then_some((head, end))
}
