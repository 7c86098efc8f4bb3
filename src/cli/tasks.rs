//! `callboard tasks`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde_json::{Map, Value, json};

use super::client::Query;
use super::list::{Listing, Paging, Watching, filters, moment, print_one};
use super::reach::Reach;
use super::table::{Column, age, cell, fields};
use super::{Done, Failure, timeline, unmixed};
use crate::config::Env;
use crate::config::value::duration;
use crate::domain::task::Status;

/// List the tasks that are known, show one with its timeline, or have one watched
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard tasks --status failed --since 1d\n  callboard tasks show evolink task-unified-1757169743-o3t2v\n  callboard tasks register evolink task-unified-1757169743-o3t2v --expect-within 30m"
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
    #[command(after_help = "Example:\n  callboard tasks list --source evolink --meta campaign=spring")]
    List(List),
    /// Show one: what is known of it, and all that happened, in order
    #[command(after_help = "Example:\n  callboard tasks show evolink task-unified-1757169743-o3t2v")]
    Show {
        /// The source
        source: String,
        /// The task's id at the provider
        task: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a task watched that was submitted elsewhere: its end is told even if no callback comes
    #[command(
        visible_alias = "watch",
        after_help = "Example:\n  callboard tasks register evolink task-unified-1757169743-o3t2v --meta campaign=spring --expect-within 30m"
    )]
    Register {
        /// The source
        source: String,
        /// The task's id at the provider
        task: String,
        /// Metadata of the task
        #[arg(long = "meta", value_name = "KEY=VALUE")]
        metadata: Vec<String>,
        /// When `task.overdue` is told if there is no end by then
        #[arg(long, value_name = "DURATION", value_parser = expected)]
        expect_within: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args, Clone, Default, PartialEq)]
struct List {
    /// Of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of this status
    #[arg(long, value_name = "STATUS", value_parser = PossibleValuesParser::new(Status::ALL.map(Status::as_str)))]
    status: Option<String>,
    /// Of this model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// With this metadata
    #[arg(long = "meta", value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    /// First seen then or later: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// First seen before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    watching: Watching,
}

const COLUMNS: &[Column] = &[
    Column::whole("CREATED", |task, now| age(task, "/created_at", now)),
    Column::whole("STATUS", |task, _| cell(task, "/status")),
    Column::new("SOURCE", |task, _| cell(task, "/source")),
    Column::new("MODEL", |task, _| cell(task, "/model")),
    Column::new("PROGRESS", |task, _| cell(task, "/progress")),
    Column::new("CONFIRMED", |task, _| cell(task, "/confirmed")),
    Column::whole("TASK", |task, _| cell(task, "/task_id")),
];

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let client = arguments.reach.client(file, env)?;
    let (text, json) = match unmixed(arguments.what, arguments.list, What::List)? {
        What::List(list) => {
            let listing = Listing { path: &["tasks"], query: list.query()?, columns: COLUMNS };
            return listing.print_watched(&client, &list.paging, &list.watching).await;
        }
        What::Show { source, task, json } => (client.get(&["tasks", &source, &task], &Query::new()).await?, json),
        What::Register { source, task, metadata, expect_within, json } => {
            let metadata: Map<String, Value> =
                pairs(&metadata)?.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
            let mut body = json!({"source": source, "task_id": task, "metadata": metadata});
            if let Some(within) = expect_within {
                body["expect_within"] = Value::String(within);
            }
            (client.post(&["tasks"], &body).await?, json)
        }
    };
    print_one(&text, json, shown);
    Ok(())
}

impl List {
    fn query(&self) -> Result<Query, Failure> {
        let mut query = filters(&[
            ("source", &self.source),
            ("status", &self.status),
            ("model", &self.model),
            ("since", &self.since),
            ("until", &self.until),
        ]);
        query.extend(pairs(&self.metadata)?.into_iter().map(|(key, value)| (format!("metadata.{key}"), value)));
        Ok(query)
    }
}

fn pairs(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |pair: &String| {
        let wrong = || Failure::Wrong(format!("--meta {pair}: write it as KEY=VALUE"));
        let (key, value) = pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(wrong)?;
        Ok((key.to_owned(), value.to_owned()))
    };
    given.iter().map(pair).collect()
}

fn expected(text: &str) -> Result<String, String> {
    duration(text).map(|_| text.to_owned())
}

fn shown(text: &str) -> String {
    let told = fields(text, &["timeline"]);
    let task: Value = serde_json::from_str(text).unwrap_or_default();
    match task["timeline"].as_array() {
        Some(entries) if !entries.is_empty() => format!("{told}\n\n{}", timeline::told(entries)),
        _ => told,
    }
}
