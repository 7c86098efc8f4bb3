//! Lists of the API: as many items as are asked for, page by page, for people or for scripts.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::{Client, Query};
use super::table::{Column, table};
use super::{Done, Failure, console, json};
use crate::config::value::duration;
use crate::domain::clock::{Clock, SystemClock, Timestamp};

/// So many items where nothing is said.
const LIMIT: usize = 50;
/// So many the API gives at once.
const PAGE_MAX: usize = 250;
/// How often a list that is watched is asked for.
const REDRAW_EVERY: Duration = Duration::from_secs(2);

/// How much of a list, and in which form.
#[derive(clap::Args, Clone, Default, PartialEq, Debug)]
pub(super) struct Paging {
    /// At most so many [default: 50]
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    pub(super) limit: Option<usize>,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    pub(super) all: bool,
    /// As one JSON array, an item on each line
    #[arg(long)]
    pub(super) json: bool,
}

/// For lists that have no stream.
#[derive(clap::Args, Clone, Default, PartialEq, Debug)]
pub(super) struct Watching {
    /// Draw it again every two seconds, until Ctrl-C
    #[arg(long, conflicts_with_all = ["json", "all"])]
    watch: bool,
}

/// A list of the API.
pub(super) struct Listing<'a> {
    pub(super) path: &'a [&'a str],
    pub(super) query: Query,
    pub(super) columns: &'a [Column],
}

/// A page, its items as they came.
#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    #[serde(default)]
    next_cursor: Option<String>,
}

impl Listing<'_> {
    /// Prints it.
    pub(super) async fn print(&self, client: &Client, paging: &Paging) -> Done {
        if paging.json { self.print_json(client, paging).await } else { self.print_table(client, paging).await }
    }

    /// Prints it, again and again if it is watched.
    pub(super) async fn print_watched(&self, client: &Client, paging: &Paging, watching: &Watching) -> Done {
        if !watching.watch {
            return self.print(client, paging).await;
        }
        let mut drawn = String::new();
        loop {
            let mut items = Vec::new();
            self.pages(client, paging, |page| {
                items.extend(values(&page));
            })
            .await?;
            let now = table(&items, self.columns, SystemClock.now(), true);
            if console::is_terminal() {
                console::clear();
                console::say(&now);
            } else if now != drawn {
                console::say(&now);
            }
            drawn = now;
            tokio::time::sleep(REDRAW_EVERY).await;
        }
    }

    async fn print_json(&self, client: &Client, paging: &Paging) -> Done {
        let mut before = "[";
        self.pages(client, paging, |page| {
            for item in page {
                console::say(before);
                let _ = console::give(json::line(item.get()).as_bytes());
                before = ",";
            }
        })
        .await?;
        console::say(if before == "[" { "[]" } else { "\n]" });
        Ok(())
    }

    async fn print_table(&self, client: &Client, paging: &Paging) -> Done {
        let (mut told, now) = (0, SystemClock.now());
        let more = self
            .pages(client, paging, |page| {
                if !page.is_empty() {
                    console::say(&table(&values(&page), self.columns, now, told == 0));
                }
                told += page.len();
            })
            .await?;
        if told == 0 {
            console::complain("none");
        } else if more {
            console::complain(&format!("… and more: --limit {}, or --all", told * 4));
        }
        Ok(())
    }

    /// Follows the cursors; gives each page, and whether there is more than was asked for.
    pub(super) async fn pages(
        &self,
        client: &Client,
        paging: &Paging,
        mut each: impl FnMut(Vec<Box<RawValue>>),
    ) -> Result<bool, Failure> {
        let mut left = if paging.all { usize::MAX } else { paging.limit.unwrap_or(LIMIT) };
        let mut cursor: Option<String> = None;
        while left > 0 {
            let mut query = self.query.clone();
            query.push(("limit".into(), left.min(PAGE_MAX).to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor".into(), cursor)));
            let mut page: Page = client.read(&client.get(self.path, &query).await?)?;
            // A list that is never long is given whole.
            let cut = page.items.len() > left;
            page.items.truncate(left);
            left -= page.items.len();
            // A page may be short, or empty, and yet not the last: a rare match is looked for piece by piece.
            cursor = page.next_cursor;
            each(page.items);
            if cut {
                return Ok(true);
            }
            if cursor.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Items as values.
pub(super) fn values(items: &[Box<RawValue>]) -> Vec<Value> {
    items.iter().map(|item| serde_json::from_str(item.get()).unwrap_or_default()).collect()
}

/// Prints one answer: as JSON, or as `tell` has it in words.
pub(super) fn print_one(text: &str, as_json: bool, tell: impl FnOnce(&str) -> String) {
    console::say(&if as_json { json::pretty(text) } else { tell(text) });
}

/// Filters that are set, as a query.
pub(super) fn filters(pairs: &[(&str, &Option<String>)]) -> Query {
    let set = pairs.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value).clone()?)));
    set.collect()
}

/// Reads a moment: RFC 3339, or how long ago it was.
pub(super) fn moment(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is no time: write 2026-11-21T02:00:00Z, or how long ago it was, as in 2h or 7d");
    if let Some(at) = Timestamp::parse(text) {
        return Ok(at.to_string());
    }
    let ago = duration(text).map_err(|_| wrong())?;
    let ago = i64::try_from(ago.as_millis()).map_err(|_| wrong())?;
    Ok(Timestamp(SystemClock.now().0.saturating_sub(ago).max(0)).to_string())
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "write a number from 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_or_so_long_ago() {
        assert_eq!(moment("2026-11-21T03:00:00+01:00").unwrap(), "2026-11-21T02:00:00Z");
        let day = SystemClock.now().since(Timestamp::parse(&moment("1d").unwrap()).unwrap()).as_secs();
        assert!((86_400..86_460).contains(&day), "{day}");
        assert!(moment("yesterday").unwrap_err().contains("7d"));
    }
}
