//! Secrets at rest: whoever has the database alone reads none of them.

use std::sync::Arc;

use callboard::domain::clock::ManualClock;
use callboard::domain::safe::Safe;
use callboard::domain::seal::{Seal, SealKey};
use callboard::domain::secret::Secret;
use callboard::flow::secrets::{reseal, seal_plain};
use callboard::store::NewIntent;
use serde_json::json;

use crate::app::{Database, Db, START, TestApp, both};
use crate::settings::make;

/// In each secret that these tests give.
const MARKER: &str = "hunter2-hunter2-hunter2";

fn safe(byte: u8) -> Safe {
    Safe::new(seal(byte).map(Arc::new))
}

fn seal(byte: u8) -> Option<Seal> {
    Seal::new(vec![SealKey::of([byte; 32])])
}

/// Everything in the database that was or might be a secret.
async fn kept(database: &Database) -> String {
    let mut all = String::new();
    for sql in [
        "SELECT value FROM secrets",
        "SELECT settings FROM destinations",
        "SELECT settings FROM sources",
        "SELECT COALESCE(sealed_key, '') FROM intents",
        "SELECT body FROM idempotency",
        "SELECT COALESCE(detail, '') FROM audit",
    ] {
        all.push_str(&format!("{:?}", database.texts(sql).await));
    }
    if database.db == Db::Sqlite {
        for name in ["callboard.db", "callboard.db-wal"] {
            let bytes = std::fs::read(database.directory.path().join(name)).unwrap_or_default();
            all.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    all
}

/// A source and destinations with secrets that were given, and one with a secret that was made, which it gives.
async fn with_secrets(app: &TestApp) -> String {
    make(app, "teams", json!({"name": "ops"})).await.expect(201);
    let source = json!({"name": "made", "provider": "replicate", "callback_token": MARKER, "api_key": MARKER,
        "signing_secret": "whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjI="});
    make(app, "sources", source).await.expect(201);
    let slack =
        json!({"name": "chat", "team": "ops", "channel": "slack", "url": format!("https://example.com/{MARKER}")});
    make(app, "destinations", slack).await.expect(201);
    let given = json!({"name": "given", "team": "ops", "channel": "webhook", "url": "https://example.com",
        "secret": "whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjI="});
    make(app, "destinations", given).await.expect(201);
    let hook = json!({"name": "hook", "team": "ops", "channel": "webhook", "url": "https://example.com"});
    make(app, "destinations", hook).await.expect(201).text("secret").to_owned()
}

both! {
    async fn no_secret_is_read_from_the_database(db: Db) {
        let app = TestApp::new(db, "").await;
        let made = with_secrets(&app).await;
        let rotated = app.post_api("/api/v1/destinations/hook/secret", json!({})).await.expect(201);
        let all = kept(&app.database).await;
        for secret in [MARKER, "whsec_", &made["whsec_".len()..], &rotated.text("secret")["whsec_".len()..]] {
            assert!(!all.contains(secret), "{secret}");
        }
        assert!(all.contains("s1."), "{all}");
    }

    async fn what_lay_there_plain_is_sealed_at_the_next_start(db: Db) {
        let database = Arc::new(Database::fresh(db));
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        tx.secrets(&Safe::default(), ("callback_token", "evolink-2"), START, || Secret::new(MARKER)).await.unwrap();
        tx.commit().await.unwrap();
        store.close().await;
        assert!(kept(&database).await.contains(MARKER));
        let config = "[sources.evolink-2]\nprovider = \"evolink\"\n";
        let mut app = TestApp::on(Arc::clone(&database), Arc::new(ManualClock::new(START)), config).await;
        let values = database.texts("SELECT value FROM secrets").await;
        assert!(values.iter().all(|row| row[0].starts_with("s1.")), "{values:?}");
        let posted = app.client.post(app.url(&format!("/callbacks/evolink-2/{MARKER}")));
        let posted = posted.body(crate::app::evolink("t", "completed"));
        crate::app::answer(posted).await.expect(200);
        app.stop().await;
    }

    async fn a_key_that_is_gone_is_named_and_nothing_is_served(db: Db) {
        let database = Arc::new(Database::fresh(db));
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        tx.secrets(&safe(9), ("callback_url", ""), START, || Secret::new(MARKER)).await.unwrap();
        tx.commit().await.unwrap();
        store.close().await;
        let refused = TestApp::try_on(Arc::clone(&database), Arc::new(ManualClock::new(START)), "").await;
        let error = format!("{:#}", refused.err().unwrap());
        let id = seal(9).unwrap().key_id().to_owned();
        assert!(error.contains(&id) && error.contains("CALLBOARD_SECRETS_KEY"), "{error}");
    }

    async fn everything_is_sealed_anew_with_another_key(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let purpose = "intent:evolink";
        let (old, new) = (safe(1), safe(2));
        let mut tx = store.write().await.unwrap();
        tx.secrets(&old, ("callback_token", "a"), START, || Secret::new(MARKER)).await.unwrap();
        tx.secrets(&Safe::default(), ("replay", ""), START, || Secret::new(MARKER)).await.unwrap();
        tx.commit().await.unwrap();
        for number in 0..450 {
            let mut tx = store.write().await.unwrap();
            let intent = NewIntent {
                id: callboard::domain::id::IntentId::new(START),
                source: "evolink".into(),
                idempotency_key: Some(number.to_string()),
                metadata: Default::default(),
                sealed_key: Some(old.keep(&Secret::new(MARKER), purpose)),
                client_url: None,
                created_at: START,
            };
            tx.open_intent(&intent).await.unwrap();
            tx.commit().await.unwrap();
        }
        // Without the old key nothing is changed.
        let error = reseal(&store, &seal(2).unwrap(), START).await.unwrap_err().to_string();
        assert!(error.contains(seal(1).unwrap().key_id()), "{error}");
        let both = Seal::new(vec![SealKey::of([2; 32]), SealKey::of([1; 32])]).unwrap();
        assert_eq!(reseal(&store, &both, START).await.unwrap(), 452);
        assert_eq!(reseal(&store, &both, START).await.unwrap(), 0);
        assert_eq!(seal_plain(&store, &new).await.unwrap(), 0);
        assert!(seal_plain(&store, &old).await.is_err());
        let id = seal(2).unwrap().key_id().to_owned();
        let sealed = database.texts("SELECT sealed_key FROM intents").await;
        assert!(sealed.iter().all(|row| row[0].contains(&id)));
        assert_eq!(new.open(&sealed[0][0], purpose), Ok(Secret::new(MARKER)));
let values = database.texts("SELECT value FROM secrets").await;
        assert!(values.iter().all(|row| row[0].contains(&id)), "{values:?}");
    }
}
