//! Settings made at run time: they mean what they mean in the file, take effect at every instance, and go without a
//! trace that could surprise anybody.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::access::call;
use crate::app::{ADMIN_KEY, Answer, Database, Db, TOKEN, TestApp, both, evolink, webhook};
use crate::sink::{Reply, Sink};

const V1: &str = "/api/v1";

pub(crate) async fn put(app: &TestApp, path: &str, body: Value) -> Answer {
    call(app, Some(ADMIN_KEY), "put", path, &body).await
}

pub(crate) async fn delete(app: &TestApp, path: &str) -> Answer {
    call(app, Some(ADMIN_KEY), "delete", path, &json!({})).await
}

pub(crate) async fn make(app: &TestApp, noun: &str, body: Value) -> Answer {
    app.post_api(&format!("{V1}/{noun}"), body).await
}

#[track_caller]
fn is_refused(answer: Answer, field: &str, says: &str) {
    let answer = answer.expect(422);
    assert_eq!(answer.text("field"), field, "{}", answer.body);
    assert!(answer.text("detail").contains(says), "{}", answer.body);
}

fn source(name: &str) -> Value {
    json!({"name": name, "provider": "evolink", "callback_token": TOKEN})
}

/// A destination of the team `ops` with a subscription to everything, made at run time.
async fn hook(app: &TestApp, name: &str, url: &str) {
    if app.get(&format!("{V1}/teams/ops")).await.status == 404 {
        make(app, "teams", json!({"name": "ops"})).await.expect(201);
    }
    make(app, "destinations", json!({"name": name, "team": "ops", "channel": "webhook", "url": url})).await.expect(201);
    make(app, "subscriptions", json!({"destination": name})).await.expect(201);
}

/// How many deliveries of a destination have this status and reason.
async fn many(app: &TestApp, name: &str, status: &str, reason: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM deliveries WHERE destination = '{name}' AND status = '{status}'
             AND COALESCE(reason, '') = '{reason}'"
    );
    app.database.number(&sql).await
}

/// Many more deliveries of the event of this delivery, held.
async fn hold_many(app: &TestApp, name: &str, rows: i64) {
    let numbers = match app.database.db {
        Db::Sqlite => format!("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows})"),
        Db::Postgres => format!("WITH n (n) AS (SELECT generate_series(1, {rows}))"),
    };
    app.database
        .execute(&format!(
            "{numbers} INSERT INTO deliveries (id, event_id, event_type, destination, replay_id, status, lease, failures, attempts,
             reason, created_at)
         SELECT 'dlv_' || n, (SELECT min(id) FROM events), 'task.completed', '{name}', 'rpl_' || n, 'held', 0, 0, 0, 'gone', 1 FROM n"
        ))
        .await;
}

both! {
    async fn a_source_made_at_run_time_takes_callbacks_and_goes_again(db: Db) {
        let app = TestApp::new(db, "").await;
        let made = make(&app, "sources", source("made")).await.expect(201);
        assert_eq!((made.text("provider"), &made.body["from_file"]), ("evolink", &json!(false)));
        let path = format!("/callbacks/made/{TOKEN}");
        assert!(made.text("callback_url").ends_with(&path), "{}", made.body);
        make(&app, "sources", source("made")).await.expect(409);
        let taken = make(&app, "sources", source("evolink")).await.expect(409);
        assert!(taken.text("detail").contains("declared in the file"), "{}", taken.body);

        app.post("made", "", evolink("t1", "processing"), &[]).await.expect(200);
        assert_eq!(app.database.number("SELECT count(*) FROM watches WHERE source = 'made'").await, 1);
        // What is left out gets its default again.
        let changed = put(&app, "/sources/made", json!({"rate": "5/s", "confirm_within": "1m"})).await.expect(200);
        assert_eq!((changed.text("rate"), changed.text("confirm_within")), ("5/s", "1m"));
        put(&app, "/sources/made", json!({"rate": "1/h"})).await.expect(200);
        app.post("made", "", evolink("t1", "processing"), &[]).await.expect(200);
        app.post("made", "", evolink("t1", "processing"), &[]).await.expect(429);
        let changed = put(&app, "/sources/made", json!({"provider": "evolink"})).await.expect(200);
        assert_eq!((&changed.body["rate"], changed.text("confirm_within")), (&json!(null), "10m"));
        app.post("made", "", evolink("t1", "completed"), &[]).await.expect(200);

        delete(&app, "/sources/made").await.expect(204);
        app.post("made", "", evolink("t2", "completed"), &[]).await.expect(404);
        app.get(&format!("{V1}/sources/made")).await.expect(404);
        delete(&app, "/sources/made").await.expect(404);
        assert_eq!(app.get(&format!("{V1}/tasks/made/t1")).await.expect(200).text("status"), "completed");
        assert_eq!(app.database.number("SELECT count(*) FROM watches WHERE source = 'made'").await, 0);
        assert_eq!(app.database.number("SELECT count(*) FROM secrets WHERE name = 'made'").await, 0);
        // One of that name begins afresh, with a token of its own.
        let again = make(&app, "sources", json!({"name": "made", "provider": "evolink"})).await.expect(201);
        assert!(!again.text("callback_url").contains(TOKEN));
        for (answer, verb) in [(put(&app, "/sources/evolink", json!({})).await, "put"), (delete(&app, "/sources/evolink").await, "delete")] {
            assert!(answer.expect(409).text("detail").contains("declared in the file"), "{verb}");
        }
    }

    async fn what_is_wrong_with_a_source_is_named(db: Db) {
        let app = TestApp::new(db, "[egress]\nallow = []\n").await;
        let with = |more: Value| {
            let mut body = json!({"name": "new", "provider": "evolink"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        for (more, field, says) in [
            (json!({"name": "New"}), "name", "a-z"),
            (json!({"provider": null}), "provider", "it can be"),
            (json!({"provider": "evolnk"}), "provider", "did you mean `evolink`?"),
            (json!({"callback_token": "short"}), "callback_token", "part of a URL"),
            (json!({"callback_token": []}), "callback_token", "empty"),
            (json!({"signing_secret": "x"}), "signing_secret", "does not sign"),
            (json!({"api_key": 7}), "api_key", "a number"),
            (json!({"api_key": "two words"}), "api_key", "space"),
            (json!({"base_url": "ftp://example.com"}), "base_url", "http"),
            (json!({"base_url": "http://169.254.169.254/"}), "base_url", "egress.allow"),
            (json!({"base_url": "http://[::1]:9"}), "base_url", "egress.allow"),
            (json!({"teams": ["nobody"]}), "teams", "no team `nobody`"),
            (json!({"teams": []}), "teams", "empty"),
            (json!({"confirm": "allways"}), "confirm", "did you mean `always`?"),
            (json!({"confirm": "always"}), "confirm", "api_key"),
            (json!({"confirm_within": "soon"}), "confirm_within", "duration"),
            (json!({"poll": {"evry": "1m"}}), "poll.evry", "did you mean `every`?"),
            (json!({"poll": {"every": "1ms"}}), "poll.every", "at least 100ms"),
            (json!({"poll": 5}), "poll", "a table"),
            (json!({"poll": {"discover": "yes"}}), "poll.discover", "true or false"),
            (json!({"rate": "fast"}), "rate", "rate"),
            (json!({"relay_keys": "lose"}), "relay_keys", "keep"),
            (json!({"rat": "1/s"}), "rat", "did you mean `rate`?"),
            // Nothing is filled in from the environment.
            (json!({"base_url": "${HOME}"}), "base_url", "not a URL"),
        ] {
            is_refused(make(&app, "sources", with(more)).await, field, says);
        }
        assert_eq!(app.database.number("SELECT count(*) FROM sources").await, 0);
        make(&app, "sources", with(json!({"api_key": "${HOME}", "confirm": "always"}))).await.expect(201);
        is_refused(put(&app, "/sources/new", json!({"name": "newer"})).await, "name", "cannot be changed");
        is_refused(put(&app, "/sources/new", json!({"provider": "replicate"})).await, "provider", "cannot be changed");
        // A secret that is left out stays; null takes it away.
        put(&app, "/sources/new", json!({"confirm": "always"})).await.expect(200);
        is_refused(put(&app, "/sources/new", json!({"confirm": "always", "api_key": null})).await, "confirm", "api_key");
    }

    async fn a_base_url_of_the_api_leads_nowhere_inside(db: Db) {
        let inside = Sink::start().await;
        let url = format!("http://localhost:{}", inside.host().rsplit_once(':').unwrap().1);
        let config = format!(
            "[sources.of-file]\nprovider = \"evolink\"\ncallback_token = \"{TOKEN}\"\napi_key = \"k\"\nbase_url = \"{url}\"\n\
             [egress]\nallow = []\n"
        );
        let mut app = TestApp::new(db, &config).await;
        let body = json!({"name": "made", "provider": "evolink", "callback_token": TOKEN, "api_key": "k", "base_url": url});
        make(&app, "sources", body).await.expect(201);
        app.post("made", "", evolink("t", "completed"), &[]).await.expect(200);
        app.poller.tick().await.unwrap();
        assert_eq!(inside.count(), 0, "the poller came inside");
        let relayed = app.client.get(app.url("/relay/made/v1/credits")).header("x-callboard-key", ADMIN_KEY);
        assert_eq!(crate::app::answer(relayed).await.status, 502);
        assert_eq!(inside.count(), 0, "the relay came inside");
        // The operator's own file may name what it likes.
        app.post("of-file", "", evolink("t", "completed"), &[]).await.expect(200);
        app.poller.tick().await.unwrap();
        assert_eq!(inside.count(), 1);
    }

    async fn what_waits_for_a_destination_that_is_removed_is_dead(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, "").await;
        hook(&app, "backend", &sink.url()).await;
        app.evolink("t1", "completed").await.expect(200);
        hold_many(&app, "backend", 1500).await;
        delete(&app, "/destinations/backend").await.expect(204);
        assert_eq!(many(&app, "backend", "dead", "destination removed").await, 1001);
        app.tick().await;
        assert_eq!(many(&app, "backend", "dead", "destination removed").await, 1501);
        assert_eq!(sink.count(), 0);
        app.get(&format!("{V1}/destinations/backend")).await.expect(404);
        assert_eq!(app.get(&format!("{V1}/subscriptions")).await.items().len(), 0);
        for table in ["subscriptions", "secrets WHERE purpose = 'destination'", "destination_states"] {
            assert_eq!(app.database.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
        // What an instance writes that has not heard of it yet goes the same way, until nothing more can come.
        app.database.execute("UPDATE deliveries SET status = 'pending', due_at = 1, finished_at = NULL WHERE id = 'dlv_7'").await;
        app.tick().await;
        assert_eq!(many(&app, "backend", "dead", "destination removed").await, 1501);
        app.advance(Duration::from_secs(10));
        app.tick().await;
        assert_eq!(app.database.number("SELECT count(*) FROM sweeps").await, 0);

        hook(&app, "backend", &sink.url()).await;
        assert_eq!(app.get(&format!("{V1}/destinations/backend")).await.text("status"), "enabled");
        app.evolink("t2", "completed").await.expect(200);
        app.tick_all().await;
        assert_eq!(sink.requests().iter().map(|told| told.json()["data"]["task_id"].clone()).collect::<Vec<_>>(), ["t2"]);
    }

    async fn what_is_being_sent_ends_as_it_ends_and_is_not_tried_again(db: Db) {
        let sink = Sink::scripted(|_| Reply::Hang).await;
        let mut app = TestApp::new(db, "").await;
        hook(&app, "backend", &sink.url()).await;
        app.evolink("t1", "completed").await.expect(200);
        let mut other = app.another_dispatcher("another");
        let sending = tokio::spawn(async move { other.tick().await });
        sink.wait_for(1).await;
        delete(&app, "/destinations/backend").await.expect(204);
        app.tick().await;
        assert_eq!(many(&app, "backend", "pending", "").await, 1);
        sink.answer(|_| Reply::status(500));
        sink.release();
        sending.await.unwrap().unwrap();
        // It was taken; had it failed, it would be pending again, and is then dead.
        assert_eq!(many(&app, "backend", "delivered", "").await, 1);
        app.database.execute("UPDATE deliveries SET status = 'pending', due_at = 1, finished_at = NULL").await;
        app.advance(Duration::from_secs(10));
        app.tick().await;
        assert_eq!(many(&app, "backend", "dead", "destination removed").await, 1);
    }

    async fn a_name_stays_with_its_team(db: Db) {
        let app = TestApp::new(db, "").await;
        hook(&app, "backend", "https://example.com").await;
        make(&app, "teams", json!({"name": "art"})).await.expect(201);
        delete(&app, "/destinations/backend").await.expect(204);
        let body = |team: &str| json!({"name": "backend", "team": team, "channel": "webhook", "url": "https://example.com"});
        let refused = make(&app, "destinations", body("art")).await.expect(409);
        assert!(refused.text("detail").contains("another team"), "{}", refused.body);
        make(&app, "destinations", body("ops")).await.expect(201);
    }

    async fn a_destination_is_changed_but_not_moved(db: Db) {
        let (before, after) = (Sink::start().await, Sink::start().await);
        let mut app = TestApp::new(db, &webhook("of-file", "https://example.com/x")).await;
        hook(&app, "backend", &before.url()).await;
        for (field, value) in [("name", "other"), ("team", "art"), ("channel", "slack")] {
            let refused = put(&app, "/destinations/backend", json!({field: value, "url": after.url()})).await;
            is_refused(refused, field, "cannot be changed");
        }
        is_refused(put(&app, "/destinations/backend", json!({"name": "backend"})).await, "url", "needs it");
        is_refused(put(&app, "/destinations/backend", json!({"url": "http://10.0.0.1"})).await, "url", "egress.allow");
        let body = json!({"name": "backend", "team": "ops", "url": after.url(), "concurrency": 2});
        assert_eq!(put(&app, "/destinations/backend", body).await.expect(200).body["concurrency"], json!(2));
        app.evolink("t", "completed").await.expect(200);
        app.tick_all().await;
        assert_eq!((before.count(), after.count()), (0, 1));
        // A Slack URL is a secret: left out, it stays.
        let slack = json!({"name": "chat", "team": "ops", "channel": "slack", "url": after.url()});
        make(&app, "destinations", slack).await.expect(201);
        let shown = put(&app, "/destinations/chat", json!({"rate": "2/s"})).await.expect(200);
        assert!(shown.body.get("url").is_none_or(Value::is_null), "{}", shown.body);
        assert_eq!(app.post_api(&format!("{V1}/destinations/chat/test"), json!({})).await.text("outcome"), "delivered");
        for (answer, verb) in [
            (put(&app, "/destinations/of-file", json!({})).await, "put"),
            (delete(&app, "/destinations/of-file").await, "delete"),
            (put(&app, "/subscriptions/sub_file_1", json!({"destination": "of-file"})).await, "put"),
            (delete(&app, "/subscriptions/sub_file_1").await, "delete"),
            (app.post_api(&format!("{V1}/destinations/of-file/secret"), json!({})).await, "rotate"),
        ] {
            assert!(answer.expect(409).text("detail").contains("declared in the file"), "{verb}");
        }
    }

    async fn a_destination_that_cannot_be_used_any_more_can_be_removed(db: Db) {
        let database = Arc::new(Database::fresh(db));
        let clock = Arc::new(callboard::domain::clock::ManualClock::new(crate::app::START));
        let mut app = TestApp::on(Arc::clone(&database), Arc::clone(&clock), "").await;
        hook(&app, "inside", "http://127.0.0.1:9/x").await;
        app.stop().await;
        let app = TestApp::on(database, clock, "[egress]\nallow = []\n").await;
        app.get(&format!("{V1}/destinations/inside")).await.expect(404);
        assert!(delete(&app, "/teams/ops").await.expect(409).text("detail").contains("`inside`"));
        delete(&app, "/destinations/inside").await.expect(204);
        delete(&app, "/destinations/inside").await.expect(404);
        delete(&app, "/teams/ops").await.expect(204);
    }

    async fn subscriptions_are_changed_and_removed(db: Db) {
        let app = TestApp::new(db, "").await;
        hook(&app, "backend", "https://example.com").await;
        let id = app.get(&format!("{V1}/subscriptions")).await.items()[0]["id"].as_str().unwrap().to_owned();
        let path = format!("/subscriptions/{id}");
        let body = json!({"destination": "backend", "events": ["task.failed"], "where": "task.model == \"a\""});
        let changed = put(&app, &path, body).await.expect(200);
        assert_eq!((changed.text("id"), &changed.body["events"]), (id.as_str(), &json!(["task.failed"])));
        assert_eq!(app.get(&format!("{V1}{path}")).await.expect(200).body, changed.body);
        is_refused(put(&app, &path, json!({"destination": "backend", "where": "task."})).await, "where", "line 1");
        is_refused(put(&app, &path, json!({"destination": "none"})).await, "destination", "no `none`");
        assert_eq!(app.get(&format!("{V1}{path}")).await.body, changed.body, "nothing is half-changed");
        delete(&app, &path).await.expect(204);
        app.get(&format!("{V1}{path}")).await.expect(404);
        put(&app, &path, json!({"destination": "backend"})).await.expect(404);
    }

    async fn a_team_goes_only_when_nothing_is_its_own(db: Db) {
        let app = TestApp::new(db, &webhook("of-file", "https://example.com")).await;
        make(&app, "teams", json!({"name": "art", "description": "pictures"})).await.expect(201);
        assert_eq!(app.get(&format!("{V1}/teams/art")).await.expect(200).text("description"), "pictures");
        put(&app, "/teams/art", json!({})).await.expect(200);
        assert_eq!(app.get(&format!("{V1}/teams/art")).await.body["description"], json!(null));
        is_refused(put(&app, "/teams/art", json!({"name": "arts"})).await, "name", "cannot be changed");
        let destination = json!({"name": "d", "team": "art", "channel": "webhook", "url": "https://example.com"});
        make(&app, "destinations", destination).await.expect(201);
        let mut of_art = source("s");
        of_art["teams"] = json!(["art"]);
        make(&app, "sources", of_art).await.expect(201);
        let key = make(&app, "keys", json!({"name": "k", "role": "read", "team": "art"})).await.expect(201);
        for (says, path) in [
            ("`d`", "/destinations/d".to_owned()),
            ("`s`", "/sources/s".to_owned()),
            ("has keys", format!("/keys/{}", key.text("id"))),
        ] {
            let refused = delete(&app, "/teams/art").await.expect(409);
            assert!(refused.text("detail").contains(says), "{}", refused.body);
            delete(&app, &path).await.expect(204);
        }
        delete(&app, "/teams/art").await.expect(204);
        app.get(&format!("{V1}/teams/art")).await.expect(404);
        for answer in [put(&app, "/teams/ops", json!({})).await, delete(&app, "/teams/ops").await] {
            assert!(answer.expect(409).text("detail").contains("declared in the file"));
        }
    }

    async fn what_is_held_is_sent_or_dropped_however_much_it_is(db: Db) {
        let sink = Sink::scripted(|_| Reply::status(410)).await;
        let mut app = TestApp::new(db, "").await;
        hook(&app, "backend", &sink.url()).await;
        app.evolink("t1", "completed").await.expect(200);
        app.tick_all().await;
        assert_eq!(app.get(&format!("{V1}/destinations/backend")).await.text("status"), "disabled");
        sink.answer(|_| Reply::status(200));
        let enable = format!("{V1}/destinations/backend/enable");
        hold_many(&app, "backend", 2500).await;
        let dropped = app.post_api(&enable, json!({"held": "drop"})).await.expect(200);
        assert_eq!(dropped.body["dropped"], json!(2501));
        // What comes now is sent, while the rest is still being dropped.
        app.evolink("t2", "completed").await.expect(200);
        app.tick_all().await;
        for _ in 0..3 {
            app.tick().await;
        }
        assert_eq!(many(&app, "backend", "dead", "dropped when the destination was enabled").await, 2501);
        assert_eq!(many(&app, "backend", "delivered", "").await, 1);
        assert_eq!(app.database.number("SELECT count(*) FROM sweeps").await, 0);
    }

    async fn what_was_written_as_held_while_its_destination_was_enabled_is_sent(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        app.evolink("t1", "completed").await.expect(200);
        app.database.execute("UPDATE deliveries SET status = 'held', due_at = NULL, reason = 'answered 410'").await;
        app.tick().await;
        app.tick().await;
        assert_eq!((sink.count(), many(&app, "backend", "delivered", "").await), (1, 1));
        // Of one that is disabled it stays.
        sink.answer(|_| Reply::status(410));
        app.evolink("t2", "completed").await.expect(200);
        app.tick_all().await;
        for _ in 0..3 {
            app.advance(Duration::from_secs(1));
            app.tick().await;
        }
        assert_eq!((sink.count(), many(&app, "backend", "held", "answered 410").await), (2, 1));
    }

    async fn each_change_is_noted_with_who_made_it(db: Db) {
        let app = TestApp::new(db, "").await;
        hook(&app, "backend", "https://example.com").await;
        let manage = crate::access::key(&app, "manage", Some("ops"), None).await;
        let (id, secret) = (manage.text("id").to_owned(), manage.text("key").to_owned());
        let body = json!({"url": "https://example.com/new", "secret": "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy0xMjM0NTY="});
        call(&app, Some(&secret), "put", "/destinations/backend", &body).await.expect(200);
        call(&app, Some(&secret), "put", "/destinations/backend", &json!({"url": "no"})).await.expect(422);
        make(&app, "sources", source("made")).await.expect(201);
        let audit = app.get(&format!("{V1}/audit")).await.expect(200);
        let noted: Vec<(&str, &str)> =
            audit.items().iter().map(|row| (row["action"].as_str().unwrap(), row["object"].as_str().unwrap())).collect();
        let subscription = app.get(&format!("{V1}/subscriptions")).await.items()[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(noted, [
            ("source.create", "made"),
            ("destination.update", "backend"),
            ("key.create", id.as_str()),
            ("subscription.create", subscription.as_str()),
            ("destination.create", "backend"),
            ("team.create", "ops"),
        ]);
        let row = &audit.items()[1];
        assert_eq!((row["key_id"].as_str(), row["team"].as_str()), (Some(id.as_str()), Some("ops")));
        assert_eq!((audit.items()[0]["key_name"].as_str(), &audit.items()[0]["team"]), (Some("server.admin_key"), &json!(null)));
        let said = String::from_utf8(audit.bytes.clone()).unwrap();
        assert!(!said.contains("whsec_") && !said.contains(TOKEN) && !said.contains("cbk_"), "{said}");
        // A team is shown what concerns it.
        let own = call(&app, Some(&secret), "get", "/audit?action=destination.update", &json!({})).await.expect(200);
        assert_eq!(own.items().len(), 1);
        assert_eq!(call(&app, Some(&secret), "get", "/audit?object=made", &json!({})).await.items().len(), 0);
        assert_eq!(app.get(&format!("{V1}/audit?until=2026-04-01T00:00:00Z")).await.items().len(), 0);
        let page = app.get(&format!("{V1}/audit?limit=4")).await;
        let next = app.get(&format!("{V1}/audit?limit=4&cursor={}", page.text("next_cursor"))).await.expect(200);
        assert_eq!((page.items().len(), next.items().len()), (4, 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_instance_follows_within_its_next_look() {
    let database = Arc::new(Database::fresh(Db::Postgres));
    let one =
        TestApp::on(Arc::clone(&database), Arc::new(callboard::domain::clock::ManualClock::new(crate::app::START)), "")
            .await;
    let two = TestApp::on(database, Arc::clone(&one.clock), "").await;
    hook(&one, "backend", "https://example.com").await;
    make(&one, "sources", source("made")).await.expect(201);
    two.services.roster.follow().await.unwrap();
    two.post("made", "", evolink("t", "completed"), &[]).await.expect(200);
    assert_eq!(two.deliveries("backend").await.len(), 1);
    // A change is made on what is there, whoever has heard of it: each is made once.
    delete(&two, "/sources/made").await.expect(204);
    put(&one, "/sources/made", json!({})).await.expect(404);
    let team = json!({"name": "raced"});
    let (first, second) = tokio::join!(make(&one, "teams", team.clone()), make(&two, "teams", team));
    let mut both = [first.status, second.status];
    both.sort_unstable();
    assert_eq!(both, [201, 409]);
}
