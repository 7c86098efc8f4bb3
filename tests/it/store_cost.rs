//! What a look at the queue costs does not grow with the tasks that are watched: no query reads a table through.

use callboard::domain::callback::CallbackOutcome;
use callboard::domain::clock::Timestamp;
use callboard::domain::delivery::DeliveryStatus;
use callboard::domain::event::Event;
use callboard::domain::id::{PollId, ReplayId};
use callboard::domain::task::{Status, Task};
use callboard::domain::watch::{Saving, Watch};
use callboard::store::{Activity, ChangedTask, Lease, NewPoll, On, SavedWatch, SqliteTx, Store, TaskId, Tx, Writing};
use sqlx::{AssertSqlSafe, Row};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::store::{callback, delivery, ended, later, settled, settlement};
use super::store_watches::{id, save, watch};
use crate::app::{Database, Db, START, both};

pub(crate) const MANY: usize = 4000;
/// To read a table of [`MANY`] rows, or an index of it, takes SQLite several steps a row.
const STEPS_MAX: u64 = MANY as u64;
/// Of what an indexed query looks for, only a handful is read.
const ROWS_MAX: i64 = 100;

fn poll(task_id: &str, at: Timestamp) -> NewPoll {
    let (source, outcome) = ("evolink".into(), "processing".into());
    NewPoll { id: PollId::new(at), source, task_id: task_id.into(), outcome, detail: None, at, body: None }
}

async fn filled(database: &Database) -> Store {
    let store = database.store().await;
    let tasks: Vec<Task> = (0..MANY).map(|n| ended(&format!("t{n}"), Status::Completed, START).0).collect();
    let watches: Vec<(TaskId, Watch)> =
        (0..MANY).map(|n| (id("evolink", &format!("t{n}")), watch(n % 2 == 0, Some(later(n as u64))))).collect();
    let polls: Vec<NewPoll> = (0..MANY).map(|n| poll(&format!("t{n}"), START)).collect();
    let mut tx = store.write().await.unwrap();
    tx.insert_tasks(tasks.iter().cloned());
    save(&mut tx, &watches);
    tx.insert_polls(&polls);
    tx.commit().await.unwrap();
    if database.db == Db::Postgres {
        database.execute("ANALYZE").await;
    }
    store
}

/// How much was read of these tables in this transaction, in rows.
async fn rows_read(tx: &mut Tx) -> i64 {
    let sql = "SELECT COALESCE(sum(seq_tup_read), 0)::bigint + COALESCE(sum(idx_tup_fetch), 0)::bigint
               FROM pg_stat_xact_user_tables WHERE schemaname = 'public'";
    let On::Postgres(on) = tx.on() else { panic!("of PostgreSQL only") };
    sqlx::query(AssertSqlSafe(sql)).fetch_one(on.begun().await.unwrap()).await.unwrap().get(0)
}

fn writing(tx: &mut Tx) -> &mut Writing {
    let On::Sqlite(SqliteTx::Write(writing)) = tx.on() else { panic!("of SQLite only") };
    writing
}

/// Counts the steps of SQLite's machine.
async fn count_steps(tx: &mut Tx) -> Arc<AtomicU64> {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    writing(tx).run(move |connection| connection.progress_handler(1, Some(count))).await.unwrap();
    steps
}

/// Runs one query in a transaction of its own, and holds it to what it may read.
pub(crate) async fn cheap(store: &Store, db: Db, about: &str, query: impl AsyncFnOnce(&mut Tx)) {
    cheap_as(store, db, about, (STEPS_MAX, ROWS_MAX), query).await;
}

/// The same, of one that looks for more: so many steps on SQLite, so many rows on PostgreSQL.
async fn cheap_as(
    store: &Store,
    db: Db,
    about: &str,
    (steps_max, rows_max): (u64, i64),
    query: impl AsyncFnOnce(&mut Tx),
) {
    let mut tx = store.write().await.unwrap();
    match db {
        Db::Sqlite => {
            // The first statement also begins.
            tx.next_look().await.unwrap();
            let steps = count_steps(&mut tx).await;
            query(&mut tx).await;
            tx.flush().await.unwrap();
            let steps = steps.load(Ordering::Relaxed);
            assert!((1..steps_max).contains(&steps), "{about} took {steps} steps");
        }
        Db::Postgres => {
            let before = rows_read(&mut tx).await;
            query(&mut tx).await;
            tx.flush().await.unwrap();
            let rows = rows_read(&mut tx).await - before;
            assert!(rows <= rows_max, "{about} read {rows} rows");
        }
    }
    drop(tx);
}

both! {
    async fn no_query_of_the_poller_reads_a_table_through(db: Db) {
        let database = Database::fresh(db);
        let store = filled(&database).await;
        let one = || id("evolink", "t77");
        cheap(&store, db, "claim_questions", async |tx| {
            let claimed = tx.claim_questions("evolink", true, 5, later(3000), ("me", later(3045))).await.unwrap();
            assert_eq!(claimed.len(), 5);
        }).await;
        cheap(&store, db, "next_questions", async |tx| {
            assert_eq!(tx.next_questions(&["evolink", "other"]).await.unwrap().len(), 2);
        }).await;
        cheap(&store, db, "next_relayed", async |tx| {
            assert_eq!(tx.next_relayed(&["evolink", "other"]).await.unwrap(), []);
        }).await;
        cheap(&store, db, "claim_relayed", async |tx| {
            assert_eq!(tx.claim_relayed("evolink", later(3000), ("me", later(3045))).await.unwrap(), None);
        }).await;
        // None of them was relayed: there is nothing to find, and that must be found out as quickly.
        cheap(&store, db, "next_relayed", async |tx| {
            assert!(tx.next_relayed(&["evolink", "other"]).await.unwrap().is_empty());
        }).await;
        cheap(&store, db, "claim_relayed", async |tx| {
            assert!(tx.claim_relayed("evolink", later(3000), ("me", later(3045))).await.unwrap().is_none());
        }).await;
        cheap(&store, db, "due_looks", async |tx| {
            assert_eq!(tx.due_looks(later(86_400), 5).await.unwrap().len(), 5);
        }).await;
        cheap(&store, db, "next_look", async |tx| assert!(tx.next_look().await.unwrap().is_some())).await;
        let mut tx = store.read().await.unwrap();
        let answer = PollId::stored(tx.polls("evolink", "t77", 250).await.unwrap().remove(0).id);
        tx.commit().await.unwrap();
        cheap(&store, db, "polls", async |tx| assert_eq!(tx.polls("evolink", "t77", 250).await.unwrap().len(), 1)).await;
        cheap(&store, db, "end_watches", async |tx| tx.end_watches(&[&one()])).await;
        cheap(&store, db, "save_watches", async |tx| save(tx, &[(one(), watch(true, None))])).await;
        cheap(&store, db, "save_watches of a question", async |tx| {
            let (id, watch) = (one(), watch(true, None));
            tx.save_watches(&[SavedWatch { id: &id, watch: &watch, look_at: None, intent_id: None, saving: Saving::Question }]);
        }).await;
        cheap(&store, db, "repeat_polls", async |tx| tx.repeat_polls(&[(answer.clone(), later(1))])).await;
        let (before, _) = ended("t77", Status::Completed, START);
        let advanced = Task { progress: Some(7), ..before.clone() };
        let cancelled = Task { status: Status::Cancelled, ..before.clone() };
        for (about, after) in [("update_tasks", advanced), ("update_tasks to another status", cancelled)] {
            let changed = ChangedTask { before: Arc::new(before.clone()), task: Arc::new(after) };
            cheap(&store, db, about, async |tx| tx.update_tasks([changed])).await;
        }
        cheap(&store, db, "lock_tasks", async |tx| {
            let known = tx.lock_tasks(vec![one(), id("evolink", "nobody")]).await.unwrap();
            assert!(known[&one()].watch.is_some());
        }).await;
    }

    async fn no_query_of_the_watchman_reads_a_table_through(db: Db) {
        let database = Database::fresh(db);
        let store = filled(&database).await;
        let at = |n: usize| later(60 * n as u64);
        let (tasks, events): (Vec<Task>, Vec<Event>) =
            (0..MANY).map(|n| ended(&format!("u{n}"), Status::Completed, at(n))).unzip();
        let heard = (0..MANY).map(|n| callback(&format!("u{n}"), CallbackOutcome::Accepted, at(n))).collect();
        let mut tx = store.write().await.unwrap();
        tx.insert_tasks(tasks.iter().cloned());
        tx.insert_events(events.iter().cloned());
        tx.keep_callbacks(heard).await.unwrap();
        tx.commit().await.unwrap();
        if db == Db::Postgres {
            database.execute("ANALYZE").await;
        }
        let last = at(MANY - 1);
        cheap(&store, db, "heard", async |tx| {
            let heard = tx.heard(&["evolink", "other"]).await.unwrap();
            assert_eq!(heard, [("evolink".to_owned(), last)].into());
        }).await;
        // A thousand slots, each looked for by itself, and never more than what comes first in it.
        cheap_as(&store, db, "history", (400_000, 8_000), async |tx| {
            let history = tx.history("evolink", last).await.unwrap();
            assert_eq!(history.heard.iter().filter(|heard| **heard).count(), MANY / 10);
            assert_eq!((history.called, history.called_of), (50, 50));
        }).await;
        cheap(&store, db, "unheard", async |tx| assert_eq!(tx.unheard("evolink", last, later(1_000_000)).await.unwrap(), 0)).await;
        // So many are counted.
        cheap_as(&store, db, "share", (40_000, 6_000), async |tx| {
            for counted in [Activity::Ends, Activity::Callbacks] {
                let (since, share) = tx.share(counted, "evolink", (START, Timestamp(last.0 + 1))).await.unwrap();
                assert_eq!((since, share.good, share.bad), (at(MANY - 1000), 1000, 0), "{counted:?}");
            }
        }).await;
    }

    async fn a_query_that_does_is_found_out(db: Db) {
        let database = Database::fresh(db);
        let store = filled(&database).await;
        let mut tx = store.write().await.unwrap();
        tx.next_look().await.unwrap();
        let sql = "SELECT count(*) FROM watches WHERE state = 'x'";
        match db {
            Db::Sqlite => {
                let steps = count_steps(&mut tx).await;
                writing(&mut tx).run(move |connection| connection.query_row(sql, [], |_| Ok(()))).await.unwrap();
                assert!(steps.load(Ordering::Relaxed) > STEPS_MAX);
            }
            Db::Postgres => {
                let before = rows_read(&mut tx).await;
                let On::Postgres(on) = tx.on() else { panic!() };
                sqlx::query(AssertSqlSafe(sql)).fetch_one(on.begun().await.unwrap()).await.unwrap();
                assert!(rows_read(&mut tx).await - before > ROWS_MAX);
            }
        }
    }
}

both! {
    async fn a_claim_reads_what_it_takes_however_much_waits(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let ends: Vec<_> = (0..MANY).map(|n| ended(&format!("t{n}"), Status::Completed, START)).collect();
        let told = |replay: Option<ReplayId>| {
            let deliveries: Vec<_> = ends.iter().map(|(_, event)| delivery(event, "backend", replay.clone())).collect();
            deliveries
        };
        let mut tx = store.write().await.unwrap();
        tx.insert_events(ends.iter().map(|(_, event)| event.clone()));
        tx.insert_deliveries(told(None), START);
        tx.commit().await.unwrap();
        // What the database last knew is that much was told, and that nothing waited.
        database.execute("UPDATE deliveries SET status = 'delivered', due_at = NULL, finished_at = 1").await;
        if db == Db::Postgres {
            database.execute("VACUUM ANALYZE deliveries").await;
        }
        let mut tx = store.write().await.unwrap();
        tx.insert_deliveries(told(Some(ReplayId::new(START))), START);
        tx.commit().await.unwrap();
        cheap(&store, db, "backlog", async |tx| assert_eq!(tx.backlog().await.unwrap().len(), 1)).await;
        cheap(&store, db, "claim", async |tx| {
            let lease = Lease { owner: "me".into(), until: later(60) };
            assert_eq!(tx.claim("backend", 8, later(1), &lease).await.unwrap().len(), 8);
        }).await;
        cheap(&store, db, "settling and giving back", async |tx| {
            let lease = Lease { owner: "me".into(), until: later(60) };
            let ids = tx.claim("backend", 8, later(1), &lease).await.unwrap();
            let again = || settlement(DeliveryStatus::Pending, Some(later(9)));
            let some: Vec<_> = ids[..4].iter().map(|id| settled(id, 1, again())).collect();
            assert!(tx.settle(&some, later(2)).await.unwrap().is_empty());
            let rest = tx.claimed(&ids[4..]).await.unwrap();
            tx.return_leases(&rest, later(2));
            tx.flush().await.unwrap();
        }).await;
    }
}

#[tokio::test]
async fn postgres_compiles_no_query_of_ours() {
    let store = Database::fresh(Db::Postgres).store().await;
    let mut tx = store.write().await.unwrap();
    tx.destination_states().await.unwrap();
    let On::Postgres(on) = tx.on() else { panic!("of PostgreSQL only") };
    // A table that is read through: as dear as what is switched off can be.
    let sql = "EXPLAIN ANALYZE SELECT name, failures + 1 FROM destination_states";
    let rows = sqlx::query(sql).fetch_all(on.begun().await.unwrap()).await.unwrap();
    let plan: String = rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect();
    assert!(plan.contains("cost=10000000000"), "{plan}");
    assert!(!plan.contains("JIT"), "{plan}");
}
