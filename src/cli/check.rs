//! `callboard check`.

use std::path::PathBuf;

use super::known::how_known;
use super::online::online;
use super::rest::how_secrets_rest;
use super::{Done, Failure, console, load};
use crate::app::house;
use crate::channels::{House, channel};
use crate::config::{Config, Env, Mistake, Mistakes, REFERENCE};
use crate::domain::source::Source;
use crate::http::tls::Certificates;
use crate::providers::api::calls_back;
use crate::providers::{Provider, provider};

/// Read the configuration and report every mistake with its line.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  callboard check --config callboard.toml --online")]
pub(super) struct Arguments {
    /// Also ask the database, the SMTP server, the destinations (each gets a test message), the providers
    /// (whether they take the `api_key`) and `public_url`
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
    console::say(&format!("secrets        {}", how_secrets_rest(config)));
    for source in &config.sources {
        let Some(adapter) = provider(&source.provider) else { continue };
        let trust = if calls_back(adapter) { trust(source, adapter) } else { "" };
        console::say(&format!("source         {} ({}){trust}", source.name, source.provider));
        console::say(&format!("               {}", how_known(source, adapter)));
    }
    for destination in &config.destinations {
        console::say(&format!(
            "destination    {} ({}, team {})",
            destination.name, destination.channel, destination.team
        ));
    }
    console::say(&format!("subscriptions  {}", config.subscriptions.len()));
}

fn trust(source: &Source, adapter: &dyn Provider) -> &'static str {
    match (source.signing_secrets.len(), source.confirms(), adapter.about().signs) {
        (0, true, _) => ", unsigned: the provider is asked before an end is believed",
        (0, false, true) => ", believed unsigned: set `signing_secret` to have its signatures checked",
        (0, false, false) => ", believed unsigned: this provider does not sign, keep the URL to yourself",
        _ => ", signed",
    }
}
