//! Asking: what providers never call about, and what nobody signed, is known by asking them.

use std::time::Duration;

use callboard::demo::{Calls, End};
use serde_json::json;

use super::app::{Db, both};
use super::scene::{Scene, plan};

const SECOND: Duration = Duration::from_secs(1);

both! {
    async fn a_registered_task_that_never_calls_back_is_asked_for_and_told(db: Db) {
        let mut scene = Scene::new(db, "poll = { after = \"5m\", every = \"1m\" }").await;
        for source in ["evolink", "aivideoapi", "kling3api", "api-in-one"] {
            let task = scene.submit(source, plan(End::Completed, Calls::Never, 240), false).await;
            scene.register(source, &task).await.expect(201);
            scene.pass(Duration::from_secs(600), 10 * SECOND).await;
            let events = scene.events(&task).await;
            let last = events.last().unwrap_or_else(|| panic!("{source}: nothing was told"));
            assert_eq!(last["type"], "task.completed", "{source}");
            assert_eq!(last["data"]["observed_via"], "poll");
            assert_eq!(last["data"]["confirmed"], json!(true));
            assert!(!last["data"]["outputs"].as_array().unwrap().is_empty(), "{source}: {last}");
        }
    }

    async fn a_forged_end_is_disputed_and_the_true_one_told(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("evolink", plan(End::failed("service_error", "no"), Calls::Normal, 1200), true).await;
        scene.register("evolink", &task).await.expect(201);
        let forged = json!({"id": task, "status": "completed", "results": ["https://forged.example.com/x.mp4"]});
        let posted = scene.call("evolink", "", forged.clone()).await.expect(200);
        assert_eq!((posted.text("outcome"), &posted.body["event_id"]), ("accepted", &json!(null)));
        let again = scene.call("evolink", "", forged).await.expect(200);
        assert_eq!((again.text("outcome"), &again.body["event_id"]), ("duplicate", &json!(null)));
        scene.pass(Duration::from_secs(400), 5 * SECOND).await;
        let kept = scene.app.get(&format!("/api/v1/callbacks/{}", posted.text("callback_id"))).await.expect(200);
        assert_eq!(kept.text("outcome"), "disputed");
        scene.pass(Duration::from_secs(1000), 10 * SECOND).await;
        assert_eq!(scene.told(&task).await, ["task.processing", "task.failed"]);
    }

    async fn a_true_end_that_nobody_signed_is_told_when_the_provider_says_so_too(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("aivideoapi", plan(End::Completed, Calls::Normal, 60), true).await;
        scene.pass(Duration::from_secs(70), 5 * SECOND).await;
        let events = scene.events(&task).await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["data"]["confirmed"], json!(true));
        let callbacks = scene.app.get(&format!("/api/v1/callbacks?task_id={task}")).await.expect(200);
        assert_eq!(callbacks.items()[0]["outcome"], "accepted");
        assert_eq!(callbacks.items()[0]["event_id"], events[0]["id"]);
    }
}
