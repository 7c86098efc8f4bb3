//! Databases that an earlier build wrote.

use std::sync::Arc;

use callboard::domain::delivery::FORWARD;
use callboard::domain::id::{CallbackId, EventId};
use callboard::domain::task::Status;
use callboard::store::NewDelivery;

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
