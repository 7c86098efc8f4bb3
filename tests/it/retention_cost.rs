//! What a step of the janitor or the roller costs does not grow with what is kept: no query reads a table through.

use callboard::domain::rollup::{Day, Rollup, RollupKey};
use callboard::store::{Awaited, Heard, StatsFilter};

use super::retention::{days, deliver_all, write};
use super::store_cost::{MANY, cheap};
use crate::app::{Database, Db, START, both};

const FEW: usize = 5;

both! {
    async fn no_query_of_retention_reads_a_table_through(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let tasks: Vec<String> = (0..MANY).map(|n| format!("t{n}")).collect();
        write(&store, &tasks, START, b"x", 1).await;
        deliver_all(&database).await;
        if db == Db::Postgres {
            database.execute("ANALYZE").await;
        }
        let until = START.after(days(1));
        let some = async |sql: &str| {
            let rows = database.texts(&format!("{sql} LIMIT {FEW}")).await;
            rows.into_iter().map(|mut row| row.remove(0)).collect::<Vec<_>>()
        };
        let (events, deliveries) = (some("SELECT id FROM events ORDER BY id").await, some("SELECT id FROM deliveries").await);
        let callbacks = some("SELECT id FROM callbacks").await;
        let ids: Vec<_> = tasks.iter().take(FEW).map(|task_id| ("evolink".to_owned(), task_id.clone())).collect();
        let ended: Vec<_> = ids.iter().cloned().zip(events.iter().cloned()).collect();

        cheap(&store, db, "old_messages", async |tx| {
            assert_eq!(tx.old_messages(Heard::Callbacks, "", until, FEW).await.unwrap().len(), FEW);
        }).await;
        cheap(&store, db, "old_events", async |tx| {
            assert_eq!(tx.old_events(&events[2], "evt_~", FEW).await.unwrap().len(), FEW);
        }).await;
        cheap(&store, db, "old_messages", async |tx| {
            assert!(tx.old_messages(Heard::Callbacks, "", START, FEW).await.unwrap().is_empty());
        }).await;
        cheap(&store, db, "lock_unfinished", async |tx| {
            assert!(tx.lock_unfinished(ids.clone()).await.unwrap().is_empty());
        }).await;
        cheap(&store, db, "lock_deliveries_of", async |tx| {
            assert_eq!(tx.lock_deliveries_of(&events).await.unwrap().len(), FEW);
        }).await;
        cheap(&store, db, "bury_tasks", async |tx| {
            assert_eq!(tx.bury_tasks(&ended, until).await.unwrap(), FEW as u64);
        }).await;
        cheap(&store, db, "remove_deliveries", async |tx| {
            assert_eq!(tx.remove_deliveries(&deliveries).await.unwrap(), FEW as u64);
        }).await;
        cheap(&store, db, "remove_orphans", async |tx| tx.remove_orphans(&deliveries).await.unwrap()).await;
        cheap(&store, db, "remove_messages", async |tx| {
            tx.remove_messages(Heard::Callbacks, &callbacks).await.unwrap();
        }).await;
        cheap(&store, db, "remove_events", async |tx| tx.remove_events(&events).await.unwrap()).await;
        cheap(&store, db, "pruned_at", async |tx| {
            assert_eq!(tx.pruned_at("evolink", "t77").await.unwrap(), None);
        }).await;
        cheap(&store, db, "receipts", async |tx| {
            let awaited = ended.iter().map(|((source, task_id), event_id)| Awaited {
                event_id: event_id.clone(),
                source: source.clone(),
                task_id: task_id.clone(),
                at: until,
            });
            assert!(tx.receipts(&awaited.collect::<Vec<_>>()).await.unwrap().is_empty());
        }).await;
    }

    async fn statistics_are_of_the_sources_that_are_seen(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let day = Day::of(START);
        let key = |source: &str| RollupKey { day, source: source.into(), model: String::new() };
        let one = || Rollup { completed: 1, ..Rollup::default() };
        let mut tx = store.write().await.unwrap();
        tx.add_rollups([(key("a"), one()), (key("b"), one())].into()).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = store.read().await.unwrap();
        for by_day in [false, true] {
            for (seen, wanted) in [(None, vec!["a", "b"]), (Some(vec!["b", "c"]), vec!["b"]), (Some(vec![]), vec![])] {
                let seen = seen.map(|names| names.into_iter().map(str::to_owned).collect());
                let (source, model, after) = (None, None, None);
                let filter = StatsFilter { since: day, until: day.next(), source, model, seen, by_day, after, limit: 50 };
                let rows = tx.stats(&filter).await.unwrap().items;
                assert_eq!(rows.iter().map(|row| row.source.as_str()).collect::<Vec<_>>(), wanted);
            }
        }
    }
}
