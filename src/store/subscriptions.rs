//! Subscriptions made at run time.

use super::Result;
use super::row::{Value, values};
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
        let sql = "INSERT INTO subscriptions (id, destination, events, sources, filter, created_at)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let mut values = kept(made);
        values.push(now.into());
        self.execute(sql, values).await?;
        self.settings_changed().await.map(drop)
    }

    /// Changes a subscription.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn update_subscription(&mut self, made: &Subscription) -> Result<()> {
        let sql = "UPDATE subscriptions SET destination = $2, events = $3, sources = $4, filter = $5 WHERE id = $1";
        self.execute(sql, kept(made)).await?;
        self.settings_changed().await.map(drop)
    }

    /// Removes a subscription. What it made a delivery of before is delivered still.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn delete_subscription(&mut self, id: &str) -> Result<()> {
        self.execute("DELETE FROM subscriptions WHERE id = $1", values![id]).await?;
        self.settings_changed().await.map(drop)
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

fn kept(made: &Subscription) -> Vec<Value> {
    let events: Vec<&str> = made.events.iter().map(|kind| kind.as_str()).collect();
    values![
        made.id.as_str(),
        made.destination.as_str(),
        serde_json::to_string(&events).unwrap_or_default(),
        made.sources.as_ref().and_then(|names| serde_json::to_string(names).ok()),
        made.filter.as_ref().map(Filter::text)
    ]
}
