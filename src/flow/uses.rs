//! When keys and callback tokens were last used. It is noted in memory, off the request's way, and written down at
//! most once a minute each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::clock::Timestamp;
use crate::store::{Result, Store};

/// Between two times that it is written down, in milliseconds.
const WRITTEN_EVERY_MS: i64 = 60_000;
/// It is noted to the second: a callback costs no more than a look at it.
const NOTED_EVERY_MS: i64 = 1000;

/// What is used.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Used {
    /// An API key, by its id.
    Key(String),
    /// A callback token.
    Token {
        /// The source.
        source: String,
        /// The token's id.
        id: String,
    },
}

/// When one of them was last used.
#[derive(Default)]
pub struct Use {
    at: AtomicI64,
    written: AtomicI64,
}

impl Use {
    /// Notes that it is used.
    pub fn note(&self, now: Timestamp) {
        if now.0 - self.at.load(Ordering::Relaxed) >= NOTED_EVERY_MS {
            self.at.store(now.0, Ordering::Relaxed);
        }
    }

    /// When this process last saw it used.
    pub fn last(&self) -> Option<Timestamp> {
        Some(self.at.load(Ordering::Relaxed)).filter(|at| *at > 0).map(Timestamp)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let written = self.written.load(Ordering::Relaxed);
        self.at.load(Ordering::Relaxed) > written && now.0 - written >= WRITTEN_EVERY_MS
    }
}

/// When everything was last used.
#[derive(Default)]
pub struct Uses(Mutex<HashMap<Used, Arc<Use>>>);

impl Uses {
    /// When one of them was last used, to be noted there.
    pub fn of(&self, used: Used) -> Arc<Use> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(used).or_default())
    }

    /// Writes down what was not within the last minute.
    ///
    /// # Errors
    /// As the database gives them; it is written later then.
    pub async fn write(&self, store: &Store, now: Timestamp) -> Result<()> {
        let due: Vec<(Used, Arc<Use>, Timestamp)> = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let due = all.iter().filter(|(_, using)| using.is_due(now));
            due.filter_map(|(used, using)| Some((used.clone(), Arc::clone(using), using.last()?))).collect()
        };
        if due.is_empty() {
            return Ok(());
        }
        let mut tx = store.write().await?;
        for (used, _, at) in &due {
            match used {
                Used::Key(id) => tx.note_key_used(id, *at).await?,
                Used::Token { source, id } => tx.note_token_used(source, id, *at).await?,
            }
        }
        tx.commit().await?;
        for (_, using, at) in &due {
            using.written.store(at.0, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_due_once_a_minute() {
        let uses = Uses::default();
        let using = uses.of(Used::Key("key_1".into()));
        let start = Timestamp(1_775_001_600_000);
        assert!(!using.is_due(start) && using.last().is_none());
        using.note(start);
        assert!(using.is_due(start));
        using.written.store(start.0, Ordering::Relaxed);
        using.note(Timestamp(start.0 + 59_000));
        assert!(!using.is_due(Timestamp(start.0 + 59_999)));
        assert!(using.is_due(Timestamp(start.0 + 60_000)));
        assert!(Arc::ptr_eq(&using, &uses.of(Used::Key("key_1".into()))));
    }
}
