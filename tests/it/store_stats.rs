//! Rollups and the place up to which they are made, and the tail that they are made from.

use callboard::domain::rollup::{Day, Rollup, RollupKey};
use callboard::domain::task::Status;
use callboard::store::{EventCursor, StatsFilter};

use super::store::{ended, later};
use crate::app::{Database, Db, START, both};

both! {
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

    async fn what_is_added_and_what_was_disputed_stand_side_by_side(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let key = RollupKey { day: Day::of(START), source: "a".into(), model: "m".into() };
        let filter = StatsFilter {
            since: key.day,
            until: key.day.next(),
            source: Some("a".into()),
            model: Some("m".into()),
            seen: None,
            by_day: true,
            after: None,
            limit: 1,
        };
        for round in 1..=2 {
            let mut tx = store.write().await.unwrap();
            tx.count_disputed(&[(key.clone(), 3)].into()).unwrap();
            tx.add_rollups([(key.clone(), Rollup { completed: 2, micro_credits: 7, ..Rollup::default() })].into()).await.unwrap();
            tx.commit().await.unwrap();
            let row = store.read().await.unwrap().stats(&filter).await.unwrap().items.remove(0);
            let found = (row.rollup.disputed, row.rollup.completed, row.rollup.micro_credits);
            assert_eq!(found, (3 * round, 2 * round, 7 * round));
        }
    }

    async fn a_work_is_moved_on_from_where_it_is_and_begun_when_it_is_due(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        let (from, to) = (EventCursor::default(), EventCursor { xact: 5, seq: 7 });
        assert_eq!(tx.chore_cursor("rollup").await.unwrap(), Some(from));
        assert!(tx.move_chore("rollup", from, to).await.unwrap());
        assert!(!tx.move_chore("rollup", from, to).await.unwrap());
        assert_eq!((tx.chore_place("rollup").await.unwrap(), tx.chore_place("none").await.unwrap()), (to, from));
        assert!(tx.begin_chore("retention", START, later(60)).await.unwrap());
        assert!(!tx.begin_chore("retention", later(59), later(70)).await.unwrap());
        assert!(tx.begin_chore("retention", later(60), later(120)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(store.write().await.unwrap().chore_cursor("rollup").await.unwrap(), Some(to));
    }

    async fn places_in_the_tail_are_those_of_its_events(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let events = [0, 1].map(|n| ended(&format!("t{n}"), Status::Completed, later(n)).1);
        for event in &events {
            let mut tx = store.write().await.unwrap();
            tx.insert_events([event.clone()]);
            tx.commit().await.unwrap();
        }
        let [first, second] = events.map(|event| event.id.to_string());
        let mut tx = store.write().await.unwrap();
        let place = tx.cursor_of(&first).await.unwrap().unwrap();
        assert_eq!(tx.cursor_before(&second).await.unwrap(), Some(place));
        assert_eq!(tx.beyond(place).await.unwrap(), std::slice::from_ref(&second));
        // On PostgreSQL the end shows itself once every transaction that began before has ended.
        let mut tail = Vec::new();
        while tail.is_empty() {
            tail = tx.events_after(Some(place), 10).await.unwrap();
        }
        assert_eq!((tail.len(), &tail[0].id), (1, &second));
        assert!(tx.tail_end().await.unwrap() >= tail[0].cursor);
        assert_eq!(tx.cursor_of("evt_none").await.unwrap(), None);
    }
}
