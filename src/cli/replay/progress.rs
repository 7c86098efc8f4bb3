//! Watching a replay that runs, to its end.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::cli::client::{Client, Query};
use crate::cli::list::print_one;
use crate::cli::table::cell;
use crate::cli::{Done, Failure, console};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const BAR: &str = "{bar:30} {pos}/{len} events  {per_sec}  {eta} left";

/// Shows how far a replay is until it is over. Ctrl-C leaves it running.
pub(super) async fn follow(client: &Client, begun: &str, as_json: bool) -> Done {
    let replay: Value = client.read(begun)?;
    let id = cell(&replay, "/id");
    let bar = ProgressBar::with_draw_target(replay["events_total"].as_u64(), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(BAR)?);
    let last = tokio::select! {
        last = to_the_end(client, &id, begun, &bar) => last?,
        _ = tokio::signal::ctrl_c() => {
            bar.abandon();
            console::complain(&format!(
                "\n{id} goes on in the background: `callboard replay show {id}` says how far it is, `callboard replay \
                 cancel {id}` ends it"
            ));
            return Ok(());
        }
    };
    bar.finish_and_clear();
    print_one(&last, as_json, |text| summary(&client.read(text).unwrap_or_default()));
    Ok(())
}

async fn to_the_end(client: &Client, id: &str, begun: &str, bar: &ProgressBar) -> Result<String, Failure> {
    let mut text = begun.to_owned();
    loop {
        let replay: Value = client.read(&text)?;
        if let Some(total) = replay["events_total"].as_u64() {
            bar.set_length(total);
        }
        bar.set_position(replay["events_done"].as_u64().unwrap_or_default());
        if replay["status"] != "running" {
            return Ok(text);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        text = client.get(&["replays", id], &Query::new()).await?;
    }
}

fn summary(replay: &Value) -> String {
    let at = |place: &str| cell(replay, place);
    format!("{}  {}: {} events, {} deliveries", at("/id"), at("/status"), at("/events_done"), at("/deliveries"))
}
