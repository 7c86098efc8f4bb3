//! Repeats: a bounded memory of callbacks that are on disk, and whose very bytes can only be told the same again.
//!
//! Providers post until they are answered, and some post all the same. What repeats an end that was told costs neither
//! a reading nor a transaction: it is counted here, and the counts are written from time to time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::entry::Entry;
use super::roster::Roster;
use super::write::Receipt;
use crate::domain::callback::{CallbackOutcome, Fingerprint};
use crate::domain::clock::Timestamp;
use crate::domain::task::Trust;
use crate::store::{self, Result, Store};

/// So many are remembered since the memory was last turned over, and as many from before that: some megabytes.
const REMEMBERED: usize = 4096;
/// So long after the database was last asked for it, a callback is forgotten: the providers' own repeats come within ten
/// minutes (`docs/providers.md`).
const FOR: Duration = Duration::from_secs(15 * 60);

/// The memory. Clones are the same.
#[derive(Clone, Debug)]
pub struct Repeats {
    remembered_for: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    young: HashMap<Fingerprint, Remembered>,
    old: HashMap<Fingerprint, Remembered>,
    /// What was counted and is not written down.
    counts: store::Repeats,
}

#[derive(Debug)]
struct Remembered {
    source: String,
    trust: Trust,
    /// Under which settings it was read.
    roster: Weak<Roster>,
    receipt: Receipt,
    /// When the database was last asked.
    at: Timestamp,
}

/// A callback that may be one that is remembered.
#[derive(Clone, Copy)]
pub(super) struct Again<'a> {
    pub(super) print: &'a Fingerprint,
    pub(super) source: &'a str,
    pub(super) trust: Trust,
    pub(super) roster: &'a Arc<Roster>,
}

impl Repeats {
    /// A memory without anything in it. What is kept of a callback is kept for so long, `None` for ever.
    pub fn new(kept_for: Option<Duration>) -> Self {
        Self { remembered_for: kept_for.map_or(FOR, |kept_for| FOR.min(kept_for / 2)), state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is answered to a callback that is remembered. It is counted.
    pub(super) fn again(&self, again: Again<'_>, now: Timestamp) -> Option<Receipt> {
        let mut state = self.state();
        if !state.young.contains_key(again.print) {
            let known = state.old.remove(again.print)?;
            state.remember(*again.print, known);
        }
        let known = state.young.get(again.print).filter(|known| known.is(again))?;
        if now.since(known.at) >= self.remembered_for {
            return None;
        }
        let receipt = known.receipt.clone();
        let count = state.counts.entry(receipt.callback_id.clone()?).or_insert((0, now));
        *count = (count.0 + 1, now);
        Some(receipt)
    }

    /// Remembers a callback that is durable, where its bytes can only be told the same again.
    pub(super) fn remember(&self, entry: &Entry, receipt: &Receipt) {
        if !is_final(entry, receipt) {
            return;
        }
        let Some(arrival) = &entry.arrival else { return };
        let remembered = Remembered {
            source: entry.source.clone(),
            trust: entry.from.trust,
            roster: Arc::downgrade(&entry.roster),
            receipt: receipt.clone(),
            at: entry.received_at,
        };
        self.state().remember(arrival.print, remembered);
    }

    /// Writes down what was counted. What cannot be written now is kept.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn write(&self, store: &Store) -> Result<()> {
        let counts = std::mem::take(&mut self.state().counts);
        if counts.is_empty() {
            return Ok(());
        }
        let written = async {
            let mut tx = store.write().await?;
            tx.count_repeats(&counts);
            tx.commit().await
        };
        let written = written.await;
        if written.is_err() {
            let mut state = self.state();
            for (id, (many, at)) in counts {
                let count = state.counts.entry(id).or_insert((0, at));
                *count = (count.0 + many, count.1.max(at));
            }
        }
        written
    }
}

impl State {
    /// Where the young are as many as there may be, they are the old ones from now on.
    fn remember(&mut self, print: Fingerprint, remembered: Remembered) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(print, remembered);
    }
}

impl Remembered {
    fn is(&self, again: Again<'_>) -> bool {
        let same_settings = std::ptr::eq(self.roster.as_ptr(), Arc::as_ptr(again.roster));
        same_settings && self.trust == again.trust && self.source == again.source
    }
}

/// Whether the very same again can only be a duplicate of the same events: the ends that it speaks of are told. Where a
/// client wants it handed on, it is looked whether that was done.
fn is_final(entry: &Entry, receipt: &Receipt) -> bool {
    receipt.outcome == CallbackOutcome::Duplicate
        && entry.intent_id().is_none()
        && !receipt.tasks.is_empty()
        && receipt.tasks.iter().all(|folded| folded.outcome == CallbackOutcome::Duplicate && folded.is_final)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::CallbackId;
    use crate::flow::fold::Folded;

    const START: Timestamp = Timestamp(1_775_001_600_000);

    fn print(number: usize) -> Fingerprint {
        let mut print = [0; 32];
        print[..8].copy_from_slice(&number.to_be_bytes());
        print
    }

    fn remembered() -> Remembered {
        let task = Folded {
            task_id: "t".into(),
            outcome: CallbackOutcome::Duplicate,
            event_id: None,
            detail: None,
            is_first: false,
            is_final: true,
        };
        let receipt = Receipt {
            callback_id: Some(CallbackId::new(START)),
            outcome: CallbackOutcome::Duplicate,
            tasks: vec![task],
            quarantined_task: None,
            detail: None,
        };
        Remembered { source: "evolink".into(), trust: Trust::Unsigned, roster: Weak::new(), receipt, at: START }
    }

    #[test]
    fn it_is_bounded_and_keeps_what_came_last() {
        let mut state = State::default();
        for number in 0..3 * REMEMBERED {
            state.remember(print(number), remembered());
        }
        assert_eq!((state.young.len(), state.old.len()), (REMEMBERED, REMEMBERED));
        assert!(!state.old.contains_key(&print(0)) && state.old.contains_key(&print(REMEMBERED)));
        assert!(state.young.contains_key(&print(3 * REMEMBERED - 1)));
    }

    #[test]
    fn it_forgets_before_what_is_kept_is_removed() {
        assert_eq!(Repeats::new(None).remembered_for, FOR);
        assert_eq!(Repeats::new(Some(Duration::from_secs(10))).remembered_for, Duration::from_secs(5));
    }
}
