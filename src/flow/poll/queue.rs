//! What is due, as the database had it when it was last read.
//!
//! A second's requests look at it dozens of times, and find the same: it is read again once somebody says that something
//! is due, or we have asked for all that was, or a second later, for what other instances write.

use super::LOOK_AT_LEAST_EVERY;
use crate::domain::clock::Timestamp;
use crate::store::{NextAsk, Result, Store, TaskId};

/// So many tasks are looked at together when their time has come without an answer.
const LOOKS: i64 = 256;

/// What was due, and what is next.
pub(super) struct Queue {
    read_at: Timestamp,
    /// Tasks about which something is to be told without an answer.
    pub(super) looks: Vec<TaskId>,
    /// When there is the next of them.
    pub(super) next_look: Option<Timestamp>,
    /// When the next question is due at each source.
    pub(super) next: Vec<NextAsk>,
}

impl Queue {
    /// Reads it: for sources that are asked with our key, and those that are asked with their clients'.
    pub(super) async fn read(store: &Store, ours: &[&str], clients: &[&str], now: Timestamp) -> Result<Self> {
        let mut tx = store.read().await?;
        let next_look = tx.next_look().await?;
        let looks = if next_look.is_some_and(|at| at <= now) { tx.due_looks(now, LOOKS).await? } else { Vec::new() };
        let mut next = tx.next_questions(ours).await?;
        next.extend(tx.next_relayed(clients).await?);
        tx.commit().await?;
        Ok(Self { read_at: now, looks, next_look, next })
    }

    /// Whether it need not be read again. What was to be told has been, and what is next is not known.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        let expires = self.read_at.after(LOOK_AT_LEAST_EVERY);
        self.looks.is_empty() && self.next_look.is_none_or(|at| at > now) && self.read_at <= now && now < expires
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const READ_AT: Timestamp = Timestamp(1_775_001_600_000);

    fn queue() -> Queue {
        Queue { read_at: READ_AT, looks: Vec::new(), next_look: None, next: Vec::new() }
    }

    fn after(millis: u64) -> Timestamp {
        READ_AT.after(Duration::from_millis(millis))
    }

    #[test]
    fn it_holds_for_a_second() {
        assert_eq!([0, 999, 1000].map(|millis| queue().holds(after(millis))), [true, true, false]);
        assert!(!queue().holds(Timestamp(READ_AT.0 - 1)), "a clock that was set back says nothing");
    }

    #[test]
    fn it_holds_until_something_is_to_be_told() {
        let next = Queue { next_look: Some(after(500)), ..queue() };
        assert_eq!([499, 500].map(|millis| next.holds(after(millis))), [true, false]);
        let told = Queue { looks: vec![("evolink".into(), "task-1".into())], ..queue() };
        assert!(!told.holds(READ_AT), "what was to be told is told");
    }
}
