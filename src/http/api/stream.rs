//! `GET /events/stream`: the events as they are committed, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::convert::Infallible;

use actix_web::http::header::HeaderMap;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::list::invalid;
use super::{Answer, view};
use crate::config::value::name as check_name;
use crate::domain::access::{Right, Scope};
use crate::domain::event::EventType;
use crate::domain::id::EventId;
use crate::domain::spelling::suggestion;
use crate::flow::listeners::{Listening, Stopped, Told, Wanted};
use crate::http::openapi::asked;
use crate::store::AimedReplay;

const KEYS: [&str; 4] = ["type", "source", "listener", "last_event_id"];
/// Who has to connect again waits for two seconds. A comment shows a proxy that there is something to pass on.
const GREETING: &str = "retry: 2000\n: listening\n\n";
const KEY_ENDED: &str = ": this key no longer holds\n\n";

/// Follow the events
///
/// Server-sent events in the order of the commits, from `Last-Event-ID` on, or from now on. Each has its id, its type as `event`, and as
/// `data` the bytes that are told. The comment `: at TIME`, at least every 15 s where nothing comes, says that nothing made before
/// is missing.
#[utoipa::path(get, path = "/events/stream", security(("key" = ["read"])), params(
    asked::Followed,
    ("Last-Event-ID" = Option<String>, Header, description = "The event that was read last"),
), responses(
    (status = 200, description = "The events, without an end", body = String, content_type = "text/event-stream"),
    (status = 429, description = "Too many streams are open, with this key or at all"),
))]
pub(super) async fn follow(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let wanted = read(request.query_string(), request.headers())?;
    let key = caller.key_id.unwrap_or_default();
    stream(services.clone(), &key, wanted, ByKey { services, request }).await
}

/// Who follows the events: what they may see at each moment, and the form in which they are told.
pub(in crate::http) trait Follower: 'static {
    /// What they may see now; `None` if they may no longer look.
    async fn scope(&self) -> Result<Option<Scope>, Problem>;
    /// What is sent; where nothing is left of it, nothing.
    fn frames(&self, told: &Told) -> String;
    /// What is sent when they may no longer look.
    fn ended(&self) -> &'static str;
}

/// Answers with the events as they are committed.
///
/// # Errors
/// [`Problem::Full`] where too many follow already.
pub(in crate::http) async fn stream(
    services: Data<Services>,
    key: &str,
    wanted: Wanted,
    follower: impl Follower,
) -> Answer {
    let listening = services.listeners.open(key, wanted).await?.map_err(Problem::Full)?;
    let following = Following { follower, listening, stage: Stage::Opened };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // nginx would collect what we send.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(futures_util::stream::unfold(following, next)))
}

struct Following<F> {
    follower: F,
    listening: Listening,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opened,
    Open,
    Ended,
}

/// What is sent next. It is asked for only when the client has room for it.
async fn next<F: Follower>(mut following: Following<F>) -> Option<(Result<Bytes, Infallible>, Following<F>)> {
    let bytes = match following.stage {
        Stage::Opened => {
            following.stage = Stage::Open;
            Bytes::from_static(GREETING.as_bytes())
        }
        Stage::Open => following.told().await?,
        Stage::Ended => return None,
    };
    Some((Ok(bytes), following))
}

impl<F: Follower> Following<F> {
    fn end(&mut self) -> Bytes {
        self.stage = Stage::Ended;
        Bytes::from_static(self.follower.ended().as_bytes())
    }

    /// `None` where the process stops.
    async fn told(&mut self) -> Option<Bytes> {
        loop {
            if self.listening.is_stopped() {
                return None;
            }
            let looked = match self.follower.scope().await {
                Ok(Some(scope)) => self.listening.look(&scope).await.map_err(Problem::from),
                Ok(None) => return Some(self.end()),
                Err(problem) => Err(problem),
            };
            // What was read may be younger than the end of the right to see it.
            if matches!(looked, Ok(Some(_))) && matches!(self.follower.scope().await, Ok(None)) {
                return Some(self.end());
            }
            // Where the database cannot be read now, it is tried again after a while.
            let told = match looked {
                Ok(Some(told)) => Some(told),
                Ok(None) | Err(_) => match self.listening.rest().await {
                    Ok(told) => told,
                    Err(Stopped) => return None,
                },
            };
            let told = told.map(|told| self.follower.frames(&told)).filter(|told| !told.is_empty());
            if let Some(told) = told {
                return Some(Bytes::from(told));
            }
        }
    }
}

/// Whoever asked the API with a key.
struct ByKey {
    services: Data<Services>,
    request: HttpRequest,
}

impl Follower for ByKey {
    async fn scope(&self) -> Result<Option<Scope>, Problem> {
        match auth::caller(&self.request, &self.services, Right::Read).await {
            Ok(caller) => Ok(Some(caller.scope(&self.services.roster.now()))),
            Err(Problem::Unavailable) => Err(Problem::Unavailable),
            Err(_) => Ok(None),
        }
    }

    fn frames(&self, told: &Told) -> String {
        frames(told)
    }

    fn ended(&self) -> &'static str {
        KEY_ENDED
    }
}

/// What a follower's address asks for.
///
/// # Errors
/// [`Problem::Invalid`] for what there is not.
pub(in crate::http) fn read(query: &str, headers: &HeaderMap) -> Result<Wanted, Problem> {
    let mut wanted = Wanted::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let words = || value.split(',').map(str::trim).filter(|word| !word.is_empty());
        match name.as_ref() {
            "type" => {
                for word in words() {
                    wanted.kinds.push(EventType::parse(word).ok_or_else(|| no_type(word))?);
                }
            }
            "source" => wanted.sources.extend(words().map(str::to_owned)),
            "listener" => {
                let name = check_name(&value).map_err(|problem| invalid("listener", problem))?;
                wanted.listener = Some(name);
            }
            "last_event_id" => wanted.last = last(&value, "last_event_id")?,
            unknown => return Err(invalid(unknown, format!("there is no such filter; {}", suggestion(unknown, KEYS)))),
        }
    }
    // Who connects again sends the header; the query is still that of the first time.
    if let Some(value) = headers.get("last-event-id") {
        wanted.last = last(value.to_str().unwrap_or("?"), "Last-Event-ID")?.or(wanted.last);
    }
    Ok(wanted)
}

fn no_type(word: &str) -> Problem {
    let known = EventType::ALL.map(EventType::as_str);
    invalid("type", format!("`{word}` is none of {}", known.join(", ")))
}

fn last(value: &str, field: &str) -> Result<Option<EventId>, Problem> {
    match value.trim() {
        "" => Ok(None),
        id if EventId::made_at(id).is_some() => Ok(Some(EventId::stored(id.to_owned()))),
        other => Err(invalid(field, format!("`{other}` is not the id of an event: `evt_` and 26 digits and letters"))),
    }
}

/// A replay that was aimed at a listener.
#[derive(Serialize)]
struct Aimed<'a> {
    replay_id: &'a str,
    event: Box<RawValue>,
}

fn frames(told: &Told) -> String {
    let mut text = String::new();
    match told {
        Told::Events(rows) => {
            for row in rows {
                frame(&mut text, Some(&row.id), row.kind.as_str(), &row.body);
            }
        }
        Told::Replays(replays) => {
            for AimedReplay { id, body } in replays {
                let aimed = Aimed { replay_id: id, event: view::event(body) };
                // An id would move the place in the stream.
                frame(&mut text, None, "replay", &serde_json::to_string(&aimed).unwrap_or_default());
            }
        }
        Told::At(at) => text = format!(": at {at}\n\n"),
    }
    text
}

/// One event of the stream. Its bytes are those that were told; a line's end within them would end the field.
pub(in crate::http) fn frame(text: &mut String, id: Option<&str>, event: &str, data: &str) {
    if let Some(id) = id {
        text.push_str(&format!("id: {id}\n"));
    }
    text.push_str(&format!("event: {event}\n"));
    for line in data.lines() {
        text.push_str(&format!("data: {line}\n"));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::domain::clock::{ManualClock, Timestamp};
    use crate::domain::event::Event;
    use crate::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Status, Task, Trust, Via};
    use crate::flow::listeners::Listeners;
    use crate::store::Store;

    #[test]
    fn a_frame_has_an_id_a_type_and_the_bytes_of_the_event() {
        let mut text = String::new();
        frame(&mut text, Some("evt_1"), "task.completed", "{\"a\":1}");
        frame(&mut text, None, "replay", "{\n}");
        assert_eq!(text, "id: evt_1\nevent: task.completed\ndata: {\"a\":1}\n\nevent: replay\ndata: {\ndata: }\n\n");
    }

    #[test]
    fn what_a_listener_wants_is_read_from_query_and_header() {
        let id = EventId::new(crate::domain::clock::Timestamp(1_757_169_743_120));
        let read_uri = |uri: &str, header: &str| {
            let request = actix_web::test::TestRequest::with_uri(uri);
            let request = if header.is_empty() { request } else { request.insert_header(("last-event-id", header)) };
            let request = request.to_http_request();
            read(request.query_string(), request.headers())
        };
        let wanted = read_uri("/?type=task.failed,task.completed&type=task.overdue&source=a&source=b&listener=dev", "");
        let wanted = wanted.unwrap();
        assert_eq!((wanted.kinds.len(), wanted.sources.as_slice()), (3, &["a".to_owned(), "b".to_owned()][..]));
        assert_eq!((wanted.listener.as_deref(), wanted.last), (Some("dev"), None));
        assert_eq!(read_uri(&format!("/?last_event_id={id}"), "").unwrap().last, Some(id.clone()));
        assert!(read_uri("/?last_event_id=evt_bad", id.as_str()).is_err());
        assert_eq!(read_uri("/", id.as_str()).unwrap().last, Some(id));
        for bad in ["/?type=x", "/?listener=A%20B", "/?typ=task.failed", "/?last_event_id=1"] {
            assert!(read_uri(bad, "").is_err(), "{bad}");
        }
        assert!(read_uri("/", "1").is_err() && read_uri("/", "\u{e9}").is_err());
    }

    const NOW: Timestamp = Timestamp(1_757_169_743_000);

    /// Whoever may see everything for so many questions.
    struct Until(usize, AtomicUsize);

    impl Follower for Until {
        async fn scope(&self) -> Result<Option<Scope>, Problem> {
            Ok((self.1.fetch_add(1, Ordering::Relaxed) < self.0).then_some(Scope::All))
        }

        fn frames(&self, told: &Told) -> String {
            frames(told)
        }

        fn ended(&self) -> &'static str {
            "ended"
        }
    }

    /// What a follower whose right holds for so many questions is told of an event that is there.
    async fn told_with(questions: usize) -> String {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open_sqlite(&directory.path().join("callboard.db")).await.unwrap();
        let seen = Observation::new("of-a-task", Status::Completed);
        let (via, trust, metadata_origin) = (Via::Callback, Trust::SignedBody, MetadataOrigin::Url);
        let from = Provenance { via, trust, metadata: Metadata::new(), metadata_origin };
        let (task, _) = Task::first_seen("evolink", "evolink", &seen, &from, NOW);
        let mut tx = store.write().await.unwrap();
        tx.insert_events([Event::of_task(EventType::TaskCompleted, &task, None, NOW)]);
        tx.commit().await.unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let listeners = Listeners::new(store.clone(), clock, watch::Sender::new(()), CancellationToken::new());
        let wanted = Wanted { last: Some(EventId::first_of(Timestamp(1))), ..Wanted::default() };
        let listening = listeners.open("key", wanted).await.unwrap().unwrap();
        let follower = Until(questions, AtomicUsize::new(0));
        let mut following = Following { follower, listening, stage: Stage::Open };
        let told = following.told().await.unwrap();
        store.close().await;
        String::from_utf8(told.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_was_read_as_the_right_ended_is_not_told() {
        assert!(told_with(2).await.contains("of-a-task"));
        assert_eq!(told_with(1).await, "ended");
        assert_eq!(told_with(0).await, "ended");
    }
}
