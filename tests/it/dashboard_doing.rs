//! What is done from the dashboard: events told again, deliveries tried and given up, callbacks read again, tasks
//! registered; and the charts of what came of it all.

use std::time::Duration;

use serde_json::json;

use crate::access::key;
use crate::app::{ADMIN_KEY, Db, TestApp, both, webhook};
use crate::dashboard::{Browser, Shown};
use crate::sink::{Reply, Sink};

fn shows(page: &Shown, text: &str) {
    assert!(page.body.contains(text), "{text}: {}", page.body);
}

both! {
    async fn events_are_told_again_to_whom_was_said(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        for task in ["task-1", "task-2"] {
            app.evolink(task, "completed").await.expect(200);
        }
        assert_eq!(app.tick_all().await, 2);
        let events = app.get("/api/v1/events").await.items().to_vec();
        let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        shows(&admin.get(&format!("/ui/events/{}", ids[0])).await, &format!("/ui/replay?event={}", ids[0]));
        let to = format!("/ui/replay?event={}&event={}", ids[0], ids[1]);
        shows(&admin.get(&to).await.expect(200), "backend × 2");
        admin.act(&to, &[]).await.expect(303);
        assert_eq!((app.tick_all().await, sink.count()), (2, 4));

        let one = format!("/ui/replay?event={}", ids[0]);
        let refused = admin.act(&one, &[("url", "http://10.0.0.1/x")]).await.expect(422);
        shows(&refused, "id=\"wrong-url\"");
        shows(&refused, "value=\"http://10.0.0.1/x\"");
        let done = admin.act(&one, &[("destination", "backend")]).await.expect(303);
        assert_eq!(done.header("location"), format!("/ui/events/{}", ids[0]));
        assert_eq!((app.tick_all().await, sink.count()), (1, 5));
        let read = Browser::signed_in(&app, key(&app, "read", Some("ops"), None).await.text("key")).await;
        read.get(&one).await.expect(403);
        assert!(!read.get("/").await.expect(200).body.contains("class=\"pick\""));
        shows(&admin.get("/").await.expect(200), "class=\"pick\"");
    }

    async fn many_are_planned_before_they_are_told_again(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        for number in 0..3 {
            app.evolink(&format!("task-{number}"), "completed").await.expect(200);
        }
        app.tick_all().await;
        app.advance(Duration::from_secs(60));
        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        shows(&admin.get("/ui/new/replay?type=task.completed").await.expect(200), "value=\"task.completed\" selected");
        let typed = [("since", "2026-03-31T00:00:00Z"), ("until", "2026-04-02T00:00:00Z"), ("type", "task.completed")];
        let wrong = [("since", "yesterday"), ("until", "2026-04-02T00:00:00Z")];
        let refused = admin.act("/ui/new/replay", &wrong).await.expect(422);
        shows(&refused, "id=\"wrong-since\"");
        shows(&refused, "value=\"yesterday\"");
        let plan = admin.act("/ui/new/replay", &[&typed[..], &[("do", "plan")]].concat()).await.expect(200);
        shows(&plan, "3 (counted)");
        shows(&plan, "3 deliveries are made");
        assert_eq!(app.get("/api/v1/replays").await.items().len(), 0);
        let begun = admin.act("/ui/new/replay", &[&typed[..], &[("do", "start")]].concat()).await.expect(303);
        let at = begun.header("location").to_owned();
        shows(&admin.get(&at).await.expect(200), "data-moving");
        while app.replayer.tick().await.unwrap() {}
        app.advance(Duration::from_secs(60));
        while app.replayer.tick().await.unwrap() {}
        let done = admin.get(&at).await.expect(200);
        assert!(done.body.contains("value=\"3\"") && !done.body.contains("data-moving"), "{}", done.body);
        shows(&admin.get("/ui/replays").await.expect(200), "3 / 3");
        admin.act(&format!("{at}/cancel"), &[]).await.expect(303);
        assert_eq!((app.tick_all().await, sink.count()), (3, 6));
    }

    async fn a_delivery_is_given_up_and_tried_again_and_a_callback_is_read_again(db: Db) {
        let sink = Sink::scripted(|_| Reply::status(500)).await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        let posted = app.evolink("task-1", "completed").await.expect(200);
        app.tick_all().await;
        let id = app.deliveries("backend").await[0]["id"].as_str().unwrap().to_owned();
        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        let at = format!("/ui/deliveries/{id}");
        let page = admin.get(&at).await.expect(200);
        shows(&page, &format!("{at}/retry"));
        shows(&page, &format!("{at}/give-up"));
        admin.act(&format!("{at}/give-up"), &[]).await.expect(303);
        assert_eq!(app.deliveries("backend").await[0]["status"], "dead");
        admin.act(&format!("{at}/give-up"), &[]).await.expect(409);
        admin.act(&format!("{at}/retry"), &[]).await.expect(303);
        assert_eq!(app.tick_all().await, 1);

        let callback = format!("/ui/callbacks/{}", posted.text("callback_id"));
        shows(&admin.get(&callback).await.expect(200), &format!("{callback}/reprocess"));
        let read = admin.act(&format!("{callback}/reprocess"), &[]).await.expect(303);
        assert!(read.header("location").starts_with("/ui/callbacks/cb_"), "{read:?}");

        shows(&admin.get("/ui/new/task").await.expect(200), "name=\"task_id\"");
        let wrong = [("source", "evolink"), ("task_id", "task 9"), ("expect_within", "soon")];
        let refused = admin.act("/ui/new/task", &wrong).await.expect(422);
        shows(&refused, "id=\"wrong-expect_within\"");
        shows(&refused, "value=\"task 9\"");
        let right = [("source", "evolink"), ("task_id", "task 9"), ("metadata", "campaign=spring\nx=1")];
        let made = admin.act("/ui/new/task", &right).await.expect(303);
        assert_eq!(made.header("location"), "/ui/tasks/evolink/task%209");
        let task = app.get("/api/v1/tasks/evolink/task%209").await.expect(200);
        assert_eq!(task.body["metadata"], json!({"campaign": "spring", "x": "1"}));
    }

    async fn a_disabled_destination_is_enabled_with_what_is_held(db: Db) {
        let sink = Sink::scripted(|_| Reply::status(410)).await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        app.evolink("task-1", "completed").await.expect(200);
        app.tick_all().await;
        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        let page = admin.get("/ui/destinations/backend").await.expect(200);
        shows(&page, "disabled");
        shows(&page, "name=\"held\" value=\"drop\"");
        shows(&admin.get("/ui/charts").await.expect(200), "disabled");
        sink.answer(|_| Reply::status(204));
        let tried = admin.act("/ui/destinations/backend/test", &[]).await.expect(200);
        shows(&tried, "was taken");
        admin.act("/ui/destinations/backend/enable", &[("held", "send")]).await.expect(303);
        app.tick_all().await;
        assert_eq!(app.deliveries("backend").await[0]["status"], "delivered");
    }
}
