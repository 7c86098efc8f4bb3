//! What teams are told of their sources: that one fell silent or fails unusually, and that it is over; each once.

use std::sync::Arc;
use std::time::Duration;

use callboard::flow::watchman::{Parts, Watchman};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{Db, TestApp, both, evolink};
use crate::sink::Sink;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The service, its watchmen, and whom they tell.
struct Post {
    app: TestApp,
    watchmen: Vec<Watchman>,
    ears: Sink,
    /// Of another team, which wants it too.
    others: Sink,
    /// Of a third team, which did not ask.
    deaf: Sink,
}

fn watchman(app: &TestApp) -> Watchman {
    Watchman::new(Parts {
        store: app.services.store.clone(),
        roster: Arc::clone(&app.services.roster),
        clock: Arc::clone(&app.services.clock),
        notices: app.notices.clone(),
        wake: Arc::clone(&app.services.wake),
        life: app.life.clone(),
    })
}

fn destination(name: &str, team: &str, sink: &Sink, events: &str) -> String {
    format!(
        "[destinations.{name}]\nteam = \"{team}\"\nchannel = \"webhook\"\nurl = \"{}\"\n\
         [[subscriptions]]\ndestination = \"{name}\"\nevents = [{events}]\n",
        sink.url()
    )
}

impl Post {
    async fn new(db: Db) -> Self {
        let (ears, others, deaf) = (Sink::start().await, Sink::start().await, Sink::start().await);
        let config = destination("ears", "ops", &ears, "\"source.silent\"")
            + &destination("others", "ads", &others, "\"source.silent\", \"delivery.dead\"")
            + &destination("deaf", "web", &deaf, "\"delivery.dead\", \"destination.disabled\"");
        let app = TestApp::new(db, &config).await;
        let watchmen = vec![watchman(&app)];
        Self { app, watchmen, ears, others, deaf }
    }

    /// Posts so many callbacks of this status.
    async fn call(&self, about: &str, status: &str, many: usize) {
        for n in 0..many {
            self.app.evolink(&format!("{about}{n}"), status).await.expect(200);
        }
    }

    /// One callback an hour, for so long.
    async fn call_hourly(&self, hours: usize) {
        for hour in 0..hours {
            self.call(&format!("hour{hour}-"), "completed", 1).await;
            self.app.advance(HOUR);
        }
    }

    /// All look at the same time; gives how many events that made.
    async fn tick(&mut self) -> usize {
        let looks = join_all(self.watchmen.iter_mut().map(Watchman::tick)).await;
        looks.into_iter().map(Result::unwrap).sum()
    }

    /// Lets time pass, and has the watchmen look every ten minutes; gives how many events that made.
    async fn pass(&mut self, time: Duration) -> usize {
        let mut made = 0;
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(10 * MINUTE);
            left -= step;
            self.app.advance(step);
            made += self.tick().await;
        }
        self.app.tick_all().await;
        made
    }

    fn heard(&self) -> Vec<Value> {
        let events = self.ears.requests().into_iter().map(|request| request.json());
        events
            .map(|event| {
                assert_eq!(event["type"], "source.silent");
                event["data"].clone()
            })
            .collect()
    }

    async fn source(&self) -> Value {
        self.app.get("/api/v1/sources/evolink").await.expect(200).body
    }
}

both! {
    async fn a_source_that_falls_silent_is_told_once_and_heard_again_once(db: Db) {
        let mut post = Post::new(db).await;
        post.call_hourly(72).await;
        // Two processes on the same database.
        post.watchmen = vec![watchman(&post.app), watchman(&post.app)];
        assert_eq!(post.pass(10 * HOUR).await, 0, "it waited an hour before");
        assert_eq!(post.pass(10 * MINUTE).await, 2, "one for each team that asked");
        let heard = post.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!((&heard[0]["team"], &heard[0]["source"], &heard[0]["count"]), (&json!("ops"), &json!("evolink"), &json!(0)));
        assert_eq!(heard[0]["since"], "2026-04-03T23:00:00Z");
        assert_eq!(heard[0]["reason"], "no callback since 2026-04-03T23:00:00Z: the longest wait of the days before was 60 min");
        assert_eq!((post.others.count(), post.deaf.count()), (1, 0));
        assert_eq!(post.others.requests()[0].json()["data"]["team"], "ads");
        let shown = post.source().await;
        assert_eq!((&shown["trouble"], &shown["trouble_since"]), (&json!("silent"), &heard[0]["since"]));
        assert_eq!(shown["trouble_reason"], heard[0]["reason"]);
        assert_eq!(post.pass(24 * HOUR).await, 0);

        post.call("again", "completed", 3).await;
        assert_eq!(post.tick().await, 2);
        post.app.tick_all().await;
        let heard = post.heard();
        assert_eq!((heard.len(), post.others.count(), post.deaf.count()), (2, 2, 0));
        assert_eq!((&heard[1]["reason"], &heard[1]["count"]), (&json!("heard again"), &json!(0)));
        assert_eq!(heard[1]["since"], heard[0]["since"]);
        assert_eq!(post.source().await["trouble"], Value::Null);
        assert_eq!(post.pass(50 * MINUTE).await, 0);
    }

    async fn what_came_while_nobody_listened_is_no_silence(db: Db) {
        let mut post = Post::new(db).await;
        post.call_hourly(72).await;
        // The process slept, or was not there.
        post.app.advance(48 * HOUR);
        post.watchmen.push(watchman(&post.app));
        assert_eq!(post.tick().await, 0);
        assert_eq!(post.pass(9 * HOUR).await, 0);
        assert_eq!(post.pass(2 * HOUR).await, 2, "it has listened for long enough since");
    }

    async fn tasks_that_should_have_called_show_a_silence_sooner(db: Db) {
        let mut post = Post::new(db).await;
        post.call("t", "completed", 25).await;
        for n in 0..5 {
            post.app.advance(MINUTE);
            let task = json!({"source": "evolink", "task_id": format!("awaited{n}")});
            post.app.post_api("/api/v1/tasks", task).await.expect(201);
        }
        assert_eq!(post.pass(110 * MINUTE).await, 0);
        assert_eq!(post.pass(20 * MINUTE).await, 2);
        let heard = post.heard();
        assert_eq!((heard.len(), &heard[0]["count"]), (1, &json!(5)));
        let reason = heard[0]["reason"].as_str().unwrap();
        assert!(reason.ends_with("5 tasks are known since then, and none of them called back"), "{reason}");
    }

    async fn a_source_whose_tasks_fail_unusually_is_told_once_and_when_they_end_well_again(db: Db) {
        let mut post = Post::new(db).await;
        post.call("usual", "completed", 60).await;
        assert_eq!(post.pass(2 * HOUR).await, 0);
        post.call("bad", "failed", 25).await;
        assert_eq!(post.pass(MINUTE).await, 2);
        let heard = post.heard();
        assert_eq!((heard.len(), &heard[0]["count"]), (1, &json!(25)));
        let reason = heard[0]["reason"].as_str().unwrap();
        assert!(reason.starts_with("25 of 25 tasks that ended since") && reason.ends_with("failed; usual are 0 %"), "{reason}");
        assert_eq!(post.source().await["trouble"], "failing");
        post.call("worse", "failed", 25).await;
        assert_eq!(post.pass(10 * MINUTE).await, 0);
        post.call("good", "completed", 100).await;
        assert_eq!(post.pass(MINUTE).await, 2);
        assert_eq!(post.heard()[1]["reason"], "heard again: its tasks end well again");
        // What goes to and fro is not told each time.
        post.call("bad-again", "failed", 200).await;
        assert_eq!(post.pass(50 * MINUTE).await, 0);
        assert_eq!((post.heard().len(), post.deaf.count()), (2, 0));
    }

    async fn a_source_whose_callbacks_are_not_understood_any_more_is_told_once(db: Db) {
        let mut post = Post::new(db).await;
        post.call("usual", "completed", 60).await;
        assert_eq!(post.pass(2 * HOUR).await, 0);
        for n in 0..30 {
            let posted = post.app.post("evolink", "", evolink(&format!("new{n}"), "brand_new_word"), &[]).await.expect(200);
            assert_eq!(posted.text("outcome"), "quarantined");
        }
        assert_eq!(post.pass(MINUTE).await, 2);
        assert_eq!((post.source().await["trouble"].clone(), post.heard()[0]["count"].clone()), (json!("unreadable"), json!(30)));
        assert_eq!(post.pass(30 * MINUTE).await, 0);
        post.call("good", "completed", 100).await;
        assert_eq!(post.pass(MINUTE).await, 2);
        assert_eq!(post.heard()[1]["reason"], "heard again: its callbacks are understood again");
    }

    async fn a_refused_key_is_told_and_kept_where_nobody_asked(db: Db) {
        let app = TestApp::new(db, "").await;
        let mut watchman = watchman(&app);
        assert_eq!(watchman.tick().await.unwrap(), 0);
        let mut tx = app.services.store.write().await.unwrap();
        tx.note_refused("evolink", "answered 401", app.now()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(watchman.tick().await.unwrap(), 0, "it may be for a moment");
        app.advance(5 * MINUTE);
        assert_eq!((watchman.tick().await.unwrap(), watchman.tick().await.unwrap()), (1, 0));
        let events = app.get("/api/v1/events?type=source.silent").await.expect(200);
        let data = &events.items()[0]["data"];
        assert_eq!((&data["team"], &data["source"]), (&Value::Null, &json!("evolink")));
        assert_eq!(data["reason"], "the provider does not answer our key: answered 401");
        let mut tx = app.services.store.write().await.unwrap();
        tx.note_found("evolink", "a key", app.now()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((watchman.tick().await.unwrap(), watchman.tick().await.unwrap()), (1, 0));
        let events = app.get("/api/v1/events?type=source.silent").await.expect(200);
        assert_eq!(events.items()[0]["data"]["reason"], "heard again: its key is taken again");
        assert_eq!(app.database.number("SELECT count(*) FROM deliveries").await, 0);
    }
}
