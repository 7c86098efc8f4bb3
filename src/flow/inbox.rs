//! The recorder's inbox: what waits to be written, and when it is worth a transaction.
//!
//! Whoever hands something over begins a batch where that lets one begin: with the first that waits, and with as many as
//! are worth a transaction beside another one. All who come while a batch is being written wait for whoever ends it, who
//! begins the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many may wait; whoever comes then is told to come again.
const CAPACITY: usize = 4096;
/// So many make one batch at most.
pub(super) const BATCH: usize = 256;
/// So many are worth a transaction beside another one.
const WORTH: usize = 24;

/// Clones are the same.
#[derive(Debug)]
pub(super) struct Inbox<T>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    /// How many batches are being written.
    writing: usize,
    /// How many may be.
    writers: usize,
    closed: bool,
}

/// What is to be written together, and its turn.
pub(super) type Batch<T> = (Vec<T>, Turn<T>);

/// A batch's turn. It ends when it is dropped; whoever ends it begins the next batch.
#[derive(Debug)]
pub(super) struct Turn<T>(Inbox<T>);

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Inbox<T> {
    /// An empty one, of which so many batches may be written at the same time.
    pub(super) fn new(writers: usize) -> Self {
        Self(Arc::new(Mutex::new(State { waiting: VecDeque::new(), writing: 0, writers, closed: false })))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands one over; gives the batch that may be written now, if there is one. Gives it back where it is full or
    /// closed.
    pub(super) fn push(&self, one: T) -> Result<Option<Batch<T>>, T> {
        let mut state = self.state();
        if state.closed || state.waiting.len() >= CAPACITY {
            return Err(one);
        }
        state.waiting.push_back(one);
        Ok(self.begin(state))
    }

    /// Nothing more is taken; what waits still is written.
    pub(super) fn close(&self) {
        self.state().closed = true;
    }

    /// A batch that may be written, once a turn has ended.
    pub(super) fn next(&self) -> Option<Batch<T>> {
        self.begin(self.state())
    }

    fn begin(&self, mut state: MutexGuard<'_, State<T>>) -> Option<Batch<T>> {
        let waiting = state.waiting.len();
        let may_begin = state.writing == 0 && waiting > 0 || state.writing < state.writers && waiting >= WORTH;
        may_begin.then(|| {
            state.writing += 1;
            (state.waiting.drain(..waiting.min(BATCH)).collect(), Turn(self.clone()))
        })
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        self.0.state().writing -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands over so many; gives the batches that were begun.
    fn push(inbox: &Inbox<usize>, ones: std::ops::Range<usize>) -> Vec<Batch<usize>> {
        ones.filter_map(|one| inbox.push(one).unwrap()).collect()
    }

    #[test]
    fn all_that_waits_is_one_batch_in_its_order() {
        let inbox = Inbox::new(1);
        let mut begun = push(&inbox, 0..BATCH + 3);
        assert_eq!(begun.len(), 1, "one at a time");
        assert_eq!(begun[0].0, [0]);
        assert!(inbox.next().is_none());
        begun.clear();
        let (batch, turn) = inbox.next().unwrap();
        assert_eq!(batch, (1..=BATCH).collect::<Vec<_>>());
        drop(turn);
        assert_eq!(inbox.next().unwrap().0, [BATCH + 1, BATCH + 2]);
    }

    #[test]
    fn a_second_batch_is_begun_where_it_is_worth_it() {
        let inbox = Inbox::new(2);
        let _first = push(&inbox, 0..1);
        assert!(push(&inbox, 1..WORTH).is_empty());
        let second = push(&inbox, WORTH..WORTH + 1);
        assert_eq!(second[0].0.len(), WORTH);
        assert!(push(&inbox, 0..2 * WORTH).is_empty(), "no third");
        drop(second);
        assert_eq!(inbox.next().unwrap().0.len(), 2 * WORTH);
    }

    #[test]
    fn a_full_one_and_a_closed_one_take_nothing_more() {
        let inbox = Inbox::new(1);
        let mut begun = push(&inbox, 0..CAPACITY + 1);
        assert_eq!(inbox.push(7).unwrap_err(), 7);
        begun.clear();
        let (batch, turn) = inbox.next().unwrap();
        inbox.close();
        assert_eq!(inbox.push(7).unwrap_err(), 7);
        drop(turn);
        let mut left = CAPACITY - batch.len();
        while let Some((batch, _turn)) = inbox.next() {
            left -= batch.len();
        }
        assert_eq!(left, 0);
    }
}
