//! A place that is told: an HTTP server on a real socket that keeps what comes and answers by a script.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::record::{PATIENCE, Record};
use super::wire::{self, Message};

/// What it is asked at the end of an era.
const MARK: &str = "/the-end-of-an-era";

/// What it does with a request.
pub(crate) enum Reply {
    /// An answer of this status.
    Status(u16),
    /// This text, with status 200.
    Text(&'static str),
    /// Nothing, for as long as the other side stays.
    Hang,
}

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) request: Message,
    /// How often the service had been killed before.
    pub(crate) era: usize,
}

/// The server. It lives as long as the test process.
pub(crate) struct Sink {
    pub(crate) got: Record<Got>,
    address: SocketAddr,
    era: Arc<AtomicUsize>,
    open: Arc<(Mutex<usize>, Condvar)>,
}

impl Sink {
    /// Answers what `script` says.
    pub(crate) fn start(script: impl Fn(&Got) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub(crate) fn start_on(listener: TcpListener, script: impl Fn(&Got) -> Reply + Send + Sync + 'static) -> Self {
        let sink = Self {
            got: Record::default(),
            address: listener.local_addr().unwrap(),
            era: Arc::default(),
            open: Arc::default(),
        };
        let (got, era, open, script) = (sink.got.clone(), sink.era.clone(), sink.open.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                *open.0.lock().unwrap() += 1;
                let (got, era, open, script) = (got.clone(), era.clone(), open.clone(), script.clone());
                std::thread::spawn(move || {
                    serve(socket, &got, &era, &*script);
                    *open.0.lock().unwrap() -= 1;
                    open.1.notify_all();
                });
            }
        });
        sink
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Called when the service is dead: waits until everything that it had sent is in the record.
    pub(crate) fn next_era(&self) {
        // Connections are accepted in their order: when this one is answered, all earlier ones are open.
        let asked = wire::request("GET", &format!("http://{}{MARK}", self.address), &[], b"");
        assert_eq!(asked.unwrap().status(), 204);
        let open = self.open.0.lock().unwrap();
        let (open, _) = self.open.1.wait_timeout_while(open, PATIENCE, |open| *open > 0).unwrap();
        assert_eq!(*open, 0, "connections of the dead process stay open");
        self.era.fetch_add(1, Ordering::SeqCst);
    }
}

fn serve(socket: TcpStream, got: &Record<Got>, era: &AtomicUsize, script: &(impl Fn(&Got) -> Reply + ?Sized)) {
    let _ = socket.set_nodelay(true);
    let mut stream = BufReader::new(socket);
    // An error is the other side's end, which a killed process has in the middle of a request.
    while let Ok(Some(request)) = wire::read(&mut stream) {
        let now = Got { request, era: era.load(Ordering::SeqCst) };
        let answer = if now.request.path() == MARK {
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        } else {
            let reply = script(&now);
            got.push(now);
            match reply {
                Reply::Status(204) => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                Reply::Status(status) => format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n"),
                Reply::Text(text) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()),
                Reply::Hang => {
                    let _ = stream.read_to_end(&mut Vec::new());
                    return;
                }
            }
        };
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
