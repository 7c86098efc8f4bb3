//! Contract §6: reading, and making what a file does not declare.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{ADMIN_KEY, Answer, Db, TestApp, answer, both, webhook};
use crate::sink::{Reply, Sink};

const V1: &str = "/api/v1";

async fn post_once(app: &TestApp, key: &str, path: &str, body: &Value) -> Answer {
    let request = app.client.post(app.url(path)).bearer_auth(ADMIN_KEY).header("idempotency-key", key);
    answer(request.body(body.to_string())).await
}

#[track_caller]
fn is_refused(answer: Answer, field: &str, says: &str) {
    let answer = answer.expect(422);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.text("field"), field, "{}", answer.body);
    assert!(answer.text("detail").contains(says), "{}", answer.body);
}

fn ids<'a>(items: &'a [Value], key: &str) -> Vec<&'a str> {
    items.iter().map(|item| item[key].as_str().unwrap()).collect()
}

both! {
    async fn a_list_is_walked_from_the_newest_to_the_oldest(db: Db) {
        let sink = Sink::start().await;
        let app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        for n in 0..120 {
            app.evolink(&format!("t{n:03}"), "completed").await.expect(200);
        }
        for (list, key) in [("events", "id"), ("deliveries", "id"), ("callbacks", "id"), ("tasks", "task_id")] {
            let (mut pages, mut seen, mut cursor) = (Vec::new(), Vec::new(), String::new());
            loop {
                let page = app.get(&format!("{V1}/{list}?limit=50{cursor}")).await.expect(200);
                pages.push(page.items().len());
                seen.extend(ids(page.items(), key).into_iter().map(str::to_owned));
                let Some(next) = page.body["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
                // What comes meanwhile moves nothing.
                app.evolink(&format!("later-{list}-{}", pages.len()), "pending").await.expect(200);
            }
            let (mut sorted, many) = (seen.clone(), seen.len());
            sorted.sort();
            sorted.dedup();
            sorted.reverse();
            assert_eq!(many, sorted.len(), "{list}: one came twice");
            if list != "tasks" {
                assert_eq!(seen, sorted, "{list}");
            }
            assert_eq!(pages[..2], [50, 50], "{list}");
            assert!(seen.iter().filter(|id| list != "tasks" || id.starts_with('t')).count() >= 120, "{list}");
        }
        let whole = app.get(&format!("{V1}/events")).await;
        assert_eq!(whole.items().len(), 50);
        let exact = app.get(&format!("{V1}/deliveries?limit=120")).await;
        assert_eq!((exact.items().len(), &exact.body["next_cursor"]), (120, &json!(null)));
    }

    async fn what_a_list_is_asked_wrongly_is_said(db: Db) {
        let app = TestApp::new(db, "").await;
        for n in 0..3 {
            app.evolink(&format!("t{n}"), "completed").await.expect(200);
        }
        let get = |path: &str| { let path = format!("{V1}/{path}"); let app = &app; async move { app.get(&path).await } };
        let cursor = get("events?limit=1").await.text("next_cursor").to_owned();
        let mut tampered = cursor.clone().into_bytes();
        let last = tampered.last_mut().unwrap();
        *last = if *last == b'A' { b'E' } else { b'A' };
        let tampered = String::from_utf8(tampered).unwrap();
        is_refused(get(&format!("events?cursor={tampered}")).await, "cursor", "not one that this list gave");
        is_refused(get(&format!("tasks?cursor={cursor}")).await, "cursor", "not one that this list gave");
        is_refused(get("events?cursor=").await, "cursor", "");
        get("events?limit=250").await.expect(200);
        for limit in ["0", "251", "-1", "x", ""] {
            is_refused(get(&format!("events?limit={limit}")).await, "limit", "from 1 to 250");
        }
        is_refused(get("events?tpye=task.failed").await, "tpye", "did you mean `type`?");
        is_refused(get("deliveries?source=evolink").await, "source", "`destination`");
        is_refused(get("callbacks?outcome=done").await, "outcome", "quarantined");
        is_refused(get("tasks?status=done").await, "status", "completed");
        is_refused(get("deliveries?status=done").await, "status", "held");
        is_refused(get("events?since=yesterday").await, "since", "2026-11-21T02:00:00Z");
        get("events/evt_none").await.expect(404);
        get("callbacks/cb_none").await.expect(404);
        get("callbacks/cb_none/body").await.expect(404);
        get("deliveries/dlv_none").await.expect(404);
        get("tasks/evolink/none").await.expect(404);
        get("destinations/none").await.expect(404);
        get("sources/none").await.expect(404);
        get("nothing").await.expect(404);
    }

    async fn a_filter_shows_what_it_names(db: Db) {
        let sink = Sink::scripted(|request| {
            Reply::status(if request.json()["type"] == "task.failed" { 410 } else { 200 })
        }).await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        app.post("evolink", "campaign=spring", crate::app::evolink("a", "completed"), &[]).await.expect(200);
        app.tick_all().await;
        app.advance(Duration::from_secs(60));
        app.signed("b", "failed").await.expect(200);
        app.evolink("a", "exploded").await.expect(200);
        app.tick_all().await;
        let event = app.get(&format!("{V1}/events?type=task.failed")).await.items()[0]["id"].as_str().unwrap().to_owned();
        for (query, expected) in [
            ("events?type=task.completed", 1),
            ("events?source=replicate", 1),
            ("events?task_id=a", 1),
            // The other one says that the destination is disabled.
            ("events?since=2026-04-01T00:01:00Z", 2),
            ("events?until=2026-04-01T00:01:00Z", 1),
            ("events?source=evolink&type=task.failed", 0),
            ("tasks?status=failed", 1),
            ("tasks?source=evolink", 1),
            ("tasks?model=kling-o3-text-to-video", 1),
            ("tasks?since=2026-04-01T02:01:00%2B02:00", 1),
            ("tasks?until=2026-04-01T00:01:00Z", 1),
            ("tasks?metadata.campaign=spring", 1),
            ("tasks?metadata.campaign=spr", 0),
            ("deliveries?status=delivered", 1),
            ("deliveries?status=held", 1),
            ("deliveries?destination=backend", 2),
            ("deliveries?destination=nobody", 0),
            (&format!("deliveries?event_id={event}"), 1),
            ("callbacks?outcome=quarantined", 1),
            ("callbacks?source=evolink", 2),
            ("callbacks?task_id=a", 2),
            ("callbacks?task_id=%00", 0),
        ] {
            assert_eq!(app.get(&format!("{V1}/{query}")).await.expect(200).items().len(), expected, "{query}");
        }
        app.get(&format!("{V1}/events/%00")).await.expect(404);
        app.get(&format!("{V1}/tasks/evolink/a%00")).await.expect(404);
        let shown = app.get(&format!("{V1}/events/{event}")).await.expect(200);
        assert_eq!((shown.text("type"), shown.body["deliveries"][0]["status"].as_str()), ("task.failed", Some("held")));
    }

    async fn a_timeline_stands_in_the_order_of_things(db: Db) {
        let sink = Sink::scripted(|_| Reply::status(500)).await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        app.evolink("t/1 ü", "processing").await.expect(200);
        app.advance(Duration::from_secs(1));
        app.evolink("t/1 ü", "completed").await.expect(200);
        app.tick_all().await;
        app.advance(Duration::from_secs(10));
        app.tick_all().await;
        app.evolink("t/1 ü", "failed").await.expect(200);
        let shown = app.get(&format!("{V1}/tasks/evolink/t%2F1%20%C3%BC")).await.expect(200);
        assert_eq!((shown.text("status"), shown.text("task_id")), ("completed", "t/1 ü"));
        let timeline = shown.body["timeline"].as_array().unwrap();
        assert_eq!(
            ids(timeline, "kind"),
            ["callback", "event", "callback", "event", "delivery", "attempt", "callback", "attempt"]
        );
        assert!(ids(timeline, "at").is_sorted());
        assert_eq!(timeline[2]["callback"]["event_id"], timeline[3]["event_id"]);
        assert_eq!(timeline[6]["callback"]["outcome"], "conflict");
        assert_eq!(timeline[7]["attempt"]["reason"], "answered 500");
        assert_eq!(timeline[7]["delivery_id"], timeline[4]["delivery"]["id"]);
    }

    async fn what_is_made_is_there_at_once(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, "").await;
        let team = app.post_api(&format!("{V1}/teams"), json!({"name": "ops"})).await.expect(201);
        assert_eq!(team.body, json!({"name": "ops", "description": null, "from_file": false}));
        let given = json!({"name": "backend", "team": "ops", "channel": "webhook", "url": sink.url(), "rate": "5/s", "concurrency": 2});
        let made = app.post_api(&format!("{V1}/destinations"), given).await.expect(201);
        let secret = made.text("secret").to_owned();
        assert!(secret.starts_with("whsec_"));
        let wanted = json!({"destination": "backend", "events": ["task.completed"], "sources": ["evolink"], "where": "task.progress == null"});
        let subscription = app.post_api(&format!("{V1}/subscriptions"), wanted).await.expect(201);
        assert!(subscription.text("id").starts_with("sub_"));
        app.evolink("t", "completed").await.expect(200);
        assert_eq!(app.tick_all().await, 1);
        let told = sink.requests().remove(0);
        let signed = callboard::domain::signature::standard_webhooks(
            &callboard::domain::secret::Secret::new(secret.as_str()),
            told.header("webhook-id").unwrap(),
            told.header("webhook-timestamp").unwrap().parse().unwrap(),
            &told.body,
        );
        assert_eq!(told.header("webhook-signature"), Some(signed.unwrap().as_str()));

        // Shown once, and never again.
        for path in ["destinations", "destinations/backend", "subscriptions", "teams", "sources"] {
            let shown = String::from_utf8(app.get(&format!("{V1}/{path}")).await.expect(200).bytes).unwrap();
            assert!(!shown.contains(&secret[6..]) && !shown.contains("\"secret\""), "{shown}");
        }
        let shown = app.get(&format!("{V1}/destinations/backend")).await;
        assert_eq!((shown.text("rate"), &shown.body["concurrency"], &shown.body["from_file"]), ("5/s", &json!(2), &json!(false)));
        assert_eq!((shown.text("status"), shown.text("target").to_owned(), shown.text("url")), ("enabled", sink.host(), sink.url().as_str()));
        assert_eq!(app.get(&format!("{V1}/subscriptions")).await.items()[0], subscription.body);

        // A secret that was given is not shown at all, nor is a URL that is one.
        let given = json!({"name": "own", "team": "ops", "channel": "webhook", "url": sink.url(), "secret": secret});
        assert_eq!(app.post_api(&format!("{V1}/destinations"), given).await.expect(201).body["secret"], json!(null));
        let given = json!({"name": "chat", "team": "ops", "channel": "slack", "url": "https://hooks.slack.com/services/T0/B0/x"});
        let made = app.post_api(&format!("{V1}/destinations"), given).await.expect(201);
        assert!(!String::from_utf8(made.bytes).unwrap().contains("services"));
    }

    async fn a_name_that_is_taken_is_409(db: Db) {
        let config = webhook("of-file", "https://example.com/hooks");
        let app = TestApp::new(db, &config).await;
        let destination = |name: &str| json!({"name": name, "team": "ops", "channel": "webhook", "url": "https://example.com"});
        app.post_api(&format!("{V1}/teams"), json!({"name": "ops"})).await.expect(409);
        app.post_api(&format!("{V1}/teams"), json!({"name": "art"})).await.expect(201);
        app.post_api(&format!("{V1}/teams"), json!({"name": "art"})).await.expect(409);
        app.post_api(&format!("{V1}/destinations"), destination("of-file")).await.expect(409);
        app.post_api(&format!("{V1}/destinations"), destination("made")).await.expect(201);
        app.post_api(&format!("{V1}/destinations"), destination("made")).await.expect(409);
        // Two at once: one is made.
        // More than `server.max_body` is a problem like any other, whatever is in it.
        let huge = json!({"name": "x".repeat(2 << 20)});
        let refused = app.post_api(&format!("{V1}/teams"), huge).await.expect(413);
        assert_eq!(refused.text("type"), "urn:callboard:problem:too-large");
        let body = json!({"name": "raced"});
        let path = format!("{V1}/teams");
        let (one, two) = tokio::join!(app.post_api(&path, body.clone()), app.post_api(&path, body));
        let mut both = [one.status, two.status];
        both.sort();
        assert_eq!(both, [201, 409]);
    }

    async fn a_wrong_field_is_named(db: Db) {
        let app = TestApp::new(db, &webhook("backend", "https://example.com/hooks")).await;
        let with = |field: &str, value: Value| {
            let mut body = json!({"name": "new", "team": "ops", "channel": "webhook", "url": "https://example.com"});
            body[field] = value;
            body
        };
        for (body, field, says) in [
            (with("name", json!("Not A Name")), "name", "a-z"),
            (with("name", json!(null)), "name", "needed"),
            (with("name", json!(7)), "name", "a string"),
            (with("team", json!("nobody")), "team", "no team `nobody`"),
            (with("channel", json!("webhok")), "channel", "did you mean `webhook`?"),
            (with("url", json!("not a url")), "url", "https://example.com/hooks"),
            (with("url", json!("http://10.0.0.1/x")), "url", "egress.allow"),
            (with("url", json!("http://169.254.169.254/latest")), "url", "egress.allow"),
            (with("url", json!("http://[::ffff:10.0.0.1]/")), "url", "egress.allow"),
            (with("url", json!("http://0x0a000001/")), "url", "egress.allow"),
            (with("url", json!("https://user:pw@example.com/")), "url", "user"),
            (with("url", json!(null)), "url", "needs it"),
            (with("rate", json!("fast")), "rate", "5/s"),
            (with("concurrency", json!(0)), "concurrency", "from 1"),
            (with("secret", json!("hunter2!")), "secret", "base64"),
            (with("secert", json!("x")), "secert", "did you mean `secret`?"),
            (with("to", json!("a@example.com")), "to", "no such field"),
        ] {
            is_refused(app.post_api(&format!("{V1}/destinations"), body).await, field, says);
        }
        for (body, field, says) in [
            (json!({}), "destination", "needed"),
            (json!({"destination": "bakend"}), "destination", "did you mean `backend`?"),
            (json!({"destination": "backend", "events": ["task.complete"]}), "events", "did you mean `task.completed`?"),
            (json!({"destination": "backend", "events": []}), "events", "at least one"),
            (json!({"destination": "backend", "sources": ["evolnk"]}), "sources", "did you mean `evolink`?"),
            (json!({"destination": "backend", "where": "task.model ="}), "where", "line 1"),
            (json!({"destination": "backend", "were": "true"}), "were", "did you mean `where`?"),
        ] {
            is_refused(app.post_api(&format!("{V1}/subscriptions"), body).await, field, says);
        }
        is_refused(app.post_api(&format!("{V1}/teams"), json!({"nmae": "x"})).await, "name", "needed");
        is_refused(app.post_api(&format!("{V1}/teams"), json!(["x"])).await, "body", "object");
        let broken = app.client.post(app.url("/api/v1/teams")).bearer_auth(ADMIN_KEY).body("{");
        is_refused(answer(broken).await, "body", "not JSON");
        assert_eq!(app.get(&format!("{V1}/destinations")).await.items().len(), 1);
    }

    async fn the_same_post_again_is_given_the_same_answer(db: Db) {
        let app = TestApp::new(db, "").await;
        let (teams, destinations) = (format!("{V1}/teams"), format!("{V1}/destinations"));
        app.post_api(&teams, json!({"name": "ops"})).await.expect(201);
        let body = json!({"name": "backend", "team": "ops", "channel": "webhook", "url": "https://example.com"});
        let first = post_once(&app, "key-1", &destinations, &body).await.expect(201);
        let again = post_once(&app, "key-1", &destinations, &body).await.expect(201);
        assert_eq!(first.bytes, again.bytes);
        let mut other = body.clone();
        other["name"] = json!("other");
        assert!(post_once(&app, "key-1", &destinations, &other).await.expect(409).text("detail").contains("another request"));
        post_once(&app, "key-1", &teams, &json!({"name": "art"})).await.expect(409);
        assert_eq!(app.get(&destinations).await.items().len(), 1);
        // What was refused may be mended under the same key.
        is_refused(post_once(&app, "key-2", &teams, &json!({"name": "A"})).await, "name", "a-z");
        post_once(&app, "key-2", &teams, &json!({"name": "a"})).await.expect(201);
        is_refused(post_once(&app, &"x".repeat(256), &teams, &json!({"name": "b"})).await, "Idempotency-Key", "255");
        // A day later it is a new request.
        app.advance(Duration::from_secs(24 * 60 * 60));
        post_once(&app, "key-1", &destinations, &body).await.expect(409).text("detail").contains("already");
        post_once(&app, "key-1", &teams, &json!({"name": "art"})).await.expect(201);
        // A replay under a key is made once.
        let event = app.evolink("t", "completed").await.text("event_id").to_owned();
        let path = format!("{V1}/events/{event}/replay");
        for _ in 0..3 {
            post_once(&app, "key-3", &path, &json!({"destination": "backend"})).await.expect(202);
        }
        assert_eq!(app.database.number("SELECT count(*) FROM deliveries").await, 1);
    }

    async fn a_destination_is_tried_and_nothing_is_kept_of_it(db: Db) {
        let sink = Sink::start().await;
        let app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        let path = format!("{V1}/destinations/backend/test");
        let tried = app.post_api(&path, json!({})).await.expect(200);
        assert_eq!((tried.text("outcome"), &tried.body["status_code"]), ("delivered", &json!(200)));
        assert_eq!(sink.requests()[0].json()["data"]["metadata"], json!({"test": "true"}));
        sink.answer(|_| Reply::Answer(410, String::new(), b"no more".to_vec()));
        let tried = app.post_api(&path, json!({})).await.expect(200);
        assert_eq!((tried.text("outcome"), tried.text("reason"), tried.text("response")), ("gone", "answered 410", "no more"));
        assert_eq!(app.get(&format!("{V1}/destinations/backend")).await.text("status"), "enabled");
        assert_eq!(app.get(&format!("{V1}/events")).await.items().len(), 0);
        app.post_api(&format!("{V1}/destinations/none/test"), json!({})).await.expect(404);
        app.post_api(&format!("{V1}/destinations/none/enable"), json!({})).await.expect(404);
        let enable = format!("{V1}/destinations/backend/enable");
        is_refused(app.post_api(&enable, json!({"held": "keep"})).await, "held", "drop");
    }

    async fn nothing_is_shown_or_made_without_a_key(db: Db) {
        let app = TestApp::new(db, "").await;
        let get = ["events", "events/x", "deliveries", "deliveries/x", "tasks", "tasks/evolink/x", "callbacks",
            "callbacks/x", "callbacks/x/body", "sources", "sources/evolink", "destinations", "destinations/x",
            "subscriptions", "teams"];
        let post = ["events/x/replay", "deliveries/x/retry", "destinations", "destinations/x/test",
            "destinations/x/enable", "subscriptions", "teams"];
        let gets = get.into_iter().map(|path| (Method::GET, path));
        for (method, path) in gets.chain(post.into_iter().map(|path| (Method::POST, path))) {
            for key in [None, Some("Bearer wrong-key-of-the-tests"), Some("Bearer "), Some("Basic YWRtaW46YWRtaW4=")] {
                let mut request = app.client.request(method.clone(), app.url(&format!("{V1}/{path}"))).body("{}");
                if let Some(key) = key {
                    request = request.header("authorization", key);
                }
                let refused = answer(request).await.expect(401);
                assert_eq!(refused.header("www-authenticate"), Some("Bearer"), "{path}");
                assert_eq!(refused.text("type"), "urn:callboard:problem:unauthorized");
            }
        }
        // These ask for none: whether it lives, and from this machine the counters.
        for path in ["/healthz", "/readyz", "/metrics"] {
            answer(app.client.get(app.url(path))).await.expect(200);
        }
        // Through a proxy it is not this machine that asks.
        answer(app.client.get(app.url("/metrics")).header("x-forwarded-for", "192.0.2.1")).await.expect(401);
        answer(app.client.delete(app.url(&format!("{V1}/teams"))).bearer_auth(ADMIN_KEY)).await.expect(404);
    }
}
