//! Outages and floods: who is down, who is dead and who lies delays nobody else, and nobody is asked more
//! often than its pace allows.

use std::time::Duration;

use callboard::demo::{Calls, Down, End, Faults};
use callboard::domain::clock::Timestamp;
use serde_json::{Value, json};

use super::app::{Db, both};
use super::scene::{Scene, assert_pace, plan};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const STEP: Duration = Duration::from_millis(200);

/// When the end of each of these tasks was told.
async fn told_at(scene: &Scene, tasks: &[String]) -> Vec<Timestamp> {
    let mut all = Vec::new();
    for task in tasks {
        let events = scene.events(task).await;
        let ends: Vec<&Value> = events.iter().filter(|event| event["type"] == "task.completed").collect();
        assert_eq!(ends.len(), 1, "{task}: {events:?}");
        assert_eq!(ends[0]["data"]["confirmed"], json!(true));
        all.push(Timestamp::parse(ends[0]["timestamp"].as_str().unwrap()).unwrap());
    }
    all
}

/// Two sources with so many tasks each, all callbacks lost, one of them down for so long.
async fn outage(db: Db, many: usize, lasts: Duration) {
    let mut scene = Scene::new(db, "poll = { after = \"5m\", every = \"1m\" }").await;
    for source in ["evolink", "aivideoapi"] {
        scene.set_faults(source, Faults { callbacks_cut: true, ..Faults::default() });
    }
    let lost = scene.submit_many("aivideoapi", &plan(End::Completed, Calls::Normal, 200), many).await;
    let waiting = scene.submit_many("evolink", &plan(End::Completed, Calls::Normal, 200), many).await;
    let begun = scene.app.now();
    let down = Faults { down: Some(Down::Unavailable), callbacks_cut: true, ..Faults::default() };
    scene.set_faults("evolink", down);
    // aivideoapi is asked twice a second, one task at a time.
    scene.pass(MINUTE * 5, 5 * SECOND).await;
    let at_its_pace = Duration::from_millis(500) * u32::try_from(many).unwrap();
    scene.pass(at_its_pace + MINUTE, STEP / 2).await;
    for at in told_at(&scene, &lost).await {
        let took = at.since(begun);
        assert!(took <= MINUTE * 5 + at_its_pace + 2 * SECOND, "another's outage delayed it: {took:?}");
    }
    scene.pass(lasts - MINUTE * 6 - at_its_pace, 5 * SECOND).await;
    let asks = scene.asks("evolink");
    let hours = lasts.as_secs_f64() / 3600.0;
    assert!((asks.len() as f64) < 70.0 * hours, "a provider that is down is asked once a minute: {}", asks.len());
    let last = asks.last().unwrap().at;
    assert!(scene.app.now().since(last) <= MINUTE + 5 * SECOND, "and no less often");

    scene.set_faults("evolink", Faults { callbacks_cut: true, ..Faults::default() });
    let up = scene.app.now();
    scene.pass(MINUTE * 2 + 10 * SECOND, STEP).await;
    // Within one interval of what the pace allows: fifty tasks a request, five requests a second.
    let at_its_pace = STEP * u32::try_from(many.div_ceil(50)).unwrap();
    for at in told_at(&scene, &waiting).await {
        assert!(at.since(up) <= MINUTE + at_its_pace + SECOND, "{:?} after it was up", at.since(up));
    }
    assert_pace(&scene.asks("evolink"), 5);
    assert_pace(&scene.asks("aivideoapi"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_three_hours_of_outage_every_end_is_told_within_an_interval() {
    Box::pin(outage(Db::Sqlite, 100, 3 * HOUR)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_every_end_is_told_within_an_interval_on_postgresql() {
    Box::pin(outage(Db::Postgres, 20, HOUR / 2)).await;
}

both! {
    async fn a_hundred_dead_tasks_starve_no_newer_one(db: Db) {
        let mut scene = Scene::new(db, "poll = { after = \"1m\", every = \"1m\", pace = \"5/s\" }").await;
        for n in 0..100 {
            scene.register("kling3api", &format!("dead-{n}")).await.expect(201);
        }
        scene.pass(MINUTE * 5, STEP * 5).await;
        let begun = scene.app.now();
        let task = scene.submit_many("kling3api", &plan(End::Completed, Calls::Never, 30), 1).await;
        scene.pass(MINUTE * 2, STEP).await;
        // Its first question, behind at most one for each of the others.
        let took = told_at(&scene, &task).await[0].since(begun);
        assert!(took <= MINUTE + 21 * SECOND, "{took:?}");
        assert_pace(&scene.asks("kling3api"), 5);
        // Nor does it starve them.
        for n in [0, 57, 99] {
            assert!(scene.polls("kling3api", &format!("dead-{n}")).await["not_found"] >= 4);
        }
    }

    async fn made_up_tasks_take_a_fifth_of_the_pace_at_most(db: Db) {
        let mut scene = Scene::new(db, "poll = { after = \"1m\", every = \"30s\", pace = \"5/s\" }").await;
        let known = scene.submit("aivideoapi", plan(End::Completed, Calls::Normal, 10), true).await;
        scene.pass(12 * SECOND, SECOND).await;
        assert_eq!(scene.told(&known).await, ["task.completed"]);
        let tasks = scene.submit_many("aivideoapi", &plan(End::Completed, Calls::Never, 30), 60).await;
        for n in 0..300 {
            let made_up = json!({"id": format!("made-up-{n}"), "status": "completed"});
            scene.call("aivideoapi", "", made_up).await.expect(200);
        }
        let (begun, before) = (scene.app.now(), scene.asks("aivideoapi").len());
        scene.pass(MINUTE + 16 * SECOND, STEP).await;
        let asks = scene.asks("aivideoapi").split_off(before);
        assert_pace(&asks, 5);
        let strangers: Vec<_> = asks.into_iter().filter(|ask| ask.path.contains("made-up")).collect();
        assert!((70..=77).contains(&strangers.len()), "one a second: {}", strangers.len());
        assert_pace(&strangers, 1);
        for at in told_at(&scene, &tasks).await {
            // Sixty of them at four a second.
            assert!(at.since(begun) <= MINUTE + 16 * SECOND);
        }
    }

    async fn made_up_tasks_take_no_more_where_many_are_asked_for_one_by_one(db: Db) {
        let mut scene = Scene::new(db, "poll = { after = \"1m\", every = \"30s\" }").await;
        scene.submit("evolink", plan(End::Completed, Calls::Normal, 10), true).await;
        scene.pass(12 * SECOND, SECOND).await;
        let batch = Some(callboard::demo::BatchFault::NotFound);
        scene.set_faults("evolink", Faults { batch, ..Faults::default() });
        for n in 0..120 {
            scene.call("evolink", "", json!({"id": format!("made-up-{n}"), "status": "completed"})).await.expect(200);
        }
        let before = scene.asks("evolink").len();
        scene.pass(MINUTE, STEP).await;
        let asks = scene.asks("evolink").split_off(before);
        assert!((55..=61).contains(&asks.len()), "{}", asks.len());
        assert_pace(&asks, 1);
    }

    async fn what_a_killed_process_was_asking_is_asked_at_once_by_the_next(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("aivideoapi", plan(End::Completed, Calls::Normal, 10), true).await;
        scene.app.advance(11 * SECOND);
        scene.simulator.tick().await;
        // It has the question in hand, and is gone.
        let mut tx = scene.app.services.store.write().await.unwrap();
        let (now, until) = (scene.app.now(), scene.app.now().after(45 * SECOND));
        let owner = scene.app.owner();
        let claimed = tx.claim_questions("aivideoapi", false, 9, now, (&owner, until)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!(scene.ask_all().await, 0);
        // Started again at the same address, as on SQLite there is no other.
        scene.app.poller.take_over().await.unwrap();
        scene.pass(SECOND, SECOND).await;
        assert_eq!(scene.told(&task).await, ["task.completed"]);
    }

    async fn a_restart_forgets_no_claim_and_no_denial(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let task = scene.submit("evolink", plan(End::failed("service_error", "no"), Calls::Never, 1000), true).await;
        scene.register("evolink", &task).await.expect(201);
        let forged = json!({"id": task, "status": "completed"});
        let posted = scene.call("evolink", "", forged.clone()).await.expect(200);
        scene.pass(MINUTE * 4, 5 * SECOND).await;
        scene.restart(|config| config).await;
        let again = scene.call("evolink", "", forged.clone()).await.expect(200);
        assert_eq!(again.text("outcome"), "duplicate");
        scene.pass(MINUTE + 20 * SECOND, 5 * SECOND).await;
        assert_eq!(scene.callback(&posted).await["outcome"], "disputed");
        scene.restart(|config| config).await;
        assert_eq!(scene.call("evolink", "", forged).await.expect(200).text("outcome"), "disputed");
        scene.pass(MINUTE * 15, 10 * SECOND).await;
        assert_eq!(scene.told(&task).await, ["task.processing", "task.failed"]);
    }

    async fn a_source_that_gets_its_key_later_asks_for_what_it_knows(db: Db) {
        let mut scene = Scene::new(db, "").await;
        let key = format!("api_key = \"{}\"\n", scene.provider("kling3api").api_key.expose());
        scene.restart(|config| config.replace(&key, "")).await;
        let plan = plan(End::Completed, Calls::Never, 30);
        let tasks = scene.submit_many("kling3api", &plan, 2).await;
        scene.pass(HOUR * 25, HOUR).await;
        assert_eq!((scene.told(&tasks[0]).await, scene.asks("kling3api").len()), (vec!["task.overdue".to_owned()], 0));
        let newer = scene.submit_many("kling3api", &plan, 1).await;
        scene.restart(|config| config).await;
        scene.pass(MINUTE * 2, SECOND).await;
        told_at(&scene, &tasks).await;
        told_at(&scene, &newer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_share_the_questions_and_what_is_known_of_the_key() {
    let mut scene = Scene::new(Db::Postgres, "poll = { after = \"1m\", every = \"1m\" }").await;
    let mut other = scene.another(|config| config).await;
    let tasks = scene.submit_many("aivideoapi", &plan(End::Completed, Calls::Never, 30), 10).await;
    scene.app.advance(MINUTE);
    for _ in 0..20 {
        scene.app.advance(500 * Duration::from_millis(1));
        let (first, second) = tokio::join!(scene.app.poller.tick(), other.poller.tick());
        first.unwrap();
        second.unwrap();
    }
    told_at(&scene, &tasks).await;
    assert_eq!(scene.asks("aivideoapi").len(), 10, "each is asked for by one of them");
    // One of them may not have asked yet at all, and knows all the same that the key works.
    scene.app.advance(10 * SECOND);
    scene.call("aivideoapi", "", json!({"id": "made-up", "status": "completed"})).await.expect(200);
    other.poller.tick().await.unwrap();
    assert!(scene.told("made-up").await.is_empty());
    assert_eq!(scene.polls("aivideoapi", "made-up").await["not_found"], 1);
}
