//! The binary as a process of its own: how large it is, how soon it is ready, how much memory it takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::asked::{Asked, Database};
use crate::bare::body;
use crate::deliver::destinations;
use crate::seed::{COUNTED, Shape, run as execute, seed};
use crate::sink::{Answers, Sink};
use crate::table::{Compared, Target, median, row};
use crate::{ROUNDS, load};

/// So many deliveries wait for "start" and "memory", unless another number is asked for.
const PENDING: u64 = 1_000_000;
const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard");
const PATH: &str = "/callbacks/evolink/the-token-of-the-bench";
const CONNECTIONS: u64 = 64;
/// How long it is loaded, and how long it delivers out of a million before it is killed.
const LOADED_FOR: Duration = Duration::from_secs(5);
const IDLE_AFTER: Duration = Duration::from_secs(2);
const READY_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_micros(500);
const SAMPLED_EVERY: Duration = Duration::from_millis(50);

/// A `callboard serve` that is killed at the latest when this is dropped.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        // As a power cut would; nothing of it is needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts it; gives how many milliseconds passed until it was ready.
    fn start(url: &str, directory: &Path, sink: &Sink) -> (Self, f64) {
        // Free a moment ago: nobody else is given it so soon.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let file = directory.join("callboard.toml");
        let settings = format!(
            "[server]\nlisten = \"{address}\"\nadmin_key = \"the-key-of-the-bench\"\n[database]\nurl = \"{url}\"\n\
             [sources.evolink]\nprovider = \"evolink\"\ncallback_token = \"{}\"\n\
             [retention]\ncallbacks = \"forever\"\nevents = \"forever\"\n{}",
            PATH.rsplit('/').next().unwrap_or_default(),
            destinations(&[sink.address])
        );
        std::fs::write(&file, settings).expect("a file");
        let begun = Instant::now();
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg("--config").arg(&file).current_dir(directory).env_clear();
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut process = Self { child, address };
        while !is_ready(address) {
            assert!(process.child.try_wait().expect("a state").is_none(), "it ended before it was ready");
            assert!(begun.elapsed() < READY_WITHIN, "it is not ready");
            std::thread::sleep(LOOK_EVERY);
        }
        (process, begun.elapsed().as_secs_f64() * 1000.0)
    }

    /// Resident megabytes.
    fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a figure");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") * 1024.0 / 1e6
    }

    /// The most resident megabytes while it is posted to and delivers.
    async fn loaded(&self, first: u64) -> f64 {
        let address = self.address;
        let load = load::apart(move || load::run(address, PATH.to_owned(), CONNECTIONS, LOADED_FOR, first, body));
        let (begun, mut most) = (Instant::now(), self.resident());
        let mut load = std::pin::pin!(load);
        loop {
            tokio::select! {
                load = &mut load => {
                    assert_eq!(load.bad, 0, "every post is taken");
                    return most;
                }
                () = tokio::time::sleep(SAMPLED_EVERY) => most = most.max(self.resident()),
            }
            assert!(begun.elapsed() < READY_WITHIN, "the load does not end");
        }
    }
}

/// Whether `/readyz` answers 200.
fn is_ready(address: SocketAddr) -> bool {
    let asked = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    asked().unwrap_or(false)
}

fn told(what: &str, database: &str, unit: &'static str, figure: f64, targets: &'static [Target]) {
    row(what, database, 0, &format!("{figure:.1} {unit}"), &[Compared { with: unit, figure, targets }]);
}

/// The bytes of the binary, and its starts: over a new database, which it makes the tables of, and over one that is there.
pub(crate) async fn size(asked: &Asked) {
    let bytes = std::fs::metadata(PROGRAM).expect("the program").len();
    told("binary", "", "MB", bytes as f64 / 1e6, &[Target::AtMost(30.0)]);
    for database in asked.databases() {
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let directory = tempfile::tempdir().unwrap();
            let url = database.fresh(directory.path());
            for starts in [&mut first, &mut later] {
                starts.push(Process::start(&url, directory.path(), &Sink::start(Answers::AtOnce)).1);
            }
        }
        told("cold start, new database", database.name(), "ms", median(first), &[Target::AtMost(100.0)]);
        told("cold start", database.name(), "ms", median(later), &[Target::AtMost(100.0)]);
    }
}

/// Idle, and while it takes in and delivers all it can.
pub(crate) async fn memory(asked: &Asked) {
    for database in asked.databases() {
        let (mut idle, mut loaded) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let directory = tempfile::tempdir().unwrap();
            let url = database.fresh(directory.path());
            let (process, _) = Process::start(&url, directory.path(), &Sink::start(Answers::AtOnce));
            tokio::time::sleep(IDLE_AFTER).await;
            idle.push(process.resident());
            loaded.push(process.loaded(0).await);
        }
        told("memory, idle", database.name(), "MB", median(idle), &[Target::AtMost(20.0)]);
        told("memory, full load", database.name(), "MB", median(loaded), &[Target::AtMost(64.0)]);
    }
}

/// With a million pending deliveries: the memory while it takes in and delivers, and the start after it was killed at that.
pub(crate) async fn start(asked: &Asked) {
    let pending = asked.size("pending", PENDING);
    for database in asked.databases() {
        with_pending(database, pending).await;
    }
}

async fn with_pending(database: Database, pending: u64) {
    let directory = tempfile::tempdir().unwrap();
    let (url, sink) = (database.fresh(directory.path()), Sink::start(Answers::AtOnce));
    drop(Process::start(&url, directory.path(), &sink));
    seed(database.name(), &url, &Shape::PENDING, i64::try_from(pending).unwrap()).await;
    execute(database.name(), &url, COUNTED.into()).await;
    let (mut process, _) = Process::start(&url, directory.path(), &sink);
    let (mut memory, mut ready) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        memory.push(process.loaded(round * 1_000_000_000).await);
        drop(process);
        let milliseconds;
        (process, milliseconds) = Process::start(&url, directory.path(), &sink);
        ready.push(milliseconds / 1000.0);
    }
    let memory_is = format!("memory, {pending} pending");
    told(&memory_is, database.name(), "MB", median(memory), &[Target::AtMost(128.0)]);
    let start_is = format!("start after kill, {pending} pending");
    told(&start_is, database.name(), "s", median(ready), &[Target::AtMost(1.0)]);
    drop(process);
    database.remove(&url);
}
