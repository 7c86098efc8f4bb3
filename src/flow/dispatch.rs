//! The dispatcher: claims what is due, sends it, writes down what became of it.
//!
//! The database is the queue: a wake-up carries no data and is only a hint. Nothing is held open in the
//! database while something is sent. What this process had in hand when it died becomes due again by
//! itself, and what it would still write then is refused by the fencing token.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc};

use super::desk::{Desk, Look};
use super::finished::Finished;
use super::forward;
use super::fresh::{Fresh, Handed};
use super::lanes::{Lanes, Offers, Written};
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
    /// Away while it looks.
    desk: Option<Desk>,
    lanes: Lanes,
    /// Ended since the last look.
    finished: Vec<Finished>,
    in_flight: usize,
    done: (mpsc::UnboundedSender<Finished>, mpsc::UnboundedReceiver<Finished>),
    /// From looks, as soon as they have written what had ended.
    written: (mpsc::UnboundedSender<Written>, mpsc::UnboundedReceiver<Written>),
}

/// A look that is under way; the desk is with it.
type Looking = Pin<Box<dyn Future<Output = Looked> + Send>>;

/// A look that has ended, and what it was about.
struct Looked {
    desk: Desk,
    look: Result<Look>,
    roster: Arc<Roster>,
    at: Timestamp,
}

impl Dispatcher {
    /// A dispatcher that has nothing in hand.
    pub fn new(parts: Parts) -> Self {
        let parts = Arc::new(parts);
        let desk = Some(Desk::new(Arc::clone(&parts)));
        let (lanes, finished) = (Lanes::default(), Vec::new());
        let (done, written) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        Self { parts, desk, lanes, finished, in_flight: 0, done, written }
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

    /// Sends until the process stops; then waits for what is in flight and writes it down. It goes on sending while it
    /// looks at the queue.
    pub async fn run(mut self) {
        let soft = self.parts.life.soft().clone();
        let parts = Arc::clone(&self.parts);
        let mut handed = self.parts.fresh.begin();
        self.lanes.work_ahead();
        let mut looking = Some(self.begin_look(true));
        let mut due = tokio::time::Instant::now();
        let (mut wanted, mut hinted) = (false, false);
        while !soft.is_cancelled() {
            let is_looking = looking.is_some();
            tokio::select! {
                () = parts.wake.notified() => (wanted, hinted) = (true, true),
                () = soft.cancelled() => {}
                () = tokio::time::sleep_until(due), if !is_looking => wanted = true,
                Some(ended) = self.done.1.recv() => {
                    self.ended(ended);
                    wanted = true;
                }
                Some(handed) = handed.recv() => self.take(handed),
                Some(written) = self.written.1.recv() => self.wrote(&written),
                looked = end_of(&mut looking) => {
                    looking = None;
                    due = tokio::time::Instant::now() + self.learn(looked);
                }
            }
            while let Ok(ended) = self.done.1.try_recv() {
                self.ended(ended);
            }
            if looking.is_none() && wanted {
                looking = Some(self.begin_look(hinted));
                (wanted, hinted) = (false, false);
            }
        }
        if let Some(looking) = looking {
            self.learn(looking.await);
        }
        self.parts.fresh.close();
        while let Some(handed) = handed.recv().await {
            self.take(handed);
        }
        self.drain().await;
    }

    /// One look at the queue, everything begun by it brought to its end, and written down. Gives how
    /// many were tried.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn tick(&mut self) -> Result<usize> {
        let looked = self.begin_look(true).await;
        let begun = looked.look.as_ref().map_or(0, |look| look.claimed.len());
        self.take_in(looked)?;
        self.wait_for_all().await;
        self.write_down().await?;
        Ok(begun)
    }

    async fn drain(&mut self) {
        // What waits for its turn is left to the next start, or to another instance.
        let returned = self.lanes.give_all_back();
        if let Some(desk) = &mut self.desk {
            desk.take(Vec::new(), returned);
        }
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
        self.lanes.ended(&ended);
        let roster = self.parts.roster.now();
        self.send_to(&ended.claimed.destination, &roster);
        self.finished.push(ended);
    }

    fn wrote(&mut self, written: &Written) {
        self.lanes.written(written);
        let roster = self.parts.roster.now();
        for destination in written.keys() {
            self.send_to(destination, &roster);
        }
    }

    fn note_written(&mut self) {
        while let Ok(written) = self.written.1.try_recv() {
            self.lanes.written(&written);
        }
    }

    fn take(&mut self, handed: Handed) {
        let (roster, now) = (self.parts.roster.now(), self.parts.clock.now());
        let destination = handed.claimed.destination.clone();
        self.lanes.put(handed.claimed, now, &roster);
        self.send_to(&destination, &roster);
    }

    /// Begins a look: what has ended is written down, and what is due is claimed as far as there is room. `hinted` says
    /// that there may be something in the queue.
    fn begin_look(&mut self, hinted: bool) -> Looking {
        let parts = Arc::clone(&self.parts);
        let (roster, now) = (self.parts.roster.now(), self.parts.clock.now());
        let mut desk = self.desk.take().unwrap_or_else(|| Desk::new(Arc::clone(&parts)));
        desk.take(std::mem::take(&mut self.finished), self.lanes.give_back(now));
        let (offers, wrote) = (self.lanes.offers(&roster, now), self.written.0.clone());
        Box::pin(async move {
            let asked = Asked { roster: &roster, now, offers: Some(offers), wrote: &wrote };
            let (desk, look) = look(&parts, desk, asked, hinted).await;
            Looked { desk, look, roster, at: now }
        })
    }

    /// Takes in a look, and sends what it claimed. Gives how long there is nothing to look at.
    fn learn(&mut self, looked: Looked) -> Duration {
        match self.take_in(looked) {
            Ok(next) => {
                let now = self.parts.clock.now();
                next.map_or(LOOK_AT_LEAST_EVERY, |next| next.since(now).min(LOOK_AT_LEAST_EVERY))
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the queue cannot be read; trying again");
                LOOK_AT_LEAST_EVERY
            }
        }
    }

    fn take_in(&mut self, looked: Looked) -> Result<Option<Timestamp>> {
        let Looked { desk, look, roster, at } = looked;
        self.note_written();
        let desk = self.desk.insert(desk);
        self.lanes.learn(&desk.states);
        let Look { claimed, next, behind, .. } = look?;
        for claimed in claimed {
            self.lanes.put(claimed, at, &roster);
        }
        for destination in self.lanes.waiting() {
            self.send_to(&destination, &roster);
        }
        self.parts.fresh.open(self.lanes.places(&behind, self.parts.clock.now()));
        Ok(next)
    }

    /// Writes down what has ended, and claims nothing.
    async fn write_down(&mut self) -> Result<()> {
        let (roster, now) = (self.parts.roster.now(), self.parts.clock.now());
        let Some(mut desk) = self.desk.take() else { return Ok(()) };
        desk.take(std::mem::take(&mut self.finished), Vec::new());
        if !desk.has_something() {
            self.desk = Some(desk);
            return Ok(());
        }
        let asked = Asked { roster: &roster, now, offers: None, wrote: &self.written.0 };
        let (desk, look) = transact(&self.parts, desk, asked).await;
        self.desk = Some(desk);
        self.note_written();
        look.map(drop)
    }

    /// Sends what waits for a destination, as far as there is room.
    fn send_to(&mut self, destination: &str, roster: &Roster) {
        let now = self.parts.clock.now();
        while let Some(claimed) = self.lanes.next(destination, now) {
            self.begin(roster, claimed, now);
        }
    }

    fn begin(&mut self, roster: &Roster, claimed: Claimed, now: Timestamp) {
        self.in_flight += 1;
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

/// Waits for the end of a look; without one, for ever.
async fn end_of(looking: &mut Option<Looking>) -> Looked {
    match looking {
        Some(looking) => looking.await,
        None => std::future::pending().await,
    }
}

/// What a look is about.
struct Asked<'a> {
    roster: &'a Arc<Roster>,
    now: Timestamp,
    /// How much may be taken; `None` where nothing is.
    offers: Option<Offers>,
    /// Told what is written as soon as it is committed: it outlives this process then.
    wrote: &'a mpsc::UnboundedSender<Written>,
}

/// One look at the queue. Without a hint, and with nothing to write, it is first looked whether there is something.
async fn look(parts: &Arc<Parts>, mut desk: Desk, asked: Asked<'_>, hinted: bool) -> (Desk, Result<Look>) {
    let now = asked.now;
    let swept = match sweep_some(parts, asked.roster, now).await {
        Ok(swept) => swept,
        Err(error) => return (desk, Err(error)),
    };
    if !hinted && !desk.has_something() {
        match glance(parts, &mut desk, &asked).await {
            Ok(None) => {}
            Ok(Some(look)) => return (desk, Ok(look.soon(swept.then_some(now)))),
            Err(error) => return (desk, Err(error)),
        }
    }
    let (desk, look) = transact(parts, desk, asked).await;
    (desk, look.map(|look| look.soon(swept.then_some(now))))
}

async fn sweep_some(parts: &Parts, roster: &Roster, now: Timestamp) -> Result<bool> {
    Ok(!roster.sweeps.is_empty() && sweep(&parts.store, roster, now).await?)
}

/// Looks without writing; gives nothing where there is something to be written.
async fn glance(parts: &Parts, desk: &mut Desk, asked: &Asked<'_>) -> Result<Option<Look>> {
    let Some(offers) = &asked.offers else { return Ok(None) };
    let mut tx = parts.store.read().await?;
    let orders = desk.orders(&mut tx, asked.roster, asked.now, offers).await?;
    tx.commit().await?;
    Ok(orders.nothing_to_do())
}

/// One transaction of the desk; what it gives is durable.
async fn transact(parts: &Arc<Parts>, mut desk: Desk, asked: Asked<'_>) -> (Desk, Result<Look>) {
    let Asked { roster, now, offers, wrote } = asked;
    let reserved = match parts.store.reserve().await {
        Ok(reserved) => reserved,
        Err(error) => return (desk, Err(error)),
    };
    let roster = Arc::clone(roster);
    let work = move |tx| async move {
        let looked = desk.look(tx, &roster, now, offers).await;
        (desk, looked)
    };
    // Where the desk does not come back, what had ended is sent again when its lease ends.
    let (mut desk, looked) = match reserved.run(work).await {
        Ok(done) => done,
        Err(error) => return (Desk::new(Arc::clone(parts)), Err(error)),
    };
    let told = async {
        let (mut look, handed) = looked?;
        // Who asked for it may be gone, and the process with it.
        let _ = wrote.send(std::mem::take(&mut look.written));
        handed.synced().await?;
        desk.tell(&mut look);
        Ok(look)
    };
    let look = told.await;
    (desk, look)
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
