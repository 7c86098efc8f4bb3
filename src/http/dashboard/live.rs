//! The events of the first page as they are committed: the API's stream, for who is signed in, as lines of the page.

use actix_web::HttpRequest;
use actix_web::web::Data;
use askama::Template;

use super::super::Services;
use super::super::api::stream::{self, Follower, frame};
use super::super::problem::Problem;
use super::Page;
use super::line::{Arrived, Line, Search};
use super::look::Look;
use super::query::Asked;
use super::visit::{Frame, Visit};
use crate::domain::access::{Right, Scope};
use crate::domain::clock::Timestamp;
use crate::domain::id::EventId;
use crate::flow::listeners::{Told, Wanted};
use crate::store::TailRow;

const ENDED: &str = "event: ended\ndata: \n\n";

/// Where the events of a page go on that was made at this moment.
///
/// What was committed while the page was on its way comes twice then, and none is left out.
pub(super) fn address(asked: &Asked, newest: Option<&str>, now: Timestamp) -> String {
    let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(asked.filters().as_bytes())
        .filter(|(name, _)| !["since", "until"].contains(&name.as_ref()))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    // The newest that is found may be old, and much may have come since that is not looked for.
    let last =
        newest.filter(|_| !asked.is_filtered()).map_or_else(|| EventId::first_of(now).to_string(), str::to_owned);
    pairs.push(("last_event_id".to_owned(), last));
    format!("/ui/live?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

/// Follows the events.
pub(super) async fn follow(visit: &Visit) -> Page {
    let (mut search, mut rest) = ((None, None), Vec::new());
    for (name, value) in url::form_urlencoded::parse(visit.request.query_string().as_bytes()) {
        match name.as_ref() {
            "model" => search.0 = Some(value.into_owned()),
            "q" => search.1 = Some(value.into_owned()),
            _ => rest.push((name.into_owned(), value.into_owned())),
        }
    }
    let rest = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
    let wanted = Wanted { listener: None, ..stream::read(&rest, visit.request.headers())? };
    let looking = Looking {
        services: visit.services.clone(),
        request: visit.request.clone(),
        search: Search::of(search.0, search.1.as_deref()),
        may_manage: visit.may(Right::Manage),
    };
    let key = visit.caller.key_id.clone().unwrap_or_default();
    stream::stream(visit.services.clone(), &key, wanted, looking).await
}

/// Whoever looks at the first page.
struct Looking {
    services: Data<Services>,
    request: HttpRequest,
    search: Search,
    /// Whether what is shown can be chosen, to do something with it.
    may_manage: bool,
}

impl Follower for Looking {
    async fn scope(&self) -> Result<Option<Scope>, Problem> {
        let visit = Visit::of(&self.request, &self.services).await?;
        Ok(visit.filter(|visit| visit.may(Right::Read)).map(|visit| visit.scope))
    }

    fn frames(&self, told: &Told) -> String {
        match told {
            Told::Events(rows) => self.lines(rows),
            Told::Replays(_) => String::new(),
            Told::At(at) => format!(": at {at}\n\n"),
        }
    }

    fn ended(&self) -> &'static str {
        ENDED
    }
}

impl Looking {
    fn lines(&self, rows: &[TailRow]) -> String {
        let now = self.services.clock.now();
        let mut page = Frame::bare(&self.request, Look::of(&self.request), now);
        page.may_manage = self.may_manage;
        let mut text = String::new();
        for row in rows {
            let line = Line::of(&row.id, row.kind, row.at, &row.body, now);
            if !self.search.finds(&line) {
                continue;
            }
            let html = Arrived { frame: &page, line: &line }.render().unwrap_or_default();
            frame(&mut text, Some(&row.id), "line", &html);
        }
        text
    }
}
