//! The dispatcher: claims what is due, sends it, writes down what became of it.
//!
//! The database is the queue: a wake-up carries no data and is only a hint. Nothing is held open in the
//! database while something is sent. What this process had in hand when it died becomes due again by
//! itself, and what it would still write then is refused by the fencing token.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc};

use super::finished::{Finished, settled, tell};
use super::forward::{self, is_url_lane};
use super::lane::{Lane, Room};
use super::notice::Notices;
use super::roster::{LiveRoster, Roster};
use super::sweep::{is_swept, sweep};
use super::trouble::{self, Made, Tally};
use crate::channels::{Message, Sender};
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::delivery::{Outcome, Report};
use crate::domain::retry::{FAILURES_BEFORE_DISABLING, RetryPolicy};
use crate::shutdown::Lifecycle;
use crate::store::{Claimed, DestinationState, Lease, Result, Settled, Store, Tx};

/// A lease outlives the try by this, so that the settlement is in before the next claim; with the look
/// of every [`LOOK_AT_LEAST_EVERY`] another instance takes over within `delivery.timeout` + 15 s.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// Without a wake-up the queue is looked at this often: other instances write to it too.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// The name under which replays to a URL wait: no destination can have it.
pub const URL_LANE: &str = "@url";

/// What the dispatcher works with.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Who is there.
    pub roster: Arc<LiveRoster>,
    /// The time.
    pub clock: SharedClock,
    /// When a failed delivery is tried again.
    pub policy: RetryPolicy,
    /// How long one try may take.
    pub timeout: Duration,
    /// Which process this is, by host and address.
    pub owner: String,
    /// Who watches.
    pub notices: Notices,
    /// Notified when there may be something to do.
    pub wake: Arc<Notify>,
    /// The life of the process.
    pub life: Lifecycle,
}

/// Sends what is due.
pub struct Dispatcher {
    parts: Parts,
    lanes: HashMap<String, Lane>,
    states: HashMap<String, DestinationState>,
    /// Ended, and not yet written down.
    finished: Vec<Finished>,
    /// When it was looked whether something is held that should not be.
    held_looked_at: Option<Timestamp>,
    in_flight: usize,
    done: (mpsc::UnboundedSender<Finished>, mpsc::UnboundedReceiver<Finished>),
}

/// What one look at the queue came to.
struct Look {
    begun: usize,
    /// When something may be due next.
    next: Option<Timestamp>,
}

impl Dispatcher {
    /// A dispatcher that has nothing in hand.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            lanes: HashMap::new(),
            states: HashMap::new(),
            finished: Vec::new(),
            held_looked_at: None,
            in_flight: 0,
            done: mpsc::unbounded_channel(),
        }
    }

    /// What the process that was here before had in hand is due at once: on SQLite all that is leased,
    /// on PostgreSQL what was leased from this host and address.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn take_over(&self) -> Result<()> {
        let owner = (!self.parts.store.is_single()).then_some(self.parts.owner.as_str());
        let mut tx = self.parts.store.write().await?;
        let many = tx.void_leases(owner, self.parts.clock.now()).await?;
        tx.commit().await?;
        if many > 0 {
            tracing::info!(deliveries = many, "taken up again what the last process had in hand");
        }
        Ok(())
    }

    /// Sends until the process stops; then waits for what is in flight and writes it down.
    pub async fn run(mut self) {
        let soft = self.parts.life.soft().clone();
        while !soft.is_cancelled() {
            let wait = match self.look(true).await {
                Ok(look) => self.until(look.next),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the queue cannot be read; trying again");
                    LOOK_AT_LEAST_EVERY
                }
            };
            tokio::select! {
                () = self.parts.wake.notified() => {}
                () = soft.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                Some(ended) = self.done.1.recv() => self.ended(ended),
            }
            while let Ok(ended) = self.done.1.try_recv() {
                self.ended(ended);
            }
        }
        self.drain().await;
    }

    /// One look at the queue, everything begun by it brought to its end, and written down. Gives how
    /// many were tried.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn tick(&mut self) -> Result<usize> {
        let look = self.look(true).await?;
        self.wait_for_all().await;
        self.look(false).await?;
        Ok(look.begun)
    }

    async fn drain(&mut self) {
        self.wait_for_all().await;
        if let Err(error) = self.look(false).await {
            // Their leases end, and the next start sends them again.
            tracing::error!(error = &error as &dyn std::error::Error, "the last attempts could not be written down");
        }
    }

    async fn wait_for_all(&mut self) {
        while self.in_flight > 0 {
            let Some(ended) = self.done.1.recv().await else { return };
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: Finished) {
        self.in_flight -= 1;
        if let Some(lane) = self.lanes.get_mut(&ended.claimed.destination) {
            // The URLs of replays share a lane, and one that wants rest must not slow the others.
            let shared = ended.claimed.url.is_some();
            lane.end(if shared { &Outcome::Interrupted } else { &ended.report.outcome });
        }
        self.finished.push(ended);
    }

    fn until(&self, next: Option<Timestamp>) -> Duration {
        let now = self.parts.clock.now();
        next.map_or(LOOK_AT_LEAST_EVERY, |next| next.since(now).min(LOOK_AT_LEAST_EVERY))
    }

    /// Writes down what has ended, and claims what is due as far as there is room.
    async fn look(&mut self, claim: bool) -> Result<Look> {
        let roster = self.parts.roster.now();
        let now = self.parts.clock.now();
        let mut look = Look { begun: 0, next: None };
        if claim && !roster.sweeps.is_empty() && sweep(&self.parts.store, &roster, now).await? {
            look.next = Some(now);
        }
        let writes = !self.finished.is_empty();
        let mut tx = if writes { self.parts.store.write().await? } else { self.parts.store.read().await? };
        let (settled, made) = self.write_down(&mut tx, &roster, now).await?;
        let mut ids = Vec::new();
        if claim {
            let backlog = tx.backlog().await?;
            self.take_states(tx.destination_states().await?);
            let mut orders = self.plan(&roster, backlog, now, &mut look);
            orders.extend(self.held_too_long(&mut tx, &roster, now, &mut look).await?);
            if !writes && !orders.is_empty() {
                drop(tx);
                tx = self.parts.store.write().await?;
            }
            ids = self.carry_out(&mut tx, orders, now).await?;
        }
        let claimed = tx.claimed(&ids).await?;
        if claimed.len() < ids.len() {
            tx.remove_orphans(&ids).await?;
        }
        tx.commit().await?;
        for (ended, settled) in std::mem::take(&mut self.finished).iter().zip(&settled) {
            tell(&self.parts.notices, ended, settled);
        }
        trouble::tell(&self.parts.notices, made);
        look.begun = claimed.len();
        for delivery in claimed {
            self.begin(&roster, delivery, now);
        }
        Ok(look)
    }

    async fn carry_out(&self, tx: &mut Tx, orders: Vec<(String, Order)>, now: Timestamp) -> Result<Vec<String>> {
        let until = now.after(self.parts.timeout + LEASE_MARGIN);
        let lease = Lease { owner: self.parts.owner.clone(), until };
        let mut ids = Vec::new();
        for (name, order) in orders {
            match order {
                Order::Hold(reason) => tx.hold(&name, &reason).await?,
                Order::Release => tx.release(&name, now).await?,
                Order::Claim(many) => ids.extend(tx.claim(&name, many, now, &lease).await?),
            }
        }
        Ok(ids)
    }

    fn take_states(&mut self, states: Vec<DestinationState>) {
        self.states = states.into_iter().map(|state| (state.name.clone(), state)).collect();
    }

    /// What to claim from the backlog, and when to look again at what cannot be claimed yet.
    fn plan(
        &mut self,
        roster: &Roster,
        backlog: Vec<(String, Timestamp)>,
        now: Timestamp,
        look: &mut Look,
    ) -> Vec<(String, Order)> {
        let mut wanted = Vec::new();
        for (name, due_at) in backlog {
            let Some(limits) = limits(roster, &name) else { continue };
            let state = self.states.get(&name);
            if let Some((_, reason)) = state.and_then(|state| state.disabled.as_ref()) {
                wanted.push((name, Order::Hold(reason.clone())));
                continue;
            }
            let lane = self.lanes.entry(name.clone()).or_insert_with(|| Lane::new(limits));
            lane.limit(limits);
            lane.set_state(false, state.and_then(|state| state.paused_until));
            let later = match lane.room(now) {
                _ if due_at > now => Some(due_at),
                Room::For(many) => {
                    wanted.push((name, Order::Claim(many)));
                    None
                }
                Room::NotBefore(at) => Some(at),
                Room::None => None,
            };
            look.next = look.next.into_iter().chain(later).min();
        }
        wanted
    }

    /// What is held of destinations that are enabled: more than was released at once, or written by somebody who did
    /// not know yet.
    async fn held_too_long(
        &mut self,
        tx: &mut Tx,
        roster: &Roster,
        now: Timestamp,
        look: &mut Look,
    ) -> Result<Vec<(String, Order)>> {
        if self.held_looked_at.is_some_and(|at| now.since(at) < LOOK_AT_LEAST_EVERY) {
            return Ok(Vec::new());
        }
        let enabled = |name: &String| self.states.get(name).is_none_or(|state| state.disabled.is_none());
        let mut holding = tx.holding().await?;
        holding.retain(|name| enabled(name) && roster.targets.contains_key(name) && !is_swept(roster, name));
        if holding.is_empty() {
            self.held_looked_at = Some(now);
        } else {
            look.next = Some(now);
        }
        Ok(holding.into_iter().map(|name| (name, Order::Release)).collect())
    }

    fn begin(&mut self, roster: &Roster, claimed: Claimed, now: Timestamp) {
        self.in_flight += 1;
        if let Some(lane) = self.lanes.get_mut(&claimed.destination) {
            lane.begin(1, now);
        }
        let sender = sender(roster, self.parts.roster.as_ref(), &claimed);
        let (parts, done) = (self.parts.clone(), self.done.0.clone());
        self.parts.life.spawn(async move {
            let started = tokio::time::Instant::now();
            let report = match sender {
                _ if claimed.superseded => superseded(),
                Ok(sender) => {
                    // A panic in a channel must not keep its place in the lane, nor hold up a stop.
                    let tried = AssertUnwindSafe(attempt(&parts, sender, &claimed, now)).catch_unwind().await;
                    tried.unwrap_or_else(|_| Report::of(Outcome::Failed { reason: "the channel panicked".into() }))
                }
                Err(reason) => Report::of(Outcome::Rejected { reason }),
            };
            // The receiver lives as long as the dispatcher, which waits for every one of these.
            let _ = done.send(Finished { claimed, report, started_at: now, duration: started.elapsed() });
        });
    }

    async fn write_down(&self, tx: &mut Tx, roster: &Roster, now: Timestamp) -> Result<(Vec<Settled>, Vec<Made>)> {
        if self.finished.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let settled: Vec<Settled> = self.finished.iter().map(|ended| settled(ended, &self.parts.policy, now)).collect();
        // By name, so that two instances note them in the same order. Behind a lane of URLs there is no destination
        // that could be well or ill.
        let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
        for (ended, settled) in self.finished.iter().zip(&settled) {
            if !is_url_lane(&ended.claimed.destination) {
                let tally = tallies.entry(&ended.claimed.destination).or_default();
                tally.count(&ended.claimed, &ended.report.outcome, &settled.settlement);
            }
        }
        let failing = |name: &str| self.states.get(name).is_some_and(|state| state.failures > 0);
        let names: Vec<_> = tallies.iter().map(|(&name, tally)| (name, tally.is_ill() || failing(name))).collect();
        // Before any delivery is written: who disables a destination has its row and then wants its deliveries.
        let before = tx.lock_destination_states(&names).await?;
        let late = tx.settle(&settled, now).await?;
        if !late.is_empty() {
            metrics::counter!("callboard_settlements_fenced_total").increment(late.len() as u64);
            tracing::warn!(deliveries = late.len(), "settled too late: their leases had passed to another process");
        }
        for (ended, settled) in self.finished.iter().zip(&settled) {
            let name = ended.claimed.destination.as_str();
            // One that is nobody's any more is in no trouble.
            let counts = !late.contains(&settled.delivery_id) && roster.targets.contains_key(name);
            if let Some(tally) = tallies.get_mut(name).filter(|_| counts) {
                tally.count_death(&ended.claimed, &settled.settlement);
            }
        }
        let made = self.note_destinations(tx, roster, &tallies, &before, now).await?;
        Ok((settled, made))
    }

    /// Notes how the destinations are faring: well again, failing, asking to be left alone, or no more. Gives what
    /// their teams are told of it.
    async fn note_destinations(
        &self,
        tx: &mut Tx,
        roster: &Roster,
        tallies: &BTreeMap<&str, Tally>,
        before: &[DestinationState],
        now: Timestamp,
    ) -> Result<Vec<Made>> {
        let mut made = Vec::new();
        for (&name, tally) in tallies {
            let failing = self.states.get(name).is_some_and(|state| state.failures > 0);
            let (mut disable, mut failed) = (tally.disable.clone(), None);
            if tally.delivered && failing {
                tx.note_success(name).await?;
            } else if tally.failures > 0 && !tally.delivered {
                let (since, failures) = tx.note_failures(name, tally.failures, now).await?;
                let too_long = now.since(since) >= self.parts.policy.disable_after;
                if too_long && failures >= FAILURES_BEFORE_DISABLING {
                    disable = disable.or_else(|| Some(format!("only failures since {since}")));
                }
                failed = Some((since, failures));
            }
            if let Some(until) = tally.pause_until {
                tx.pause(name, until).await?;
            }
            if let Some(reason) = &disable {
                if tx.disable(name, reason, now).await? {
                    metrics::counter!("callboard_destinations_disabled_total").increment(1);
                    tracing::warn!(
                        destination = name,
                        reason,
                        "the destination is disabled; what waits for it is held"
                    );
                } else {
                    disable = None;
                }
            }
            // Who has no row is well, and no worse than before.
            let Some(before) = before.iter().find(|state| state.name == name) else { continue };
            let mut trouble = before.trouble;
            let news = trouble.take(&tally.faring(before, failed, disable.as_deref()), now);
            if trouble != before.trouble {
                tx.save_trouble(name, &trouble).await?;
                made.extend(trouble::write_news(tx, roster, name, news, now));
            }
        }
        Ok(made)
    }
}

enum Order {
    Claim(usize),
    Hold(String),
    Release,
}

fn limits(roster: &Roster, name: &str) -> Option<crate::channels::Limits> {
    match roster.targets.get(name) {
        Some(target) => Some(target.limits),
        None if is_url_lane(name) => crate::channels::channel("webhook").map(|channel| channel.limits()),
        None => None,
    }
}

/// Who sends it: its destination; for a replay to a URL a webhook made for the purpose; for a client who gets a
/// callback handed on, its bytes.
fn sender(roster: &Roster, live: &LiveRoster, claimed: &Claimed) -> std::result::Result<Arc<dyn Sender>, String> {
    match &claimed.url {
        Some(url) if let Some(forwarded) = &claimed.forwarded => forward::sender(url, forwarded, live.house()),
        Some(url) => super::replay::url_sender(url, &roster.replay_secret, live.house()),
        None => match roster.targets.get(&claimed.destination) {
            Some(target) => Ok(Arc::clone(&target.sender)),
            None => Err("destination removed".into()),
        },
    }
}

fn superseded() -> Report {
    Report::of(Outcome::Rejected { reason: "not sent: a later event tells this destination how the task ended".into() })
}

async fn attempt(parts: &Parts, sender: Arc<dyn Sender>, claimed: &Claimed, now: Timestamp) -> Report {
    let message = Message {
        event_id: claimed.event_id.clone(),
        kind: claimed.event_type.clone(),
        at: claimed.event_at,
        body: claimed.event_body.clone(),
        replay_id: claimed.replay_id.clone(),
        now,
        timeout: parts.timeout,
        parts_done: claimed.parts_done.clone(),
    };
    // The channel keeps its own deadline; this one is for a channel that does not.
    let deadline = parts.timeout + LEASE_MARGIN / 2;
    tokio::select! {
        sent = tokio::time::timeout(deadline, sender.send(&message)) => sent.unwrap_or_else(|_| {
            Report::of(Outcome::Failed { reason: format!("no end within {} s", deadline.as_secs()) })
        }),
        () = parts.life.hard().cancelled() => Report::of(Outcome::Interrupted),
    }
}
