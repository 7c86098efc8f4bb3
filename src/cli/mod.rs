//! The command line: one file a command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Env};

mod check;
mod completions;
mod console;
mod demo;
mod known;
mod online;
mod rest;
mod send;
mod serve;
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

type Done = Result<(), Failure>;

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
