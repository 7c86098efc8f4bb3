//! `callboard listen`: events as they happen, posted to a developer's own machine as they would be to a destination.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde_json::Value;

use super::client::{Client, Query};
use super::list::{Listing, Paging, moment};
use super::reach::Reach;
use super::stream::{BEFORE_ALL, Heard, Stream};
use super::{Done, Failure, console};
use crate::config::{Env, value};
use crate::domain::clock::{Clock, SystemClock, Timestamp};
use crate::domain::event::EventType;
use crate::domain::filter::Filter;
use crate::domain::secret::Secret;
use crate::domain::signature::new_secret;
use forward::{Handler, Sent};
use lag::Lag;
use place::Place;

mod forward;
mod lag;
mod place;

/// Forward events to your own machine as they happen, signed as a webhook destination's are.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard listen --forward-to http://localhost:3000/hook\n  callboard listen --forward-to http://localhost:3000/hook --events task.completed,task.failed --source evolink \\\n      --where 'task.metadata.campaign == \"spring\"'\n  callboard replay evt_0199… --listener ada-laptop      (in another terminal)\n\nWhat your handler refuses is shown and not tried again; the event is kept, and `callboard replay` sends it once more.\nAfter a sleep or a restart it goes on where it was: --from now begins with what comes."
)]
pub(super) struct Arguments {
    /// Where your handler listens
    #[arg(long, value_name = "URL")]
    forward_to: String,
    /// Only events of these types [default: all]
    #[arg(long, value_name = "TYPES", value_delimiter = ',', value_parser = PossibleValuesParser::new(EventType::ALL.map(EventType::as_str)))]
    events: Vec<String>,
    /// Only events of these sources [default: all that the key may see]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    source: Vec<String>,
    /// Only events for which this CEL expression holds, as a subscription's `where`
    #[arg(long = "where", value_name = "CEL")]
    filter: Option<String>,
    /// The name that replays are aimed at [default: your user's and this machine's]
    #[arg(long, value_name = "NAME", value_parser = value::name)]
    name: Option<String>,
    /// What it is signed with [default: $CALLBOARD_LISTEN_SECRET, else one that is made and printed]
    #[arg(long, value_name = "WHSEC")]
    secret: Option<String>,
    /// Begin with what comes (`now`), behind an event, or with the events since a time [default: where it was]
    #[arg(long, value_name = "now|EVENT|TIME")]
    from: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// What was done so far.
#[derive(Default)]
struct Tally {
    taken: u64,
    refused: u64,
}

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let client = arguments.reach.client(file, env)?;
    let filter = arguments.filter.as_deref().map(Filter::compile).transpose();
    let filter = filter.map_err(|problem| Failure::Wrong(format!("--where: {problem}")))?;
    let given = arguments.secret.clone().or_else(|| env.get("CALLBOARD_LISTEN_SECRET").map(str::to_owned));
    let secret = given.as_ref().map_or_else(new_secret, Secret::new);
    let handler = Handler::at(&arguments.forward_to, &secret).map_err(Failure::Wrong)?;
    let name = arguments.name.clone().unwrap_or_else(|| place::name_of(env));
    let mut place = Place::open(env, client.profile(), &name, client.base());
    let (start, told) = start(&client, arguments.from.as_deref(), &place).await?;

    console::say(&format!("forwarding to  {}", arguments.forward_to));
    if given.is_none() {
        console::say(&format!("signed with    {}", secret.expose()));
    }
    console::say(&format!("listening as   {name}: callboard replay EVENT --listener {name}"));
    console::say(&format!("beginning      {told}\n"));

    let mut stream = Stream::behind(&client, query(&arguments, &name), start).await?;
    place.keep(stream.last());
    let mut tally = Tally::default();
    let stopped = tokio::select! {
        failed = listen(&mut stream, &handler, filter.as_ref(), &mut place, &mut tally) => failed,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    console::complain(&format!("\n{} taken, {} refused; it goes on from here next time", tally.taken, tally.refused));
    stopped
}

fn query(arguments: &Arguments, name: &str) -> Query {
    let mut query = vec![("listener".to_owned(), name.to_owned())];
    query.extend(arguments.events.iter().map(|kind| ("type".to_owned(), kind.clone())));
    query.extend(arguments.source.iter().map(|source| ("source".to_owned(), source.clone())));
    query
}

/// Behind which event it begins, and how that is told. `None` is the newest.
async fn start(client: &Client, from: Option<&str>, place: &Place) -> Result<(Option<String>, String), Failure> {
    match from {
        None => Ok(match place.last() {
            Some(last) => {
                (Some(last.to_owned()), format!("where it was, behind {last} (--from now begins with what comes)"))
            }
            None => (None, "with what comes".to_owned()),
        }),
        Some("now") => Ok((None, "with what comes".to_owned())),
        Some(id) if id.starts_with("evt_") => {
            client.value(&["events", id]).await?;
            Ok((Some(id.to_owned()), format!("behind {id}")))
        }
        Some(text) => {
            let at = moment(text)
                .map_err(|problem| Failure::Wrong(format!("--from: {problem}; or `now`, or an event's id")))?;
            Ok((Some(last_before(client, &at).await?), format!("with the events since {at}")))
        }
    }
}

/// The last event that was made before this moment.
async fn last_before(client: &Client, at: &str) -> Result<String, Failure> {
    let mut found = None;
    let listing = Listing { path: &["events"], query: vec![("until".into(), at.to_owned())], columns: &[] };
    let one = Paging { limit: Some(1), ..Paging::default() };
    listing.pages(client, &one, |page| found = found.take().or_else(|| page.into_iter().next())).await?;
    let event = found.and_then(|event| serde_json::from_str::<Value>(event.get()).ok());
    Ok(event.and_then(|event| event["id"].as_str().map(str::to_owned)).unwrap_or_else(|| BEFORE_ALL.to_owned()))
}

async fn listen(
    stream: &mut Stream,
    handler: &Handler,
    filter: Option<&Filter>,
    place: &mut Place,
    tally: &mut Tally,
) -> Done {
    let mut lag = Lag::default();
    let mut was_lost = false;
    loop {
        let heard = stream.next().await?;
        let now = SystemClock.now();
        match heard {
            Heard::Opened if was_lost => console::complain("connected again"),
            Heard::Opened => console::complain("connected"),
            Heard::Lost(why, wait) => {
                was_lost = true;
                console::complain(&format!("{why}; trying again in {} s", wait.as_secs_f64()));
            }
            Heard::At(at) => lag.heartbeat(at, now).iter().for_each(|said| console::complain(said)),
            Heard::Event { id, body } => {
                let event: Value = serde_json::from_str(&body).unwrap_or_default();
                let at = event["timestamp"].as_str().and_then(Timestamp::parse);
                at.and_then(|at| lag.event(at, now)).iter().for_each(|said| console::complain(said));
                if passes(filter, &event) {
                    tally.note(handler.post(&event, body, None).await);
                }
                place.keep(&id);
            }
            Heard::Replay { replay_id, body } => {
                let event: Value = serde_json::from_str(&body).unwrap_or_default();
                tally.note(handler.post(&event, body, Some(replay_id)).await);
            }
        }
    }
}

/// A filter that fails is no match, as a subscription's.
fn passes(filter: Option<&Filter>, event: &Value) -> bool {
    let Some(filter) = filter else { return true };
    filter.matches(event).unwrap_or_else(|problem| {
        console::complain(&format!("--where fails for {}: {problem}", super::table::cell(event, "/id")));
        false
    })
}

impl Tally {
    fn note(&mut self, sent: Sent) {
        if sent.is_taken {
            self.taken += 1;
        } else {
            self.refused += 1;
        }
        console::say_line(&sent.line);
    }
}
