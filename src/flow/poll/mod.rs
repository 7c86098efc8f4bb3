//! The poller: asks the providers for tasks whose end is not known, and for claims that nobody signed.
//!
//! The database is the queue, as it is for deliveries: a watch has a time at which it is asked about next,
//! and a lease while it is being asked about. What a provider answers goes to the recorder like a callback.
//! An answer is the truth whenever it comes, so that it needs no fencing: at worst it is told twice.

mod lane;
mod listing;
mod question;
mod source;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt;
use tokio::sync::{Notify, mpsc};

use self::lane::Lane;
use self::question::{Answers, Asks, Key, Question, TIMEOUT};
use self::source::{Askable, askable};
use super::entry::{Answered, Entry, Opened, Reading};
use super::lane::Room;
use super::record::Recorder;
use super::roster::{LiveRoster, Roster};
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::seal::Seal;
use crate::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Status, Trust, Via};
use crate::egress::Egress;
use crate::providers::api::{Listed, Told};
use crate::shutdown::Lifecycle;
use crate::store::{NextAsk, Result, SourceState, Store, Tx};

/// A lease outlives the question by this, so that the answer is recorded before the next claim.
const LEASE_MARGIN: Duration = Duration::from_secs(15);
/// Without a wake-up the queue is looked at this often: other instances write to it too.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// The key of a client whose task never became known is forgotten after a day, in milliseconds, when we start.
const KEYS_KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// So many tasks are looked at together when their time has come without an answer.
const LOOKS: i64 = 256;

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
    states: HashMap<String, SourceState>,
    in_flight: usize,
    done: (mpsc::UnboundedSender<Ended>, mpsc::UnboundedReceiver<Ended>),
}

/// A request that has ended, its answers recorded.
struct Ended {
    source: String,
    /// Whether it was for a page of the list.
    was_list: bool,
    /// Whether it was put with our own key.
    with_ours: bool,
    answers: Answers,
}

/// What one look at the queue came to.
#[derive(Default)]
struct Look {
    begun: usize,
    /// When something may be due next.
    next: Option<Timestamp>,
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
    awaited: Vec<String>,
}

impl Poller {
    /// A poller that has nothing in hand.
    pub fn new(parts: Parts) -> Self {
        Self { parts, lanes: HashMap::new(), states: HashMap::new(), in_flight: 0, done: mpsc::unbounded_channel() }
    }

    /// What the process that was here before was asking is asked again at once, and tasks of sources that
    /// can be asked only now are asked for.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn take_over(&self) -> Result<()> {
        let owner = (!self.parts.store.is_single()).then_some(self.parts.owner.as_str());
        let now = self.parts.clock.now();
        let mut tx = self.parts.store.write().await?;
        tx.void_questions(owner, now).await?;
        for active in self.parts.roster.now().sources.values().filter(|active| active.source.can_ask()) {
            tx.ask_the_unasked(&active.source.name, now).await?;
        }
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
                () = self.parts.wake.notified() => {}
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
        self.know_sources(&roster, now).await?;
        let askable = askable(&roster);
        let names: Vec<&str> = askable.iter().map(|source| source.active.source.name.as_str()).collect();
        let mut tx = self.parts.store.read().await?;
        let looks = tx.due_looks(now, LOOKS).await?;
        let next_look = tx.next_look().await?;
        let next = tx.next_questions(&names).await?;
        tx.commit().await?;
        if looks.is_empty() {
            next_look.into_iter().for_each(|at| look.not_before(at));
        } else {
            look.not_before(now);
            let due = looks.into_iter().map(|(source, task_id)| (source, Reading::Due { task_id }));
            record(&self.parts, &roster, due, now).await;
        }
        for source in &askable {
            self.look_at(source, &roster, &next, now, &mut look).await?;
        }
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
        let due = |vouched: bool| next.iter().find(|next| next.source == *name && next.vouched == vouched);
        while let Some(chosen) = self.choose(source, due(false), due(true), now, look).await? {
            self.begin(source, roster, chosen, now);
            look.begun += 1;
        }
        Ok(())
    }

    /// What is asked next, if there is something to ask and room for it.
    async fn choose(
        &mut self,
        source: &Askable<'_>,
        strangers: Option<&NextAsk>,
        vouched: Option<&NextAsk>,
        now: Timestamp,
        look: &mut Look,
    ) -> Result<Option<Chosen>> {
        let name = &source.active.source.name;
        let Some(lane) = self.lanes.get_mut(name) else { return Ok(None) };
        let lists = source.key.is_some() && source.active.source.poll.discover && source.ask.api().lists;
        if lists && lane.listing.page(now).is_none() {
            look.not_before(lane.listing.due_at);
        }
        for next in [strangers, vouched].into_iter().flatten().filter(|next| next.ask_at > now) {
            look.not_before(next.ask_at);
        }
        let room = lane.room(now);
        let wanted = !lane.singles.is_empty()
            || lists && lane.listing.page(now).is_some()
            || [strangers, vouched].into_iter().flatten().any(|next| next.ask_at <= now);
        match room {
            _ if !wanted => return Ok(None),
            Room::For(_) => {}
            Room::NotBefore(at) => {
                look.not_before(at);
                return Ok(None);
            }
            Room::None => return Ok(None),
        }
        let with_our_key = |asks| Some(Chosen { asks, key: Key::Ours(source.key?.clone()), awaited: Vec::new() });
        if let Some(task_id) = lane.singles.pop_front() {
            lane.begin(now, false);
            return Ok(with_our_key(Asks::One(task_id)));
        }
        let many = if lane.one_by_one || source.key.is_none() { 1 } else { source.ask.api().batch.max(1) };
        let for_strangers = strangers.is_some_and(|next| next.ask_at <= now);
        match lane.room_for_strangers(now) {
            Room::For(_) if for_strangers => {
                if let Some(asks) = self.claim(source, false, many, now).await? {
                    return Ok(Some(asks));
                }
            }
            Room::NotBefore(at) if for_strangers => look.not_before(at),
            _ => {}
        }
        if vouched.is_some_and(|next| next.ask_at <= now)
            && let Some(asks) = self.claim(source, true, many, now).await?
        {
            return Ok(Some(asks));
        }
        let Some(lane) = self.lanes.get_mut(name).filter(|_| lists) else { return Ok(None) };
        let Some(page) = lane.listing.page(now) else { return Ok(None) };
        lane.listing.begun(now.after(TIMEOUT + LEASE_MARGIN));
        lane.begin(now, false);
        Ok(with_our_key(Asks::List(page)))
    }

    async fn claim(
        &mut self,
        source: &Askable<'_>,
        vouched: bool,
        many: usize,
        now: Timestamp,
    ) -> Result<Option<Chosen>> {
        let name = &source.active.source.name;
        let lease = (self.parts.owner.as_str(), now.after(TIMEOUT + LEASE_MARGIN));
        let mut tx = self.parts.store.write().await?;
        let (claimed, key) = loop {
            let claimed = tx.claim_questions(name, vouched, many, now, lease).await?;
            match (source.key_for(&claimed, self.parts.seal.as_deref()), claimed.first()) {
                (None, Some(asked)) => tx.stop_asking(name, &asked.task_id).await?,
                (key, _) => break (claimed, key),
            }
        };
        tx.commit().await?;
        let Some(key) = key else { return Ok(None) };
        let awaited = claimed.iter().filter(|asked| asked.is_awaited).map(|asked| asked.task_id.clone()).collect();
        let mut task_ids: Vec<String> = claimed.into_iter().map(|asked| asked.task_id).collect();
        let asks = match (task_ids.pop(), task_ids.is_empty()) {
            (None, _) => return Ok(None),
            (Some(one), true) => Asks::One(one),
            (Some(last), false) => {
                task_ids.push(last);
                Asks::Many(task_ids)
            }
        };
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.begin(now, !vouched);
        }
        Ok(Some(Chosen { asks, key, awaited }))
    }

    fn begin(&mut self, source: &Askable<'_>, roster: &Arc<Roster>, chosen: Chosen, now: Timestamp) {
        let Chosen { asks, key, awaited } = chosen;
        self.in_flight += 1;
        let name = source.active.source.name.clone();
        let key_works = self.states.get(&name).is_some_and(|state| state.found_at.is_some());
        let question = Question { ask: source.ask, base_url: source.base_url.to_owned(), key, asks, awaited };
        let (parts, roster, done) = (self.parts.clone(), Arc::clone(roster), self.done.0.clone());
        let (was_list, with_ours) = (matches!(question.asks, Asks::List(_)), question.key.is_ours());
        self.parts.life.spawn(async move {
            let mut answers = question.put(&parts.egress, &parts.clock).await;
            let told = std::mem::take(&mut answers.told);
            tracing::debug!(source.name = name, tasks = told.len(), asked_at = %now, "the provider was asked");
            let wait = match answers.went {
                lane::Went::Throttled(wait) => wait,
                _ => Duration::ZERO,
            };
            let readings = told.into_iter().map(|(task_id, told, body)| {
                metrics::counter!("callboard_polls_total", "source" => name.clone(), "said" => word(&told))
                    .increment(1);
                let jitter = rand::rng().random_range(0.0..1.0);
                let key_works = key_works || answers.found;
                (name.clone(), Reading::Answered(Answered { task_id, told, key_works, wait, jitter, body }))
            });
            let received_at = parts.clock.now();
            record(&parts, &roster, readings, received_at).await;
            // The receiver lives as long as the poller, which waits for every one of these.
            let _ = done.send(Ended { source: name, was_list, with_ours, answers });
        });
    }

    async fn ended(&mut self, ended: Ended) {
        self.in_flight -= 1;
        let Ended { source, was_list, with_ours, answers } = ended;
        let now = self.parts.clock.now();
        let roster = self.parts.roster.now();
        if let Some(lane) = self.lanes.get_mut(&source) {
            lane.end(answers.went, now);
            lane.singles.extend(answers.singles.iter().cloned());
            lane.one_by_one |= answers.one_by_one;
            if was_list && answers.listed.is_none() {
                lane.listing.failed(now, every(&roster, &source));
            }
        }
        let noted = if with_ours { self.note(&source, &answers, now).await } else { Ok(()) };
        let listed = match answers.listed {
            Some(rows) => self.listed(&source, &roster, rows, now).await,
            None => Ok(()),
        };
        if let Err(error) = noted.and(listed) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(source.name = source, error, "how the source is faring could not be written down");
        }
    }

    /// Remembers whether the key works, and raises an alert when it is refused.
    async fn note(&mut self, source: &str, answers: &Answers, now: Timestamp) -> Result<()> {
        let Some(state) = self.states.get_mut(source) else { return Ok(()) };
        let before = state.clone();
        if answers.found {
            state.found_at = state.found_at.or(Some(now));
            state.refused = None;
        }
        if let Some(reason) = &answers.refused {
            state.refused.get_or_insert_with(|| (now, reason.clone()));
        }
        if *state == before {
            return Ok(());
        }
        match (&before.refused, &state.refused) {
            (None, Some((_, reason))) => {
                tracing::error!(source.name = source, reason, "the provider refuses the key: check `api_key`");
            }
            (Some(_), None) => tracing::info!(source.name = source, "the provider takes the key again"),
            _ => {}
        }
        metrics::gauge!("callboard_source_refused", "source" => source.to_owned()).set(if state.refused.is_some() {
            1.0
        } else {
            0.0
        });
        write(&self.parts.store, state).await
    }

    /// Adopts what the list shows and nobody told us of.
    async fn listed(&mut self, source: &str, roster: &Arc<Roster>, rows: Vec<Listed>, now: Timestamp) -> Result<()> {
        let (Some(lane), Some(state)) = (self.lanes.get_mut(source), self.states.get_mut(source)) else {
            return Ok(());
        };
        let found = lane.listing.take(rows, state.added_at, state.listed_at, now, every(roster, source));
        let adopted = found.adopt.into_iter().map(|row| (source.to_owned(), Reading::Opened(opened(row))));
        record(&self.parts, roster, adopted, now).await;
        let Some(read_up_to) = found.read_up_to else { return Ok(()) };
        if state.listed_at.is_some_and(|before| before >= read_up_to) {
            return Ok(());
        }
        state.listed_at = Some(read_up_to);
        write(&self.parts.store, state).await
    }

    async fn know_sources(&mut self, roster: &Roster, now: Timestamp) -> Result<()> {
        let names: Vec<&str> = roster.sources.keys().map(String::as_str).collect();
        if names.iter().all(|name| self.states.contains_key(*name)) {
            return Ok(());
        }
        let mut tx = self.parts.store.write().await?;
        let states = tx.source_states(&names, now).await?;
        tx.commit().await?;
        self.states = states.into_iter().map(|state| (state.name.clone(), state)).collect();
        Ok(())
    }
}

fn every(roster: &Roster, source: &str) -> Duration {
    roster.sources.get(source).map_or(LOOK_AT_LEAST_EVERY, |active| active.source.poll.every)
}

async fn write(store: &Store, state: &SourceState) -> Result<()> {
    let mut tx: Tx = store.write().await?;
    tx.note_source(state).await?;
    tx.commit().await
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

/// Records what was learned; what the database cannot take is asked again when its lease ends.
async fn record(
    parts: &Parts,
    roster: &Arc<Roster>,
    readings: impl Iterator<Item = (String, Reading)>,
    received_at: Timestamp,
) {
    let recorded = readings.map(|(source, reading)| {
        let via = if matches!(reading, Reading::Opened(_)) { Via::Relay } else { Via::Poll };
        let (metadata, metadata_origin) = (Metadata::new(), MetadataOrigin::Absent);
        let from = Provenance { via, trust: Trust::SignedBody, metadata, metadata_origin };
        parts.recorder.record(Entry::new(source, reading, from, received_at, None, Arc::clone(roster)))
    });
    let unrecorded = join_all(recorded).await.into_iter().filter(std::result::Result::is_err).count();
    if unrecorded > 0 {
        tracing::warn!(answers = unrecorded, "answers of providers could not be recorded; they are asked for again");
    }
}
