//! An HTTP server on a real socket that keeps what it is sent and answers as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What it does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// An answer: status, header lines, body.
    Answer(u16, &'static str, &'static str),
    /// These bytes, then the end of the connection.
    Raw(&'static str),
    /// These bytes, then one more byte every 20 ms, for ever.
    Drip(&'static str),
    /// A body without an end, as fast as it is read.
    Endless,
    /// Nothing, and the connection stays.
    Hang,
}

/// One request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Its first line, without the version.
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// A port on which nobody listens.
pub(crate) fn dead_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[derive(Default)]
struct Log {
    connections: Mutex<usize>,
    requests: Mutex<Vec<Request>>,
    closed: Notify,
}

/// The server; it ends with its value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    log: Arc<Log>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Log::default());
        let task = spawn(accept(listener, reply, log.clone()));
        Self { address, log, task }
    }

    /// A URL of it whose path and query are secrets that must not be shown.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/secret-path?token=secret-query", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.log.connections.lock().unwrap()
    }

    /// Waits until a connection has ended.
    pub(crate) async fn closed(&self) {
        tokio::time::timeout(Duration::from_secs(5), self.log.closed.notified()).await.unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "the peer of a test; it is aborted with its server")]
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

async fn accept(listener: TcpListener, reply: Reply, log: Arc<Log>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        *log.connections.lock().unwrap() += 1;
        let (reply, log) = (reply.clone(), log.clone());
        connections.spawn(async move {
            // A peer that goes away ends the connection, which is what some tests are about.
            let _ = serve(stream, reply, &log).await;
            log.closed.notify_one();
        });
    }
}

async fn serve(mut stream: TcpStream, reply: Reply, log: &Log) -> std::io::Result<()> {
    while let Some(request) = read_request(&mut stream).await? {
        log.requests.lock().unwrap().push(request);
        match &reply {
            Reply::Answer(status, headers, body) => {
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await?;
            }
            Reply::Raw(bytes) => return stream.write_all(bytes.as_bytes()).await,
            Reply::Drip(bytes) => {
                stream.write_all(bytes.as_bytes()).await?;
                let mut tick = tokio::time::interval(Duration::from_millis(20));
                loop {
                    tick.tick().await;
                    stream.write_all(b"x").await?;
                }
            }
            Reply::Endless => {
                stream.write_all(b"HTTP/1.1 200 x\r\nconnection: close\r\n\r\n").await?;
                loop {
                    stream.write_all(&[b'x'; 4096]).await?;
                }
            }
            Reply::Hang => return stream.read(&mut [0; 1]).await.map(drop),
        }
    }
    Ok(())
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let mut request = Request { line, headers, body: Vec::new() };
    let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body = bytes.split_off(head_end + 4);
    while request.body.len() < length {
        stream.read_buf(&mut request.body).await?;
    }
    Ok(Some(request))
}
