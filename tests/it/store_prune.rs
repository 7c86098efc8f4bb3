//! What retention removes. What a step of it costs does not grow with what is kept: no query reads a table through.

use callboard::domain::clock::Timestamp;
use callboard::domain::id::IntentId;
use callboard::domain::task::Metadata;
use callboard::store::{Awaited, Heard, NewIntent};

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

    async fn requests_and_answers_are_removed_by_age(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        write(&store, &["over".to_owned()], START, b"x", 0).await;
        let new = |at| NewIntent {
            id: IntentId::new(at),
            source: "evolink".into(),
            idempotency_key: None,
            metadata: Metadata::new(),
            sealed_key: None,
            client_url: None,
            created_at: at,
        };
        let mut tx = store.write().await.unwrap();
        for task_id in [None, Some("over")] {
            let mut intent = tx.open_intent(&new(START)).await.unwrap();
            tx.flush().await.unwrap();
            intent.task_id = task_id.map(str::to_owned);
            tx.save_intents(&[&intent]);
        }
        let young = tx.open_intent(&new(START.after(days(1)))).await.unwrap();
        tx.flush().await.unwrap();
        // Of the two that are old one has a task that is kept.
        let (last, removed) = tx.remove_intents("", young.id.as_str(), 250).await.unwrap();
        assert_eq!((last.is_some(), removed), (true, 1));
        assert_eq!(tx.remove_intents(&last.unwrap(), young.id.as_str(), 250).await.unwrap(), (None, 0));
        tx.commit().await.unwrap();
        let kept = "INSERT INTO idempotency (key, request, status, body, created_at) VALUES ('a', '', 200, '', 1), ('b', '', 200, '', 2), ('c', '', 200, '', 3)";
        database.execute(kept).await;
        let mut tx = store.write().await.unwrap();
        let before = Timestamp(2);
        let removed = [tx.remove_answers(before, 1).await.unwrap(), tx.remove_answers(before, 9).await.unwrap()];
        assert_eq!((removed, tx.remove_answers(before, 9).await.unwrap()), ([1, 1], 0));
    }

    async fn free_pages_are_given_back(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let space = store.write().await.unwrap().file_space().await.unwrap();
        let Some(space) = space else {
            assert_eq!(db, Db::Postgres);
            return;
        };
        assert!(space.gives_back && space.pages > 20, "{space:?}");
        let many: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
        write(&store, &many, START, &[7; 4096], 0).await;
        database.execute("DELETE FROM callbacks").await;
        let mut tx = store.write().await.unwrap();
        let full = tx.file_space().await.unwrap().unwrap();
        assert!(full.free > 90, "{full:?}");
        tx.give_back(50).await.unwrap();
        let left = tx.file_space().await.unwrap().unwrap();
        assert_eq!((full.free - left.free, full.pages - left.pages), (50, 50));
    }
}
