//! Webhooks: the event as it was stored, signed as Standard Webhooks says.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use url::Url;

use super::{Channel, Field, FieldKind, House, Invalid, Limits, Message, Sender, answer, settings};
use crate::domain::delivery::{Outcome, Report};
use crate::domain::destination::Settings;
use crate::domain::secret::Secret;
use crate::domain::signature::{BadSecret, check_secret, standard_webhooks};
use crate::egress::{Egress, Post, host_of};

/// Any HTTP endpoint.
pub(super) struct Webhook;

const FIELDS: &[Field] = &[
    Field { name: "url", kind: FieldKind::Text, required: true, secret: false },
    Field { name: "secret", kind: FieldKind::Texts, required: false, secret: true },
];

impl Channel for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn about(&self) -> &'static str {
        "a signed POST of the event's JSON to a URL (Standard Webhooks)"
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn limits(&self) -> Limits {
        Limits { rate: None, concurrency: 8 }
    }

    fn signs(&self) -> bool {
        true
    }

    fn parse(&self, settings: &Settings, house: &House) -> Result<Arc<dyn Sender>, Invalid> {
        let url = house.egress.check_url(settings::text(settings, "url")?);
        let url = url.map_err(|refused| settings::invalid("url", refused.to_string()))?;
        let secrets: Vec<Secret> = settings::texts(settings, "secret")?.into_iter().map(Secret::new).collect();
        for secret in &secrets {
            check_secret(secret).map_err(|bad| settings::invalid("secret", bad.to_string()))?;
        }
        Ok(Arc::new(Endpoint { url, secrets, egress: house.egress.clone() }))
    }
}

struct Endpoint {
    url: Url,
    /// Several while rotating; none only before one is made.
    secrets: Vec<Secret>,
    egress: Egress,
}

impl Sender for Endpoint {
    fn target(&self) -> String {
        host_of(&self.url)
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Report> {
        Box::pin(async move {
            let request = match self.request(message) {
                Ok(request) => request,
                Err(bad) => return Report::of(Outcome::Failed { reason: format!("not signed: {bad}") }),
            };
            match self.egress.post(request, message.timeout).await {
                Ok(answer) => {
                    let outcome = answer::outcome(&answer, message.now);
                    answer::answered(answer, outcome)
                }
                Err(error) => answer::unanswered(&error),
            }
        })
    }
}

impl Endpoint {
    fn request<'a>(&'a self, message: &'a Message) -> Result<Post<'a>, BadSecret> {
        let seconds = message.now.0.div_euclid(1000);
        // Nobody could tell an unsigned event from a forged one.
        if self.secrets.is_empty() {
            return Err(BadSecret::Empty);
        }
        let sign = |secret| standard_webhooks(secret, &message.event_id, seconds, message.body.as_bytes());
        let signatures = self.secrets.iter().map(sign).collect::<Result<Vec<_>, _>>()?;
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", message.event_id.clone()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ];
        headers.extend(message.replay_id.clone().map(|id| ("callboard-replay", id)));
        Ok(Post { url: &self.url, headers, body: Bytes::from(message.body.clone()) })
    }
}
