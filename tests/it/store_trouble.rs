//! What is written of the trouble of destinations and sources, so that of several instances one tells it.

use std::collections::HashSet;

use callboard::domain::id::ReplayId;
use callboard::domain::silence::Ailment;
use callboard::domain::trouble::Trouble;
use callboard::store::SourceTrouble;

use super::store::{delivery, later, told};
use crate::app::{Database, Db, START, both};

both! {
    async fn what_waits_for_a_disabled_destination_is_held_a_thousand_at_once(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let event = told(&store, "t", &["a"]).await;
        let mut tx = store.write().await.unwrap();
        tx.insert_deliveries((0..1200).map(|_| delivery(&event, "a", Some(ReplayId::new(START)))), START);
        let names = HashSet::from(["a", "b"]);
        assert!(tx.disabled(&names).await.unwrap().is_empty());
        tx.disable("a", "answered 410", later(1)).await.unwrap();
        assert_eq!(tx.disabled(&names).await.unwrap(), ["a".to_owned()].into());
        assert_eq!(tx.held_count("a", 5000).await.unwrap(), 1000);
        assert!(!tx.hold("a", "answered 410").await.unwrap(), "there is no more");
        assert_eq!(tx.held_count("a", 5000).await.unwrap(), 1201);
        assert!(tx.backlog().await.unwrap().is_empty());
    }

    async fn the_state_of_a_destination_is_locked_where_it_matters(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        let locked = tx.lock_destination_states(&[("ill", true), ("well", false)]).await.unwrap();
        assert_eq!(locked.iter().map(|state| state.name.as_str()).collect::<Vec<_>>(), ["ill"]);
        assert_eq!((locked[0].trouble, &locked[0].disabled), (Trouble::default(), &None));
        let trouble = Trouble {
            told_at: Some(later(1)),
            told_dead_at: Some(later(2)),
            dead: 3,
            dead_at: Some(later(4)),
            recovered_at: Some(later(5)),
        };
        tx.save_trouble("ill", &trouble).await.unwrap();
        tx.commit().await.unwrap();

        let mut tx = store.write().await.unwrap();
        let names = [("ill", false), ("well", false)];
        let locked = tx.lock_destination_states(&names).await.unwrap();
        assert_eq!(locked.iter().map(|state| state.trouble).collect::<Vec<_>>(), [trouble]);
        assert_eq!(tx.destination_states().await.unwrap(), locked);
        assert!(tx.disable("ill", "answered 410", later(6)).await.unwrap());
        assert!(!tx.disable("ill", "answered 410 again", later(7)).await.unwrap(), "it is disabled already");
        let locked = tx.lock_destination_states(&names).await.unwrap();
        assert_eq!(locked[0].disabled, Some((later(6), "answered 410".into())));
        assert_eq!(tx.lock_destination_states(&[]).await.unwrap(), []);
        tx.commit().await.unwrap();
    }

    async fn the_trouble_of_a_source_is_noted_once_and_ended_once(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        tx.add_sources(&["evolink"], later(0));
        tx.commit().await.unwrap();
        let trouble = |told_at| SourceTrouble {
            ailment: Ailment::Silent,
            told_at: later(told_at),
            since: later(1),
            reason: "no callback".into(),
        };
        let mut tx = store.write().await.unwrap();
        assert!(tx.note_trouble("evolink", &trouble(10)).await.unwrap());
        assert!(!tx.note_trouble("evolink", &trouble(11)).await.unwrap());
        assert!(!tx.note_trouble("nobody", &trouble(11)).await.unwrap());
        let state = tx.source_state("evolink").await.unwrap().unwrap();
        assert_eq!((state.trouble, state.recovered_at), (Some(trouble(10)), None));
        assert!(!tx.end_trouble("evolink", later(9), later(20)).await.unwrap(), "that is another one");
        assert!(tx.end_trouble("evolink", later(10), later(20)).await.unwrap());
        assert!(!tx.end_trouble("evolink", later(10), later(21)).await.unwrap());
        let state = tx.source_state("evolink").await.unwrap().unwrap();
        assert_eq!((state.trouble, state.recovered_at), (None, Some(later(20))));
        tx.commit().await.unwrap();
    }
}
