//! Every method of the store's `Tx`, on both databases.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard::domain::access::Scope;
use callboard::domain::callback::{CallbackOutcome, Content};
use callboard::domain::clock::Timestamp;
use callboard::domain::delivery::{DeliveryStatus, Settlement};
use callboard::domain::destination::{Destination, Settings};
use callboard::domain::event::{Event, EventType};
use callboard::domain::filter::Filter;
use callboard::domain::id::{CallbackId, DeliveryId, ReplayId, SubscriptionId};
use callboard::domain::safe::Safe;
use callboard::domain::secret::Secret;
use callboard::domain::subscription::Subscription;
use callboard::domain::task::{
    Metadata, MetadataOrigin, Observation, Output, OutputKind, Provenance, Status, Task, Trust, Via,
};
use callboard::store::{
    CallbackFilter, ChangedTask, DeliveryFilter, Error, EventFilter, KeptAnswer, Lease, MadeTeam, NewAttempt,
    NewCallback, NewDelivery, Settled, Store, TaskFilter,
};

use crate::app::{Database, Db, START, both};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn team(name: &str) -> MadeTeam {
    MadeTeam { name: name.into(), description: None }
}

pub(crate) fn later(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

pub(crate) fn content(fingerprint: &[u8], body: &'static [u8]) -> Arc<Content> {
    let content = Content::new("a=1".into(), "[]".into(), Bytes::from_static(body), Some("192.0.2.1".into()));
    Arc::new(Content { fingerprint: callboard::domain::callback::fingerprint("", fingerprint), ..content })
}

pub(crate) fn callback(task_id: &str, outcome: CallbackOutcome, at: Timestamp) -> NewCallback {
    NewCallback {
        id: CallbackId::new(at),
        source: "evolink".into(),
        task_id: Some(task_id.into()),
        outcome,
        detail: None,
        trust: "unsigned",
        event_id: None,
        tasks: None,
        received_at: at,
        content: content(task_id.as_bytes(), &[0, 255, b'\'']),
        is_first: false,
    }
}

/// A task that reached this status at this moment, and its event.
pub(crate) fn ended(task_id: &str, status: Status, at: Timestamp) -> (Task, Event) {
    let mut seen = Observation::new(task_id, status);
    seen.model = Some("kling".into());
    seen.progress = Some(100);
    seen.outputs = vec![Output {
        url: "https://example.com/a.mp4".into(),
        kind: OutputKind::Video,
        expires_at: Some(later(60)),
        archived_url: None,
    }];
    let from = Provenance {
        via: Via::Callback,
        trust: Trust::SignedBody,
        metadata: Metadata::from([("campaign".into(), "sp\"ring".into())]),
        metadata_origin: MetadataOrigin::Url,
    };
    let (mut task, _) = Task::first_seen("evolink", "evolink", &seen, &from, at);
    let event = Event::of_task(status.event().unwrap(), &task, None, at);
    task.note_event(event.kind, event.id.clone());
    (task, event)
}

pub(crate) fn delivery(event: &Event, destination: &str, replay_id: Option<ReplayId>) -> NewDelivery {
    NewDelivery {
        id: DeliveryId::new(START),
        event_id: event.id.clone(),
        event_type: event.kind.as_str(),
        destination: destination.into(),
        replay_id,
        url: None,
    }
}

fn mine(until: Timestamp) -> Lease {
    Lease { owner: "mine".into(), until }
}

pub(crate) fn settlement(status: DeliveryStatus, due_at: Option<Timestamp>) -> Settlement {
    Settlement { status, due_at, failures: 1, reason: Some("answered 500".into()), pause_until: None, disable: None }
}

pub(crate) fn settled(delivery_id: &str, lease: i64, settlement: Settlement) -> Settled {
    let attempt = NewAttempt {
        number: 1,
        started_at: START,
        duration_ms: 12,
        outcome: "failed",
        status_code: Some(500),
        reason: Some("answered 500".into()),
        response: vec![0, 1, 255],
    };
    let parts_done = vec!["a@example.com".to_owned()];
    Settled { delivery_id: delivery_id.into(), lease, settlement, parts_done, attempt: Some(attempt) }
}

/// Writes an event of a task of its own, and what else is asked for; gives the event.
pub(crate) async fn told(store: &Store, task_id: &str, destinations: &[&str]) -> Event {
    let (_, event) = ended(task_id, Status::Completed, START);
    let mut tx = store.write().await.unwrap();
    tx.insert_events([event.clone()]);
    let deliveries: Vec<_> = destinations.iter().map(|name| delivery(&event, name, None)).collect();
    tx.insert_deliveries(deliveries, START);
    tx.commit().await.unwrap();
    event
}

both! {
    async fn callbacks_are_kept_and_repeats_counted(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        let accepted = callback("a", CallbackOutcome::Accepted, START);
        let batch = vec![accepted.clone(), callback("b", CallbackOutcome::Stale, START), callback("a", CallbackOutcome::Accepted, later(1))];
        let ids = tx.keep_callbacks(batch).await.unwrap();
        assert_eq!((&ids[0], &ids[2]), (&accepted.id, &accepted.id));
        assert_ne!(ids[0], ids[1]);
        let again = tx.keep_callbacks(vec![callback("a", CallbackOutcome::Accepted, later(2))]).await.unwrap();
        assert_eq!(again, std::slice::from_ref(&accepted.id));
        tx.commit().await.unwrap();

        let mut tx = store.read().await.unwrap();
        let kept = tx.callback(&Scope::All, accepted.id.as_str()).await.unwrap().unwrap();
        assert_eq!((kept.row.repeats, kept.row.repeated_at, kept.row.received_at), (2, Some(later(2)), START));
        assert_eq!((kept.query.as_str(), kept.headers.as_str(), kept.body), ("a=1", "[]", vec![0, 255, b'\'']));
        assert!(tx.callback(&Scope::All, "cb_none").await.unwrap().is_none());
        let list = async |tx: &mut callboard::store::Tx, filter| -> Vec<String> {
            let page = tx.callbacks(&Scope::All, &filter).await.unwrap();
            page.items.iter().map(|row| row.task_id.clone().unwrap()).collect()
        };
        let all = CallbackFilter { limit: 10, ..Default::default() };
        assert_eq!(list(&mut tx, all.clone()).await, ["b", "a"]);
        assert_eq!(list(&mut tx, CallbackFilter { outcome: Some(CallbackOutcome::Stale), ..all.clone() }).await, ["b"]);
        assert_eq!(list(&mut tx, CallbackFilter { task_id: Some("a".into()), ..all.clone() }).await, ["a"]);
        assert!(list(&mut tx, CallbackFilter { source: Some("nobody".into()), ..all.clone() }).await.is_empty());
        let page = tx.callbacks(&Scope::All, &CallbackFilter { limit: 1, ..Default::default() }).await.unwrap();
        assert_eq!(list(&mut tx, CallbackFilter { before: page.next, ..all }).await, ["a"]);
    }

    async fn the_next_transaction_begins_while_one_becomes_durable(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut handed = Vec::new();
        for id in ["t", "u"] {
            let (task, _) = ended(id, Status::Completed, START);
            let mut tx = store.write().await.unwrap();
            tx.insert_tasks([task.clone()]);
            handed.push(tx.hand_over().await.unwrap());
        }
        for each in handed {
            each.synced().await.unwrap();
        }
        let mut tx = store.read().await.unwrap();
        assert!(tx.task(&Scope::All, "evolink", "t").await.unwrap().is_some() && tx.task(&Scope::All, "evolink", "u").await.unwrap().is_some());
    }

    async fn a_task_comes_back_as_it_was_saved(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let (task, _) = ended("t", Status::Completed, START);
        let (other, _) = ended("u", Status::Failed, later(1));
        let mut tx = store.write().await.unwrap();
        tx.insert_tasks([task.clone(), other.clone()]);
        let changed = Task { progress: None, updated_at: later(9), ..task.clone() };
        let ids = ["t", "u", "v"].map(|id| ("evolink".to_owned(), id.to_owned()));
        let locked = tx.lock_tasks(ids.to_vec()).await.unwrap();
        assert_eq!((locked.len(), &*locked[&ids[0]].task, &locked[&ids[0]].watch), (2, &task, &None));
        tx.update_tasks([ChangedTask { before: Arc::new(task), task: Arc::new(changed.clone()) }]);
        tx.commit().await.unwrap();

        let mut tx = store.read().await.unwrap();
        assert_eq!(tx.task(&Scope::All, "evolink", "t").await.unwrap(), Some(changed));
        assert_eq!(tx.task(&Scope::All, "evolink", "v").await.unwrap(), None);
        let all = TaskFilter { limit: 10, ..Default::default() };
        for (filter, expected) in [
            (all.clone(), &["u", "t"][..]),
            (TaskFilter { source: Some("replicate".into()), ..all.clone() }, &[]),
            (TaskFilter { status: Some(Status::Failed), ..all.clone() }, &["u"]),
            (TaskFilter { model: Some("kling".into()), ..all.clone() }, &["u", "t"]),
            (TaskFilter { since: Some(later(1)), ..all.clone() }, &["u"]),
            (TaskFilter { until: Some(later(1)), ..all.clone() }, &["t"]),
            (TaskFilter { metadata: vec![("campaign".into(), "sp\"ring".into())], ..all.clone() }, &["u", "t"]),
            (TaskFilter { metadata: vec![("campaign".into(), "spring".into())], ..all.clone() }, &[]),
            (TaskFilter { before: Some(other.key.to_string()), ..all.clone() }, &["t"]),
        ] {
            let page = tx.tasks(&Scope::All, &filter).await.unwrap();
            let ids: Vec<&str> = page.items.iter().map(|task| task.task_id.as_str()).collect();
            assert_eq!(ids, expected, "{filter:?}");
        }
    }

    async fn a_change_is_found_by_its_status_and_metadata_and_what_has_not_changed_is_left_alone(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let (task, _) = ended("t", Status::Completed, START);
        let begun = Task { status: Status::Processing, terminal_event: None, ..task };
        let mut tx = store.write().await.unwrap();
        tx.insert_tasks([begun.clone()]);
        tx.commit().await.unwrap();
        database.execute("DELETE FROM task_metadata").await;
        let indexed = || database.number("SELECT count(*) FROM task_metadata");
        let advanced = Task { progress: Some(40), ..begun.clone() };
        let failed = Task { status: Status::Failed, ..advanced.clone() };
        let metadata = [("campaign".to_owned(), "autumn".to_owned())].into_iter().collect();
        let labelled = Task { metadata, ..failed.clone() };
        for (before, after, pairs) in [(&begun, &advanced, 0), (&advanced, &failed, 0), (&failed, &labelled, 1)] {
            let mut tx = store.write().await.unwrap();
            tx.update_tasks([ChangedTask { before: Arc::new(before.clone()), task: Arc::new(after.clone()) }]);
            tx.commit().await.unwrap();
            let mut tx = store.read().await.unwrap();
            assert_eq!(tx.task(&Scope::All, "evolink", "t").await.unwrap().as_ref(), Some(after));
            let filter = TaskFilter { status: Some(after.status), limit: 10, ..Default::default() };
            assert_eq!(tx.tasks(&Scope::All, &filter).await.unwrap().items, std::slice::from_ref(after));
            tx.commit().await.unwrap();
            assert_eq!(indexed().await, pairs);
        }
    }

    async fn events_come_back_byte_for_byte_newest_first(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        // More than one statement's worth of rows.
        let made: Vec<Event> = (0..300).map(|n| ended(&format!("t{n}"), Status::Completed, START).1).collect();
        let (_, failed) = ended("other", Status::Failed, later(5));
        let mut tx = store.write().await.unwrap();
        tx.insert_events(made.iter().chain([&failed]).cloned());
        tx.commit().await.unwrap();
        assert_eq!(database.texts("SELECT id FROM events ORDER BY seq").await[7], [made[7].id.to_string()]);

        let mut tx = store.read().await.unwrap();
        let row = tx.event(&Scope::All, made[3].id.as_str()).await.unwrap().unwrap();
        assert_eq!((row.body.as_str(), row.kind, row.at), (made[3].body.as_str(), EventType::TaskCompleted, START));
        assert!(tx.event(&Scope::All, "evt_none").await.unwrap().is_none());
        let all = EventFilter { limit: 500, ..Default::default() };
        for (filter, expected) in [
            (all.clone(), 301),
            (EventFilter { kind: Some(EventType::TaskFailed), ..all.clone() }, 1),
            (EventFilter { source: Some("nobody".into()), ..all.clone() }, 0),
            (EventFilter { task_id: Some("t9".into()), ..all.clone() }, 1),
            (EventFilter { since: Some(later(5)), ..all.clone() }, 1),
            (EventFilter { until: Some(later(5)), ..all.clone() }, 300),
            (EventFilter { before: Some(made[10].id.to_string()), ..all.clone() }, 10),
        ] {
            let page = tx.events(&Scope::All, &filter).await.unwrap();
            assert_eq!((page.items.len(), page.next), (expected, None), "{filter:?}");
        }
        drop(tx);

        let mut tx = store.write().await.unwrap();
        let second_end = ended("t3", Status::Failed, START).1;
        let refused = {
            tx.insert_events([second_end.clone()]);
            tx.flush().await.unwrap_err()
        };
        assert!(matches!(refused, Error::Content(_)) && refused.is_taken(), "{refused:?}");
    }

    async fn a_delivery_is_claimed_settled_and_tried_again(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let event = told(&store, "t", &["a", "a", "b"]).await;
        let mut tx = store.write().await.unwrap();
        let replay = ReplayId::new(START);
        tx.insert_deliveries([delivery(&event, "a", Some(replay.clone()))], later(5));
        let mut first = tx.told(std::slice::from_ref(&event.id)).await.unwrap();
        first.sort();
        assert_eq!(first, [(event.id.to_string(), "a".to_owned()), (event.id.to_string(), "b".to_owned())]);
        assert_eq!(tx.backlog().await.unwrap(), [("a".into(), START), ("b".into(), START)]);

        assert!(tx.claim("a", 5, later(0), &mine(later(30))).await.unwrap().len() == 1, "the replay is not due yet");
        assert!(tx.claim("a", 0, later(5), &mine(later(30))).await.unwrap().is_empty());
        let ids = tx.claim("a", 5, later(5), &mine(later(30))).await.unwrap();
        let claimed = tx.claimed(&ids).await.unwrap();
        assert_eq!((claimed.len(), claimed[0].replay_id.as_deref()), (1, Some(replay.as_str())));
        assert_eq!((claimed[0].lease, claimed[0].event_body.as_str()), (1, event.body.as_str()));
        assert_eq!((claimed[0].failures, claimed[0].attempts, claimed[0].superseded), (0, 0, false));
        assert_eq!(tx.backlog().await.unwrap(), [("a".into(), later(30)), ("b".into(), START)]);
        assert!(!tx.retry(&ids[0], later(6)).await.unwrap(), "it is in somebody's hand");
        assert!(!tx.give_up(&ids[0], "no", later(6)).await.unwrap(), "it is in somebody's hand");

        let waits = || settlement(DeliveryStatus::Pending, Some(later(40)));
        assert_eq!(tx.settle(&[settled(&ids[0], 0, waits()), settled("dlv_none", 1, waits())], later(6)).await.unwrap().len(), 2);
        assert!(tx.attempts(&ids).await.unwrap().is_empty());
        assert_eq!(tx.settle(&[settled(&ids[0], 1, waits())], later(6)).await.unwrap().len(), 0);
        let attempts = tx.attempts(&ids).await.unwrap();
        assert_eq!((attempts.len(), attempts[0].number, attempts[0].duration_ms), (1, 1, 12));
        assert_eq!((attempts[0].status_code, attempts[0].next_at), (Some(500), Some(later(40))));
        assert_eq!(attempts[0].response, [0, 1, 255]);
        let row = tx.delivery(&Scope::All, &ids[0]).await.unwrap().unwrap();
        assert_eq!((row.status, row.due_at, row.attempts), (DeliveryStatus::Pending, Some(later(40)), 1));
        assert!(tx.retry(&ids[0], later(7)).await.unwrap());
        let ids = tx.claim("a", 5, later(7), &mine(later(30))).await.unwrap();
        let claimed = tx.claimed(&ids).await.unwrap();
        assert_eq!((claimed[0].failures, claimed[0].attempts, claimed[0].lease), (0, 1, 3));
        assert_eq!(claimed[0].parts_done, ["a@example.com"]);

        assert_eq!(tx.void_leases(Some("another"), later(8)).await.unwrap(), 0);
        assert_eq!(tx.void_leases(Some("mine"), later(8)).await.unwrap(), 2);
        assert_eq!(tx.void_leases(None, later(8)).await.unwrap(), 0);
        assert_eq!(tx.settle(&[settled(&ids[0], 3, settlement(DeliveryStatus::Dead, None))], later(8)).await.unwrap().len(), 1);
        let ids = tx.claim("a", 1, later(8), &mine(later(30))).await.unwrap();
        let lease = tx.claimed(&ids).await.unwrap()[0].lease;
        let mut dead = settled(&ids[0], lease, settlement(DeliveryStatus::Dead, None));
        dead.attempt.as_mut().unwrap().number = 2;
        assert_eq!(tx.settle(&[dead], later(8)).await.unwrap().len(), 0);
        let row = tx.delivery(&Scope::All, &ids[0]).await.unwrap().unwrap();
        assert_eq!((row.status, row.finished_at), (DeliveryStatus::Dead, Some(later(8))));
        tx.commit().await.unwrap();
    }

    async fn a_task_is_made_once(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let (task, _) = ended("t", Status::Completed, START);
        let mut tx = store.write().await.unwrap();
        tx.insert_tasks([task.clone()]);
        tx.insert_tasks([task.clone()]);
        assert!(tx.commit().await.unwrap_err().is_taken());
        assert_eq!(store.read().await.unwrap().task(&Scope::All, "evolink", "t").await.unwrap(), None);
    }

    async fn deliveries_are_listed(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let event = told(&store, "t", &["a", "b"]).await;
        told(&store, "u", &["a"]).await;
        let mut tx = store.read().await.unwrap();
        let all = DeliveryFilter { limit: 10, ..Default::default() };
        for (filter, expected) in [
            (all.clone(), 3),
            (DeliveryFilter { status: Some(DeliveryStatus::Pending), ..all.clone() }, 3),
            (DeliveryFilter { status: Some(DeliveryStatus::Dead), ..all.clone() }, 0),
            (DeliveryFilter { destination: Some("a".into()), ..all.clone() }, 2),
            (DeliveryFilter { event_id: Some(event.id.to_string()), ..all.clone() }, 2),
        ] {
            assert_eq!(tx.deliveries(&Scope::All, &filter).await.unwrap().items.len(), expected, "{filter:?}");
        }
        let page = tx.deliveries(&Scope::All, &DeliveryFilter { limit: 2, ..Default::default() }).await.unwrap();
        let rest = tx.deliveries(&Scope::All, &DeliveryFilter { before: page.next, ..all }).await.unwrap();
        assert_eq!((page.items.len(), rest.items.len(), rest.next), (2, 1, None));
        assert!(tx.delivery(&Scope::All, "dlv_none").await.unwrap().is_none());
    }

    async fn how_a_destination_fares_is_noted(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let event = told(&store, "t", &["a"]).await;
        let mut tx = store.write().await.unwrap();
        assert_eq!(tx.note_failures("a", 2, later(1)).await.unwrap(), (later(1), 2));
        assert_eq!(tx.note_failures("a", 3, later(2)).await.unwrap(), (later(1), 5));
        tx.pause("a", later(60)).await.unwrap();
        tx.pause("a", later(30)).await.unwrap();
        tx.disable("a", "answered 410", later(3)).await.unwrap();
        tx.disable("a", "again", later(4)).await.unwrap();
        let states = tx.destination_states().await.unwrap();
        assert_eq!(states[0].disabled, Some((later(3), "answered 410".to_owned())));
        assert_eq!((states[0].paused_until, states[0].failing_since), (Some(later(60)), Some(later(1))));
        tx.note_success("a").await.unwrap();
        let states = tx.destination_states().await.unwrap();
        assert_eq!((states[0].failing_since, states[0].failures), (None, 0));

        // Disabling held what was pending; what comes now is written as held.
        tx.insert_deliveries([delivery(&event, "a", Some(ReplayId::new(START)))], later(5));
        assert!(tx.backlog().await.unwrap().is_empty());
        assert_eq!(tx.enable("a", true, later(6)).await.unwrap(), 2);
        assert_eq!(tx.backlog().await.unwrap(), [("a".into(), later(6))]);
        assert_eq!(tx.destination_states().await.unwrap()[0].disabled, None);
        let in_hand = tx.claim("a", 1, later(6), &mine(later(30))).await.unwrap();
        assert_eq!(in_hand.len(), 1, "more than was asked for");
        // Who saw it disabled before it was enabled, and comes to hold only now, holds nothing.
        tx.hold("a", "answered 410").await.unwrap();
        assert_eq!(tx.backlog().await.unwrap(), [("a".into(), later(6))]);
        tx.disable("a", "answered 410", later(6)).await.unwrap();
        assert_eq!(tx.enable("a", false, later(7)).await.unwrap(), 1);
        assert_eq!(tx.delivery(&Scope::All, &in_hand[0]).await.unwrap().unwrap().status, DeliveryStatus::Pending);
        tx.commit().await.unwrap();
    }

    async fn what_is_made_at_run_time_is_there_and_counted(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let destination = Destination {
            name: "a".into(),
            team: "ops".into(),
            channel: "webhook".into(),
            settings: Settings::from([("url".into(), "https://example.com".into())]),
            rate: Some(callboard::domain::pace::Rate::parse("5/m").unwrap()),
            concurrency: Some(3),
            from_file: false,
        };
        let subscription = Subscription {
            id: SubscriptionId::new(START),
            destination: "a".into(),
            events: vec![EventType::TaskFailed],
            sources: Some(vec!["evolink".into()]),
            filter: Some(Filter::compile("true").unwrap()),
            from_file: false,
        };
        let mut tx = store.write().await.unwrap();
        assert_eq!(tx.settings_version().await.unwrap(), 0);
        tx.insert_team(&team("ops"), START).await.unwrap();
        tx.insert_destination(&Safe::default(), &destination, START).await.unwrap();
        tx.insert_subscription(&subscription, START).await.unwrap();
        assert_eq!(tx.settings_version().await.unwrap(), 3);
        tx.commit().await.unwrap();

        let mut tx = store.read().await.unwrap();
        assert_eq!(tx.teams().await.unwrap(), [team("ops")]);
        assert_eq!(tx.destinations(&Safe::default()).await.unwrap(), std::slice::from_ref(&destination));
        let kept = &tx.subscriptions().await.unwrap()[0];
        assert_eq!((&kept.events, &kept.sources), (&subscription.events, &subscription.sources));
        assert_eq!(kept.filter.as_deref(), Some("true"));
        drop(tx);
        let mut tx = store.write().await.unwrap();
        assert!(tx.insert_team(&team("ops"), START).await.unwrap_err().is_taken());
        drop(tx);
        let mut tx = store.write().await.unwrap();
        let taken = tx.insert_destination(&Safe::default(), &destination, START).await;
        assert!(taken.unwrap_err().is_taken());
    }

    async fn secrets_keys_and_answers_are_kept(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        let (safe, replay) = (Safe::default(), ("replay", ""));
        let made = tx.secrets(&safe, replay, START, || Secret::new("first")).await.unwrap();
        assert_eq!(made[0].secret, Secret::new("first"));
        assert_eq!(tx.secrets(&safe, replay, START, || panic!("there is one")).await.unwrap(), made);
        tx.retire_secrets(replay, later(60)).await.unwrap();
        tx.add_secret(&safe, replay, &Secret::new("second"), later(1)).await.unwrap();
        let both = tx.kept_secrets(&safe, replay, later(59)).await.unwrap();
        assert_eq!(both.iter().map(|kept| kept.secret.expose()).collect::<Vec<_>>(), ["second", "first"]);
        assert_eq!(tx.kept_secrets(&safe, replay, later(60)).await.unwrap(), both[..1]);
        assert_eq!(tx.drop_retired(later(59)).await.unwrap(), Some(later(60)));
        assert_eq!(tx.drop_retired(later(60)).await.unwrap(), None);

        tx.put_first_key("hash-1", START).await.unwrap();
        tx.put_first_key("hash-2", later(1)).await.unwrap();
        assert!(tx.key("hash-1", later(2)).await.unwrap().is_none());
        let key = tx.key("hash-2", later(2)).await.unwrap().unwrap();
        assert_eq!((key.role.as_str(), key.team), ("admin", None));
        tx.drop_first_key().await.unwrap();
        assert!(tx.key("hash-2", later(2)).await.unwrap().is_none());

        let answer = KeptAnswer { request: "r".into(), status: 201, body: "{}".into() };
        tx.keep_answer("k", &answer, START).await.unwrap();
        let almost = Timestamp(START.after(DAY).0 - 1);
        let kept = tx.kept_answer("k", almost).await.unwrap().unwrap();
        assert_eq!((kept.request.as_str(), kept.status, kept.body.as_str()), ("r", 201, "{}"));
        assert!(tx.kept_answer("k", START.after(DAY)).await.unwrap().is_none());
        tx.keep_answer("k", &answer, START.after(DAY)).await.unwrap();
        assert!(tx.keep_answer("k", &answer, START.after(DAY)).await.unwrap_err().is_taken());
    }

    async fn a_transaction_that_is_not_committed_never_was(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        tx.insert_team(&team("gone"), START).await.unwrap();
        drop(tx);
        let mut tx = store.write().await.unwrap();
        tx.insert_team(&team("there"), START).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.read().await.unwrap().teams().await.unwrap(), [team("there")]);
        store.close().await;
        // Opened again: the migrations are there already, and so is what was committed.
        assert_eq!(database.store().await.read().await.unwrap().teams().await.unwrap(), [team("there")]);
    }
}
