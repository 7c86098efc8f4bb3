//! `callboard replay`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde_json::{Map, Value, json};

use super::client::{Client, Query};
use super::list::{Listing, Paging, Watching, moment, print_one};
use super::reach::Reach;
use super::table::{Column, age, cell, fields};
use super::{Done, Failure, console};
use crate::config::Env;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::event::EventType;
use crate::domain::pace::Rate;

mod progress;

/// Tell events again: one, or all of a time, to who subscribes now or to one place
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  callboard replay evt_0199… --listener ada-laptop\n  callboard replay --since 2h --type task.failed --destination ads-slack --dry-run\n  callboard replay --since 1d --delivery-status dead --rate 20/s --yes\n\nA range is shown as a plan first, and begun when you agree; a script agrees with --yes."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// The event; without one, those of a range
    #[arg(value_name = "EVENT", conflicts_with_all = ["since", "until", "source", "kind", "delivery_status", "rate", "dry_run"], required_unless_present = "since")]
    event: Option<String>,
    #[command(flatten)]
    to: To,
    #[command(flatten)]
    range: Range,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Where to; to all that subscribe now where nothing is said.
#[derive(clap::Args)]
#[group(multiple = false)]
struct To {
    /// To this destination only
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// To this URL, signed with a secret of the installation
    #[arg(long, value_name = "URL")]
    url_to: Option<String>,
    /// To the `callboard listen` of this name
    #[arg(long, value_name = "NAME", conflicts_with = "since")]
    listener: Option<String>,
}

#[derive(clap::Args)]
struct Range {
    /// Events made then or later: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Events made before then [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<String>,
    /// Of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = PossibleValuesParser::new(EventType::ALL.map(EventType::as_str)))]
    kind: Option<String>,
    /// Those with such a delivery, each to that delivery's own destination
    #[arg(long, value_name = "STATUS", value_parser = PossibleValuesParser::new(DeliveryStatus::ALL.map(DeliveryStatus::as_str)))]
    delivery_status: Option<String>,
    /// No more than so many events in a time
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<String>,
    /// Show what would be told, and begin nothing
    #[arg(long)]
    dry_run: bool,
    /// Begin without asking
    #[arg(long, short)]
    yes: bool,
    /// Do not wait for the end
    #[arg(long)]
    detach: bool,
}

#[derive(clap::Subcommand)]
enum What {
    /// List replays of many, the newest first
    #[command(after_help = "Example:\n  callboard replay list")]
    List {
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        watching: Watching,
        #[command(flatten)]
        reach: Reach,
    },
    /// Show how far a replay is
    #[command(after_help = "Example:\n  callboard replay show rpl_0199…")]
    Show {
        /// The replay's id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// End a replay that runs; what it has told stays told
    #[command(after_help = "Example:\n  callboard replay cancel rpl_0199…")]
    Cancel {
        /// The replay's id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reach: Reach,
    },
}

const COLUMNS: &[Column] = &[
    Column::whole("AGE", |replay, now| age(replay, "/created_at", now)),
    Column::whole("STATUS", |replay, _| cell(replay, "/status")),
    Column::new("DONE", |replay, _| format!("{}/{}", cell(replay, "/events_done"), cell(replay, "/events_total"))),
    Column::new("DELIVERIES", |replay, _| cell(replay, "/deliveries")),
    Column::new("SOURCE", |replay, _| cell(replay, "/source")),
    Column::new("TYPE", |replay, _| cell(replay, "/type")),
    Column::new("TO", |replay, _| super::timeline::place(replay)),
    Column::whole("REPLAY", |replay, _| cell(replay, "/id")),
];

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let (text, json) = match arguments.what {
        Some(What::List { paging, watching, reach }) => {
            let client = reach.client(file, env)?;
            let listing = Listing { path: &["replays"], query: Query::new(), columns: COLUMNS };
            return listing.print_watched(&client, &paging, &watching).await;
        }
        Some(What::Show { id, json, reach }) => {
            (reach.client(file, env)?.get(&["replays", &id], &Query::new()).await?, json)
        }
        Some(What::Cancel { id, json, reach }) => {
            (reach.client(file, env)?.post(&["replays", &id, "cancel"], &json!({})).await?, json)
        }
        None => {
            let client = arguments.reach.client(file, env)?;
            return match &arguments.event {
                Some(event) => one(&client, event, &arguments.to, arguments.json).await,
                None => many(&client, &arguments.to, &arguments.range, arguments.json).await,
            };
        }
    };
    print_one(&text, json, |text| fields(text, &[]));
    Ok(())
}

async fn one(client: &Client, event: &str, to: &To, as_json: bool) -> Done {
    let places = [("destination", &to.destination), ("url", &to.url_to), ("listener", &to.listener)];
    let text = client.post(&["events", event, "replay"], &object(&places)).await?;
    print_one(&text, as_json, |text| {
        let replay: Value = client.read(text).unwrap_or_default();
        let deliveries = replay["deliveries"].as_array().map_or(0, Vec::len);
        let told = match (&to.listener, deliveries) {
            (Some(name), _) => format!("for the listener `{name}`"),
            (None, 0) => {
                "nobody subscribes to it now; say where to with --destination, --url-to or --listener".to_owned()
            }
            (None, many) => format!("{many} deliveries; follow them with `callboard deliveries --event {event}`"),
        };
        format!("{}  {told}", cell(&replay, "/replay_id"))
    });
    Ok(())
}

async fn many(client: &Client, to: &To, range: &Range, as_json: bool) -> Done {
    let until = range.until.clone().unwrap_or_else(|| SystemClock.now().to_string());
    let mut body = object(&[
        ("since", &range.since),
        ("until", &Some(until)),
        ("source", &range.source),
        ("type", &range.kind),
        ("destination", &to.destination),
        ("url", &to.url_to),
        ("delivery_status", &range.delivery_status),
        ("rate", &range.rate),
    ]);
    body["dry_run"] = json!(true);
    let plan = client.post(&["replays"], &body).await?;
    if range.dry_run {
        print_one(&plan, as_json, |text| told(&client.read(text).unwrap_or_default()));
        return Ok(());
    }
    let plan: Value = client.read(&plan)?;
    if !as_json {
        console::say(&told(&plan));
    }
    if plan["deliveries"] == 0 {
        return Ok(());
    }
    if !range.yes {
        agreed()?;
    }
    if let Some(body) = body.as_object_mut() {
        body.remove("dry_run");
    }
    let begun = client.post(&["replays"], &body).await?;
    if range.detach {
        print_one(&begun, as_json, |text| fields(text, &[]));
        return Ok(());
    }
    progress::follow(client, &begun, as_json).await
}

/// What a replay would tell.
fn told(plan: &Value) -> String {
    let about = if plan["exact"] == true { "" } else { "about " };
    let mut lines =
        vec![format!("{about}{} events, {about}{} deliveries", cell(plan, "/events"), cell(plan, "/deliveries"))];
    let destinations = plan["destinations"].as_object();
    lines.extend(destinations.into_iter().flatten().map(|(name, many)| format!("  {name:<24} {many}")));
    if plan["deliveries"] == 0 {
        lines.push("there is nothing to tell".to_owned());
    }
    lines.join("\n")
}

fn agreed() -> Done {
    if !console::can_ask() {
        return Err(Failure::Wrong(
            "a replay of many is not begun unasked: say --yes, or see the plan with --dry-run".into(),
        ));
    }
    if console::agrees("Tell them again?") { Ok(()) } else { Err(anyhow::anyhow!("nothing was begun").into()) }
}

fn object(pairs: &[(&str, &Option<String>)]) -> Value {
    let set = pairs.iter().filter_map(|(name, value)| Some(((*name).to_owned(), Value::String((*value).clone()?))));
    Value::Object(set.collect::<Map<_, _>>())
}

fn rate(text: &str) -> Result<String, String> {
    Rate::parse(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_it_would_reach_and_whether_that_was_counted() {
        let plan =
            json!({"dry_run": true, "events": 3, "deliveries": 4, "destinations": {"ads": 3, "b": 1}, "exact": true});
        let lines: Vec<String> =
            told(&plan).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines, ["3 events, 4 deliveries", "ads 3", "b 1"]);
        let none = json!({"events": 0, "deliveries": 0, "destinations": {}, "exact": false});
        assert_eq!(told(&none), "about 0 events, about 0 deliveries\nthere is nothing to tell");
    }
}
