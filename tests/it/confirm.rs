//! Confirming: an end that nobody signed is told when the provider says so too, or cannot be asked.

use std::time::Duration;

use callboard::demo::{Calls, Down, End, FORGED_HOST, Faults};
use serde_json::{Value, json};

use super::app::{Db, SECRET, TOKEN, both, webhook};
use super::scene::{Scene, plan};
use super::sink::Sink;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn failed() -> End {
    End::failed("service_error", "The service failed")
}

fn completed(task: &str) -> Value {
    json!({"id": task, "status": "completed", "results": [format!("https://{FORGED_HOST}/x.mp4")]})
}

/// The outcomes of a task's callbacks, oldest first.
async fn outcomes(scene: &Scene, task: &str) -> Vec<String> {
    let list = scene.app.get(&format!("/api/v1/callbacks?limit=250&task_id={task}")).await.expect(200);
    list.items().iter().rev().map(|row| row["outcome"].as_str().unwrap().to_owned()).collect()
}

/// Has a key find a task, so that what it does not find is not there.
async fn find_one(scene: &mut Scene, source: &str) {
    let task = scene.submit(source, plan(End::Completed, Calls::Normal, 10), true).await;
    scene.pass(12 * SECOND, SECOND).await;
    assert_eq!(scene.told(&task).await, ["task.completed"]);
}

both! {
    async fn a_forged_end_is_disputed_and_the_true_one_told(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("evolink", plan(failed(), Calls::Normal, 1200), true).await;
        scene.register("evolink", &task).await.expect(201);
        let posted = scene.call("evolink", "", completed(&task)).await.expect(200);
        assert_eq!((posted.text("outcome"), &posted.body["event_id"]), ("accepted", &json!(null)));
        let again = scene.call("evolink", "", completed(&task)).await.expect(200);
        assert_eq!((again.text("outcome"), &again.body["event_id"]), ("duplicate", &json!(null)));
        scene.pass(MINUTE * 4, 5 * SECOND).await;
        assert_eq!(scene.callback(&posted).await["outcome"], "accepted", "five minutes are not over");
        scene.pass(MINUTE * 2, 5 * SECOND).await;
        let kept = scene.callback(&posted).await;
        assert_eq!((&kept["outcome"], &kept["detail"]), (&json!("disputed"), &json!("the provider, when asked, denied it")));
        let asks = scene.asks("evolink").len();
        assert!((20..=23).contains(&asks), "every 15 s for five minutes: {asks}");
        scene.pass(MINUTE * 16, 10 * SECOND).await;
        assert_eq!(scene.told(&task).await, ["task.processing", "task.failed"]);
        assert_eq!(outcomes(&scene, &task).await, ["disputed", "duplicate", "accepted"]);
    }

    async fn a_forger_who_knows_every_task_changes_no_end(db: Db) {
        let mut scene = Scene::new(db, "").await;
        for source in ["evolink", "aivideoapi"] {
            for (seconds, end) in [(40, failed()), (1800, failed()), (1800, End::Completed)] {
                let expected = end.status();
                let task = scene.submit(source, plan(end, Calls::Forged, seconds), true).await;
                scene.pass(Duration::from_secs(seconds + 60), 10 * SECOND).await;
                let events = scene.events(&task).await;
                let ends: Vec<_> = events.iter().filter(|event| event["type"] != "task.processing").collect();
                assert_eq!(ends.len(), 1, "{source}: {events:?}");
                assert_eq!(ends[0]["data"]["status"], json!(expected), "{source}");
                assert!(!ends[0].to_string().contains(FORGED_HOST), "{source}: {}", ends[0]);
            }
        }
    }

    async fn a_true_callback_after_a_disputed_one_is_told_at_once(db: Db) {
        let mut scene = Scene::new(db, "poll = { every = \"10m\" }").await;
        let task = scene.submit("evolink", plan(End::Completed, Calls::Normal, 900), true).await;
        scene.register("evolink", &task).await.expect(201);
        scene.call("evolink", "", completed(&task)).await.expect(200);
        scene.pass(MINUTE * 15 - 10 * SECOND, 5 * SECOND).await;
        assert_eq!(outcomes(&scene, &task).await, ["disputed"]);
        scene.pass(11 * SECOND, SECOND).await;
        let events = scene.events(&task).await;
        assert_eq!(events.last().unwrap()["type"], "task.completed");
        assert_eq!(outcomes(&scene, &task).await, ["disputed", "accepted"]);
        let list = scene.app.get(&format!("/api/v1/callbacks?task_id={task}")).await.expect(200);
        assert_eq!(list.items()[0]["event_id"], events.last().unwrap()["id"]);
    }

    async fn five_callbacks_at_once_are_one_question_and_one_event(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("aivideoapi", plan(End::Completed, Calls::FiveAtOnce, 60), true).await;
        scene.pass(MINUTE + 5 * SECOND, SECOND).await;
        assert_eq!(scene.told(&task).await, ["task.completed"]);
        assert_eq!(scene.asks("aivideoapi").len(), 1);
        assert_eq!(outcomes(&scene, &task).await, ["accepted", "duplicate"]);
        let callbacks = scene.app.get(&format!("/api/v1/callbacks?task_id={task}")).await.expect(200);
        assert_eq!(callbacks.items()[1]["event_id"], scene.events(&task).await[0]["id"]);
    }

    async fn contrary_claims_share_one_question_and_the_false_one_is_disputed(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("aivideoapi", plan(failed(), Calls::Never, 10), true).await;
        scene.app.advance(20 * SECOND);
        let first = scene.call("aivideoapi", "", json!({"id": task, "status": "completed"})).await.expect(200);
        let second = scene.call("aivideoapi", "", json!({"id": task, "status": "failed"})).await.expect(200);
        assert_eq!((first.text("outcome"), second.text("outcome")), ("accepted", "accepted"));
        scene.pass(5 * SECOND, SECOND).await;
        assert_eq!((scene.told(&task).await, scene.asks("aivideoapi").len()), (vec!["task.failed".to_owned()], 1));
        assert_eq!(outcomes(&scene, &task).await, ["disputed", "accepted"]);
    }

    async fn callbacks_out_of_order_or_late_tell_one_end(db: Db) {
        let mut scene = Scene::new(db, "").await;
        for calls in [Calls::OutOfOrder, Calls::Late(MINUTE * 3)] {
            let task = scene.submit("evolink", plan(End::Completed, calls, 60), true).await;
            scene.pass(MINUTE * 5, SECOND).await;
            assert_eq!(scene.told(&task).await, ["task.completed"], "{calls:?}");
            let expected = if calls == Calls::OutOfOrder { vec!["accepted", "stale"] } else { vec!["accepted"] };
            assert_eq!(outcomes(&scene, &task).await, expected);
        }
    }

    async fn a_replica_that_lags_behind_delays_the_end_and_denies_nothing(db: Db) {
        let mut scene = Scene::new(db, "confirm_within = \"10s\"").await;
        let task = scene.submit("aivideoapi", plan(End::Completed, Calls::Lagging(40 * SECOND), 60), true).await;
        scene.pass(MINUTE * 3, SECOND).await;
        let events = scene.events(&task).await;
        let told: Vec<_> = events.iter().map(|event| (&event["type"], &event["data"]["confirmed"])).collect();
        assert_eq!(told, [(&json!("task.processing"), &json!(true)), (&json!("task.completed"), &json!(true))]);
        assert_eq!(scene.polls("aivideoapi", &task).await, [("processing".to_owned(), 3), ("completed".to_owned(), 1)].into());
        assert_eq!(outcomes(&scene, &task).await, ["accepted"]);
    }

    async fn a_key_that_is_refused_has_the_end_told_unconfirmed_and_shows_itself(db: Db) {
        for (faults, reason) in [
            (Faults { key_refused: true, ..Faults::default() }, "HTTP 401"),
            (Faults { address_refused: true, ..Faults::default() }, "HTTP 403, `ip_not_allowed`"),
        ] {
            let mut scene = Scene::new(db, "").await;
            scene.set_faults("aivideoapi", faults);
            let task = scene.submit_refused("aivideoapi", plan(End::Completed, Calls::Normal, 60)).await;
            let since = scene.app.now().after(MINUTE);
            scene.pass(MINUTE + 2 * SECOND, SECOND).await;
            let events = scene.events(&task).await;
            assert_eq!((events.len(), &events[0]["data"]["confirmed"]), (1, &json!(false)), "{events:?}");
            assert_eq!(events[0]["data"]["observed_via"], "callback");
            let source = scene.source("aivideoapi").await;
            assert!(source["refused_reason"].as_str().unwrap().starts_with(reason), "{source}");
            assert_eq!(source["refused_since"], json!(since));
            let list = scene.app.get("/api/v1/sources").await.expect(200);
            let shown = list.items().iter().find(|one| one["name"] == "aivideoapi").unwrap();
            assert_eq!(shown["refused_since"], source["refused_since"]);
            assert_eq!(scene.source("evolink").await["refused_since"], json!(null));
            // Mended, it is confirmed all the same.
            scene.set_faults("aivideoapi", Faults::default());
            scene.pass(MINUTE * 130, MINUTE).await;
            assert_eq!(scene.source("aivideoapi").await["refused_reason"], json!(null));
            assert_eq!(scene.task("aivideoapi", &task).await["confirmed"], json!(true));
            assert_eq!(scene.told(&task).await.len(), 1);
        }
    }

    async fn always_never_tells_what_nobody_confirmed(db: Db) {
        for faults in [
            Faults { key_refused: true, ..Faults::default() },
            Faults { address_refused: true, ..Faults::default() },
            Faults { down: Some(Down::Unavailable), ..Faults::default() },
            Faults { throttled: Some(MINUTE), ..Faults::default() },
        ] {
            let mut scene = Scene::new(db, "confirm = \"always\"").await;
            scene.set_faults("evolink", faults);
            let task = scene.submit_refused("evolink", plan(End::Completed, Calls::Normal, 60)).await;
            scene.pass(MINUTE * 30, 10 * SECOND).await;
            assert!(scene.told(&task).await.is_empty(), "{faults:?}");
            scene.set_faults("evolink", Faults::default());
            scene.pass(MINUTE * 3, SECOND).await;
            assert_eq!(scene.told(&task).await, ["task.completed"], "{faults:?}");
            assert_eq!(scene.events(&task).await[0]["data"]["confirmed"], json!(true));
        }
    }

    async fn where_the_provider_is_down_the_end_is_told_unconfirmed_after_confirm_within(db: Db) {
        let mut scene = Scene::new(db, "confirm_within = \"4m\"").await;
        scene.set_faults("evolink", Faults { down: Some(Down::Closed), ..Faults::default() });
        let task = scene.submit_refused("evolink", plan(End::Completed, Calls::Normal, 60)).await;
        scene.pass(MINUTE * 5 - SECOND, SECOND).await;
        assert!(scene.told(&task).await.is_empty());
        scene.pass(2 * SECOND, SECOND).await;
        assert_eq!(scene.events(&task).await[0]["data"]["confirmed"], json!(false));
        scene.set_faults("evolink", Faults::default());
        scene.pass(MINUTE * 2, SECOND).await;
        assert_eq!(scene.task("evolink", &task).await["confirmed"], json!(true));
        assert_eq!(scene.told(&task).await, ["task.completed"]);
    }

    async fn an_unconfirmed_end_that_was_false_is_a_conflict_for_all_who_had_it(db: Db) {
        let (first, other) = (Sink::start().await, Sink::start().await);
        let quiet = webhook("quiet", &other.url()) + "events = [\"task.completed\"]\n";
        let mut scene = Scene::with(db, "", &(webhook("backend", &first.url()) + &quiet)).await;
        scene.set_faults("aivideoapi", Faults { key_refused: true, ..Faults::default() });
        let task = scene.submit_refused("aivideoapi", plan(failed(), Calls::Forged, 60)).await;
        scene.pass(MINUTE * 2, SECOND).await;
        assert_eq!(scene.told(&task).await, ["task.completed"]);
        assert_eq!(outcomes(&scene, &task).await, ["accepted", "conflict"]);
        scene.set_faults("aivideoapi", Faults::default());
        scene.pass(MINUTE * 61, MINUTE).await;
        let events = scene.events(&task).await;
        assert_eq!(scene.told(&task).await, ["task.completed", "task.conflict"]);
        let data = &events[1]["data"];
        assert_eq!((&data["recorded_status"], &data["claimed_status"]), (&json!("completed"), &json!("failed")));
        for sink in [first, other] {
            let types: Vec<Value> = sink.requests().iter().map(|request| request.json()["type"].clone()).collect();
            assert_eq!(types, ["task.completed", "task.conflict"]);
        }
        scene.call("aivideoapi", "", json!({"id": task, "status": "cancelled"})).await;
        scene.call("aivideoapi", "again=1", json!({"id": task, "status": "failed"})).await.expect(200);
        scene.pass(MINUTE, SECOND).await;
        assert_eq!(scene.told(&task).await.len(), 2, "it is told once");
    }

    async fn a_made_up_task_is_disputed_and_no_longer_watched(db: Db) {
        let mut scene = Scene::new(db, "").await;
        find_one(&mut scene, "aivideoapi").await;
        let posted = scene.call("aivideoapi", "", json!({"id": "made-up", "status": "completed"})).await.expect(200);
        scene.pass(MINUTE * 4, 5 * SECOND).await;
        assert_eq!(scene.callback(&posted).await["outcome"], "accepted");
        scene.pass(MINUTE * 2, 5 * SECOND).await;
        assert_eq!(scene.callback(&posted).await["outcome"], "disputed");
        let asked = scene.asks("aivideoapi").len();
        scene.pass(MINUTE * 60 * 30, 10 * MINUTE).await;
        assert_eq!(scene.asks("aivideoapi").len(), asked);
        assert!(scene.told("made-up").await.is_empty());
        let again = scene.call("aivideoapi", "", json!({"id": "made-up", "status": "completed"})).await.expect(200);
        assert_eq!((again.text("outcome"), &again.body["callback_id"]), ("disputed", &posted.body["callback_id"]));
        assert_eq!(scene.source("aivideoapi").await["refused_since"], json!(null));
    }

    async fn a_key_that_has_found_nothing_yet_cannot_deny_anything(db: Db) {
        let mut scene = Scene::new(db, "").await;
        scene.call("aivideoapi", "", json!({"id": "not-ours", "status": "completed"})).await.expect(200);
        scene.pass(5 * SECOND, SECOND).await;
        let events = scene.events("not-ours").await;
        assert_eq!((events.len(), &events[0]["data"]["confirmed"]), (1, &json!(false)));
        let source = scene.source("aivideoapi").await;
        assert!(source["refused_reason"].as_str().unwrap().contains("api_key"), "{source}");
    }

    async fn another_key_has_found_nothing_yet(db: Db) {
        let mut scene = Scene::new(db, "").await;
        find_one(&mut scene, "aivideoapi").await;
        // The key of another account, at which no task of ours is.
        let other = scene.provider("kling3api");
        let (url, key) = (other.base_url.clone(), other.api_key.expose().to_owned());
        let ours = scene.provider("aivideoapi");
        let (old_url, old_key) = (ours.base_url.clone(), ours.api_key.expose().to_owned());
        scene.restart(|config| config.replace(&old_url, &url).replace(&old_key, &key)).await;
        scene.call("aivideoapi", "", json!({"id": "a-true-one", "status": "completed"})).await.expect(200);
        scene.pass(5 * SECOND, SECOND).await;
        assert_eq!(scene.events("a-true-one").await[0]["data"]["confirmed"], json!(false));
    }

    async fn a_task_that_is_registered_is_there_even_if_the_provider_does_not_find_it(db: Db) {
        let mut scene = Scene::new(db, "").await;
        find_one(&mut scene, "evolink").await;
        scene.register("evolink", "of-another-account").await.expect(201);
        scene.pass(MINUTE * 10, 10 * SECOND).await;
        assert!(scene.polls("evolink", "of-another-account").await["not_found"] >= 4);
        assert!(scene.told("of-another-account").await.is_empty());
        scene.call("evolink", "", completed("of-another-account")).await.expect(200);
        scene.pass(5 * SECOND, SECOND).await;
        assert_eq!(scene.events("of-another-account").await[0]["data"]["confirmed"], json!(false));
        let source = scene.source("evolink").await;
        assert!(source["refused_reason"].as_str().unwrap().contains("does not know"), "{source}");
    }

    async fn a_task_id_that_is_used_again_is_a_conflict_and_says_why(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("aivideoapi", plan(End::Completed, Calls::Normal, 10), true).await;
        scene.pass(15 * SECOND, SECOND).await;
        let created_at = scene.app.now().0 / 1000 + 86_400;
        let body = json!({"id": task, "status": "failed", "created_at": created_at});
        let posted = scene.call("aivideoapi", "", body).await.expect(200);
        assert_eq!(posted.text("outcome"), "conflict");
        let kept = scene.callback(&posted).await;
        assert!(kept["detail"].as_str().unwrap().starts_with("id_reused"), "{kept}");
        scene.pass(MINUTE, SECOND).await;
        assert_eq!(scene.told(&task).await, ["task.completed"]);
    }

    async fn never_believes_what_comes_and_does_not_ask(db: Db) {
        let mut scene = Scene::new(db, "confirm = \"never\"").await;
        let posted = scene.call("evolink", "", completed("t")).await.expect(200);
        assert!(posted.body["event_id"].is_string(), "{}", posted.body);
        scene.pass(MINUTE, SECOND).await;
        assert_eq!((scene.events("t").await[0]["data"]["confirmed"].clone(), scene.asks("evolink").len()), (json!(false), 0));
    }

    async fn a_source_that_signs_is_believed_and_refuses_what_is_not_signed(db: Db) {
        let source = format!(
            "[sources.replicate]\nprovider = \"replicate\"\ncallback_token = \"{TOKEN}\"\nsigning_secret = \"{SECRET}\"\napi_key = \"k\"\n"
        );
        let mut scene = Scene::with(db, "", &source).await;
        let unsigned = scene.call("replicate", "", json!({"id": "t", "status": "succeeded"})).await;
        assert_eq!(unsigned.status, 401);
        let signed = scene.app.signed("t", "succeeded").await.expect(200);
        assert!(signed.body["event_id"].is_string());
        scene.pass(SECOND, SECOND).await;
        assert_eq!(scene.events("t").await[0]["data"]["confirmed"], json!(true));
    }
}
