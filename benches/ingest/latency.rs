//! From a callback's first byte to the sink's receipt of its event, at 200 a second, in milliseconds.
//!
//! When each post is to be sent is fixed beforehand, and its time counts from then: a service that stands still does not
//! keep the next posts from being counted (no coordinated omission). Each goes out on the connection that was used longest
//! ago.
//!
//! Beside it, by themselves, the two things that it is made of: a sync, and a bare handler that hands the event to a bare
//! client, which keep nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::asked::{Asked, Database};
use crate::bare::{PATH, body};
use crate::deliver::destinations;
use crate::disk::{percentiles, syncs};
use crate::service::{Service, Works};
use crate::sink::{Answers, Sink};
use crate::table::{Compared, Target, median, plain, row};
use crate::{ROUNDS, client, load};

const EVERY: Duration = Duration::from_millis(5);
/// Ten seconds of posts in a round, unless another number is asked for.
const POSTS: u64 = 2000;
const CONNECTIONS: u64 = 32;
/// Before a post is due the thread sleeps until then, and waits awake for the rest: a sleep may last a little longer.
const AWAKE: Duration = Duration::from_micros(200);
const RECEIVED_WITHIN: Duration = Duration::from_secs(20);
const SYNCS: usize = 200;
const P50: &[Target] = &[Target::AtMost(1.2)];
const P99: &[Target] = &[Target::AtMost(4.0)];

/// When each event came, in nanoseconds after the first moment; 0 for what has not come.
struct Receipts {
    first: Instant,
    came: Vec<AtomicU64>,
}

impl Receipts {
    fn of(posts: u64) -> Arc<Self> {
        let came = (0..posts * ROUNDS).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { first: Instant::now(), came })
    }

    fn note(&self, event: &[u8]) {
        let number = task_number(event).and_then(|number| self.came.get(number));
        if let Some(came) = number {
            let nanoseconds = u64::try_from(self.first.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let _ = came.compare_exchange(0, nanoseconds, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn came(&self, number: u64) -> Option<Instant> {
        let nanoseconds = self.came.get(number as usize)?.load(Ordering::Relaxed);
        (nanoseconds > 0).then(|| self.first + Duration::from_nanos(nanoseconds))
    }
}

fn task_number(event: &[u8]) -> Option<usize> {
    const BEFORE: &[u8] = b"task-unified-1757169743-";
    let at = event.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
    std::str::from_utf8(event.get(at..at + 16)?).ok()?.parse().ok()
}

/// Measures and prints each database.
pub(crate) async fn run(asked: &Asked) {
    let posts = asked.size("posts", POSTS);
    for database in asked.databases() {
        on_database(database, posts).await;
    }
}

/// Who takes posts and sends events on, and what was measured of it in each round.
struct Taker {
    address: SocketAddr,
    path: String,
    receipts: Arc<Receipts>,
    /// p50 and p99.
    rounds: Vec<(f64, f64)>,
    /// How far behind its time a post was at most.
    late: Vec<f64>,
}

impl Taker {
    async fn round(&mut self, numbers: std::ops::Range<u64>) {
        let (address, path, first) = (self.address, self.path.clone(), numbers.start);
        let sent = load::apart(move || async move { post(address, &path, numbers) }).await;
        self.late.push(sent.iter().map(|(due, begun)| milliseconds(*begun - *due)).fold(0.0, f64::max));
        self.rounds.push(percentiles(times(&self.receipts, &sent, first).await));
    }
}

/// A sink that notes when what came.
fn noting(posts: u64) -> (Sink, Arc<Receipts>) {
    let receipts = Receipts::of(posts);
    let noting = Arc::clone(&receipts);
    (Sink::with(Answers::AtOnce, Arc::new(move |event| noting.note(event))), receipts)
}

async fn on_database(database: Database, posts: u64) {
    let directory = tempfile::tempdir().unwrap();
    let ((sink, receipts), (bare_sink, bare_receipts)) = (noting(posts), noting(posts));
    let url = database.fresh(directory.path());
    let settings = destinations(&[sink.address]);
    let service = Service::start(&url, directory.path(), &settings, Works::Everything).await;
    let taker = |address, path, receipts| Taker { address, path, receipts, rounds: Vec::new(), late: Vec::new() };
    let mut ours = taker(service.address, service.path.clone(), receipts);
    let mut bare = taker(client::forward(bare_sink.address), PATH.to_owned(), bare_receipts);
    let mut sync = Vec::new();
    for round in 0..ROUNDS {
        let numbers = round * posts..(round + 1) * posts;
        sync.push(percentiles(raw(directory.path().to_owned()).await));
        bare.round(numbers.clone()).await;
        ours.round(numbers).await;
    }
    service.stop().await;
    let middle = |all: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| median(all.iter().map(of).collect());
    for (name, of, targets) in [("p50", (|both| both.0) as fn(&(f64, f64)) -> f64, P50), ("p99", |both| both.1, P99)] {
        plain(&format!("raw sync, {name}"), "", 0, &format!("{:.2} ms", middle(&sync, of)));
        plain(&format!("bare handler and client, {name}"), "", 0, &format!("{:.2} ms", middle(&bare.rounds, of)));
        let ours = middle(&ours.rounds, of);
        let compared = [Compared { with: "ms", figure: ours, targets }];
        row(&format!("post to delivery, {name}"), database.name(), 0, &format!("{ours:.2} ms"), &compared);
    }
    plain("posts behind their time, at most", database.name(), 0, &format!("{:.2} ms", median(ours.late)));
}

async fn raw(directory: std::path::PathBuf) -> Vec<f64> {
    load::apart(move || async move { syncs(Path::new(&directory), SYNCS, EVERY) }).await
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// From when each was due to its receipt; all must be received.
async fn times(receipts: &Receipts, sent: &[(Instant, Instant)], first: u64) -> Vec<f64> {
    let begun = Instant::now();
    let numbers = first..first + sent.len() as u64;
    while numbers.clone().any(|number| receipts.came(number).is_none()) {
        assert!(begun.elapsed() < RECEIVED_WITHIN, "some events did not reach the sink");
        tokio::time::sleep(EVERY).await;
    }
    let each = numbers.zip(sent).filter_map(|(number, (due, _))| Some(milliseconds(receipts.came(number)? - *due)));
    each.collect()
}

/// Posts these numbers, each in its time; gives when each was due and when its first byte was sent.
fn post(address: SocketAddr, path: &str, numbers: std::ops::Range<u64>) -> Vec<(Instant, Instant)> {
    let connect = |_| {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        (stream, false)
    };
    let mut connections: Vec<(TcpStream, bool)> = (0..CONNECTIONS).map(connect).collect();
    let (mut due, mut answer, mut sent) = (Instant::now() + EVERY, [0; 4096], Vec::new());
    for number in numbers {
        let request = load::request(path, &body(number));
        let (stream, is_waiting) = &mut connections[(number % CONNECTIONS) as usize];
        if *is_waiting {
            // It came long ago: 160 ms lie between two posts on one connection.
            let read = stream.read(&mut answer).expect("the server answers");
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "every post is taken");
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()).saturating_sub(AWAKE));
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).expect("the server reads");
        *is_waiting = true;
        sent.push((due, begun));
        due += EVERY;
    }
    sent
}
