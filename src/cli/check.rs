//! `callboard check`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Done, Failure, console, load};
use crate::app::{house, open_store};
use crate::channels::{House, channel};
use crate::config::{Config, Env, Mistake, Mistakes, REFERENCE};
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::delivery::Outcome;
use crate::egress::Egress;
use crate::flow::probe::probe;
use crate::flow::roster::{LiveRoster, Roster};
use crate::http::tls::Certificates;
use crate::providers::provider;

/// How long each thing that is asked may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Read the configuration and report every mistake with its line.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  callboard check --config callboard.toml --online")]
pub(super) struct Arguments {
    /// Also ask the database, the SMTP server, the destinations (each gets a test message) and `public_url`
    #[arg(long)]
    online: bool,
    /// Print the reference of every key instead: a file of defaults with comments
    #[arg(long)]
    reference: bool,
}

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    if arguments.reference {
        console::say(REFERENCE.trim_end());
        return Ok(());
    }
    let config = load(file, env)?;
    let house = house(&config).map_err(|error| Failure::Wrong(format!("{error:#}")))?;
    let mistakes = deep_mistakes(&config, &house);
    if !mistakes.is_empty() {
        return Err(Failure::Wrong(Mistakes::of(mistakes).to_string()));
    }
    describe(&config);
    if arguments.online { online(config, house).await } else { Ok(()) }
}

/// What only the rooms themselves can find wrong: the channels their settings, TLS its files.
pub(super) fn deep_mistakes(config: &Config, house: &House) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for destination in &config.destinations {
        let Some(channel) = channel(&destination.channel) else { continue };
        if let Err(invalid) = channel.parse(&destination.settings, house) {
            let place = format!("destinations.{}.{}", destination.name, invalid.field);
            mistakes.push(config.mistake(&place, invalid.problem));
        }
    }
    if let Some(Err(problem)) = config.server.tls.clone().map(Certificates::load) {
        mistakes.push(config.mistake("server.tls", problem));
    }
    mistakes
}

fn describe(config: &Config) {
    let file = config.file.as_ref().map_or("no file: the defaults".to_owned(), |file| file.display().to_string());
    console::say(&format!("configuration  {file}"));
    console::say(&format!("callbacks      {}", config.base_url()));
    for source in &config.sources {
        let signs = provider(&source.provider).is_some_and(|adapter| adapter.about().signs);
        let trust = match (source.signing_secrets.len(), signs) {
            (0, true) => "believed unsigned: set `signing_secret` to have its signatures checked",
            (0, false) => "believed unsigned: this provider does not sign, keep the URL to yourself",
            _ => "signed",
        };
        console::say(&format!("source         {} ({}), {trust}", source.name, source.provider));
    }
    for destination in &config.destinations {
        console::say(&format!(
            "destination    {} ({}, team {})",
            destination.name, destination.channel, destination.team
        ));
    }
    console::say(&format!("subscriptions  {}", config.subscriptions.len()));
    console::say("Polling is not part of this build: a callback that never comes cannot be noticed.");
}

async fn online(config: Config, house: House) -> Done {
    let mut failed = 0;
    let mut tell = |what: &str, result: Result<String, String>| match result {
        Ok(fine) => console::say(&format!("ok      {what}: {fine}")),
        Err(problem) => {
            failed += 1;
            console::say(&format!("FAILED  {what}: {problem}"));
        }
    };
    if let Some(mailer) = &house.mailer {
        tell("SMTP server", mailer.check(PATIENCE).await.map(|()| "it takes our mail".into()));
    }
    match open_store(&config).await {
        Err(error) => tell("database", Err(format!("{error:#}"))),
        Ok(store) => {
            tell("database", Ok(store.kind().into()));
            let roster = LiveRoster::load(config.clone(), house, store.clone(), Arc::new(SystemClock)).await?.now();
            for (name, result) in destinations(&roster).await {
                tell(&format!("destination {name}"), result);
            }
            store.close().await;
        }
    }
    if let Some(url) = &config.server.public_url {
        tell("public_url", public_url(url).await);
    }
    if failed > 0 { Err(anyhow::anyhow!("{failed} of these failed").into()) } else { Ok(()) }
}

async fn destinations(roster: &Roster) -> Vec<(String, Result<String, String>)> {
    let mut results = Vec::new();
    for (name, target) in &roster.targets {
        let report = probe(target, PATIENCE, SystemClock.now()).await;
        let result = match report.outcome {
            Outcome::Delivered => Ok("it took a test message".into()),
            other => Err(other.reason().unwrap_or("no answer").to_owned()),
        };
        results.push((name.clone(), result));
    }
    results.sort_by(|(a, _), (b, _)| a.cmp(b));
    results
}

/// Providers do not follow redirects: `public_url` must lead to a running service at once.
async fn public_url(url: &str) -> Result<String, String> {
    let asked = format!("{url}/healthz");
    let parsed = url::Url::parse(&asked).map_err(|error| error.to_string())?;
    let answer = Egress::operators().get(&parsed, PATIENCE).await.map_err(|error| error.to_string())?;
    let is_ours = String::from_utf8_lossy(&answer.body).contains("\"alive\"");
    match answer.status {
        200 if is_ours => Ok("it leads to Callboard".into()),
        200 => Err("something else than Callboard answers there".into()),
        300..=399 => Err(format!("it answers {}: providers do not follow redirects", answer.status)),
        status => Err(format!("it answers {status}; is `callboard serve` running behind it?")),
    }
}
