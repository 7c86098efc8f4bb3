//! Forwarding: a client that relays with a callback URL of its own gets what came to ours in its place, byte
//! for byte. It goes the way of every delivery; each host has a lane of its own, so that one which hangs delays
//! no other.

use std::sync::Arc;

use bytes::Bytes;
use url::Url;

use super::dispatch::URL_LANE;
use crate::channels::{House, Sender};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::{FORWARD, FORWARD_LANES};
use crate::domain::id::{DeliveryId, EventId};
use crate::egress::host_of;
use crate::store::{Forwarded, NewDelivery};

/// What a callback without a content type, and an answer that a provider gave when asked, are taken for.
const JSON: &str = "application/json";

/// Whether a lane leads to a URL and not to a destination: there is nobody who could mend or enable it.
pub fn is_url_lane(name: &str) -> bool {
    name == URL_LANE || name.starts_with(FORWARD_LANES)
}

/// The delivery that hands a callback or a poll on. The same one is handed on once. `None` where the URL is none.
pub fn forward(id: &str, url: &str, now: Timestamp) -> Option<NewDelivery> {
    let host = host_of(&Url::parse(url).ok()?);
    Some(NewDelivery {
        id: DeliveryId::new(now),
        event_id: EventId::stored(id.to_owned()),
        event_type: FORWARD,
        destination: format!("{FORWARD_LANES}{host}"),
        replay_id: None,
        url: Some(url.to_owned()),
    })
}

/// Who posts it: the bytes and the content type as they came.
///
/// # Errors
/// What is wrong with the URL.
pub fn sender(url: &str, forwarded: &Forwarded, house: &House) -> Result<Arc<dyn Sender>, String> {
    let headers: Vec<(String, String)> =
        forwarded.headers.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let content_type = headers.into_iter().find(|(name, _)| name == "content-type").map(|(_, value)| value);
    let content_type = content_type.unwrap_or_else(|| JSON.to_owned());
    let body = Bytes::from(forwarded.body.clone());
    crate::channels::as_it_came(url, content_type, body, house).map_err(|refused| refused.problem)
}
