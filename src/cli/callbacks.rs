//! `callboard callbacks`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::client::Query;
use super::list::{Listing, Paging, Watching, filters, print_one};
use super::reach::Reach;
use super::table::{Column, age, cell, fields};
use super::{Done, console, unmixed};
use crate::config::Env;
use crate::domain::callback::CallbackOutcome;

/// List what came in, show one callback, give its bytes, or have it read again
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard callbacks --outcome quarantined\n  callboard callbacks show cb_0199…\n  callboard callbacks body cb_0199… > body.json\n  callboard callbacks reprocess cb_0199…"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    list: List,
    #[command(flatten)]
    reach: Reach,
}

#[derive(clap::Subcommand)]
enum What {
    /// List them, the newest first (also without this word)
    #[command(after_help = "Example:\n  callboard callbacks list --source evolink --outcome rejected")]
    List(List),
    /// Show one with its headers
    #[command(after_help = "Example:\n  callboard callbacks show cb_0199…")]
    Show {
        /// The callback's id
        id: String,
        /// As JSON, with the body in base64
        #[arg(long)]
        json: bool,
    },
    /// Give the bytes of its body, exactly as they came
    #[command(after_help = "Example:\n  callboard callbacks body cb_0199… > body.json")]
    Body {
        /// The callback's id
        id: String,
        /// Also to a terminal, which may obey what is in it
        #[arg(long)]
        raw: bool,
    },
    /// Read it again with today's adapter and secrets, as if it came now
    #[command(after_help = "Example:\n  callboard callbacks reprocess cb_0199…")]
    Reprocess {
        /// The callback's id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args, Clone, Default, PartialEq)]
struct List {
    /// With this outcome
    #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(CallbackOutcome::ALL.map(CallbackOutcome::as_str)))]
    outcome: Option<String>,
    /// Of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of this task
    #[arg(long, alias = "task-id", value_name = "ID")]
    task: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    watching: Watching,
}

const COLUMNS: &[Column] = &[
    Column::whole("AGE", |callback, now| age(callback, "/received_at", now)),
    Column::whole("OUTCOME", |callback, _| cell(callback, "/outcome")),
    Column::new("SOURCE", |callback, _| cell(callback, "/source")),
    Column::new("TASK", |callback, _| cell(callback, "/task_id")),
    Column::new("REPEATS", |callback, _| cell(callback, "/repeats")),
    Column::new("DETAIL", |callback, _| cell(callback, "/detail")),
    Column::whole("CALLBACK", |callback, _| cell(callback, "/id")),
];

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let client = arguments.reach.client(file, env)?;
    match unmixed(arguments.what, arguments.list, What::List)? {
        What::List(list) => {
            let query = filters(&[("outcome", &list.outcome), ("source", &list.source), ("task_id", &list.task)]);
            let listing = Listing { path: &["callbacks"], query, columns: COLUMNS };
            listing.print_watched(&client, &list.paging, &list.watching).await?;
        }
        What::Show { id, json } => {
            let text = client.get(&["callbacks", &id], &Query::new()).await?;
            let hint = format!("\nits body: callboard callbacks body {id}");
            print_one(&text, json, |text| format!("{}\n{hint}", fields(text, &["body_base64"])));
        }
        What::Body { id, raw } => {
            let body = client.get_bytes(&["callbacks", &id, "body"]).await?;
            if raw || !console::is_terminal() {
                console::give(&body)?;
            } else {
                console::say(&String::from_utf8_lossy(&body));
            }
        }
        What::Reprocess { id, json } => {
            print_one(&client.post(&["callbacks", &id, "reprocess"], &json!({})).await?, json, |text| {
                fields(text, &[])
            });
        }
    }
    Ok(())
}
