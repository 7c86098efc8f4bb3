//! A kept callback is read again as if it came now: by today's secrets and adapter, and by the rules of all callbacks.

use std::sync::Arc;
use std::time::Duration;

use callboard::domain::callback::{CallbackOutcome, Content};
use callboard::domain::id::CallbackId;
use callboard::store::NewCallback;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, Db, SECRET, TOKEN, TestApp, both, evolink};

const HOUR: Duration = Duration::from_secs(3600);
const WRONG: &str = "whsec_d3Jvbmctc2VjcmV0LW9mLXRoZS10ZXN0cw==";

fn replicate(secret: &str) -> String {
    format!(
        "[sources.replicate]\nprovider = \"replicate\"\ncallback_token = \"{TOKEN}\"\nsigning_secret = \"{secret}\"\n"
    )
}

async fn reprocess(app: &TestApp, id: &str) -> Answer {
    app.post_api(&format!("/api/v1/callbacks/{id}/reprocess"), json!({})).await
}

async fn kept(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/api/v1/callbacks/{id}")).await.expect(200).body
}

/// A callback that an adapter of old did not understand, and today's does.
async fn not_understood(app: &TestApp, body: &str, query: &str) -> String {
    let id = CallbackId::new(app.now());
    let (headers, remote) = ("[[\"x-a\",\"b\"]]".into(), Some("192.0.2.7".into()));
    let content = Content::new(query.into(), headers, body.to_owned().into(), remote);
    let callback = NewCallback {
        id: id.clone(),
        source: "evolink".into(),
        task_id: None,
        outcome: CallbackOutcome::Quarantined,
        detail: Some("no `id`".into()),
        trust: "unsigned",
        event_id: None,
        tasks: None,
        received_at: app.now(),
        content: Arc::new(content),
        is_first: false,
    };
    let mut tx = app.services.store.write().await.unwrap();
    tx.keep_callbacks(vec![callback]).await.unwrap();
    tx.commit().await.unwrap();
    id.to_string()
}

both! {
    async fn what_was_rejected_counts_once_the_secret_is_mended(db: Db) {
        let mut app = TestApp::new(db, &replicate(WRONG)).await;
        let rejected = app.signed("p1", "succeeded").await.expect(401);
        let id = rejected.text("callback_id").to_owned();
        // Nothing was mended yet: the same again.
        let again = reprocess(&app, &id).await.expect(202);
        assert_eq!((again.text("callback_id"), again.text("outcome")), (id.as_str(), "rejected"));
        assert_eq!(again.body["event_id"], Value::Null);
        assert_eq!(kept(&app, &id).await["repeats"], json!(1));

        // Long after the signature would be too old for one that comes now.
        app.advance(24 * HOUR);
        app.stop().await;
        let app = TestApp::on(Arc::clone(&app.database), Arc::clone(&app.clock), &replicate(SECRET)).await;
        let read = reprocess(&app, &id).await.expect(202);
        assert_eq!((read.text("outcome"), read.text("task_id")), ("accepted", "p1"));
        assert_ne!(read.text("callback_id"), id, "what is now readable is a row of its own");
        let (old, new) = (kept(&app, &id).await, kept(&app, read.text("callback_id")).await);
        assert_eq!(old["outcome"], "rejected");
        for same in ["query", "headers", "body_base64", "remote"] {
            assert_eq!(old[same], new[same], "{same}");
        }
        assert_eq!((&new["received_at"], &new["trust"]), (&json!(app.now()), &json!("signed_body")));
        assert!(new["detail"].as_str().unwrap().contains(&id));
        let event = app.get(&format!("/api/v1/events/{}", read.text("event_id"))).await.expect(200);
        assert_eq!((&event.body["timestamp"], &event.body["data"]["confirmed"]), (&json!(app.now()), &json!(true)));

        // Read once more it is a repeat of the same step, and makes no second end.
        let twice = reprocess(&app, &id).await.expect(202);
        assert_eq!((twice.text("outcome"), twice.text("event_id")), ("duplicate", read.text("event_id")));
        assert_eq!(app.database.number("SELECT count(*) FROM events").await, 1);
    }

    async fn what_was_not_understood_is_read_by_todays_adapter(db: Db) {
        let app = TestApp::new(db, "").await;
        let id = not_understood(&app, &evolink("t", "completed"), "campaign=spring").await;
        app.advance(HOUR);
        let read = reprocess(&app, &id).await.expect(202);
        assert_eq!((read.text("outcome"), read.text("task_id")), ("accepted", "t"));
        let task = app.get("/api/v1/tasks/evolink/t").await.expect(200);
        assert_eq!(task.body["metadata"], json!({"campaign": "spring"}));
        let still = app.post("evolink", "", "{}", &[]).await.expect(422);
        let still = still.text("callback_id").to_owned();
        let again = reprocess(&app, &still).await.expect(202);
        assert_eq!((again.text("outcome"), again.text("callback_id")), ("quarantined", still.as_str()));
        assert!(again.text("detail").contains("id"), "it says what was expected: {}", again.body);
        let row = kept(&app, &still).await;
        assert_eq!((&row["repeats"], &row["repeated_at"]), (&json!(1), &json!(app.now())));
    }

    async fn the_same_request_again_is_answered_the_same_and_done_once(db: Db) {
        let app = TestApp::new(db, "").await;
        let posted = app.post("evolink", "", "{}", &[]).await.expect(422);
        let path = format!("/api/v1/callbacks/{}/reprocess", posted.text("callback_id"));
        let ask = async || {
            let request = app.client.post(app.url(&path)).bearer_auth(crate::app::ADMIN_KEY);
            crate::app::answer(request.header("idempotency-key", "once")).await.expect(202).body
        };
        assert_eq!(ask().await, ask().await);
        assert_eq!(kept(&app, posted.text("callback_id")).await["repeats"], json!(1));
    }

    async fn who_may_not_or_cannot_is_told_so(db: Db) {
        let config = format!(
            "[sources.evolink]\nprovider = \"evolink\"\ncallback_token = \"{TOKEN}\"\nteams = [\"ops\"]\n{}",
            replicate(SECRET)
        );
        let mut app = TestApp::new(db, &config).await;
        let id = app.evolink("t", "completed").await.expect(200).text("callback_id").to_owned();
        let path = format!("/api/v1/callbacks/{id}/reprocess");
        let (own, reads) = (app.make_key("manage", Some("ops")).await, app.make_key("read", Some("ops")).await);
        let other = app.make_key("manage", Some("ads")).await;
        for (key, status) in [(&own, 202), (&reads, 403), (&other, 404)] {
            app.with_key(key, Method::POST, &path, json!({})).await.expect(status);
        }
        app.with_key(&own, Method::POST, &path, json!({"as": "new"})).await.expect(422);
        reprocess(&app, "cb_none").await.expect(404);
        app.stop().await;
        let app = TestApp::on(Arc::clone(&app.database), Arc::clone(&app.clock), &replicate(SECRET)).await;
        let gone = reprocess(&app, &id).await.expect(409);
        assert!(gone.text("detail").contains("evolink"), "{}", gone.body);
    }
}
