//! `callboard subscriptions`.

use std::path::PathBuf;

use super::Done;
use super::list::Paging;
use super::reach::Reach;
use super::settings::{Making, Noun};
use super::table::{Column, cell};
use crate::config::Env;

/// List, show, make and delete subscriptions: which events go to which destination
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard subscriptions create --set destination=ads-slack --set events=task.failed --set 'where=task.model == \"kling-o3\"'\n  callboard subscriptions list\n\nWhat the configuration file declares is changed only there."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    reach: Reach,
}

#[derive(clap::Subcommand)]
enum What {
    /// List them
    #[command(after_help = "Example:\n  callboard subscriptions list --json")]
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one
    #[command(after_help = "Example:\n  callboard subscriptions show sub_0199…")]
    Show {
        /// The subscription's id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make one
    #[command(
        after_help = "Example:\n  callboard subscriptions create --set destination=ads-slack --set events=task.completed,task.failed"
    )]
    Create {
        #[command(flatten)]
        making: Making,
    },
    /// Put another in its place. What is left out gets its default
    #[command(after_help = "Example:\n  callboard subscriptions replace sub_0199… --file subscription.json")]
    Replace {
        /// The subscription's id
        id: String,
        #[command(flatten)]
        making: Making,
    },
    /// Delete it
    #[command(after_help = "Example:\n  callboard subscriptions delete sub_0199…")]
    Delete {
        /// The subscription's id
        id: String,
    },
}

const SUBSCRIPTIONS: Noun = Noun {
    path: "subscriptions",
    columns: &[
        Column::whole("SUBSCRIPTION", |subscription, _| cell(subscription, "/id")),
        Column::whole("DESTINATION", |subscription, _| cell(subscription, "/destination")),
        Column::new("EVENTS", |subscription, _| cell(subscription, "/events")),
        Column::new("SOURCES", |subscription, _| cell(subscription, "/sources")),
        Column::new("WHERE", |subscription, _| cell(subscription, "/where")),
        Column::new("FROM FILE", |subscription, _| cell(subscription, "/from_file")),
    ],
};

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let client = arguments.reach.client(file, env)?;
    match arguments.what {
        What::List { paging } => SUBSCRIPTIONS.list(&client, &paging).await,
        What::Show { id, json } => SUBSCRIPTIONS.show(&client, &id, json).await,
        What::Create { making } => SUBSCRIPTIONS.create(&client, None, &making).await,
        What::Replace { id, making } => SUBSCRIPTIONS.replace(&client, &id, &making).await,
        What::Delete { id } => SUBSCRIPTIONS.delete(&client, &id).await,
    }
}
