//! The steps, each as often as it is asked for. What is made before is made as often for few times as for many.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard::app::{house, open_store, safe};
use callboard::config::{Config, Env, Registries};
use callboard::domain::callback::Content;
use callboard::domain::clock::{ManualClock, Timestamp};
use callboard::domain::delivery::{Outcome, settle};
use callboard::domain::retry::RetryPolicy;
use callboard::domain::secret::Secret;
use callboard::domain::signature::standard_webhooks;
use callboard::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Trust, Via};
use callboard::flow::entry::{Arrival, Entry, Reading};
use callboard::flow::fold::Fold;
use callboard::flow::fresh::Fresh;
use callboard::flow::roster::{LiveRoster, Roster};
use callboard::flow::write::write;
use callboard::providers::{Inbound, provider};
use callboard::store::{Lease, NewAttempt, Settled, Store};

/// 2026-04-01T00:00:00Z.
const NOW: Timestamp = Timestamp(1_775_001_600_000);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// So many messages are a batch.
const BATCH: usize = 64;

/// Something that is done for every callback or delivery.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// The two numbers of times whose difference is counted.
    pub(crate) few: usize,
    pub(crate) many: usize,
    pub(crate) run: fn(usize),
}

/// All of them; the first is what the others are measured in.
pub(crate) const STEPS: [Step; 6] = [
    Step { name: "unit", few: 10, many: 210, run: unit },
    Step { name: "parse", few: 10, many: 110, run: parse },
    Step { name: "fold", few: 1, many: 61, run: fold },
    Step { name: "sign", few: 10, many: 110, run: sign },
    Step { name: "write", few: FEW_BATCHES, many: MANY_BATCHES, run: write_batches },
    Step { name: "settle", few: FEW_BATCHES, many: MANY_BATCHES, run: settle_batches },
];
const FEW_BATCHES: usize = 1;
const MANY_BATCHES: usize = 7;

/// Texts, maps and numbers, without anything of Callboard's.
fn unit(times: usize) {
    for _ in 0..times {
        let mut words: BTreeMap<String, usize> = BTreeMap::new();
        for number in 0..100_usize {
            *words.entry(format!("word-{}", number * 7919 % 61)).or_default() += number;
        }
        let text: Vec<String> = words.iter().map(|(word, sum)| format!("{word}={sum}")).collect();
        black_box(text.join(",").bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte))));
    }
}

/// What EvoLink posts of a finished video.
fn body(number: usize) -> Bytes {
    let text = format!(
        r#"{{"created":1757169743,"id":"task-unified-1757169743-{number:016}","model":"kling-o3-text-to-video","object":"video.generation.task","progress":100,"results":["https://cdn.example.com/videos/2025/09/06/3f7c0a52-5a80-4c3e-9c57-0b6f3f1c2d4e/{number:016}.mp4?signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef&expires=1757256143"],"status":"completed","task_info":{{"can_cancel":false,"estimated_time":180,"video_duration":5}},"type":"video","usage":{{"billing_rule":"per_second","credits_used":27.0,"user_group":"default"}}}}"#
    );
    text.into()
}

fn interpreted(number: usize) -> Vec<Observation> {
    let adapter = provider("evolink").unwrap();
    let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
    let verified = Inbound::new(headers, body(number), NOW).verify(adapter, &[]).unwrap();
    adapter.interpret(&verified).unwrap()
}

/// From a callback's bytes to what it says.
fn parse(times: usize) {
    for number in 0..times {
        assert_eq!(black_box(interpreted(number)).len(), 1);
    }
}

/// An event's signature.
fn sign(times: usize) {
    let (secret, body) = (Secret::new(SECRET), body(0));
    for _ in 0..times {
        black_box(standard_webhooks(&secret, "evt_01M8GPFZHDE5FBWJGAZ8FWXVNH", NOW.0 / 1000, &body).unwrap());
    }
}

/// What a service with one subscription works with.
struct Scene {
    store: Store,
    roster: Arc<Roster>,
    runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"sqlite:{}\"\n[sources.evolink]\nprovider = \"evolink\"\n\
             [destinations.sink]\nteam = \"bench\"\nchannel = \"webhook\"\nurl = \"https://sink.example.com/\"\n\
             [[subscriptions]]\ndestination = \"sink\"\n",
            directory.path().join("callboard.db").display()
        );
        let env: Env = std::iter::empty::<(String, String)>().collect();
        let file = directory.path().join("callboard.toml");
        let config = Config::read(&text, Some(&file), &env, Registries::built_in()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (store, roster) = runtime.block_on(async {
            let store = open_store(&config).await.unwrap();
            let (safe, house) = (safe(&config).unwrap(), house(&config).unwrap());
            let clock = Arc::new(ManualClock::new(NOW));
            let roster = LiveRoster::load(config, house, store.clone(), safe, clock).await.unwrap();
            (store, roster.now())
        });
        Self { store, roster, runtime, _directory: directory }
    }

    /// A batch of callbacks, each the first of its task, as they come to the recorder.
    fn entries(&self, batch: usize) -> Vec<Entry> {
        let entry = |number| {
            let content = Content::new(String::new(), "[]".into(), body(number), Some("127.0.0.1".into()));
            let print = content.fingerprint;
            let content = Arc::new(content);
            let arrival = Arrival { content, note: None, intent_id: None, print, was_forwarded: false };
            let from = Provenance {
                via: Via::Callback,
                trust: Trust::Unsigned,
                metadata: Metadata::new(),
                metadata_origin: MetadataOrigin::Absent,
            };
            let reading = Reading::Said(interpreted(number));
            Entry::new("evolink".into(), reading, from, NOW, Some(arrival), Arc::clone(&self.roster))
        };
        (batch * BATCH..(batch + 1) * BATCH).map(entry).collect()
    }

    fn write(&self, entries: &[Entry]) {
        let entries: Vec<&Entry> = entries.iter().collect();
        self.runtime.block_on(async {
            let mut tx = self.store.write().await.unwrap();
            let written = write(&mut tx, &entries, &Fresh::default(), NOW).await.unwrap();
            assert_eq!(written.events.len(), BATCH);
            tx.commit().await.unwrap();
        });
    }
}

/// A batch of callbacks folded into tasks of which nothing is known.
fn fold(times: usize) {
    let entries = Scene::new().entries(0);
    for _ in 0..times {
        let mut fold = Fold::new(HashMap::new(), NOW);
        for entry in &entries {
            assert_eq!(black_box(fold.take(entry)).len(), 1);
        }
    }
}

/// The same batches looked up, folded and written, with all that comes of them, up to the sync.
fn write_batches(times: usize) {
    let scene = Scene::new();
    let batches: Vec<Vec<Entry>> = (0..MANY_BATCHES).map(|batch| scene.entries(batch)).collect();
    batches[..times].iter().for_each(|entries| scene.write(entries));
}

fn settled(delivery_id: String, policy: &RetryPolicy) -> Settled {
    let attempt = NewAttempt {
        number: 1,
        started_at: NOW,
        duration_ms: 12,
        outcome: Outcome::Delivered.as_str(),
        status_code: Some(204),
        reason: None,
        response: Vec::new(),
    };
    let settlement = settle(0, &Outcome::Delivered, policy, NOW, 0.5);
    Settled { delivery_id, lease: 1, settlement, parts_done: Vec::new(), attempt: Some(attempt) }
}

/// Batches of deliveries that went well: what is decided, and its write with the attempts.
fn settle_batches(times: usize) {
    let scene = Scene::new();
    (0..MANY_BATCHES).for_each(|batch| scene.write(&scene.entries(batch)));
    let policy = RetryPolicy { waits: vec![Duration::from_secs(5)], disable_after: Duration::from_secs(60) };
    let lease = Lease { owner: "test".into(), until: NOW.after(Duration::from_secs(60)) };
    scene.runtime.block_on(async {
        let mut tx = scene.store.write().await.unwrap();
        let claimed = tx.claim("sink", MANY_BATCHES * BATCH, NOW, &lease).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(claimed.len(), MANY_BATCHES * BATCH);
        for ids in claimed.chunks(BATCH).take(times) {
            let batch: Vec<Settled> = ids.iter().map(|id| settled(id.clone(), &policy)).collect();
            let mut tx = scene.store.write().await.unwrap();
            assert!(tx.settle(&batch, NOW).await.unwrap().is_empty(), "every lease is held");
            tx.commit().await.unwrap();
        }
    });
}
