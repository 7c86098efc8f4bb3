//! The recorder's inbox: what waits to be written, and when it is worth a transaction.
//!
//! Whoever hands something over wakes the recorder only where that lets it begin: with the first that waits, and with
//! as many as are worth a transaction beside another one. All who come while a batch is being written cost it nothing
//! until it is done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// So many may wait; whoever comes then is told to come again.
const CAPACITY: usize = 4096;
/// So many make one batch at most.
pub(super) const BATCH: usize = 256;
/// So many are worth a transaction beside another one.
const WORTH: usize = 24;

/// Clones are the same.
#[derive(Debug)]
pub(super) struct Inbox<T>(Arc<(Mutex<State<T>>, Notify)>);

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    /// How many batches are being written.
    writing: usize,
    closed: bool,
}

/// A batch's turn. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<T>(Inbox<T>);

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Inbox<T> {
    pub(super) fn new() -> Self {
        let state = State { waiting: VecDeque::new(), writing: 0, closed: false };
        Self(Arc::new((Mutex::new(state), Notify::new())))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it back where it is full or closed.
    pub(super) fn push(&self, one: T) -> Result<(), T> {
        let mut state = self.state();
        if state.closed || state.waiting.len() >= CAPACITY {
            return Err(one);
        }
        state.waiting.push_back(one);
        let (waiting, writing) = (state.waiting.len(), state.writing);
        drop(state);
        if waiting == 1 && writing == 0 || waiting == WORTH && writing > 0 {
            self.0.1.notify_one();
        }
        Ok(())
    }

    /// Nothing more is taken; what waits still is.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.0.1.notify_one();
    }

    /// Waits for a batch that may be written, where up to `writers` may be at the same time. `None` when it is closed
    /// and empty. One waits here at a time.
    pub(super) async fn take(&self, writers: usize) -> Option<(Vec<T>, Turn<T>)> {
        loop {
            {
                let mut state = self.state();
                if state.closed && state.waiting.is_empty() {
                    return None;
                }
                let waiting = state.waiting.len();
                if state.writing == 0 && waiting > 0 || state.writing < writers && waiting >= WORTH {
                    state.writing += 1;
                    let batch = state.waiting.drain(..waiting.min(BATCH)).collect();
                    return Some((batch, Turn(self.clone())));
                }
            }
            self.0.1.notified().await;
        }
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.writing -= 1;
        drop(state);
        self.0.0.1.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn taken(inbox: &Inbox<usize>, writers: usize) -> Option<(Vec<usize>, Turn<usize>)> {
        inbox.take(writers).now_or_never().flatten()
    }

    #[test]
    fn all_that_waits_is_one_batch_in_its_order() {
        let inbox = Inbox::new();
        (0..BATCH + 3).for_each(|one| inbox.push(one).unwrap());
        let (batch, turn) = taken(&inbox, 1).unwrap();
        assert_eq!(batch, (0..BATCH).collect::<Vec<_>>());
        assert!(taken(&inbox, 1).is_none(), "one at a time");
        drop(turn);
        assert_eq!(taken(&inbox, 1).unwrap().0, [BATCH, BATCH + 1, BATCH + 2]);
    }

    #[test]
    fn a_second_batch_is_begun_where_it_is_worth_it() {
        let inbox = Inbox::new();
        inbox.push(0).unwrap();
        let (_, _turn) = taken(&inbox, 2).unwrap();
        (1..WORTH).for_each(|one| inbox.push(one).unwrap());
        assert!(taken(&inbox, 2).is_none());
        inbox.push(WORTH).unwrap();
        assert_eq!(taken(&inbox, 2).unwrap().0.len(), WORTH);
    }

    #[test]
    fn who_waits_for_a_batch_is_woken_when_one_can_be_written() {
        let inbox = Inbox::new();
        let mut first = Box::pin(inbox.take(1));
        assert!(first.as_mut().now_or_never().is_none());
        inbox.push(1).unwrap();
        let (_, turn) = first.now_or_never().flatten().unwrap();
        inbox.push(2).unwrap();
        let mut second = Box::pin(inbox.take(1));
        assert!(second.as_mut().now_or_never().is_none());
        drop(turn);
        assert_eq!(second.now_or_never().flatten().unwrap().0, [2]);
    }

    #[test]
    fn a_full_one_and_a_closed_one_take_nothing_more() {
        let inbox = Inbox::new();
        (0..CAPACITY).for_each(|one| inbox.push(one).unwrap());
        assert_eq!(inbox.push(7), Err(7));
        let (batch, turn) = taken(&inbox, 1).unwrap();
        inbox.close();
        assert_eq!(inbox.push(7), Err(7));
        drop(turn);
        let mut left = CAPACITY - batch.len();
        while let Some((batch, _turn)) = taken(&inbox, 1) {
            left -= batch.len();
        }
        assert_eq!(left, 0);
        assert!(inbox.take(1).now_or_never().unwrap().is_none());
    }
}
