//! `callboard stats`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde_json::Value;

use super::Done;
use super::list::{Listing, Paging, Watching, filters, moment};
use super::reach::Reach;
use super::table::{Column, cell};
use crate::config::Env;

/// What became of the tasks of each source and model: how many, how well, how fast.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard stats\n  callboard stats --source evolink --since 7d --by day\n\nTimes are from submission to result (GENERATION) and from the provider's result to our receipt (CALLBACK), each as\nmedian / 95th percentile. POLLED is the share of ends that were learned by asking. Without --since: the last 30 days."
)]
pub(super) struct Arguments {
    /// Of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of this model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// From then on: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Until then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<String>,
    /// A line for each of these
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(["day"]))]
    by: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    watching: Watching,
    #[command(flatten)]
    reach: Reach,
}

const COLUMNS: &[Column] = &[
    Column::whole("DAY", |row, _| cell(row, "/day")),
    Column::new("SOURCE", |row, _| cell(row, "/source")),
    Column::new("MODEL", |row, _| cell(row, "/model")),
    Column::new("DONE", |row, _| cell(row, "/tasks/completed")),
    Column::new("FAILED", |row, _| cell(row, "/tasks/failed")),
    Column::new("CANCELLED", |row, _| cell(row, "/tasks/cancelled")),
    Column::new("SUCCESS", |row, _| share(row, "/success_rate")),
    Column::new("GENERATION", |row, _| pair(row, "/generation_ms")),
    Column::new("CALLBACK", |row, _| pair(row, "/callback_delay_ms")),
    Column::new("POLLED", |row, _| share(row, "/needed_poll")),
    Column::new("DISPUTED", |row, _| cell(row, "/disputed")),
    Column::new("CONFLICTS", |row, _| cell(row, "/conflicts")),
    Column::new("CREDITS", |row, _| cell(row, "/credits")),
];

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let client = arguments.reach.client(file, env)?;
    let query = filters(&[
        ("source", &arguments.source),
        ("model", &arguments.model),
        ("since", &arguments.since),
        ("until", &arguments.until),
        ("by", &arguments.by),
    ]);
    // Without days there is nothing in their column.
    let columns = if arguments.by.is_some() { COLUMNS } else { &COLUMNS[1..] };
    Listing { path: &["stats"], query, columns }.print_watched(&client, &arguments.paging, &arguments.watching).await
}

fn share(row: &Value, place: &str) -> String {
    row.pointer(place).and_then(Value::as_f64).map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0))
}

/// Median and 95th percentile.
fn pair(row: &Value, place: &str) -> String {
    let one = |name: &str| row.pointer(&format!("{place}/{name}")).and_then(Value::as_f64).map(long);
    match (one("p50"), one("p95")) {
        (Some(half), Some(most)) => format!("{half} / {most}"),
        _ => "-".to_owned(),
    }
}

/// Milliseconds in a unit that people read.
fn long(millis: f64) -> String {
    match millis {
        ..1000.0 => format!("{millis:.0}ms"),
        1000.0..120_000.0 => format!("{:.1}s", millis / 1000.0),
        120_000.0..7_200_000.0 => format!("{:.0}m", millis / 60_000.0),
        _ => format!("{:.1}h", millis / 3_600_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_times_are_told_for_people() {
        let row = serde_json::json!({"success_rate": 0.9876, "none": null, "t": {"p50": 950, "p95": 61_500.0}, "u": {"p50": null, "p95": null}});
        assert_eq!((share(&row, "/success_rate"), share(&row, "/none")), ("98.8%".into(), "-".into()));
        assert_eq!((pair(&row, "/t"), pair(&row, "/u")), ("950ms / 61.5s".into(), "-".into()));
        assert_eq!((long(600_000.0), long(9_000_000.0)), ("10m".into(), "2.5h".into()));
    }
}
