//! Contract §4: how each callback is answered, and what is kept of it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callboard::domain::task::Metadata;
use callboard::flow::notice::Notice;
use callboard::flow::receive::callback_path;
use futures_util::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::app::{Answer, Db, SECRET, START, TOKEN, TestApp, answer, both, evolink, sign, webhook};
use crate::sink::Sink;

/// Another secret of the right shape.
const OTHER_SECRET: &str = "whsec_b3RoZXJzZWNyZXRvdGhlcnNlY3JldG90aGVy";

/// How many rows of each kind there are: callbacks, tasks, events, deliveries.
async fn rows(app: &TestApp) -> [i64; 4] {
    let mut rows = [0; 4];
    for (many, table) in rows.iter_mut().zip(["callbacks", "tasks", "events", "deliveries"]) {
        *many = app.database.number(&format!("SELECT count(*) FROM {table}")).await;
    }
    rows
}

async fn kept(app: &TestApp, posted: &Answer) -> Answer {
    app.get(&format!("/api/v1/callbacks/{}", posted.text("callback_id"))).await.expect(200)
}

both! {
    async fn each_step_is_accepted_once_and_the_rest_is_said(db: Db) {
        let app = TestApp::new(db, "").await;
        let begun = app.evolink("t", "processing").await.expect(200);
        assert_eq!((begun.text("outcome"), begun.text("task_id")), ("accepted", "t"));
        assert!(begun.text("event_id").starts_with("evt_") && begun.text("callback_id").starts_with("cb_"));

        let progress = json!({"id": "t", "status": "processing", "progress": 50}).to_string();
        let progress = app.post("evolink", "", progress, &[]).await.expect(200);
        assert_eq!((progress.text("outcome"), &progress.body["event_id"]), ("duplicate", &begun.body["event_id"]));
        assert_eq!(app.get("/api/v1/tasks/evolink/t").await.body["progress"], 50);

        let ended = app.evolink("t", "completed").await.expect(200);
        assert_eq!(ended.text("outcome"), "accepted");
        assert_ne!(ended.text("event_id"), begun.text("event_id"));

        let late = app.evolink("t", "processing").await.expect(200);
        assert_eq!((late.text("outcome"), &late.body["event_id"]), ("stale", &json!(null)));
        let contrary = app.evolink("t", "failed").await.expect(200);
        assert_eq!((contrary.text("outcome"), &contrary.body["event_id"]), ("conflict", &json!(null)));
        let again = app.evolink("t", "completed").await.expect(200);
        assert_eq!((again.text("outcome"), &again.body["event_id"]), ("duplicate", &ended.body["event_id"]));

        assert_eq!(rows(&app).await, [6, 1, 2, 0]);
        assert_eq!(app.get("/api/v1/tasks/evolink/t").await.text("status"), "completed");
    }

    async fn a_task_that_waits_makes_no_event_yet(db: Db) {
        let app = TestApp::new(db, "").await;
        let posted = app.evolink("t", "pending").await.expect(200);
        assert_eq!((posted.text("outcome"), &posted.body["event_id"]), ("accepted", &json!(null)));
        assert_eq!(rows(&app).await, [1, 1, 0, 0]);
    }

    async fn a_repeat_is_counted_on_the_row_of_the_first_that_became_the_same(db: Db) {
        let app = TestApp::new(db, "").await;
        let first = app.evolink("t", "completed").await.expect(200);
        app.advance(Duration::from_secs(1));
        let second = app.evolink("t", "completed").await.expect(200);
        app.advance(Duration::from_secs(4));
        let third = app.evolink("t", "completed").await.expect(200);
        assert_eq!([first.text("outcome"), second.text("outcome"), third.text("outcome")], ["accepted", "duplicate", "duplicate"]);
        assert_ne!(first.text("callback_id"), second.text("callback_id"));
        assert_eq!(second.text("callback_id"), third.text("callback_id"));
        let row = kept(&app, &third).await;
        assert_eq!((&row.body["repeats"], row.text("received_at")), (&json!(1), "2026-04-01T00:00:01Z"));
        assert_eq!(row.text("repeated_at"), "2026-04-01T00:00:05Z");

        let other_query = app.post("evolink", "a=1", evolink("t", "completed"), &[]).await.expect(200);
        assert_ne!(other_query.text("callback_id"), third.text("callback_id"));
        assert_eq!(rows(&app).await, [3, 1, 1, 0]);
    }

    async fn a_signed_contradiction_is_told_once_to_all_who_had_the_first_event(db: Db) {
        let (had, wants) = (Sink::start().await, Sink::start().await);
        let destination = |name: &str, sink: &Sink, event: &str| {
            format!("{}events = [\"{event}\"]\n", webhook(name, &sink.url()))
        };
        let config = destination("had", &had, "task.completed") + &destination("wants", &wants, "task.conflict");
        let mut app = TestApp::new(db, &config).await;
        let told = app.signed("p", "succeeded").await.expect(200);
        app.tick_all().await;
        let contrary = app.signed("p", "failed").await.expect(200);
        assert_eq!(contrary.text("outcome"), "conflict");
        assert_ne!(contrary.text("event_id"), told.text("event_id"));
        for status in ["failed", "canceled"] {
            let again = app.signed("p", status).await.expect(200);
            assert_eq!((again.text("outcome"), &again.body["event_id"]), ("conflict", &json!(null)));
        }
        app.tick_all().await;

        assert_eq!((had.count(), wants.count()), (2, 1));
        let event = wants.requests()[0].json();
        assert_eq!((&event["type"], &event["id"]), (&json!("task.conflict"), &contrary.body["event_id"]));
        let data = &event["data"];
        assert_eq!((&data["status"], &data["confirmed"]), (&json!("completed"), &json!(true)));
        assert_eq!((&data["recorded_status"], &data["claimed_status"]), (&json!("completed"), &json!("failed")));
        assert_eq!(had.requests()[1].json(), event);
        assert_eq!(app.get("/api/v1/tasks/replicate/p").await.text("status"), "completed");
    }

    async fn what_is_known_but_not_understood_is_quarantined_and_named(db: Db) {
        let app = TestApp::new(db, "").await;
        let posted = app.evolink("t", "exploded").await.expect(200);
        assert_eq!((posted.text("outcome"), posted.text("task_id")), ("quarantined", "t"));
        assert!(posted.text("detail").contains("exploded"), "{}", posted.body);
        assert_eq!(kept(&app, &posted).await.text("outcome"), "quarantined");
        assert_eq!(rows(&app).await, [1, 0, 0, 0]);
        let nul = app.post("evolink", "", "{\"id\":\"t\\u0000\",\"status\":\"\\u0000\"}", &[]).await.expect(200);
        assert_eq!((nul.text("outcome"), nul.text("task_id")), ("quarantined", "t\u{FFFD}"));
        // The same bytes mean the same again, and a later good one is a task like any other.
        assert_eq!(app.evolink("t", "exploded").await.text("callback_id"), posted.text("callback_id"));
        assert_eq!(app.evolink("t", "completed").await.text("outcome"), "accepted");
    }

    async fn what_cannot_be_read_is_422_and_its_bytes_are_kept(db: Db) {
        let app = TestApp::new(db, "").await;
        for body in [&b"not json"[..], b"{\"status\":\"completed\"}", b"", b"\xff\xfe\x00\x01", b"[]", b"{\"id\":null}"] {
            let posted = app.post("evolink", "", body.to_vec(), &[]).await.expect(422);
            assert_eq!(posted.header("content-type"), Some("application/problem+json"));
            assert!(!posted.text("detail").is_empty());
            let row = kept(&app, &posted).await;
            assert_eq!((row.text("outcome"), row.text("body_base64")), ("quarantined", STANDARD.encode(body).as_str()));
        }
        assert_eq!(rows(&app).await, [6, 0, 0, 0]);
    }

    async fn a_signature_that_does_not_hold_is_401_and_kept_with_the_reason(db: Db) {
        let app = TestApp::new(db, "").await;
        let body = json!({"id": "p", "status": "succeeded"}).to_string();
        let unsigned = app.post("replicate", "", body.clone(), &[]).await.expect(401);
        assert!(unsigned.text("detail").contains("webhook-id"), "{}", unsigned.body);
        let wrong = app.signed_with(OTHER_SECRET, "q", "succeeded").await.expect(401);
        assert!(wrong.text("detail").contains("webhook-signature"), "{}", wrong.body);
        let old = sign(SECRET, &body, START);
        app.advance(Duration::from_secs(301));
        let old: Vec<_> = old.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let old = app.post("replicate", "a=1", body, &old).await.expect(401);
        assert!(old.text("detail").contains("301 s ago"), "{}", old.body);
        for posted in [unsigned, wrong, old] {
            let row = kept(&app, &posted).await;
            assert_eq!((row.text("outcome"), &row.body["detail"]), ("rejected", &posted.body["detail"]));
        }
        assert_eq!(rows(&app).await, [3, 0, 0, 0]);
        // With a good signature the same is a row of its own.
        assert_eq!(app.signed("p", "succeeded").await.expect(200).text("outcome"), "accepted");
    }

    async fn of_the_rejected_the_newest_thousand_of_each_source_are_kept(db: Db) {
        let source = |name: &str| {
            format!("[sources.{name}]\nprovider = \"replicate\"\ncallback_token = \"{TOKEN}\"\nsigning_secret = \"{SECRET}\"\n")
        };
        let app = TestApp::new(db, &(source("one") + &source("two"))).await;
        let body = |n: usize| json!({"id": format!("p{n}"), "status": "succeeded"}).to_string();
        app.post("two", "", body(0), &[]).await.expect(401);
        let first = app.post("one", "", body(0), &[]).await.expect(401);
        for from in (1..=1000).step_by(100) {
            app.advance(Duration::from_millis(1));
            let posts = (from..from + 100).map(|n| app.post("one", "", body(n), &[]));
            for posted in join_all(posts).await {
                posted.expect(401);
            }
        }
        // Of two batches that are written at the same time, neither sees what the other keeps.
        app.post("one", "", body(1001), &[]).await.expect(401);
        let count = |source: &str| format!("SELECT count(*) FROM callbacks WHERE source = '{source}'");
        assert_eq!(app.database.number(&count("one")).await, 1000);
        assert_eq!(app.database.number(&count("two")).await, 1);
        app.get(&format!("/api/v1/callbacks/{}", first.text("callback_id"))).await.expect(404);
    }

    async fn an_unknown_source_and_a_wrong_token_are_the_same_404(db: Db) {
        let app = TestApp::new(db, "").await;
        let post = |path: &str| answer(app.client.post(app.url(path)).body(evolink("t", "completed")));
        let source = post(&format!("/callbacks/nobody/{TOKEN}")).await.expect(404);
        let token = post("/callbacks/evolink/token-of-somebody-else").await.expect(404);
        assert_eq!(source.bytes, token.bytes);
        assert_eq!(source.header("content-type"), Some("application/problem+json"));
        assert_eq!(rows(&app).await, [0; 4]);
    }

    async fn too_large_and_encoded_bodies_are_refused_and_not_kept(db: Db) {
        let app = TestApp::new(db, "[server]\nmax_body = \"1KiB\"\n").await;
        let padded = |len: usize| {
            let body = evolink("t", "completed");
            let spaces = " ".repeat(len - body.len());
            body + &spaces
        };
        app.post("evolink", "", padded(1025), &[]).await.expect(413);
        let chunks = padded(2000).into_bytes().chunks(100).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
        let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        app.post("evolink", "", chunked, &[]).await.expect(413);
        for encoding in ["gzip", "br", "identity, gzip"] {
            app.post("evolink", "", padded(500), &[("content-encoding", encoding)]).await.expect(415);
        }
        assert_eq!(rows(&app).await, [0; 4]);
        // Exactly as large as allowed; no content type, or a strange one, is no reason to refuse.
        app.post("evolink", "", padded(1024), &[("content-encoding", "identity")]).await.expect(200);
        app.post("evolink", "", padded(1023), &[("content-type", "image/png")]).await.expect(200);
    }

    async fn more_than_the_rate_is_429_and_says_when(db: Db) {
        let source = format!("[sources.evolink]\nprovider = \"evolink\"\ncallback_token = \"{TOKEN}\"\nrate = \"2/s\"\n");
        let app = TestApp::new(db, &source).await;
        app.evolink("a", "completed").await.expect(200);
        app.evolink("b", "completed").await.expect(200);
        let refused = app.evolink("c", "completed").await.expect(429);
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(rows(&app).await[0], 2);
        app.advance(Duration::from_secs(1));
        app.evolink("c", "completed").await.expect(200);
    }

    async fn what_the_database_refuses_is_503_and_leaves_no_trace(db: Db) {
        let sink = Sink::start().await;
        let app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        // The last table that is written: everything else is written before.
        app.database.execute("ALTER TABLE deliveries RENAME TO elsewhere").await;
        let refused = app.evolink("t", "completed").await.expect(503);
        assert_eq!(refused.header("retry-after"), Some("1"));
        app.database.execute("ALTER TABLE elsewhere RENAME TO deliveries").await;
        assert_eq!(rows(&app).await, [0; 4]);
        assert_eq!(app.evolink("t", "completed").await.expect(200).text("outcome"), "accepted");
        assert_eq!(rows(&app).await, [1, 1, 1, 1]);
        app.services.store.close().await;
        app.evolink("u", "completed").await.expect(503);
        app.get("/readyz").await.expect(503);
        app.get("/healthz").await.expect(200);
    }

    async fn who_waits_too_long_is_told_so_and_finds_nothing_later(db: Db) {
        let app = TestApp::new(db, "").await;
        // Somebody else has the database, and lets go as soon as the answer is there.
        let held = app.database.hold().await;
        let refused = app.evolink("t", "completed").await.expect(503);
        assert!(refused.header("retry-after").is_some());
        drop(held);
        app.evolink("u", "completed").await.expect(200);
        assert_eq!(rows(&app).await, [1, 1, 1, 0]);
        assert_eq!(app.evolink("t", "completed").await.expect(200).text("outcome"), "accepted");
    }

    async fn who_does_not_wait_for_the_answer_is_taken_at_his_word(db: Db) {
        let app = TestApp::new(db, "").await;
        let mut notices = app.notices.watch();
        let body = evolink("t", "completed");
        let head = format!("POST /callbacks/evolink/{TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut provider = tokio::net::TcpStream::connect(app.address).await.unwrap();
        provider.write_all((head + &body).as_bytes()).await.unwrap();
        drop(provider);
        while !matches!(notices.recv().await.unwrap(), Notice::Callback { .. }) {}
        assert_eq!(rows(&app).await, [1, 1, 1, 0]);
    }

    async fn metadata_is_of_the_first_query_and_a_signed_one_wins(db: Db) {
        let app = TestApp::new(db, "").await;
        let post = |query: &'static str, status: &str| app.post("evolink", query, evolink("t", status), &[]);
        let metadata = async || app.get("/api/v1/tasks/evolink/t").await.body["metadata"].clone();
        post("campaign=spring&campaign=autumn&order=4%202&cb_intent=x", "pending").await.expect(200);
        assert_eq!(metadata().await, json!({"campaign": "spring", "order": "4 2"}));
        post("campaign=winter", "processing").await.expect(200);
        assert_eq!(metadata().await, json!({"campaign": "spring", "order": "4 2"}));

        let ours = Metadata::from([("campaign".into(), "ours & only".into())]);
        let path = callback_path(&app.services.roster.now(), "evolink", &ours).unwrap();
        let forged = path.replace("ours", "theirs");
        let post_to = |path: &str, status: &str| answer(app.client.post(app.url(path)).body(evolink("t", status)));
        post_to(&forged, "processing").await.expect(200);
        assert_eq!(metadata().await, json!({"campaign": "spring", "order": "4 2"}));
        post_to(&path, "completed").await.expect(200);
        assert_eq!(metadata().await, json!({"campaign": "ours & only"}));
        let events = app.get("/api/v1/events").await;
        assert_eq!(events.items()[0]["data"]["metadata"], json!({"campaign": "ours & only"}));
    }

    async fn metadata_that_does_not_fit_is_dropped_whole_and_shown(db: Db) {
        let app = TestApp::new(db, "").await;
        let keys = (0..22).map(|n| format!("k{n:02}=v")).collect::<Vec<_>>().join("&");
        let query = format!("long={}&{keys}", "x".repeat(2048));
        let posted = app.post("evolink", &query, evolink("t", "completed"), &[]).await.expect(200);
        assert_eq!(app.get("/api/v1/tasks/evolink/t").await.body["metadata"].as_object().unwrap().len(), 20);
        let detail = kept(&app, &posted).await.text("detail").to_owned();
        assert!(["long", "k20", "k21"].iter().all(|key| detail.contains(key)), "{detail}");
    }

    async fn tokens_and_signing_secrets_overlap_while_they_are_rotated(db: Db) {
        let source = format!(
            "[sources.replicate]\nprovider = \"replicate\"\ncallback_token = [\"token-of-tomorrow-1\", \"{TOKEN}\"]\n\
             signing_secret = [\"{OTHER_SECRET}\", \"{SECRET}\"]\n"
        );
        let app = TestApp::new(db, &source).await;
        for (task, secret) in [("old", SECRET), ("new", OTHER_SECRET)] {
            app.signed_with(secret, task, "succeeded").await.expect(200);
        }
        app.signed_with("whsec_bmVpdGhlcm5laXRoZXJuZWl0aGVybmVpdGhlcg==", "no", "succeeded").await.expect(401);
        let shown = app.get("/api/v1/sources/replicate").await.expect(200);
        assert!(shown.text("callback_url").ends_with("/callbacks/replicate/token-of-tomorrow-1"));
        answer(app.client.post(app.url("/callbacks/replicate/token-of-tomorrow-1"))).await.expect(401);
    }

    async fn bytes_and_headers_are_given_back_as_they_came(db: Db) {
        let app = TestApp::new(db, "").await;
        let mut body = b"{\"id\": \"t\",\t\"status\":\"completed\", \"x\": \"\\u0000 \xf0\x9f\x8e\xac\"}\r\n  ".to_vec();
        body.extend_from_slice(" ".repeat(70_000).as_bytes());
        let headers = [("x-event", "task.completed"), ("x-twice", "one"), ("x-twice", "two"), ("x-odd", "\"a\\b\", ü")];
        let posted = app.post("evolink", "a=%00&b=+", body.clone(), &headers).await.expect(200);
        let row = kept(&app, &posted).await;
        assert_eq!(row.text("query"), "a=%00&b=+");
        let raw = app.get(&format!("/api/v1/callbacks/{}/body", posted.text("callback_id"))).await.expect(200);
        assert_eq!(raw.bytes, body);
        assert_eq!(raw.header("content-type"), Some("application/octet-stream"));
        assert_eq!(STANDARD.decode(row.text("body_base64")).unwrap(), body);
        let kept = row.body["headers"].as_array().unwrap();
        let of = |name: &str| kept.iter().filter(|pair| pair[0] == name).map(|pair| pair[1].clone()).collect::<Vec<_>>();
        assert_eq!(of("x-event"), ["task.completed"]);
        assert_eq!(of("x-twice"), ["one", "two"]);
        assert_eq!(of("x-odd"), ["\"a\\b\", ü"]);
        assert_eq!(of("content-length"), [body.len().to_string()]);
    }

    async fn a_nul_harms_none_of_its_neighbours(db: Db) {
        let app = TestApp::new(db, "").await;
        let posts = (0..64).map(|n| {
            let mut body = json!({"id": format!("t{n}"), "status": "failed"});
            if n == 17 {
                body["error"] = json!({"code": "x\0y", "message": "before\0after"});
                body["model"] = json!("mo\0del");
            }
            app.post("evolink", "campaign=%00", body.to_string(), &[])
        });
        for posted in join_all(posts).await {
            assert_eq!(posted.expect(200).text("outcome"), "accepted");
        }
        let task = app.get("/api/v1/tasks/evolink/t17").await.expect(200);
        assert_eq!(task.body["error"]["message"], "before\u{FFFD}after");
        assert_eq!(task.text("model"), "mo\u{FFFD}del");
        assert_eq!(rows(&app).await, [64, 64, 64, 0]);
    }

    async fn a_row_that_the_database_refuses_harms_none_of_its_neighbours(db: Db) {
        let app = TestApp::new(db, "").await;
        for sql in match db {
            Db::Sqlite => &["CREATE TRIGGER poison BEFORE INSERT ON tasks WHEN NEW.task_id = 't17'
                BEGIN SELECT RAISE(ABORT, 'refused'); END"][..],
            Db::Postgres => &[
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
                "CREATE TRIGGER poison BEFORE INSERT ON tasks FOR EACH ROW WHEN (NEW.task_id = 't17')
                    EXECUTE FUNCTION refuse()",
            ],
        } {
            app.database.execute(sql).await;
        }
        let ids: Vec<String> = (0..64).map(|n| format!("t{n}")).collect();
        let posted = join_all(ids.iter().map(|id| app.evolink(id, "completed"))).await;
        for (n, posted) in posted.into_iter().enumerate() {
            posted.expect(if n == 17 { 503 } else { 200 });
        }
        assert_eq!(rows(&app).await, [63, 63, 63, 0]);
    }

    async fn of_two_hundred_at_once_one_is_the_first(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        let mut posted = join_all((0..200).map(|_| app.evolink("t", "completed"))).await;
        let accepted = posted.iter().position(|posted| posted.text("outcome") == "accepted").unwrap();
        let first = posted.swap_remove(accepted);
        for other in posted {
            assert_eq!((other.status, other.text("outcome")), (200, "duplicate"));
            assert_eq!(other.body["event_id"], first.body["event_id"]);
        }
        assert_eq!(rows(&app).await, [2, 1, 1, 1]);
        let repeated = app.get("/api/v1/callbacks?outcome=duplicate").await.expect(200);
        assert_eq!(repeated.items()[0]["repeats"], json!(198));
        app.tick_all().await;
        assert_eq!(sink.count(), 1);
    }
}
