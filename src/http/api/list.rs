//! Lists: what a query asks for, and cursors that only we can make.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;

use super::super::problem::Problem;
use super::view::Page;
use crate::domain::clock::Timestamp;
use crate::domain::secret::Secret;
use crate::domain::spelling::suggestion;
use crate::store::Page as Rows;

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 250;

/// So many bytes of the code are put into a cursor: nobody guesses 64 bits here.
const CODE_BYTES: usize = 8;

/// The query of a list, every key of which is known.
pub(in crate::http) struct Query {
    pairs: BTreeMap<String, String>,
    /// How many are asked for.
    pub(in crate::http) limit: usize,
    /// The id after which the page begins.
    pub(in crate::http) before: Option<String>,
}

impl Query {
    /// Reads the query of the list `kind`, which has these filters; one that ends with a dot is the
    /// beginning of many.
    pub(in crate::http) fn read(text: &str, kind: &str, filters: &[&str], key: &Secret) -> Result<Self, Problem> {
        let mut query = Self { pairs: BTreeMap::new(), limit: LIMIT_DEFAULT, before: None };
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match name.as_ref() {
                "limit" => query.limit = read_limit(&value)?,
                "cursor" => query.before = Some(open(&value, kind, key)?),
                known if is_filter(known, filters) => {
                    query.pairs.insert(name.into_owned(), value.into_owned());
                }
                unknown => return Err(unknown_filter(unknown, filters)),
            }
        }
        Ok(query)
    }

    /// A filter's text.
    pub(in crate::http) fn text(&self, name: &str) -> Option<String> {
        self.pairs.get(name).cloned()
    }

    /// A filter that is one of our words.
    pub(super) fn word<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        words: &[&'static str],
    ) -> Result<Option<T>, Problem> {
        let Some(word) = self.pairs.get(name) else { return Ok(None) };
        parse(word).map(Some).ok_or_else(|| invalid(name, format!("`{word}` is none of {}", words.join(", "))))
    }

    /// A filter that is a moment.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.pairs.get(name) else { return Ok(None) };
        let wrong = || invalid(name, format!("`{text}` is not a time: write it as 2026-11-21T02:00:00Z"));
        Timestamp::parse(text).map(Some).ok_or_else(wrong)
    }

    /// The filters that begin with `prefix`, without it.
    pub(super) fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        let found = self.pairs.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
        found.map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }
}

fn read_limit(text: &str) -> Result<usize, Problem> {
    text.parse()
        .ok()
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| invalid("limit", format!("`{text}` is not a number from 1 to {LIMIT_MAX}")))
}

fn is_filter(name: &str, filters: &[&str]) -> bool {
    filters.iter().any(|filter| *filter == name || (filter.ends_with('.') && name.starts_with(filter)))
}

fn unknown_filter(name: &str, filters: &[&str]) -> Problem {
    let known: Vec<&str> = filters.iter().copied().chain(["limit", "cursor"]).collect();
    invalid(name, format!("there is no such filter; {}", suggestion(name, known)))
}

pub(in crate::http) fn invalid(field: &str, detail: impl Into<String>) -> Problem {
    Problem::Invalid { field: field.to_owned(), detail: detail.into() }
}

/// A page as it is answered.
pub(super) fn answer<'a, T, V: Serialize>(
    page: &'a Rows<T>,
    kind: &str,
    key: &Secret,
    view: impl Fn(&'a T) -> V,
) -> HttpResponse {
    let items = page.items.iter().map(view).collect();
    HttpResponse::Ok().json(Page { items, next_cursor: next(page, kind, key) })
}

/// The cursor of the page after this one.
pub(in crate::http) fn next<T>(page: &Rows<T>, kind: &str, key: &Secret) -> Option<String> {
    page.next.as_ref().map(|id| seal(id, kind, key))
}

/// A page of what is in memory as a whole, each with its id. Where the one that the cursor names is gone, the list begins
/// anew: who follows it to its end then misses none.
pub(super) fn part<V: Serialize>(
    query: &str,
    kind: &str,
    key: &Secret,
    all: Vec<(String, V)>,
) -> Result<HttpResponse, Problem> {
    let query = Query::read(query, kind, &[], key)?;
    let named = query.before.and_then(|before| all.iter().position(|(id, _)| *id == before));
    let mut rest = all.into_iter().skip(named.map_or(0, |at| at + 1));
    let page: Vec<(String, V)> = rest.by_ref().take(query.limit).collect();
    let next = if rest.next().is_some() { page.last().map(|(id, _)| seal(id, kind, key)) } else { None };
    Ok(HttpResponse::Ok().json(Page { items: page.into_iter().map(|(_, item)| item).collect(), next_cursor: next }))
}

fn code(id: &str, kind: &str, key: &Secret) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(key.expose().as_bytes()) else { return Vec::new() };
    mac.update(kind.as_bytes());
    mac.update(b"\n");
    mac.update(id.as_bytes());
    mac.finalize().into_bytes()[..CODE_BYTES].to_vec()
}

/// The cursor of what stands behind this id.
pub(in crate::http) fn seal(id: &str, kind: &str, key: &Secret) -> String {
    let mut bytes = code(id, kind, key);
    bytes.extend_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(cursor: &str, kind: &str, key: &Secret) -> Result<String, Problem> {
    let wrong = || invalid("cursor", "it is not one that this list gave; leave it out to begin at the newest");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    let (given, id) = bytes.split_at_checked(CODE_BYTES).ok_or_else(wrong)?;
    let id = std::str::from_utf8(id).map_err(|_| wrong())?;
    if given == code(id, kind, key) { Ok(id.to_owned()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_where_it_was_made_and_unchanged() {
        let key = Secret::new("key");
        let cursor = seal("evt_1", "events", &key);
        assert_eq!(open(&cursor, "events", &key).unwrap(), "evt_1");
        assert!(open(&cursor, "tasks", &key).is_err());
        assert!(open(&cursor, "events", &Secret::new("other")).is_err());
        let mut changed = cursor.clone().into_bytes();
        changed[12] ^= 1;
        assert!(open(std::str::from_utf8(&changed).unwrap(), "events", &key).is_err());
        assert!(open("", "events", &key).is_err());
    }

    #[test]
    fn unknown_filters_and_bad_values_are_named() {
        let key = Secret::new("key");
        let read = |text: &str| Query::read(text, "events", &["type", "metadata."], &key);
        assert!(read("type=x&metadata.campaign=spring&limit=250").is_ok());
        for bad in ["tpye=x", "limit=0", "limit=251", "limit=x", "cursor=x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
