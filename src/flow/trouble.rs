//! What the service tells of itself (contract §5): an event is kept for the team that it concerns, and goes to those
//! of its destinations that subscribe to its type.

use std::sync::Arc;

use super::notice::{Notice, Notices};
use super::roster::Roster;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::{DeliveryStatus, Outcome, Settlement};
use crate::domain::event::{Event, EventType, ServiceData, Subject};
use crate::domain::id::DeliveryId;
use crate::domain::trouble::{Faring, News};
use crate::store::{Claimed, DestinationState, NewDelivery, Tx};

/// An event of the service's own that was written.
pub(super) struct Made {
    event: Arc<Event>,
    subject: String,
    destinations: usize,
}

/// Writes an event of the service's own, and its deliveries.
pub(super) fn write(tx: &mut Tx, roster: &Roster, kind: EventType, data: ServiceData<'_>, now: Timestamp) -> Made {
    let event = Arc::new(Event::of_service(kind, data, now));
    let audience = roster.audience(kind, "", &event.body);
    let deliveries: Vec<NewDelivery> = audience
        .into_iter()
        .map(|destination| NewDelivery {
            id: DeliveryId::new(now),
            event_id: event.id.clone(),
            event_type: kind.as_str(),
            destination,
            replay_id: None,
            url: None,
        })
        .collect();
    tx.insert_events([Arc::clone(&event)]);
    let destinations = deliveries.len();
    tx.insert_deliveries(deliveries, now);
    Made { event, subject: data.subject.name().to_owned(), destinations }
}

/// Says so to whoever watches, once it is durable.
pub(super) fn tell(notices: &Notices, made: Vec<Made>) {
    for Made { event, subject, destinations } in made {
        let kind = event.kind.as_str();
        metrics::counter!("callboard_events_total", "type" => kind).increment(1);
        tracing::info!(event.id = %event.id, event.kind = kind, subject, destinations, "an event of our own");
        notices.tell(|| Notice::Event {
            at: event.at,
            id: event.id.to_string(),
            kind,
            source: subject,
            task_id: String::new(),
            destinations,
        });
    }
}

/// How one destination fared in all tries that ended together.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) delivered: bool,
    pub(super) failures: i64,
    pub(super) pause_until: Option<Timestamp>,
    pub(super) disable: Option<String>,
    gone: i64,
    has_dead: bool,
    dead: i64,
    cause: Option<String>,
}

impl Tally {
    pub(super) fn count(&mut self, claimed: &Claimed, outcome: &Outcome, settlement: &Settlement) {
        self.delivered |= matches!(outcome, Outcome::Delivered);
        self.failures += i64::from(matches!(outcome, Outcome::Failed { .. }));
        self.gone += i64::from(matches!(outcome, Outcome::Gone { .. }));
        self.has_dead |= is_death(claimed, settlement);
        self.pause_until = self.pause_until.max(settlement.pause_until);
        if settlement.disable.is_some() {
            self.disable.clone_from(&settlement.disable);
        }
    }

    /// Counts a delivery that died, once that is written.
    pub(super) fn count_death(&mut self, claimed: &Claimed, settlement: &Settlement) {
        if is_death(claimed, settlement) {
            self.dead += 1;
            self.cause = self.cause.take().or_else(|| settlement.reason.clone());
        }
    }

    /// Whether something is to be noted of it that is no success.
    pub(super) fn is_ill(&self) -> bool {
        self.has_dead || self.disable.is_some() || self.failures > 0 || self.pause_until.is_some()
    }

    /// How it fared, as it stood before; `failing` since when and how often it has only failed, these tries among
    /// them, and `disabled` why these tries disabled it.
    pub(super) fn faring<'a>(
        &'a self,
        before: &DestinationState,
        failing: Option<(Timestamp, i64)>,
        disabled: Option<&'a str>,
    ) -> Faring<'a> {
        let (since, failures) = failing.or(before.failing_since.zip(Some(before.failures))).unzip();
        Faring {
            was_disabled: before.disabled.is_some(),
            disabled,
            dead: self.dead,
            cause: self.cause.as_deref(),
            delivered: self.delivered,
            failing_since: since,
            failures: failures.unwrap_or_default() + self.gone,
        }
    }
}

/// Whether a delivery died by a trouble of its destination: not where a later event says more.
fn is_death(claimed: &Claimed, settlement: &Settlement) -> bool {
    settlement.status == DeliveryStatus::Dead && !claimed.superseded
}

/// Writes what the team of a destination is to be told of it.
pub(super) fn write_news(tx: &mut Tx, roster: &Roster, name: &str, news: Vec<News>, now: Timestamp) -> Vec<Made> {
    // Nobody's any more: there is nobody to be told.
    let Some(target) = roster.targets.get(name) else { return Vec::new() };
    let team = target.destination.team.as_str();
    news.into_iter()
        .map(|News { kind, reason, since, count }| {
            let subject = Subject::Destination(name);
            write(tx, roster, kind, ServiceData { team: Some(team), subject, reason: &reason, since, count }, now)
        })
        .collect()
}
