//! Discovering: tasks of which nobody told us are found in the provider's own list.

use std::time::Duration;

use callboard::demo::{Calls, Down, End, Faults, Plan};

use super::app::{Db, both};
use super::scene::{Scene, assert_pace, plan};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(200);
const DISCOVER: &str = "poll = { after = \"5m\", every = \"1m\", discover = true }";

fn short() -> Plan {
    plan(End::Completed, Calls::Never, 20)
}

fn pages(scene: &Scene) -> Vec<String> {
    let asks = scene.asks("evolink").into_iter();
    asks.filter(|ask| ask.path.starts_with("/v1/tasks?")).map(|ask| ask.path).collect()
}

both! {
    async fn a_task_of_which_nobody_told_us_is_found_and_told(db: Db) {
        let mut scene = Scene::new(db, DISCOVER).await;
        let before = scene.submit("evolink", short(), false).await;
        scene.app.advance(MINUTE);
        // From this look on the source is there.
        scene.pass(SECOND, SECOND).await;
        let mut tasks = Vec::new();
        for _ in 0..120 {
            tasks.push(scene.submit("evolink", short(), false).await);
        }
        scene.pass(MINUTE * 2, STEP).await;
        for task in [&tasks[0], &tasks[60], &tasks[119]] {
            let events = scene.events(task).await;
            assert_eq!(events.len(), 1, "{task}");
            assert_eq!(events[0]["type"], "task.completed");
            assert_eq!(events[0]["data"]["confirmed"], true);
        }
        let unknown = scene.app.get(&format!("/api/v1/tasks/evolink/{before}")).await;
        assert_eq!(unknown.status, 404, "it is older than the source");
        assert_pace(&scene.asks("evolink"), 5);
        // All pages while there is much new, and then the first one again, once an interval.
        let read = pages(&scene);
        let page = |number: u32| read.iter().filter(|path| path.contains(&format!("page={number}&"))).count();
        assert!((1..=3).contains(&page(3)) && page(4) == 0, "{read:?}");
        scene.pass(MINUTE * 10, 5 * SECOND).await;
        let seen = pages(&scene).len();
        scene.pass(MINUTE * 10, 5 * SECOND).await;
        let later = pages(&scene).split_off(seen);
        assert!((8..=10).contains(&later.len()), "{later:?}");
        assert!(later.iter().all(|path| path.contains("page=1&")), "{later:?}");
    }

    async fn a_list_that_cannot_be_read_is_read_when_it_can(db: Db) {
        let mut scene = Scene::new(db, DISCOVER).await;
        scene.pass(SECOND, SECOND).await;
        scene.set_faults("evolink", Faults { down: Some(Down::Unavailable), ..Faults::default() });
        scene.pass(MINUTE * 10, 10 * SECOND).await;
        scene.set_faults("evolink", Faults::default());
        let task = scene.submit("evolink", short(), false).await;
        scene.pass(MINUTE * 3, SECOND).await;
        assert_eq!(scene.told(&task).await, ["task.completed"]);
    }

    async fn how_far_the_list_is_read_survives_a_restart(db: Db) {
        let mut scene = Scene::new(db, DISCOVER).await;
        scene.pass(SECOND, SECOND).await;
        let first = scene.submit("evolink", short(), false).await;
        scene.pass(MINUTE * 20, 10 * SECOND).await;
        scene.submit("evolink", short(), false).await;
        scene.pass(MINUTE * 10, 10 * SECOND).await;
        let seen = pages(&scene).len();
        scene.restart(|config| config).await;
        let second = scene.submit("evolink", short(), false).await;
        scene.pass(MINUTE * 7, SECOND).await;
        assert_eq!((scene.told(&first).await.len(), scene.told(&second).await.len()), (1, 1));
        assert!(pages(&scene)[seen..].iter().all(|path| path.contains("page=1&")));
    }

    async fn the_list_is_read_however_much_else_is_to_be_asked(db: Db) {
        let mut scene = Scene::new(db, "poll = { after = \"1s\", every = \"1s\", pace = \"1/s\", discover = true }").await;
        scene.pass(SECOND, SECOND).await;
        // More than one request a second can tell.
        for n in 0..150 {
            scene.register("evolink", &format!("task-nobody-has-{n}")).await.expect(201);
        }
        let hidden = scene.submit("evolink", short(), false).await;
        scene.pass(MINUTE, SECOND).await;
        assert_eq!(scene.told(&hidden).await.last().map(String::as_str), Some("task.completed"));
        assert_pace(&scene.asks("evolink"), 1);
    }
}
