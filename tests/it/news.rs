//! No news: what is heard of a task again is counted and moves the next question, and of the rest nothing is written.

use std::collections::HashMap;
use std::time::Duration;

use callboard::demo::{Calls, End};
use callboard::domain::follow::Followed;
use callboard::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Status, Trust, Via};
use callboard::domain::watch::Saving;
use callboard::flow::entry::{Answered, Entry, Reading};
use callboard::flow::fold::Fold;
use callboard::providers::api::Told;
use callboard::store::TaskId;
use serde_json::json;

use super::app::{Db, START, TestApp, both};
use super::scene::{Scene, plan};
use super::store::later;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn entry(app: &TestApp, reading: Reading) -> Entry {
    let (metadata, metadata_origin) = (Metadata::new(), MetadataOrigin::Absent);
    let (via, trust) = match &reading {
        Reading::Said(_) => (Via::Callback, Trust::Unsigned),
        _ => (Via::Poll, Trust::SignedBody),
    };
    let from = Provenance { via, trust, metadata, metadata_origin };
    Entry::new("evolink".into(), reading, from, START, None, app.services.roster.now())
}

fn answered(progress: Option<u8>) -> Reading {
    let seen = Observation { progress, ..Observation::new("t", Status::Processing) };
    let told = Told::Task(Box::new(seen));
    let (task_id, key_works, wait, jitter, body) = ("t".into(), true, Duration::ZERO, 0.0, None);
    Reading::Answered(Answered { task_id, told, key_works, wait, jitter, body })
}

/// What a reading has written of what is known: how many tasks, and what of their watches; and what is known then.
fn written(app: &TestApp, known: HashMap<TaskId, Followed>, reading: Reading, after: u64) -> Written {
    let mut fold = Fold::new(known, later(after));
    fold.take(&entry(app, reading));
    let (made, changed) = fold.changed_tasks();
    let watches = fold.watches().0.iter().map(|saved| saved.saving).collect();
    let (tasks, polls) = (made.len() + changed.len(), (fold.polls.len(), fold.polls_again.len()));
    Written { tasks, watches, polls, known: fold.into_known() }
}

struct Written {
    tasks: usize,
    watches: Vec<Saving>,
    polls: (usize, usize),
    known: HashMap<TaskId, Followed>,
}

impl Written {
    /// The tasks, the watches, and the answers that are new and that are counted.
    fn assert(self, tasks: usize, watches: &[Saving], polls: (usize, usize)) -> HashMap<TaskId, Followed> {
        assert_eq!((self.tasks, self.watches.as_slice(), self.polls), (tasks, watches, polls));
        self.known
    }
}

#[tokio::test]
async fn what_a_message_did_not_change_is_not_written() {
    let app = TestApp::new(Db::Sqlite, "").await;
    let said = || Reading::Said(vec![Observation::new("t", Status::Processing)]);
    let due = || Reading::Due { task_id: "t".into() };
    let known = written(&app, HashMap::new(), said(), 0).assert(1, &[Saving::All], (0, 0));
    // What says the same again, as a callback does that is posted twice.
    let known = written(&app, known, said(), 1).assert(0, &[], (0, 0));
    // The first answer has somebody stand for it.
    let known = written(&app, known, answered(None), 60).assert(0, &[Saving::All], (1, 0));
    let known = written(&app, known, answered(None), 120).assert(0, &[Saving::Question], (0, 1));
    let known = written(&app, known, answered(Some(40)), 180).assert(1, &[Saving::Question], (0, 1));
    // Whatever led to the look, it must not lead to the next one.
    written(&app, known, due(), 240).assert(0, &[Saving::All], (0, 0));
}

both! {
    async fn an_answer_without_news_is_counted_and_moves_the_next_question_alone(db: Db) {
        let mut scene = Scene::new(db, "poll = { after = \"1m\", every = \"1m\" }").await;
        let task = scene.submit("evolink", plan(End::Completed, Calls::Never, 36_000), false).await;
        let body = json!({"id": task, "status": "pending"});
        scene.call("evolink", "campaign=spring", body.clone()).await.expect(200);
        scene.pass(MINUTE, SECOND).await;
        assert_eq!(scene.polls("evolink", &task).await, [("pending".to_owned(), 1)].into());
        let database = std::sync::Arc::clone(&scene.app.database);
        // Whoever wrote them anew would undo this.
        database.execute("DELETE FROM task_metadata").await;
        database.execute("UPDATE watches SET look_at = look_at + 1").await;
        let state = async |column: &str, table: &str| database.number(&format!("SELECT {column} FROM {table}")).await;
        let before = (state("updated_at", "tasks").await, state("look_at", "watches").await);
        let ask_at = state("ask_at", "watches").await;

        scene.pass(3 * MINUTE, SECOND).await;
        assert_eq!(scene.call("evolink", "campaign=spring", body).await.text("outcome"), "duplicate");
        assert_eq!(scene.polls("evolink", &task).await, [("pending".to_owned(), 4)].into());
        assert_eq!((state("updated_at", "tasks").await, state("look_at", "watches").await), before);
        assert_eq!(state("count(*)", "task_metadata").await, 0);
        assert_eq!(state("ask_at", "watches").await, ask_at + 3 * 60_000);
    }
}
