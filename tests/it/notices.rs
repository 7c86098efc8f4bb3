//! The service's own events: what teams are told of their destinations and sources, once for each change of state.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{Db, TestApp, both};
use crate::sink::{Reply, Sink};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// One try, and then it is dead.
const ONE_TRY: &str = "[delivery]\nretry = [\"1ms\"]\n";

/// The types that the service tells of itself.
const OF_SERVICE: &str = "\"destination.disabled\", \"destination.recovered\", \"delivery.dead\", \"source.silent\"";

/// A webhook destination of a team that wants these events, a list without its brackets.
fn webhook(name: &str, team: &str, url: &str, events: &str) -> String {
    format!(
        "[destinations.{name}]\nteam = \"{team}\"\nchannel = \"webhook\"\nurl = \"{url}\"\nrate = \"100000/s\"\n\
         [[subscriptions]]\ndestination = \"{name}\"\nevents = [{events}]\n"
    )
}

fn tasks(name: &str, url: &str) -> String {
    webhook(name, "ops", url, "\"task.completed\"")
}

fn watcher(name: &str, team: &str, url: &str) -> String {
    webhook(name, team, url, OF_SERVICE)
}

/// What a sink was told of the service, as (type, data).
fn told(sink: &Sink) -> Vec<(String, Value)> {
    let events = sink.requests().into_iter().map(|request| request.json());
    let events = events.map(|event| (event["type"].as_str().unwrap().to_owned(), event["data"].clone()));
    events.filter(|(kind, _)| !kind.starts_with("task.")).collect()
}

fn kinds(sink: &Sink) -> Vec<String> {
    told(sink).into_iter().map(|(kind, _)| kind).collect()
}

/// The kept events of the service's own, oldest first, as (type, data).
async fn kept(app: &TestApp) -> Vec<(String, Value)> {
    let list = app.get("/api/v1/events?limit=250").await.expect(200);
    let events = list.items().iter().rev();
    let events = events.map(|event| (event["type"].as_str().unwrap().to_owned(), event["data"].clone()));
    events.filter(|(kind, _)| !kind.starts_with("task.")).collect()
}

/// Posts the end of so many tasks, and tells what comes of it until nothing more is due for a while.
async fn end_tasks(app: &mut TestApp, name: &str, many: usize) {
    let ids: Vec<String> = (0..many).map(|n| format!("{name}{n}")).collect();
    for some in ids.chunks(100) {
        for posted in join_all(some.iter().map(|id| app.evolink(id, "completed"))).await {
            posted.expect(200);
        }
    }
    for _ in 0..4 {
        app.tick_all().await;
        app.advance(SECOND);
    }
}

both! {
    async fn a_thousand_dead_deliveries_are_told_once_and_so_is_the_recovery(db: Db) {
        let (broken, ears) = (Sink::scripted(|_| Reply::status(500)).await, Sink::start().await);
        let config = tasks("broken", &broken.url()) + &watcher("ears", "ops", &ears.url()) + ONE_TRY;
        let mut app = TestApp::new(db, &config).await;
        end_tasks(&mut app, "t", 1000).await;
        let dead = "SELECT count(*) FROM deliveries WHERE status = 'dead'";
        // The one that only fails is disabled after days, not at once.
        assert_eq!(app.database.number(dead).await, 1000);
        let heard = told(&ears);
        assert_eq!(heard.len(), 1, "{heard:?}");
        let (kind, data) = &heard[0];
        assert_eq!((kind.as_str(), &data["destination"], &data["team"]), ("delivery.dead", &json!("broken"), &json!("ops")));
        assert_eq!((&data["reason"], &data["since"]), (&json!("answered 500"), &json!("2026-04-01T00:00:00Z")));
        assert!(data["count"].as_i64().unwrap() >= 1 && data.get("source").is_none(), "{data}");
        let shown = app.get("/api/v1/destinations/broken").await.expect(200);
        assert_eq!(shown.body["dead_count"], 1000);
        assert!(shown.body["trouble_since"].is_string(), "{}", shown.body);

        broken.answer(|_| Reply::status(200));
        end_tasks(&mut app, "u", 20).await;
        let heard = told(&ears);
        assert_eq!(kinds(&ears), ["delivery.dead", "destination.recovered"]);
        assert_eq!((&heard[1].1["count"], &heard[1].1["since"]), (&json!(1000), &shown.body["trouble_since"]));
        let shown = app.get("/api/v1/destinations/broken").await.expect(200);
        assert_eq!((&shown.body["dead_count"], &shown.body["trouble_since"]), (&json!(0), &json!(null)));
        assert_eq!(kept(&app).await, heard);
        assert!(told(&broken).is_empty());
    }

    async fn a_destination_is_told_disabled_once_and_recovered_when_it_takes_something(db: Db) {
        let (gone, ears, others) = (Sink::scripted(|_| Reply::status(410)).await, Sink::start().await, Sink::start().await);
        // It asks for them itself, and is not told of itself.
        let of_gone = webhook("gone", "ops", &gone.url(), &format!("\"task.completed\", {OF_SERVICE}"));
        let config = of_gone + &watcher("ears", "ops", &ears.url()) + &watcher("others", "ads", &others.url());
        let mut app = TestApp::new(db, &config).await;
        end_tasks(&mut app, "a", 30).await;
        let heard = told(&ears);
        assert_eq!(kinds(&ears), ["destination.disabled"]);
        assert_eq!((&heard[0].1["destination"], &heard[0].1["reason"]), (&json!("gone"), &json!("answered 410")));
        end_tasks(&mut app, "b", 5).await;
        app.advance(24 * HOUR);
        app.tick_all().await;
        assert_eq!(ears.count(), 1);

        gone.answer(|_| Reply::status(200));
        app.post_api("/api/v1/destinations/gone/enable", json!({"held": "send"})).await.expect(200);
        assert_eq!(kinds(&ears), ["destination.disabled"], "not before it took something");
        end_tasks(&mut app, "c", 5).await;
        assert_eq!(kinds(&ears), ["destination.disabled", "destination.recovered"]);
        end_tasks(&mut app, "d", 5).await;
        assert_eq!((ears.count(), others.count()), (2, 0));
        assert!(told(&gone).is_empty(), "it is not told of itself");
        // What was dropped when it was enabled is no trouble.
        gone.answer(|_| Reply::status(410));
        end_tasks(&mut app, "e", 3).await;
        gone.answer(|_| Reply::status(200));
        app.post_api("/api/v1/destinations/gone/enable", json!({"held": "drop"})).await.expect(200);
        end_tasks(&mut app, "f", 1).await;
        let heard = told(&ears);
        assert_eq!(kinds(&ears)[2..], ["destination.disabled", "destination.recovered"]);
        assert_eq!(heard[3].1["count"], 0);
    }

    async fn what_failed_for_too_long_is_told_with_its_beginning_and_its_failures(db: Db) {
        let (broken, ears) = (Sink::scripted(|_| Reply::status(503)).await, Sink::start().await);
        let delivery = "[delivery]\ndisable_after = \"1h\"\nretry = [\"2h\", \"2h\", \"2h\", \"2h\", \"2h\", \"2h\"]\n";
        let config = tasks("broken", &broken.url()) + &watcher("ears", "ops", &ears.url()) + delivery;
        let mut app = TestApp::new(db, &config).await;
        app.evolink("t", "completed").await.expect(200);
        for _ in 0..5 {
            app.tick_all().await;
            app.advance(3 * HOUR);
        }
        app.tick_all().await;
        let heard = told(&ears);
        assert_eq!(kinds(&ears), ["destination.disabled"]);
        assert_eq!(heard[0].1["reason"], "only failures since 2026-04-01T00:00:00Z");
        assert_eq!((&heard[0].1["count"], &heard[0].1["since"]), (&json!(5), &json!("2026-04-01T00:00:00Z")));
    }

    async fn where_nobody_subscribed_nobody_is_told_and_the_event_is_kept(db: Db) {
        let (gone, by_default) = (Sink::scripted(|_| Reply::status(410)).await, Sink::start().await);
        let defaults = "[[subscriptions]]\ndestination = \"backend\"\n";
        let backend = webhook("backend", "ops", &by_default.url(), "\"task.failed\"");
        let config = tasks("gone", &gone.url()) + &backend + defaults;
        let mut app = TestApp::new(db, &config).await;
        end_tasks(&mut app, "t", 1).await;
        assert_eq!((told(&by_default).len(), by_default.count()), (0, 1));
        let events = kept(&app).await;
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].0.as_str(), &events[0].1["destination"]), ("destination.disabled", &json!("gone")));
        let listed = app.get("/api/v1/events?type=destination.disabled").await.expect(200);
        let id = listed.items()[0]["id"].as_str().unwrap();
        let shown = app.get(&format!("/api/v1/events/{id}")).await.expect(200);
        assert_eq!(shown.body["deliveries"], json!([]));
        // Told again, it finds those who subscribe now.
        app.post_api("/api/v1/subscriptions", json!({"destination": "backend", "events": ["destination.disabled"]})).await.expect(201);
        let replayed = app.post_api(&format!("/api/v1/events/{id}/replay"), json!({})).await.expect(202);
        assert_eq!(replayed.body["deliveries"].as_array().unwrap().len(), 1);
        app.tick_all().await;
        assert_eq!(kinds(&by_default), ["destination.disabled"]);
    }

    async fn what_tells_of_trouble_and_cannot_be_told_ends_there(db: Db) {
        let (one, two) = (Sink::scripted(|_| Reply::status(500)).await, Sink::scripted(|_| Reply::status(500)).await);
        let both = format!("\"task.completed\", {OF_SERVICE}");
        let config = webhook("one", "ops", &one.url(), &both) + &webhook("two", "ops", &two.url(), &both) + ONE_TRY;
        let mut app = TestApp::new(db, &config).await;
        end_tasks(&mut app, "t", 3).await;
        for _ in 0..10 {
            app.advance(HOUR);
            app.tick_all().await;
        }
        let mut events = kept(&app).await;
        events.sort_by_key(|(_, data)| data["destination"].to_string());
        let about: Vec<_> = events.iter().map(|(kind, data)| (kind.as_str(), data["destination"].as_str().unwrap())).collect();
        assert_eq!(about, [("delivery.dead", "one"), ("delivery.dead", "two")]);
    }

    async fn what_is_dropped_for_a_later_event_and_what_goes_to_a_url_is_nobodys_trouble(db: Db) {
        let (slow, ears, elsewhere) = (Sink::scripted(|_| Reply::status(500)).await, Sink::start().await, Sink::scripted(|_| Reply::status(410)).await);
        let config = webhook("slow", "ops", &slow.url(), "\"task.processing\", \"task.completed\"") + &watcher("ears", "ops", &ears.url());
        let mut app = TestApp::new(db, &config).await;
        app.evolink("t", "processing").await.expect(200);
        app.tick_all().await;
        slow.answer(|_| Reply::status(200));
        let posted = app.evolink("t", "completed").await.expect(200);
        app.advance(10 * SECOND);
        app.tick_all().await;
        let path = format!("/api/v1/events/{}/replay", posted.text("event_id"));
        app.post_api(&path, json!({"url": elsewhere.url()})).await.expect(202);
        app.tick_all().await;
        assert_eq!(app.database.number("SELECT count(*) FROM deliveries WHERE status = 'dead'").await, 2);
        assert_eq!((kept(&app).await, ears.count()), (Vec::new(), 0));
    }
}

/// Two processes on one database: whatever each sees, a change is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_dispatchers_on_one_database_tell_once() {
    let (gone, broken, ears) = (Sink::start().await, Sink::start().await, Sink::start().await);
    let config = tasks("gone", &gone.url())
        + &tasks("broken", &broken.url())
        + &watcher("ears", "ops", &ears.url())
        + "[delivery]\nretry = [\"1ms\"]\n";
    let mut app = TestApp::new(Db::Postgres, &config).await;
    let clock = Arc::clone(&app.clock);
    let another = TestApp::on(Arc::clone(&app.database), clock, &config).await;
    let mut other = another.another_dispatcher("another");
    for round in 0..3 {
        gone.answer(|_| Reply::status(410));
        broken.answer(|_| Reply::status(500));
        for n in 0..60 {
            app.evolink(&format!("bad{round}-{n}"), "completed").await.expect(200);
        }
        for _ in 0..8 {
            let (one, two) = tokio::join!(app.dispatcher.tick(), other.tick());
            one.unwrap();
            two.unwrap();
            app.advance(SECOND);
        }
        gone.answer(|_| Reply::status(200));
        broken.answer(|_| Reply::status(200));
        app.post_api("/api/v1/destinations/gone/enable", json!({"held": "send"})).await.expect(200);
        for n in 0..60 {
            app.evolink(&format!("good{round}-{n}"), "completed").await.expect(200);
        }
        for _ in 0..8 {
            let (one, two) = tokio::join!(app.dispatcher.tick(), other.tick());
            one.unwrap();
            two.unwrap();
            app.advance(SECOND);
        }
        app.advance(3 * HOUR);
        let mut about: Vec<_> = told(&ears)
            .into_iter()
            .map(|(kind, data)| format!("{} {kind}", data["destination"].as_str().unwrap()))
            .collect();
        about.sort();
        let expected = [
            "broken delivery.dead",
            "broken destination.recovered",
            "gone destination.disabled",
            "gone destination.recovered",
        ];
        let expected: Vec<_> = expected.into_iter().flat_map(|line| vec![line.to_owned(); round + 1]).collect();
        assert_eq!(about, expected, "round {round}");
    }
}
