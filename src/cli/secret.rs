//! `callboard secret`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Done;
use super::list::print_one;
use super::reach::Reach;
use super::table::cell;
use crate::config::Env;

/// Make a destination a new signing secret, beside the old ones, and show it once.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard secret backend\n\nThe new one signs first; the older ones go on signing for 24 hours, so that the receiver can be given it in peace."
)]
pub(super) struct Arguments {
    /// The destination
    name: String,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let client = arguments.reach.client(file, env)?;
    let text = client.post(&["destinations", &arguments.name, "secret"], &json!({})).await?;
    print_one(&text, arguments.json, |text| cell(&client.read::<Value>(text).unwrap_or_default(), "/secret"));
    Ok(())
}
