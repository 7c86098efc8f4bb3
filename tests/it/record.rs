//! What one side of a test has seen, so that the other side can wait for it: for a condition, never for
//! a time.

use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Nothing that a test waits for takes so long, on the slowest machine; after it the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Things in the order in which they were seen. Clones are the same.
pub(crate) struct Record<T> {
    shared: Arc<(Mutex<Seen<T>>, Condvar)>,
}

struct Seen<T> {
    things: Vec<T>,
    ended: bool,
}

impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Default for Record<T> {
    fn default() -> Self {
        Self { shared: Arc::new((Mutex::new(Seen { things: Vec::new(), ended: false }), Condvar::new())) }
    }
}

impl<T: Clone + Debug> Record<T> {
    pub(crate) fn push(&self, thing: T) {
        self.shared.0.lock().unwrap().things.push(thing);
        self.shared.1.notify_all();
    }

    /// Nothing more will come.
    pub(crate) fn end(&self) {
        self.shared.0.lock().unwrap().ended = true;
        self.shared.1.notify_all();
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.shared.0.lock().unwrap().things.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.shared.0.lock().unwrap().things.len()
    }

    /// Waits until `look` finds in everything so far what it looks for.
    ///
    /// # Panics
    /// Where nothing more will come, or [`PATIENCE`] ends; `what` is then told.
    pub(crate) fn until<R>(&self, what: &str, look: impl FnMut(&[T]) -> Option<R>) -> R {
        self.find(what, look).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// The same, and the failure as a text.
    pub(crate) fn find<R>(&self, what: &str, mut look: impl FnMut(&[T]) -> Option<R>) -> Result<R, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.shared.0.lock().unwrap();
        loop {
            if let Some(found) = look(&seen.things) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if seen.ended || left.is_zero() {
                let why = if seen.ended { "it ended" } else { "it did not come" };
                let last = &seen.things[seen.things.len().saturating_sub(20)..];
                return Err(format!("{why} before {what}; the last of {}: {last:#?}", seen.things.len()));
            }
            seen = self.shared.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Waits until there are so many.
    pub(crate) fn until_len(&self, many: usize) -> Vec<T> {
        self.until(&format!("there were {many}"), |things| (things.len() >= many).then(|| things.to_vec()))
    }

    /// Waits for the end.
    pub(crate) fn until_end(&self, patience: Duration) -> bool {
        let seen = self.shared.0.lock().unwrap();
        self.shared.1.wait_timeout_while(seen, patience, |seen| !seen.ended).unwrap().0.ended
    }
}
