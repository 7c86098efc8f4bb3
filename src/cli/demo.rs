//! `callboard demo`: the service as it is, in the midst of simulated providers and places that are told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::{Done, Failure, console};
use crate::app::App;
use crate::demo::{Journal, Options, Simulator, Sinks, Tempo};
use crate::domain::clock::{SharedClock, SystemClock};
use crate::domain::secret::Secret;
use crate::domain::signature::new_secret;
use crate::shutdown::Lifecycle;
use show::Show;
use stage::{PUBLIC_HOST, Scratch, configuration};

mod client;
mod show;
mod stage;

/// How fast it goes where nothing is said: something happens every second or two.
const SPEED: f64 = 20.0;
/// Slower than the documents it would only be boring; faster, this machine's own time is what one sees.
const SPEEDS: std::ops::RangeInclusive<f64> = 1.0..=1000.0;

/// Run the service beside simulated providers and places that are told, and see what happens to each task.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard demo                       until Ctrl-C\n  callboard demo --tasks 20 --seed 7   the same twenty tasks each time, then a summary\n\nIt needs no configuration and reads none. Its database is in a temporary directory, and removed at the end.\nExit code 1: a task was told otherwise than it is, or with --tasks not at all."
)]
pub(super) struct Arguments {
    /// How many times as fast as the providers' documents say everything goes, 1 to 1000
    #[arg(long, value_name = "TIMES", default_value_t = SPEED, value_parser = speed)]
    speed: f64,
    /// What chance begins with: the same seed plays the same tasks [default: another one each time]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Submit so many tasks, and end when everybody has been told of each [default: go on until Ctrl-C]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    tasks: Option<u32>,
    /// Where the service listens; port 0 is a free one
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
}

pub(super) async fn run(arguments: Arguments) -> Done {
    let Arguments { speed, tasks, listen, .. } = arguments;
    if !listen.ip().is_loopback() && !listen.ip().is_unspecified() {
        let text = format!("--listen {listen}: the simulated providers call this machine only: write 127.0.0.1:PORT");
        return Err(Failure::Wrong(text));
    }
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u16>()));
    let clock: SharedClock = Arc::new(SystemClock);
    // The providers and sinks outlive the service, as real ones do.
    let (world, (journal, heard)) = (Lifecycle::default(), Journal::read());
    let secret = new_secret();
    let options = Options { seed, speed, ..Options::default() };
    let simulator = Simulator::start(&options, &clock, &journal, &world).context("no simulated provider can listen")?;
    let sinks = Sinks::start(secret.clone(), &clock, &journal, &world).context("no sink can listen")?;
    let scratch = Scratch::make().context("no temporary directory can be made")?;
    let key = Secret::random("cbk_");
    let mut config = configuration(&simulator, &sinks, &secret, speed)?;
    config.database = scratch.database();
    config.server.listen = listen;
    config.server.admin_key = Some(key.clone());

    let app = App::build(config, clock).await?;
    let local = app.services.config.local_callbacks_url();
    let address: SocketAddr = local.trim_start_matches("http://").parse().context(local.clone())?;
    for provider in simulator.providers() {
        provider.put_in_front(PUBLIC_HOST, address);
    }
    app.life.stop_on_signals().context("signals cannot be listened for")?;
    simulator.run(&world);
    welcome(&local, &key, &simulator, &sinks, (speed, seed));

    let mut show = Show::new(&app, simulator, sinks, heard, client::Client::new(&local, key)?);
    show.plan(Tempo::new(speed), seed, tasks);
    let (life, mut serving) = (app.life.clone(), Box::pin(app.run()));
    let served = tokio::select! {
        served = &mut serving => served,
        () = show.play() => {
            life.stop();
            serving.await
        }
    };
    world.stop();
    world.drained(std::time::Duration::from_secs(2)).await;
    served?;
    verdict(show)
}

/// The table at the end, and whether all of it is as it should be.
fn verdict(mut show: Show) -> Done {
    let summary = show.end();
    console::say(&format!("\n{}", summary.to_string().trim_end()));
    let (wrong, open) = (summary.mismatches() + summary.strangers, summary.total().open);
    if wrong > 0 {
        return Err(anyhow!("{wrong} tasks were told otherwise than they are: this is a fault of Callboard").into());
    }
    if show.was_to_end() && open + show.unmade() > 0 {
        let unmade = show.unmade();
        return Err(anyhow!("of {open} tasks no end was told, and {unmade} could not be submitted").into());
    }
    Ok(())
}

fn welcome(local: &str, key: &Secret, simulator: &Simulator, sinks: &Sinks, (speed, seed): (f64, u64)) {
    console::say(&format!("Callboard {} is ready on {local}", env!("CARGO_PKG_VERSION")));
    let names: Vec<&str> = simulator.providers().iter().map(|provider| provider.name()).collect();
    console::say(&format!("simulated      {}", names.join(", ")));
    let (webhook, slack, mail) = (&sinks.webhook.url, &sinks.slack.url, &sinks.mail.smtp_url);
    console::say(&format!(
        "told           webhook {webhook}\n               slack {slack}\n               mail {mail}"
    ));
    console::say(&format!("speed          {speed} times as fast as the providers' documents say (--speed)"));
    console::say(&format!("seed           {seed}: the same tasks again with --seed {seed}"));
    console::say(&format!("dashboard      {local}/"));
    console::say(&format!("API            {local}/api/v1"));
    if console::is_terminal() {
        console::say(&format!("admin key      {}", key.expose()));
    }
    console::say(
        "Requests go through the relay, and become tasks #1, #2, … A line with `=` says what was told of one and why.",
    );
    console::say("Ctrl-C ends it with a summary.\n");
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|speed| SPEEDS.contains(speed));
    speed.ok_or_else(|| "write a number from 1 to 1000, as in 20".to_owned())
}
