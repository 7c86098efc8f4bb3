//! Fresh deliveries: what was committed this moment goes to the dispatcher without being read again.
//!
//! The row is the truth, and memory the shortcut: such a delivery is written as one that this process holds the lease
//! of, as if it had been claimed. The dispatcher opens a place for each that it could send at once; whoever writes a
//! delivery takes one, and gives it back where nothing comes of it. What finds no place waits in the database, and goes
//! first.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::fold::Fold;
use crate::domain::clock::Timestamp;
use crate::domain::event::{Event, EventType};
use crate::domain::id::EventId;
use crate::store::{Claimed, Lease, NewDelivery, Result, Tx};

/// The way from who writes deliveries to the dispatcher. Clones are the same; the default is one that nobody opens.
#[derive(Clone, Debug, Default)]
pub struct Fresh {
    owner: Arc<str>,
    lease_for: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// To the dispatcher; `None` where none is sending.
    way: Option<UnboundedSender<Handed>>,
    places: HashMap<String, Places>,
}

/// The places of one destination.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    /// So many may be taken.
    open: usize,
    /// So many were, and the dispatcher does not count them yet.
    taken: usize,
}

/// A delivery that is to be sent, handed to the dispatcher.
#[derive(Debug)]
pub(super) struct Handed {
    /// What is to be sent.
    pub(super) claimed: Claimed,
    /// Given back when the dispatcher counts it itself.
    place: Place,
}

/// A place that was taken; given back when it is dropped.
#[derive(Debug)]
struct Place {
    fresh: Fresh,
    destination: String,
    way: UnboundedSender<Handed>,
}

/// Deliveries that are written with leases, and go to the dispatcher once that is durable.
#[derive(Debug, Default)]
pub struct Hand {
    handed: Vec<Handed>,
    lease: Option<Lease>,
}

impl Fresh {
    /// A way that nobody has opened; what is handed over is leased by `owner` for so long.
    pub fn new(owner: &str, lease_for: Duration) -> Self {
        Self { owner: owner.into(), lease_for, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is handed over from now on. It ends once this is closed and every place was given back.
    pub(super) fn begin(&self) -> UnboundedReceiver<Handed> {
        let (way, handed) = unbounded_channel();
        *self.state() = State { way: Some(way), places: HashMap::new() };
        handed
    }

    /// Opens so many places for each of these destinations, with those that are taken, and none for any other.
    pub(super) fn open(&self, rooms: impl IntoIterator<Item = (String, usize)>) {
        let mut state = self.state();
        state.places.retain(|_, places| {
            places.open = 0;
            places.taken > 0
        });
        for (destination, room) in rooms {
            let places = state.places.entry(destination).or_default();
            places.open = room.saturating_sub(places.taken);
        }
    }

    /// Opens no more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.way = None;
        state.places.values_mut().for_each(|places| places.open = 0);
    }

    fn take(&self, destination: &str) -> Option<Place> {
        let mut state = self.state();
        let way = state.way.clone()?;
        let places = state.places.get_mut(destination).filter(|places| places.open > 0)?;
        (places.open, places.taken) = (places.open - 1, places.taken + 1);
        Some(Place { fresh: self.clone(), destination: destination.to_owned(), way })
    }

    /// Takes places for what a batch is about to write. What has found one is to be written with the lease.
    ///
    /// # Errors
    /// As the database gives them.
    pub(super) async fn hand(&self, tx: &mut Tx, fold: &Fold, now: Timestamp) -> Result<Hand> {
        let events: HashMap<&EventId, &Arc<Event>> = fold.events.iter().map(|(event, _)| (&event.id, event)).collect();
        let mut handed: Vec<Handed> = fold
            .deliveries
            .iter()
            .filter_map(|delivery| {
                let event = events.get(&delivery.event_id).filter(|event| tells_the_latest(event, fold))?;
                let place = self.take(&delivery.destination)?;
                Some(Handed { claimed: claimed(delivery, event), place })
            })
            .collect();
        if !handed.is_empty() {
            let names: HashSet<&str> = handed.iter().map(|handed| handed.claimed.destination.as_str()).collect();
            // It is held then.
            let disabled = tx.disabled(&names).await?;
            handed.retain(|handed| !disabled.contains(&handed.claimed.destination));
        }
        let lease = Lease { owner: self.owner.to_string(), until: now.after(self.lease_for) };
        Ok(Hand { lease: Some(lease).filter(|_| !handed.is_empty()), handed })
    }
}

impl Hand {
    /// Each delivery with the lease with which it is written, where it is in the hand.
    pub(super) fn leased(
        &self,
        deliveries: impl IntoIterator<Item = NewDelivery>,
    ) -> impl Iterator<Item = (NewDelivery, Option<Lease>)> {
        // They are in the order in which they were looked at.
        let mut handed = self.handed.iter().peekable();
        deliveries.into_iter().map(move |delivery| {
            let is_in_it = handed.next_if(|handed| handed.claimed.id == delivery.id.as_str()).is_some();
            (delivery, self.lease.clone().filter(|_| is_in_it))
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.handed.len()
    }

    /// Hands them over, now that they are durable.
    pub(super) fn over(self) {
        for handed in self.handed {
            let way = handed.place.way.clone();
            // Where nobody takes it, its lease ends.
            let _ = way.send(handed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(places) = self.fresh.state().places.get_mut(&self.destination) {
            places.taken = places.taken.saturating_sub(1);
        }
    }
}

/// Whether no later event tells how its task ended: then it would not be sent.
fn tells_the_latest(event: &Event, fold: &Fold) -> bool {
    event.kind != EventType::TaskProcessing || !fold.is_over(event)
}

/// A delivery as a claim would give it.
fn claimed(delivery: &NewDelivery, event: &Event) -> Claimed {
    Claimed {
        id: delivery.id.to_string(),
        destination: delivery.destination.clone(),
        lease: 1,
        failures: 0,
        attempts: 0,
        replay_id: None,
        url: None,
        parts_done: Vec::new(),
        superseded: false,
        event_id: event.id.to_string(),
        event_type: event.kind.as_str().to_owned(),
        event_at: event.at,
        event_body: event.body.clone(),
        forwarded: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(room: usize) -> [(String, usize); 1] {
        [("backend".to_owned(), room)]
    }

    #[test]
    fn as_many_are_taken_as_are_open_and_none_before_somebody_sends() {
        let fresh = Fresh::default();
        fresh.open(rooms(2));
        assert!(fresh.take("backend").is_none(), "nobody sends");
        let _handed = fresh.begin();
        assert!(fresh.take("backend").is_none(), "nothing is open");
        fresh.open(rooms(2));
        let taken = [fresh.take("backend"), fresh.take("backend")];
        assert!(taken.iter().all(Option::is_some));
        assert!(fresh.take("backend").is_none() && fresh.take("other").is_none());
    }

    #[test]
    fn what_is_taken_counts_until_it_is_given_back() {
        let fresh = Fresh::default();
        let _handed = fresh.begin();
        fresh.open(rooms(2));
        let taken = fresh.take("backend");
        fresh.open(rooms(2));
        let second = fresh.take("backend");
        assert!(second.is_some() && fresh.take("backend").is_none());
        drop((taken, second));
        assert!(fresh.take("backend").is_none(), "it is open when the dispatcher says so");
        fresh.open(rooms(2));
        assert!(fresh.take("backend").is_some());
        fresh.open([]);
        assert!(fresh.take("backend").is_none());
    }

    #[tokio::test]
    async fn once_closed_it_ends_when_every_place_was_given_back() {
        let fresh = Fresh::default();
        let mut handed = fresh.begin();
        fresh.open(rooms(1));
        let taken = fresh.take("backend");
        fresh.close();
        assert!(fresh.take("backend").is_none());
        assert!(futures_util::FutureExt::now_or_never(handed.recv()).is_none(), "one is still to come");
        drop(taken);
        assert!(handed.recv().await.is_none());
    }
}
