//! Replaying an event: telling it again, to those who subscribe now, to one destination, to a URL or to a listener.

use std::sync::Arc;

use serde_json::Value;

use super::dispatch::URL_LANE;
use super::roster::Roster;
use crate::channels::{House, Invalid, Sender, channel};
use crate::domain::access::Scope;
use crate::domain::clock::Timestamp;
use crate::domain::destination::Settings;
use crate::domain::id::{DeliveryId, EventId, ReplayId};
use crate::domain::secret::Secret;
use crate::store::{Error, EventRow, NewDelivery, Tx};

/// Where a replay goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReplayTo {
    /// To all that subscribe now.
    Subscribers,
    /// To this destination.
    Destination(String),
    /// To this URL, as a webhook.
    Url(String),
    /// To whoever listens by this name, now or within a day.
    Listener(String),
}

/// What a replay made.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Its id, which each of its deliveries carries.
    pub id: ReplayId,
    /// Its deliveries.
    pub deliveries: Vec<DeliveryId>,
}

/// Makes the deliveries of a replay; of the destinations only those that the caller may see.
///
/// # Errors
/// As the database gives them.
pub async fn replay(
    tx: &mut Tx,
    roster: &Roster,
    scope: &Scope,
    event: &EventRow,
    to: ReplayTo,
    now: Timestamp,
) -> Result<Replayed, Error> {
    let id = ReplayId::new(now);
    let (names, url) = match to {
        ReplayTo::Subscribers => {
            let source = event.source.as_deref().unwrap_or_default();
            let mut names = roster.audience(event.kind, source, &event.body);
            names.retain(|name| scope.sees_destination(name));
            (names, None)
        }
        ReplayTo::Destination(name) => (vec![name], None),
        ReplayTo::Url(url) => (vec![URL_LANE.to_owned()], Some(url)),
        ReplayTo::Listener(name) => {
            tx.aim_replay(&id, &name, scope.team(), &event.id, now).await?;
            (Vec::new(), None)
        }
    };
    let made: Vec<NewDelivery> = names
        .into_iter()
        .map(|destination| NewDelivery {
            id: DeliveryId::new(now),
            event_id: EventId::stored(event.id.clone()),
            event_type: event.kind.as_str(),
            destination,
            replay_id: Some(id.clone()),
            url: url.clone(),
        })
        .collect();
    let deliveries = made.iter().map(|delivery| delivery.id.clone()).collect();
    tx.insert_deliveries(made, now);
    Ok(Replayed { id, deliveries })
}

/// A webhook to a URL that no destination has, signed with a secret of this installation's own.
///
/// # Errors
/// What is wrong with the URL.
pub fn url_sender(url: &str, secret: &Secret, house: &House) -> std::result::Result<Arc<dyn Sender>, String> {
    let settings =
        Settings::from([("url".to_owned(), Value::from(url)), ("secret".to_owned(), Value::from(secret.expose()))]);
    let webhook = channel("webhook").ok_or("this build has no webhooks")?;
    webhook.parse(&settings, house).map_err(|Invalid { problem, .. }| problem)
}
