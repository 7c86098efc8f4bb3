//! `callboard deliveries`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::client::Query;
use super::list::{Listing, Paging, Watching, filters, print_one};
use super::reach::Reach;
use super::table::{Column, age, cell, fields, one_line};
use super::{Done, timeline, unmixed};
use crate::config::Env;
use crate::domain::delivery::DeliveryStatus;

/// List who is told what, show one delivery with its attempts, try one again, or give one up
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard deliveries --status dead\n  callboard deliveries show dlv_0199…\n  callboard deliveries retry dlv_0199…"
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
    #[command(after_help = "Example:\n  callboard deliveries list --destination ads-slack --status pending --watch")]
    List(List),
    /// Show one with its attempts
    #[command(after_help = "Example:\n  callboard deliveries show dlv_0199…")]
    Show {
        /// The delivery's id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give one up that waits or is held: it is dead, and can be tried again
    #[command(after_help = "Example:\n  callboard deliveries give-up dlv_0199…")]
    GiveUp {
        /// The delivery's id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Try one again now, with its whole schedule before it
    #[command(
        after_help = "Example:\n  callboard deliveries retry dlv_0199…\n\nMany at once: callboard replay --since 1d --delivery-status dead"
    )]
    Retry {
        /// The delivery's id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args, Clone, Default, PartialEq)]
struct List {
    /// Of this status
    #[arg(long, value_name = "STATUS", value_parser = PossibleValuesParser::new(DeliveryStatus::ALL.map(DeliveryStatus::as_str)))]
    status: Option<String>,
    /// To this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Of this event
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    watching: Watching,
}

/// The columns of deliveries, here and where an event is shown.
pub(super) const COLUMNS: &[Column] = &[
    Column::whole("AGE", |delivery, now| age(delivery, "/created_at", now)),
    Column::whole("STATUS", |delivery, _| cell(delivery, "/status")),
    Column::new("TO", |delivery, _| timeline::place(delivery)),
    Column::new("TYPE", |delivery, _| cell(delivery, "/event_type")),
    Column::new("TRIES", |delivery, _| cell(delivery, "/attempts")),
    Column::new("DUE", |delivery, now| age(delivery, "/due_at", now)),
    Column::new("REASON", |delivery, _| cell(delivery, "/reason")),
    Column::whole("DELIVERY", |delivery, _| cell(delivery, "/id")),
];

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let client = arguments.reach.client(file, env)?;
    match unmixed(arguments.what, arguments.list, What::List)? {
        What::List(list) => {
            let query =
                filters(&[("status", &list.status), ("destination", &list.destination), ("event_id", &list.event)]);
            let listing = Listing { path: &["deliveries"], query, columns: COLUMNS };
            listing.print_watched(&client, &list.paging, &list.watching).await?;
        }
        What::Show { id, json } => {
            print_one(&client.get(&["deliveries", &id], &Query::new()).await?, json, shown);
        }
        What::GiveUp { id, json } => {
            let text = client.post(&["deliveries", &id, "give-up"], &json!({})).await?;
            print_one(&text, json, |_| format!("{id} is given up"));
        }
        What::Retry { id, json } => {
            let text = client.post(&["deliveries", &id, "retry"], &json!({})).await?;
            print_one(&text, json, |_| format!("{id} is due now"));
        }
    }
    Ok(())
}

fn shown(text: &str) -> String {
    let delivery: Value = serde_json::from_str(text).unwrap_or_default();
    let mut lines = vec![fields(text, &["attempts", "attempts_made"]), String::new()];
    let attempts = delivery["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if attempts.is_empty() {
        lines.push("not tried yet".to_owned());
    }
    for attempt in attempts {
        lines.push(one_line(&format!("{}  {}", cell(attempt, "/started_at"), timeline::attempt(attempt))));
        if let Some(answer) = attempt["response"].as_str().filter(|answer| !answer.trim().is_empty()) {
            lines.push(one_line(&format!("    {}", answer.trim())));
        }
    }
    lines.join("\n")
}
