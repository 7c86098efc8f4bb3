//! One end: whatever arrives, in whatever order, at whatever concurrency, at however many instances.

use std::collections::HashMap;
use std::sync::Arc;

use callboard::domain::clock::{ManualClock, Timestamp};
use callboard::domain::follow::Followed;
use callboard::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Status, Trust, Via};
use callboard::flow::entry::{Entry, Reading};
use callboard::flow::fold::Fold;
use callboard::flow::roster::Roster;
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::app::{Database, Db, START, TestApp, both};

/// One callback: what it claims, whether it is signed, and whether it waits for those before it.
#[derive(Clone, Copy, Debug)]
struct Said {
    status: Status,
    signed: bool,
    waits: bool,
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    let one = (prop::sample::select(Status::ALL.to_vec()), any::<bool>(), prop::bool::weighted(0.3));
    prop::collection::vec(one.prop_map(|(status, signed, waits)| Said { status, signed, waits }), 1..14)
}

/// Cuts a sequence where one waits for those before it.
fn batches(all: &[Said]) -> Vec<Vec<Said>> {
    let mut batches: Vec<Vec<Said>> = Vec::new();
    for one in all {
        match batches.last_mut() {
            Some(last) if !one.waits => last.push(*one),
            _ => batches.push(vec![*one]),
        }
    }
    batches
}

fn entry(said: Said, roster: &Arc<Roster>) -> Entry {
    let from = Provenance {
        via: Via::Callback,
        trust: if said.signed { Trust::SignedBody } else { Trust::Unsigned },
        metadata: Metadata::new(),
        metadata_origin: MetadataOrigin::Absent,
    };
    let reading = Reading::Said(vec![Observation::new("t", said.status)]);
    Entry::new("evolink".into(), reading, from, START, None, Arc::clone(roster))
}

/// What must be told of a sequence that is taken one after the other, by the rule and not by the code.
fn expected(all: &[Said]) -> Vec<&'static str> {
    let mut told = Vec::new();
    let first_end = all.iter().position(|said| said.status.is_terminal());
    let before = &all[..first_end.unwrap_or(all.len())];
    if before.iter().any(|said| said.status == Status::Processing) {
        told.push("task.processing");
    }
    if let Some(at) = first_end {
        let end = all[at].status;
        told.push(end.event().unwrap().as_str());
        let contrary = |said: &&Said| said.signed && said.status.is_terminal() && said.status != end;
        if all[at..].iter().any(|said| contrary(&said)) {
            told.push("task.conflict");
        }
    }
    told
}

/// The fold alone, over many sequences in many batches: what it tells is what the rule says.
#[tokio::test]
async fn the_fold_tells_one_end_the_first() {
    let app = TestApp::new(Db::Sqlite, "").await;
    let roster = app.services.roster.now();
    let mut runner = TestRunner::new(Config { cases: 2000, ..Config::default() });
    runner
        .run(&said(), |all| {
            let mut known: HashMap<(String, String), Followed> = HashMap::new();
            let mut told = Vec::new();
            for batch in batches(&all) {
                let mut fold = Fold::new(known, Timestamp(START.0 + 1));
                for said in batch {
                    fold.take(&entry(said, &roster));
                }
                told.extend(fold.events.iter().map(|(event, _)| event.kind.as_str()));
                known = fold.into_known();
            }
            prop_assert_eq!(told, expected(&all));
            Ok(())
        })
        .unwrap();
}

async fn post(app: &TestApp, task: &str, said: Said) -> (u16, String, Option<String>) {
    let word = match said.status {
        Status::Pending => "starting",
        Status::Processing => "processing",
        Status::Completed => "succeeded",
        Status::Failed => "failed",
        Status::Cancelled => "canceled",
    };
    let source = if said.signed { "replicate" } else { "unsigned" };
    let posted = match said.signed {
        true => app.signed(task, word).await,
        false => app.post(source, "", format!("{{\"id\":\"{task}\",\"status\":\"{word}\"}}"), &[]).await,
    };
    let event = posted.body["event_id"].as_str().map(str::to_owned);
    (posted.status, posted.body["outcome"].as_str().unwrap_or_default().to_owned(), event)
}

/// Posts each batch at once, over all the instances, and holds the outcome against the promise.
async fn one_end(apps: &[&TestApp], task: &str, all: &[Said]) {
    let mut answers = Vec::new();
    for batch in batches(all) {
        let posts = batch.iter().enumerate().map(|(n, said)| post(apps[n % apps.len()], task, *said));
        answers.extend(join_all(posts).await);
    }
    let context = format!("{task}: {all:?} -> {answers:?}");
    assert!(answers.iter().all(|(status, ..)| *status == 200), "{context}");
    let list = apps[0].get(&format!("/api/v1/events?limit=250&task_id={task}")).await.expect(200);
    let of = |kinds: &[&str]| -> Vec<String> {
        let found = list.items().iter().filter(|event| kinds.contains(&event["type"].as_str().unwrap()));
        found.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    };
    let ends = of(&["task.completed", "task.failed", "task.cancelled"]);
    assert!(ends.len() <= 1 && of(&["task.conflict"]).len() <= 1 && of(&["task.processing"]).len() <= 1, "{context}");
    assert_eq!(ends.len(), usize::from(all.iter().any(|said| said.status.is_terminal())), "{context}");
    // Exactly the first that was committed: it alone was accepted as an end, and its event is the one.
    let accepted: Vec<_> = all
        .iter()
        .zip(&answers)
        .filter(|(said, (_, outcome, _))| said.status.is_terminal() && outcome == "accepted")
        .map(|(_, (.., event))| event.clone().unwrap())
        .collect();
    assert_eq!(accepted, ends, "{context}");
    // All that repeat it are answered with it.
    for (said, (_, outcome, event)) in all.iter().zip(&answers) {
        if said.status.is_terminal() && outcome == "duplicate" {
            assert_eq!(event.as_ref(), ends.first(), "{context}");
        }
    }
}

/// Sequences that every run sees, and as many random ones.
fn sequences() -> Vec<Vec<Said>> {
    let mut runner = TestRunner::new(Config { cases: 12, ..Config::default() });
    let mut all: Vec<Vec<Said>> = (0..12).map(|_| said().new_tree(&mut runner).unwrap().current()).collect();
    let ends = [Status::Completed, Status::Failed, Status::Cancelled];
    // All ends at once, many times.
    all.push((0..30).map(|n| Said { status: ends[n % 3], signed: true, waits: false }).collect());
    all
}

both! {
    async fn a_task_has_one_end_over_http(db: Db) {
        let app = TestApp::new(db, SOURCES).await;
        for (n, all) in sequences().iter().enumerate() {
            // Signed or not is a matter of the source: a task of one source, or of the other.
            for signed in [true, false] {
                let all: Vec<Said> = all.iter().map(|said| Said { signed, ..*said }).collect();
                one_end(&[&app], &format!("{signed}-{n}"), &all).await;
            }
        }
    }
}

/// The same provider at two sources, of which one signs.
const SOURCES: &str = r#"
[sources.replicate]
provider = "replicate"
callback_token = "token-of-the-tests-1"
signing_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
[sources.unsigned]
provider = "replicate"
callback_token = "token-of-the-tests-1"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_has_one_end_at_two_instances() {
    let (database, clock) = (Arc::new(Database::fresh(Db::Postgres)), Arc::new(ManualClock::new(START)));
    let first = TestApp::on(Arc::clone(&database), Arc::clone(&clock), SOURCES).await;
    let second = TestApp::on(database, clock, SOURCES).await;
    for (n, all) in sequences().iter().enumerate() {
        let all: Vec<Said> = all.iter().map(|said| Said { signed: true, ..*said }).collect();
        one_end(&[&first, &second], &format!("t{n}"), &all).await;
    }
}
