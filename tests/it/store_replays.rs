//! The queries of replays and listeners, on both databases.

use std::collections::BTreeSet;
use std::time::Duration;

use callboard::domain::access::{Scope, TeamScope};
use callboard::domain::clock::Timestamp;
use callboard::domain::delivery::DeliveryStatus;
use callboard::domain::event::{Event, EventType};
use callboard::domain::id::{DeliveryId, EventId, ReplayId};
use callboard::domain::replay::{ReplayStatus, Selection};
use callboard::domain::task::Status;
use callboard::store::{NewDelivery, NewReplay, Store, Turned};

use super::store::{ended, later};
use crate::app::{Database, Db, START, both};

const MANY: usize = 30;

fn everything() -> Selection {
    Selection { since: START, until: later(10_000), source: None, kind: None, delivery_status: None }
}

fn end() -> String {
    EventId::first_of(later(10_000)).to_string()
}

fn team(sources: &[&str], destinations: &[&str]) -> Scope {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Scope::Team(TeamScope { team: "ops".into(), sources: names(sources), destinations: names(destinations) })
}

/// One event a second, every third a failure, and two of the service's own, of two teams.
async fn filled(database: &Database, store: &Store) -> Vec<Event> {
    let events: Vec<Event> = (0..MANY)
        .map(|n| {
            let status = if n % 3 == 0 { Status::Failed } else { Status::Completed };
            ended(&format!("t{n}"), status, later(n as u64)).1
        })
        .collect();
    let mut tx = store.write().await.unwrap();
    tx.insert_events(events.iter().cloned());
    tx.commit().await.unwrap();
    for (name, at) in [("ops", later(100)), ("ads", later(101))] {
        let id = EventId::new(at);
        let sql = format!(
            "INSERT INTO events (id, type, step, team, at, body)
             VALUES ('{id}', 'delivery.dead', 'service', '{name}', {}, '{{}}')",
            at.0
        );
        database.execute(&sql).await;
    }
    events
}

async fn walked(store: &Store, scope: &Scope, selection: &Selection, limit: usize) -> Vec<String> {
    let (mut after, mut ids) = (selection.first(), Vec::new());
    loop {
        let mut tx = store.read().await.unwrap();
        let stretch = tx.walk_events(scope, selection, (&after, &end()), limit).await.unwrap();
        assert!(stretch.events.len() <= limit);
        ids.extend(stretch.events.into_iter().map(|event| event.event_id));
        match stretch.reached {
            Some(reached) => after = reached,
            None => return ids,
        }
    }
}

fn delivery(event: &Event, destination: &str, replay_id: Option<ReplayId>) -> NewDelivery {
    NewDelivery {
        id: DeliveryId::new(event.at),
        event_id: event.id.clone(),
        event_type: event.kind.as_str(),
        destination: destination.into(),
        replay_id,
        url: None,
    }
}

fn replay(team: Option<&str>) -> NewReplay {
    NewReplay {
        id: ReplayId::new(later(1000)),
        team: team.map(str::to_owned),
        selection: Selection {
            source: Some("evolink".into()),
            kind: Some(EventType::TaskFailed),
            delivery_status: Some(DeliveryStatus::Dead),
            ..everything()
        },
        destination: Some("a".into()),
        url: None,
        rate: None,
        events_total: 10,
        is_exact: false,
    }
}

both! {
    async fn a_walk_over_events_meets_each_selected_one_once(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let events = filled(&database, &store).await;
        let ids: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
        for limit in [1, 7, 100] {
            let all = walked(&store, &Scope::All, &everything(), limit).await;
            assert_eq!((all.len(), &all[..MANY]), (MANY + 2, &ids[..]));
            let failed = Selection { kind: Some(EventType::TaskFailed), ..everything() };
            assert_eq!(walked(&store, &Scope::All, &failed, limit).await.len(), 10);
            let of_source = Selection { source: Some("evolink".into()), since: later(10), ..everything() };
            assert_eq!(walked(&store, &Scope::All, &of_source, limit).await, ids[10..]);
            assert_eq!(walked(&store, &team(&["evolink"], &[]), &everything(), limit).await.len(), MANY + 1);
            assert_eq!(walked(&store, &team(&[], &[]), &everything(), limit).await.len(), 1, "its own alone");
        }
    }

    async fn what_is_selected_is_counted_up_to_a_bound_and_then_estimated(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let events = filled(&database, &store).await;
        let mut tx = store.read().await.unwrap();
        let counts = tx.count_selected(&Scope::All, &everything(), &end(), 1000).await.unwrap();
        let many = |kind: EventType| counts.iter().filter(|one| one.kind == Some(kind)).map(|one| one.many).sum::<u64>();
        assert_eq!((many(EventType::TaskFailed), many(EventType::TaskCompleted)), (10, 20));
        assert_eq!(many(EventType::DeliveryDead), 2);
        assert!(counts.iter().all(|one| one.is_exact && one.many > 0));
        let ops = tx.count_selected(&team(&["evolink"], &[]), &everything(), &end(), 1000).await.unwrap();
        assert_eq!(ops.iter().map(|one| one.many).sum::<u64>(), 31);

        // Evenly spread as they are, the estimate is near.
        let few = tx.count_selected(&Scope::All, &everything(), &end(), 5).await.unwrap();
        let completed = few.iter().find(|one| one.kind == Some(EventType::TaskCompleted)).unwrap();
        assert!(!completed.is_exact && (15..=25).contains(&completed.many), "{completed:?}");

        let sample = tx.sample_selected(&Scope::All, completed, &everything(), &end(), 3).await.unwrap();
        assert_eq!(sample.len(), 3);
        assert_eq!(sample[0], events[29].body, "the newest first");
        let of_service = counts.iter().find(|one| one.source.is_none()).unwrap();
        for (scope, many) in [(Scope::All, 2), (team(&[], &[]), 1)] {
            let sample = tx.sample_selected(&scope, of_service, &everything(), &end(), 9).await.unwrap();
            assert_eq!(sample.len(), many);
        }
    }

    async fn a_walk_over_deliveries_meets_those_that_stand_so(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let events = filled(&database, &store).await;
        let mut tx = store.write().await.unwrap();
        let made: Vec<NewDelivery> =
            events.iter().flat_map(|event| [delivery(event, "a", None), delivery(event, "b", None)]).collect();
        tx.insert_deliveries(made, START);
        tx.commit().await.unwrap();
        database
            .execute(
                "UPDATE deliveries SET status = 'dead', due_at = NULL, finished_at = 1
                 WHERE destination = 'a' AND event_id IN (SELECT id FROM events WHERE type = 'task.failed')",
            )
            .await;
        let mut tx = store.read().await.unwrap();
        let selection = Selection { since: later(5), ..everything() };
        let before = DeliveryId::first_of(later(10_000)).to_string();
        for (status, name, many) in [
            (DeliveryStatus::Dead, "a", 8),
            (DeliveryStatus::Dead, "b", 0),
            (DeliveryStatus::Pending, "a", 17),
            (DeliveryStatus::Delivered, "b", 0),
        ] {
            let (mut after, mut events) = (selection.first_delivery(), Vec::new());
            loop {
                let range = (after.as_str(), before.as_str());
                let stretch = tx.walk_deliveries(name, status, &Scope::All, &selection, range, 3).await.unwrap();
                events.extend(stretch.events.into_iter().map(|event| event.event_id));
                let Some(reached) = stretch.reached else { break };
                after = reached;
            }
            assert_eq!(events.len(), many, "{status:?} {name}");
            assert!(events.is_sorted());
            let first = selection.first_delivery();
            let (counted, looked_at) = tx
                .count_selected_deliveries(name, status, &Scope::All, &selection, (&first, &before), 1000)
                .await
                .unwrap();
            assert!((counted as usize, looked_at >= counted) == (many, true), "{status:?} {name}: {counted}");
        }
        let nothing = team(&[], &["a"]);
        let first = selection.first_delivery();
        let range = (first.as_str(), before.as_str());
        let none = tx.count_selected_deliveries("a", DeliveryStatus::Dead, &nothing, &selection, range, 9).await.unwrap();
        assert_eq!(none.0, 0, "of no source that it may see");
    }

    async fn what_is_kept_told_and_waiting_is_known(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let events = filled(&database, &store).await;
        let replay_id = ReplayId::new(later(1000));
        let mut tx = store.write().await.unwrap();
        tx.insert_deliveries([delivery(&events[0], "a", Some(replay_id.clone())), delivery(&events[1], "a", None)], START);
        tx.commit().await.unwrap();
        let ids: Vec<String> = [events[0].id.to_string(), events[1].id.to_string(), "evt_none".into()].to_vec();
        let mut tx = store.read().await.unwrap();
        assert_eq!(tx.kept_events(&ids).await.unwrap(), ids[..2].iter().cloned().collect::<BTreeSet<_>>());
        let told = tx.told_by_replay(replay_id.as_str(), &ids).await.unwrap();
        assert_eq!(told.into_iter().collect::<Vec<_>>(), [(ids[0].clone(), "a".to_owned())]);
        let bodies = tx.event_bodies(&ids).await.unwrap();
        assert!(bodies.len() == 2 && bodies.contains(&(ids[1].clone(), events[1].body.clone())));
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(tx.crowded(&names, 2, START).await.unwrap(), ["a"]);
        assert!(tx.crowded(&names, 3, START).await.unwrap().is_empty());
        assert!(tx.crowded(&names, 1, Timestamp(START.0 - 1)).await.unwrap().is_empty(), "not due yet");
        drop(tx);
        database.execute("INSERT INTO destination_states (name, failing_since, failures) VALUES ('a', 1, 1)").await;
        assert!(store.read().await.unwrap().crowded(&names, 1, START).await.unwrap().is_empty(), "it is failing");
    }

    async fn a_replay_is_in_one_hand_and_moves_with_its_page(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let (first, second) = (replay(None), replay(Some("ops")));
        let mut tx = store.write().await.unwrap();
        assert_eq!(tx.next_replay_at().await.unwrap(), None);
        tx.insert_replay(&first, later(1)).await.unwrap();
        tx.insert_replay(&second, later(2)).await.unwrap();
        assert_eq!(tx.next_replay_at().await.unwrap(), Some(later(1)));
        let row = tx.claim_replay("here", later(3), later(30)).await.unwrap().unwrap();
        assert_eq!((row.made.id.as_str(), row.status, row.lease), (first.id.as_str(), ReplayStatus::Running, 1));
        assert_eq!((row.made.selection, row.position.as_str()), (first.selection.clone(), ""));
        let other = tx.claim_replay("here", later(3), later(30)).await.unwrap().unwrap();
        assert_eq!(other.made.id, second.id);
        assert!(tx.claim_replay("there", later(3), later(30)).await.unwrap().is_none());
        tx.commit().await.unwrap();

        let mut tx = store.write().await.unwrap();
        assert_eq!(tx.void_replay_leases(Some("there"), later(4)).await.unwrap(), 0);
        assert_eq!(tx.void_replay_leases(Some("here"), later(4)).await.unwrap(), 2);
        let late = tx.claim_replay("there", later(5), later(30)).await.unwrap().unwrap();
        let turned = Turned { position: "p".into(), events: 4, deliveries: 3, skipped: 1, due_at: Some(later(9)) };
        let stale = callboard::store::ReplayRow { lease: late.lease - 1, ..late.clone() };
        assert!(!tx.turn_replay(&stale, &turned, later(6)).await.unwrap());
        assert!(tx.turn_replay(&late, &turned, later(6)).await.unwrap());
        let id = late.made.id.as_str();
        let row = tx.replay(&Scope::All, id).await.unwrap().unwrap();
        assert_eq!((row.position.as_str(), row.events_done, row.deliveries, row.skipped), ("p", 4, 3, 1));
        assert_eq!((row.made.events_total, row.finished_at), (10, None));
        let last = Turned { due_at: None, ..turned };
        assert!(tx.turn_replay(&row, &last, later(7)).await.unwrap());
        let row = tx.replay(&Scope::All, id).await.unwrap().unwrap();
        assert_eq!((row.status, row.made.events_total, row.finished_at), (ReplayStatus::Done, 8, Some(later(7))));
        assert!(!tx.cancel_replay(id, later(8)).await.unwrap(), "it has ended");
        let other = if late.made.id == first.id { &second } else { &first };
        assert!(tx.cancel_replay(other.id.as_str(), later(8)).await.unwrap());
        assert_eq!(tx.next_replay_at().await.unwrap(), None);

        let ops = team(&[], &[]);
        assert!(tx.replay(&ops, first.id.as_str()).await.unwrap().is_none());
        assert!(tx.replay(&ops, second.id.as_str()).await.unwrap().is_some());
        assert_eq!(tx.replays(&ops, None, 10).await.unwrap().items.len(), 1);
        let page = tx.replays(&Scope::All, None, 1).await.unwrap();
        assert_eq!((page.items[0].made.id.as_str(), page.next.as_deref()), (second.id.as_str(), Some(second.id.as_str())));
        assert_eq!(tx.replays(&Scope::All, page.next, 1).await.unwrap().items[0].made.id, first.id);
    }

    async fn what_is_aimed_at_a_name_waits_for_it_for_a_day(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let events = filled(&database, &store).await;
        let event = events[0].id.as_str();
        let ids: Vec<ReplayId> = (0..3).map(|n| ReplayId::new(later(1000 + n))).collect();
        let mut tx = store.write().await.unwrap();
        for (id, team) in ids.iter().zip([None, Some("ops"), Some("ads")]) {
            tx.aim_replay(id, "anna", team, event, later(1000)).await.unwrap();
        }
        let none = ReplayId::first_of(later(9000)).to_string();
        let now = later(1010);
        let aimed = async |tx: &mut callboard::store::Tx, name: &str, scope: &Scope, after: &str, now: Timestamp| {
            let found = tx.aimed_replays(name, scope, after, now).await.unwrap();
            found.into_iter().map(|one| one.id).collect::<Vec<_>>()
        };
        let text = |which: &[usize]| which.iter().map(|n| ids[*n].to_string()).collect::<Vec<_>>();
        let ops = team(&["evolink"], &[]);
        assert_eq!(aimed(&mut tx, "anna", &Scope::All, &none, now).await, text(&[0, 1, 2]));
        assert_eq!(aimed(&mut tx, "anna", &ops, &none, now).await, text(&[0, 1]));
        assert!(aimed(&mut tx, "anna", &team(&[], &[]), &none, now).await.is_empty(), "it may not see the event");
        assert!(aimed(&mut tx, "berta", &Scope::All, &none, now).await.is_empty());
        tx.note_aimed(&text(&[0, 1]), now);
        assert_eq!(aimed(&mut tx, "anna", &Scope::All, &none, now).await, text(&[2]));
        assert_eq!(aimed(&mut tx, "anna", &ops, ids[0].as_str(), now).await, text(&[1]), "who listens beside");
        let day = later(1000).after(Duration::from_secs(24 * 60 * 60 + 3));
        assert!(aimed(&mut tx, "anna", &Scope::All, &none, day).await.is_empty());
        tx.aim_replay(&ReplayId::new(day), "anna", None, event, day).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(database.number("SELECT count(*) FROM listener_replays").await, 1);
    }
}
