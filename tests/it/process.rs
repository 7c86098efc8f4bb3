//! The program itself, as its users run it: in a directory, with a file and an environment, as a child
//! process that is talked to over sockets, signals and its two outputs.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::record::{PATIENCE, Record};
use super::wire::{self, Connection, Message};

/// The administrator's key where a test configures one.
pub(crate) const KEY: &str = "cbk_the-key-of-the-tests";
/// The callback token where a test configures one.
pub(crate) const TOKEN: &str = "token-of-the-tests-0001";

/// A working directory.
pub(crate) struct Place {
    directory: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::Builder::new().prefix("callboard-it-").tempdir().unwrap() }
    }

    /// One with this `callboard.toml`.
    pub(crate) fn with(config: &str) -> Self {
        let place = Self::new();
        place.write("callboard.toml", config);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file; one that is there is replaced at once.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program, with nothing of our own environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callboard"));
        command.args(arguments).current_dir(self.directory.path()).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        end_of(self.command(arguments))
    }

    /// Starts the service and waits until it says that it is ready.
    pub(crate) fn serve(&self) -> Service {
        self.serve_with(&[])
    }

    /// The same with these variables.
    pub(crate) fn serve_with(&self, variables: &[(&str, &str)]) -> Service {
        let mut command = self.command(&["serve"]);
        command.envs(variables.iter().copied());
        Service::start(command)
    }
}

/// Runs a command to its end.
pub(crate) fn end_of(mut command: Command) -> Ran {
    let mut child = command.spawn().unwrap();
    let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
    if !(out.until_end(PATIENCE) && err.until_end(PATIENCE)) {
        child.kill().unwrap();
        panic!("{command:?} does not end; it said {:?} and {:?}", out.all(), err.all());
    }
    Ran { code: child.wait().unwrap().code(), out: out.all().join("\n"), err: err.all().join("\n") }
}

/// The lines of an output, as they come. A process that has ended has no output left open.
pub(crate) fn lines(output: impl Read + Send + 'static) -> Record<String> {
    let record = Record::default();
    let to = record.clone();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).for_each(|line| to.push(line));
        to.end();
    });
    record
}

/// A port that nobody has, and that nobody gets by chance while the service is down: the system makes
/// ports for others from 32768 upwards.
pub(crate) fn steady_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side begin at different places.
    let from = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    let candidates = std::iter::repeat_with(|| from + NEXT.fetch_add(1, Ordering::Relaxed) % 100);
    candidates.take(100).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("no port is free")
}

/// A signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    Terminate,
    Interrupt,
}

/// The running service.
pub(crate) struct Service {
    child: Child,
    /// Its standard output, a line each.
    pub(crate) out: Record<String>,
    /// Its standard error: the log.
    pub(crate) err: Record<String>,
    /// Where callbacks go, as it said itself.
    pub(crate) url: String,
    /// Where the API is, as it said itself.
    pub(crate) api: String,
    key: String,
}

impl Service {
    pub(crate) fn start(mut command: Command) -> Self {
        let directory = command.get_current_dir().unwrap().to_owned();
        let mut child = command.spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let mut service = Self { child, out, err, url: String::new(), api: String::new(), key: KEY.to_owned() };
        service.url = service.said(" is ready on ");
        service.api = service.said("API            ");
        if let Ok(key) = std::fs::read_to_string(directory.join("callboard.key")) {
            key.trim().clone_into(&mut service.key);
        }
        service
    }

    /// What it says behind these words.
    pub(crate) fn said(&self, words: &str) -> String {
        let found =
            self.out.find(words, |lines| lines.iter().find_map(|line| Some(line.split_once(words)?.1.to_owned())));
        found.unwrap_or_else(|failure| {
            // Where it has failed, its log says why.
            self.err.until_end(Duration::from_secs(1));
            panic!("{failure}\n{:#?}", self.err.all())
        })
    }

    /// The callback URL of a source, as it is printed.
    pub(crate) fn callback_url(&self, source: &str) -> String {
        let words = format!("  {source:<14} ");
        self.said(&words)
    }

    /// Posts a callback, as the provider does.
    pub(crate) fn post(&self, source: &str, body: &[u8]) -> Message {
        wire::post(&self.callback_url(source), body)
    }

    /// Asks the API. `path` begins behind `/api/v1`.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = wire::request("GET", &format!("{}{path}", self.api), &[("Authorization", &self.bearer())], b"");
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Every item of a list, page by page.
    pub(crate) fn list(&self, path: &str) -> Vec<Value> {
        let mut connection = Connection::open(&self.api).unwrap();
        let prefix = wire::path_of(&self.api);
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("{prefix}{path}?limit=250{cursor}");
            let page = connection.exchange("GET", &path, &[("Authorization", &self.bearer())], b"").unwrap().json();
            items.extend(page["items"].as_array().unwrap_or_else(|| panic!("{page}")).iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }

    /// `kill -9`, and waits until it is dead.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Interrupt => "-INT",
        };
        let sent =
            Command::new("/bin/sh").args(["-c", "kill \"$0\" \"$1\"", name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub(crate) fn end(mut self, patience: Duration) -> ExitStatus {
        assert!(self.out.until_end(patience), "it runs on after {patience:?}: {:#?}", self.err.all());
        self.child.wait().unwrap()
    }

    /// SIGTERM, and the end with exit code 0.
    pub(crate) fn stop(self) {
        self.signal(Signal::Terminate);
        let log = self.err.clone();
        let status = self.end(PATIENCE);
        assert_eq!(status.code(), Some(0), "{:#?}", log.all());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A test that failed leaves nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A callback as EvoLink documents it, for this task.
pub(crate) fn evolink(task_id: &str) -> Vec<u8> {
    body_of("evolink/completed-video.http").replace("task-unified-1757169743-o3t2v", task_id).into_bytes()
}

/// The body of a fixture.
pub(crate) fn body_of(fixture: &str) -> String {
    let path = format!("{}/tests/fixtures/{fixture}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}
