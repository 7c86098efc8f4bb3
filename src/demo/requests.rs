//! What a simulated provider was asked.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value;

use super::listener::Asked;
use crate::domain::clock::Timestamp;

/// So many requests are kept, the newest.
const KEPT: usize = 10_000;

/// One request as it came.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// When.
    pub at: Timestamp,
    /// In upper case.
    pub method: String,
    /// With its query.
    pub path: String,
    /// Which key came with it.
    pub key: KeySeen,
    /// Names in lower case; without `authorization`.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: Bytes,
    /// The status it was answered with; `None` where it was not.
    pub status: Option<u16>,
}

impl Request {
    /// The value of a header, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Which key came with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeySeen {
    /// None.
    None,
    /// The provider's.
    Right,
    /// Another one, or not as `Bearer`.
    Wrong,
}

/// The requests, in order.
#[derive(Debug, Default)]
pub(super) struct Log {
    kept: VecDeque<Request>,
    dropped: usize,
}

impl Log {
    /// Keeps a request; gives its number.
    pub(super) fn add(&mut self, asked: &Asked, key: KeySeen, at: Timestamp) -> usize {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
            self.dropped += 1;
        }
        let headers = asked.headers.iter().filter(|(name, _)| name != "authorization");
        let path = if asked.query.is_empty() { asked.path.clone() } else { format!("{}?{}", asked.path, asked.query) };
        self.kept.push_back(Request {
            at,
            method: asked.method.clone(),
            path,
            key,
            headers: headers.cloned().collect(),
            body: asked.body.clone(),
            status: None,
        });
        self.dropped + self.kept.len() - 1
    }

    /// Notes how a request was answered.
    pub(super) fn answered(&mut self, number: usize, status: u16) {
        if let Some(request) = number.checked_sub(self.dropped).and_then(|at| self.kept.get_mut(at)) {
            request.status = Some(status);
        }
    }

    pub(super) fn all(&self) -> Vec<Request> {
        self.kept.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str) -> Asked {
        let headers = vec![("authorization".to_owned(), "Bearer x".to_owned()), ("a".to_owned(), "b".to_owned())];
        Asked { method: "GET".into(), path: path.into(), query: String::new(), headers, body: Bytes::new() }
    }

    #[test]
    fn a_key_is_not_kept() {
        let mut log = Log::default();
        log.add(&Asked { query: "a=1".into(), ..asked("/x") }, KeySeen::Wrong, Timestamp(1));
        let request = &log.all()[0];
        assert_eq!((request.path.as_str(), request.key), ("/x?a=1", KeySeen::Wrong));
        assert_eq!((request.header("a"), request.header("authorization")), (Some("b"), None));
    }

    #[test]
    fn only_the_newest_are_kept_and_each_gets_its_own_answer() {
        let mut log = Log::default();
        let first = log.add(&asked("/first"), KeySeen::None, Timestamp(0));
        let numbers: Vec<usize> =
            (0..KEPT).map(|at| log.add(&asked(&format!("/{at}")), KeySeen::None, Timestamp(1))).collect();
        log.answered(first, 500);
        log.answered(numbers[7], 200);
        let all = log.all();
        assert_eq!(all.len(), KEPT);
        let answered: Vec<&str> = all.iter().filter(|r| r.status.is_some()).map(|r| r.path.as_str()).collect();
        assert_eq!(answered, ["/7"]);
    }
}
