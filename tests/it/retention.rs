//! Retention: what is old goes, in small steps, and whatever goes, no promise breaks.

use std::collections::BTreeSet;
use std::time::Duration;

use callboard::config::Retention;
use callboard::domain::access::Scope;
use callboard::domain::callback::CallbackOutcome;
use callboard::domain::clock::{ManualClock, Timestamp};
use callboard::domain::delivery::FORWARD;
use callboard::domain::event::EventType;
use callboard::domain::id::{DeliveryId, EventId, IntentId, PollId};
use callboard::domain::task::{Metadata, Status};
use callboard::flow::janitor::Janitor;
use callboard::shutdown::Lifecycle;
use callboard::store::{CallbackFilter, NewDelivery, NewIntent, NewPoll, Store};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::Connection;

use super::sink::{Reply, Sink};
use super::stats::roll_all;
use super::store::{callback, content, ended};
use super::store_watches::{id, save, watch};
use crate::app::{Database, Db, START, TestApp, both, webhook};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const DEFAULT: Retention = Retention { callbacks: Some(days(30)), events: Some(days(365)) };
/// So many rows a step may remove at most.
const ROWS_MAX: i64 = 1000;
const TABLES: [&str; 7] = ["callbacks", "polls", "events", "deliveries", "attempts", "intents", "idempotency"];

pub(crate) const fn days(many: u64) -> Duration {
    Duration::from_secs(many * 24 * 60 * 60)
}

fn janitor(app: &TestApp, retention: Retention) -> Janitor {
    let clock = std::sync::Arc::clone(&app.services.clock);
    Janitor::new(app.services.store.clone(), retention, clock, app.life.clone())
}

/// One whole round; gives how many steps it had.
pub(crate) async fn round(app: &TestApp, retention: Retention) -> usize {
    let mut janitor = janitor(app, retention);
    let mut steps = 0;
    while janitor.tick().await.unwrap() {
        steps += 1;
    }
    steps
}

pub(crate) async fn count(app: &TestApp, table: &str) -> i64 {
    app.database.number(&format!("SELECT count(*) FROM {table}")).await
}

pub(crate) async fn task(app: &TestApp, source: &str, task_id: &str) -> Value {
    app.get(&format!("/api/v1/tasks/{source}/{task_id}")).await.expect(200).body
}

/// Writes tasks that ended at `at`, each with its event, one callback of this body, and deliveries with attempts.
pub(crate) async fn write(store: &Store, tasks: &[String], at: Timestamp, body: &'static [u8], deliveries: usize) {
    for tasks in tasks.chunks(250) {
        let all: Vec<_> = tasks.iter().map(|task_id| ended(task_id, Status::Completed, at)).collect();
        let mut tx = store.write().await.unwrap();
        tx.insert_tasks(all.iter().map(|(task, _)| task.clone()));
        tx.insert_events(all.iter().map(|(_, event)| event.clone()));
        let callbacks = tasks.iter().map(|task_id| {
            let mut kept = callback(task_id, CallbackOutcome::Accepted, at);
            kept.content = content(task_id.as_bytes(), body);
            kept
        });
        tx.keep_callbacks(callbacks.collect()).await.unwrap();
        let told =
            all.iter().flat_map(|(_, event)| (0..deliveries).map(|n| delivery(&event.id, &format!("to-{n}"), at)));
        tx.insert_deliveries(told, at);
        tx.commit().await.unwrap();
    }
}

pub(crate) fn delivery(event_id: &EventId, destination: &str, at: Timestamp) -> NewDelivery {
    let (event_id, event_type) = (event_id.clone(), EventType::TaskCompleted.as_str());
    let (destination, replay_id, url) = (destination.to_owned(), None, None);
    NewDelivery { id: DeliveryId::new(at), event_id, event_type, destination, replay_id, url }
}

/// Every delivery is done, with one attempt.
pub(crate) async fn deliver_all(database: &Database) {
    let empty = if database.db == Db::Sqlite { "x''" } else { "''" };
    let done = "UPDATE deliveries SET status = 'delivered', due_at = NULL, attempts = 1, finished_at = 1 WHERE status = 'pending'";
    database.execute(done).await;
    let tried = format!(
        "INSERT INTO attempts (id, delivery_id, number, started_at, duration_ms, outcome, response)
         SELECT id, id, 1, 1, 1, 'delivered', {empty} FROM deliveries"
    );
    database.execute(&tried).await;
}

both! {
    async fn a_late_repeat_of_a_pruned_task_is_a_duplicate(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        let begun = app.post("evolink", "campaign=spring", crate::app::evolink("t", "processing"), &[]).await;
        let told = app.post("evolink", "campaign=spring", crate::app::evolink("t", "completed"), &[]).await;
        let signed = app.signed("r", "succeeded").await;
        assert_eq!(app.tick_all().await, 2);
        roll_all(&app).await;
        let found = async || app.get("/api/v1/tasks?metadata.campaign=spring").await.expect(200).items().len();
        assert_eq!((found().await, count(&app, "attempts").await), (1, 2));
        let stats = app.get("/api/v1/stats").await.expect(200).items().to_vec();

        app.advance(days(366));
        round(&app, DEFAULT).await;
        for table in ["events", "deliveries", "attempts", "callbacks", "task_metadata"] {
            assert_eq!(count(&app, table).await, 0, "{table}");
        }
        let tombstone = task(&app, "evolink", "t").await;
        assert_eq!((&tombstone["status"], &tombstone["pruned_at"]), (&json!("completed"), &json!("2027-04-02T00:00:00Z")));
        assert_eq!((&tombstone["outputs"], &tombstone["metadata"], &tombstone["error"]), (&json!([]), &json!({}), &json!(null)));
        assert_eq!(tombstone["timeline"], json!([]));
        app.get(&format!("/api/v1/events/{}", told.text("event_id"))).await.expect(404);
        assert_eq!((app.get("/api/v1/tasks").await.items().len(), found().await), (0, 0), "a tombstone is in no list");

        for (posted, status) in [(&begun, "processing"), (&told, "completed")] {
            let late = app.post("evolink", "campaign=spring", crate::app::evolink("t", status), &[]).await.expect(200);
            let outcome = if status == "completed" { "duplicate" } else { "stale" };
            assert_eq!(late.text("outcome"), outcome);
            if status == "completed" {
                assert_eq!(late.body["event_id"], posted.body["event_id"]);
            }
        }
        let late = app.signed("r", "succeeded").await.expect(200);
        assert_eq!((late.text("outcome"), &late.body["event_id"]), ("duplicate", &signed.body["event_id"]));
        let again = app.post_api("/api/v1/tasks", json!({"source": "evolink", "task_id": "t", "metadata": {"a": "b"}})).await;
        assert_eq!((again.status, &again.body["status"]), (201, &json!("completed")));
        assert_eq!((count(&app, "events").await, app.tick_all().await, count(&app, "watches").await), (0, 0, 0));
        let still = task(&app, "evolink", "t").await;
        assert_eq!((&still["pruned_at"], &still["metadata"]), (&tombstone["pruned_at"], &json!({})));
        assert_eq!(stats.len(), 2);
        assert_eq!(app.get("/api/v1/stats?since=2026-03-01T00:00:00Z").await.items(), stats, "statistics stay");
    }

    async fn a_contrary_end_of_a_pruned_task_is_a_conflict_told_once(db: Db) {
        let app = TestApp::new(db, "").await;
        app.signed("r", "succeeded").await.expect(200);
        roll_all(&app).await;
        app.advance(days(366));
        round(&app, DEFAULT).await;
        let contrary = app.signed("r", "failed").await.expect(200);
        assert_eq!(contrary.text("outcome"), "conflict");
        app.signed("r", "failed").await.expect(200);
        let events = app.get("/api/v1/events").await.expect(200);
        let kinds: Vec<_> = events.items().iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["task.conflict"]);
        // It goes in its turn, and the tombstone stays what it is.
        roll_all(&app).await;
        app.advance(days(366));
        round(&app, DEFAULT).await;
        assert_eq!(count(&app, "events").await, 0);
        assert_eq!(app.signed("r", "failed").await.expect(200).text("outcome"), "conflict");
        assert_eq!((count(&app, "events").await, count(&app, "tasks").await), (0, 1));
    }

    async fn what_is_not_over_or_not_told_stays(db: Db) {
        let sink = Sink::start().await;
        sink.answer(|_| Reply::status(500));
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        app.evolink("unfinished", "processing").await.expect(200);
        app.evolink("pending", "completed").await.expect(200);
        app.tick_all().await;
        roll_all(&app).await;
        let everything = async |app: &TestApp| {
            let mut counts = Vec::new();
            for table in TABLES {
                counts.push(count(app, table).await);
            }
            counts
        };
        let before = everything(&app).await;
        app.advance(days(3000));
        // Callbacks go by their own rule: the task of the one is not over, the other's event is kept by its delivery.
        round(&app, Retention { callbacks: None, ..DEFAULT }).await;
        assert_eq!(everything(&app).await, before);
        app.database.execute("UPDATE deliveries SET status = 'held', due_at = NULL").await;
        app.advance(DAY);
        round(&app, DEFAULT).await;
        assert_eq!((count(&app, "events").await, count(&app, "attempts").await), (2, 1));
        let kept = app.get("/api/v1/callbacks").await.expect(200);
        assert_eq!((kept.items().len(), kept.items()[0]["task_id"].as_str()), (1, Some("unfinished")));
        app.database.execute("UPDATE deliveries SET status = 'dead', finished_at = 1").await;
        app.advance(DAY);
        round(&app, DEFAULT).await;
        assert_eq!((count(&app, "events").await, count(&app, "attempts").await, count(&app, "deliveries").await), (1, 0, 0));
        assert_eq!(task(&app, "evolink", "unfinished").await["pruned_at"], json!(null));
    }

    async fn a_watched_end_and_all_tasks_of_one_callback_keep_it(db: Db) {
        let app = TestApp::new(db, "").await;
        let store = &app.services.store;
        write(store, &["watched".to_owned(), "over".to_owned()], START, b"x", 0).await;
        let mut tx = store.write().await.unwrap();
        save(&mut tx, &[(id("evolink", "watched"), watch(true, None))]);
        let mut both = callback("over", CallbackOutcome::Accepted, START);
        (both.content, both.tasks) = (content(b"both", b""), Some(r#"[{"task_id":"over"},{"task_id":"watched"}]"#.to_owned()));
        tx.keep_callbacks(vec![both]).await.unwrap();
        tx.commit().await.unwrap();
        roll_all(&app).await;
        app.advance(days(400));
        round(&app, DEFAULT).await;
        assert_eq!((count(&app, "callbacks").await, count(&app, "events").await), (2, 1));
        app.database.execute("DELETE FROM watches").await;
        app.advance(DAY);
        round(&app, DEFAULT).await;
        assert_eq!((count(&app, "callbacks").await, count(&app, "events").await), (0, 0));
    }

    async fn callbacks_and_polls_go_by_their_age_and_events_stay(db: Db) {
        let app = TestApp::new(db, "").await;
        app.evolink("t", "completed").await.expect(200);
        app.post("evolink", "", r#"{"id":"q","status":"unheard-of"}"#, &[]).await.expect(200);
        app.post("evolink", "", "no JSON", &[]).await.expect(422);
        app.post("replicate", "", "{}", &[]).await.expect(401);
        let poll = |task_id: &str| NewPoll {
            id: PollId::new(START),
            source: "evolink".into(),
            task_id: task_id.into(),
            outcome: "completed".into(),
            detail: None,
            at: START,
            body: None,
        };
        let mut tx = app.services.store.write().await.unwrap();
        tx.insert_polls(&[poll("t")]);
        tx.commit().await.unwrap();
        assert_eq!(count(&app, "callbacks").await, 4);
        app.advance(days(29));
        // The same again: it is as young as that.
        app.evolink("t", "completed").await.expect(200);
        app.advance(days(2));
        app.post("replicate", "", "{}", &[]).await.expect(401);
        round(&app, DEFAULT).await;
        let kept = app.get("/api/v1/callbacks").await.expect(200);
        let outcomes: BTreeSet<_> = kept.items().iter().map(|row| row["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, BTreeSet::from(["duplicate", "rejected"]), "{:?}", kept.body);
        assert_eq!((count(&app, "polls").await, count(&app, "events").await), (0, 1));
        assert_eq!(task(&app, "evolink", "t").await["pruned_at"], json!(null));
    }

    async fn the_services_own_events_go_by_their_age(db: Db) {
        let app = TestApp::new(db, "").await;
        let id = EventId::new(START);
        app.database
            .execute(&format!(
                "INSERT INTO events (id, type, step, team, at, body) VALUES ('{id}', 'delivery.dead', 'service', 'ops', 1, '{{}}')"
            ))
            .await;
        let mut tx = app.services.store.write().await.unwrap();
        tx.insert_deliveries([delivery(&id, "backend", START)], START);
        tx.commit().await.unwrap();
        roll_all(&app).await;
        app.advance(days(366));
        round(&app, DEFAULT).await;
        assert_eq!(count(&app, "events").await, 1, "somebody is still to hear of it");
        deliver_all(&app.database).await;
        app.advance(DAY);
        round(&app, DEFAULT).await;
        assert_eq!((count(&app, "events").await, count(&app, "deliveries").await, count(&app, "attempts").await), (0, 0, 0));
    }

    async fn what_is_still_to_be_handed_on_stays(db: Db) {
        let app = TestApp::new(db, "").await;
        write(&app.services.store, &["a".to_owned(), "b".to_owned()], START, b"x", 0).await;
        let ids = app.database.texts("SELECT id FROM callbacks ORDER BY task_id").await;
        let forward = |id: &str| NewDelivery { event_type: FORWARD, url: Some("https://example.com".into()), ..delivery(&EventId::stored(id.to_owned()), "@forward:example.com", START) };
        let mut tx = app.services.store.write().await.unwrap();
        tx.insert_deliveries([forward(&ids[0][0]), forward(&ids[1][0])], START);
        tx.commit().await.unwrap();
        let done = format!("UPDATE deliveries SET status = 'delivered', due_at = NULL, finished_at = 1 WHERE event_id = '{}'", ids[0][0]);
        app.database.execute(&done).await;
        app.advance(days(31));
        round(&app, DEFAULT).await;
        assert_eq!(app.database.texts("SELECT id FROM callbacks").await, [[ids[1][0].clone()]]);
        assert_eq!(app.database.texts("SELECT event_id FROM deliveries").await, [[ids[1][0].clone()]]);
    }

    async fn a_step_removes_a_bounded_number_of_rows(db: Db) {
        let app = TestApp::new(db, "").await;
        let tasks: Vec<String> = (0..700).map(|n| format!("t{n}")).collect();
        write(&app.services.store, &tasks, START, b"x", 3).await;
        // One event has more deliveries than a step removes.
        let first = EventId::stored(app.database.texts("SELECT min(id) FROM events").await[0][0].clone());
        let many: Vec<_> = (0..1500).map(|n| delivery(&first, &format!("replay-{n}"), START)).collect();
        let mut tx = app.services.store.write().await.unwrap();
        tx.insert_deliveries(many, START);
        tx.commit().await.unwrap();
        deliver_all(&app.database).await;
        roll_all(&app).await;
        app.advance(days(366));
        let rows = async || {
            let mut all = 0;
            for table in TABLES {
                all += count(&app, table).await;
            }
            all
        };
        let (mut janitor, mut before, mut steps) = (janitor(&app, DEFAULT), rows().await, 0);
        assert_eq!(before, 700 * 2 + (700 * 3 + 1500) * 2);
        while janitor.tick().await.unwrap() {
            let now = rows().await;
            assert!(before - now <= ROWS_MAX, "{} rows in a step", before - now);
            (before, steps) = (now, steps + 1);
        }
        assert_eq!((rows().await, steps > 9), (0, true));
        assert_eq!(app.database.number("SELECT count(*) FROM tasks WHERE pruned_at IS NOT NULL").await, 700);
    }

    async fn of_two_janitors_one_makes_a_round(db: Db) {
        let app = TestApp::new(db, "").await;
        write(&app.services.store, &(0..600).map(|n| format!("t{n}")).collect::<Vec<_>>(), START, b"x", 1).await;
        deliver_all(&app.database).await;
        roll_all(&app).await;
        app.advance(days(366));
        let steps = join_all([round(&app, DEFAULT), round(&app, DEFAULT)]).await;
        assert!(steps.contains(&0) && steps.iter().sum::<usize>() > 3, "{steps:?}");
        assert_eq!((count(&app, "events").await, count(&app, "callbacks").await), (0, 0));
        assert_eq!(round(&app, DEFAULT).await, 0, "the next one is due in an hour");
        app.advance(Duration::from_secs(3600));
        assert!(round(&app, DEFAULT).await > 0);
    }

    async fn two_at_the_same_rows_do_no_harm(db: Db) {
        let app = TestApp::new(db, "").await;
        write(&app.services.store, &(0..600).map(|n| format!("t{n}")).collect::<Vec<_>>(), START, b"x", 1).await;
        deliver_all(&app.database).await;
        roll_all(&app).await;
        app.advance(days(366));
        let mut both = Vec::new();
        for _ in 0..2 {
            // As if the other had begun an hour before, and were slow.
            app.database.execute("UPDATE chores SET begun_at = 0 WHERE name = 'retention'").await;
            let mut janitor = janitor(&app, DEFAULT);
            assert!(janitor.tick().await.unwrap());
            both.push(janitor);
        }
        let [mut one, mut other]: [_; 2] = both.try_into().ok().unwrap();
        let clean = async |janitor: &mut Janitor| while janitor.tick().await.unwrap() {};
        tokio::join!(clean(&mut one), clean(&mut other));
        for table in ["events", "callbacks", "deliveries", "attempts"] {
            assert_eq!(count(&app, table).await, 0, "{table}");
        }
    }

    async fn a_delivery_of_what_was_removed_is_removed_too(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        // A replay that is made while its event goes, as another instance may make one.
        let gone = delivery(&EventId::new(START), "backend", START);
        let mut tx = app.services.store.write().await.unwrap();
        tx.insert_deliveries([gone], START);
        tx.commit().await.unwrap();
        app.evolink("t", "completed").await.expect(200);
        assert_eq!(app.tick_all().await, 1);
        assert_eq!((sink.count(), count(&app, "deliveries").await), (1, 1));
    }

    async fn what_is_not_counted_yet_stays(db: Db) {
        let app = TestApp::new(db, "").await;
        app.evolink("t", "completed").await.expect(200);
        app.advance(days(366));
        round(&app, DEFAULT).await;
        assert_eq!(count(&app, "events").await, 1);
        roll_all(&app).await;
        app.advance(DAY);
        round(&app, DEFAULT).await;
        assert_eq!(count(&app, "events").await, 0);
        let counted = app.get("/api/v1/stats?since=2026-03-01T00:00:00Z").await.expect(200);
        assert_eq!(counted.items()[0]["tasks"]["completed"], json!(1));
    }

    async fn for_ever_is_for_ever(db: Db) {
        let app = TestApp::new(db, "[retention]\ncallbacks = \"forever\"\nevents = \"forever\"\n").await;
        let configured = app.services.config.retention;
        assert_eq!(configured, Retention { callbacks: None, events: None });
        app.evolink("t", "completed").await.expect(200);
        roll_all(&app).await;
        app.advance(days(3000));
        assert!(round(&app, configured).await > 0);
        assert_eq!((count(&app, "events").await, count(&app, "callbacks").await), (1, 1));
    }

    async fn requests_and_answers_go_when_nobody_asks_for_them_any_more(db: Db) {
        let app = TestApp::new(db, "").await;
        write(&app.services.store, &["over".to_owned()], START, b"x", 0).await;
        app.evolink("unfinished", "processing").await.expect(200);
        let mut tx = app.services.store.write().await.unwrap();
        for task_id in [Some("over"), Some("unfinished"), None] {
            let new = NewIntent {
                id: IntentId::new(START),
                source: "evolink".into(),
                idempotency_key: None,
                metadata: Metadata::new(),
                sealed_key: None,
                client_url: None,
                created_at: START,
            };
            let mut intent = tx.open_intent(&new).await.unwrap();
            tx.flush().await.unwrap();
            intent.task_id = task_id.map(str::to_owned);
            tx.save_intents(&[&intent]);
        }
        tx.commit().await.unwrap();
        app.database.execute("INSERT INTO idempotency (key, request, status, body, created_at) VALUES ('k', 'r', 200, '', 1)").await;
        roll_all(&app).await;
        app.advance(days(366));
        round(&app, DEFAULT).await;
        assert_eq!(app.database.texts("SELECT task_id FROM intents").await, [["unfinished"]]);
        assert_eq!(count(&app, "idempotency").await, 0);
    }
}

/// A SQLite file, filled with old callbacks of ended tasks and cleared by one round; gives its length before and after.
async fn cleared(database: &Database) -> (u64, u64) {
    let store = database.store().await;
    let tasks: Vec<String> = (0..1500).map(|n| format!("t{n}")).collect();
    write(&store, &tasks, START, &[7; 4096], 0).await;
    store.close().await;
    let before = std::fs::metadata(database.file()).unwrap().len();
    let store = database.store().await;
    let clock = std::sync::Arc::new(ManualClock::new(START.after(days(31))));
    let mut janitor = Janitor::new(store.clone(), DEFAULT, clock, Lifecycle::default());
    while janitor.tick().await.unwrap() {}
    let mut tx = store.read().await.unwrap();
    assert_eq!(
        tx.callbacks(&Scope::All, &CallbackFilter { limit: 1, ..Default::default() }).await.unwrap().items.len(),
        0
    );
    drop(tx);
    store.close().await;
    (before, std::fs::metadata(database.file()).unwrap().len())
}

#[tokio::test]
async fn a_file_gives_its_space_back() {
    let database = Database::fresh(Db::Sqlite);
    let (before, after) = cleared(&database).await;
    assert!(before > 6_000_000 && after < before / 3, "{before} bytes, then {after}");
}

#[tokio::test]
async fn a_file_that_was_made_otherwise_keeps_its_space_and_works() {
    let database = Database::fresh(Db::Sqlite);
    let made = sqlx::sqlite::SqliteConnectOptions::new().filename(database.file()).create_if_missing(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&made).await.unwrap();
    sqlx::query("CREATE TABLE older (x)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (before, after) = cleared(&database).await;
    assert!(before > 6_000_000 && after >= before, "{before} bytes, then {after}");
}
