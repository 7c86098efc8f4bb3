//! `callboard events`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde_json::Value;

use super::client::{Client, Query};
use super::list::{Listing, Paging, filters, moment, print_one};
use super::reach::Reach;
use super::table::{Column, age, cell, field, fields, table};
use super::{Done, deliveries, json, tail, unmixed};
use crate::config::Env;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::event::EventType;

/// List what was told, show one event, or follow them as they happen
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard events --type task.failed --since 1h\n  callboard events show evt_0199…\n  callboard events --watch --json | jq .data.task_id\n\nWith --json a list is one JSON array; with --watch each event is a line of its own."
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
    #[command(after_help = "Example:\n  callboard events list --source evolink --since 2h --all --json")]
    List(List),
    /// Show one with its deliveries
    #[command(after_help = "Example:\n  callboard events show evt_0199…")]
    Show {
        /// The event's id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args, Clone, Default, PartialEq)]
pub(super) struct List {
    /// Of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = PossibleValuesParser::new(EventType::ALL.map(EventType::as_str)))]
    kind: Option<String>,
    /// Of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of this task
    #[arg(long, alias = "task-id", value_name = "ID")]
    task: Option<String>,
    /// Made then or later: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Made before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<String>,
    /// Follow what happens from now on, below the newest of the list
    #[arg(long, conflicts_with_all = ["all", "until", "task"])]
    watch: bool,
    #[command(flatten)]
    paging: Paging,
}

const COLUMNS: &[Column] = &[
    Column::whole("AGE", |event, now| age(event, "/timestamp", now)),
    Column::whole("TYPE", |event, _| cell(event, "/type")),
    Column::new("SOURCE", |event, _| cell(event, "/data/source")),
    Column::new("TASK", |event, _| about(event)),
    Column::new("MODEL", |event, _| cell(event, "/data/model")),
    Column::whole("EVENT", |event, _| cell(event, "/id")),
];

/// The task that an event tells of, or what else it is about.
pub(super) fn about(event: &Value) -> String {
    let places = ["/data/task_id", "/data/destination"];
    let found = places.into_iter().find(|place| event.pointer(place).is_some_and(Value::is_string));
    cell(event, found.unwrap_or(places[0]))
}

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let client = arguments.reach.client(file, env)?;
    match unmixed(arguments.what, arguments.list, What::List)? {
        What::List(list) if list.watch => watch(&client, list).await,
        What::List(list) => {
            Listing { path: &["events"], query: list.query(), columns: COLUMNS }.print(&client, &list.paging).await
        }
        What::Show { id, json } => {
            let text = client.get(&["events", &id], &Query::new()).await?;
            print_one(&text, json, |text| shown(&client, text));
            Ok(())
        }
    }
}

impl List {
    fn query(&self) -> Query {
        filters(&[
            ("type", &self.kind),
            ("source", &self.source),
            ("task_id", &self.task),
            ("since", &self.since),
            ("until", &self.until),
        ])
    }
}

fn shown(client: &Client, text: &str) -> String {
    let event: Value = client.read(text).unwrap_or_default();
    let now = SystemClock.now();
    let mut parts = vec![fields(text, &["data", "deliveries"])];
    parts.push(field("age", &age(&event, "/timestamp", now)));
    for (name, value) in json::fields(text) {
        if name == "data" {
            parts.push(fields(value.get(), &[]));
        }
    }
    match event["deliveries"].as_array() {
        Some(told) if !told.is_empty() => parts.push(format!("\n{}", table(told, deliveries::COLUMNS, now, true))),
        _ => parts.push("\nnobody was told".to_owned()),
    }
    parts.join("\n")
}

/// The newest of the list, oldest first, and then what happens.
async fn watch(client: &Client, list: List) -> Done {
    let mut latest = Vec::new();
    let paging = Paging { limit: Some(list.paging.limit.unwrap_or(10)), ..Paging::default() };
    Listing { path: &["events"], query: list.query(), columns: COLUMNS }
        .pages(client, &paging, |page| latest.extend(page))
        .await?;
    let shown = |event: &str| tail::say_event(event, list.paging.json);
    latest.iter().rev().for_each(|event| shown(event.get()));
    let newest = latest.first().and_then(|event| serde_json::from_str::<Value>(event.get()).ok());
    let newest = newest.and_then(|event| event["id"].as_str().map(str::to_owned));
    tail::follow(client, filters(&[("type", &list.kind), ("source", &list.source)]), newest, shown).await
}
