//! Deliveries that are sent as they are made, past the queue.

use std::time::Duration;

use callboard::flow::notice::Notice;
use serde_json::json;
use tokio::sync::broadcast::Receiver;

use crate::app::{Db, TestApp, both, webhook};
use crate::sink::{Reply, Sink};

/// For what must come: how long it takes does not matter.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until so many deliveries were made, and that is written down.
async fn delivered(notices: &mut Receiver<Notice>, many: usize) {
    let coming = async {
        let mut left = many;
        while left > 0 {
            if let Notice::Attempt { outcome: "delivered", .. } = notices.recv().await.unwrap() {
                left -= 1;
            }
        }
    };
    tokio::time::timeout(PATIENCE, coming).await.expect("they are delivered");
}

/// From now on nothing can be claimed.
async fn forbid_claims(app: &TestApp) {
    let statements: &[&str] = match app.database.db {
        Db::Sqlite => &["CREATE TRIGGER unclaimed BEFORE UPDATE OF lease ON deliveries WHEN NEW.lease <> OLD.lease
              BEGIN SELECT RAISE(ABORT, 'claimed'); END"],
        Db::Postgres => &[
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'claimed'; END $$",
            "CREATE TRIGGER unclaimed BEFORE UPDATE ON deliveries FOR EACH ROW WHEN (NEW.lease <> OLD.lease)
                 EXECUTE FUNCTION refuse()",
        ],
    };
    for sql in statements {
        app.database.execute(sql).await;
    }
}

/// An application that sends, and has sent one event to each of its destinations, of which there are so many.
async fn sending(db: Db, config: &str, destinations: usize) -> (TestApp, Receiver<Notice>) {
    let mut app = TestApp::new(db, config).await;
    let mut notices = app.notices.watch();
    app.dispatch();
    app.evolink("first", "completed").await.expect(200);
    delivered(&mut notices, destinations).await;
    (app, notices)
}

both! {
    async fn what_is_made_is_sent_without_being_read_again(db: Db) {
        let sink = Sink::start().await;
        let (app, mut notices) = sending(db, &webhook("backend", &sink.url()), 1).await;
        forbid_claims(&app).await;
        app.evolink("second", "completed").await.expect(200);
        delivered(&mut notices, 1).await;
        let row = &app.deliveries("backend").await[0];
        assert_eq!((&row["status"], &row["attempts"], &row["due_at"]), (&json!("delivered"), &json!(1), &json!(null)));
        let kept = format!("SELECT body FROM events WHERE id = '{}'", row["event_id"].as_str().unwrap());
        let kept = app.database.texts(&kept).await.remove(0).remove(0);
        assert_eq!(sink.requests()[1].body, kept.as_bytes(), "byte for byte");
    }
    async fn what_another_instance_has_disabled_is_held(db: Db) {
        let (shut, open) = (Sink::start().await, Sink::start().await);
        let config = webhook("a", &shut.url()) + &webhook("b", &open.url());
        let (app, mut notices) = sending(db, &config, 2).await;
        forbid_claims(&app).await;
        let disable = "INSERT INTO destination_states (name, failures, disabled_at, disabled_reason)
            VALUES ('a', 0, 1, 'by hand') ON CONFLICT (name) DO UPDATE SET disabled_at = 1, disabled_reason = 'by hand'";
        app.database.execute(disable).await;
        app.evolink("second", "completed").await.expect(200);
        delivered(&mut notices, 1).await;
        assert_eq!((shut.count(), open.count()), (1, 2));
        let held = &app.deliveries("a").await[0];
        assert_eq!((&held["status"], &held["reason"], &held["attempts"]), (&json!("held"), &json!("by hand"), &json!(0)));
    }

    async fn what_waits_too_long_for_its_turn_is_given_back(db: Db) {
        let sink = Sink::start().await;
        let (app, mut notices) = sending(db, &webhook("backend", &sink.url()), 1).await;
        sink.answer(|_| Reply::Hang);
        for number in 0..10 {
            app.evolink(&format!("t{number}"), "completed").await.expect(200);
        }
        // As many as may be under way at once.
        sink.wait_for(1 + 8).await;
        let leased = "SELECT count(*) FROM deliveries WHERE lease_until IS NOT NULL";
        assert_eq!(app.database.number(leased).await, 10, "the others wait in memory");
        app.advance(Duration::from_secs(2));
        let given_back = async { while app.database.number(leased).await > 8 {} };
        tokio::time::timeout(PATIENCE, given_back).await.expect("they are given back");
        assert_eq!(sink.count(), 1 + 8);
        sink.release();
        delivered(&mut notices, 10).await;
        assert_eq!(sink.count(), 11, "each once");
    }
}
