//! Passing a request on: whatever a client sent, and whatever comes back, both as streams.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use url::Url;

use super::{Egress, EgressError, host_of};

/// A header: its name in lower case, and its bytes.
pub type HeaderBytes = (String, Vec<u8>);

/// A body on its way; an error breaks the connection off, so that nobody takes a part for the whole.
pub type BodyStream = BoxStream<'static, Result<Bytes, EgressError>>;

/// One request of somebody else.
pub struct Pass<'a> {
    /// As it came.
    pub method: &'a str,
    /// Where to.
    pub url: &'a Url,
    /// As they came, without those of the connection. A `content-length` is what the body has.
    pub headers: Vec<HeaderBytes>,
    /// What is sent.
    pub body: PassBody,
}

/// The body of a request that is passed on.
pub enum PassBody {
    /// There is none.
    None,
    /// All of it.
    Whole(Bytes),
    /// As it comes.
    Stream(BodyStream),
}

/// What came back; its body is still coming.
pub struct Passed {
    /// The HTTP status.
    pub status: u16,
    /// Every header, in order.
    pub headers: Vec<HeaderBytes>,
    /// The body as it was sent: nothing is decoded.
    pub body: BodyStream,
}

impl Egress {
    /// Passes a request on and gives the answer once its head is there; between two pieces of its body at most
    /// `idle` may go by. How long the head is waited for is the caller's business.
    ///
    /// # Errors
    /// There was no answer, or the address is refused; then nothing was dialled. What is no HTTP is refused too.
    pub async fn pass(&self, request: Pass<'_>, idle: Duration) -> Result<Passed, EgressError> {
        let Pass { method, url, headers, body } = request;
        self.rules.judge_literal(url)?;
        let broken = || EgressError::Broken { host: host_of(url) };
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|_| broken())?;
        let mut builder = self.client.request(method, url.clone());
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        builder = match body {
            PassBody::None => builder,
            PassBody::Whole(bytes) => builder.body(bytes),
            PassBody::Stream(stream) => builder.body(reqwest::Body::wrap_stream(stream)),
        };
        let response = builder.send().await.map_err(|error| EgressError::of(url, &error))?;
        let headers = response.headers().iter();
        Ok(Passed {
            status: response.status().as_u16(),
            headers: headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect(),
            body: pieces(response, url.clone(), idle),
        })
    }
}

fn pieces(response: reqwest::Response, url: Url, idle: Duration) -> BodyStream {
    stream::unfold(Some((response, url)), move |state| async move {
        let (mut response, url) = state?;
        let piece = match tokio::time::timeout(idle, response.chunk()).await {
            Ok(Ok(None)) => return None,
            Ok(Ok(Some(piece))) => return Some((Ok(piece), Some((response, url)))),
            Ok(Err(error)) => EgressError::of(&url, &error),
            Err(_) => EgressError::Timeout { host: host_of(&url), after: idle },
        };
        Some((Err(piece), None))
    })
    .boxed()
}
