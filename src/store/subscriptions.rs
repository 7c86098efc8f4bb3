//! Subscriptions made at run time.

use super::Result;
use super::row::values;
use super::tx::Tx;
use crate::domain::clock::Timestamp;
use crate::domain::event::EventType;
use crate::domain::filter::Filter;
use crate::domain::subscription::Subscription;

/// A subscription as it is stored: its filter is text.
#[derive(Clone, Debug)]
pub struct StoredSubscription {
    /// Its id.
    pub id: String,
    /// The destination's name.
    pub destination: String,
    /// The types it wants.
    pub events: Vec<EventType>,
    /// The sources it wants; `None` is all.
    pub sources: Option<Vec<String>>,
    /// What else must hold, in CEL.
    pub filter: Option<String>,
}

impl Tx {
    /// Makes a subscription.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn insert_subscription(&mut self, made: &Subscription, now: Timestamp) -> Result<()> {
        let events: Vec<&str> = made.events.iter().map(|kind| kind.as_str()).collect();
        self.execute(
            "INSERT INTO subscriptions (id, destination, events, sources, filter, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            values![
                made.id.as_str(),
                made.destination.as_str(),
                serde_json::to_string(&events).unwrap_or_default(),
                made.sources.as_ref().and_then(|names| serde_json::to_string(names).ok()),
                made.filter.as_ref().map(Filter::text),
                now
            ],
        )
        .await?;
        self.settings_changed().await
    }

    /// Every subscription that was made at run time, oldest first.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn subscriptions(&mut self) -> Result<Vec<StoredSubscription>> {
        let rows = self
            .fetch("SELECT id, destination, events, sources, filter FROM subscriptions ORDER BY id", values![])
            .await?;
        rows.iter()
            .map(|row| {
                Ok(StoredSubscription {
                    id: row.text("id")?,
                    destination: row.text("destination")?,
                    events: row.parsed("events", |text| {
                        let words: Vec<String> = serde_json::from_str(text).ok()?;
                        words.iter().map(|word| EventType::parse(word)).collect()
                    })?,
                    sources: row.optional_text("sources")?.and_then(|text| serde_json::from_str(&text).ok()),
                    filter: row.optional_text("filter")?,
                })
            })
            .collect()
    }
}
