//! `callboard destinations`.

use std::path::PathBuf;

use anyhow::anyhow;
use serde_json::{Value, json};

use super::Done;
use super::list::print_one;
use super::reach::Reach;
use super::settings::{Named, Noun};
use super::table::{Column, cell, fields};
use crate::config::Env;

/// List, show, make, test, enable and delete destinations: where a team wants to hear
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard destinations create ads-slack --set team=ads --set channel=slack --set url=https://hooks.slack.com/…\n  callboard destinations test ads-slack\n  callboard destinations enable ads-slack --drop-held\n\nWhat the configuration file declares is changed only there."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    reach: Reach,
}

#[derive(clap::Subcommand)]
enum What {
    #[command(flatten)]
    Named(Named),
    /// Send it one made-up event now, and say how it went
    #[command(after_help = "Example:\n  callboard destinations test ads-slack\n\nExit code 1: it did not take it.")]
    Test {
        /// Its name
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Enable it again; what was held is sent, or dropped
    #[command(after_help = "Example:\n  callboard destinations enable ads-slack --drop-held")]
    Enable {
        /// Its name
        name: String,
        /// Do not send what was held meanwhile
        #[arg(long)]
        drop_held: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

const DESTINATIONS: Noun = Noun {
    path: "destinations",
    columns: &[
        Column::whole("NAME", |destination, _| cell(destination, "/name")),
        Column::new("TEAM", |destination, _| cell(destination, "/team")),
        Column::new("CHANNEL", |destination, _| cell(destination, "/channel")),
        Column::whole("STATUS", |destination, _| cell(destination, "/status")),
        Column::new("TARGET", |destination, _| cell(destination, "/target")),
        Column::new("REASON", |destination, _| cell(destination, "/disabled_reason")),
    ],
};

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let client = arguments.reach.client(file, env)?;
    match arguments.what {
        What::Named(named) => DESTINATIONS.run(&client, named).await,
        What::Test { name, json } => {
            let text = client.post(&["destinations", &name, "test"], &json!({})).await?;
            let report: Value = client.read(&text)?;
            print_one(&text, json, |text| fields(text, &[]));
            let is_taken = report["outcome"] == "delivered";
            if is_taken { Ok(()) } else { Err(anyhow!("{name} did not take it: {}", cell(&report, "/reason")).into()) }
        }
        What::Enable { name, drop_held, json } => {
            let body = json!({"held": if drop_held { "drop" } else { "send" }});
            let text = client.post(&["destinations", &name, "enable"], &body).await?;
            print_one(&text, json, |text| fields(text, &[]));
            Ok(())
        }
    }
}
