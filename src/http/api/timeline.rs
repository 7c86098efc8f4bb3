//! A task's timeline: everything that happened, in order.

use serde::Serialize;
use utoipa::ToSchema;

use super::view::{self, AttemptView, CallbackView, DeliveryView, ForwardView, PollView};
use crate::domain::access::Scope;
use crate::domain::clock::Timestamp;
use crate::domain::event::EventType;
use crate::store::{
    AttemptRow, CallbackFilter, CallbackRow, DeliveryFilter, DeliveryRow, EventFilter, EventRow, PollRow, Result, Tx,
};

/// So many entries of each kind a timeline shows at most, the newest.
const SHOWN: usize = 250;
const SHOWN_OF_POLLS: i64 = 250;

/// Something that happened to a task.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[schema(as = TimelineEntry)]
pub(in crate::http) enum Entry<'a> {
    /// The provider called.
    Callback {
        /// When.
        at: Timestamp,
        callback: CallbackView<'a>,
    },
    /// The provider was asked.
    Poll {
        /// When.
        at: Timestamp,
        poll: PollView<'a>,
    },
    /// What it said is handed on to the client that relayed the request.
    Forward {
        /// When.
        at: Timestamp,
        forward: ForwardView<'a>,
    },
    /// An event was made.
    Event {
        /// When.
        at: Timestamp,
        event_id: &'a str,
        #[serde(rename = "type")]
        #[schema(value_type = EventType)]
        kind: &'static str,
    },
    /// It is to be delivered.
    Delivery {
        /// When.
        at: Timestamp,
        delivery: DeliveryView<'a>,
    },
    /// A forward or a delivery was tried.
    Attempt {
        /// When.
        at: Timestamp,
        /// Of which forward or delivery.
        delivery_id: &'a str,
        attempt: AttemptView<'a>,
    },
}

/// The rows of which a timeline is made.
#[derive(Default)]
pub(in crate::http) struct Story {
    /// What the provider posted.
    pub(in crate::http) callbacks: Vec<CallbackRow>,
    /// What it answered.
    pub(in crate::http) polls: Vec<PollRow>,
    /// What was handed on to a client that relayed.
    pub(in crate::http) forwards: Vec<DeliveryRow>,
    /// What is told.
    pub(in crate::http) events: Vec<EventRow>,
    /// To whom.
    pub(in crate::http) deliveries: Vec<DeliveryRow>,
    /// The tries of forwards and deliveries.
    pub(in crate::http) attempts: Vec<AttemptRow>,
}

impl Story {
    /// Reads what the caller may see of a task.
    ///
    /// # Errors
    /// As the database gives them.
    pub(in crate::http) async fn read(tx: &mut Tx, scope: &Scope, source: &str, task_id: &str) -> Result<Self> {
        let mut story = Self { polls: tx.polls(source, task_id, SHOWN_OF_POLLS).await?, ..Self::default() };
        let (source, task_id) = (Some(source.to_owned()), Some(task_id.to_owned()));
        let callbacks =
            CallbackFilter { source: source.clone(), task_id: task_id.clone(), limit: SHOWN, ..Default::default() };
        story.callbacks = tx.callbacks(scope, &callbacks).await?.items;
        let called = story.callbacks.iter().map(|row| row.id.to_string());
        let handed_on = called.chain(story.polls.iter().map(|row| row.id.clone())).collect();
        story.forwards = tx.forwards(handed_on).await?;
        story.attempts = tx.attempts(&ids(&story.forwards)).await?;
        let events = EventFilter { source, task_id, limit: SHOWN, ..Default::default() };
        story.events = tx.events(scope, &events).await?.items;
        for event in &story.events {
            let filter = DeliveryFilter { event_id: Some(event.id.clone()), limit: SHOWN, ..Default::default() };
            let deliveries = tx.deliveries(scope, &filter).await?.items;
            story.attempts.extend(tx.attempts(&ids(&deliveries)).await?);
            story.deliveries.extend(deliveries);
        }
        Ok(story)
    }

    /// Each callback, poll, forward, event, delivery and attempt, oldest first.
    pub(super) fn entries(&self) -> Vec<Entry<'_>> {
        let callbacks = self
            .callbacks
            .iter()
            .map(|row| (0, row.received_at, Entry::Callback { at: row.received_at, callback: view::callback(row) }));
        let polls = self.polls.iter().map(|row| (0, row.at, Entry::Poll { at: row.at, poll: view::poll(row) }));
        let events = self
            .events
            .iter()
            .map(|row| (1, row.at, Entry::Event { at: row.at, event_id: &row.id, kind: row.kind.as_str() }));
        let forwards = self
            .forwards
            .iter()
            .map(|row| (2, row.created_at, Entry::Forward { at: row.created_at, forward: view::forward(row) }));
        let deliveries = self
            .deliveries
            .iter()
            .map(|row| (2, row.created_at, Entry::Delivery { at: row.created_at, delivery: view::delivery(row) }));
        let attempts = self.attempts.iter().map(|row| {
            let (at, delivery_id) = (row.started_at, row.delivery_id.as_str());
            (3, at, Entry::Attempt { at, delivery_id, attempt: view::attempt(row) })
        });
        let mut entries: Vec<(u8, Timestamp, Entry<'_>)> =
            callbacks.chain(polls).chain(events).chain(forwards).chain(deliveries).chain(attempts).collect();
        // What happened in the same millisecond stands in the order in which one makes the other.
        entries.sort_by_key(|(rank, at, _)| (*at, *rank));
        entries.into_iter().map(|(_, _, entry)| entry).collect()
    }
}

fn ids(rows: &[DeliveryRow]) -> Vec<String> {
    rows.iter().map(|row| row.id.clone()).collect()
}
