//! The command line: one file a command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Env};

mod audit;
mod backup;
mod callbacks;
mod check;
mod client;
mod completions;
mod console;
mod deliveries;
mod demo;
mod destinations;
mod events;
mod json;
mod keys;
mod known;
mod list;
mod listen;
mod online;
mod profile;
mod reach;
mod replay;
mod rest;
mod restore;
mod rotate;
mod secret;
mod send;
mod serve;
mod settings;
mod sources;
mod sse;
mod stats;
mod stream;
mod subscriptions;
mod table;
mod tail;
mod tasks;
mod teams;
mod timeline;
mod url;

/// Done.
const DONE: u8 = 0;
/// It did not work.
const FAILED: u8 = 1;
/// Wrong usage or configuration.
const WRONG: u8 = 2;

/// Receives the callbacks of AI-generation providers and tells everyone who should know.
#[derive(Parser)]
#[command(name = "callboard", version, about, long_about = None, after_help = "Example:\n  callboard                 serve with what is in ./callboard.toml, or with defaults\n  callboard url evolink     the callback URL to put into a generation request")]
struct Arguments {
    /// The configuration file [default: $CALLBOARD_CONFIG, else ./callboard.toml if there is one]
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service (this is also what `callboard` alone does)
    #[command(after_help = "Example:\n  callboard serve --config /etc/callboard.toml")]
    Serve,
    /// See it work: the service beside simulated providers and places that are told
    Demo(demo::Arguments),
    /// Read the configuration and report every mistake with its line
    Check(check::Arguments),
    /// Print the callback URL to put into a generation request
    Url(url::Arguments),
    /// Post a payload to the running service as the provider would
    Send(send::Arguments),
    Events(events::Arguments),
    Tasks(tasks::Arguments),
    Deliveries(deliveries::Arguments),
    Callbacks(callbacks::Arguments),
    Replay(replay::Arguments),
    /// Forward events to your own machine as they happen
    Listen(listen::Arguments),
    /// What became of the tasks of each source and model
    Stats(stats::Arguments),
    Sources(sources::Arguments),
    Destinations(destinations::Arguments),
    Subscriptions(subscriptions::Arguments),
    Teams(teams::Arguments),
    Keys(keys::Arguments),
    /// Make a destination a new signing secret, and show it once
    Secret(secret::Arguments),
    /// List who changed which setting
    Audit(audit::Arguments),
    /// Copy the SQLite database while it is served, and verify the copy
    Backup(backup::Arguments),
    /// Put a backup where the database is to be
    Restore(restore::Arguments),
    /// Print a script that completes this command's words in a shell
    Completions(completions::Arguments),
}

/// What a command ends with, if it does not end well.
enum Failure {
    /// Exit code 1.
    Failed(anyhow::Error),
    /// Exit code 2; the text is all there is to say.
    Wrong(String),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    /// What there is to say.
    fn text(&self) -> String {
        match self {
            Self::Failed(error) => format!("{error:#}"),
            Self::Wrong(text) => text.clone(),
        }
    }
}

type Done = Result<(), Failure>;

/// What is to be done: what is named, else the list. Filters that stand before another word would count for nothing.
fn unmixed<W, L: Default + PartialEq>(what: Option<W>, list: L, make: impl Fn(L) -> W) -> Result<W, Failure> {
    match what {
        None => Ok(make(list)),
        Some(what) if list == L::default() => Ok(what),
        Some(_) => Err(Failure::Wrong("filters of a list belong behind the word `list`".to_owned())),
    }
}

/// Reads the arguments and runs the command.
pub async fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no mistakes: clap knows which is which, and where each is printed.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { WRONG } else { DONE });
        }
    };
    // Fails only where it is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let env = Env::of_process();
    crate::telemetry::log(env.get("CALLBOARD_LOG"), env.get("CALLBOARD_LOG_FORMAT") == Some("json"));
    let config = arguments.config;
    let done = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(config, &env).await,
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Check(arguments) => check::run(arguments, config, &env).await,
        Command::Url(arguments) => url::run(arguments, config, &env).await,
        Command::Send(arguments) => send::run(arguments, config, &env).await,
        Command::Events(arguments) => events::run(arguments, config, &env).await,
        Command::Tasks(arguments) => tasks::run(arguments, config, &env).await,
        Command::Deliveries(arguments) => deliveries::run(arguments, config, &env).await,
        Command::Callbacks(arguments) => callbacks::run(arguments, config, &env).await,
        Command::Replay(arguments) => replay::run(arguments, config, &env).await,
        Command::Listen(arguments) => listen::run(arguments, config, &env).await,
        Command::Stats(arguments) => stats::run(arguments, config, &env).await,
        Command::Sources(arguments) => sources::run(arguments, config, &env).await,
        Command::Destinations(arguments) => destinations::run(arguments, config, &env).await,
        Command::Subscriptions(arguments) => subscriptions::run(arguments, config, &env).await,
        Command::Teams(arguments) => teams::run(arguments, config, &env).await,
        Command::Keys(arguments) => keys::run(arguments, config, &env).await,
        Command::Secret(arguments) => secret::run(arguments, config, &env).await,
        Command::Audit(arguments) => audit::run(arguments, config, &env).await,
        Command::Backup(arguments) => backup::run(arguments, config, &env).await,
        Command::Restore(arguments) => restore::run(arguments, config, &env).await,
        Command::Completions(arguments) => completions::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::from(DONE),
        Err(Failure::Failed(error)) => {
            console::complain(&format!("callboard: {error:#}"));
            ExitCode::from(FAILED)
        }
        Err(Failure::Wrong(text)) => {
            console::complain(&text);
            ExitCode::from(WRONG)
        }
    }
}

fn load(file: Option<PathBuf>, env: &Env) -> Result<Config, Failure> {
    Config::load(file.as_deref(), env).map_err(|mistakes| Failure::Wrong(mistakes.to_string()))
}
