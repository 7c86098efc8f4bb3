//! Whoever follows the events sees each one, in the order of the commits, however they overlap.

use std::collections::HashSet;

use callboard::domain::event::Event;
use callboard::domain::task::Status;
use callboard::store::{EventCursor, Store, TailRow};
use futures_util::future::join_all;
use sqlx::{ConnectOptions, Connection, Executor};

use crate::app::{Database, Db, START, both};
use crate::store::ended;

async fn after(store: &Store, cursor: Option<EventCursor>, limit: usize) -> Vec<TailRow> {
    store.read().await.unwrap().events_after(cursor, limit).await.unwrap()
}

async fn commit(store: &Store, events: &[Event]) {
    let mut tx = store.write().await.unwrap();
    tx.insert_events(events.iter().cloned());
    tx.commit().await.unwrap();
}

fn event(task_id: &str) -> Event {
    ended(task_id, Status::Completed, START).1
}

fn ids(rows: &[TailRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

/// On PostgreSQL whatever else runs on the server, as other tests do, may hold the end back for a moment.
async fn until(store: &Store, cursor: Option<EventCursor>, many: usize) -> Vec<TailRow> {
    loop {
        let rows = after(store, cursor, 1000).await;
        if rows.len() >= many {
            return rows;
        }
        tokio::task::yield_now().await;
    }
}

both! {
    async fn events_are_read_page_by_page_from_any_place(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        assert!(after(&store, None, 10).await.is_empty());
        let made: Vec<Event> = (0..5).map(|n| event(&format!("t{n}"))).collect();
        // Not in the order of their ids.
        commit(&store, &[made[3].clone(), made[1].clone()]).await;
        commit(&store, &[made[0].clone(), made[4].clone(), made[2].clone()]).await;
        let order: Vec<&str> = [3, 1, 0, 4, 2].map(|n: usize| made[n].id.as_str()).to_vec();
        let all = until(&store, None, 5).await;
        assert_eq!(ids(&all), order);
        assert_eq!(all[0].body, made[3].body);
        assert_eq!((all[0].kind, all[0].at, all[0].team.as_deref()), (made[3].kind, made[3].at, None));
        assert_eq!((all[0].source.as_deref(), all[0].task_id.as_deref()), (Some("evolink"), Some("t3")));

        let (mut cursor, mut seen) = (None, Vec::new());
        loop {
            let page = after(&store, cursor, 2).await;
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 2);
            cursor = Some(last.cursor);
            seen.extend(page);
        }
        assert_eq!(ids(&seen), order);

        let mut tx = store.read().await.unwrap();
        assert_eq!(tx.cursor_of(order[1]).await.unwrap(), Some(all[1].cursor));
        assert_eq!(tx.cursor_of("evt_none").await.unwrap(), None);
        assert_eq!(tx.cursor_before(made[2].id.as_str()).await.unwrap(), Some(all[1].cursor), "the id before it");
        assert_eq!(tx.cursor_before(made[0].id.as_str()).await.unwrap(), None);
        drop(tx);
        assert_eq!(ids(&after(&store, Some(all[1].cursor), 10).await), order[2..]);
    }

    async fn what_comes_from_now_on_stands_behind_the_end(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let empty = store.read().await.unwrap().tail_end().await.unwrap();
        let (first, second) = (event("first"), event("second"));
        commit(&store, std::slice::from_ref(&first)).await;
        assert_eq!(ids(&until(&store, Some(empty), 1).await), [first.id.as_str()]);
        let mut tx = store.read().await.unwrap();
        let end = tx.tail_end().await.unwrap();
        let known = tx.beyond(end).await.unwrap();
        drop(tx);
        commit(&store, std::slice::from_ref(&second)).await;
        let mut rows = until(&store, Some(end), 1 + known.len()).await;
        rows.retain(|row| !known.contains(&row.id));
        assert_eq!(ids(&rows), [second.id.as_str()]);
    }

    async fn a_page_of_long_events_is_short_and_never_empty(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let long: Vec<Event> = (0..5)
            .map(|n| Event { body: format!("{{\"n\":\"{}\"}}", "x".repeat(200_000)), ..event(&format!("t{n}")) })
            .collect();
        let huge = Event { body: "x".repeat(900_000), ..event("huge") };
        commit(&store, &long).await;
        commit(&store, std::slice::from_ref(&huge)).await;
        let (mut cursor, mut sizes) = (None, Vec::new());
        while sizes.iter().sum::<usize>() < 6 {
            let page = after(&store, cursor, 100).await;
            if let Some(last) = page.last() {
                cursor = Some(last.cursor);
                sizes.push(page.len());
            }
        }
        assert!(sizes.iter().all(|size| *size <= 2), "{sizes:?}");
        assert!(after(&store, cursor, 100).await.is_empty());
    }

    async fn nothing_is_skipped_while_many_write(db: Db) {
        const WRITERS: usize = 8;
        const EACH: usize = 40;
        let database = Database::fresh(db);
        let store = database.store().await;
        let writers = (0..WRITERS).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut made = Vec::new();
                for n in 0..EACH {
                    let pair = [event(&format!("{writer}-{n}-a")), event(&format!("{writer}-{n}-b"))];
                    let mut tx = store.write().await.unwrap();
                    tx.insert_events(pair[..1].iter().cloned());
                    tx.flush().await.unwrap();
                    tokio::task::yield_now().await;
                    tx.insert_events(pair[1..].iter().cloned());
                    tx.commit().await.unwrap();
                    made.extend(pair.map(|event| event.id.to_string()));
                }
                made
            })
        });
        let writing = tokio::spawn(join_all(writers.collect::<Vec<_>>()));
        let (mut cursor, mut seen) = (None, Vec::new());
        while seen.len() < WRITERS * EACH * 2 {
            let page = after(&store, cursor, 7).await;
            cursor = page.last().map(|row| row.cursor).or(cursor);
            seen.extend(page.into_iter().map(|row| row.id));
            tokio::task::yield_now().await;
        }
        let made: HashSet<String> = writing.await.unwrap().into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(seen.len(), made.len(), "some came twice");
        assert_eq!(seen.into_iter().collect::<HashSet<_>>(), made);
        assert!(after(&store, cursor, 7).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_transaction_that_is_held_open_is_waited_for() {
    let database = Database::fresh(Db::Postgres);
    let store = database.store().await;
    let options: sqlx::postgres::PgConnectOptions = database.url.parse().unwrap();
    let mut held = sqlx::PgConnection::connect_with(&options.disable_statement_logging()).await.unwrap();
    held.execute("BEGIN").await.unwrap();
    held.execute(
        "INSERT INTO events (id, type, step, source, task_id, at, body)
         VALUES ('evt_held', 'task.completed', 'terminal', 'evolink', 'held', 1, '{}')",
    )
    .await
    .unwrap();
    let begun = store.read().await.unwrap().tail_end().await.unwrap();
    for n in 0..20 {
        commit(&store, &[event(&format!("t{n}"))]).await;
        assert!(after(&store, None, 100).await.is_empty(), "an event was read before one that is committed later");
    }
    assert_eq!(store.read().await.unwrap().beyond(begun).await.unwrap().len(), 20);
    held.execute("COMMIT").await.unwrap();
    let rows = until(&store, None, 21).await;
    assert_eq!((rows.len(), rows[0].id.as_str()), (21, "evt_held"));
    assert_eq!(ids(&until(&store, Some(begun), 21).await).len(), 21, "it comes from then on as well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_events_of_a_restored_dump_come_first() {
    let database = Database::fresh(Db::Postgres);
    database.store().await.close().await;
    // As another server numbered them, which had many more transactions.
    for (xact, id) in [(9_000_000_000_i64, "evt_a"), (9_000_000_001, "evt_b")] {
        database
            .execute(&format!(
                "INSERT INTO events (xact, id, type, step, source, task_id, at, body)
                 VALUES ({xact}, '{id}', 'task.completed', 'terminal', 'evolink', '{id}', 1, '{{}}')"
            ))
            .await;
    }
    let store = database.store().await;
    let new = event("new");
    commit(&store, std::slice::from_ref(&new)).await;
    assert_eq!(ids(&until(&store, None, 3).await), ["evt_a", "evt_b", new.id.as_str()]);
}
