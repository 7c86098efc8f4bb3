//! `callboard sources`.

use std::path::PathBuf;

use super::Done;
use super::reach::Reach;
use super::settings::{Named, Noun};
use super::table::{Column, cell};
use crate::config::Env;

/// List, show, make and delete sources: the provider accounts that call us
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard sources list\n  callboard sources show evolink       (with its callback URL)\n  callboard sources create studio --set provider=evolink --set api_key=…\n\nWhat the configuration file declares is changed only there."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Named,
    #[command(flatten)]
    reach: Reach,
}

const SOURCES: Noun = Noun {
    path: "sources",
    columns: &[
        Column::whole("NAME", |source, _| cell(source, "/name")),
        Column::new("PROVIDER", |source, _| cell(source, "/provider")),
        Column::new("SIGNED", |source, _| cell(source, "/signed")),
        Column::new("CAN ASK", |source, _| cell(source, "/can_ask")),
        Column::new("TEAMS", |source, _| cell(source, "/teams")),
        Column::new("FROM FILE", |source, _| cell(source, "/from_file")),
        Column::new("REFUSED", |source, _| cell(source, "/refused_reason")),
    ],
};

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    SOURCES.run(&arguments.reach.client(file, env)?, arguments.what).await
}
