//! The play: requests go out at a steady trickle, troubles come and go, and what happens is told.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::broadcast;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, interval};

use super::client::Client;
use crate::app::App;
use crate::cli::console;
use crate::demo::{Chronicle, Happening, Says, Simulator, Sinks, Submissions, Summary, TaskName, Tempo, Trouble, What};
use crate::domain::clock::{Clock, SystemClock};
use crate::flow::notice::Notice;
use crate::shutdown::Lifecycle;

/// How long between two requests, by the providers' clock.
const PAUSE: Duration = Duration::from_secs(40);
/// So many requests after one trouble comes the next.
const CALM: usize = 6;
/// How often it is looked whether something is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// By the providers' clock every task has long been told of after this, the latest callback included …
const PATIENCE: Duration = Duration::from_secs(40 * 60);
/// … if this machine takes no longer than this for all it has to do itself.
const SLOWNESS: Duration = Duration::from_secs(60);

/// So many events are remembered: more than are being delivered at a time.
const EVENTS_KEPT: usize = 1_000;

type Sending = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What goes on on the stage.
pub(super) struct Show {
    simulator: Simulator,
    sinks: Sinks,
    client: Client,
    life: Lifecycle,
    heard: UnboundedReceiver<Happening>,
    notices: broadcast::Receiver<Notice>,
    chronicle: Chronicle,
    /// Of which tasks the latest events are.
    events: VecDeque<(String, TaskName)>,
    /// The tasks for which somebody forged a callback, and whose end was not told yet.
    forged: BTreeSet<TaskName>,
    tempo: Tempo,
    tasks: Option<usize>,
    submissions: Submissions,
    submitted: usize,
    sending: FuturesUnordered<Sending>,
    /// How many requests became no task.
    unmade: usize,
    troubles: Box<dyn Iterator<Item = Trouble> + Send>,
    /// What goes wrong now, and until when.
    trouble: Option<(Trouble, Instant)>,
    /// Whether something happened since the last look.
    stirs: bool,
    last_submitted_at: Instant,
}

impl Show {
    pub(super) fn new(
        app: &App,
        simulator: Simulator,
        sinks: Sinks,
        heard: UnboundedReceiver<Happening>,
        client: Client,
    ) -> Self {
        Self {
            submissions: simulator.submissions(),
            simulator,
            sinks,
            client,
            life: app.life.clone(),
            heard,
            notices: app.notices.watch(),
            chronicle: Chronicle::default(),
            events: VecDeque::new(),
            forged: BTreeSet::new(),
            tempo: Tempo::new(1.0),
            tasks: None,
            submitted: 0,
            sending: FuturesUnordered::new(),
            unmade: 0,
            troubles: Box::new(Trouble::all(0)),
            trouble: None,
            stirs: false,
            last_submitted_at: Instant::now(),
        }
    }

    /// How fast it goes, what chance begins with, and after how many tasks it ends, if it does.
    pub(super) fn plan(&mut self, tempo: Tempo, seed: u64, tasks: Option<u32>) {
        self.tempo = tempo;
        self.troubles = Box::new(Trouble::all(seed));
        self.tasks = tasks.map(|tasks| tasks as usize);
    }

    /// Plays until every task was told of, where it ends at all.
    pub(super) async fn play(&mut self) {
        let mut beat = interval(self.tempo.on_the_clock(PAUSE));
        let mut look = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                Some(happening) = self.heard.recv() => self.hear(happening).await,
                Ok(notice) = self.notices.recv() => self.notice(notice),
                Some(sent) = self.sending.next(), if !self.sending.is_empty() => self.sent(sent),
                _ = beat.tick(), if self.goes_on() => self.submit(),
                _ = look.tick() => {
                    self.end_trouble();
                    if self.is_over().await {
                        return;
                    }
                }
            }
        }
    }

    /// Whether there is another request to send.
    fn goes_on(&self) -> bool {
        !self.life.soft().is_cancelled() && self.tasks.is_none_or(|tasks| self.submitted < tasks)
    }

    fn submit(&mut self) {
        let Some(submission) = self.submissions.next() else { return };
        self.submitted += 1;
        self.last_submitted_at = Instant::now();
        let client = self.client.clone();
        self.sending.push(Box::pin(async move { client.submit(submission).await }));
        if self.submitted % CALM == CALM - 1 && self.trouble.is_none() {
            self.begin_trouble();
        }
    }

    fn sent(&mut self, sent: Result<(), String>) {
        let Err(problem) = sent else { return };
        // What a stop broke off is no news.
        if !self.life.soft().is_cancelled() {
            self.unmade += 1;
            console::say_line(&format!("a request became no task: {problem}"));
        }
    }

    fn begin_trouble(&mut self) {
        let Some(trouble) = self.troubles.next() else { return };
        let lasts = self.tempo.on_the_clock(trouble.lasts());
        trouble.begin(&self.simulator, &self.sinks);
        self.trouble = Some((trouble, Instant::now() + lasts));
        self.say(What::Troubled { trouble, lasts: Some(lasts) });
    }

    fn end_trouble(&mut self) {
        let Some((trouble, _)) = self.trouble.take_if(|(_, until)| *until <= Instant::now()) else { return };
        trouble.end(&self.simulator, &self.sinks);
        self.say(What::Troubled { trouble, lasts: None });
    }

    /// Whether every task was told of, to everybody, and nothing is to come any more.
    async fn is_over(&mut self) -> bool {
        let stirred = std::mem::take(&mut self.stirs);
        let Some(tasks) = self.tasks.filter(|tasks| self.submitted == *tasks && self.sending.is_empty()) else {
            return false;
        };
        if self.last_submitted_at.elapsed() > self.tempo.on_the_clock(PATIENCE) + SLOWNESS {
            return true;
        }
        let (made, open) = self.chronicle.counts();
        let calls = self.simulator.providers().iter().any(|provider| provider.next_at().is_some());
        let is_quiet = made + self.unmade == tasks && open == 0 && !calls && self.trouble.is_none() && !stirred;
        is_quiet && !self.client.is_telling().await
    }

    async fn hear(&mut self, happening: Happening) {
        self.stirs = true;
        self.tell(&happening);
        match &happening.what {
            What::Posted { task, says: Says::Forgery, .. } => {
                self.forged.insert(task.clone());
            }
            What::Told { event, .. } if event.is_the_end() => {
                let Some(task) = event.task.as_ref().and_then(|task| self.forged.take(task)) else { return };
                if let Some((outcome, detail)) = self.client.disputed(&task).await {
                    self.say(What::Judged { task, outcome, detail });
                }
            }
            _ => {}
        }
    }

    /// Of all that the service says of itself, what nobody outside can know.
    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Event { id, source, task_id, .. } => {
                if self.events.len() == EVENTS_KEPT {
                    self.events.pop_front();
                }
                self.events.push_back((id, TaskName { source, id: task_id }));
            }
            Notice::Attempt { event_id, destination, number: attempt, reason: Some(reason), next_at, .. } => {
                let task = self.events.iter().rev().find(|(id, _)| *id == event_id).map(|(_, task)| task.clone());
                self.say(What::Failed { task, destination, attempt, reason, next_at });
            }
            _ => {}
        }
    }

    fn say(&mut self, what: What) {
        self.tell(&Happening { at: SystemClock.now(), what });
    }

    fn tell(&mut self, happening: &Happening) {
        for line in self.chronicle.hear(happening) {
            console::say_line(&line);
        }
    }

    /// Whether it was to end by itself.
    pub(super) fn was_to_end(&self) -> bool {
        self.tasks.is_some()
    }

    /// How many requests became no task.
    pub(super) fn unmade(&self) -> usize {
        self.unmade
    }

    /// Tells what happened last, and gives the whole in numbers.
    pub(super) fn end(&mut self) -> Summary {
        while let Ok(happening) = self.heard.try_recv() {
            self.tell(&happening);
        }
        self.chronicle.summary()
    }
}
