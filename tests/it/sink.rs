//! A destination on a real socket: it keeps what it is sent and answers as the test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What it does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// An answer: status, header lines each with its CRLF, body.
    Answer(u16, String, Vec<u8>),
    /// 200 with these header lines, and no body whatever they say.
    Head(String),
    /// Nothing, until the test releases it; then 200.
    Hang,
    /// The end of the connection.
    Close,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, String::new(), Vec::new())
    }

    pub(crate) fn retry_after(status: u16, seconds: u64) -> Self {
        Self::Answer(status, format!("retry-after: {seconds}\r\n"), Vec::new())
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method and target, as they came.
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Script = Box<dyn FnMut(&Request) -> Reply + Send>;

struct State {
    script: Mutex<Script>,
    requests: Mutex<Vec<Request>>,
    /// How many requests came.
    count: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

/// The sink; it ends with its value.
pub(crate) struct Sink {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sink {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        Self::scripted(|_| Reply::status(200)).await
    }

    /// One that answers as `script` says.
    pub(crate) async fn scripted(script: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Mutex::new(Box::new(script)),
            requests: Mutex::default(),
            count: watch::Sender::new(0),
            released: watch::Sender::new(false),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, task }
    }

    /// From now on it answers so.
    pub(crate) fn answer(&self, script: impl FnMut(&Request) -> Reply + Send + 'static) {
        *self.state.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// Host and port.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        *self.state.count.borrow()
    }

    /// Waits until so many requests came.
    pub(crate) async fn wait_for(&self, many: usize) {
        self.state.count.subscribe().wait_for(|count| *count >= many).await.unwrap();
    }

    /// Answers what hangs, and whatever would.
    pub(crate) fn release(&self) {
        self.state.released.send_replace(true);
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            // A peer that goes away ends the connection, which is what some tests are about.
            let _ = serve(stream, &state).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(request) = read_request(&mut stream).await? {
        let reply = (state.script.lock().unwrap())(&request);
        state.requests.lock().unwrap().push(request);
        state.count.send_modify(|count| *count += 1);
        let (status, headers, body) = match reply {
            Reply::Answer(status, headers, body) => (status, headers, body),
            Reply::Head(headers) => {
                stream.write_all(format!("HTTP/1.1 200 x\r\n{headers}\r\n").as_bytes()).await?;
                continue;
            }
            Reply::Close => return Ok(()),
            Reply::Hang => {
                let (mut released, mut more) = (state.released.subscribe(), [0]);
                // Whoever gives up first: the test, or the client. That there may be something to read says nothing:
                // it may be what has been read.
                tokio::select! {
                    _ = released.wait_for(|released| *released) => {}
                    _ = stream.peek(&mut more) => return Ok(()),
                }
                (200, String::new(), Vec::new())
            }
        };
        let mut answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
        answer.extend_from_slice(&body);
        stream.write_all(&answer).await?;
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
        if stream.read_buf(&mut request.body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(request))
}

/// As long as a buffer that it was read into, so that the socket still says that there may be more.
#[tokio::test]
async fn what_hangs_is_answered_however_it_came() {
    let sink = Sink::scripted(|_| Reply::Hang).await;
    let mut stream = TcpStream::connect(sink.address).await.unwrap();
    let request = format!("{:64}", "POST /hooks HTTP/1.1\r\ncontent-length: 20\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    sink.wait_for(1).await;
    sink.release();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}
