//! The adapters and the simulated providers, face to face: what one asks the other answers, and what it
//! answers is read as it was meant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callboard::demo::{BatchFault, Down, Faults, Journal, Options, SimulatedTask, Simulator, Submission};
use callboard::domain::clock::{Clock, ManualClock, SharedClock};
use callboard::domain::task::Status;
use callboard::providers::api::{Ask, Call, CallbackUrl, Reply, Told};
use callboard::providers::provider;
use callboard::shutdown::Lifecycle;
use serde_json::Value;

use super::app::{Answer, START, answer};

struct Place {
    simulator: Simulator,
    clock: Arc<ManualClock>,
    life: Lifecycle,
    client: reqwest::Client,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.life.stop();
    }
}

fn adapter(source: &str) -> &'static dyn Ask {
    provider(source).unwrap().ask().unwrap()
}

impl Place {
    fn new() -> Self {
        let (clock, life) = (Arc::new(ManualClock::new(START)), Lifecycle::default());
        let shared = Arc::clone(&clock) as SharedClock;
        let simulator = Simulator::start(&Options::default(), &shared, &Journal::default(), &life).unwrap();
        Self { simulator, clock, life, client: reqwest::Client::new() }
    }

    async fn call(&self, source: &str, call: Call) -> Answer {
        let provider = self.simulator.provider(source).unwrap();
        let request = self.client.request(call.method.parse().unwrap(), format!("{}{}", provider.base_url, call.path));
        answer(request.bearer_auth(provider.api_key.expose()).body(call.body.unwrap_or_default())).await
    }

    fn reply<'a>(&self, answer: &'a Answer) -> Reply<'a> {
        Reply { status: answer.status, body: &answer.bytes, received_at: self.clock.now() }
    }

    /// Sends it with a callback URL where the adapter says it goes, and reads the task's id.
    async fn submit(&self, submission: &Submission) -> String {
        let adapter = adapter(submission.source);
        assert!(adapter.api().creates(submission.method, submission.path), "{submission:?}");
        let mut body: Value = serde_json::from_slice(&submission.body).unwrap();
        match adapter.api().callback_url {
            CallbackUrl::Nowhere => {}
            CallbackUrl::Body([name]) => body[*name] = Value::from("https://example.com/cb"),
            other => panic!("its documents have it in the body: {other:?}"),
        }
        let call =
            Call { method: submission.method, path: submission.path.to_owned(), body: Some(body.to_string().into()) };
        let made = self.call(submission.source, call).await;
        let seen = adapter.created(&self.reply(&made)).unwrap();
        assert!(!seen.status.is_terminal(), "{seen:?}");
        seen.task_id
    }

    async fn one(&self, source: &str, task_id: &str) -> Told {
        let answer = self.call(source, adapter(source).one(task_id)).await;
        adapter(source).read_one(task_id, &self.reply(&answer))
    }

    fn tasks(&self, source: &str) -> Vec<SimulatedTask> {
        self.simulator.provider(source).unwrap().tasks()
    }
}

#[tokio::test]
async fn every_end_of_every_provider_is_read_as_it_was_planned() {
    let place = Place::new();
    let submitted: Vec<Submission> = place.simulator.submissions().take(80).collect();
    let mut ids = Vec::new();
    for submission in &submitted {
        ids.push(place.submit(submission).await);
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    place.clock.advance(Duration::from_secs(3600));
    for (submission, id) in submitted.iter().zip(&ids) {
        let Told::Task(task) = place.one(submission.source, id).await else { panic!("{submission:?}") };
        // What becomes of a cancellation that comes as a failure is part of what is compared.
        assert_eq!((&task.task_id, task.status), (id, submission.plan.end.told()), "{submission:?}");
        assert_eq!(task.outputs.len(), usize::from(task.status == Status::Completed), "{submission:?}");
        *seen.entry(submission.source).or_default() += 1;
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    for source in seen.keys() {
        let made: Vec<String> = place.tasks(source).into_iter().map(|task| task.id).collect();
        let named: Vec<&String> =
            submitted.iter().zip(&ids).filter(|(one, _)| one.source == *source).map(|(_, id)| id).collect();
        assert_eq!(made.iter().collect::<Vec<_>>(), named);
    }
}

#[tokio::test]
async fn what_is_not_a_task_is_read_as_what_it_is() {
    let place = Place::new();
    for source in ["evolink", "aivideoapi", "kling3api", "api-in-one"] {
        assert_eq!(place.one(source, "unknown").await, Told::NotFound, "{source}");
        let provider = place.simulator.provider(source).unwrap();
        let throttled = Some(Duration::from_secs(1));
        for (faults, expected) in [
            (Faults { throttled, ..Faults::default() }, "Throttled"),
            (Faults { key_refused: true, ..Faults::default() }, "Refused"),
            (Faults { address_refused: true, ..Faults::default() }, "Refused"),
            (Faults { down: Some(Down::Unavailable), ..Faults::default() }, "Nothing"),
        ] {
            provider.set_faults(faults);
            let told = format!("{:?}", place.one(source, "unknown").await);
            assert!(told.starts_with(expected), "{source}, {faults:?}: {told}");
        }
    }
}

#[tokio::test]
async fn evolinks_batch_and_list_are_read_whatever_is_wrong_with_them() {
    let place = Place::new();
    let evolink = place.simulator.submissions().filter(|one| one.source == "evolink");
    for submission in evolink.take(10).collect::<Vec<_>>() {
        place.submit(&submission).await;
    }
    place.clock.advance(Duration::from_secs(3600));
    let (adapter, tasks) = (adapter("evolink"), place.tasks("evolink"));
    let planned: Vec<(&str, Status)> = tasks.iter().map(|task| (task.id.as_str(), task.plan.end.told())).collect();
    let ids: Vec<&str> = planned.iter().map(|(id, _)| *id).collect();
    for fault in [None, Some(BatchFault::BareList)] {
        place.simulator.provider("evolink").unwrap().set_faults(Faults { batch: fault, ..Faults::default() });
        let answer = place.call("evolink", adapter.many(&ids).unwrap()).await;
        let seen = adapter.read_many(&place.reply(&answer)).unwrap();
        let said: Vec<(&str, Status)> = seen.iter().map(|task| (task.task_id.as_str(), task.status)).collect();
        assert_eq!(said, planned, "{fault:?}");
    }
    for fault in [BatchFault::NotFound, BatchFault::NotAllowed] {
        place.simulator.provider("evolink").unwrap().set_faults(Faults { batch: Some(fault), ..Faults::default() });
        let answer = place.call("evolink", adapter.many(&ids).unwrap()).await;
        assert!(adapter.read_many(&place.reply(&answer)).is_err(), "{fault:?}");
    }
    let answer = place.call("evolink", adapter.list(1).unwrap()).await;
    let listed = adapter.read_list(&place.reply(&answer)).unwrap();
    let newest_first: Vec<&str> = ids.iter().rev().copied().collect();
    assert_eq!(listed.iter().map(|row| row.task_id.as_str()).collect::<Vec<_>>(), newest_first);
    assert!(listed.iter().all(|row| row.created_at == Some(START) && row.status.is_some()), "{listed:?}");
}
