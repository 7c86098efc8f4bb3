//! Bytes handed on as they came: no envelope, no signature of ours.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use url::Url;

use super::{House, Invalid, Message, Sender, answer, settings};
use crate::domain::delivery::Report;
use crate::egress::{Egress, Post, host_of};

/// Who posts these bytes to this URL, by the rules of webhooks for answers.
///
/// # Errors
/// What is wrong with the URL.
pub fn as_it_came(url: &str, content_type: String, body: Bytes, house: &House) -> Result<Arc<dyn Sender>, Invalid> {
    let url = house.egress.check_url(url).map_err(|refused| settings::invalid("url", refused.to_string()))?;
    Ok(Arc::new(Forward { url, content_type, body, egress: house.egress.clone() }))
}

struct Forward {
    url: Url,
    content_type: String,
    body: Bytes,
    egress: Egress,
}

impl Sender for Forward {
    fn target(&self) -> String {
        host_of(&self.url)
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Report> {
        Box::pin(async move {
            let headers = vec![("content-type", self.content_type.clone())];
            let request = Post { url: &self.url, headers, body: self.body.clone() };
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
