//! A provider's own API: what the poller asks, what the relay may pass on, and how answers are read.
//!
//! Data and pure functions again: an adapter says which request to make and what an answer means; who
//! makes the request, with which key and how often, is not its business.

use bytes::Bytes;

use super::{Provider, Unread};
use crate::domain::clock::Timestamp;
use crate::domain::pace::Rate;
use crate::domain::task::{Observation, Status};

/// What is known of a provider's API.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// What every path is put behind, without a `/` at its end. `None` where no document names a host: a
    /// source then has to say `base_url`.
    pub base_url: Option<&'static str>,
    /// Where the callback URL goes in a request that makes a task.
    pub callback_url: CallbackUrl,
    /// The requests that make a task.
    pub creates: &'static [Route],
    /// The requests that ask for tasks; none of them costs anything.
    pub queries: &'static [Route],
    /// The requests that cancel a task.
    pub cancels: &'static [Route],
    /// So many tasks can be asked for at once; 1 where each takes a request of its own.
    pub batch: usize,
    /// Whether tasks can be listed, newest first.
    pub lists: bool,
    /// How often it is asked unless `poll.pace` says otherwise.
    pub pace: Rate,
}

impl Api {
    /// Whether this request makes a task.
    pub fn creates(&self, method: &str, path: &str) -> bool {
        self.creates.iter().any(|route| route.is(method, path))
    }

    /// Whether the source's own key may be used for this request: creating, asking and cancelling only.
    pub fn takes_our_key(&self, method: &str, path: &str) -> bool {
        [self.creates, self.queries, self.cancels].into_iter().flatten().any(|route| route.is(method, path))
    }
}

/// Where a callback URL goes in a request that makes a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallbackUrl {
    /// The provider does not call back.
    Nowhere,
    /// Into the JSON body, under these names from the outside in.
    Body(&'static [&'static str]),
    /// Into the query, under this key.
    Query(&'static str),
    /// Into this header.
    Header(&'static str),
}

/// A kind of request: a method and a path, of which a segment `*` stands for any one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// In upper case.
    pub method: &'static str,
    /// From the first `/`, without a query.
    pub path: &'static str,
}

impl Route {
    /// Whether a request is of this kind. `path` has no query. What could be read as another path by the
    /// provider's server (`..`, an encoded slash) is of no kind.
    pub fn is(&self, method: &str, path: &str) -> bool {
        let mut ours = self.path.split('/');
        let mut theirs = path.split('/');
        self.method.eq_ignore_ascii_case(method)
            && loop {
                match (ours.next(), theirs.next()) {
                    (None, None) => break true,
                    (Some("*"), Some(segment)) if is_plain(segment) => {}
                    (Some(one), Some(other)) if one != "*" && one == other => {}
                    _ => break false,
                }
            }
    }
}

fn is_plain(segment: &str) -> bool {
    let lower = segment.to_ascii_lowercase();
    !lower.is_empty()
        && !lower.starts_with('.')
        && !["%2f", "%5c", "%2e", "\\", "%00", ";"].iter().any(|s| lower.contains(s))
}

/// A request to make, without the base URL and the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// In upper case.
    pub method: &'static str,
    /// From the first `/`, with its query; whatever was put into it is encoded.
    pub path: String,
    /// A JSON body, where there is one.
    pub body: Option<Bytes>,
}

impl Call {
    /// A GET of this path.
    pub fn get(path: String) -> Self {
        Self { method: "GET", path, body: None }
    }
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// When it came.
    pub received_at: Timestamp,
}

/// What the provider said of a task when asked.
#[derive(Clone, PartialEq, Debug)]
pub enum Told {
    /// It knows the task, and says this.
    Task(Box<Observation>),
    /// It knows no such task.
    NotFound,
    /// It does not accept our key, or not from here. The text is for people and holds no secret.
    Refused(String),
    /// We asked too often.
    Throttled,
    /// It said nothing of the task: a fault of its own, or an answer that cannot be read. Never an end.
    Nothing(String),
}

impl Told {
    /// What an answer's HTTP status says already; `None` where its body has to be read. `code` is the
    /// error's code in the body, for people.
    pub fn by_status(status: u16, code: Option<&str>) -> Option<Self> {
        let said = || code.map_or_else(|| format!("HTTP {status}"), |code| format!("HTTP {status}, `{code}`"));
        match status {
            200..=299 => None,
            401 | 403 => Some(Self::Refused(said())),
            404 | 410 => Some(Self::NotFound),
            429 => Some(Self::Throttled),
            _ => Some(Self::Nothing(said())),
        }
    }
}

/// A task as the provider's own list shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed {
    /// Its id.
    pub task_id: String,
    /// When it began.
    pub created_at: Option<Timestamp>,
    /// Its status, where the list has a word that we know.
    pub status: Option<Status>,
}

/// What can be asked of a provider. Its paths encode whatever is put into them.
pub trait Ask: Send + Sync {
    /// What is known of its API.
    fn api(&self) -> &'static Api;

    /// What the answer to a request that makes a task says of that task; the status is what the provider
    /// names there, else `pending`.
    ///
    /// # Errors
    /// The answer names no task.
    fn created(&self, reply: &Reply<'_>) -> Result<Observation, Unread>;

    /// Asks for one task.
    fn one(&self, task_id: &str) -> Call;

    /// What the answer to [`Ask::one`] says. An answer of another task than was asked for says nothing.
    fn read_one(&self, task_id: &str, reply: &Reply<'_>) -> Told;

    /// Asks for many, at most [`Api::batch`]; `None` where that cannot be done.
    fn many(&self, task_ids: &[&str]) -> Option<Call> {
        let _ = task_ids;
        None
    }

    /// What the answer to [`Ask::many`] says: the tasks in it. A task that was asked for and is not among
    /// them is one that the provider does not know.
    ///
    /// # Errors
    /// What was said instead of an answer, never [`Told::Task`].
    fn read_many(&self, reply: &Reply<'_>) -> Result<Vec<Observation>, Told> {
        Err(Told::Nothing(format!("no answer to a question for many tasks can be read (HTTP {})", reply.status)))
    }

    /// Asks for a page of the provider's list, newest first, from page 1; `None` where there is no list.
    fn list(&self, page: u32) -> Option<Call> {
        let _ = page;
        None
    }

    /// What a page of the list shows.
    ///
    /// # Errors
    /// What was said instead, never [`Told::Task`].
    fn read_list(&self, reply: &Reply<'_>) -> Result<Vec<Listed>, Told> {
        Err(Told::Nothing(format!("no list can be read (HTTP {})", reply.status)))
    }
}

/// Whether the provider takes a callback URL at all.
pub fn calls_back(provider: &dyn Provider) -> bool {
    provider.ask().is_none_or(|ask| ask.api().callback_url != CallbackUrl::Nowhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_its_method_and_its_segments() {
        let route = Route { method: "GET", path: "/v1/tasks/*" };
        assert!(route.is("GET", "/v1/tasks/a-1"));
        assert!(route.is("get", "/v1/tasks/%E6%98%A5"));
        for other in [
            "/v1/tasks",
            "/v1/tasks/",
            "/v1/tasks/a/b",
            "/v1/tasks/..",
            "/v1/tasks/a%2Fb",
            "/v2/tasks/a",
            "/v1/tasks/a;b",
        ] {
            assert!(!route.is("GET", other), "{other}");
        }
        assert!(!route.is("POST", "/v1/tasks/a-1"));
    }

    #[test]
    fn a_status_speaks_for_itself_but_for_2xx() {
        assert_eq!(Told::by_status(200, None), None);
        assert_eq!(Told::by_status(404, None), Some(Told::NotFound));
        assert_eq!(Told::by_status(401, Some("bad")), Some(Told::Refused("HTTP 401, `bad`".into())));
        assert_eq!(Told::by_status(429, None), Some(Told::Throttled));
        assert_eq!(Told::by_status(502, None), Some(Told::Nothing("HTTP 502".into())));
    }
}
