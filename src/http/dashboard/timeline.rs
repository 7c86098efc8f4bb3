//! A task's timeline as its page shows it: deliveries stand under what they tell, and attempts under their delivery.

use super::super::api::timeline::Story;
use super::bytes::Shown;
use crate::domain::clock::Timestamp;
use crate::store::{AttemptRow, CallbackRow, DeliveryRow, EventRow, PollRow};

/// Something that happened, and what followed of it.
pub(super) enum Item {
    /// The provider called; what was handed on to the client that relayed.
    Callback(CallbackRow, Vec<Sending>),
    /// It was asked.
    Poll(PollRow, Vec<Sending>),
    /// An event was made, and is told.
    Event(EventRow, Vec<Sending>),
}

/// A delivery and its attempts.
pub(super) struct Sending {
    /// The delivery.
    pub(super) row: DeliveryRow,
    /// Its attempts, the first first.
    pub(super) tries: Vec<Try>,
    /// The task that is told of, where that is not said around it.
    pub(super) task_id: Option<String>,
}

impl Sending {
    /// This delivery, as a line of a list.
    pub(super) fn line(row: DeliveryRow) -> Self {
        Self { row, tries: Vec::new(), task_id: None }
    }

    /// Where it goes.
    pub(super) fn to(&self) -> &str {
        self.row.url.as_deref().unwrap_or(&self.row.destination)
    }
}

/// An attempt, and what was answered.
pub(super) struct Try {
    /// The attempt.
    pub(super) row: AttemptRow,
    /// The answer.
    pub(super) answer: Shown,
}

impl Try {
    /// This attempt.
    pub(super) fn of(row: AttemptRow) -> Self {
        Self { answer: Shown::of(&row.response), row }
    }
}

/// What happened, the oldest first.
pub(super) fn timeline(story: Story) -> Vec<Item> {
    let Story { callbacks, polls, forwards, events, deliveries, attempts } = story;
    let mut tries: Vec<Try> = attempts.into_iter().map(Try::of).collect();
    let mut sending = |row: DeliveryRow| {
        let mut of_it: Vec<Try> = tries.extract_if(.., |one| one.row.delivery_id == row.id).collect();
        of_it.sort_by_key(|one| one.row.number);
        Sending { tries: of_it, ..Sending::line(row) }
    };
    let mut sendings: Vec<Sending> = forwards.into_iter().chain(deliveries).map(&mut sending).collect();
    let mut of = |id: &str| {
        let mut of_it: Vec<Sending> = sendings.extract_if(.., |one| one.row.event_id == id).collect();
        of_it.sort_by_key(|one| one.row.created_at);
        of_it
    };
    let mut items: Vec<(Timestamp, u8, Item)> = Vec::new();
    items.extend(callbacks.into_iter().map(|row| {
        let sent = of(row.id.as_str());
        (row.received_at, 0, Item::Callback(row, sent))
    }));
    items.extend(polls.into_iter().map(|row| {
        let sent = of(&row.id);
        (row.at, 0, Item::Poll(row, sent))
    }));
    items.extend(events.into_iter().map(|row| {
        let sent = of(&row.id);
        (row.at, 1, Item::Event(row, sent))
    }));
    // What happened in the same millisecond stands in the order in which one makes the other.
    items.sort_by_key(|(at, rank, _)| (*at, *rank));
    items.into_iter().map(|(.., item)| item).collect()
}
