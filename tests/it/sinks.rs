//! The simulation from end to end: submissions go to simulated providers, their callbacks to the service,
//! its events to the sinks, and the chronicle says what came of the plans.

use std::sync::Arc;
use std::time::Duration;

use callboard::demo::{
    Chronicle, Happening, Journal, Options, Simulator, Sinks, SlackAnswer, Submission, Weights, What,
};
use callboard::domain::clock::SharedClock;
use callboard::domain::secret::Secret;
use callboard::shutdown::Lifecycle;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::app::{Db, SECRET, TOKEN, TestApp, answer};
use super::database::Database;

/// What one test watches.
struct Place {
    app: TestApp,
    simulator: Simulator,
    sinks: Sinks,
    heard: UnboundedReceiver<Happening>,
    life: Lifecycle,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.life.stop();
    }
}

impl Place {
    /// Everything that calls back, so that nobody has to ask.
    async fn new() -> Self {
        let weights = Weights { never: 0, forged: 0, ..Weights::default() };
        let options = Options { seed: 42, weights, ..Options::default() };
        let clock = Arc::new(callboard::domain::clock::ManualClock::new(super::app::START));
        let (journal, heard) = Journal::read();
        let life = Lifecycle::default();
        let shared = Arc::clone(&clock) as SharedClock;
        let simulator = Simulator::start(&options, &shared, &journal, &life).unwrap();
        let sinks = Sinks::start(Secret::new(SECRET), &shared, &journal, &life).unwrap();
        let app = TestApp::on(Arc::new(Database::fresh(Db::Sqlite)), clock, &config(&sinks)).await;
        Self { app, simulator, sinks, heard, life }
    }

    /// Sends it to its provider, as the relay would.
    async fn submit(&self, submission: &Submission) {
        let provider = self.simulator.provider(submission.source).unwrap();
        let mut body: Value = serde_json::from_slice(&submission.body).unwrap();
        let callback = self.app.url(&format!("/callbacks/{}/{TOKEN}", submission.source));
        body["callback_url"] = Value::from(callback);
        let request = self.app.client.post(format!("{}{}", provider.base_url, submission.path));
        answer(request.bearer_auth(provider.api_key.expose()).body(body.to_string())).await.expect(200);
    }

    /// Lets an hour pass, in steps in which every callback comes and every event is told.
    async fn pass_an_hour(&mut self) {
        for _ in 0..360 {
            self.app.advance(Duration::from_secs(10));
            self.simulator.tick().await;
            self.app.tick_all().await;
        }
    }
}

fn config(sinks: &Sinks) -> String {
    let subscription = |name: &str| format!("[[subscriptions]]\ndestination = \"{name}\"\n");
    format!(
        r#"
[email]
smtp = "{}"
from = "Callboard <callboard@example.com>"
[destinations.slack]
team = "ads"
channel = "slack"
url = "{}"
rate = "1000/s"
[destinations.mail]
team = "ops"
channel = "email"
to = "ops@example.com"
[destinations.backend]
team = "platform"
channel = "webhook"
url = "{}"
secret = "{SECRET}"
{}"#,
        sinks.mail.smtp_url,
        sinks.slack.url,
        sinks.webhook.url,
        ["slack", "mail", "backend"].map(subscription).concat(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planned_end_is_told_once_to_every_sink() {
    let mut place = Place::new().await;
    let calling = place.simulator.submissions().filter(|one| ["evolink", "aivideoapi"].contains(&one.source));
    let submitted: Vec<Submission> = calling.take(30).collect();
    for submission in &submitted {
        place.submit(submission).await;
    }
    place.pass_an_hour().await;

    let mut chronicle = Chronicle::default();
    let mut lines = Vec::new();
    while let Ok(happening) = place.heard.try_recv() {
        lines.extend(chronicle.hear(&happening));
    }
    let (summary, story) = (chronicle.summary(), lines.join("\n"));
    let total = summary.total();
    assert_eq!((total.submitted, total.open, total.mismatches, total.called_back), (30, 0, 0, 30), "{story}");
    let ends = submitted.iter().map(|submission| format!("task.{}", submission.plan.end.told().as_str()));
    for kind in ["task.completed", "task.failed", "task.cancelled"] {
        let planned = ends.clone().filter(|end| end == kind).count();
        assert_eq!(summary.events.get(kind).copied().unwrap_or_default(), planned, "{kind}\n{story}");
    }
    for sink in ["webhook", "slack", "mail"] {
        assert_eq!((summary.sinks[sink].taken, summary.sinks[sink].refused), (30, 0), "{sink}\n{story}");
    }
    assert!(place.sinks.webhook.received().iter().all(|webhook| webhook.verified));
    assert!(
        place.sinks.mail.received().iter().all(|mail| mail.to == ["ops@example.com"] && !mail.subject().is_empty())
    );
    assert_eq!(lines.iter().filter(|line| line.contains("  = ")).count(), 30, "{story}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sinks_that_refuse_are_told_again_later() {
    let mut place = Place::new().await;
    place.sinks.slack.set_answer(SlackAnswer::RateLimited(Duration::from_secs(20)));
    place.sinks.webhook.set_answer(500, None);
    place.app.evolink("task-1", "completed").await.expect(200);
    place.app.tick_all().await;
    assert_eq!((place.sinks.slack.received().len(), place.sinks.webhook.received().len()), (0, 1));
    place.sinks.slack.set_answer(SlackAnswer::Ok);
    place.sinks.webhook.set_answer(204, None);
    place.pass_an_hour().await;
    assert_eq!((place.sinks.slack.received().len(), place.sinks.webhook.received().len()), (1, 2));
    let mut refused = Vec::new();
    while let Ok(happening) = place.heard.try_recv() {
        if let What::Got { sink, line, taken: false } = happening.what {
            refused.push((sink, line));
        }
    }
    refused.sort();
    let [("slack", slack), ("webhook", webhook)] = &refused[..] else { panic!("{refused:?}") };
    assert!(slack.contains("task-1") && slack.ends_with(": rate_limited"), "{slack}");
    assert_eq!(webhook, "task.completed of task-1: answered 500");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_slack_url_and_a_wrong_signature_are_refused_as_their_owners_do() {
    let place = Place::new().await;
    place.sinks.slack.set_answer(SlackAnswer::NoService);
    let slack = place.app.client.post(&place.sinks.slack.url).body(r#"{"text": "x"}"#);
    assert_eq!(answer(slack).await.expect(404).bytes, b"no_service");
    let forged = place.app.client.post(&place.sinks.webhook.url).body("{}");
    answer(forged.header("webhook-id", "evt_1")).await.expect(401);
    let received = place.sinks.webhook.received();
    assert_eq!((received.len(), received[0].verified, received[0].status), (1, false, 401));
}
