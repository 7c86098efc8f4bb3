//! `ANY /relay/{source}/{path}`: a request in, the provider's answer out, byte for byte (contract §6).

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::callbacks::read;
use super::problem::{NO_SUCH_ROUTE, Problem};
use super::{Services, auth};
use crate::flow::relay::{ANSWER_WITHIN, Admitted, Answered, Asked, Body, Made, Refused};

/// How long may go by between two pieces of a request's body.
const PIECE_WITHIN: Duration = Duration::from_secs(30);
/// So many pieces are taken before the provider has taken them.
const PIECES: usize = 8;
/// Says which task was made, or that it could not be kept.
const TASK: HeaderName = HeaderName::from_static("x-callboard-task");

/// What is still coming from the client.
type Feeding = Pin<Box<dyn Future<Output = Result<(), Problem>>>>;

/// Relay a request to a provider
///
/// It is passed on to the source's `base_url` as it came, and so is the answer. Where it creates a task, the callback URL is put in, and the
/// task is known from then on. `Authorization`, if there is one, goes to the provider; without it the source's own `api_key` is used
/// for the routes that create, query and cancel tasks. `X-Callboard-Metadata-<key>` headers become the task's metadata. Any method is taken.
#[utoipa::path(method(get, post, put, patch, delete), path = "/relay/{source}/{path}", tag = "relay", security(("relay" = ["submit"])),
    params(("X-Callboard-Metadata-KEY" = Option<String>, Header, description = "Metadata of the task; KEY stands for any key, in lower case")),
    responses(
        (status = "default", description = "The provider's answer, byte for byte; `X-Callboard-Task` has the task's id, or `unrecorded`"),
        (status = 401, description = "There is no key that holds; or the provider's own answer"),
        (status = 403, description = "The key is for something else; or the provider's own answer"),
        (status = 404, description = "There is no such source; or the provider's own answer"),
        (status = 408, description = "The body did not come in time"),
        (status = 409, description = "Nobody knows where the API of the source is"),
        (status = 413, description = "The body of a create is larger than `server.max_body`"),
        (status = 422, description = "The path leads out of the provider's API, or the metadata cannot be taken; or the provider's own answer"),
        (status = 502, description = "The provider could not be reached; whether it acted on the request is not known"),
        (status = 503, description = "The intent could not be kept, and the provider was not asked"),
        (status = 504, description = "The provider did not answer in time; whether it acted on the request is not known"),
    ),
)]
pub(super) async fn pass(
    services: Data<Services>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let caller = auth::relay(&request, &services).await?;
    let scope = caller.scope(&services.roster.now());
    let admitted = services.relay.admit(asked(&request)?, &scope)?;
    if admitted.creates() {
        let body = read(payload, services.config.server.max_body).await?;
        return Ok(answer(admitted.create(body).await?, None));
    }
    let length = length(&request);
    if length.is_none() && !request.headers().contains_key(header::TRANSFER_ENCODING) {
        return streamed(admitted, Body::None, None).await;
    }
    let (pieces, body) = mpsc::channel(PIECES);
    streamed(admitted, Body::Pieces(body, length), Some(Box::pin(feed(payload, pieces)))).await
}

/// The request as it came. Its path is taken as it is written: what is encoded stays so.
fn asked(request: &HttpRequest) -> Result<Asked, Problem> {
    let path = request.uri().path().strip_prefix("/relay/").ok_or(NO_SUCH_ROUTE)?;
    let (source, path) = path.find('/').map(|at| path.split_at(at)).ok_or(NO_SUCH_ROUTE)?;
    let headers = request.headers().iter();
    Ok(Asked {
        source: source.to_owned(),
        method: request.method().as_str().to_owned(),
        path: path.to_owned(),
        query: request.uri().query().map(str::to_owned),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect(),
    })
}

fn length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Passes a request on while its body is still coming. The provider's time begins when it has all of it.
async fn streamed(admitted: Admitted, body: Body, mut feeding: Option<Feeding>) -> Result<HttpResponse, Problem> {
    let late = admitted.late();
    let mut asking = Box::pin(admitted.pass(body));
    loop {
        let fed = async {
            match &mut feeding {
                Some(feeding) => feeding.await.map(|()| true),
                None => {
                    tokio::time::sleep(ANSWER_WITHIN).await;
                    Ok(false)
                }
            }
        };
        tokio::select! {
            biased;
            answered = &mut asking => return Ok(answer(answered?, feeding)),
            // Without the client's last piece there is no request: the provider's connection is broken off.
            fed = fed => {
                if !fed? {
                    return Err(late.into());
                }
            }
        }
        feeding = None;
    }
}

/// Hands on what comes from the client, and `None` at its end. Where that is not reached, nothing says that it was.
async fn feed(mut payload: Payload, pieces: mpsc::Sender<Option<Bytes>>) -> Result<(), Problem> {
    loop {
        let piece = tokio::time::timeout(PIECE_WITHIN, payload.next()).await.map_err(|_| Problem::TooSlow)?;
        let piece = piece.transpose().map_err(|_| Problem::TooSlow)?;
        let is_last = piece.is_none();
        // A provider that wants no more of it has its reasons, and its answer says them.
        if pieces.send(piece).await.is_err() || is_last {
            return Ok(());
        }
    }
}

fn answer(answered: Answered, feeding: Option<Feeding>) -> HttpResponse {
    let Answered { status, headers, length, body, task } = answered;
    let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(&value)) {
            response.append_header((name, value));
        }
    }
    let task = match &task {
        Made::Nothing => None,
        Made::Task(task_id) => HeaderValue::from_bytes(task_id.as_bytes()).ok(),
        Made::Unrecorded => Some(HeaderValue::from_static("unrecorded")),
    };
    if let Some(task) = task {
        response.insert_header((TASK, task));
    }
    let body = while_feeding(body, feeding);
    match length {
        Some(length) => response.body(SizedStream::new(length, body)),
        None => response.body(BodyStream::new(body)),
    }
}

/// The answer's body; what is still coming from the client is handed on meanwhile.
fn while_feeding<E>(
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    mut feeding: Option<Feeding>,
) -> impl Stream<Item = Result<Bytes, E>> {
    stream::poll_fn(move |context| {
        if let Some(rest) = &mut feeding
            && let Poll::Ready(_) = rest.as_mut().poll(context)
        {
            feeding = None;
        }
        body.poll_next_unpin(context)
    })
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => Self::NotFound("there is no such source"),
            Refused::NotKept => Self::Unavailable,
            Refused::Invalid { field, problem } => Self::Invalid { field, detail: problem },
            Refused::Path => Self::Invalid {
                field: "path".into(),
                detail: "it leads out of the provider's API: leave out `.` and `..`, also encoded".into(),
            },
            Refused::NoBaseUrl(source) => Self::NoBaseUrl(source),
            Refused::Unreached(detail) => Self::Unreached(detail),
            Refused::TimedOut(detail) => Self::TimedOut(detail),
        }
    }
}
