//! `callboard url`.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Done, Failure, console, load};
use crate::app::{house, open_store, safe};
use crate::config::{Env, nearest};
use crate::domain::callback::written_metadata;
use crate::domain::clock::SystemClock;
use crate::flow::receive::callback_path;
use crate::flow::roster::LiveRoster;
use crate::providers::api::calls_back;

/// Print the callback URL to put into a generation request.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  callboard url evolink --meta campaign=spring --meta order=42")]
pub(super) struct Arguments {
    /// The source that the provider is to call
    source: String,
    /// Metadata of the task, signed so that nobody else can put other metadata in its place
    #[arg(long = "meta", value_name = "KEY=VALUE")]
    metadata: Vec<String>,
}

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let config = load(file, env)?;
    let pairs = written_metadata(arguments.metadata.iter().map(String::as_str));
    let pairs = pairs.map_err(|problem| Failure::Wrong(format!("--meta {problem}")))?;
    let store = open_store(&config).await?;
    let base = config.base_url();
    let public = config.server.public_url.is_some();
    let (house, safe) = (house(&config)?, safe(&config)?);
    let roster = LiveRoster::load(config.clone(), house, store.clone(), safe, Arc::new(SystemClock)).await?.now();
    store.close().await;
    let Some(path) = callback_path(&roster, &arguments.source, &pairs) else {
        let near = nearest(&arguments.source, roster.sources.keys().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(Failure::Wrong(format!("there is no source `{}`{hint}", arguments.source)));
    };
    console::say(&format!("{base}{path}"));
    let adapter = roster.sources.get(&arguments.source).map(|active| active.adapter);
    if let Some(adapter) = adapter.filter(|adapter| !calls_back(*adapter)) {
        console::complain(&format!(
            "note: `{}` takes no callback URL and never calls back: its tasks are known by relay, registration or \
             polling only",
            adapter.name()
        ));
    } else if !public {
        console::complain("note: `server.public_url` is not set, and no provider can reach this address");
    }
    Ok(())
}
