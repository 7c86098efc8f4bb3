//! Asking: what never calls back, and what was called and lost, is known by asking the provider.

use std::time::Duration;

use callboard::demo::{BatchFault, Calls, End, Faults};
use serde_json::{Value, json};

use super::app::{Db, TOKEN, both, webhook};
use super::scene::{Scene, assert_pace, plan};
use super::sink::{Reply, Sink};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// A step in which even the fastest provider gets no more than one question.
const STEP: Duration = Duration::from_millis(200);

const ALL: [&str; 4] = ["evolink", "aivideoapi", "kling3api", "api-in-one"];

/// What a webhook was told of a task: the one end, as the provider's own words had it.
fn assert_end(sink: &Sink, source: &str, task: &str, via: &str) {
    let told: Vec<Value> = sink.requests().iter().map(|request| request.json()).collect();
    let told: Vec<&Value> = told.iter().filter(|event| event["data"]["task_id"] == json!(task)).collect();
    assert_eq!(told.len(), 1, "{source}: {told:?}");
    let data = &told[0]["data"];
    assert_eq!(told[0]["type"], "task.completed", "{source}");
    assert_eq!(
        (&data["source"], &data["provider"], &data["status"]),
        (&json!(source), &json!(source), &json!("completed"))
    );
    assert_eq!((&data["confirmed"], &data["observed_via"]), (&json!(true), &json!(via)), "{source}");
    assert_eq!((&data["error"], &data["outputs"][0]["kind"]), (&Value::Null, &json!("video")), "{source}: {data}");
    let link = data["outputs"][0]["url"].as_str().unwrap();
    assert!(link.starts_with("https://results.example.com/"), "{source}: {link}");
}

both! {
    async fn every_provider_is_followed_to_the_end_whether_it_calls_or_not(db: Db) {
        let sink = Sink::start().await;
        let mut scene = Scene::with(db, "", &webhook("backend", &sink.url())).await;
        for source in ALL {
            // Its callback comes, or was cut off on its way, or it never calls.
            for (calls, cut) in [(true, false), (true, true), (false, false)] {
                scene.set_faults(source, Faults { callbacks_cut: cut, ..Faults::default() });
                let calls_us = calls && !matches!(source, "kling3api" | "api-in-one");
                let task = scene.submit(source, plan(End::Completed, Calls::Normal, 240), calls_us).await;
                if cut || !calls_us {
                    scene.register(source, &task).await.expect(201);
                }
                scene.pass(MINUTE * 6, 5 * SECOND).await;
                assert_end(&sink, source, &task, "poll");
            }
        }
    }

    async fn a_task_is_first_asked_for_when_it_should_have_ended(db: Db) {
        let mut scene = Scene::new(db, "poll = { after = \"5m\", every = \"1m\" }").await;
        for (source, first) in [("evolink", 300), ("aivideoapi", 300), ("kling3api", 60), ("api-in-one", 60)] {
            let begun = scene.app.now();
            scene.submit_many(source, &plan(End::Completed, Calls::Never, 3600), 1).await;
            scene.pass(MINUTE * 7, SECOND).await;
            let asked: Vec<u64> = scene.asks(source).iter().map(|ask| ask.at.since(begun).as_secs()).collect();
            let expected: Vec<u64> = (first..=420).step_by(60).collect();
            assert_eq!(asked, expected, "{source}");
        }
    }

    async fn a_task_is_first_asked_for_after_as_long_as_others_of_its_model_took(db: Db) {
        let mut scene = Scene::new(db, "").await;
        for _ in 0..3 {
            let task = scene.submit("aivideoapi", plan(End::Completed, Calls::Normal, 90), true).await;
            scene.pass(95 * SECOND, 5 * SECOND).await;
            assert_eq!(scene.told(&task).await, ["task.completed"]);
        }
        let before = scene.asks("aivideoapi").len();
        let task = scene.submit("aivideoapi", plan(End::Completed, Calls::Never, 80), false).await;
        let model = scene.provider("aivideoapi").tasks()[0].request()["model"].clone();
        let begun = scene.app.now();
        scene.call("aivideoapi", "", json!({"id": task, "status": "processing", "model": model})).await.expect(200);
        scene.pass(100 * SECOND, SECOND).await;
        assert_eq!(scene.told(&task).await, ["task.processing", "task.completed"]);
        let asked: Vec<u64> = scene.asks("aivideoapi")[before..].iter().map(|ask| ask.at.since(begun).as_secs()).collect();
        assert_eq!(asked, [90]);
    }

    async fn many_tasks_are_asked_for_in_one_request(db: Db) {
        let mut scene = Scene::new(db, "poll = { after = \"5m\", every = \"1m\" }").await;
        let mut tasks = scene.submit_many("evolink", &plan(End::Completed, Calls::Never, 200), 60).await;
        scene.register("evolink", "task-nobody-has").await.expect(201);
        scene.pass(MINUTE * 5 + 2 * SECOND, STEP * 10).await;
        let asks = scene.asks("evolink");
        assert_eq!(asks.len(), 2, "{asks:?}");
        let asked: Vec<Value> = asks.iter().flat_map(|ask| ask.json()["task_ids"].as_array().unwrap().clone()).collect();
        assert_eq!((asked.len(), asks[0].json()["task_ids"].as_array().unwrap().len()), (61, 50));
        // Who is absent from the answer is not known there, which is no end.
        assert_eq!(scene.polls("evolink", "task-nobody-has").await, [("not_found".to_owned(), 1)].into());
        assert!(scene.told("task-nobody-has").await.is_empty());
        tasks.truncate(3);
        for task in tasks {
            assert_eq!(scene.told(&task).await, ["task.completed"]);
        }
    }

    async fn what_asking_for_many_does_not_tell_is_asked_for_one_by_one(db: Db) {
        for (fault, batches, singles) in [
            (BatchFault::BareList, 1, 0),
            (BatchFault::NoResults, 1, 5),
            (BatchFault::NotFound, 1, 5),
            (BatchFault::NotAllowed, 1, 5),
        ] {
            let mut scene = Scene::new(db, "poll = { after = \"5m\", every = \"1m\" }").await;
            scene.set_faults("evolink", Faults { batch: Some(fault), ..Faults::default() });
            let tasks = scene.submit_many("evolink", &plan(End::Completed, Calls::Never, 200), 5).await;
            scene.pass(MINUTE * 5, 5 * SECOND).await;
            scene.pass(5 * SECOND, STEP).await;
            let asks = scene.asks("evolink");
            let many = asks.iter().filter(|ask| ask.method == "POST").count();
            assert_eq!((many, asks.len() - many), (batches, singles), "{fault:?}");
            assert_pace(&asks, 5);
            for task in &tasks {
                let events = scene.events(task).await;
                assert_eq!(events.len(), 1, "{fault:?}: {events:?}");
                assert_eq!(events[0]["data"]["outputs"].as_array().unwrap().len(), 1, "{fault:?}");
            }
            // Who has no such route is not asked that way again for a while.
            let more = scene.submit_many("evolink", &plan(End::Completed, Calls::Never, 200), 2).await;
            scene.pass(MINUTE * 5 + 5 * SECOND, SECOND).await;
            let again = scene.asks("evolink")[asks.len()..].iter().filter(|ask| ask.method == "POST").count();
            assert_eq!(again == 0, matches!(fault, BatchFault::NotFound | BatchFault::NotAllowed), "{fault:?}");
            assert_eq!(scene.told(&more[1]).await, ["task.completed"]);
        }
    }

    async fn who_throttles_is_left_alone_for_as_long_as_it_says(db: Db) {
        let mut scene = Scene::new(db, "poll = { after = \"1m\", every = \"30s\" }").await;
        let tasks = scene.submit_many("evolink", &plan(End::Completed, Calls::Never, 30), 3).await;
        scene.set_faults("evolink", Faults { throttled: Some(MINUTE * 4), ..Faults::default() });
        scene.pass(MINUTE, SECOND).await;
        assert_eq!(scene.asks("evolink").len(), 1);
        scene.set_faults("evolink", Faults::default());
        let others = scene.submit_many("aivideoapi", &plan(End::Completed, Calls::Never, 30), 1).await;
        scene.pass(MINUTE * 4 - SECOND, SECOND).await;
        assert_eq!(scene.asks("evolink").len(), 1, "it said for how long");
        assert_eq!(scene.told(&others[0]).await, ["task.completed"], "others are asked all the while");
        scene.pass(2 * SECOND, SECOND).await;
        for task in &tasks {
            assert_eq!(scene.told(task).await, ["task.completed"]);
        }
        assert_eq!(scene.polls("evolink", &tasks[0]).await["throttled"], 1);
    }

    async fn a_callback_that_nobody_understands_has_its_task_asked_for(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("evolink", plan(End::Completed, Calls::Never, 20), false).await;
        let posted = scene.call("evolink", "campaign=spring", json!({"id": task, "status": "resting"})).await.expect(200);
        assert_eq!(posted.text("outcome"), "quarantined");
        assert_eq!(scene.task("evolink", &task).await["status"], "pending");
        scene.pass(2 * MINUTE, SECOND).await;
        let events = scene.events(&task).await;
        assert_eq!(events.last().unwrap()["type"], "task.completed");
        assert_eq!(events.last().unwrap()["data"]["metadata"], json!({"campaign": "spring"}));
        let again = scene.call("evolink", "campaign=spring", json!({"id": task, "status": "resting"})).await.expect(200);
        assert_eq!(again.body["callback_id"], posted.body["callback_id"]);
    }

    async fn an_answer_that_nobody_understands_is_no_end(db: Db) {
        let answers = [
            (200, "<html>maintenance</html>"),
            (200, "{}"),
            (200, r#"{"id":"another-task","status":"failed"}"#),
            (200, r#"{"id":"t","status":"exploded"}"#),
            (400, r#"{"error":{"code":"invalid_request"}}"#),
            (422, "[]"),
            (500, r#"{"id":"t","status":"failed"}"#),
        ];
        let mut at = 0;
        let odd = Sink::scripted(move |_| {
            at += 1;
            let (status, body) = answers[(at - 1) % answers.len()];
            Reply::Answer(status, String::new(), body.as_bytes().to_vec())
        })
        .await;
        let source = format!(
            "[sources.odd]\nprovider = \"aivideoapi\"\ncallback_token = \"{TOKEN}\"\napi_key = \"k\"\nbase_url = \"http://{}\"\n",
            odd.host()
        );
        let mut scene = Scene::with(db, "", &source).await;
        scene.register("odd", "t").await.expect(201);
        scene.pass(MINUTE * 30, 10 * SECOND).await;
        assert!(odd.count() >= 20, "{}", odd.count());
        assert!(scene.told("t").await.is_empty());
        let said: Vec<String> = scene.polls("odd", "t").await.into_keys().collect();
        assert_eq!(said, ["nothing"]);
        odd.answer(|_| Reply::Answer(200, String::new(), br#"{"id":"t","status":"completed"}"#.to_vec()));
        scene.pass(MINUTE, SECOND).await;
        assert_eq!(scene.told("t").await, ["task.completed"]);
    }

    async fn a_task_without_an_end_is_overdue_once(db: Db) {
        let sink = Sink::start().await;
        let mut scene = Scene::with(db, "", &webhook("backend", &sink.url())).await;
        let task = scene.submit("evolink", plan(End::Completed, Calls::Never, 5000), false).await;
        let within = json!({"source": "evolink", "task_id": task, "expect_within": "20m"});
        scene.app.post_api("/api/v1/tasks", within).await.expect(201);
        scene.pass(MINUTE * 19, MINUTE).await;
        assert!(scene.told(&task).await.is_empty());
        scene.pass(MINUTE * 30, MINUTE).await;
        assert_eq!(scene.told(&task).await, ["task.overdue"]);
        // It is asked for slowly from then on, and its end is told all the same.
        scene.pass(MINUTE * 100, MINUTE).await;
        assert_eq!(scene.told(&task).await, ["task.overdue", "task.processing", "task.completed"]);
        let told: Vec<Value> = sink.requests().iter().map(|request| request.json()["type"].clone()).collect();
        assert_eq!(told, ["task.overdue", "task.completed"]);
    }

    async fn a_lost_callback_costs_no_second_task_and_a_callback_that_comes_after_all_is_a_duplicate(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("evolink", plan(End::Completed, Calls::Late(MINUTE * 20), 60), true).await;
        scene.register("evolink", &task).await.expect(201);
        scene.pass(MINUTE * 10, 10 * SECOND).await;
        let told = scene.events(&task).await;
        assert_eq!((told.len(), &told[0]["data"]["observed_via"]), (1, &json!("poll")));
        scene.pass(MINUTE * 12, 10 * SECOND).await;
        assert_eq!(scene.events(&task).await, told);
        let late = scene.app.get(&format!("/api/v1/callbacks?task_id={task}")).await.expect(200);
        assert_eq!((&late.items()[0]["outcome"], &late.items()[0]["event_id"]), (&json!("duplicate"), &told[0]["id"]));
        assert_eq!(scene.provider("evolink").tasks().len(), 1);
    }

    async fn a_callback_that_is_quicker_than_its_registration_is_joined_with_it(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("evolink", plan(End::Completed, Calls::Normal, 10), true).await;
        scene.pass(15 * SECOND, SECOND).await;
        let body = json!({"source": "evolink", "task_id": task, "metadata": {"order": "42"}});
        let registered = scene.app.post_api("/api/v1/tasks", body).await.expect(201);
        assert_eq!((registered.text("status"), &registered.body["metadata"]["order"]), ("completed", &json!("42")));
        assert_eq!(scene.told(&task).await, ["task.completed"]);
    }

    async fn the_same_id_at_two_sources_is_two_tasks(db: Db) {
        let mut scene = Scene::new(db, "confirm = \"never\"").await;
        scene.call("evolink", "", json!({"id": "t", "status": "completed"})).await.expect(200);
        let other = scene.call("aivideoapi", "", json!({"id": "t", "status": "failed"})).await.expect(200);
        assert_eq!(other.text("outcome"), "accepted");
        scene.pass(SECOND, SECOND).await;
        assert_eq!(scene.task("evolink", "t").await["status"], "completed");
        assert_eq!(scene.task("aivideoapi", "t").await["status"], "failed");
    }
}
