//! `callboard send`: a payload, posted as the provider would.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use url::Url;

use super::{Done, Failure, console, load};
use crate::app::{house, open_store, safe};
use crate::config::Env;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::task::Metadata;
use crate::egress::{Egress, Post};
use crate::flow::receive::callback_path;
use crate::flow::roster::LiveRoster;

/// How long the service may take to answer.
const DEADLINE: Duration = Duration::from_secs(15);

/// Post a payload to the running service as the provider would, signed if that source signs.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  callboard send evolink callback.json")]
pub(super) struct Arguments {
    /// The source to post it to
    source: String,
    /// The payload; `-` is standard input
    file: PathBuf,
    /// Where the service is [default: where the configuration says that it listens]
    #[arg(long, env = "CALLBOARD_URL", value_name = "URL")]
    url: Option<String>,
}

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let config = load(file, env)?;
    let body = read(&arguments.file)?;
    let store = open_store(&config).await?;
    let (house, safe) = (house(&config)?, safe(&config)?);
    let roster = LiveRoster::load(config.clone(), house, store.clone(), safe, Arc::new(SystemClock)).await?.now();
    store.close().await;
    let active = roster
        .sources
        .get(&arguments.source)
        .ok_or_else(|| Failure::Wrong(format!("there is no source `{}`", arguments.source)))?;
    let path = callback_path(&roster, &arguments.source, &Metadata::new()).unwrap_or_default();
    // A certificate is for the public name, not for this machine's loopback address.
    let configured = if config.server.tls.is_some() { config.base_url() } else { config.local_callbacks_url() };
    let base = arguments.url.unwrap_or(configured);
    let url = Url::parse(&format!("{}{path}", base.trim_end_matches('/')))
        .map_err(|error| Failure::Wrong(format!("--url {base}: {error}")))?;
    let mut headers = vec![("content-type", "application/json".to_owned())];
    if let Some(secret) = active.source.signing_secrets.first() {
        headers.extend(active.adapter.sign(secret, &body, SystemClock.now()));
    }
    // The operator posts to a service of their own, which is most often on this machine.
    let post = Post { url: &url, headers, body };
    let answer = Egress::operators().post(post, DEADLINE).await.map_err(|error| anyhow!("{error}"))?;
    console::say(&format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)));
    if answer.status == 200 { Ok(()) } else { Err(anyhow!("the service did not take it").into()) }
}

fn read(file: &std::path::Path) -> anyhow::Result<Bytes> {
    use std::io::Read;
    let mut body = Vec::new();
    if file == std::path::Path::new("-") {
        std::io::stdin().read_to_end(&mut body).context("standard input cannot be read")?;
    } else {
        body = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    }
    Ok(body.into())
}
