//! Reading a provider's list of tasks, newest first, down to what was read before: how a task of which
//! nobody told us is found all the same. Pure.

use std::collections::HashSet;
use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::providers::api::Listed;

/// A task that is listed late, or by a clock that is behind ours, is still found within this.
const OVERLAP: Duration = Duration::from_secs(10 * 60);
/// So many pages are read at once at most; what lies deeper is older than anything we should know.
const PAGES_MAX: u32 = 200;

/// How far a list is read.
#[derive(Default)]
pub(super) struct Listing {
    /// When it is read again; never before the first time.
    pub(super) due_at: Timestamp,
    /// The page that comes next, while one reading goes on.
    page: Option<u32>,
    /// The newest task of this reading.
    newest: Option<Timestamp>,
    /// When there was last something new.
    moved_at: Timestamp,
    /// Tasks of the last reading that the next one will show again.
    recent: HashSet<String>,
    /// Those of this reading.
    seen: HashSet<String>,
}

/// What a page comes to.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    /// Tasks to be watched.
    pub(super) adopt: Vec<Listed>,
    /// Set when the reading is over: the list is read up to tasks of this time.
    pub(super) read_up_to: Option<Timestamp>,
}

impl Listing {
    /// The page to be read now, if there is one.
    pub(super) fn page(&self, now: Timestamp) -> Option<u32> {
        if now < self.due_at { None } else { Some(self.page.unwrap_or(1)) }
    }

    /// Notes that a page is being read: it is not read twice.
    pub(super) fn begun(&mut self, lease_until: Timestamp) {
        self.due_at = lease_until;
    }

    /// Notes that a page could not be read.
    pub(super) fn failed(&mut self, now: Timestamp, every: Duration) {
        self.due_at = now.after(every);
    }

    /// Takes in a page. `floor` is when the source was added: older tasks are not ours. `mark` is how far the
    /// list was read before.
    pub(super) fn take(
        &mut self,
        rows: Vec<Listed>,
        floor: Timestamp,
        mark: Option<Timestamp>,
        now: Timestamp,
        every: Duration,
    ) -> Found {
        let page = self.page.unwrap_or(1);
        let down_to = mark.map_or(floor, |mark| Timestamp(mark.0 - overlap()).max(floor));
        // What is listed late has come by then.
        let is_quiet = now.since(self.moved_at) >= OVERLAP && rows.iter().all(|row| self.recent.contains(&row.task_id));
        let reached =
            is_quiet || rows.is_empty() || rows.iter().any(|row| row.created_at.is_some_and(|at| at < down_to));
        self.newest = self.newest.max(rows.iter().filter_map(|row| row.created_at).max());
        // A provider that does not know pages gives the first one again.
        let repeats = rows.iter().all(|row| self.seen.contains(&row.task_id));
        let fresh = rows.into_iter().filter(|row| row.created_at.is_none_or(|at| at >= down_to));
        let mut adopt = Vec::new();
        for row in fresh {
            let new = self.seen.insert(row.task_id.clone());
            if new && !self.recent.contains(&row.task_id) {
                self.moved_at = now;
                adopt.push(row);
            }
        }
        if !reached && !repeats && page < PAGES_MAX {
            self.page = Some(page + 1);
            self.due_at = now;
            return Found { adopt, read_up_to: None };
        }
        self.page = None;
        self.due_at = now.after(every);
        let seen = std::mem::take(&mut self.seen);
        if is_quiet {
            // What lies deeper was not looked at, and is known.
            self.recent.extend(seen);
        } else {
            self.recent = seen;
        }
        Found { adopt, read_up_to: Some(self.newest.take().or(mark).unwrap_or(floor)) }
    }
}

fn overlap() -> i64 {
    i64::try_from(OVERLAP.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_775_001_600_000);
    const EVERY: Duration = Duration::from_secs(60);

    fn row(id: &str, minutes: u64) -> Listed {
        let created_at = Some(START.after(Duration::from_secs(60 * minutes)));
        Listed { task_id: id.to_owned(), created_at, status: None }
    }

    fn ids(found: &Found) -> Vec<&str> {
        found.adopt.iter().map(|row| row.task_id.as_str()).collect()
    }

    #[test]
    fn it_is_read_page_by_page_down_to_when_the_source_was_added() {
        let mut listing = Listing::default();
        let now = START.after(Duration::from_secs(3600));
        assert_eq!(listing.page(now), Some(1));
        let first = listing.take(vec![row("d", 50), row("c", 40)], START, None, now, EVERY);
        assert_eq!((ids(&first), first.read_up_to), (vec!["d", "c"], None));
        assert_eq!(listing.page(now), Some(2));
        let older = Listed { created_at: Some(Timestamp(START.0 - 1)), ..row("a", 0) };
        let last = listing.take(vec![row("b", 1), older], START, None, now, EVERY);
        assert_eq!((ids(&last), last.read_up_to), (vec!["b"], row("d", 50).created_at));
        assert_eq!(listing.page(now), None);
        assert_eq!(listing.page(now.after(EVERY)), Some(1));
    }

    #[test]
    fn what_was_read_before_is_passed_over_and_what_was_listed_late_is_found() {
        let mut listing = Listing::default();
        let now = START.after(Duration::from_secs(3600));
        let mark = listing.take(vec![row("a", 30)], START, None, now, EVERY).read_up_to;
        assert_eq!(mark, None, "the list goes on until it is empty or old");
        let mark = listing.take(Vec::new(), START, None, now, EVERY).read_up_to;
        assert_eq!(mark, row("a", 30).created_at);
        let page = vec![row("c", 35), row("a", 30), row("late", 25), row("old", 10)];
        let found = listing.take(page, START, mark, now, EVERY);
        assert_eq!((ids(&found), found.read_up_to), (vec!["c", "late"], row("c", 35).created_at));
    }

    #[test]
    fn when_nothing_was_new_for_a_while_one_page_is_enough() {
        let mut listing = Listing::default();
        let now = START.after(Duration::from_secs(3600));
        let pages = || [vec![row("d", 50), row("c", 50)], vec![row("b", 50), row("a", 50)], Vec::new()];
        let mut read = |now: Timestamp, mark: Option<Timestamp>| {
            let mut many = 0;
            for page in pages() {
                many += 1;
                if let Some(up_to) = listing.take(page, START, mark, now, EVERY).read_up_to {
                    return (many, Some(up_to));
                }
            }
            (many, None)
        };
        let (many, mark) = read(now, None);
        assert_eq!(many, 3);
        assert_eq!(read(now.after(EVERY * 9), mark), (3, mark));
        assert_eq!(read(now.after(EVERY * 10), mark), (1, mark));
        assert_eq!(read(now.after(EVERY * 11), mark), (1, mark));
    }

    #[test]
    fn an_empty_list_is_read_to_its_end() {
        let found = Listing::default().take(Vec::new(), START, None, START, EVERY);
        assert_eq!(found, Found { adopt: Vec::new(), read_up_to: Some(START) });
    }
}
