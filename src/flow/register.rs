//! Registering a task that was submitted elsewhere: from now on it is watched like any other.

use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, Opened, Reading};
use super::fresh::Fresh;
use super::roster::Roster;
use super::write::{Written, write};
use crate::domain::clock::Timestamp;
use crate::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Status, Trust, Via};
use crate::store::{Error, Tx};

/// What the user says of the task.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The source that it belongs to.
    pub source: String,
    /// The provider's id.
    pub task_id: String,
    /// What the user gives along; it wins over what a callback URL says.
    pub metadata: Metadata,
    /// When it is overdue, from now on.
    pub expect_within: Option<Duration>,
}

/// Registers a task. One that is known already, as its callback was quicker, is joined with it.
///
/// # Errors
/// As the database gives them.
pub async fn register(
    tx: &mut Tx,
    roster: &Arc<Roster>,
    registration: Registration,
    now: Timestamp,
) -> Result<Written, Error> {
    let Registration { source, task_id, metadata, expect_within } = registration;
    let metadata_origin = if metadata.is_empty() { MetadataOrigin::Absent } else { MetadataOrigin::Registered };
    let from = Provenance { via: Via::Relay, trust: Trust::Unsigned, metadata, metadata_origin };
    let opened = Opened { seen: Observation::new(&task_id, Status::Pending), deadline: expect_within, made_by: None };
    let entry = Entry::new(source, Reading::Opened(opened), from, now, None, Arc::clone(roster));
    write(tx, &[&entry], &Fresh::default(), now).await
}
