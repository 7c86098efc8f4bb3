//! Messages folded into what is known of their tasks, and everything that comes of it written, in one
//! transaction: by the recorder for many at once, by others for one.

use std::sync::Arc;

use super::durations::Took;
use super::entry::{Entry, Reading};
use super::fold::{Contradiction, Fold, Folded};
use super::forward::forward;
use super::fresh::{Fresh, Hand};
use super::intents::Intents;
use crate::domain::callback::CallbackOutcome;
use crate::domain::clock::Timestamp;
use crate::domain::event::{Event, EventType};
use crate::domain::id::{CallbackId, DeliveryId};
use crate::store::{Error, NewCallback, NewDelivery, Tx};

/// What became of a recorded message.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The callback that it is kept as; for a repeat, the first one.
    pub callback_id: Option<CallbackId>,
    /// What it was.
    pub outcome: CallbackOutcome,
    /// What became of each task that it speaks of.
    pub tasks: Vec<Folded>,
    /// The task of a callback that was not understood, where it was found.
    pub quarantined_task: Option<String>,
    /// Why, where there is something to say.
    pub detail: Option<String>,
}

impl Receipt {
    /// The task that it speaks of, the first where there are several.
    pub fn task_id(&self) -> Option<&str> {
        self.tasks.first().map(|folded| folded.task_id.as_str()).or(self.quarantined_task.as_deref())
    }
}

/// What a transaction wrote.
pub struct Written {
    /// What became of each message, in their order.
    pub receipts: Vec<Receipt>,
    /// The events that were made, each with the number of its deliveries.
    pub events: Vec<(Arc<Event>, usize)>,
    /// Whether a provider is to be asked at once.
    pub asks: bool,
    /// What is sent as soon as it is durable.
    pub hand: Hand,
    /// Whether there are deliveries beside those.
    pub waits: bool,
    /// How long the tasks took that were completed.
    pub took: Vec<Took>,
    /// Whether nothing was known of any of their tasks.
    pub all_new: bool,
}

/// Writes messages and what comes of them; deliveries that find a place in `fresh` are in its hand. Nothing is there
/// before the transaction is committed.
///
/// # Errors
/// As the database gives them; some only show themselves at the commit.
pub async fn write(tx: &mut Tx, entries: &[&Entry], fresh: &Fresh, now: Timestamp) -> Result<Written, Error> {
    let ids: Vec<_> = entries.iter().flat_map(|entry| entry.task_ids()).collect();
    let known = if ids.is_empty() { Default::default() } else { tx.lock_tasks(ids).await? };
    let all_new = known.is_empty();
    let of_tasks = known.values().filter_map(|followed| followed.intent_id.clone());
    let intents = entries.iter().filter_map(|entry| entry.intent_id().map(str::to_owned)).chain(of_tasks).collect();
    let intents = Intents::of(tx.lock_intents(intents).await?);
    let mut fold = Fold::new(known, now).with_intents(intents);
    let mut receipts: Vec<Receipt> = entries.iter().map(|entry| receipt(entry, fold.take(entry))).collect();
    let hand = fresh.hand(tx, &fold, now).await?;

    let kept: Vec<usize> = (0..entries.len()).filter(|&at| entries[at].arrival.is_some()).collect();
    let callbacks = kept.iter().filter_map(|&at| new_callback(entries[at], &receipts[at])).collect();
    for (&at, id) in kept.iter().zip(tx.keep_callbacks(callbacks).await?) {
        let rejected = receipts[at].outcome == CallbackOutcome::Rejected;
        let had = entries[at].arrival.as_ref().is_some_and(|arrival| arrival.was_forwarded);
        let client = entries[at].intent_id().and_then(|intent_id| fold.intents.client_url(intent_id));
        let forwarded = client.filter(|_| !rejected && !had).and_then(|url| forward(id.as_str(), url, now));
        fold.deliveries.extend(forwarded);
        receipts[at].callback_id = Some(id);
    }
    let (new, known) = fold.changed_tasks();
    tx.insert_tasks(new);
    tx.update_tasks(known);
    let (watches, ended) = fold.watches();
    let asks = watches.iter().any(|saved| saved.watch.ask_at.is_some_and(|at| at <= now));
    tx.save_watches(&watches);
    tx.end_watches(&ended);
    tx.insert_polls(&fold.polls);
    tx.repeat_polls(&fold.polls_again);
    tx.save_intents(&fold.changed_intents());
    tx.insert_events(fold.events.iter().map(|(event, _)| Arc::clone(event)));
    let waits = fold.deliveries.len() > hand.count() || !fold.contradictions.is_empty();
    tx.insert_leased(hand.leased(fold.deliveries), now);
    tx.judge_callbacks(&fold.judged).await?;
    tx.count_disputed(&fold.disputed)?;
    tell_contradictions(tx, &fold.contradictions, now).await?;
    Ok(Written { receipts, events: fold.events, asks, hand, waits, took: fold.took, all_new })
}

/// A conflict is told to every destination that had the first event, subscribed to it or not.
async fn tell_contradictions(tx: &mut Tx, contradictions: &[Contradiction], now: Timestamp) -> Result<(), Error> {
    if contradictions.is_empty() {
        return Ok(());
    }
    let told: Vec<_> = contradictions.iter().map(|both| both.told.clone()).collect();
    let told = tx.told(&told).await?;
    let also = contradictions.iter().flat_map(|both| {
        let had = told.iter().filter(|(event, _)| event == both.told.as_str());
        had.map(|(_, destination)| NewDelivery {
            id: DeliveryId::new(now),
            event_id: both.conflict.clone(),
            event_type: EventType::TaskConflict.as_str(),
            destination: destination.clone(),
            replay_id: None,
            url: None,
        })
    });
    tx.insert_deliveries(also.collect::<Vec<_>>(), now);
    Ok(())
}

fn receipt(entry: &Entry, tasks: Vec<Folded>) -> Receipt {
    let note = entry.arrival.as_ref().and_then(|arrival| arrival.note.clone());
    let why = tasks.first().and_then(|folded| folded.detail).map(str::to_owned);
    let outcome = tasks.first().map_or(CallbackOutcome::Quarantined, |folded| folded.outcome);
    let (outcome, detail) = match &entry.reading {
        Reading::Quarantined { detail, .. } => (CallbackOutcome::Quarantined, Some(detail.clone())),
        Reading::Rejected { detail } => (CallbackOutcome::Rejected, Some(detail.clone())),
        _ => (outcome, why.or(note)),
    };
    let quarantined_task = match &entry.reading {
        Reading::Quarantined { task_id, .. } => task_id.clone(),
        _ => None,
    };
    Receipt { callback_id: None, outcome, tasks, quarantined_task, detail }
}

fn new_callback(entry: &Entry, receipt: &Receipt) -> Option<NewCallback> {
    let arrival = entry.arrival.as_ref()?;
    let first = receipt.tasks.first();
    let tasks = (receipt.tasks.len() > 1).then(|| {
        let all = receipt.tasks.iter().map(|folded| {
            serde_json::json!({"task_id": folded.task_id, "outcome": folded.outcome, "event_id": folded.event_id})
        });
        serde_json::Value::Array(all.collect()).to_string()
    });
    Some(NewCallback {
        id: entry.callback_id.clone(),
        source: entry.source.clone(),
        task_id: receipt.task_id().map(str::to_owned),
        outcome: receipt.outcome,
        detail: receipt.detail.clone(),
        trust: entry.from.trust.as_str(),
        event_id: first.and_then(|folded| folded.event_id.clone()),
        tasks,
        received_at: entry.received_at,
        content: Arc::clone(&arrival.content),
        is_first: first.is_some_and(|folded| folded.is_first),
    })
}
