//! Trying a destination: one made-up event, sent now and not kept.

use std::time::Duration;

use crate::channels::{Message, Sender};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::Report;
use crate::domain::event::{Event, EventType};
use crate::domain::task::{
    Metadata, MetadataOrigin, Observation, Output, OutputKind, Provenance, Status, Task, Trust, Via,
};

/// Sends a test event and says how it went. Nothing is retried, and nothing is held against the
/// destination.
pub async fn probe(sender: &dyn Sender, timeout: Duration, now: Timestamp) -> Report {
    let event = test_event(now);
    let message = Message {
        event_id: event.id.to_string(),
        kind: event.kind.as_str().to_owned(),
        at: now,
        body: event.body,
        replay_id: None,
        now,
        timeout,
        parts_done: Vec::new(),
    };
    sender.send(&message).await
}

fn test_event(now: Timestamp) -> Event {
    let mut seen = Observation::new("test", Status::Completed);
    seen.model = Some("a test from Callboard".into());
    seen.progress = Some(100);
    seen.outputs = vec![Output {
        url: "https://example.com/test.mp4".into(),
        kind: OutputKind::Video,
        expires_at: None,
        archived_url: None,
    }];
    let from = Provenance {
        via: Via::Callback,
        trust: Trust::Unsigned,
        metadata: Metadata::from([("test".into(), "true".into())]),
        metadata_origin: MetadataOrigin::Registered,
    };
    let (task, _) = Task::first_seen("test", "test", &seen, &from, now);
    Event::of_task(EventType::TaskCompleted, &task, None, now)
}
