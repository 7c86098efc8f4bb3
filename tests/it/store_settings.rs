//! The store's queries on settings that are made at run time: keys, sources, destinations, what is cleared away.

use callboard::domain::access::Role;
use callboard::domain::destination::{Destination, Settings};
use callboard::domain::event::EventType;
use callboard::domain::id::{DeliveryId, KeyId, SubscriptionId};
use callboard::domain::safe::Safe;
use callboard::domain::secret::Secret;
use callboard::domain::subscription::Subscription;
use callboard::domain::task::Status;
use callboard::store::{
    Actor, AuditFilter, KeyRow, MadeSource, MadeTeam, NewDelivery, Place, Store, Sweep, SweepKind, Tx,
};
use serde_json::json;

use super::store::{ended, later, team};
use super::store_watches::{id, save, watch};
use crate::app::{Database, Db, START, both};

fn destination(name: &str, url: &str) -> Destination {
    Destination {
        name: name.into(),
        team: "ops".into(),
        channel: "webhook".into(),
        settings: Settings::from([("url".into(), url.into())]),
        rate: None,
        concurrency: None,
        from_file: false,
    }
}

fn source(name: &str, provider: &str) -> MadeSource {
    let settings = json!({"provider": provider, "api_key": "k"});
    MadeSource { name: name.into(), settings: settings.as_object().unwrap().clone() }
}

/// An event with a delivery for each of these destinations.
async fn told(store: &Store, task: &str, destinations: &[&str]) {
    let (_, event) = ended(task, Status::Completed, START);
    let made = |name: &&str| NewDelivery {
        id: DeliveryId::new(START),
        event_id: event.id.clone(),
        event_type: event.kind.as_str(),
        destination: (*name).into(),
        replay_id: None,
        url: None,
    };
    let mut tx = store.write().await.unwrap();
    tx.insert_events([event.clone()]);
    tx.insert_deliveries(destinations.iter().map(made), START);
    tx.commit().await.unwrap();
}

/// The statuses of a destination's deliveries.
async fn statuses(database: &Database, name: &str) -> Vec<String> {
    let sql = format!("SELECT status FROM deliveries WHERE destination = '{name}' ORDER BY status");
    database.texts(&sql).await.into_iter().flatten().collect()
}

async fn changed(tx: &mut Tx, version: &mut i64) -> bool {
    let before = std::mem::replace(version, tx.settings_version().await.unwrap());
    *version > before
}

both! {
    async fn events_say_of_which_task_they_tell(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let (_, event) = ended("task-1", Status::Completed, START);
        let mut tx = store.write().await.unwrap();
        tx.insert_events([event.clone()]);
        tx.commit().await.unwrap();
        let mut tx = store.read().await.unwrap();
        let (id, unknown) = (event.id.to_string(), "evt_none".to_owned());
        let told = tx.tasks_told(vec![id.clone(), unknown]).await.unwrap();
        let expected = (event.source.unwrap(), event.task_id.unwrap());
        assert_eq!(told.into_iter().collect::<Vec<_>>(), [(id, expected)]);
        assert!(tx.tasks_told(Vec::new()).await.unwrap().is_empty());
    }

    async fn a_key_is_made_shown_changed_and_ended(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        let key = |name: &str, role, team: Option<&str>| {
            KeyRow { id: KeyId::new(START).to_string(), name: name.into(), role, team: team.map(str::to_owned) }
        };
        let (admin, of_ops) = (key("a", Role::Admin, None), key("b", Role::Read, Some("ops")));
        tx.insert_key(&admin, "hash-a", None, START).await.unwrap();
        tx.insert_key(&of_ops, "hash-b", Some(later(60)), START).await.unwrap();
        assert_eq!(tx.key("hash-b", later(59)).await.unwrap().unwrap().role, Role::Read);
        assert!(tx.key("hash-b", later(60)).await.unwrap().is_none());
        assert!(tx.has_keys("ops", later(59)).await.unwrap() && !tx.has_keys("ops", later(60)).await.unwrap());
        assert_eq!((tx.keys(None).await.unwrap().len(), tx.keys(Some("ops")).await.unwrap().len()), (2, 1));
        assert!(tx.shown_key(&admin.id, Some("ops")).await.unwrap().is_none(), "it is not theirs");
        tx.note_key_used(&of_ops.id, later(5)).await.unwrap();
        tx.note_key_used(&of_ops.id, later(4)).await.unwrap();
        tx.update_key(&of_ops.id, "c", None).await.unwrap();
        let shown = tx.shown_key(&of_ops.id, Some("ops")).await.unwrap().unwrap();
        assert_eq!((shown.key.name.as_str(), shown.expires_at, shown.last_used_at), ("c", None, Some(later(5))));
        tx.revoke_key(&of_ops.id, later(6)).await.unwrap();
        tx.revoke_key(&of_ops.id, later(7)).await.unwrap();
        assert!(tx.key("hash-b", later(8)).await.unwrap().is_none());
        assert_eq!(tx.shown_key(&of_ops.id, None).await.unwrap().unwrap().revoked_at, Some(later(6)));
    }

    async fn a_source_is_made_changed_and_removed(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let (safe, mut version) = (Safe::default(), 0);
        let mut tx = store.write().await.unwrap();
        tx.insert_source(&safe, &source("a", "evolink"), START).await.unwrap();
        assert!(changed(&mut tx, &mut version).await);
        tx.update_source(&safe, &source("a", "replicate"), later(1)).await.unwrap();
        assert!(changed(&mut tx, &mut version).await);
        assert_eq!(tx.made_source(&safe, "a").await.unwrap().unwrap().settings["provider"], json!("replicate"));
        assert!(tx.made_source(&safe, "b").await.unwrap().is_none());
        assert_eq!(tx.made_sources(&safe).await.unwrap().len(), 1);
        assert_eq!(tx.source_state("a").await.unwrap().unwrap().added_at, START);
        tx.note_token_used("a", "tok_1", later(5)).await.unwrap();
        tx.note_token_used("a", "tok_1", later(4)).await.unwrap();
        assert_eq!(tx.token_uses().await.unwrap(), [("a".into(), "tok_1".into(), later(5))]);
        tx.add_secret(&safe, ("callback_token", "a"), &Secret::new("t"), START).await.unwrap();
        save(&mut tx, &[(id("a", "t1"), watch(true, Some(later(9)))), (id("b", "t1"), watch(true, Some(later(9))))]);
        tx.commit().await.unwrap();

        let mut tx = store.write().await.unwrap();
        tx.delete_source("a").await.unwrap();
        assert!(changed(&mut tx, &mut version).await);
        assert!(tx.made_sources(&safe).await.unwrap().is_empty() && tx.token_uses().await.unwrap().is_empty());
        assert!(tx.kept_secrets(&safe, ("callback_token", "a"), START).await.unwrap().is_empty());
        assert!(tx.source_state("a").await.unwrap().is_none());
        tx.begin_sweep(SweepKind::Source, "a", later(9)).await.unwrap();
        assert_eq!(tx.sweeps().await.unwrap(), [Sweep { kind: SweepKind::Source, name: "a".into(), begun_at: later(9) }]);
        tx.sweep_source("a").await.unwrap();
        assert!(tx.sweeps().await.unwrap().is_empty());
        tx.commit().await.unwrap();
        assert_eq!(database.texts("SELECT source FROM watches").await, [["b"]]);
    }

    async fn a_destination_is_changed_and_removed_with_what_is_its_own(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let safe = Safe::default();
        let mut tx = store.write().await.unwrap();
        tx.insert_destination(&safe, &destination("a", "https://example.com"), START).await.unwrap();
        let after = destination("a", "https://example.com/after");
        tx.update_destination(&safe, &after, later(1)).await.unwrap();
        assert_eq!(tx.destinations(&safe).await.unwrap(), [after]);
        let mut subscription = Subscription {
            id: SubscriptionId::new(START),
            destination: "a".into(),
            events: vec![EventType::TaskFailed],
            sources: None,
            filter: None,
            from_file: false,
        };
        tx.insert_subscription(&subscription, START).await.unwrap();
        subscription.events = vec![EventType::TaskCompleted];
        tx.update_subscription(&subscription).await.unwrap();
        assert_eq!(tx.subscriptions().await.unwrap()[0].events, [EventType::TaskCompleted]);
        let mut other = subscription.clone();
        other.id = SubscriptionId::new(later(1));
        tx.insert_subscription(&other, START).await.unwrap();
        tx.delete_subscription(other.id.as_str()).await.unwrap();
        assert_eq!(tx.subscriptions().await.unwrap().len(), 1);
        tx.add_secret(&safe, ("destination", "a"), &Secret::new("1"), START).await.unwrap();
        tx.add_secret(&safe, ("destination", "a"), &Secret::new("2"), START).await.unwrap();
        tx.drop_secret(("destination", "a"), 0).await.unwrap();
        assert_eq!(tx.kept_secrets(&safe, ("destination", "a"), START).await.unwrap()[0].secret, Secret::new("2"));
        tx.commit().await.unwrap();
        told(&store, "t1", &["a", "b"]).await;

        let mut tx = store.write().await.unwrap();
        tx.delete_destination("a", later(2)).await.unwrap();
        assert!(tx.destinations(&safe).await.unwrap().is_empty() && tx.subscriptions().await.unwrap().is_empty());
        assert!(tx.kept_secrets(&safe, ("destination", "a"), START).await.unwrap().is_empty());
        assert_eq!(tx.former_team("a").await.unwrap().as_deref(), Some("ops"));
        tx.commit().await.unwrap();
        assert_eq!((statuses(&database, "a").await, statuses(&database, "b").await), (vec!["dead".into()], vec!["pending".into()]));
        // It goes on for ten seconds: somebody may not know yet.
        told(&store, "t2", &["a"]).await;
        let mut tx = store.write().await.unwrap();
        let sweep = tx.sweeps().await.unwrap().remove(0);
        assert!(!tx.sweep(&sweep, later(11)).await.unwrap());
        assert_eq!(tx.sweeps().await.unwrap().len(), 1);
        assert!(!tx.sweep(&sweep, later(12)).await.unwrap());
        assert!(tx.sweeps().await.unwrap().is_empty());
        tx.commit().await.unwrap();
        assert_eq!(statuses(&database, "a").await, ["dead", "dead"]);
        told(&store, "t3", &["a"]).await;
        let mut tx = store.write().await.unwrap();
        tx.sweep_destination("a", later(13)).await.unwrap();
        tx.drop_secrets(("destination", "a")).await.unwrap();
        tx.insert_destination(&safe, &destination("a", "https://example.com"), later(14)).await.unwrap();
        assert_eq!(tx.former_team("a").await.unwrap(), None);
        tx.commit().await.unwrap();
        assert_eq!(statuses(&database, "a").await, ["dead", "dead", "dead"]);
    }

    async fn what_is_held_is_released_where_it_may_be(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        told(&store, "t1", &["a", "b", "c"]).await;
        let mut tx = store.write().await.unwrap();
        for name in ["a", "b"] {
            tx.disable(name, "gone", START).await.unwrap();
        }
        assert_eq!(tx.holding().await.unwrap(), ["a", "b"]);
        assert_eq!((tx.held_count("b", 1).await.unwrap(), tx.held_count("none", 9).await.unwrap()), (1, 0));
        tx.release("a", later(1)).await.unwrap();
        assert_eq!(tx.holding().await.unwrap(), ["a", "b"], "they are disabled");
        tx.commit().await.unwrap();
        database.execute("DELETE FROM destination_states").await;
        let mut tx = store.write().await.unwrap();
        tx.release("a", later(1)).await.unwrap();
        assert_eq!(tx.holding().await.unwrap(), ["b"]);
        tx.begin_sweep(SweepKind::Held, "b", later(1)).await.unwrap();
        assert!(tx.holding().await.unwrap().is_empty() && tx.sweeps().await.unwrap().is_empty());
        assert!(tx.settings_changed().await.unwrap() > 0);
    }

    async fn changes_are_noted_and_found_again(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let by = Actor { key_id: Some("key_1".into()), key_name: "k".into(), team: None };
        let mut tx = store.write().await.unwrap();
        tx.insert_team(&team("ops"), START).await.unwrap();
        let described = MadeTeam { description: Some("d".into()), ..team("ops") };
        tx.update_team(&described).await.unwrap();
        assert_eq!(tx.teams().await.unwrap(), [described]);
        tx.delete_team("ops").await.unwrap();
        assert!(tx.teams().await.unwrap().is_empty());
        tx.audit(&by, "team.create", "ops", None, START);
        tx.audit(&by.for_team("ops"), "key.create", "key_2", Some(json!({"role": "read"})), later(1));
        tx.audit(&by, "team.delete", "ops", None, later(2));
        let found = async |tx: &mut Tx, filter: AuditFilter| -> Vec<String> {
            let page = tx.audited(&AuditFilter { limit: 10, ..filter }).await.unwrap();
            page.items.into_iter().map(|row| row.action).collect()
        };
        let all = AuditFilter::default();
        assert_eq!(found(&mut tx, all.clone()).await, ["team.delete", "key.create", "team.create"]);
        let (ops, key) = (Some("ops".to_owned()), Some("key.create".to_owned()));
        assert_eq!(found(&mut tx, AuditFilter { object: ops.clone(), ..all.clone() }).await, ["team.delete", "team.create"]);
        assert_eq!(found(&mut tx, AuditFilter { team: ops.clone(), ..all.clone() }).await, ["key.create"]);
        assert_eq!(found(&mut tx, AuditFilter { action: key, team: ops, ..all.clone() }).await, ["key.create"]);
        let times = AuditFilter { since: Some(later(1)), until: Some(later(2)), ..all };
        assert_eq!(found(&mut tx, times).await, ["key.create"]);
    }

    async fn every_secret_is_found_to_be_laid_down_anew(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let safe = Safe::default();
        let mut tx = store.write().await.unwrap();
        tx.add_secret(&safe, ("replay", ""), &Secret::new("one"), START).await.unwrap();
        tx.insert_destination(&safe, &destination("a", "https://example.com"), START).await.unwrap();
        tx.insert_source(&safe, &source("s", "evolink"), START).await.unwrap();
        let places = tx.kept_settings().await.unwrap();
        assert_eq!(places.iter().map(|(place, _)| place.title()).collect::<Vec<_>>(), ["replay", "destination `a`", "source `s`"]);
        assert!(places.iter().all(|(place, _)| place.sealed_for().is_some()));
        assert!(tx.kept_client_keys(("", ""), 10).await.unwrap().is_empty());
        let replay = Place::Secret("replay".into(), String::new(), 0);
        tx.lay_down(&replay, "another", "two").await.unwrap();
        assert_eq!(tx.kept_settings().await.unwrap(), places, "what took its place meanwhile stays");
        tx.lay_down(&replay, "one", "two").await.unwrap();
        for place in [Place::Destination("a".into()), Place::Source("s".into())] {
            let before = places.iter().find(|(known, _)| *known == place).unwrap().1.clone();
            tx.lay_down(&place, &before, "{}").await.unwrap();
        }
        let after: Vec<String> = tx.kept_settings().await.unwrap().into_iter().map(|(_, kept)| kept).collect();
        assert_eq!(after, ["two", "{}", "{}"]);
    }
}
