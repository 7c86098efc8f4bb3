//! `callboard audit`.

use std::path::PathBuf;

use super::Done;
use super::list::{Listing, Paging, Watching, filters, moment};
use super::reach::Reach;
use super::table::{Column, age, cell};
use crate::config::Env;

/// List who changed which setting, the newest first.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  callboard audit --since 7d\n  callboard audit --action destination.delete --json")]
pub(super) struct Arguments {
    /// Of this kind, as in destination.create
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Of this object: a name or an id
    #[arg(long, value_name = "NAME")]
    object: Option<String>,
    /// Made then or later: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Made before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    watching: Watching,
    #[command(flatten)]
    reach: Reach,
}

const COLUMNS: &[Column] = &[
    Column::whole("AGE", |entry, now| age(entry, "/at", now)),
    Column::whole("ACTION", |entry, _| cell(entry, "/action")),
    Column::whole("OBJECT", |entry, _| cell(entry, "/object")),
    Column::new("TEAM", |entry, _| cell(entry, "/team")),
    Column::new("BY", |entry, _| cell(entry, "/key_name")),
    Column::new("DETAIL", |entry, _| cell(entry, "/detail")),
];

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let client = arguments.reach.client(file, env)?;
    let query = filters(&[
        ("action", &arguments.action),
        ("object", &arguments.object),
        ("since", &arguments.since),
        ("until", &arguments.until),
    ]);
    let listing = Listing { path: &["audit"], query, columns: COLUMNS };
    listing.print_watched(&client, &arguments.paging, &arguments.watching).await
}
