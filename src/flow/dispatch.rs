//! The dispatcher: claims what is due, sends it, writes down what became of it.
//!
//! The database is the queue: a wake-up carries no data and is only a hint. Nothing is held open in the
//! database while something is sent. What this process had in hand when it died becomes due again by
//! itself, and what it would still write then is refused by the fencing token.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, mpsc};

use super::desk::{Desk, Look};
use super::finished::Finished;
use super::forward;
use super::fresh::{Fresh, Handed};
use super::notice::Notices;
use super::roster::{LiveRoster, Roster};
use super::sweep::sweep;
use crate::channels::{Message, Sender};
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::delivery::{Outcome, Report};
use crate::domain::retry::RetryPolicy;
use crate::shutdown::Lifecycle;
use crate::store::{Claimed, Result, Store};

/// A lease outlives the try by this, so that the settlement is in before the next claim; with the look
/// of every [`LOOK_AT_LEAST_EVERY`] another instance takes over within `delivery.timeout` + 15 s.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// Without a wake-up the queue is looked at this often: other instances write to it too.
pub(super) const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// The name under which replays to a URL wait: no destination can have it.
pub const URL_LANE: &str = "@url";

/// How long a delivery is leased for, where one try may take so long.
pub fn lease_for(timeout: Duration) -> Duration {
    timeout + LEASE_MARGIN
}

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
    /// Where deliveries come from that were made this moment.
    pub fresh: Fresh,
    /// The life of the process.
    pub life: Lifecycle,
}

/// Sends what is due.
pub struct Dispatcher {
    parts: Arc<Parts>,
    /// Away only while a look is being written.
    desk: Option<Desk>,
    in_flight: usize,
    done: (mpsc::UnboundedSender<Finished>, mpsc::UnboundedReceiver<Finished>),
}

impl Dispatcher {
    /// A dispatcher that has nothing in hand.
    pub fn new(parts: Parts) -> Self {
        let parts = Arc::new(parts);
        Self { desk: Some(Desk::new(Arc::clone(&parts))), parts, in_flight: 0, done: mpsc::unbounded_channel() }
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
        let mut handed = self.parts.fresh.begin();
        let mut hinted = false;
        while !soft.is_cancelled() {
            let wait = match self.look(hinted).await {
                Ok((_, next)) => self.until(next),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the queue cannot be read; trying again");
                    LOOK_AT_LEAST_EVERY
                }
            };
            self.open_places();
            hinted = self.wait(wait, &mut handed).await;
        }
        self.parts.fresh.close();
        while let Some(handed) = handed.recv().await {
            self.take(handed);
        }
        self.drain().await;
    }

    /// Waits until the queue is to be looked at again, and sends meanwhile what was made this moment. Gives whether
    /// there may be something in the queue.
    async fn wait(&mut self, wait: Duration, handed: &mut UnboundedReceiver<Handed>) -> bool {
        let soft = self.parts.life.soft().clone();
        let parts = Arc::clone(&self.parts);
        let mut waited = std::pin::pin!(tokio::time::sleep(wait));
        let hinted = loop {
            tokio::select! {
                () = parts.wake.notified() => break true,
                () = soft.cancelled() => break false,
                () = &mut waited => break false,
                Some(ended) = self.done.1.recv() => {
                    self.ended(ended);
                    break false;
                }
                Some(handed) = handed.recv() => self.take(handed),
            }
        };
        while let Ok(ended) = self.done.1.try_recv() {
            self.ended(ended);
        }
        hinted
    }

    fn take(&mut self, handed: Handed) {
        let (roster, now) = (self.parts.roster.now(), self.parts.clock.now());
        self.begin(&roster, handed.claimed, now);
    }

    fn open_places(&mut self) {
        let (roster, now) = (self.parts.roster.now(), self.parts.clock.now());
        if let Some(desk) = &mut self.desk {
            self.parts.fresh.open(desk.rooms(&roster, now));
        }
    }

    /// One look at the queue, everything begun by it brought to its end, and written down. Gives how
    /// many were tried.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn tick(&mut self) -> Result<usize> {
        let (begun, _) = self.look(true).await?;
        self.wait_for_all().await;
        self.write_down().await?;
        Ok(begun)
    }

    async fn drain(&mut self) {
        self.wait_for_all().await;
        if let Err(error) = self.write_down().await {
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
        if let Some(desk) = &mut self.desk {
            desk.ended(ended);
        }
    }

    fn until(&self, next: Option<Timestamp>) -> Duration {
        let now = self.parts.clock.now();
        next.map_or(LOOK_AT_LEAST_EVERY, |next| next.since(now).min(LOOK_AT_LEAST_EVERY))
    }

    /// Writes down what has ended, and sends what is due as far as there is room. Gives how many were begun, and when
    /// something may be due next. `hinted` says that there may be something; without, and with nothing to write, it is
    /// first looked whether there is.
    async fn look(&mut self, hinted: bool) -> Result<(usize, Option<Timestamp>)> {
        let roster = self.parts.roster.now();
        let now = self.parts.clock.now();
        let swept = !roster.sweeps.is_empty() && sweep(&self.parts.store, &roster, now).await?;
        let soon = swept.then_some(now);
        if let Some(desk) = self.desk.as_mut().filter(|desk| !hinted && !desk.has_finished()) {
            let mut tx = self.parts.store.read().await?;
            let (orders, next) = desk.orders(&mut tx, &roster, now).await?;
            tx.commit().await?;
            if orders.is_empty() {
                return Ok((0, soon.or(next)));
            }
        }
        let look = self.transact(&roster, now, true).await?;
        let begun = look.claimed.len();
        for delivery in look.claimed {
            self.begin(&roster, delivery, now);
        }
        Ok((begun, soon.or(look.next)))
    }

    async fn write_down(&mut self) -> Result<()> {
        if self.desk.as_ref().is_some_and(Desk::has_finished) {
            let (roster, now) = (self.parts.roster.now(), self.parts.clock.now());
            self.transact(&roster, now, false).await?;
        }
        Ok(())
    }

    /// One transaction of the desk; what it gives is durable.
    async fn transact(&mut self, roster: &Arc<Roster>, now: Timestamp, claim: bool) -> Result<Look> {
        let reserved = self.parts.store.reserve().await?;
        let Some(mut desk) = self.desk.take() else { return Ok(Look::default()) };
        let roster = Arc::clone(roster);
        let work = move |tx| async move {
            let looked = desk.look(tx, &roster, now, claim).await;
            (desk, looked)
        };
        let (desk, looked) = reserved.run(work).await?;
        let desk = self.desk.insert(desk);
        let (mut look, handed) = looked?;
        handed.synced().await?;
        desk.tell(&mut look);
        Ok(look)
    }

    fn begin(&mut self, roster: &Roster, claimed: Claimed, now: Timestamp) {
        self.in_flight += 1;
        if let Some(desk) = &mut self.desk {
            desk.begun(&claimed.destination, now);
        }
        let sender = sender(roster, self.parts.roster.as_ref(), &claimed);
        let (parts, done) = (Arc::clone(&self.parts), self.done.0.clone());
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
