//! Callbacks that only come again: answered from memory, and counted.

use std::time::Duration;

use callboard::demo::{Calls, End};
use serde_json::json;

use crate::app::{Answer, Db, SECRET, TestApp, both, evolink, sign};
use crate::scene::{Scene, plan};

/// The callback as the API shows it.
async fn shown(app: &TestApp, posted: &Answer) -> serde_json::Value {
    app.get(&format!("/api/v1/callbacks/{}", posted.text("callback_id"))).await.expect(200).body
}

both! {
    async fn what_came_twice_is_answered_without_the_database_and_counted(db: Db) {
        let mut app = TestApp::new(db, "").await;
        let first = app.evolink("t", "completed").await.expect(200);
        let second = app.evolink("t", "completed").await.expect(200);
        let held = app.database.hold().await;
        for _ in 0..3 {
            let again = app.evolink("t", "completed").await.expect(200);
            assert_eq!(again.body, second.body);
            assert_eq!((again.text("outcome"), again.text("event_id")), ("duplicate", first.text("event_id")));
        }
        drop(held);
        app.advance(Duration::from_secs(1));
        app.evolink("t", "completed").await.expect(200);
        let kept = shown(&app, &second).await;
        assert_eq!((&kept["repeats"], &kept["repeated_at"]), (&json!(4), &json!("2026-04-01T00:00:01Z")));
        app.evolink("t", "completed").await.expect(200);
        app.stop().await;
        assert_eq!(app.database.number("SELECT CAST(sum(repeats) AS BIGINT) FROM callbacks").await, 5, "a stop counts the last one");
    }

    async fn who_forges_a_repeat_is_rejected(db: Db) {
        let app = TestApp::new(db, "").await;
        let body = json!({"id": "t", "status": "succeeded"}).to_string();
        let post = async |secret: &str| {
            let headers = sign(secret, &body, app.now());
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            app.post("replicate", "", body.clone(), &headers).await
        };
        for _ in 0..3 {
            post(SECRET).await.expect(200);
        }
        post("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").await.expect(401);
    }

    async fn what_does_not_tell_the_end_is_read_each_time(db: Db) {
        let app = TestApp::new(db, "").await;
        for _ in 0..3 {
            app.evolink("t", "processing").await.expect(200);
        }
        app.evolink("t", "completed").await.expect(200);
        assert_eq!(app.evolink("t", "processing").await.expect(200).text("outcome"), "stale");
        // The other end contradicts, however often it comes.
        for _ in 0..3 {
            assert_eq!(app.evolink("t", "failed").await.expect(200).text("outcome"), "conflict");
        }
    }

    async fn a_claim_is_read_until_the_provider_has_spoken(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task_id = scene.submit("evolink", plan(End::Completed, Calls::Never, 60), true).await;
        let claimed = evolink(&task_id, "completed");
        for _ in 0..3 {
            let heard = scene.app.post("evolink", "", claimed.clone(), &[]).await.expect(200);
            assert_eq!(heard.body["event_id"], json!(null), "a hint");
        }
        scene.pass(Duration::from_secs(120), Duration::from_secs(15)).await;
        for _ in 0..3 {
            let told = scene.app.post("evolink", "", claimed.clone(), &[]).await.expect(200);
            assert_eq!(told.text("outcome"), "duplicate");
            assert!(told.body["event_id"].is_string(), "{}", told.body);
        }
    }

    async fn what_a_header_contradicts_is_no_repeat(db: Db) {
        let app = TestApp::new(db, "").await;
        let body = json!({"id": "t", "status": "completed", "output": {"urls": ["https://example.com/a.mp4"]}}).to_string();
        let named = |id: &'static str| [("x-task-id", id)];
        for _ in 0..3 {
            app.post("aivideoapi", "", body.clone(), &named("t")).await.expect(200);
        }
        let mixed = app.post("aivideoapi", "", body.clone(), &named("other")).await.expect(200);
        assert_eq!(mixed.text("outcome"), "quarantined");
    }
}
