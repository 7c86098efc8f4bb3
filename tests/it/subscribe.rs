//! Who is told of what: types, sources, teams and `where`.

use serde_json::json;

use crate::app::{Db, TOKEN, TestApp, both, webhook};
use crate::sink::Sink;

/// The tasks and types that a sink was told, in order.
fn told(sink: &Sink) -> Vec<String> {
    let mut told: Vec<String> = sink
        .requests()
        .iter()
        .map(|request| {
            let event = request.json();
            format!("{} {}", event["data"]["task_id"].as_str().unwrap(), event["type"].as_str().unwrap())
        })
        .collect();
    told.sort();
    told
}

both! {
    async fn a_subscription_gets_its_types_and_by_default_the_ends(db: Db) {
        let (ends, begins) = (Sink::start().await, Sink::start().await);
        let config = webhook("ends", &ends.url())
            + &webhook("begins", &begins.url())
            + "events = [\"task.processing\", \"task.failed\"]\n";
        let mut app = TestApp::new(db, &config).await;
        for (task, status) in [("a", "completed"), ("b", "failed"), ("c", "cancelled"), ("d", "pending"), ("e", "processing")] {
            app.evolink(task, status).await.expect(200);
        }
        app.tick_all().await;
        assert_eq!(told(&ends), ["a task.completed", "b task.failed", "c task.cancelled"]);
        assert_eq!(told(&begins), ["b task.failed", "e task.processing"]);
    }

    async fn a_subscription_gets_its_sources(db: Db) {
        let (all, one) = (Sink::start().await, Sink::start().await);
        let config = webhook("all", &all.url()) + &webhook("one", &one.url()) + "sources = [\"replicate\"]\n";
        let mut app = TestApp::new(db, &config).await;
        app.evolink("a", "completed").await.expect(200);
        app.signed("b", "succeeded").await.expect(200);
        app.tick_all().await;
        assert_eq!(told(&all), ["a task.completed", "b task.completed"]);
        assert_eq!(told(&one), ["b task.completed"]);
    }

    async fn a_team_is_told_of_the_sources_that_it_may_see(db: Db) {
        let (ops, ads) = (Sink::start().await, Sink::start().await);
        let source = |name: &str, teams: &str| {
            format!("[sources.{name}]\nprovider = \"evolink\"\ncallback_token = \"{TOKEN}\"\n{teams}\n")
        };
        let config = source("open", "") + &source("closed", "teams = [\"ads\", \"art\"]")
            + &webhook("ops", &ops.url())
            + &webhook("ads", &ads.url()).replace("team = \"ops\"", "team = \"ads\"");
        let mut app = TestApp::new(db, &config).await;
        for (source, task) in [("open", "a"), ("closed", "b")] {
            app.post(source, "", crate::app::evolink(task, "completed"), &[]).await.expect(200);
        }
        app.tick_all().await;
        assert_eq!(told(&ops), ["a task.completed"]);
        assert_eq!(told(&ads), ["a task.completed", "b task.completed"]);
        // Nor does a replay show what may not be seen, where it goes to all that subscribe.
        let event = app.get("/api/v1/events?source=closed").await.items()[0]["id"].as_str().unwrap().to_owned();
        let replayed = app.post_api(&format!("/api/v1/events/{event}/replay"), json!({})).await.expect(202);
        assert_eq!(replayed.body["deliveries"].as_array().unwrap().len(), 1);
    }

    async fn where_must_hold_and_what_is_not_there_is_no_match(db: Db) {
        let (spring, broken) = (Sink::start().await, Sink::start().await);
        let config = webhook("spring", &spring.url())
            + "where = 'task.model.startsWith(\"kling-o3\") && task.metadata.campaign == \"spring\"'\n"
            + &webhook("broken", &broken.url())
            // Neither true nor false.
            + "where = 'task.model'\n";
        let mut app = TestApp::new(db, &config).await;
        let failures = async |app: &TestApp| app.get("/api/v1/subscriptions").await.items()[1]["where_failures"].clone();
        assert_eq!(failures(&app).await, json!(0));
        let body = |task: &str, model: &str| json!({"id": task, "status": "completed", "model": model}).to_string();
        for (task, model, query) in [
            ("a", "kling-o3-text", "campaign=spring"),
            ("b", "kling-o3-text", "campaign=autumn"),
            ("c", "kling-o3-text", ""),
            ("d", "veo", "campaign=spring"),
        ] {
            app.post("evolink", query, body(task, model), &[]).await.expect(200);
        }
        app.post("evolink", "campaign=spring", json!({"id": "e", "status": "completed"}).to_string(), &[]).await.expect(200);
        app.tick_all().await;
        assert_eq!(told(&spring), ["a task.completed"]);
        assert_eq!(told(&broken), [""; 0]);
        // Of the last there is no model, which is no error.
        assert_eq!(failures(&app).await, json!(4));
        let counters = String::from_utf8(app.get("/metrics").await.expect(200).bytes).unwrap();
        assert!(counters.contains("callboard_filter_errors_total{subscription=\"sub_file_2\"}"), "{counters}");
    }

    async fn two_subscriptions_that_match_make_one_delivery(db: Db) {
        let sink = Sink::start().await;
        let config = webhook("backend", &sink.url())
            + "[[subscriptions]]\ndestination = \"backend\"\nevents = [\"task.completed\"]\n"
            + "[[subscriptions]]\ndestination = \"backend\"\nwhere = 'task.confirmed == false'\n";
        let mut app = TestApp::new(db, &config).await;
        app.evolink("a", "completed").await.expect(200);
        assert_eq!(app.tick_all().await, 1);
        assert_eq!(sink.count(), 1);
    }
}
