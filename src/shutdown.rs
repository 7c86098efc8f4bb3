//! Stopping: a soft token (take no new work), a hard token (leave what is being done), and the tracker
//! that knows every task of the process. Nothing runs untracked.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The life of the process. Clones are the same life.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tracker: TaskTracker,
}

impl Lifecycle {
    /// Runs `task` until it ends by itself; a stop waits for it.
    #[expect(clippy::disallowed_methods, reason = "the one place where tasks are spawned, and tracked")]
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.tracker.track_future(task))
    }

    /// Cancelled when the process should take no new work.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when what is being done should be left for the next start.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Begins to stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Waits until every task has ended; after `grace` they are told to leave what they are doing.
    pub async fn drained(&self, grace: Duration) {
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_err() {
            self.hard.cancel();
            self.tracker.wait().await;
        }
    }

    /// Stops on the first SIGTERM or SIGINT, and leaves everything on the second.
    ///
    /// # Errors
    /// Where signals cannot be listened for.
    pub fn stop_on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let life = self.clone();
        #[expect(clippy::disallowed_methods, reason = "it has no work that a stop would have to wait for")]
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if life.soft.is_cancelled() {
                    life.hard.cancel();
                }
                life.soft.cancel();
            }
        });
        Ok(())
    }
}
