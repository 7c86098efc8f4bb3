//! Deliveries: when they are tried, what each answer of a destination means, and what they carry.

use std::sync::Arc;
use std::time::Duration;

use callboard::domain::clock::{Clock, ManualClock, SystemClock, Timestamp};
use callboard::domain::secret::Secret;
use callboard::domain::signature::standard_webhooks;
use callboard::flow::notice::Notice;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{Database, Db, SECRET, START, TestApp, both, webhook};
use crate::sink::{Reply, Sink};

const SECOND: Duration = Duration::from_secs(1);

/// Rows of this destination as (status, attempts).
async fn states(app: &TestApp, destination: &str) -> Vec<(String, u64)> {
    let rows = app.deliveries(destination).await;
    rows.iter().map(|row| (row["status"].as_str().unwrap().to_owned(), row["attempts"].as_u64().unwrap())).collect()
}

fn state(status: &str, attempts: u64) -> (String, u64) {
    (status.to_owned(), attempts)
}

fn time(value: &Value) -> Timestamp {
    Timestamp::parse(value.as_str().unwrap()).unwrap()
}

both! {
    async fn a_failure_is_tried_again_on_schedule_and_then_is_dead(db: Db) {
        let sink = Sink::scripted(|_| Reply::Answer(500, String::new(), vec![b'x'; 20_000])).await;
        let config = webhook("backend", &sink.url()) + "[delivery]\nretry = [\"5s\", \"30s\"]\n";
        let mut app = TestApp::new(db, &config).await;
        app.evolink("t", "completed").await.expect(200);
        let mut before = START;
        for (attempt, wait) in [(1, 5), (2, 30)] {
            assert_eq!(app.tick_all().await, 1, "attempt {attempt}");
            let row = app.deliveries("backend").await[0].clone();
            assert_eq!((&row["status"], &row["attempts"]), (&json!("pending"), &json!(attempt)));
            let (due_at, wait) = (time(&row["due_at"]), Duration::from_secs(wait));
            assert!((before.after(wait)..=before.after(wait.mul_f64(1.2))).contains(&due_at), "{due_at}");
            app.advance(wait - Duration::from_millis(1));
            assert_eq!(app.tick_all().await, 0, "too early");
            app.advance(due_at.since(app.now()));
            before = app.now();
        }
        assert_eq!(app.tick_all().await, 1);
        let shown = app.delivery(&app.deliveries("backend").await[0]).await;
        assert_eq!((&shown["status"], &shown["reason"]), (&json!("dead"), &json!("answered 500")));
        assert_eq!(time(&shown["finished_at"]), app.now());
        let attempts = shown["attempts"].as_array().unwrap();
        assert_eq!(attempts.iter().map(|a| a["number"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(attempts[0]["response"].as_str().unwrap(), "x".repeat(16 * 1024));
        assert_eq!((&attempts[0]["status_code"], &attempts[0]["outcome"]), (&json!(500), &json!("failed")));
        assert_eq!((time(&attempts[1]["started_at"]), &attempts[2]["next_at"]), (time(&attempts[0]["next_at"]), &json!(null)));
        app.advance(Duration::from_secs(1_000_000));
        assert_eq!(app.tick_all().await, 0);

        sink.answer(|_| Reply::status(204));
        let id = shown["id"].as_str().unwrap();
        app.post_api(&format!("/api/v1/deliveries/{id}/retry"), json!({})).await.expect(202);
        app.tick_all().await;
        assert_eq!(states(&app, "backend").await, [state("delivered", 4)]);
        app.post_api(&format!("/api/v1/deliveries/{id}/retry"), json!({})).await.expect(409);
    }

    async fn a_delivery_that_is_given_up_is_dead_until_it_is_tried_again(db: Db) {
        let sink = Sink::scripted(|_| Reply::status(500)).await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        app.evolink("task-1", "completed").await.expect(200);
        assert_eq!(app.tick_all().await, 1);
        let id = app.deliveries("backend").await[0]["id"].as_str().unwrap().to_owned();
        let path = |what: &str| format!("/api/v1/deliveries/{id}/{what}");
        let given_up = app.post_api(&path("give-up"), json!({})).await.expect(202);
        assert_eq!(given_up.body, json!({"id": id, "status": "dead"}));
        let shown = app.get(&format!("/api/v1/deliveries/{id}")).await.expect(200);
        assert_eq!((shown.text("status"), shown.text("reason")), ("dead", "given up by server.admin_key"));
        app.post_api(&path("give-up"), json!({})).await.expect(409);
        app.advance(Duration::from_secs(1_000_000));
        assert_eq!(app.tick_all().await, 0);
        let noted = app.get("/api/v1/audit?action=delivery.give_up").await.expect(200);
        assert_eq!(noted.items()[0]["object"].as_str(), Some(id.as_str()));

        app.post_api(&path("retry"), json!({})).await.expect(202);
        assert_eq!(app.tick_all().await, 1);
        app.post_api("/api/v1/deliveries/dlv_none/give-up", json!({})).await.expect(404);
    }

    async fn those_who_failed_together_do_not_come_back_together(db: Db) {
        let sink = Sink::scripted(|_| Reply::Close).await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        let ids: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
        join_all(ids.iter().map(|id| app.evolink(id, "completed"))).await;
        assert_eq!(app.tick_all().await, 20);
        let mut due: Vec<_> = app.deliveries("backend").await.iter().map(|row| time(&row["due_at"])).collect();
        due.sort();
        due.dedup();
        assert!(due.len() > 5, "{due:?}");
        assert!(due.iter().all(|at| (5000..=6000).contains(&at.since(START).as_millis())), "{due:?}");
    }

    async fn a_throttle_pauses_the_destination_and_costs_nothing(db: Db) {
        let sink = Sink::start().await;
        let config = webhook("backend", &sink.url()) + "[delivery]\nretry = [\"5s\"]\n";
        let mut app = TestApp::new(db, &config).await;
        app.evolink("t", "completed").await.expect(200);
        // More often than the schedule has steps.
        for (n, reply) in [429, 503, 429, 503].into_iter().enumerate() {
            sink.answer(move |_| Reply::retry_after(reply, 7));
            assert_eq!(app.tick_all().await, 1, "{n}");
            app.evolink(&format!("u{n}"), "completed").await.expect(200);
            app.advance(7 * SECOND - Duration::from_millis(1));
            assert_eq!(app.tick_all().await, 0, "the whole destination rests");
            app.advance(Duration::from_millis(1));
        }
        let shown = app.get("/api/v1/destinations/backend").await.expect(200);
        assert_eq!(shown.text("paused_until"), "2026-04-01T00:00:28Z");
        sink.answer(|_| Reply::status(200));
        assert_eq!(app.tick_all().await, 5);
        assert!(states(&app, "backend").await.iter().all(|(status, _)| status == "delivered"));
        // A 503 that does not say when is a failure like any other.
        sink.answer(|_| Reply::status(503));
        app.evolink("v", "completed").await.expect(200);
        for _ in 0..2 {
            assert_eq!(app.tick_all().await, 1);
            app.advance(6 * SECOND);
        }
        assert_eq!(states(&app, "backend").await[0], state("dead", 2));
    }

    async fn what_is_for_a_destination_that_is_gone_is_held_until_somebody_enables_it(db: Db) {
        let sink = Sink::scripted(|_| Reply::status(410)).await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        app.evolink("a", "completed").await.expect(200);
        app.tick_all().await;
        let shown = app.get("/api/v1/destinations/backend").await;
        assert_eq!((shown.text("status"), shown.text("disabled_reason")), ("disabled", "answered 410"));
        app.evolink("b", "completed").await.expect(200);
        assert_eq!(states(&app, "backend").await, [state("held", 0), state("held", 1)]);
        app.advance(Duration::from_secs(30 * 86_400));
        assert_eq!(app.tick_all().await, 0);

        sink.answer(|_| Reply::status(200));
        let enabled = app.post_api("/api/v1/destinations/backend/enable", json!({"held": "send"})).await.expect(200);
        assert_eq!(enabled.body["sent"], 2);
        assert_eq!(app.tick_all().await, 2);
        assert_eq!(states(&app, "backend").await, [state("delivered", 1), state("delivered", 2)]);

        sink.answer(|_| Reply::status(410));
        app.evolink("c", "completed").await.expect(200);
        app.tick_all().await;
        app.evolink("d", "completed").await.expect(200);
        let enabled = app.post_api("/api/v1/destinations/backend/enable", json!({"held": "drop"})).await.expect(200);
        assert_eq!(enabled.body["dropped"], 2);
        assert_eq!(states(&app, "backend").await[..2], [state("dead", 0), state("dead", 1)]);
        assert_eq!((app.tick_all().await, sink.count()), (0, 4));
    }

    async fn a_destination_that_only_fails_is_disabled_after_five_failures_and_the_time(db: Db) {
        let sink = Sink::scripted(|_| Reply::status(500)).await;
        let delivery = "[delivery]\ndisable_after = \"1h\"\nretry = [\"2h\", \"2h\", \"2h\", \"2h\", \"2h\", \"2h\"]\n";
        let mut app = TestApp::new(db, &(webhook("backend", &sink.url()) + delivery)).await;
        app.evolink("t", "completed").await.expect(200);
        for failure in 1..=4 {
            assert_eq!(app.tick_all().await, 1);
            assert_eq!(states(&app, "backend").await, [state("pending", failure)]);
            app.advance(Duration::from_secs(3 * 3600));
        }
        assert_eq!(app.get("/api/v1/destinations/backend").await.text("status"), "enabled");
        assert_eq!(app.tick_all().await, 1);
        assert_eq!(states(&app, "backend").await, [state("held", 5)]);
        let shown = app.get("/api/v1/destinations/backend").await;
        assert_eq!(shown.text("disabled_reason"), "only failures since 2026-04-01T00:00:00Z");
    }

    async fn one_success_ends_the_count_of_failures(db: Db) {
        let sink = Sink::scripted(|_| Reply::status(500)).await;
        let delivery = "[delivery]\ndisable_after = \"1h\"\nretry = [\"2h\", \"2h\", \"2h\", \"2h\", \"2h\", \"2h\", \"2h\"]\n";
        let mut app = TestApp::new(db, &(webhook("backend", &sink.url()) + delivery)).await;
        app.evolink("t", "completed").await.expect(200);
        for _ in 1..=4 {
            app.tick_all().await;
            app.advance(Duration::from_secs(3 * 3600));
        }
        app.evolink("u", "completed").await.expect(200);
        sink.answer(|request| Reply::status(if request.json()["data"]["task_id"] == "u" { 200 } else { 500 }));
        app.tick_all().await;
        assert_eq!(app.get("/api/v1/destinations/backend").await.text("status"), "enabled");
        assert_eq!(states(&app, "backend").await, [state("delivered", 1), state("pending", 5)]);
    }

    async fn an_end_drops_the_earlier_step_that_was_not_delivered(db: Db) {
        let sink = Sink::scripted(|_| Reply::status(500)).await;
        let config = webhook("backend", &sink.url()) + "events = [\"task.processing\", \"task.completed\"]\n";
        let mut app = TestApp::new(db, &config).await;
        app.evolink("tried", "processing").await.expect(200);
        app.tick_all().await;
        sink.answer(|_| Reply::status(200));
        for (task, status) in [("tried", "completed"), ("both", "processing"), ("both", "completed"), ("begun", "processing")] {
            app.evolink(task, status).await.expect(200);
        }
        app.advance(10 * SECOND);
        app.tick_all().await;
        let mut sent: Vec<String> = sink.requests()[1..].iter().map(|request| {
            let event = request.json();
            format!("{} {}", event["data"]["task_id"].as_str().unwrap(), event["type"].as_str().unwrap())
        }).collect();
        sent.sort();
        assert_eq!(sent, ["begun task.processing", "both task.completed", "tried task.completed"]);
        let dropped = app.get("/api/v1/deliveries?status=dead").await;
        assert_eq!(dropped.items().len(), 2);
        for row in dropped.items() {
            assert!(row["reason"].as_str().unwrap().starts_with("not sent: a later event"), "{row}");
        }
    }

    async fn a_destination_that_hangs_delays_nobody_else(db: Db) {
        let (good, stuck) = (Sink::start().await, Sink::scripted(|_| Reply::Hang).await);
        let config = webhook("good", &good.url()) + &webhook("stuck", &stuck.url());
        let app = TestApp::new(db, &config).await;
        let mut notices = app.notices.watch();
        app.life.spawn(app.another_dispatcher("another").run());
        let ids: Vec<String> = (0..50).map(|n| format!("t{n}")).collect();
        join_all(ids.iter().map(|id| app.evolink(id, "completed"))).await;
        good.wait_for(50).await;
        assert!(stuck.count() <= 8, "no more than its concurrency");
        stuck.release();
        let mut delivered = 0;
        while delivered < 100 {
            if let Notice::Attempt { outcome: "delivered", .. } = notices.recv().await.unwrap() {
                delivered += 1;
            }
        }
        assert_eq!((good.count(), stuck.count()), (50, 50));
    }

    async fn a_webhook_carries_the_stored_bytes_and_verifies(db: Db) {
        let sink = Sink::start().await;
        // The public library reads the system's clock.
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let config = webhook("backend", &sink.url());
        let mut app = TestApp::on(Arc::new(Database::fresh(db)), clock, &config).await;
        let body = json!({"id": "täsk", "status": "completed", "model": "a\"b\\c 春"}).to_string();
        let posted = app.post("evolink", "campaign=%E6%98%A5", body, &[]).await.expect(200);
        app.tick_all().await;
        let told = sink.requests().remove(0);
        let stored = app.database.texts("SELECT body FROM events").await.remove(0).remove(0);
        assert_eq!(told.body, stored.as_bytes());
        assert_eq!(told.header("webhook-id"), posted.body["event_id"].as_str());
        assert_eq!((told.header("content-type"), told.header("callboard-replay")), (Some("application/json"), None));
        let mut headers = reqwest::header::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, told.header(name).unwrap().parse().unwrap());
        }
        standardwebhooks::Webhook::new(SECRET).unwrap().verify(&told.body, &headers).unwrap();
        let other = standardwebhooks::Webhook::new("whsec_b3RoZXJzZWNyZXRvdGhlcnNlY3JldG90aGVy").unwrap();
        other.verify(&told.body, &headers).unwrap_err();
    }

    async fn while_a_secret_is_rotated_there_are_two_signatures(db: Db) {
        let sink = Sink::start().await;
        let other = "whsec_b3RoZXJzZWNyZXRvdGhlcnNlY3JldG90aGVy";
        let one = webhook("backend", &sink.url());
        let config = one.replace(&format!("\"{SECRET}\""), &format!("[\"{other}\", \"{SECRET}\"]"));
        let mut app = TestApp::new(db, &config).await;
        let posted = app.evolink("t", "completed").await.expect(200);
        app.tick_all().await;
        let told = sink.requests().remove(0);
        let signatures = [other, SECRET].map(|secret| {
            standard_webhooks(&Secret::new(secret), posted.text("event_id"), START.0 / 1000, &told.body).unwrap()
        });
        assert_eq!(told.header("webhook-signature"), Some(signatures.join(" ").as_str()));
    }

    async fn slack_is_told_in_blocks_one_a_second(db: Db) {
        let sink = Sink::scripted(|_| Reply::Answer(200, String::new(), b"ok".to_vec())).await;
        let config = format!(
            "[destinations.chat]\nteam = \"ops\"\nchannel = \"slack\"\nurl = \"{}\"\n[[subscriptions]]\ndestination = \"chat\"\n",
            sink.url()
        );
        let mut app = TestApp::new(db, &config).await;
        for task in ["a", "b"] {
            app.evolink(task, "completed").await.expect(200);
        }
        assert_eq!(app.tick_all().await, 1);
        app.advance(SECOND);
        assert_eq!(app.tick_all().await, 1);
        for told in sink.requests() {
            let message = told.json();
            assert!(message["text"].as_str().unwrap().contains("completed"), "{message}");
            assert!(!message["blocks"].as_array().unwrap().is_empty(), "{message}");
        }
        sink.answer(|_| Reply::Answer(404, String::new(), b"no_service".to_vec()));
        app.evolink("c", "completed").await.expect(200);
        app.advance(SECOND);
        app.tick_all().await;
        assert_eq!(app.get("/api/v1/destinations/chat").await.text("status"), "disabled");
    }

    async fn a_replay_is_the_same_event_and_says_so(db: Db) {
        let (one, two, elsewhere) = (Sink::start().await, Sink::start().await, Sink::start().await);
        let config = webhook("one", &one.url()) + &webhook("two", &two.url()) + "sources = [\"replicate\"]\n";
        let mut app = TestApp::new(db, &config).await;
        let posted = app.evolink("t", "completed").await.expect(200);
        app.tick_all().await;
        let path = format!("/api/v1/events/{}/replay", posted.text("event_id"));
        let mut replays = Vec::new();
        for to in [json!({}), json!({"destination": "two"}), json!({"url": elsewhere.url()}), json!({})] {
            let replayed = app.post_api(&path, to).await.expect(202);
            assert_eq!(replayed.body["deliveries"].as_array().unwrap().len(), 1);
            replays.push(replayed.text("replay_id").to_owned());
            assert_eq!(app.tick_all().await, 1);
        }
        let sent: Vec<_> = [&one, &two, &elsewhere].map(|sink| sink.requests()).into_iter().flatten().collect();
        let of: Vec<_> = sent.iter().map(|request| request.header("callboard-replay").unwrap_or("first")).collect();
        assert_eq!(of, ["first", &replays[0], &replays[3], &replays[1], &replays[2]]);
        assert!(replays.iter().all(|id| id.starts_with("rpl_")));
        for request in &sent {
            assert_eq!(request.header("webhook-id"), posted.body["event_id"].as_str());
            assert_eq!(request.body, sent[0].body);
            assert!(request.header("webhook-signature").unwrap().starts_with("v1,"));
        }
        for (to, field) in [
            (json!({"destination": "three"}), "destination"),
            (json!({"url": "ftp://example.com"}), "url"),
            (json!({"url": "http://10.0.0.1/"}), "url"),
            (json!({"url": "https://example.com", "destination": "one"}), "url"),
        ] {
            assert_eq!(app.post_api(&path, to).await.expect(422).text("field"), field);
        }
        app.post_api("/api/v1/events/evt_none/replay", json!({})).await.expect(404);
    }

    async fn the_urls_of_replays_do_not_stand_in_each_others_way(db: Db) {
        let (gone, busy, well) = (Sink::start().await, Sink::start().await, Sink::start().await);
        gone.answer(|_| Reply::status(410));
        busy.answer(|_| Reply::retry_after(429, 3600));
        let mut app = TestApp::new(db, "").await;
        let posted = app.evolink("t", "completed").await.expect(200);
        let path = format!("/api/v1/events/{}/replay", posted.text("event_id"));
        let mut ends = Vec::new();
        for sink in [&gone, &busy, &well] {
            let replayed = app.post_api(&path, json!({"url": sink.url()})).await.expect(202);
            app.tick_all().await;
            let id = replayed.body["deliveries"][0].as_str().unwrap().to_owned();
            ends.push(app.get(&format!("/api/v1/deliveries/{id}")).await.text("status").to_owned());
        }
        // Nobody could enable a URL that is no destination's.
        assert_eq!(ends, ["dead", "pending", "delivered"]);
    }
}

/// 5,000 events for a destination that takes one a second. On one database: what is at stake is the
/// lane and the settlement, which know nothing of the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_destination_gets_everything_and_nothing_dies() {
    const EVENTS: usize = 5000;
    let clock = Arc::new(ManualClock::new(START));
    let mut free_at = START;
    let its_clock = Arc::clone(&clock);
    let sink = Sink::scripted(move |_| {
        let now = its_clock.now();
        if now < free_at {
            return Reply::retry_after(429, 1);
        }
        free_at = now.after(SECOND);
        Reply::status(200)
    })
    .await;
    let config = webhook("backend", &sink.url()) + "[delivery]\nretry = [\"5s\"]\n";
    let mut app = TestApp::on(Arc::new(Database::fresh(Db::Sqlite)), clock, &config).await;
    let ids: Vec<String> = (0..EVENTS).map(|n| format!("t{n}")).collect();
    for some in ids.chunks(250) {
        for posted in join_all(some.iter().map(|id| app.evolink(id, "completed"))).await {
            posted.expect(200);
        }
    }
    let mut seconds = 0;
    let pending = "SELECT count(*) FROM deliveries WHERE status = 'pending'";
    while seconds < EVENTS || app.database.number(pending).await > 0 {
        assert!(seconds < 2 * EVENTS, "it takes one a second");
        app.tick().await;
        app.advance(SECOND);
        seconds += 1;
    }
    assert_eq!(app.database.number("SELECT count(*) FROM deliveries WHERE status = 'delivered'").await, EVENTS as i64);
    assert_eq!(app.database.number("SELECT sum(failures) FROM deliveries").await, 0);
}
