//! What the address of a list says: its filters and its place. The same filters as the API's, read by the same code.

use url::form_urlencoded::{Serializer, parse};

use super::super::api::list::Query;
use super::super::problem::Problem;
use super::visit::Visit;

/// The query of a page.
pub(super) struct Asked {
    /// As the API reads it.
    pub(super) query: Query,
    path: String,
    pairs: Vec<(String, String)>,
}

impl Visit {
    /// Reads the address of the list `kind`, which has these filters; a field that was left empty is no filter.
    ///
    /// # Errors
    /// [`Problem::Invalid`] for a filter that there is not.
    pub(super) fn asked(&self, kind: &str, filters: &[&str]) -> Result<Asked, Problem> {
        let pairs: Vec<(String, String)> = parse(self.request.query_string().as_bytes())
            .map(|(name, value)| (name.into_owned(), value.trim().to_owned()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let query = Query::read(&written(&pairs), kind, filters, &self.roster.url_key)?;
        Ok(Asked { query, path: self.request.path().to_owned(), pairs })
    }
}

impl Asked {
    /// What a filter is set to, as it stands in the address.
    pub(super) fn value(&self, name: &str) -> &str {
        self.pairs.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The filters alone, as a query.
    pub(super) fn filters(&self) -> String {
        let filters: Vec<_> = self.pairs.iter().filter(|(name, _)| !PLACE.contains(&name.as_str())).cloned().collect();
        written(&filters)
    }

    /// Whether anything is filtered.
    pub(super) fn is_filtered(&self) -> bool {
        !self.filters().is_empty()
    }

    /// Whether this is the newest page.
    pub(super) fn is_newest(&self) -> bool {
        self.query.before.is_none()
    }

    /// The address of the same list from this cursor on.
    pub(super) fn from(&self, cursor: &str) -> String {
        let mut pairs: Vec<_> = self.pairs.iter().filter(|(name, _)| name != "cursor").cloned().collect();
        pairs.push(("cursor".to_owned(), cursor.to_owned()));
        format!("{}?{}", self.path, written(&pairs))
    }

    /// The address of the same list from its beginning.
    pub(super) fn newest(&self) -> String {
        let filters = self.filters();
        if filters.is_empty() { self.path.clone() } else { format!("{}?{filters}", self.path) }
    }

    /// The address of the whole list.
    pub(super) fn whole(&self) -> &str {
        &self.path
    }
}

/// Parts of an address that choose nothing.
const PLACE: [&str; 3] = ["cursor", "limit", "paused"];

fn written(pairs: &[(String, String)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}
