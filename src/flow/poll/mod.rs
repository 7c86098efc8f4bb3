//! The poller: asks the providers for tasks whose end is not known, and for claims that nobody signed.
//!
//! The database is the queue, as it is for deliveries: a watch has a time at which it is asked about next,
//! and a lease while it is being asked about. What a provider answers goes to the recorder like a callback.
//! An answer is the truth whenever it comes, so that it needs no fencing: at worst it is told twice.

mod fares;
mod lane;
mod listing;
mod question;
mod queue;
mod source;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt;
use tokio::sync::{Notify, mpsc};

use self::fares::Fares;
use self::lane::{Lane, Turn, Wants};
use self::listing::Listing;
use self::question::{Answers, Asks, Key, Question, TIMEOUT};
use self::queue::Queue;
use self::source::{Askable, askable};
use super::entry::{Answered, Entry, Opened, Reading};
use super::record::{Recorder, Unrecorded};
use super::roster::{LiveRoster, Roster};
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::seal::Seal;
use crate::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Status, Trust, Via};
use crate::egress::Egress;
use crate::providers::api::{Listed, Told};
use crate::shutdown::Lifecycle;
use crate::store::{NextAsk, Result, Store};

/// A lease outlives the question by this, so that the answer is recorded before the next claim.
const LEASE_MARGIN: Duration = Duration::from_secs(15);
/// Without a wake-up the queue is looked at this often: other instances write to it too.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// The key of a client whose task never became known is forgotten after a day, in milliseconds, when we start.
const KEYS_KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// What the poller works with.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Who is there.
    pub roster: Arc<LiveRoster>,
    /// Where answers go.
    pub recorder: Recorder,
    /// The way to the operator's own addresses, as `base_url` is.
    pub egress: Egress,
    /// What opens the keys of clients that relayed; `None` where none are kept.
    pub seal: Option<Arc<Seal>>,
    /// The time.
    pub clock: SharedClock,
    /// Which process this is, by host and address.
    pub owner: String,
    /// Notified when a question is due at once.
    pub wake: Arc<Notify>,
    /// The life of the process.
    pub life: Lifecycle,
}

/// Asks what is due.
pub struct Poller {
    parts: Parts,
    lanes: HashMap<String, Lane>,
    fares: Fares,
    /// As it was read, while it holds.
    queue: Option<Queue>,
    in_flight: usize,
    done: (mpsc::UnboundedSender<Ended>, mpsc::UnboundedReceiver<Ended>),
}

/// A request that has ended, its answers recorded.
struct Ended {
    source: String,
    /// Our key, as a hash, where that was used.
    key: Option<String>,
    /// What it was.
    turn: Turn,
    answers: Answers,
}

/// What one look at the queue came to.
#[derive(Default)]
struct Look {
    begun: usize,
    /// When something may be due next.
    next: Option<Timestamp>,
    /// Whether all that was due somewhere has been claimed, so that what is next there is not known.
    emptied: bool,
}

impl Look {
    fn not_before(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// What is asked next.
struct Chosen {
    asks: Asks,
    key: Key,
    /// Tasks whose answer somebody is to get.
    awaited: Vec<String>,
}

impl Poller {
    /// A poller that has nothing in hand.
    pub fn new(parts: Parts) -> Self {
        let (lanes, fares, done) = (HashMap::new(), Fares::default(), mpsc::unbounded_channel());
        Self { parts, lanes, fares, queue: None, in_flight: 0, done }
    }

    /// What the process that was here before was asking is asked again at once.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn take_over(&self) -> Result<()> {
        let owner = (!self.parts.store.is_single()).then_some(self.parts.owner.as_str());
        let now = self.parts.clock.now();
        let mut tx = self.parts.store.write().await?;
        tx.void_questions(owner, now).await?;
        tx.forget_keys(Timestamp(now.0 - KEYS_KEPT_MS)).await?;
        tx.commit().await
    }

    /// Asks until the process stops; then waits for what is under way.
    pub async fn run(mut self) {
        let soft = self.parts.life.soft().clone();
        while !soft.is_cancelled() {
            let wait = match self.look().await {
                Ok(look) => self.until(look.next),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the queue of questions cannot be read; trying again");
                    LOOK_AT_LEAST_EVERY
                }
            };
            tokio::select! {
                () = self.parts.wake.notified() => self.queue = None,
                () = soft.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                Some(ended) = self.done.1.recv() => self.ended(ended).await,
            }
            while let Ok(ended) = self.done.1.try_recv() {
                self.ended(ended).await;
            }
        }
        self.wait_for_all().await;
    }

    /// One look at the queue, and everything begun by it brought to its end and recorded. Gives how many
    /// requests were made.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn tick(&mut self) -> Result<usize> {
        self.queue = None;
        let look = self.look().await?;
        self.wait_for_all().await;
        Ok(look.begun)
    }

    async fn wait_for_all(&mut self) {
        while self.in_flight > 0 {
            let Some(ended) = self.done.1.recv().await else { return };
            self.ended(ended).await;
        }
    }

    fn until(&self, next: Option<Timestamp>) -> Duration {
        let now = self.parts.clock.now();
        next.map_or(LOOK_AT_LEAST_EVERY, |next| next.since(now).min(LOOK_AT_LEAST_EVERY))
    }

    /// Tells what is due without an answer, and asks what is due as far as there is room.
    async fn look(&mut self) -> Result<Look> {
        let roster = self.parts.roster.now();
        let now = self.parts.clock.now();
        let mut look = Look::default();
        let all: Vec<&str> = roster.sources.keys().map(String::as_str).collect();
        self.fares.know(&self.parts.store, &all, now).await?;
        let askable = askable(&roster, self.parts.seal.is_some());
        let named = |ours| askable.iter().filter(move |source| source.key.is_some() == ours).map(Askable::name);
        let (ours, clients): (Vec<&str>, Vec<&str>) = (named(true).collect(), named(false).collect());
        let queue = match self.queue.take().filter(|queue| queue.holds(now)) {
            Some(queue) => queue,
            None => Queue::read(&self.parts.store, &ours, &clients, now).await?,
        };
        if queue.looks.is_empty() {
            queue.next_look.into_iter().for_each(|at| look.not_before(at));
        } else {
            look.not_before(now);
            let due =
                queue.looks.iter().map(|(source, task_id)| (source.clone(), Reading::Due { task_id: task_id.clone() }));
            record(&self.parts, &roster, due, now).await;
        }
        for source in &askable {
            self.look_at(source, &roster, &queue.next, now, &mut look).await?;
        }
        self.queue = Some(queue).filter(|_| !look.emptied);
        Ok(look)
    }

    async fn look_at(
        &mut self,
        source: &Askable<'_>,
        roster: &Arc<Roster>,
        next: &[NextAsk],
        now: Timestamp,
        look: &mut Look,
    ) -> Result<()> {
        let name = &source.active.source.name;
        let poll = &source.active.source.poll;
        let rate = poll.pace.unwrap_or(source.ask.api().pace);
        let lane = self.lanes.entry(name.clone()).or_insert_with(|| Lane::new(rate, poll.every));
        lane.limit(rate, poll.every);
        let lists = poll.discover && source.key.is_some() && source.ask.api().lists;
        if lists && lane.listing.page(now).is_none() {
            look.not_before(lane.listing.due_at);
        }
        let [strangers, vouched] = [false, true].map(|vouched| lane.has_ready(vouched, now));
        let mut wants = Wants { list: lists, strangers, vouched };
        for next in next.iter().filter(|next| next.source == *name) {
            match next.vouched {
                _ if next.ask_at > now => look.not_before(next.ask_at),
                true => wants.vouched = true,
                false => wants.strangers = true,
            }
        }
        while let Some((chosen, turn)) = self.choose(source, &mut wants, now, look).await? {
            self.begin(source, roster, chosen, turn, now);
            look.begun += 1;
        }
        Ok(())
    }

    /// What is asked next, if there is something to ask and room for it. What turns out not to be there is no
    /// longer wanted.
    async fn choose(
        &mut self,
        source: &Askable<'_>,
        wants: &mut Wants,
        now: Timestamp,
        look: &mut Look,
    ) -> Result<Option<(Chosen, Turn)>> {
        let name = &source.active.source.name;
        loop {
            let Some(lane) = self.lanes.get_mut(name) else { return Ok(None) };
            let turn = match lane.turn(*wants, now) {
                Ok(turn) => turn,
                Err(next) => {
                    next.into_iter().for_each(|at| look.not_before(at));
                    return Ok(None);
                }
            };
            let many = if lane.takes_many(now) { source.ask.api().batch.max(1) } else { 1 };
            let with_our_key = |asks| Some(Chosen { asks, key: Key::Ours(source.key?.clone()), awaited: Vec::new() });
            let chosen = match turn {
                Turn::Single { stranger } => lane.single(stranger).map(Asks::One).and_then(with_our_key),
                Turn::List(page) => {
                    lane.listing.begun(now.after(TIMEOUT + LEASE_MARGIN));
                    with_our_key(Asks::List(page))
                }
                Turn::Strangers => self.claim(source, false, many, now, look).await?,
                Turn::Vouched => self.claim(source, true, many, now, look).await?,
            };
            match (chosen, turn) {
                (Some(chosen), _) => return Ok(Some((chosen, turn))),
                (None, Turn::Strangers) => wants.strangers = false,
                (None, Turn::Vouched) => wants.vouched = false,
                (None, _) => return Ok(None),
            }
        }
    }

    /// What is asked for next: of what was claimed before, else of what is claimed now.
    async fn claim(
        &mut self,
        source: &Askable<'_>,
        vouched: bool,
        many: usize,
        now: Timestamp,
        look: &mut Look,
    ) -> Result<Option<Chosen>> {
        let Some(lane) = self.lanes.get_mut(source.name()) else { return Ok(None) };
        let mut claimed = lane.take_ready(vouched, many, now);
        if claimed.is_empty() {
            let lease = (self.parts.owner.as_str(), now.after(TIMEOUT + LEASE_MARGIN));
            let mut tx = self.parts.store.write().await?;
            let limit = if source.key.is_some() { lane.ahead(many) } else { 1 };
            let all = match source.key {
                Some(_) => tx.claim_questions(source.name(), vouched, limit, now, lease).await?,
                None => tx.claim_relayed(source.name(), now, lease).await?.into_iter().collect(),
            };
            tx.commit().await?;
            look.emptied |= all.len() < limit;
            // A request that begins within half of the margin ends within the lease.
            lane.keep_ready(vouched, all, now.after(LEASE_MARGIN / 2));
            claimed = lane.take_ready(vouched, many, now);
        }
        let Some(key) = source.key_for(&claimed, self.parts.seal.as_deref()) else { return Ok(None) };
        let awaited = claimed.iter().filter(|asked| asked.is_awaited).map(|asked| asked.task_id.clone()).collect();
        let mut task_ids: Vec<String> = claimed.into_iter().map(|asked| asked.task_id).collect();
        let asks = match (task_ids.pop(), task_ids.is_empty()) {
            (None, _) => None,
            (Some(one), true) => Some(Asks::One(one)),
            (Some(last), false) => {
                task_ids.push(last);
                Some(Asks::Many(task_ids))
            }
        };
        Ok(asks.map(|asks| Chosen { asks, key, awaited }))
    }

    fn begin(&mut self, source: &Askable<'_>, roster: &Arc<Roster>, chosen: Chosen, turn: Turn, now: Timestamp) {
        let Chosen { asks, key, awaited } = chosen;
        let name = source.active.source.name.clone();
        let Some(lane) = self.lanes.get_mut(&name) else { return };
        lane.begin(now, turn);
        self.in_flight += 1;
        let hash = source.key.map(|key| fares::hash(key, source.base_url));
        let key_works = hash.as_deref().is_some_and(|hash| self.fares.key_works(&name, hash));
        let question = Question { ask: source.ask, base_url: source.base_url.to_owned(), key, asks, awaited };
        let (parts, roster, done) = (self.parts.clone(), Arc::clone(roster), self.done.0.clone());
        let egress = parts.roster.way_to(&source.active.source, &parts.egress).clone();
        self.parts.life.spawn(async move {
            let mut answers = question.put(&egress, &parts.clock).await;
            let told = std::mem::take(&mut answers.told);
            tracing::debug!(source.name = name, tasks = told.len(), asked_at = %now, "the provider was asked");
            let wait = match answers.went {
                lane::Went::Throttled(wait) => wait,
                _ => Duration::ZERO,
            };
            let unfound: Vec<bool> = told.iter().map(|(_, told, _)| *told == Told::NotFound).collect();
            let readings = told.into_iter().map(|(task_id, told, body)| {
                metrics::counter!("callboard_polls_total", "source" => name.clone(), "said" => word(&told))
                    .increment(1);
                let jitter = rand::rng().random_range(0.0..1.0);
                let key_works = key_works || answers.found;
                (name.clone(), Reading::Answered(Answered { task_id, told, key_works, wait, jitter, body }))
            });
            let recorded = record(&parts, &roster, readings, parts.clock.now()).await;
            let misled = unfound.into_iter().zip(recorded).find_map(|(unfound, told)| told.ok()?.filter(|_| unfound));
            answers.refused = answers.refused.or(misled);
            // The receiver lives as long as the poller, which waits for every one of these.
            let _ = done.send(Ended { source: name, key: hash, turn, answers });
        });
    }

    async fn ended(&mut self, ended: Ended) {
        self.in_flight -= 1;
        let Ended { source, key, turn, answers } = ended;
        let now = self.parts.clock.now();
        let roster = self.parts.roster.now();
        if let Some(lane) = self.lanes.get_mut(&source) {
            lane.end(answers.went, now);
            let strangers = matches!(turn, Turn::Strangers | Turn::Single { stranger: true });
            lane.single_out(answers.singles, strangers, answers.one_by_one, now);
            if matches!(turn, Turn::List(_)) && answers.listed.is_none() {
                lane.listing.failed(now, every(&roster, &source));
            }
        }
        let noted = match key {
            Some(key) => {
                let fares = (key.as_str(), answers.found, answers.refused.as_deref());
                self.fares.note(&self.parts.store, &source, fares, now).await
            }
            None => Ok(()),
        };
        let listed = match answers.listed {
            Some(rows) => self.listed(&source, &roster, rows, now).await,
            None => Ok(()),
        };
        if let Err(error) = noted.and(listed) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(source.name = source, error, "how the source is faring could not be written down");
        }
    }

    /// Adopts what the list shows and nobody told us of.
    async fn listed(&mut self, source: &str, roster: &Arc<Roster>, rows: Vec<Listed>, now: Timestamp) -> Result<()> {
        let (Some(lane), Some((added_at, listed_at))) = (self.lanes.get_mut(source), self.fares.listed(source)) else {
            return Ok(());
        };
        let found = lane.listing.take(rows, added_at, listed_at, now, every(roster, source));
        let adopted = found.adopt.into_iter().map(|row| (source.to_owned(), Reading::Opened(opened(row))));
        let recorded = record(&self.parts, roster, adopted, now).await;
        if recorded.iter().any(std::result::Result::is_err) {
            if let Some(lane) = self.lanes.get_mut(source) {
                lane.listing = Listing::default();
                lane.listing.failed(now, every(roster, source));
            }
            return Ok(());
        }
        match found.read_up_to {
            Some(up_to) => self.fares.note_listed(&self.parts.store, source, up_to).await,
            None => Ok(()),
        }
    }
}

fn every(roster: &Roster, source: &str) -> Duration {
    roster.sources.get(source).map_or(LOOK_AT_LEAST_EVERY, |active| active.source.poll.every)
}

/// A row of the list, as a task that the provider stands for. One that has ended there is asked for at once.
fn opened(row: Listed) -> Opened {
    let mut seen = Observation::new(&row.task_id, Status::Pending);
    seen.created_at = row.created_at;
    seen.expected = row.status.filter(|status| status.is_terminal()).map(|_| Duration::ZERO);
    Opened { seen, deadline: None, made_by: None }
}

fn word(told: &Told) -> &'static str {
    match told {
        Told::Task(seen) => seen.status.as_str(),
        Told::NotFound => "not_found",
        Told::Refused(_) => "refused",
        Told::Throttled => "throttled",
        Told::Nothing(_) => "nothing",
    }
}

/// Records what was learned, and gives what there is to say of each; what the database cannot take is asked again
/// when its lease ends.
async fn record(
    parts: &Parts,
    roster: &Arc<Roster>,
    readings: impl Iterator<Item = (String, Reading)>,
    received_at: Timestamp,
) -> Vec<std::result::Result<Option<String>, Unrecorded>> {
    let recorded = readings.map(|(source, reading)| {
        let via = if matches!(reading, Reading::Opened(_)) { Via::Relay } else { Via::Poll };
        let (metadata, metadata_origin) = (Metadata::new(), MetadataOrigin::Absent);
        let from = Provenance { via, trust: Trust::SignedBody, metadata, metadata_origin };
        parts.recorder.record(Entry::new(source, reading, from, received_at, None, Arc::clone(roster)))
    });
    let recorded = join_all(recorded).await;
    let unrecorded = recorded.iter().filter(|recorded| recorded.is_err()).count();
    if unrecorded > 0 {
        tracing::warn!(answers = unrecorded, "answers of providers could not be recorded; they are asked for again");
    }
    recorded.into_iter().map(|recorded| Ok(recorded?.detail)).collect()
}
