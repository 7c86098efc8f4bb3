//! What the recorder and the dispatcher tell whoever watches the service: one line each.

use tokio::sync::broadcast;

use crate::domain::callback::CallbackOutcome;
use crate::domain::clock::Timestamp;

/// So many notices wait for a slow watcher; older ones are skipped.
const KEPT: usize = 1024;

/// Something that happened, after it was durable.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A callback was taken in.
    Callback {
        /// When it came.
        at: Timestamp,
        /// The source it came to.
        source: String,
        /// The task it speaks of.
        task_id: Option<String>,
        /// What became of it.
        outcome: CallbackOutcome,
        /// The event that it made or repeats.
        event_id: Option<String>,
        /// Why, where there is something to say.
        detail: Option<String>,
    },
    /// An event was made.
    Event {
        /// When.
        at: Timestamp,
        /// Its id.
        id: String,
        /// Its type.
        kind: &'static str,
        /// The source of its task.
        source: String,
        /// The task.
        task_id: String,
        /// To how many destinations it goes.
        destinations: usize,
    },
    /// A delivery was tried.
    Attempt {
        /// When.
        at: Timestamp,
        /// The event.
        event_id: String,
        /// The destination.
        destination: String,
        /// The attempt's number.
        number: u32,
        /// How it went, in one word.
        outcome: &'static str,
        /// Why it did not go.
        reason: Option<String>,
        /// When it is tried again.
        next_at: Option<Timestamp>,
    },
}

/// Where notices go. Clones are the same.
#[derive(Clone, Debug)]
pub struct Notices(broadcast::Sender<Notice>);

impl Default for Notices {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

impl Notices {
    /// Tells whoever watches. Made only if somebody does.
    pub fn tell(&self, notice: impl FnOnce() -> Notice) {
        if self.0.receiver_count() > 0 {
            // Whoever watched may have gone meanwhile, and then nobody is told.
            let _ = self.0.send(notice());
        }
    }

    /// Watches from now on.
    pub fn watch(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }
}
