//! The table at the end of a demo.

use std::collections::BTreeMap;
use std::fmt;

/// What came of everything, in numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// A row for each provider that was used.
    pub rows: Vec<Row>,
    /// How many events of each type were told.
    pub events: BTreeMap<String, usize>,
    /// What each sink got.
    pub sinks: BTreeMap<&'static str, Sink>,
    /// Events of tasks that no simulated provider made.
    pub strangers: usize,
}

/// The tasks of one provider.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Row {
    /// The provider.
    pub provider: String,
    /// How many it made.
    pub submitted: usize,
    /// How many were told as completed.
    pub completed: usize,
    /// How many were told as failed.
    pub failed: usize,
    /// How many were told as cancelled.
    pub cancelled: usize,
    /// Of how many no end was told.
    pub open: usize,
    /// Of how many a true callback was taken.
    pub called_back: usize,
    /// The end of how many was known by asking, before any true callback.
    pub polled: usize,
    /// For how many somebody forged a callback.
    pub forged: usize,
    /// For how many of those the truth was told all the same.
    pub forged_caught: usize,
    /// Of how many a conflict was told.
    pub conflicts: usize,
    /// Of how many something else was told than what is true. Must be none.
    pub mismatches: usize,
}

/// What a sink got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sink {
    /// How much it took.
    pub taken: usize,
    /// How much it refused.
    pub refused: usize,
}

impl Row {
    pub(super) fn new(provider: &str) -> Self {
        Self { provider: provider.to_owned(), ..Self::default() }
    }

    fn numbers(&self) -> [(&'static str, usize); 11] {
        [
            ("submitted", self.submitted),
            ("completed", self.completed),
            ("failed", self.failed),
            ("cancelled", self.cancelled),
            ("open", self.open),
            ("called back", self.called_back),
            ("polled", self.polled),
            ("forged", self.forged),
            ("caught", self.forged_caught),
            ("conflicts", self.conflicts),
            ("mismatches", self.mismatches),
        ]
    }
}

impl Summary {
    /// Of how many tasks something else was told than what is true. Must be none.
    pub fn mismatches(&self) -> usize {
        self.rows.iter().map(|row| row.mismatches).sum()
    }

    /// All providers together.
    pub fn total(&self) -> Row {
        self.rows.iter().fold(Row::new("all"), |all, row| Row {
            provider: all.provider,
            submitted: all.submitted + row.submitted,
            completed: all.completed + row.completed,
            failed: all.failed + row.failed,
            cancelled: all.cancelled + row.cancelled,
            open: all.open + row.open,
            called_back: all.called_back + row.called_back,
            polled: all.polled + row.polled,
            forged: all.forged + row.forged,
            forged_caught: all.forged_caught + row.forged_caught,
            conflicts: all.conflicts + row.conflicts,
            mismatches: all.mismatches + row.mismatches,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        write!(f, "{:<12}", "provider")?;
        for (name, _) in total.numbers() {
            write!(f, "  {name}")?;
        }
        writeln!(f)?;
        for row in self.rows.iter().chain([&total]) {
            write!(f, "{:<12}", row.provider)?;
            for (name, number) in row.numbers() {
                write!(f, "  {number:>width$}", width = name.len())?;
            }
            writeln!(f)?;
        }
        let events: Vec<String> = self.events.iter().map(|(kind, many)| format!("{kind} {many}")).collect();
        writeln!(f, "events        {}", joined(&events))?;
        let sinks = self.sinks.iter().map(|(name, sink)| match sink.refused {
            0 => format!("{name} {}", sink.taken),
            refused => format!("{name} {} (and {refused} refused)", sink.taken),
        });
        writeln!(f, "deliveries    {}", joined(&sinks.collect::<Vec<_>>()))?;
        if self.strangers > 0 {
            writeln!(f, "strangers     {} events of tasks that nobody here made", self.strangers)?;
        }
        Ok(())
    }
}

fn joined(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_provider_and_one_for_all() {
        let row = Row { submitted: 12, completed: 9, failed: 2, open: 1, called_back: 10, ..Row::new("evolink") };
        let other = Row { submitted: 3, completed: 3, polled: 3, forged: 1, forged_caught: 1, ..Row::new("kling3api") };
        let summary = Summary {
            rows: vec![row, other],
            events: BTreeMap::from([("task.completed".to_owned(), 12), ("task.failed".to_owned(), 2)]),
            sinks: BTreeMap::from([
                ("slack", Sink { taken: 13, refused: 2 }),
                ("webhook", Sink { taken: 14, refused: 0 }),
            ]),
            strangers: 0,
        };
        let expected = "\
provider      submitted  completed  failed  cancelled  open  called back  polled  forged  caught  conflicts  mismatches
evolink              12          9       2          0     1           10       0       0       0          0           0
kling3api             3          3       0          0     0            0       3       1       1          0           0
all                  15         12       2          0     1           10       3       1       1          0           0
events        task.completed 12, task.failed 2
deliveries    slack 13 (and 2 refused), webhook 14
";
        assert_eq!(summary.to_string(), expected);
        assert_eq!(summary.mismatches(), 0);
    }
}
