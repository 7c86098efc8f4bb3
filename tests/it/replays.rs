//! Replays of many: planned, told once each, at a pace, to whom they may go, and ended by whoever made them.

use std::collections::BTreeMap;
use std::time::Duration;

use callboard::domain::clock::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{ADMIN_KEY, Answer, Db, START, TestApp, both, webhook};
use crate::sink::{Request, Sink};

/// After this everything that was made is committed, as far as a replay knows.
const SETTLED: Duration = Duration::from_secs(5);

/// Everything that a test made.
fn all() -> Value {
    json!({"since": "2026-03-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"})
}

/// The same with these fields.
fn with(fields: Value) -> Value {
    let mut body = all();
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

async fn completed(app: &TestApp, many: usize) -> Vec<String> {
    let mut made = Vec::new();
    for n in 0..many {
        made.push(app.evolink(&format!("t{n}"), "completed").await.expect(200).text("event_id").to_owned());
    }
    made
}

async fn make(app: &TestApp, body: Value) -> String {
    app.post_api("/api/v1/replays", body).await.expect(202).text("id").to_owned()
}

async fn shown(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/api/v1/replays/{id}")).await.expect(200).body
}

/// Turns pages until none is due at this moment; gives how many.
async fn turn_all(app: &TestApp) -> usize {
    let mut pages = 0;
    while app.replayer.tick().await.unwrap() {
        pages += 1;
    }
    pages
}

/// The events of a replay, as a sink was told them.
fn told(requests: &[Request], replay_id: &str) -> Vec<String> {
    let of_it = requests.iter().filter(|request| request.header("callboard-replay") == Some(replay_id));
    of_it.map(|request| request.header("webhook-id").unwrap().to_owned()).collect()
}

/// Two teams, each with a destination that hears of everything it may see; EvoLink is of one alone.
fn teams(ops: &Sink, ads: &Sink) -> String {
    format!(
        r#"
[sources.evolink]
provider = "evolink"
callback_token = "token-of-the-tests-1"
teams = ["ops"]
[sources.aivideoapi]
provider = "aivideoapi"
callback_token = "token-of-the-tests-1"
[destinations.ops-hook]
team = "ops"
channel = "webhook"
url = "{}"
[[subscriptions]]
destination = "ops-hook"
[destinations.ads-hook]
team = "ads"
channel = "webhook"
url = "{}"
[[subscriptions]]
destination = "ads-hook"
"#,
        ops.url(),
        ads.url()
    )
}

both! {
    async fn past_events_are_told_to_those_that_subscribe_now(db: Db) {
        let (early, late) = (Sink::start().await, Sink::start().await);
        let mut app = TestApp::new(db, &webhook("early", &early.url())).await;
        let events = completed(&app, 5).await;
        app.evolink("f", "failed").await.expect(200);
        app.tick_all().await;
        app.advance(Duration::from_secs(3600));
        let made = json!({"name": "late", "team": "ops", "channel": "webhook", "url": late.url()});
        app.post_api("/api/v1/destinations", made).await.expect(201);
        let made = json!({"destination": "late", "events": ["task.completed"]});
        app.post_api("/api/v1/subscriptions", made).await.expect(201);

        let id = make(&app, with(json!({"type": "task.completed", "source": "evolink"}))).await;
        app.advance(SETTLED);
        assert!(turn_all(&app).await > 0);
        app.tick_all().await;
        for sink in [&early, &late] {
            let mut told = told(&sink.requests(), &id);
            told.sort();
            assert_eq!(told, events);
        }
        assert_eq!((early.count(), late.count()), (6 + 5, 5));
        let done = shown(&app, &id).await;
        assert_eq!(done["status"], "done");
        let numbers = [&done["events_total"], &done["events_done"], &done["deliveries"], &done["skipped"]];
        assert_eq!(numbers, [&json!(5), &json!(5), &json!(10), &json!(0)]);
        assert_eq!((&done["type"], &done["team"]), (&json!("task.completed"), &Value::Null));
        assert_eq!(done["finished_at"], json!(app.now()));
        assert_eq!(app.get("/api/v1/replays").await.expect(200).items(), [done]);
    }

    async fn it_ends_where_its_time_ends_and_not_before_what_is_late(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        let mut events = Vec::new();
        for n in 0..4 {
            events.push(app.evolink(&format!("t{n}"), "completed").await.expect(200).text("event_id").to_owned());
            app.advance(Duration::from_secs(60));
        }
        app.tick_all().await;
        let at = |minutes: i64| Timestamp(START.0 + minutes * 60_000);
        let id = make(&app, json!({"since": at(1), "until": at(3), "destination": "backend"})).await;
        turn_all(&app).await;
        app.tick_all().await;
        let mut got = told(&sink.requests(), &id);
        got.sort();
        assert_eq!(got, events[1..3]);

        // What was made a moment ago may still be committed: it waits, and then tells that too.
        let newest = app.evolink("new", "completed").await.expect(200).text("event_id").to_owned();
        let id = make(&app, json!({"since": at(3), "until": at(600), "destination": "backend"})).await;
        turn_all(&app).await;
        assert_eq!(shown(&app, &id).await["status"], "running");
        app.advance(SETTLED);
        turn_all(&app).await;
        app.evolink("after", "completed").await.expect(200);
        app.tick_all().await;
        let mut got = told(&sink.requests(), &id);
        got.sort();
        assert_eq!(got, [events[3].clone(), newest]);
        assert_eq!(shown(&app, &id).await["status"], "done");
    }

    async fn a_plan_says_what_it_would_reach_and_makes_nothing(db: Db) {
        let (ops, ads) = (Sink::start().await, Sink::start().await);
        let config = format!(
            "{}\n[[subscriptions]]\ndestination = \"ads-hook\"\nwhere = 'task.task_id == \"t1\"'\n",
            teams(&ops, &ads)
                .replace("teams = [\"ops\"]\n", "")
                .replacen("[[subscriptions]]\ndestination = \"ads-hook\"\n", "", 1)
        );
        let app = TestApp::new(db, &config).await;
        completed(&app, 7).await;
        app.evolink("f", "failed").await.expect(200);
        app.advance(SETTLED);
        let before = app.database.number("SELECT count(*) FROM deliveries").await;
        let plan = async |fields: Value| {
            let mut fields = fields;
            fields["dry_run"] = json!(true);
            app.post_api("/api/v1/replays", with(fields)).await.expect(200).body
        };
        assert_eq!(
            plan(json!({})).await,
            json!({"dry_run": true, "events": 8, "deliveries": 9, "exact": true,
                "destinations": {"ops-hook": 8, "ads-hook": 1}})
        );
        let failed = plan(json!({"type": "task.failed", "destination": "ads-hook"})).await;
        assert_eq!((&failed["events"], &failed["destinations"]), (&json!(1), &json!({"ads-hook": 1})));
        assert_eq!(plan(json!({"since": "2026-04-02T00:00:00Z"})).await["events"], json!(0));
        let pending = plan(json!({"delivery_status": "pending"})).await;
        assert_eq!(pending["destinations"], json!({"ops-hook": 8, "ads-hook": 1}));
        assert_eq!(plan(json!({"delivery_status": "dead"})).await["events"], json!(0));
        assert_eq!(app.database.number("SELECT count(*) FROM deliveries").await, before);
        assert!(app.get("/api/v1/replays").await.expect(200).items().is_empty());
    }

    async fn two_workers_never_tell_a_page_twice(db: Db) {
        let sink = Sink::start().await;
        let app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        completed(&app, 12).await;
        app.advance(SETTLED);
        let id = make(&app, with(json!({"destination": "backend", "rate": "5/s"}))).await;
        let other = app.another_replayer("another");
        // The first one stops in the middle of a page, and wakes when the second has had it.
        let late = app.replayer.claim().await.unwrap().unwrap();
        assert!(other.claim().await.unwrap().is_none(), "the first one has it");
        app.advance(Duration::from_secs(31));
        let taken = other.claim().await.unwrap().unwrap();
        other.turn(&taken).await.unwrap();
        app.replayer.turn(&late).await.unwrap();
        let count = format!("SELECT count(*) FROM deliveries WHERE replay_id = '{id}'");
        assert_eq!((app.database.number(&count).await, &shown(&app, &id).await["events_done"]), (5, &json!(5)));
        // Both at once, page by page.
        while shown(&app, &id).await["status"] == "running" {
            app.advance(Duration::from_secs(1));
            let (first, second) = tokio::join!(app.replayer.tick(), other.tick());
            assert!(first.unwrap() || second.unwrap());
        }
        assert_eq!((app.database.number(&count).await, &shown(&app, &id).await["deliveries"]), (12, &json!(12)));
    }

    async fn what_a_process_had_in_hand_is_taken_up_when_it_starts_again(db: Db) {
        let sink = Sink::start().await;
        let app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        completed(&app, 3).await;
        app.advance(SETTLED);
        make(&app, all()).await;
        let before = app.another_replayer("here");
        assert!(before.claim().await.unwrap().is_some());
        assert!(!app.replayer.tick().await.unwrap());
        let again = app.another_replayer("here");
        again.take_over().await.unwrap();
        assert!(again.tick().await.unwrap());
    }

    async fn a_rate_is_kept_to(db: Db) {
        let sink = Sink::start().await;
        let app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        completed(&app, 9).await;
        app.advance(SETTLED);
        let id = make(&app, with(json!({"rate": "4/s"}))).await;
        let mut each = Vec::new();
        for _ in 0..30 {
            turn_all(&app).await;
            each.push(shown(&app, &id).await["events_done"].as_u64().unwrap());
            app.advance(Duration::from_millis(100));
        }
        assert_eq!((each[0], each[9], each[10], each[19], each[20]), (4, 4, 8, 8, 9));
        assert_eq!(shown(&app, &id).await["rate"], "4/s");
    }

    async fn a_replay_that_is_cancelled_tells_no_more(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        completed(&app, 9).await;
        app.tick_all().await;
        app.advance(SETTLED);
        let id = make(&app, with(json!({"rate": "2/s"}))).await;
        app.replayer.tick().await.unwrap();
        app.advance(Duration::from_secs(1));
        let in_hand = app.replayer.claim().await.unwrap().unwrap();
        let path = format!("/api/v1/replays/{id}/cancel");
        let cancelled = app.post_api(&path, json!({})).await.expect(202);
        assert_eq!((cancelled.text("status"), &cancelled.body["events_done"]), ("cancelled", &json!(2)));
        app.replayer.turn(&in_hand).await.unwrap();
        app.advance(Duration::from_secs(60));
        assert_eq!(turn_all(&app).await, 0);
        app.tick_all().await;
        assert_eq!(told(&sink.requests(), &id).len(), 2);
        let again = app.post_api(&path, json!({})).await.expect(202);
        assert_eq!(again.body, cancelled.body, "a second time changes nothing");
        app.post_api("/api/v1/replays/rpl_none/cancel", json!({})).await.expect(404);
    }

    async fn dead_deliveries_are_told_again_to_their_own_destinations(db: Db) {
        let (one, two) = (Sink::start().await, Sink::start().await);
        let mut app = TestApp::new(db, &(webhook("one", &one.url()) + &webhook("two", &two.url()))).await;
        let events = completed(&app, 6).await;
        app.tick_all().await;
        app.advance(SETTLED);
        let dead = |destination: &str, which: &[usize]| {
            let ids: Vec<String> = which.iter().map(|n| format!("'{}'", events[*n])).collect();
            format!(
                "UPDATE deliveries SET status = 'dead', reason = 'gave up'
                 WHERE destination = '{destination}' AND event_id IN ({})",
                ids.join(", ")
            )
        };
        app.database.execute(&dead("one", &[0, 2, 4])).await;
        app.database.execute(&dead("two", &[4])).await;
        let wanted = with(json!({"delivery_status": "dead", "dry_run": true}));
        let plan = app.post_api("/api/v1/replays", wanted).await.expect(200).body;
        assert_eq!((&plan["deliveries"], &plan["destinations"]), (&json!(4), &json!({"one": 3, "two": 1})));

        let of_one = make(&app, with(json!({"delivery_status": "dead", "destination": "one"}))).await;
        let of_all = make(&app, with(json!({"delivery_status": "dead"}))).await;
        let to_url = make(&app, with(json!({"delivery_status": "dead", "url": two.url()}))).await;
        turn_all(&app).await;
        app.tick_all().await;
        let told = |sink: &Sink, id: &str| {
            let mut told = told(&sink.requests(), id);
            told.sort();
            told.iter().map(|id| events.iter().position(|event| event == id).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((told(&one, &of_one), told(&two, &of_one)), (vec![0, 2, 4], vec![]));
        assert_eq!((told(&one, &of_all), told(&two, &of_all)), (vec![0, 2, 4], vec![4]));
        assert_eq!(told(&two, &to_url), vec![0, 2, 4], "once each, however many had given up on it");
        let done = shown(&app, &of_all).await;
        assert_eq!(done["status"], "done");
        assert_eq!((&done["events_done"], &done["deliveries"]), (&json!(4), &json!(4)));
    }

    async fn a_team_replays_what_it_sees_to_its_own_alone(db: Db) {
        let (ops, ads) = (Sink::start().await, Sink::start().await);
        let mut app = TestApp::new(db, &teams(&ops, &ads)).await;
        let of_ops = app.evolink("t", "completed").await.expect(200).text("event_id").to_owned();
        let body = crate::process::body_of("aivideoapi/completed.http");
        let of_both = app.post("aivideoapi", "", body, &[]).await.expect(200).text("event_id").to_owned();
        app.tick_all().await;
        app.advance(SETTLED);
        let key = app.make_key("manage", Some("ads")).await;
        let made = app.with_key(&key, Method::POST, "/api/v1/replays", all()).await.expect(202);
        let (id, total) = (made.text("id").to_owned(), &made.body["events_total"]);
        assert_eq!((total, made.text("team")), (&json!(1), "ads"));
        turn_all(&app).await;
        app.tick_all().await;
        assert_eq!((told(&ads.requests(), &id), told(&ops.requests(), &id)), (vec![of_both], vec![]));
        assert_eq!(ops.requests().iter().filter(|one| one.header("webhook-id") == Some(&of_ops)).count(), 1);

        let post = async |body: Value| app.with_key(&key, Method::POST, "/api/v1/replays", body).await;
        let wrong = |answer: Answer, field: &str| assert_eq!(answer.expect(422).text("field"), field);
        wrong(post(with(json!({"destination": "ops-hook"}))).await, "destination");
        wrong(post(with(json!({"source": "evolink"}))).await, "source");
        let reader = app.make_key("read", Some("ads")).await;
        app.with_key(&reader, Method::POST, "/api/v1/replays", all()).await.expect(403);
        // Who made it, its team and the administrator know of it.
        let other = app.make_key("manage", Some("ops")).await;
        for (key, status, many) in [(&reader, 200, 1), (&other, 404, 0), (&ADMIN_KEY.to_owned(), 200, 1)] {
            app.with_key(key, Method::GET, &format!("/api/v1/replays/{id}"), Value::Null).await.expect(status);
            let list = app.with_key(key, Method::GET, "/api/v1/replays", Value::Null).await.expect(200);
            assert_eq!(list.items().len(), many);
        }
        app.with_key(&other, Method::POST, &format!("/api/v1/replays/{id}/cancel"), json!({})).await.expect(404);
    }

    async fn what_is_gone_when_its_turn_comes_is_passed_over_and_counted(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        let made = json!({"name": "gone", "team": "ops", "channel": "webhook", "url": sink.url()});
        app.post_api("/api/v1/destinations", made).await.expect(201);
        let events = completed(&app, 6).await;
        app.tick_all().await;
        app.advance(SETTLED);
        let pruned = make(&app, with(json!({"destination": "backend", "rate": "2/s"}))).await;
        let removed = make(&app, with(json!({"destination": "gone", "rate": "2/s"}))).await;
        turn_all(&app).await;
        app.database.execute(&format!("DELETE FROM events WHERE id = '{}'", events[3])).await;
        app.database.execute("DELETE FROM destinations").await;
        app.services.roster.reload().await.unwrap();
        for _ in 0..5 {
            app.advance(Duration::from_secs(1));
            turn_all(&app).await;
        }
        let names = ["events_total", "events_done", "deliveries", "skipped"];
        let numbers = |shown: Value| names.map(|name| shown[name].as_u64().unwrap());
        assert_eq!(numbers(shown(&app, &pruned).await), [6, 6, 5, 1]);
        let shown_removed = shown(&app, &removed).await;
        assert_eq!(shown_removed["status"], "done");
        assert_eq!(numbers(shown_removed), [6, 6, 2, 4]);
    }

    async fn what_happens_now_does_not_wait_behind_many_old_events(db: Db) {
        const MANY: usize = 1000;
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        let rows = match db {
            Db::Sqlite => format!("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MANY})"),
            Db::Postgres => format!("WITH n (n) AS (SELECT * FROM generate_series(1, {MANY}))"),
        };
        // Ids of the first millisecond of 1970.
        let id = if db == Db::Sqlite { "'evt_' || printf('%026d', n)" } else { "'evt_' || lpad(n::text, 26, '0')" };
        let event = format!("{id}, 'task.completed', 'terminal', 'evolink', 'old-' || n, 1, '{{}}'");
        let columns = "(id, type, step, source, task_id, at, body)";
        app.database.execute(&format!("INSERT INTO events {columns} {rows} SELECT {event} FROM n")).await;
        let id = make(&app, json!({"since": "1970-01-01T00:00:00Z", "until": "1971-01-01T00:00:00Z"})).await;
        let waiting = "SELECT count(*) FROM deliveries WHERE status = 'pending'";
        turn_all(&app).await;
        assert_eq!(app.database.number(waiting).await, 400, "the rest waits where it is");
        app.evolink("new", "completed").await.expect(200);
        let mut told_before = 0;
        while shown(&app, &id).await["status"] == "running" {
            app.tick_all().await;
            let requests = sink.requests();
            let of_now = requests.iter().position(|request| request.header("callboard-replay").is_none());
            told_before = of_now.unwrap_or(told_before);
            app.advance(Duration::from_secs(1));
            turn_all(&app).await;
        }
        app.tick_all().await;
        assert!(told_before <= 400, "{told_before} old events were told first");
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for event in told(&sink.requests(), &id) {
            *times.entry(event).or_default() += 1;
        }
        assert_eq!((times.len(), times.values().max()), (MANY, Some(&1)));
    }

    async fn what_is_wrong_is_named_and_nothing_is_made(db: Db) {
        let app = TestApp::new(db, &webhook("backend", "http://127.0.0.1:9/")).await;
        for (fields, field) in [
            (json!({"since": "yesterday"}), "since"),
            (json!({"until": null}), "until"),
            (json!({"until": "2026-02-01T00:00:00Z"}), "until"),
            (json!({"type": "task.done"}), "type"),
            (json!({"source": "evolnk"}), "source"),
            (json!({"delivery_status": "lost"}), "delivery_status"),
            (json!({"rate": "fast"}), "rate"),
            (json!({"dry_run": "yes"}), "dry_run"),
            (json!({"destination": "backnd"}), "destination"),
            (json!({"url": "http://169.254.169.254/"}), "url"),
            (json!({"url": "http://127.0.0.1:9/", "destination": "backend"}), "url"),
            (json!({"wehre": 1}), "wehre"),
        ] {
            let problem = app.post_api("/api/v1/replays", with(fields.clone())).await.expect(422);
            assert_eq!(problem.text("field"), field, "{fields}");
        }
        assert!(app.get("/api/v1/replays").await.expect(200).items().is_empty());
        app.get("/api/v1/replays/rpl_none").await.expect(404);
        app.get("/api/v1/replays?status=done").await.expect(422);
    }
}
