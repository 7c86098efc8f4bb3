//! The relay: a submission that goes through it is known before its client has the answer, whatever happens then.

use std::time::Duration;

use callboard::demo::{Calls, Down, End, Faults, KeySeen, Request};
use serde_json::{Value, json};

use super::app::{ADMIN_KEY, Answer, Db, TOKEN, answer, both};
use super::scene::{PUBLIC, Scene, plan};
use super::sink::{Reply, Sink};

const SECOND: Duration = Duration::from_secs(1);

fn public() -> String {
    format!("[server]\npublic_url = \"https://{PUBLIC}\"\n")
}

/// A service that providers reach, with keys of its own or not.
async fn scene(db: Db, with_keys: bool) -> Scene {
    Scene::keyed(db, with_keys, "", &public()).await
}

impl Scene {
    /// A request through the relay, made as the documents of the provider say.
    fn creating(&self, source: &str, more: impl Fn(&mut Value)) -> reqwest::RequestBuilder {
        let submission = self.simulator.submissions().find(|submission| submission.source == source).unwrap();
        let mut body: Value = serde_json::from_slice(&submission.body).unwrap();
        let prompt = if body["input"].is_object() { &mut body["input"]["prompt"] } else { &mut body["prompt"] };
        *prompt = json!("a relayed test");
        more(&mut body);
        let url = self.app.url(&format!("/relay/{source}{}", submission.path));
        self.app.client.post(url).header("x-callboard-key", ADMIN_KEY).body(body.to_string())
    }

    fn client_key(&self, source: &str) -> String {
        format!("Bearer {}", self.provider(source).api_key.expose())
    }

    fn last_request(&self, source: &str) -> Request {
        self.provider(source).requests().pop().unwrap()
    }

    /// What the provider was given as the callback URL of its last task: the path, and the query.
    fn injected(&self, source: &str) -> (String, String) {
        let url = self.last_request(source).json()["callback_url"].as_str().unwrap().to_owned();
        let (path, query) = url.strip_prefix(&format!("https://{PUBLIC}")).unwrap().split_once('?').unwrap();
        (path.to_owned(), query.to_owned())
    }

    async fn forwards(&self, source: &str, task_id: &str) -> Vec<Value> {
        let timeline = self.task(source, task_id).await["timeline"].take();
        let forwards = timeline.as_array().unwrap().iter().filter(|entry| entry["kind"] == "forward");
        forwards.map(|entry| entry["forward"].clone()).collect()
    }

    async fn intents(&self) -> i64 {
        self.app.database.number("SELECT count(*) FROM intents").await
    }
}

fn task_of(answer: &Answer) -> String {
    answer.header("x-callboard-task").unwrap_or_else(|| panic!("no task: {answer:?}")).to_owned()
}

both! {
    async fn a_submission_through_the_relay_ends_in_its_event_by_callback_or_by_asking(db: Db) {
        for calls in [Calls::Normal, Calls::Never] {
            let mut scene = scene(db, true).await;
            for source in ["evolink", "aivideoapi", "kling3api", "api-in-one"] {
                scene.provider(source).plan_next(plan(End::Completed, calls, 240));
                let request = scene.creating(source, |_| {}).header("x-callboard-metadata-order", "42");
                let made = answer(request).await.expect(200);
                let task = task_of(&made);
                assert_eq!(scene.last_request(source).key, KeySeen::Right, "the source's own key is used");
                let shown = scene.task(source, &task).await;
                assert_eq!((&shown["status"], &shown["metadata"]), (&json!("pending"), &json!({"order": "42"})));
                scene.pass(Duration::from_secs(600), 10 * SECOND).await;
                let events = scene.events(&task).await;
                let last = events.last().unwrap_or_else(|| panic!("{source}: nothing was told"));
                assert_eq!(last["type"], "task.completed", "{source}");
                assert_eq!(last["data"]["metadata"], json!({"order": "42"}));
                let called = scene.app.get(&format!("/api/v1/callbacks?task_id={task}")).await.items().len();
                let calls_back = ["evolink", "aivideoapi"].contains(&source) && calls == Calls::Normal;
                assert_eq!(called > 0, calls_back, "{source}");
            }
        }
    }

    async fn the_callback_url_says_of_which_request_it_is(db: Db) {
        let scene = scene(db, true).await;
        answer(scene.creating("evolink", |_| {})).await.expect(200);
        let (path, query) = scene.injected("evolink");
        assert_eq!(path, format!("/callbacks/evolink/{TOKEN}"));
        assert!(query.starts_with("cb_intent=int_"), "{query}");
        // A provider that takes none is given none.
        answer(scene.creating("kling3api", |_| {})).await.expect(200);
        assert!(scene.last_request("kling3api").json()["callback_url"].is_null());
    }

    async fn nothing_is_put_in_where_providers_could_not_call(db: Db) {
        for public_url in ["", "public_url = \"http://hooks.example.com\"", "public_url = \"https://10.0.0.1\""] {
            let scene = Scene::with(db, "", &format!("[server]\n{public_url}\n")).await;
            let theirs = "https://client.example.com/done";
            let sent = scene.creating("evolink", |body| body["callback_url"] = json!(theirs)).build().unwrap();
            let bytes = sent.body().unwrap().as_bytes().unwrap().to_vec();
            let made = scene.app.client.execute(sent).await.unwrap();
            assert_eq!(made.status(), 200);
            assert_eq!(scene.last_request("evolink").body, bytes, "{public_url}: not a byte is changed");
        }
    }

    async fn what_the_provider_refuses_is_no_task(db: Db) {
        let scene = scene(db, true).await;
        let refused = answer(scene.creating("evolink", |body| body["model"] = json!(null))).await;
        assert!((400..500).contains(&refused.status), "{refused:?}");
        assert!(refused.body["error"]["code"].is_string(), "the provider's own words: {}", refused.body);
        assert_eq!(refused.header("x-callboard-task"), None);
        scene.set_faults("evolink", Faults { throttled: Some(Duration::from_secs(7)), ..Faults::default() });
        let throttled = answer(scene.creating("evolink", |_| {})).await.expect(429);
        assert_eq!(throttled.header("retry-after"), Some("7"));
        let tasks = scene.app.get("/api/v1/tasks").await.expect(200);
        assert_eq!(tasks.items().len(), 0);
    }

    async fn an_answer_that_was_lost_is_found_again_by_its_callback(db: Db) {
        let mut scene = scene(db, true).await;
        scene.provider("evolink").plan_next(plan(End::Completed, Calls::Normal, 60));
        scene.set_faults("evolink", Faults { answers_lost: true, ..Faults::default() });
        let request = scene.creating("evolink", |_| {}).header("x-callboard-metadata-order", "7");
        let lost = answer(request).await.expect(502);
        assert_eq!(lost.text("type"), "urn:callboard:problem:unreached");
        assert_eq!(scene.provider("evolink").requests().len(), 1, "a create is never tried again");
        scene.set_faults("evolink", Faults::default());
        scene.pass(Duration::from_secs(90), 5 * SECOND).await;
        let task = scene.provider("evolink").tasks()[0].id.clone();
        let events = scene.events(&task).await;
        assert_eq!(events.last().unwrap()["type"], "task.completed");
        assert_eq!(events.last().unwrap()["data"]["metadata"], json!({"order": "7"}));
        let known = scene.app.database.texts("SELECT task_id FROM intents WHERE called_back = 1").await;
        assert_eq!(known, [[task]]);
    }

    async fn a_made_up_intent_stands_for_nothing(db: Db) {
        let scene = scene(db, true).await;
        let made = answer(scene.creating("evolink", |_| {}).header("x-callboard-metadata-order", "1")).await.expect(200);
        let (_, query) = scene.injected("evolink");
        for (query, task) in [("cb_intent=int_made_up", "made-up-1"), (query.as_str(), "made-up-2")] {
            scene.call("evolink", query, json!({"id": task, "status": "processing"})).await.expect(200);
            assert_eq!(scene.task("evolink", task).await["metadata"], json!({}), "{query}");
        }
        let vouched = scene.app.database.texts("SELECT task_id FROM watches WHERE vouched = 1").await;
        assert_eq!(vouched, [[task_of(&made)]]);
    }

    async fn the_same_idempotency_key_is_the_same_request_with_the_same_url(db: Db) {
        let mut scene = scene(db, true).await;
        scene.provider("evolink").plan_next(plan(End::Completed, Calls::Normal, 60));
        scene.set_faults("evolink", Faults { answers_lost: true, ..Faults::default() });
        let create = || scene.creating("evolink", |_| {}).header("idempotency-key", "order-1");
        answer(create()).await.expect(502);
        let first = scene.injected("evolink");
        scene.set_faults("evolink", Faults::default());
        // Its callback comes before the answer, and is joined with it.
        let task = scene.provider("evolink").tasks()[0].id.clone();
        scene.call("evolink", &first.1, json!({"id": task, "status": "processing"})).await.expect(200);
        let again = answer(create().header("x-callboard-metadata-late", "1")).await.expect(200);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!((scene.injected("evolink"), task_of(&again)), (first, task.clone()));
        assert_eq!(scene.intents().await, 1);
        let other = answer(scene.creating("evolink", |_| {}).header("idempotency-key", "order-2")).await.expect(200);
        assert_ne!(task_of(&other), task);
        assert_eq!(scene.intents().await, 2);
        scene.pass(Duration::from_secs(90), 5 * SECOND).await;
        assert_eq!(scene.told(&task).await, ["task.processing", "task.completed"]);
    }

    async fn without_the_database_the_provider_is_not_asked(db: Db) {
        let scene = scene(db, true).await;
        scene.app.database.execute("ALTER TABLE intents RENAME TO away").await;
        let refused = answer(scene.creating("evolink", |_| {})).await.expect(503);
        assert!(refused.header("retry-after").is_some());
        assert_eq!(scene.provider("evolink").requests(), []);
    }

    async fn a_task_that_cannot_be_stored_is_answered_all_the_same_and_says_so(db: Db) {
        let scene = scene(db, true).await;
        scene.set_faults("evolink", Faults { down: Some(Down::Hangs), ..Faults::default() });
        let asking = tokio::spawn(answer(scene.creating("evolink", |_| {})));
        scene.provider("evolink").asked(1).await;
        scene.app.database.execute("ALTER TABLE watches RENAME TO away").await;
        scene.set_faults("evolink", Faults::default());
        let made = asking.await.unwrap().expect(200);
        assert_eq!(made.header("x-callboard-task"), Some("unrecorded"));
        assert_eq!(made.text("id"), scene.provider("evolink").tasks()[0].id);
    }

    async fn a_client_that_goes_away_leaves_a_task_that_is_known(db: Db) {
        let scene = scene(db, true).await;
        scene.set_faults("evolink", Faults { down: Some(Down::Hangs), ..Faults::default() });
        let asking = tokio::spawn(answer(scene.creating("evolink", |_| {})));
        scene.provider("evolink").asked(1).await;
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        scene.set_faults("evolink", Faults::default());
        while scene.app.get("/api/v1/tasks").await.expect(200).items().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    async fn a_clients_key_is_kept_sealed_for_its_own_task_and_until_that_ends(db: Db) {
        let mut scene = scene(db, false).await;
        for source in ["evolink", "kling3api"] {
            scene.provider(source).plan_next(plan(End::Completed, Calls::Never, 240));
            let key = scene.client_key(source);
            let made = answer(scene.creating(source, |_| {}).header("authorization", &key)).await.expect(200);
            let task = task_of(&made);
            let sealed = scene.app.database.texts("SELECT sealed_key FROM intents WHERE sealed_key IS NOT NULL").await;
            assert_eq!(sealed.len(), 1);
            assert!(sealed[0][0].starts_with("s1.") && !sealed[0][0].contains(key.trim_start_matches("Bearer ")));
            let before = scene.provider(source).requests().len();
            scene.pass(Duration::from_secs(600), 10 * SECOND).await;
            assert_eq!(scene.events(&task).await.last().unwrap()["data"]["observed_via"], "poll", "{source}");
            assert_eq!(scene.polls(source, &task).await["completed"], 1);
            let polls = scene.provider(source).requests().split_off(before);
            assert!(!polls.is_empty() && polls.iter().all(|poll| poll.key == KeySeen::Right && poll.method == "GET"));
            let kept = scene.app.database.number("SELECT count(*) FROM intents WHERE sealed_key IS NOT NULL").await;
            assert_eq!(kept, 0, "{source}: with the task's end the key is forgotten");
        }
    }

    async fn a_key_that_is_to_be_forgotten_or_was_refused_is_not_kept(db: Db) {
        let scene = Scene::keyed(db, false, "relay_keys = \"forget\"", &public()).await;
        let made = answer(scene.creating("evolink", |_| {}).header("authorization", scene.client_key("evolink"))).await;
        task_of(&made.expect(200));
        let keeping = Scene::keyed(db, false, "", &public()).await;
        answer(keeping.creating("evolink", |_| {}).header("authorization", "Bearer wrong")).await.expect(401);
        for scene in [scene, keeping] {
            assert_eq!(scene.app.database.number("SELECT count(*) FROM intents WHERE sealed_key IS NOT NULL").await, 0);
            assert_eq!(scene.intents().await, 1);
        }
    }

    async fn a_clients_own_callback_url_gets_each_callback_as_it_came(db: Db) {
        let (mut scene, client) = (scene(db, true).await, Sink::start().await);
        scene.provider("evolink").plan_next(plan(End::Completed, Calls::Normal, 60));
        let made = answer(scene.creating("evolink", |body| body["callback_url"] = json!(client.url()))).await.expect(200);
        let task = task_of(&made);
        let (path, query) = scene.injected("evolink");
        let odd = format!("{{\"id\":\"{task}\" , \"status\":\"processing\"}}");
        for _ in 0..3 {
            let url = scene.app.url(&format!("{path}?{query}"));
            let posted = scene.app.client.post(url).header("content-type", "application/json; charset=utf-8");
            answer(posted.body(odd.clone())).await.expect(200);
        }
        scene.pass(Duration::from_secs(90), 5 * SECOND).await;
        let told = client.requests();
        // The repeat is another outcome and so a row of its own; what is only counted is not handed on.
        assert_eq!(told.len(), 3, "{told:?}");
        for early in &told[..2] {
            assert_eq!(early.body, odd.as_bytes());
            assert_eq!(early.header("content-type"), Some("application/json; charset=utf-8"));
            assert_eq!(early.header("webhook-signature"), None);
        }
        let callbacks = scene.app.get(&format!("/api/v1/callbacks?task_id={task}")).await;
        let last = callbacks.items()[0]["id"].as_str().unwrap().to_owned();
        let bytes = scene.app.get(&format!("/api/v1/callbacks/{last}/body")).await.expect(200).bytes;
        assert_eq!(told[2].body, bytes);
        let forwards = scene.forwards("evolink", &task).await;
        assert_eq!(forwards.len(), 3);
        assert!(forwards.iter().all(|forward| forward["status"] == "delivered"), "{forwards:?}");
        assert_eq!(scene.told(&task).await, ["task.processing", "task.completed"]);
        // The API's deliveries are those of events.
        assert_eq!(scene.app.get("/api/v1/deliveries").await.items().len(), 0);
    }

    async fn where_no_callback_comes_the_client_gets_the_providers_answer_at_the_end(db: Db) {
        let (mut scene, client) = (scene(db, true).await, Sink::start().await);
        scene.set_faults("evolink", Faults { callbacks_cut: true, ..Faults::default() });
        // Two, so that they are asked for together.
        let mut tasks = Vec::new();
        for _ in 0..2 {
            scene.provider("evolink").plan_next(plan(End::Completed, Calls::Normal, 60));
            let made = answer(scene.creating("evolink", |body| body["callback_url"] = json!(client.url()))).await;
            tasks.push(task_of(&made.expect(200)));
        }
        scene.pass(Duration::from_secs(900), 10 * SECOND).await;
        let told = client.requests();
        assert_eq!(told.len(), 2, "{told:?}");
        for task in &tasks {
            let got = told.iter().find(|request| request.json()["id"] == json!(task)).unwrap();
            assert_eq!(got.json()["status"], "completed");
            assert_eq!(got.header("content-type"), Some("application/json"));
            let forwards = scene.forwards("evolink", task).await;
            assert_eq!((forwards.len(), forwards[0]["poll_id"].is_string()), (1, true));
        }
    }

    async fn one_client_that_fails_delays_no_other_and_is_tried_again(db: Db) {
        let mut scene = scene(db, true).await;
        let (bad, good) = (Sink::scripted(|_| Reply::status(500)).await, Sink::start().await);
        for client in [&bad, &good] {
            scene.provider("evolink").plan_next(plan(End::Completed, Calls::Normal, 60));
            answer(scene.creating("evolink", |body| body["callback_url"] = json!(client.url()))).await.expect(200);
        }
        scene.pass(Duration::from_secs(70), 5 * SECOND).await;
        assert_eq!(good.count(), 1);
        assert!(bad.count() >= 1);
        bad.answer(|_| Reply::status(200));
        scene.pass(Duration::from_secs(60), 5 * SECOND).await;
        let body = bad.requests().pop().unwrap().body;
        assert!(bad.requests().iter().all(|request| request.body == body), "each try is the same bytes");
        let open = scene.app.database.number("SELECT count(*) FROM deliveries WHERE status <> 'delivered'").await;
        assert_eq!(open, 0);
    }

    async fn a_callback_url_that_leads_inside_is_refused(db: Db) {
        let scene = Scene::with(db, "", &format!("{}[egress]\nallow = []\n", public())).await;
        let inside = answer(scene.creating("evolink", |body| body["callback_url"] = json!("http://10.0.0.1/x"))).await;
        assert!(inside.expect(422).text("detail").contains("10.0.0.1"));
        assert_eq!(scene.provider("evolink").requests(), []);
        let many = "x".repeat(2049);
        let request = scene.creating("evolink", |_| {}).header("x-callboard-metadata-order", many);
        assert!(answer(request).await.expect(422).text("field").contains("Metadata"));
        assert_eq!(scene.intents().await, 0);
    }
}
