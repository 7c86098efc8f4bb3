//! Webhooks as their receivers check them: by the public library.

use serde_json::Value;

use super::wire::Message;

/// What the tests' webhooks are signed with.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The event, if its signature is good.
pub(crate) fn verified(request: &Message) -> Value {
    let mut headers = reqwest::header::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, request.header(name).unwrap_or_else(|| panic!("no {name}: {request:?}")).parse().unwrap());
    }
    let library = standardwebhooks::Webhook::new(SECRET).unwrap();
    library.verify(&request.body, &headers).unwrap_or_else(|error| panic!("{error}: {request:?}"));
    request.json()
}
