//! What a process had in hand: taken up when it is gone, and no longer its own when it comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use callboard::domain::clock::ManualClock;
use callboard::store::Lease;
use futures_util::future::join_all;
use serde_json::json;

use crate::app::{Database, Db, START, TestApp, both, webhook};
use crate::sink::{Reply, Sink};

/// `delivery.timeout` and the 10 s by which a lease outlives it.
const LEASE: Duration = Duration::from_secs(25);

both! {
    async fn who_comes_too_late_writes_nothing(db: Db) {
        let mut first = true;
        let sink = Sink::scripted(move |_| {
            if std::mem::take(&mut first) { Reply::Hang } else { Reply::status(202) }
        }).await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        app.evolink("t", "completed").await.expect(200);
        let mut late = app.another_dispatcher("another");
        let late = app.life.spawn(async move { late.tick().await.unwrap() });
        sink.wait_for(1).await;
        app.advance(LEASE - Duration::from_millis(1));
        assert_eq!(app.tick_all().await, 0, "the other one still has it");
        app.advance(Duration::from_millis(1));
        assert_eq!(app.tick_all().await, 1);
        let before = app.delivery(&app.deliveries("backend").await[0]).await;
        sink.release();
        assert_eq!(late.await.unwrap(), 1);
        let after = app.delivery(&app.deliveries("backend").await[0]).await;
        assert_eq!(before, after);
        assert_eq!((&after["status"], &after["attempts"][0]["status_code"]), (&json!("delivered"), &json!(202)));
        assert!(app.services.metrics.render().contains("callboard_settlements_fenced_total"));
    }

    async fn what_a_dead_process_had_in_hand_is_taken_up(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        app.evolink("t", "completed").await.expect(200);
        let mut tx = app.services.store.write().await.unwrap();
        let lease = Lease { owner: "dead".into(), until: START.after(LEASE) };
        assert_eq!(tx.claim("backend", 8, START, &lease).await.unwrap().len(), 1);
        tx.commit().await.unwrap();
        assert_eq!(app.tick_all().await, 0);

        app.dispatcher.take_over().await.unwrap();
        let at_once = app.tick_all().await;
        // Within `delivery.timeout` + 15 s, of which up to one second goes by between two looks.
        app.advance(LEASE);
        let in_time = app.tick_all().await;
        match db {
            Db::Sqlite => assert_eq!((at_once, in_time), (1, 0), "nobody else can have it"),
            Db::Postgres => assert_eq!((at_once, in_time), (0, 1), "another instance may still be sending it"),
        }
        assert_eq!(sink.count(), 1);
    }

    async fn a_process_that_starts_again_takes_up_its_own_at_once(db: Db) {
        let sink = Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        app.evolink("t", "completed").await.expect(200);
        let mut tx = app.services.store.write().await.unwrap();
        let lease = Lease { owner: "here".into(), until: START.after(LEASE) };
        assert_eq!(tx.claim("backend", 8, START, &lease).await.unwrap().len(), 1);
        tx.commit().await.unwrap();
        assert_eq!(app.tick_all().await, 0);
        app.another_dispatcher("here").take_over().await.unwrap();
        assert_eq!(app.tick_all().await, 1);
        assert_eq!(sink.count(), 1);
    }

    async fn a_file_that_is_served_is_not_served_twice(db: Db) {
        let app = TestApp::new(db, "").await;
        let second = TestApp::try_on(Arc::clone(&app.database), Arc::clone(&app.clock), "").await;
        match (db, second) {
            (Db::Postgres, Ok(second)) => drop(second.get("/readyz").await.expect(200)),
            (Db::Sqlite, Err(error)) => assert!(format!("{error:#}").contains("another `callboard serve`"), "{error:#}"),
            (_, Ok(_)) => panic!("two serve one file"),
            (_, Err(error)) => panic!("{error:#}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_send_each_delivery_once() {
    let (one, two) = (Sink::start().await, Sink::start().await);
    let config = webhook("one", &one.url()) + &webhook("two", &two.url());
    let (database, clock) = (Arc::new(Database::fresh(Db::Postgres)), Arc::new(ManualClock::new(START)));
    let mut first = TestApp::on(Arc::clone(&database), Arc::clone(&clock), &config).await;
    let mut second = TestApp::on(database, clock, &config).await;
    let ids: Vec<String> = (0..300).map(|n| format!("t{n}")).collect();
    for some in ids.chunks(100) {
        join_all(some.iter().map(|id| first.evolink(id, "completed"))).await;
    }
    let mut each = (0, 0);
    while each.0 + each.1 < 600 {
        // Both look at the same moment.
        let looked = tokio::join!(first.tick(), second.tick());
        each = (each.0 + looked.0, each.1 + looked.1);
    }
    assert!(each.0 > 0 && each.1 > 0, "{each:?}");
    for sink in [&one, &two] {
        let mut sent: HashMap<String, usize> = HashMap::new();
        for request in sink.requests() {
            *sent.entry(request.header("webhook-id").unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!((sent.len(), sent.values().max()), (300, Some(&1)));
    }
    assert_eq!(first.database.number("SELECT count(*) FROM deliveries WHERE status = 'delivered'").await, 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_follows_what_another_was_told() {
    let sink = Sink::start().await;
    let (database, clock) = (Arc::new(Database::fresh(Db::Postgres)), Arc::new(ManualClock::new(START)));
    let first = TestApp::on(Arc::clone(&database), Arc::clone(&clock), "").await;
    let mut second = TestApp::on(database, clock, "").await;
    first.post_api("/api/v1/teams", json!({"name": "ops"})).await.expect(201);
    let made = json!({"name": "backend", "team": "ops", "channel": "webhook", "url": sink.url()});
    first.post_api("/api/v1/destinations", made).await.expect(201);
    first.post_api("/api/v1/subscriptions", json!({"destination": "backend"})).await.expect(201);
    second.services.roster.follow().await.unwrap();
    second.evolink("t", "completed").await.expect(200);
    assert_eq!(second.tick_all().await, 1);
    assert_eq!(sink.count(), 1);
}
