//! The store's queries on who is signed in, and on how a task came to be, on both databases.

use std::time::Duration;

use callboard::domain::access::Role;
use callboard::domain::id::KeyId;
use callboard::store::{KeyRow, NewSession, Session, Store};

use crate::app::{Database, Db, START, both};

const HOUR: Duration = Duration::from_secs(3600);

async fn begin(store: &Store, hash: &str, key_id: Option<&str>, admin_hash: Option<&str>) {
    let session = NewSession {
        hash: hash.into(),
        key_id: key_id.map(str::to_owned),
        admin_hash: admin_hash.map(str::to_owned),
        ends_at: START.after(HOUR * 3),
        expires_at: START.after(HOUR),
    };
    let mut tx = store.write().await.unwrap();
    tx.insert_session(&session, START).await.unwrap();
    tx.commit().await.unwrap();
}

async fn at(store: &Store, hash: &str, admin: Option<&str>, after: Duration) -> Option<Session> {
    store.read().await.unwrap().session(hash, admin, START.after(after)).await.unwrap()
}

async fn key(store: &Store) -> KeyRow {
    let key =
        KeyRow { id: KeyId::new(START).to_string(), name: "n".into(), role: Role::Read, team: Some("ops".into()) };
    let mut tx = store.write().await.unwrap();
    tx.insert_key(&key, "hash of the key", Some(START.after(HOUR * 2)), START).await.unwrap();
    tx.commit().await.unwrap();
    key
}

both! {
    async fn a_session_holds_as_long_as_it_is_used_and_its_key_holds(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let key = key(&store).await;
        begin(&store, "one", Some(&key.id), None).await;
        let found = at(&store, "one", None, HOUR / 2).await.unwrap();
        assert_eq!(found.key.map(|key| key.id), Some(key.id.clone()));
        assert_eq!((found.expires_at, found.ends_at), (START.after(HOUR), START.after(HOUR * 3)));
        assert!(at(&store, "two", None, HOUR / 2).await.is_none());
        assert!(at(&store, "one", None, HOUR).await.is_none(), "not used for an hour");

        let mut tx = store.write().await.unwrap();
        tx.extend_session("one", START.after(HOUR * 3)).await.unwrap();
        // It cannot be put off beyond its end.
        tx.extend_session("one", START.after(HOUR * 4)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(at(&store, "one", None, HOUR).await.is_some());
        assert!(at(&store, "one", None, HOUR * 2).await.is_none(), "the key has expired");
        let mut tx = store.write().await.unwrap();
        tx.revoke_key(&key.id, START).await.unwrap();
        tx.commit().await.unwrap();
        assert!(at(&store, "one", None, HOUR).await.is_none(), "the key is revoked");
        store.close().await;
    }

    async fn an_administrators_session_ends_when_the_configured_key_changes(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        begin(&store, "one", None, Some("of the old key")).await;
        assert!(at(&store, "one", Some("of the old key"), HOUR / 2).await.is_some_and(|session| session.key.is_none()));
        assert!(at(&store, "one", Some("of the new key"), HOUR / 2).await.is_none());
        assert!(at(&store, "one", None, HOUR / 2).await.is_none());
        store.close().await;
    }

    async fn what_has_ended_is_let_go(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        for hash in ["one", "two", "three"] {
            begin(&store, hash, None, Some("admin")).await;
        }
        let mut tx = store.write().await.unwrap();
        tx.delete_session("one").await.unwrap();
        tx.extend_session("two", START.after(HOUR * 2)).await.unwrap();
        tx.commit().await.unwrap();
        let later = NewSession {
            hash: "four".into(),
            key_id: None,
            admin_hash: Some("admin".into()),
            ends_at: START.after(HOUR * 9),
            expires_at: START.after(HOUR * 9),
        };
        let mut tx = store.write().await.unwrap();
        tx.insert_session(&later, START.after(HOUR)).await.unwrap();
        tx.commit().await.unwrap();
        let left = database.texts("SELECT hash FROM sessions ORDER BY hash").await;
        assert_eq!(left.into_iter().flatten().collect::<Vec<_>>(), ["four", "two"]);
        store.close().await;
    }
}
