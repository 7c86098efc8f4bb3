//! Statistics: counted once, from every event, and answered without looking at one.

use std::time::Duration;

use callboard::demo::{Calls, End};
use callboard::domain::callback::CallbackOutcome;
use callboard::domain::clock::Timestamp;
use callboard::domain::event::Event;
use callboard::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Status, Task, Trust, Usage, Via};
use callboard::flow::roller::Roller;
use callboard::store::Store;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::scene::{Scene, plan};
use super::store::{callback, content};
use crate::app::{Db, START, TestApp, both};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn roller(app: &TestApp) -> Roller {
    Roller::new(app.services.store.clone(), app.life.clone())
}

/// Counts all that there is; gives how many. On PostgreSQL the end of the tail shows itself once every transaction of the
/// server that began earlier has ended, those of other tests too.
pub(crate) async fn roll_all(app: &TestApp) -> usize {
    let behind =
        "SELECT count(*) FROM events e, chores c WHERE c.name = 'rollup' AND (e.xact, e.seq) > (c.xact, c.seq)";
    let mut all = 0;
    while app.database.number(behind).await > 0 {
        all += roller(app).tick().await.unwrap();
    }
    all
}

async fn stats(app: &TestApp, query: &str) -> Vec<Value> {
    app.get(&format!("/api/v1/stats?{query}")).await.expect(200).items().to_vec()
}

/// An end that is told at `at`, of a task that began so many seconds before and ended so many before.
fn told(task_id: &str, model: &str, via: Via, at: Timestamp, began: i64, ended: i64) -> (Task, Event) {
    let seen = Observation {
        model: Some(model.to_owned()),
        usage: Some(Usage { credits: Some(0.1) }),
        created_at: Some(Timestamp(at.0 - began * 1000)),
        completed_at: Some(Timestamp(at.0 - ended * 1000)),
        ..Observation::new(task_id, Status::Completed)
    };
    let (metadata, metadata_origin) = (Metadata::new(), MetadataOrigin::Absent);
    let from = Provenance { via, trust: Trust::SignedBody, metadata, metadata_origin };
    let (mut task, _) = Task::first_seen("evolink", "evolink", &seen, &from, at);
    let event = Event::of_task(Status::Completed.event().unwrap(), &task, None, at);
    task.note_event(event.kind, event.id.clone());
    (task, event)
}

async fn write(store: &Store, events: &[(Task, Event)]) {
    let mut tx = store.write().await.unwrap();
    tx.insert_tasks(events.iter().map(|(task, _)| task.clone()));
    tx.insert_events(events.iter().map(|(_, event)| event.clone()));
    tx.commit().await.unwrap();
}

/// Whether a number is the other one as near as a bucket is wide.
#[track_caller]
fn assert_near(found: &Value, wanted: u64) {
    let found = found.as_u64().unwrap_or_else(|| panic!("{found} instead of {wanted}"));
    assert!(found.abs_diff(wanted) * 20 <= wanted, "{found} instead of {wanted}");
}

both! {
    async fn every_end_is_counted_once_by_source_model_and_day(db: Db) {
        let app = TestApp::new(db, "").await;
        for (task, status) in [("a", "processing"), ("a", "completed"), ("a", "completed"), ("b", "failed"), ("c", "completed")] {
            app.evolink(task, status).await.expect(200);
        }
        app.signed("r1", "succeeded").await.expect(200);
        app.signed("r2", "canceled").await.expect(200);
        // Another end of the same task, signed: the provider contradicts itself.
        app.signed("r1", "failed").await.expect(200);
        assert_eq!(stats(&app, "").await, Vec::<Value>::new());
        assert_eq!(roll_all(&app).await, 7);
        app.advance(DAY);
        app.evolink("d", "completed").await.expect(200);
        // What is read again counts nothing.
        assert_eq!(roll_all(&app).await, 1);
        assert_eq!(roller(&app).tick().await.unwrap(), 0);

        let all = stats(&app, "").await;
        assert_eq!(all.len(), 2, "{all:?}");
        let (evolink, replicate) = (&all[0], &all[1]);
        assert_eq!((&evolink["source"], &evolink["model"]), (&json!("evolink"), &json!("kling-o3-text-to-video")));
        assert_eq!(evolink["tasks"], json!({"completed": 3, "failed": 1, "cancelled": 0}));
        assert_eq!((&evolink["success_rate"], &evolink["day"], &evolink["needed_poll"]), (&json!(0.75), &json!(null), &json!(0.0)));
        assert_eq!((&replicate["source"], &replicate["model"]), (&json!("replicate"), &json!(null)));
        assert_eq!(replicate["tasks"], json!({"completed": 1, "failed": 0, "cancelled": 1}));
        assert_eq!((&replicate["conflicts"], &replicate["disputed"], &replicate["success_rate"]), (&json!(1), &json!(0), &json!(1.0)));

        let by_day = stats(&app, "by=day&source=evolink").await;
        let days: Vec<_> = by_day.iter().map(|row| (row["day"].clone(), row["tasks"]["completed"].clone())).collect();
        assert_eq!(days, [(json!("2026-04-02"), json!(1)), (json!("2026-04-01"), json!(2))]);
    }

    async fn durations_credits_and_polls_are_those_of_the_events(db: Db) {
        let app = TestApp::new(db, "").await;
        let events: Vec<_> = (1..=100)
            .map(|n| {
                let via = if n <= 25 { Via::Poll } else { Via::Callback };
                told(&format!("t{n}"), "kling", via, Timestamp(START.0 + n), 10 * n + 4, 4)
            })
            .collect();
        write(&app.services.store, &events).await;
        // Of one that was asked for, the callback had come two seconds before; another one comes afterwards.
        let (_, confirmed) = &events[0];
        let mut tx = app.services.store.write().await.unwrap();
        for at in [confirmed.at.0 - 2000, confirmed.at.0 + 60_000] {
            let mut kept = callback("t1", CallbackOutcome::Accepted, Timestamp(at));
            (kept.event_id, kept.content) = (Some(confirmed.id.clone()), content(&at.to_be_bytes(), b""));
            tx.keep_callbacks(vec![kept]).await.unwrap();
        }
        tx.commit().await.unwrap();
        roll_all(&app).await;
        let rows = stats(&app, "model=kling").await;
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_near(&row["generation_ms"]["p50"], 500_000);
        assert_near(&row["generation_ms"]["p95"], 950_000);
        assert_near(&row["callback_delay_ms"]["p50"], 4000);
        assert_eq!((&row["credits"], &row["needed_poll"]), (&json!(10.0), &json!(0.25)));
        let delays = app.database.texts("SELECT callback_delay FROM rollups").await;
        let delays: std::collections::BTreeMap<String, u64> = serde_json::from_str(&delays[0][0]).unwrap();
        assert_eq!(delays.values().copied().collect::<Vec<_>>(), [1, 75], "{delays:?}");
    }

    async fn a_denied_claim_is_counted_as_disputed(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("evolink", plan(End::Completed, Calls::Normal, 1200), true).await;
        scene.register("evolink", &task).await.expect(201);
        let forged = json!({"id": task, "status": "failed", "model": "kling"});
        scene.call("evolink", "", forged.clone()).await.expect(200);
        scene.pass(6 * Duration::from_secs(60), Duration::from_secs(5)).await;
        let found = stats(&scene.app, "model=kling").await;
        assert_eq!((found.len(), &found[0]["disputed"], &found[0]["success_rate"]), (1, &json!(1), &json!(null)), "{found:?}");
        // The same again is denied at once, and is no other claim.
        assert_eq!(scene.call("evolink", "", forged).await.expect(200).text("outcome"), "disputed");
        scene.pass(15 * Duration::from_secs(60), Duration::from_secs(15)).await;
        assert_eq!(scene.told(&task).await.last().map(String::as_str), Some("task.completed"));
        roll_all(&scene.app).await;
        let rows = stats(&scene.app, "").await;
        let disputed: i64 = rows.iter().map(|row| row["disputed"].as_i64().unwrap()).sum();
        let needed: Vec<_> = rows.iter().filter(|row| row["tasks"]["completed"] == 1).map(|row| row["needed_poll"].clone()).collect();
        assert_eq!((disputed, needed), (1, vec![json!(1.0)]), "{rows:?}");
    }

    async fn events_of_before_are_counted_in_small_batches_by_whoever_goes_on(db: Db) {
        let app = TestApp::new(db, "").await;
        for part in 0..3 {
            let events: Vec<_> = (0..1000)
                .map(|n| told(&format!("t{part}-{n}"), "kling", Via::Callback, Timestamp(START.0 + n), 60, 1))
                .collect();
            write(&app.services.store, &events).await;
        }
        // Two that begin at the same moment, as two instances do.
        let mut all = 0;
        while all < 3000 {
            let both = [roller(&app), roller(&app)];
            let ticks = join_all(both.iter().map(async |roller| roller.tick().await.unwrap())).await;
            assert!(ticks.iter().all(|many| *many <= 1000), "{ticks:?}");
            all += ticks.iter().sum::<usize>();
        }
        let row = &stats(&app, "").await[0];
        assert_eq!((&row["tasks"]["completed"], &row["credits"]), (&json!(3000), &json!(300.0)));
    }

    async fn a_batch_that_is_not_committed_counts_nothing(db: Db) {
        let app = TestApp::new(db, "").await;
        app.evolink("a", "completed").await.expect(200);
        let store = &app.services.store;
        let from = store.read().await.unwrap().chore_cursor("rollup").await.unwrap().unwrap();
        let mut tx = store.write().await.unwrap();
        let mut events = Vec::new();
        while events.is_empty() {
            events = tx.events_after(Some(from), 10).await.unwrap();
        }
        assert!(tx.move_chore("rollup", from, events[0].cursor).await.unwrap());
        drop(tx);
        // It is rolled back behind our back: who waits for its row waits for that.
        app.database.execute("UPDATE chores SET begun_at = 1 WHERE name = 'rollup'").await;
        assert_eq!(roll_all(&app).await, 1);
        let mut tx = store.write().await.unwrap();
        assert!(!tx.move_chore("rollup", from, events[0].cursor).await.unwrap(), "it was moved already");
    }

    async fn they_are_answered_from_rollups_alone(db: Db) {
        let app = TestApp::new(db, "").await;
        app.evolink("a", "completed").await.expect(200);
        roll_all(&app).await;
        let before = stats(&app, "by=day").await;
        for table in ["events", "tasks", "callbacks"] {
            app.database.execute(&format!("DELETE FROM {table}")).await;
        }
        assert_eq!((before.len(), &stats(&app, "by=day").await), (1, &before));
    }

    async fn pages_filters_and_days_are_those_asked_for(db: Db) {
        let app = TestApp::new(db, "").await;
        let days = [0, 1, 40].map(|days| START.after(DAY * days));
        let events = days.iter().flat_map(|day| ["a", "b", "c"].map(|model| told(&format!("{model}-{day}"), model, Via::Callback, *day, 60, 1)));
        write(&app.services.store, &events.collect::<Vec<_>>()).await;
        roll_all(&app).await;
        app.advance(DAY * 40);
        let models = |rows: &[Value]| rows.iter().map(|row| row["model"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let all = stats(&app, "since=2026-04-01T00:00:00Z").await;
        assert_eq!((models(&all), &all[0]["tasks"]["completed"]), (vec!["a".into(), "b".into(), "c".into()], &json!(3)));
        let recent = stats(&app, "").await;
        assert_eq!((recent.len(), &recent[0]["tasks"]["completed"]), (3, &json!(1)), "of the last 30 days");
        assert_eq!(stats(&app, "since=2026-04-01T12:00:00Z&until=2026-04-02T00:00:00Z&by=day").await.len(), 3);
        assert_eq!(stats(&app, "since=2026-04-01T12:00:00Z&until=2026-04-02T00:00:01Z&by=day").await.len(), 6);
        assert_eq!(models(&stats(&app, "model=b").await), ["b"]);
        assert_eq!(stats(&app, "source=other").await, Vec::<Value>::new());

        for (query, many) in [("since=2026-04-01T00:00:00Z", 3), ("since=2026-04-01T00:00:00Z&by=day", 9)] {
            let (mut paged, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = app.get(&format!("/api/v1/stats?{query}&limit=2{cursor}")).await.expect(200);
                paged.extend_from_slice(page.items());
                match page.body["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!((paged.len(), &paged), (many, &stats(&app, query).await));
        }
        let answer = app.get("/api/v1/stats?since=2026-04-01T12:00:00Z&until=2026-04-03T12:00:00Z").await.expect(200);
        assert_eq!((answer.text("since"), answer.text("until")), ("2026-04-01T00:00:00Z", "2026-04-04T00:00:00Z"));
        let answer = app.get("/api/v1/stats?until=9999-12-30T22:00:00Z").await.expect(200);
        assert_eq!(answer.text("until"), "9999-12-30T00:00:00Z");
    }

    async fn what_cannot_be_asked_is_refused_and_named(db: Db) {
        let app = TestApp::new(db, "").await;
        for (query, wanted) in [
            ("by=week", "`week` is none of day"),
            ("since=yesterday", "`yesterday` is not a time"),
            ("since=2026-04-02T00:00:00Z&until=2026-04-01T00:00:00Z", "is not before"),
            ("since=2027-01-01T00:00:00Z", "is not before"),
            ("status=completed", "there is no such filter"),
            ("limit=0", "is not a number from 1 to 250"),
            ("cursor=abc", "it is not one that this list gave"),
        ] {
            let refused = app.get(&format!("/api/v1/stats?{query}")).await.expect(422);
            assert!(refused.body.to_string().contains(wanted), "{query}: {}", refused.body);
        }
    }
}
