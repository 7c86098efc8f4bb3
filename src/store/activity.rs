//! How much is heard of a source, counted along indexes: what `domain::silence` judges. No count goes through more than
//! a few thousand entries, however much is kept.

use std::collections::HashMap;
use std::time::Duration;

use super::given::Given;
use super::row::values;
use super::tx::Tx;
use super::{Error, Result};
use crate::domain::clock::Timestamp;
use crate::domain::id::{CallbackId, EventId, TaskKey};
use crate::domain::silence::{History, SLOT, SLOTS, Share};

/// Callbacks that were understood, by what became of them; a disputed one may be anybody's.
const UNDERSTOOD: [&str; 4] = ["accepted", "duplicate", "stale", "conflict"];
/// So many that went well are counted at most, and the others of the same time.
const COUNTED: i64 = 1000;
/// Of those at most so many.
const COUNTED_BAD: i64 = 2 * COUNTED;
/// So many tasks of each status are looked at.
const TASKS: i64 = 50;
/// A task that has not ended should have called by now if it is known for so long.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);

/// Of what a share is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// The ends of tasks that were told: failed is bad.
    Ends,
    /// Callbacks: quarantined and rejected is bad.
    Callbacks,
}

impl Activity {
    /// The table, the column of the word, the column of the time, and the words: first the good ones.
    fn words(self) -> (&'static str, &'static str, &'static str, &'static [(&'static str, bool)]) {
        match self {
            Self::Ends => ("events", "type", "at", &[("task.completed", true), ("task.failed", false)]),
            Self::Callbacks => (
                "callbacks",
                "outcome",
                "received_at",
                &[("accepted", true), ("duplicate", true), ("quarantined", false), ("rejected", false)],
            ),
        }
    }

    fn first_of(self, at: Timestamp) -> String {
        match self {
            Self::Ends => EventId::first_of(at).to_string(),
            Self::Callbacks => CallbackId::first_of(at).to_string(),
        }
    }
}

impl Tx {
    /// When a callback of each of these sources last came that was understood.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn heard(&mut self, sources: &[&str]) -> Result<HashMap<String, Timestamp>> {
        let both = || sources.iter().flat_map(|source| UNDERSTOOD.map(|outcome| (*source, outcome)));
        let given = Given::rows(sources.len() * UNDERSTOOD.len())
            .text("wanted", both().map(|(source, _)| source.to_owned()))
            .text("wanted_outcome", both().map(|(_, outcome)| outcome.to_owned()));
        // The last of all that are not beyond them, in the order of the index: asked for the last of these, PostgreSQL may
        // look for one along all ids, and there may be none.
        let sql = "SELECT wanted, (SELECT CASE WHEN source = wanted AND outcome = wanted_outcome THEN received_at END
                       FROM callbacks WHERE (source, outcome, id) < (wanted, wanted_outcome, 'cb_Z')
                       ORDER BY source DESC, outcome DESC, id DESC LIMIT 1) AS heard_at
                   FROM given";
        let mut heard: HashMap<String, Timestamp> = HashMap::new();
        for row in self.bulk_fetch(given, sql).await? {
            if let Some(heard_at) = row.optional_time("heard_at")? {
                let latest = heard.entry(row.text("wanted")?).or_insert(heard_at);
                *latest = heard_at.max(*latest);
            }
        }
        Ok(heard)
    }

    /// When a source was heard in the days before its last callback, and of how many tasks.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn history(&mut self, source: &str, heard_at: Timestamp) -> Result<History> {
        let slot = i64::try_from(SLOT.as_millis()).unwrap_or(i64::MAX);
        let bound = |slots: i64| CallbackId::first_of(Timestamp(heard_at.0 + 1 - slots * slot)).to_string();
        let slots = 0..i64::try_from(SLOTS).unwrap_or_default();
        let given = Given::rows(SLOTS)
            .int("slot", slots.clone())
            .text("wanted", slots.clone().map(|_| source.to_owned()))
            .text("first", slots.clone().map(|slot| bound(slot + 1)))
            .text("next", slots.map(bound));
        let in_slot = |outcome: &str| {
            format!(
                "EXISTS (SELECT 1 FROM callbacks WHERE source = wanted AND outcome = '{outcome}'
                     AND id >= first AND id < next)"
            )
        };
        let sql = format!("SELECT slot FROM given WHERE {}", UNDERSTOOD.map(in_slot).join(" OR "));
        let mut heard = vec![false; SLOTS];
        for row in self.bulk_fetch(given, &sql).await? {
            let slot = usize::try_from(row.int("slot")?).ok().and_then(|slot| heard.get_mut(slot));
            *slot.ok_or(Error::Corrupt { column: "slot" })? = true;
        }
        let (called_of, called) = self.called(source, heard_at).await?;
        Ok(History { heard, called, called_of })
    }

    /// Of the tasks that were known last before then and have ended: how many they are, and how many had a callback.
    async fn called(&mut self, source: &str, heard_at: Timestamp) -> Result<(i64, i64)> {
        let ended = ["completed", "failed", "cancelled"].map(|status| {
            format!(
                "SELECT task_id FROM (SELECT task_id, observed_via FROM tasks WHERE source = $1 AND status = '{status}'
                     AND key < $2 ORDER BY key DESC LIMIT {TASKS}) of_{status} WHERE observed_via <> 'relay'"
            )
        });
        let sql = format!(
            "SELECT count(*) AS many, CAST(COALESCE(sum(CASE WHEN EXISTS (
                 SELECT 1 FROM callbacks c WHERE c.source = $1 AND c.task_id = known.task_id
             ) THEN 1 ELSE 0 END), 0) AS BIGINT) AS called FROM ({}) known",
            ended.join(" UNION ALL ")
        );
        let row = self.fetch_one(sql, values![source, TaskKey::first_of(Timestamp(heard_at.0 + 1)).as_str()]).await?;
        let row = row.ok_or(Error::Corrupt { column: "many" })?;
        Ok((row.int("many")?, row.int("called")?))
    }

    /// How many tasks of a source are known since then and should have called by now, and did not; no more are counted
    /// than tell enough. A task whose end was the answer to its request need not call.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn unheard(&mut self, source: &str, since: Timestamp, now: Timestamp) -> Result<i64> {
        let known =
            [("completed", true), ("failed", true), ("cancelled", true), ("pending", false), ("processing", false)]
                .map(|(status, has_ended)| {
                    let (until, which) = if has_ended { ("$3", "observed_via <> 'relay'") } else { ("$4", "true") };
                    format!(
                        "SELECT task_id FROM (SELECT task_id, observed_via FROM tasks WHERE source = $1
                         AND status = '{status}' AND key >= $2 AND key < {until} ORDER BY key LIMIT {TASKS}) of_{status}
                     WHERE {which}"
                    )
                });
        let sql = format!(
            "SELECT count(*) AS many FROM ({}) known WHERE NOT EXISTS (
                 SELECT 1 FROM callbacks c WHERE c.source = $1 AND c.task_id = known.task_id)",
            known.join(" UNION ALL ")
        );
        let patient = Timestamp(now.0 - i64::try_from(PATIENCE.as_millis()).unwrap_or_default());
        let [since, until, patient] = [Timestamp(since.0 + 1), now, patient].map(TaskKey::first_of);
        let row = self.fetch_one(sql, values![source, since.as_str(), until.as_str(), patient.as_str()]).await?;
        row.ok_or(Error::Corrupt { column: "many" })?.int("many")
    }

    /// How many of something went well in that time and how many did not, and when the counting begins: later than
    /// asked where there is more than is counted.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn share(
        &mut self,
        counted: Activity,
        source: &str,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<(Timestamp, Share)> {
        let (table, word, at, words) = counted.words();
        let until = counted.first_of(until);
        let given = |words: &[(&'static str, bool)], from: Timestamp| {
            Given::rows(words.len())
                .text("wanted_word", words.iter().map(|(word, _)| (*word).to_owned()))
                .text("wanted", words.iter().map(|_| source.to_owned()))
                .text("first", words.iter().map(|_| counted.first_of(from)))
                .text("next", words.iter().map(|_| until.clone()))
        };
        let kept = format!("FROM {table} WHERE source = wanted AND {word} = wanted_word AND id >= first AND id < next");
        let good: Vec<_> = words.iter().copied().filter(|(_, is_good)| *is_good).collect();
        let sql =
            format!("SELECT (SELECT {at} {kept} ORDER BY id DESC LIMIT 1 OFFSET {}) AS edge FROM given", COUNTED - 1);
        let edges = self.bulk_fetch(given(&good, from), &sql).await?;
        let edges = edges.iter().map(|row| row.optional_time("edge")).collect::<Result<Vec<_>>>()?;
        let from = edges.into_iter().flatten().fold(from, Timestamp::max);
        let sql = format!(
            "SELECT wanted_word, (SELECT count(*) FROM (SELECT 1 {kept} LIMIT {COUNTED_BAD}) counted) AS many FROM given"
        );
        let mut share = Share::default();
        for row in self.bulk_fetch(given(words, from), &sql).await? {
            let (word, many) = (row.text("wanted_word")?, row.int("many")?);
            if good.iter().any(|(good, _)| *good == word) {
                share.good += many;
            } else {
                share.bad += many;
            }
        }
        Ok((from, share))
    }
}
