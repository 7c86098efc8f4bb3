//! Retention in any history: whatever is removed at whatever moment, no promise breaks.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::retention::{DEFAULT, days, round, task};
use super::sink::Sink;
use super::stats::roll_all;
use crate::app::{Db, TestApp, both, webhook};

/// What happens in a history.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A signed callback of this task: it has ended, or is being worked on.
    Post(usize, bool),
    /// So many days go by.
    Days(u64),
    /// What is due is delivered.
    Deliver,
    /// What happened is counted.
    Roll,
    /// What is old is removed.
    Round,
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let post = (0usize..6, prop::bool::weighted(0.6)).prop_map(|(task, ends)| Step::Post(task, ends));
    let step = prop_oneof![
        6 => post,
        3 => prop::sample::select(vec![1u64, 31, 200, 366]).prop_map(Step::Days),
        1 => Just(Step::Deliver),
        2 => Just(Step::Roll),
        3 => Just(Step::Round),
    ];
    prop::collection::vec(step, 5..40)
}

/// Plays a history; in it every answer is held to what was answered before, and at its end to what must have been told.
async fn play(db: Db, history: &[Step]) {
    let sink = Sink::start().await;
    let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
    let mut ends: [Option<String>; 6] = Default::default();
    let mut begun: [BTreeSet<&str>; 6] = Default::default();
    for step in history {
        match *step {
            Step::Post(n, is_end) => {
                let word = if is_end { "succeeded" } else { "processing" };
                let posted = app.signed(&format!("t{n}"), word).await.expect(200);
                let event_id = posted.body["event_id"].as_str().map(str::to_owned);
                match (&ends[n], is_end) {
                    (Some(end), true) => {
                        assert_eq!((posted.text("outcome"), event_id.as_ref()), ("duplicate", Some(end)))
                    }
                    (Some(_), false) => assert_eq!((posted.text("outcome"), event_id), ("stale", None)),
                    (None, true) => {
                        assert_eq!(posted.text("outcome"), "accepted");
                        ends[n] = event_id;
                    }
                    (None, false) => drop(begun[n].insert(if begun[n].is_empty() { "accepted" } else { "duplicate" })),
                }
            }
            Step::Days(many) => app.advance(days(many)),
            Step::Deliver => drop(app.tick_all().await),
            Step::Roll => drop(roll_all(&app).await),
            Step::Round => drop(round(&app, DEFAULT).await),
        }
    }
    for (n, callbacks) in begun.iter().enumerate().filter(|(n, callbacks)| ends[*n].is_none() && !callbacks.is_empty())
    {
        let shown = task(&app, "replicate", &format!("t{n}")).await;
        let kept = shown["timeline"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "callback").count();
        assert_eq!(
            (kept, &shown["pruned_at"]),
            (callbacks.len(), &json!(null)),
            "of a task that is not over all is kept: {history:?}"
        );
    }
    let over: Vec<String> = ends.into_iter().flatten().collect();
    settle(&mut app, &sink, over, history).await;
}

/// At last all is told, counted and removed, and each end was told and counted once.
async fn settle(app: &mut TestApp, sink: &Sink, mut wanted: Vec<String>, history: &[Step]) {
    app.tick_all().await;
    let mut told: Vec<String> =
        sink.requests().iter().map(|request| request.json()["id"].as_str().unwrap().to_owned()).collect();
    told.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(told, wanted, "each end is told once, whatever was removed: {history:?}");
    roll_all(app).await;
    app.advance(days(366));
    round(app, DEFAULT).await;
    let over = wanted.len() as i64;
    assert_eq!(app.database.number("SELECT count(*) FROM tasks WHERE pruned_at IS NOT NULL").await, over);
    assert_eq!(app.database.number("SELECT count(*) FROM events WHERE step = 'terminal'").await, 0);
    let counted = app.get("/api/v1/stats?since=2026-03-01T00:00:00Z&source=replicate").await.expect(200);
    let completed: i64 = counted.items().iter().map(|row| row["tasks"]["completed"].as_i64().unwrap()).sum();
    assert_eq!(completed, over, "each end is counted once, whatever was removed: {history:?}");
}

both! {
    async fn whatever_is_removed_no_promise_breaks(db: Db) {
        let mut runner = TestRunner::new(Config { cases: 12, ..Config::default() });
        for _ in 0..12 {
            let history = history().new_tree(&mut runner).unwrap().current();
            play(db, &history).await;
        }
    }
}
