//! Databases that an earlier build wrote.

use std::sync::Arc;

use callboard::domain::delivery::FORWARD;
use callboard::domain::id::{CallbackId, EventId};
use callboard::domain::secret::Secret;
use callboard::domain::task::Status;
use callboard::store::{NewDelivery, Store};
use futures_util::future::join_all;

use crate::app::{Database, Db, START, both};
use crate::store::{delivery, ended};

/// What 0011 does, taken back: deliveries do not say of what type their event is.
const UNTYPED: [&str; 4] = [
    "DROP INDEX deliveries_dead",
    "ALTER TABLE deliveries DROP COLUMN event_type",
    "CREATE INDEX deliveries_dead ON deliveries (destination, id) WHERE status = 'dead'",
    "DELETE FROM _sqlx_migrations WHERE version = 11",
];

both! {
    async fn deliveries_that_are_there_get_the_type_of_their_event(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let (task, event) = ended("task-1", Status::Failed, START);
        let forwarded = EventId::stored(CallbackId::new(START).to_string());
        let forward = NewDelivery {
            event_id: forwarded,
            event_type: FORWARD,
            ..delivery(&event, "@forward:example.com", None)
        };
        let mut tx = store.write().await.unwrap();
        tx.insert_tasks([Arc::new(task)]);
        tx.insert_events([Arc::new(event.clone())]);
        tx.insert_deliveries([delivery(&event, "ads-slack", None), forward], START);
        tx.commit().await.unwrap();
        store.close().await;
        for sql in UNTYPED {
            database.execute(sql).await;
        }

        database.store().await.close().await;
        let types = database.texts("SELECT destination, event_type FROM deliveries ORDER BY destination").await;
        assert_eq!(types, [["@forward:example.com", "forward"], ["ads-slack", "task.failed"]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_at_once_on_a_new_database_all_find_it_migrated() {
    let database = Database::fresh(Db::Postgres);
    // Under it a statement sees nothing that was committed since the first one of its transaction.
    let isolation = "DO $$ BEGIN EXECUTE format(
        'ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), 'repeatable read'); END $$";
    database.execute(isolation).await;
    let stores = join_all((0..4).map(|_| database.store())).await;
    let left = database.number("SELECT max(version) - count(*) FROM _sqlx_migrations WHERE success").await;
    assert_eq!(left, 0, "each ran once");
    for store in stores {
        store.close().await;
    }
}

#[tokio::test]
async fn migrations_of_which_one_fails_leave_the_database_as_it_was() {
    let database = Database::fresh(Db::Postgres);
    database.store().await.close().await;
    for sql in UNTYPED {
        database.execute(sql).await;
    }
    // 0009 can be done again, 0011 cannot.
    database.execute("DROP TABLE sessions; DELETE FROM _sqlx_migrations WHERE version = 9").await;
    database.execute("ALTER TABLE deliveries ADD COLUMN event_type TEXT").await;

    let failed = Store::open_postgres(&Secret::new(database.url.as_str())).await.map(drop).unwrap_err().to_string();
    assert!(failed.contains("event_type"), "{failed}");
    let done = database.texts("SELECT version::text FROM _sqlx_migrations WHERE version IN (9, 11)").await;
    assert_eq!(done, Vec::<Vec<String>>::new());
    database.execute("ALTER TABLE deliveries DROP COLUMN event_type").await;
    database.store().await.close().await;
}
