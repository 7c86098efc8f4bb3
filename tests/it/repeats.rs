//! The very same callbacks again: answered from memory as the database would, and counted.

use std::sync::Arc;
use std::time::Duration;

use callboard::demo::{Calls, End};
use callboard::flow::notice::Notice;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{ADMIN_KEY, Answer, Db, SECRET, TOKEN, TestApp, both, evolink, sign};
use crate::scene::{Scene, plan};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// From now on no repeat can be counted in the database: whoever has to ask it is told to come again.
async fn refuse_counts(app: &TestApp) {
    for sql in match app.database.db {
        Db::Sqlite => {
            &["CREATE TRIGGER poison BEFORE UPDATE ON callbacks BEGIN SELECT RAISE(ABORT, 'refused'); END"][..]
        }
        Db::Postgres => &[
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
            "CREATE TRIGGER poison BEFORE UPDATE ON callbacks FOR EACH ROW EXECUTE FUNCTION refuse()",
        ],
    } {
        app.database.execute(sql).await;
    }
}

async fn take_counts(app: &TestApp) {
    app.database
        .execute(if app.database.db == Db::Sqlite { "DROP TRIGGER poison" } else { "DROP TRIGGER poison ON callbacks" })
        .await;
}

async fn kept(app: &TestApp, posted: &Answer) -> Value {
    app.get(&format!("/api/v1/callbacks/{}", posted.text("callback_id"))).await.expect(200).body
}

/// The second of two posts is a row of its own, on which further ones are counted.
async fn twice(post: impl AsyncFn() -> Answer) -> Answer {
    assert_eq!(post().await.expect(200).text("outcome"), "accepted");
    let second = post().await.expect(200);
    assert_eq!(second.text("outcome"), "duplicate");
    second
}

both! {
    async fn a_repeat_is_answered_without_the_database_and_counted_there_later(db: Db) {
        let app = TestApp::new(db, "").await;
        let second = twice(async || app.evolink("t", "completed").await).await;
        refuse_counts(&app).await;
        let mut notices = app.notices.watch();
        for _ in 0..3 {
            app.advance(SECOND);
            assert_eq!(app.evolink("t", "completed").await.expect(200).body, second.body);
            let Notice::Callback { at, event_id, .. } = notices.recv().await.unwrap() else { panic!("no callback") };
            assert_eq!((at, event_id.as_deref()), (app.now(), second.body["event_id"].as_str()));
        }
        assert_eq!(app.evolink("another", "completed").await.expect(200).text("outcome"), "accepted");
        assert_eq!(kept(&app, &second).await["repeats"], 0, "they wait");

        take_counts(&app).await;
        let row = kept(&app, &second).await;
        assert_eq!((&row["repeats"], row["repeated_at"].as_str()), (&json!(3), Some(app.now().to_string().as_str())));
        assert_eq!(app.database.number("SELECT repeats FROM callbacks WHERE outcome = 'duplicate'").await, 3);
        app.evolink("t", "completed").await.expect(200);
        let list = app.get("/api/v1/callbacks?outcome=duplicate").await.expect(200);
        assert_eq!(list.items()[0]["repeats"], 4);
        app.evolink("t", "completed").await.expect(200);
        let task = app.get("/api/v1/tasks/evolink/t").await.expect(200);
        let timeline = task.body["timeline"].as_array().unwrap();
        assert!(timeline.iter().any(|entry| entry["callback"]["repeats"] == 5), "{timeline:?}");
    }

    async fn a_stop_leaves_no_count_behind(db: Db) {
        let mut app = TestApp::new(db, "").await;
        twice(async || app.evolink("t", "completed").await).await;
        for _ in 0..40 {
            app.evolink("t", "completed").await.expect(200);
        }
        app.stop().await;
        assert_eq!(app.database.number("SELECT repeats FROM callbacks WHERE outcome = 'duplicate'").await, 40);
    }

    async fn a_forged_repeat_is_what_every_forgery_is(db: Db) {
        let app = TestApp::new(db, "").await;
        let second = twice(async || app.signed("p", "succeeded").await).await;
        refuse_counts(&app).await;
        app.advance(MINUTE);
        assert_eq!(app.signed("p", "succeeded").await.expect(200).body, second.body);
        take_counts(&app).await;

        let body = json!({"id": "p", "status": "succeeded"}).to_string();
        let bare = app.post("replicate", "", body.clone(), &[]).await.expect(401);
        assert_eq!(kept(&app, &bare).await["outcome"], "rejected");
        let old = sign(SECRET, &body, app.now());
        app.advance(MINUTE * 6);
        let old: Vec<_> = old.iter().map(|(name, value)| (*name, value.as_str())).collect();
        app.post("replicate", "", body, &old).await.expect(401);
        assert_eq!(kept(&app, &second).await["repeats"], 1);
    }

    async fn a_claim_is_told_the_event_once_there_is_one(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("evolink", plan(End::Completed, Calls::Normal, 120), false).await;
        scene.register("evolink", &task).await.expect(201);
        let body = json!({"id": task, "status": "completed", "results": ["https://example.com/a.mp4"]});
        let claim = async |scene: &Scene| scene.call("evolink", "", body.clone()).await.expect(200);
        assert_eq!(claim(&scene).await.text("outcome"), "accepted");
        for _ in 0..3 {
            let again = claim(&scene).await;
            assert_eq!((again.text("outcome"), &again.body["event_id"]), ("duplicate", &json!(null)));
        }
        scene.pass(MINUTE * 3, 5 * SECOND).await;
        let events = scene.events(&task).await;
        let end = events.iter().find(|event| event["type"] == "task.completed").unwrap();
        for _ in 0..3 {
            let again = claim(&scene).await;
            assert_eq!((again.text("outcome"), &again.body["event_id"]), ("duplicate", &end["id"]));
        }
        assert_eq!(kept(&scene.app, &claim(&scene).await).await["repeats"], 6);
    }

    async fn an_earlier_step_is_stale_once_the_end_has_come(db: Db) {
        let app = TestApp::new(db, "").await;
        let second = twice(async || app.evolink("t", "processing").await).await;
        assert_eq!(app.evolink("t", "processing").await.expect(200).body, second.body);
        twice(async || app.evolink("t", "completed").await).await;
        for _ in 0..3 {
            assert_eq!(app.evolink("t", "processing").await.expect(200).text("outcome"), "stale");
            assert_eq!(app.evolink("t", "failed").await.expect(200).text("outcome"), "conflict");
        }
    }

    async fn after_other_settings_it_is_read_anew(db: Db) {
        let app = TestApp::new(db, "").await;
        let source = json!({"name": "studio", "provider": "replicate", "callback_token": TOKEN});
        app.post_api("/api/v1/sources", source).await.expect(201);
        let body = json!({"id": "p", "status": "succeeded"}).to_string();
        let post = async || app.post("studio", "", body.clone(), &[]).await;
        let change = async |change| app.with_key(ADMIN_KEY, Method::PUT, "/api/v1/sources/studio", change).await.expect(200);
        let second = twice(post).await;
        refuse_counts(&app).await;
        assert_eq!(post().await.expect(200).body, second.body);

        change(json!({"rate": "100/s"})).await;
        post().await.expect(503);
        take_counts(&app).await;
        post().await.expect(200);
        refuse_counts(&app).await;
        assert_eq!(post().await.expect(200).body, second.body, "it is remembered anew");

        change(json!({"signing_secret": SECRET})).await;
        post().await.expect(401);
    }

    async fn what_headers_say_is_read_of_a_repeat_too(db: Db) {
        let app = TestApp::new(db, "").await;
        let body = json!({"id": "t", "status": "completed"}).to_string();
        let post = async |event: &str| app.post("aivideoapi", "", body.clone(), &[("x-event", event)]).await.expect(200);
        let second = twice(async || post("task.completed").await).await;
        assert_eq!(post("task.completed").await.body, second.body);
        assert_eq!(post("task.failed").await.text("outcome"), "quarantined");
        assert_eq!(kept(&app, &second).await["repeats"], 1);
    }

    async fn every_quarter_of_an_hour_the_database_is_asked(db: Db) {
        let app = TestApp::new(db, "").await;
        let second = twice(async || app.evolink("t", "completed").await).await;
        app.database.execute("DELETE FROM callbacks WHERE outcome = 'duplicate'").await;
        app.advance(MINUTE * 14);
        assert_eq!(app.evolink("t", "completed").await.expect(200).body, second.body);
        app.advance(MINUTE);
        let anew = app.evolink("t", "completed").await.expect(200);
        assert_eq!((anew.text("outcome"), &anew.body["event_id"]), ("duplicate", &second.body["event_id"]));
        assert_ne!(anew.text("callback_id"), second.text("callback_id"));
        assert_eq!(kept(&app, &anew).await["repeats"], 0);
    }

    async fn another_query_or_body_is_another_callback(db: Db) {
        let app = TestApp::new(db, "").await;
        let second = twice(async || app.evolink("t", "completed").await).await;
        app.evolink("t", "completed").await.expect(200);
        let others = [("a=1", evolink("t", "completed")), ("", evolink("t", "completed") + " ")];
        for (query, body) in others {
            let other = app.post("evolink", query, body, &[]).await.expect(200);
            assert_eq!((other.text("outcome"), &other.body["event_id"]), ("duplicate", &second.body["event_id"]));
            assert_ne!(other.text("callback_id"), second.text("callback_id"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_instances_each_counts_on_the_same_row() {
    let app = TestApp::new(Db::Postgres, "").await;
    let second = twice(async || app.evolink("t", "completed").await).await;
    let another = TestApp::on(Arc::clone(&app.database), Arc::clone(&app.clock), "").await;
    for _ in 0..3 {
        app.advance(SECOND);
        assert_eq!(another.evolink("t", "completed").await.expect(200).body, second.body);
    }
    app.evolink("t", "completed").await.expect(200);
    kept(&another, &second).await;
    let row = kept(&app, &second).await;
    assert_eq!((&row["repeats"], row["repeated_at"].as_str()), (&json!(4), Some(app.now().to_string().as_str())));
}
