//! `callboard teams`.

use std::path::PathBuf;

use super::Done;
use super::reach::Reach;
use super::settings::{Named, Noun};
use super::table::{Column, cell};
use crate::config::Env;

/// List, show, make and delete teams: who owns destinations, subscriptions and keys
#[derive(clap::Args)]
#[command(after_help = "Example:\n  callboard teams create ads\n  callboard teams list")]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Named,
    #[command(flatten)]
    reach: Reach,
}

const TEAMS: Noun = Noun {
    path: "teams",
    columns: &[
        Column::whole("NAME", |team, _| cell(team, "/name")),
        Column::new("DESCRIPTION", |team, _| cell(team, "/description")),
    ],
};

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    TEAMS.run(&arguments.reach.client(file, env)?, arguments.what).await
}
