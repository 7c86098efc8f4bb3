//! What the store keeps of relayed requests, on both databases.

use std::time::Duration;

use callboard::domain::access::Scope;
use callboard::domain::clock::Timestamp;
use callboard::domain::delivery::{DeliveryStatus, FORWARD};
use callboard::domain::id::{CallbackId, DeliveryId, EventId, IntentId};
use callboard::domain::task::Metadata;
use callboard::domain::watch::{Plan, Saving, Watch};
use callboard::store::{DeliveryFilter, Intent, NewDelivery, NewIntent, NextAsk, SavedWatch, Store};

use crate::app::{Database, Db, START, both};

const MINUTE: Duration = Duration::from_secs(60);

fn intent(key: Option<&str>) -> NewIntent {
    NewIntent {
        id: IntentId::new(START),
        source: "evolink".into(),
        idempotency_key: key.map(str::to_owned),
        metadata: Metadata::from([("order".into(), "42".into())]),
        sealed_key: Some("s1.a.b".into()),
        client_url: Some("https://client.example.com/done".into()),
        created_at: START,
    }
}

async fn open(store: &Store, new: &NewIntent) -> Intent {
    let mut tx = store.write().await.unwrap();
    let kept = tx.open_intent(new).await.unwrap();
    tx.commit().await.unwrap();
    kept
}

async fn kept(store: &Store, id: &IntentId) -> Intent {
    let mut tx = store.write().await.unwrap();
    tx.lock_intents(vec![id.to_string(), id.to_string(), "int_unknown".into()]).await.unwrap().remove(0)
}

async fn save(store: &Store, intent: &Intent) {
    let mut tx = store.write().await.unwrap();
    tx.save_intents(&[intent]);
    tx.commit().await.unwrap();
}

both! {
    async fn an_intent_is_kept_and_found_again_by_its_idempotency_key(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let (first, other) = (intent(Some("k")), intent(None));
        let made = open(&store, &first).await;
        assert_eq!((&made.id, &made.metadata, made.status), (&first.id, &first.metadata, None));
        assert_eq!(open(&store, &other).await.id, other.id);
        assert_eq!(open(&store, &NewIntent { source: "b".into(), ..intent(Some("k")) }).await.source, "b");

        // As long as no task is known, what is said last counts.
        let late = NewIntent {
            metadata: Metadata::new(),
            sealed_key: Some("s1.a.c".into()),
            client_url: None,
            ..intent(Some("k"))
        };
        let again = open(&store, &late).await;
        assert_eq!((&again.id, again.sealed_key.as_deref(), &again.client_url), (&first.id, Some("s1.a.c"), &None));
        let task_id = Some("task-1".to_owned());
        save(&store, &Intent { status: Some(200), task_id: task_id.clone(), called_back: true, ..again }).await;
        let known = open(&store, &intent(Some("k"))).await;
        assert_eq!((known.metadata, known.sealed_key.as_deref(), known.client_url), (Metadata::new(), Some("s1.a.c"), None));
        assert_eq!((known.status, known.task_id, known.called_back), (Some(200), task_id, true));
        let mut tx = store.read().await.unwrap();
        assert_eq!(tx.relayed_at("evolink", "task-1").await.unwrap(), Some((START, Some(200))));
        assert_eq!(tx.relayed_at("b", "task-1").await.unwrap(), None);
    }

    async fn a_key_is_forgotten_where_no_task_can_come_of_it(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        for (forget, key) in [(true, None), (false, Some("s1.a.b"))] {
            let made = open(&store, &intent(None)).await;
            let mut tx = store.write().await.unwrap();
            tx.no_task(&made.id, 400, forget).await.unwrap();
            tx.commit().await.unwrap();
            let after = kept(&store, &made.id).await;
            assert_eq!((after.status, after.sealed_key.as_deref()), (Some(400), key));
        }

        // A second try of a task that is being asked for takes nothing from it.
        let made = open(&store, &intent(None)).await;
        save(&store, &Intent { status: Some(200), task_id: Some("task-1".into()), ..made.clone() }).await;
        let watch = Watch::begin(&Plan::default(), true, None, None, START);
        let id = ("evolink".to_owned(), "task-1".to_owned());
        let mut tx = store.write().await.unwrap();
        tx.save_watches(&[SavedWatch { id: &id, watch: &watch, look_at: None, intent_id: Some(made.id.as_str()), saving: Saving::All }]);
        tx.no_task(&made.id, 409, true).await.unwrap();
        tx.commit().await.unwrap();
        let after = kept(&store, &made.id).await;
        assert_eq!((after.status, after.sealed_key.as_deref()), (Some(200), Some("s1.a.b")));

        let mut tx = store.write().await.unwrap();
        assert_eq!(tx.forget_keys(START).await.unwrap(), 0);
        assert_eq!(tx.forget_keys(START.after(MINUTE)).await.unwrap(), 1);
        tx.commit().await.unwrap();
    }

    async fn a_task_is_asked_for_with_the_key_of_its_intent(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let made = open(&store, &intent(None)).await;
        let mut watch = Watch::begin(&Plan { can_ask: true, ..Plan::default() }, true, None, None, START);
        watch.ask_at = Some(START);
        let ids = ["task-1", "task-2"].map(|task| ("evolink".to_owned(), task.to_owned()));
        let mut tx = store.write().await.unwrap();
        let saved = |id, intent_id| SavedWatch { id, watch: &watch, look_at: None, intent_id, saving: Saving::All };
        tx.save_watches(&[saved(&ids[0], Some(made.id.as_str())), saved(&ids[1], None)]);
        tx.commit().await.unwrap();
        let mut tx = store.write().await.unwrap();
        let lease = ("me", START.after(MINUTE));
        let mut claimed = tx.claim_questions("evolink", true, 9, START, lease).await.unwrap();
        claimed.sort_by(|a, b| a.task_id.cmp(&b.task_id));
        let keys: Vec<_> = claimed.iter().map(|asked| (asked.sealed_key.as_deref(), asked.is_awaited)).collect();
        assert_eq!(keys, [(Some("s1.a.b"), true), (None, false)]);
        tx.commit().await.unwrap();

        let mut tx = store.write().await.unwrap();
        let until = START.after(MINUTE);
        let next = tx.next_relayed(&["evolink", "aivideoapi"]).await.unwrap();
        assert_eq!(next, [NextAsk { source: "evolink".into(), vouched: true, ask_at: until }]);
        let lease = ("me", until.after(MINUTE));
        assert_eq!(tx.claim_relayed("evolink", START, lease).await.unwrap(), None);
        let one = tx.claim_relayed("evolink", until, lease).await.unwrap().unwrap();
        assert_eq!((one.task_id.as_str(), one.sealed_key.as_deref()), ("task-1", Some("s1.a.b")));
        assert_eq!(tx.claim_relayed("evolink", until, lease).await.unwrap(), None, "the other has no key");
    }

    async fn what_is_handed_on_is_a_delivery_of_its_own(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let callback = CallbackId::new(START);
        let mut tx = store.write().await.unwrap();
        let forward = NewDelivery {
            id: DeliveryId::new(START),
            event_id: EventId::stored(callback.to_string()),
            event_type: FORWARD,
            destination: "@forward:client.example.com".into(),
            replay_id: None,
            url: Some("https://client.example.com/done".into()),
        };
        tx.insert_deliveries([forward.clone(), NewDelivery { id: DeliveryId::new(START), ..forward }], START);
        tx.commit().await.unwrap();
        let mut tx = store.read().await.unwrap();
        let rows = tx.forwards(vec![callback.to_string(), "pol_none".into()]).await.unwrap();
        assert_eq!(rows.len(), 1, "the same is handed on once");
        assert_eq!((rows[0].event_type.as_str(), rows[0].created_at), ("forward", Timestamp(START.0)));
        // It tells no event: where deliveries are shown, it is not among them.
        assert!(tx.delivery(&Scope::All, &rows[0].id).await.unwrap().is_none());
        let all = DeliveryFilter { limit: 10, ..DeliveryFilter::default() };
        let to_it = DeliveryFilter { destination: Some(rows[0].destination.clone()), ..all.clone() };
        let of_it = DeliveryFilter { event_id: Some(callback.to_string()), ..all.clone() };
        let waiting = DeliveryFilter { status: Some(DeliveryStatus::Pending), ..all.clone() };
        for filter in [all, to_it, of_it, waiting] {
            assert!(tx.deliveries(&Scope::All, &filter).await.unwrap().items.is_empty(), "{filter:?}");
        }
    }
}
