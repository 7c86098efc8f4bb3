//! What a batch of callbacks is guessed to be about: a wrong guess changes nothing but how often the database is asked.

use std::collections::HashSet;
use std::time::Duration;

use callboard::domain::access::Scope;
use callboard::domain::task::{Status, Task};
use callboard::store::{Error, Guess, Store, TaskFilter};

use super::app::{Database, Db, START, TestApp, both};
use super::store::ended;

const MODEL: Option<&str> = Some("kling-o3-text-to-video");

fn task(task_id: &str) -> Task {
    ended(task_id, Status::Completed, START).0
}

/// Writes tasks that are guessed to be new, once these are locked.
async fn write_new(store: &Store, locked: &[&str], made: &[&str]) -> Result<usize, Error> {
    let mut tx = store.write().await?.guessing(Guess::New);
    let ids = locked.iter().map(|id| ("evolink".to_owned(), (*id).to_owned())).collect();
    let known = tx.lock_tasks(ids).await?.len();
    tx.insert_tasks(made.iter().map(|id| task(id)));
    tx.commit().await?;
    Ok(known)
}

async fn names(store: &Store) -> Vec<String> {
    let mut tx = store.read().await.unwrap();
    let tasks = tx.tasks(&Scope::All, &TaskFilter { limit: 10, ..Default::default() }).await.unwrap().items;
    let mut names: Vec<String> = tasks.into_iter().map(|task| task.task_id).collect();
    names.sort();
    names
}

both! {
    async fn where_one_that_is_taken_for_new_is_known_nothing_is_written(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        assert_eq!(write_new(&store, &["a", "b"], &["a", "b"]).await.unwrap(), 0);
        assert_eq!(names(&store).await, ["a", "b"]);
        let second = write_new(&store, &["b", "c"], &["c"]).await;
        match db {
            Db::Sqlite => assert_eq!((second.unwrap(), names(&store).await.len()), (1, 3)),
            Db::Postgres => {
                assert!(matches!(second, Err(Error::Supposed)), "{second:?}");
                assert_eq!(names(&store).await, ["a", "b"]);
                let nothing = write_new(&store, &["b"], &[]).await;
                assert!(matches!(nothing, Err(Error::Supposed)), "what is supposed is looked at where nothing is written too");
            }
        }
    }

    async fn what_is_supposed_is_looked_at_before_anything_else_is_read(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        write_new(&store, &[], &["a"]).await.unwrap();
        let ids = ["a", "b"].map(|id| vec![("evolink".to_owned(), id.to_owned())]);
        for (id, is_known) in ids.into_iter().zip([true, false]) {
            let mut tx = store.write().await.unwrap().guessing(Guess::New);
            tx.lock_tasks(id).await.unwrap();
            let read = tx.task(&Scope::All, "evolink", "a").await;
            let is_refused = matches!(read, Err(Error::Supposed));
            assert_eq!(is_refused, is_known && db == Db::Postgres, "{read:?}");
        }
    }

    async fn that_a_destination_takes_deliveries_is_supposed_as_well(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        for (task_id, is_disabled) in [("a", false), ("b", true)] {
            if is_disabled {
                let sql = "INSERT INTO destination_states (name, failures, disabled_at, disabled_reason)
                           VALUES ('backend', 0, 1, 'operator')";
                database.execute(sql).await;
            }
            let mut tx = store.write().await.unwrap().guessing(Guess::New);
            tx.lock_tasks(vec![("evolink".into(), task_id.into())]).await.unwrap();
            let disabled = tx.disabled(&HashSet::from(["backend"])).await.unwrap();
            tx.insert_tasks([task(task_id)]);
            let written = tx.commit().await;
            match db {
                Db::Sqlite => assert_eq!((disabled.len(), written.is_ok()), (usize::from(is_disabled), true)),
                Db::Postgres => assert_eq!(matches!(written, Err(Error::Supposed)), is_disabled, "{written:?}"),
            }
        }
        assert_eq!(names(&store).await, if db == Db::Sqlite { &["a", "b"][..] } else { &["a"] });
    }

    async fn a_task_that_is_heard_of_again_is_told_and_its_time_noted_once(db: Db) {
        let app = TestApp::new(db, "").await;
        let median = || app.services.roster.now().durations.median("evolink", MODEL);
        for (task, so_far) in [("a", None), ("b", None), ("c", Some(Duration::from_secs(90)))] {
            app.evolink(task, "processing").await.expect(200);
            app.advance(Duration::from_secs(90));
            assert_eq!(app.evolink(task, "completed").await.expect(200).text("outcome"), "accepted");
            assert_eq!(app.evolink(task, "completed").await.expect(200).text("outcome"), "duplicate");
            assert_eq!(median(), so_far, "three are enough to know");
        }
        let events = app.get("/api/v1/events?type=task.completed").await.expect(200);
        assert_eq!(events.items().len(), 3);
    }

    async fn a_task_that_is_only_heard_of_when_it_has_ended_says_nothing_of_how_long_it_took(db: Db) {
        let app = TestApp::new(db, "").await;
        for task in ["a", "b", "c"] {
            app.evolink(task, "completed").await.expect(200);
        }
        assert_eq!(app.services.roster.now().durations.median("evolink", MODEL), None);
    }
}
