//! Those who follow the events as they are committed: each at its own speed, from where it was, with none left out.
//!
//! Nothing is kept in memory for them but one page each: who reads slowly asks the store less often. What is read is
//! read again by the next one; a few reads at a time leave the connections to others.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::access::Scope;
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::event::EventType;
use crate::domain::id::{EventId, ReplayId};
use crate::store::{AimedReplay, EventCursor, Result, Store, TailRow, Tx};

/// So many may listen at once, to one instance.
const LISTENERS: usize = 256;
/// So many of them with one key.
const OF_ONE_KEY: usize = 32;
/// So many read from the store at the same time.
const READERS: usize = 2;
/// So many events are read at once.
const PAGE: usize = 64;
/// So often whoever hears nothing is told the time: proxies end what is silent for a minute, some for 30 s.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Other instances write too, and nobody tells us of it.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// After a wake-up that brought nothing yet: an earlier transaction is about to end.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// An event is committed sooner after it was made, whichever clock made it.
const MARGIN_MILLIS: i64 = 60_000;

/// Lets listeners in, and wakes them. Clones are the same.
#[derive(Clone)]
pub struct Listeners {
    store: Store,
    clock: SharedClock,
    events: watch::Sender<()>,
    soft: CancellationToken,
    readers: Arc<Semaphore>,
    open: Arc<Mutex<HashMap<String, usize>>>,
}

/// No more may listen now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// With this key.
    OfKey(usize),
    /// At all.
    OfAll(usize),
}

/// What a listener wants to hear.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Of these types; none is all.
    pub kinds: Vec<EventType>,
    /// Of these sources; none is all.
    pub sources: Vec<String>,
    /// The name by which replays are aimed at it.
    pub listener: Option<String>,
    /// The event that it had last; without it, what comes from now on.
    pub last: Option<EventId>,
}

impl Wanted {
    fn wants(&self, row: &TailRow) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&row.kind))
            && (self.sources.is_empty() || row.source.as_ref().is_some_and(|source| self.sources.contains(source)))
    }
}

/// What a listener is told next.
#[derive(Clone, Debug)]
pub enum Told {
    /// These events, in the order of their commits.
    Events(Vec<TailRow>),
    /// These, as somebody aimed them at it.
    Replays(Vec<AimedReplay>),
    /// Nothing that it has not heard was made before this moment.
    At(Timestamp),
}

/// A place among the listeners, given back with the value.
struct Place {
    open: Arc<Mutex<HashMap<String, usize>>>,
    key: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(many) = open.get_mut(&self.key) {
            *many -= 1;
            if *many == 0 {
                open.remove(&self.key);
            }
        }
    }
}

impl Listeners {
    /// Listeners to this store, woken by `events`, until the process stops.
    pub fn new(store: Store, clock: SharedClock, events: watch::Sender<()>, soft: CancellationToken) -> Self {
        Self { store, clock, events, soft, readers: Arc::new(Semaphore::new(READERS)), open: Arc::default() }
    }

    /// Wakes all of them.
    pub fn wake(&self) {
        self.events.send_replace(());
    }

    fn enter(&self, key: &str) -> std::result::Result<Place, Full> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= LISTENERS {
            return Err(Full::OfAll(LISTENERS));
        }
        let many = open.entry(key.to_owned()).or_default();
        if *many >= OF_ONE_KEY {
            return Err(Full::OfKey(OF_ONE_KEY));
        }
        *many += 1;
        Ok(Place { open: Arc::clone(&self.open), key: key.to_owned() })
    }

    /// Lets one in, with its key: it hears what it wants from where it was.
    ///
    /// # Errors
    /// [`Full`] where too many listen already; else as the database gives them.
    pub async fn open(&self, key: &str, wanted: Wanted) -> Result<std::result::Result<Listening, Full>> {
        let place = match self.enter(key) {
            Ok(place) => place,
            Err(full) => return Ok(Err(full)),
        };
        let woken = self.events.subscribe();
        let begin = self.begin(wanted.last.as_ref()).await?;
        Ok(Ok(Listening {
            begun_at: ReplayId::new(self.clock.now()).to_string(),
            listeners: self.clone(),
            _place: place,
            wanted,
            cursor: begin.cursor,
            known: begin.known,
            told: Vec::new(),
            rest: Rest::new(woken, Instant::now()),
        }))
    }

    async fn begin(&self, last: Option<&EventId>) -> Result<Begin> {
        let _reading = self.readers.acquire().await;
        let mut tx = self.store.read().await?;
        let Some(last) = last else {
            let end = tx.tail_end().await?;
            let known = tx.beyond(end).await?.into_iter().collect();
            return Ok(Begin { cursor: Some(end), known });
        };
        Ok(Begin { cursor: place_of(&mut tx, last).await?, known: HashSet::new() })
    }
}

/// Where a listener begins.
struct Begin {
    cursor: Option<EventCursor>,
    /// Committed before, and behind that place all the same.
    known: HashSet<String>,
}

/// The place behind an event. If it was pruned, the place behind one that was certainly committed before it: some may
/// come twice then, and none is left out.
async fn place_of(tx: &mut Tx, last: &EventId) -> Result<Option<EventCursor>> {
    if let Some(cursor) = tx.cursor_of(last.as_str()).await? {
        return Ok(Some(cursor));
    }
    let made_at = EventId::made_at(last.as_str()).unwrap_or_default();
    let earlier = EventId::first_of(Timestamp(made_at.0 - MARGIN_MILLIS));
    tx.cursor_before(earlier.as_str()).await
}

/// One who listens.
pub struct Listening {
    listeners: Listeners,
    _place: Place,
    wanted: Wanted,
    cursor: Option<EventCursor>,
    known: HashSet<String>,
    /// Replays that were aimed at it when it began have ids below this one.
    begun_at: String,
    /// Replays that it was told, and that is not noted yet.
    told: Vec<String>,
    rest: Rest,
}

impl Listening {
    /// Looks for what is to be told now, as far as its key may see it. `None` where there is nothing.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn look(&mut self, scope: &Scope) -> Result<Option<Told>> {
        let listeners = self.listeners.clone();
        let Ok(_reading) = listeners.readers.acquire().await else { return Ok(None) };
        self.rest.woken.mark_unchanged();
        self.note_told().await?;
        let now = listeners.clock.now();
        let mut tx = listeners.store.read().await?;
        if let Some(listener) = &self.wanted.listener {
            let aimed = tx.aimed_replays(listener, scope, &self.begun_at, now).await?;
            self.told = aimed.iter().map(|replay| replay.id.clone()).collect();
            if let Some(last) = self.told.last().filter(|last| **last > self.begun_at) {
                self.begun_at.clone_from(last);
            }
            if !aimed.is_empty() {
                return Ok(Some(Told::Replays(aimed)));
            }
        }
        let mut rows = tx.events_after(self.cursor, PAGE).await?;
        drop(tx);
        let Some(last) = rows.last() else { return Ok(None) };
        let (cursor, at) = (last.cursor, last.at);
        rows.retain(|row| {
            self.wanted.wants(row)
                && sees(scope, row.source.as_deref(), row.team.as_deref())
                && !self.known.remove(&row.id)
        });
        self.cursor = Some(cursor);
        self.rest.pause = LOOK_AGAIN_AFTER;
        // Much may go by that is not for this one: it hears how far that is.
        Ok(Some(if rows.is_empty() { Told::At(at) } else { Told::Events(rows) }))
    }

    async fn note_told(&mut self) -> Result<()> {
        if self.told.is_empty() {
            return Ok(());
        }
        let mut tx = self.listeners.store.write().await?;
        tx.note_aimed(&self.told, self.listeners.clock.now());
        tx.commit().await?;
        self.told.clear();
        Ok(())
    }

    /// Waits until it may be worth looking again. Gives what is to be told meanwhile; `Err` where the process stops.
    pub async fn rest(&mut self) -> std::result::Result<Option<Told>, Stopped> {
        let soft = self.listeners.soft.clone();
        tokio::select! {
            biased;
            () = soft.cancelled() => Err(Stopped),
            woken = self.rest.next() => Ok((woken == Woken::Heartbeat).then(|| Told::At(self.listeners.clock.now()))),
        }
    }

    /// Whether the process stops.
    pub fn is_stopped(&self) -> bool {
        self.listeners.soft.is_cancelled()
    }
}

/// The process stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped;

fn sees(scope: &Scope, source: Option<&str>, team: Option<&str>) -> bool {
    *scope == Scope::All
        || source.is_some_and(|name| scope.sees_source(name))
        || team.is_some_and(|name| scope.sees_team(name))
}

/// How a listener waits.
struct Rest {
    woken: watch::Receiver<()>,
    /// When it is told the time.
    beat_at: Instant,
    /// How long before it looks again by itself; longer each time.
    pause: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Woken {
    /// There may be something.
    Look,
    /// It has heard nothing for a while.
    Heartbeat,
}

impl Rest {
    fn new(woken: watch::Receiver<()>, now: Instant) -> Self {
        Self { woken, beat_at: now, pause: LOOK_AGAIN_AFTER }
    }

    async fn next(&mut self) -> Woken {
        let (at, what) = self.planned(Instant::now());
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(at) => {
                self.passed(at, what);
                what
            }
            Ok(()) = self.woken.changed() => {
                self.pause = LOOK_AGAIN_AFTER;
                Woken::Look
            }
        }
    }

    /// What it waits for, if nobody wakes it.
    fn planned(&self, now: Instant) -> (Instant, Woken) {
        let look_at = now + self.pause;
        if self.beat_at <= look_at { (self.beat_at, Woken::Heartbeat) } else { (look_at, Woken::Look) }
    }

    fn passed(&mut self, at: Instant, what: Woken) {
        match what {
            Woken::Heartbeat => self.beat_at = at + HEARTBEAT,
            Woken::Look => self.pause = (self.pause * 2).min(LOOK_AT_LEAST_EVERY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_told_the_time_every_15_seconds_and_looks_each_second_between() {
        let woken = watch::Sender::new(());
        let begun = Instant::now();
        let mut rest = Rest::new(woken.subscribe(), begun);
        let (mut now, mut beats, mut looks) = (begun, Vec::new(), Vec::new());
        while beats.len() < 3 {
            let (at, what) = rest.planned(now);
            match what {
                Woken::Heartbeat => beats.push((at - begun).as_secs()),
                Woken::Look => looks.push((at - now).as_millis()),
            }
            rest.passed(at, what);
            now = at;
        }
        assert_eq!(beats, [0, 15, 30]);
        assert_eq!(looks[..8], [20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(looks.iter().all(|millis| *millis <= 1000) && looks.len() > 25, "{looks:?}");
    }

    #[tokio::test]
    async fn a_wake_up_is_never_lost_and_brings_it_back_to_short_pauses() {
        let woken = watch::Sender::new(());
        let mut rest = Rest::new(woken.subscribe(), Instant::now());
        assert_eq!(rest.next().await, Woken::Heartbeat, "at once");
        rest.pause = Duration::from_secs(3600);
        // Before anybody waits.
        woken.send_replace(());
        assert_eq!((rest.next().await, rest.pause), (Woken::Look, LOOK_AGAIN_AFTER));
    }
}
