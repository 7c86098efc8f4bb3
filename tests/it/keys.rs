//! API keys: shown once, kept as a hash, ended by time or by hand; and secrets and tokens that are changed while they
//! are in use.

use std::time::Duration;

use callboard::domain::secret::Secret;
use callboard::domain::signature::standard_webhooks;
use serde_json::{Value, json};

use crate::access::{call, key};
use crate::app::{ADMIN_KEY, Answer, Db, TOKEN, TestApp, both, evolink, webhook};
use crate::settings::{delete, make, put};
use crate::sink::Sink;

const V1: &str = "/api/v1";
const GIVEN: &str = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy0xMjM0NTY=";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What the service answers to who has this key.
async fn asked(app: &TestApp, key: &str) -> u16 {
    call(app, Some(key), "get", "/events", &json!({})).await.status
}

/// A post with an `Idempotency-Key`.
async fn post_once(app: &TestApp, key: &str, word: &str, path: &str, body: &Value) -> Answer {
    let request = app.client.post(app.url(&format!("{V1}{path}"))).bearer_auth(key).header("idempotency-key", word);
    crate::app::answer(request.body(body.to_string())).await
}

#[track_caller]
fn is_refused(answer: Answer, field: &str, says: &str) {
    let answer = answer.expect(422);
    assert_eq!(answer.text("field"), field, "{}", answer.body);
    assert!(answer.text("detail").contains(says), "{}", answer.body);
}

/// The signatures of each request.
fn signatures(sink: &Sink) -> Vec<Vec<String>> {
    let of = |text: &str| text.split(' ').map(str::to_owned).collect();
    sink.requests().iter().map(|told| of(told.header("webhook-signature").unwrap())).collect()
}

/// How this secret signs a request.
fn signed(request: &crate::sink::Request, secret: &str) -> String {
    let seconds = request.header("webhook-timestamp").unwrap().parse().unwrap();
    standard_webhooks(&Secret::new(secret), request.header("webhook-id").unwrap(), seconds, &request.body).unwrap()
}

both! {
    async fn a_key_is_shown_once_and_kept_as_a_hash(db: Db) {
        let app = TestApp::new(db, "").await;
        make(&app, "teams", json!({"name": "ops"})).await.expect(201);
        let made = key(&app, "read", Some("ops"), None).await;
        let secret = made.text("key").to_owned();
        assert!(secret.starts_with("cbk_") && secret.len() == 4 + 43, "256 bits: {secret}");
        assert_eq!(asked(&app, &secret).await, 200);
        let path = format!("/keys/{}", made.text("id"));
        for shown in [app.get(&format!("{V1}{path}")).await, app.get(&format!("{V1}/keys")).await] {
            assert!(!String::from_utf8(shown.expect(200).bytes).unwrap().contains("cbk_"));
        }
        let kept = app.database.texts("SELECT id, hash, name FROM keys").await;
        assert!(!format!("{kept:?}").contains(&secret[4..]));

        delete(&app, &path).await.expect(204);
        assert_eq!(asked(&app, &secret).await, 401, "it is revoked at once");
        assert!(app.get(&format!("{V1}{path}")).await.expect(200).body["revoked_at"].is_string());
        put(&app, &path, json!({"name": "again"})).await.expect(409);
    }

    async fn a_key_ends_when_it_was_to(db: Db) {
        let app = TestApp::new(db, "").await;
        let made = key(&app, "admin", None, Some("2026-04-01T01:00:00Z")).await;
        let (secret, path) = (made.text("key").to_owned(), format!("/keys/{}", made.text("id")));
        app.advance(HOUR - Duration::from_millis(1));
        assert_eq!(asked(&app, &secret).await, 200);
        app.advance(Duration::from_millis(1));
        assert_eq!(asked(&app, &secret).await, 401);
        let expires_at = json!({"name": "longer", "expires_at": "2026-04-01T02:00:00Z"});
        assert_eq!(put(&app, &path, expires_at).await.expect(200).text("name"), "longer");
        assert_eq!(asked(&app, &secret).await, 200);
        app.advance(HOUR);
        assert_eq!(asked(&app, &secret).await, 401);
        put(&app, &path, json!({"name": "for ever"})).await.expect(200);
        assert_eq!(asked(&app, &secret).await, 200);
    }

    async fn what_is_wrong_with_a_key_is_named(db: Db) {
        let app = TestApp::new(db, "").await;
        make(&app, "teams", json!({"name": "ops"})).await.expect(201);
        for (body, field, says) in [
            (json!({"role": "admin"}), "name", "needed"),
            (json!({"name": "", "role": "admin"}), "name", "1 to 100"),
            (json!({"name": "first start", "role": "admin"}), "name", "first start"),
            (json!({"name": "k"}), "role", "needed"),
            (json!({"name": "k", "role": "manager"}), "role", "did you mean `manage`?"),
            (json!({"name": "k", "role": "read"}), "team", "of one team"),
            (json!({"name": "k", "role": "read", "team": "art"}), "team", "no team `art`"),
            (json!({"name": "k", "role": "admin", "team": "ops"}), "team", "leave it out"),
            (json!({"name": "k", "role": "admin", "expires_at": "tomorrow"}), "expires_at", "2026-11-21T02:00:00Z"),
            (json!({"name": "k", "role": "admin", "expires_at": "2026-03-31T00:00:00Z"}), "expires_at", "in the past"),
            (json!({"name": "k", "role": "admin", "expires_on": "x"}), "expires_on", "did you mean `expires_at`?"),
        ] {
            is_refused(make(&app, "keys", body).await, field, says);
        }
        // A team makes keys of its own, and none that may do more than it.
        let manage = key(&app, "manage", Some("ops"), None).await.text("key").to_owned();
        let own = call(&app, Some(&manage), "post", "/keys", &json!({"name": "k", "role": "relay"})).await.expect(201);
        assert_eq!(own.text("team"), "ops");
        call(&app, Some(&manage), "post", "/keys", &json!({"name": "k", "role": "admin"})).await.expect(403);
        let foreign = call(&app, Some(&manage), "post", "/keys", &json!({"name": "k", "role": "read", "team": "art"})).await;
        is_refused(foreign, "team", "no team `art`");
    }

    async fn when_a_key_was_last_used_is_written_once_a_minute(db: Db) {
        let app = TestApp::new(db, "").await;
        let made = key(&app, "admin", None, None).await;
        let (secret, path) = (made.text("key").to_owned(), format!("{V1}/keys/{}", made.text("id")));
        let last_used = async || {
            app.services.roster.write_uses().await.unwrap();
            app.get(&path).await.expect(200).body["last_used_at"].clone()
        };
        assert_eq!(last_used().await, json!(null));
        asked(&app, &secret).await;
        assert_eq!(last_used().await, json!("2026-04-01T00:00:00Z"));
        app.advance(Duration::from_secs(59));
        asked(&app, &secret).await;
        assert_eq!(last_used().await, json!("2026-04-01T00:00:00Z"));
        app.advance(Duration::from_secs(1));
        assert_eq!(last_used().await, json!("2026-04-01T00:00:59Z"));
    }

    async fn the_same_post_again_shows_the_same_key_and_the_database_never_does(db: Db) {
        let app = TestApp::new(db, "").await;
        make(&app, "teams", json!({"name": "ops"})).await.expect(201);
        let body = json!({"name": "k", "role": "admin"});
        let first = post_once(&app, ADMIN_KEY, "once", "/keys", &body).await.expect(201);
        let again = post_once(&app, ADMIN_KEY, "once", "/keys", &body).await.expect(201);
        assert_eq!(first.bytes, again.bytes);
        let kept = app.database.texts("SELECT body FROM idempotency").await;
        assert!(!format!("{kept:?}").contains("cbk_"), "{kept:?}");
        // Another key may use the same word.
        let other = first.text("key").to_owned();
        let theirs = post_once(&app, &other, "once", "/keys", &body).await.expect(201);
        assert_ne!(first.text("key"), theirs.text("key"));
        // A test is tried once under a word.
        let sink = Sink::start().await;
        let hook = json!({"name": "hook", "team": "ops", "channel": "webhook", "url": sink.url()});
        make(&app, "destinations", hook).await.expect(201);
        for _ in 0..3 {
            post_once(&app, ADMIN_KEY, "test", "/destinations/hook/test", &json!({})).await.expect(200);
        }
        assert_eq!(sink.count(), 1);
    }

    async fn a_new_secret_signs_first_and_the_old_one_for_a_day(db: Db) {
        let sink = Sink::start().await;
        let app = TestApp::new(db, &webhook("of-file", "https://example.com")).await;
        let body = json!({"name": "hook", "team": "ops", "channel": "webhook", "url": sink.url(),
            "secret": GIVEN});
        make(&app, "destinations", body).await.expect(201);
        let (test, rotate) = (format!("{V1}/destinations/hook/test"), format!("{V1}/destinations/hook/secret"));
        app.post_api(&test, json!({})).await.expect(200);
        let first = app.post_api(&rotate, json!({})).await.expect(201);
        assert!(first.text("secret").starts_with("whsec_"));
        app.post_api(&test, json!({})).await.expect(200);
        app.advance(23 * HOUR);
        for _ in 0..3 {
            app.post_api(&rotate, json!({})).await.expect(201);
        }
        app.post_api(&test, json!({})).await.expect(200);
        app.advance(HOUR);
        app.services.roster.follow().await.unwrap();
        app.post_api(&test, json!({})).await.expect(200);
        app.advance(23 * HOUR);
        app.services.roster.follow().await.unwrap();
        app.post_api(&test, json!({})).await.expect(200);
        let all = signatures(&sink);
        // One that was given; a second; three at most; the newest of them alone.
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 3, 3, 1]);
        // The new one signs first, and what verified before verifies still.
        let told = &sink.requests()[1];
        assert_eq!(all[1], [signed(told, first.text("secret")), signed(told, GIVEN)]);
        assert_eq!(app.database.number("SELECT count(*) FROM secrets WHERE name = 'hook'").await, 1);
        let slack = json!({"name": "chat", "team": "ops", "channel": "slack", "url": sink.url()});
        make(&app, "destinations", slack).await.expect(201);
        let refused = app.post_api(&format!("{V1}/destinations/chat/secret"), json!({})).await.expect(409);
        assert!(refused.text("detail").contains("does not sign"));
    }

    async fn callback_tokens_change_without_a_lost_callback(db: Db) {
        let app = TestApp::new(db, "").await;
        make(&app, "sources", json!({"name": "made", "provider": "evolink", "callback_token": TOKEN})).await.expect(201);
        let shown = async || app.get(&format!("{V1}/sources/made")).await.expect(200);
        let second = app.post_api(&format!("{V1}/sources/made/token"), json!({})).await.expect(201);
        let tokens = shown().await.body["callback_tokens"].clone();
        assert_eq!(tokens[0]["id"], second.body["token_id"]);
        assert_eq!(shown().await.text("callback_url"), second.text("callback_url"));
        assert!(!tokens.to_string().contains(TOKEN));

        app.advance(Duration::from_secs(5));
        app.post("made", "", evolink("a", "completed"), &[]).await.expect(200);
        let new_url = second.text("callback_url").split_once("/callbacks/").unwrap().1.to_owned();
        let tokens = shown().await.body["callback_tokens"].clone();
        assert_eq!((&tokens[0]["last_used_at"], &tokens[1]["last_used_at"]), (&json!(null), &json!("2026-04-01T00:00:05Z")));
        app.services.roster.write_uses().await.unwrap();
        assert_eq!(app.database.number("SELECT count(*) FROM token_uses").await, 1);

        let old = format!("/sources/made/tokens/{}", tokens[1]["id"].as_str().unwrap());
        delete(&app, &old).await.expect(204);
        app.post("made", "", evolink("b", "completed"), &[]).await.expect(404);
        let posted = app.client.post(app.url(&format!("/callbacks/{new_url}"))).body(evolink("b", "completed"));
        crate::app::answer(posted).await.expect(200);
        delete(&app, &old).await.expect(404);
        let last = format!("/sources/made/tokens/{}", tokens[0]["id"].as_str().unwrap());
        assert!(delete(&app, &last).await.expect(409).text("detail").contains("last"));
        let of_file = app.post_api(&format!("{V1}/sources/evolink/token"), json!({})).await.expect(409);
        assert!(of_file.text("detail").contains("declared in the file"));
    }
}
