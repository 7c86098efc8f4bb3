//! What the service is configured with: as an operator would write it, but that all times pass faster.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::channels::channel;
use crate::cli::Failure;
use crate::config::{Config, Database, Env, Registries};
use crate::demo::{Simulator, Sinks, Tempo};
use crate::domain::pace::Rate;
use crate::domain::secret::Secret;
use crate::providers::provider;

/// The host of `public_url`. It is public and https, as providers want it; the simulated ones find the
/// service behind it, as if a tunnel led there.
pub(super) const PUBLIC_HOST: &str = "demo.callboard.example";

/// Asked more often than this a provider says nothing new, also in a hurry.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// A directory that is gone with it.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one that only we can read.
    pub(super) fn make() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("callboard-demo-{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// A database in it.
    pub(super) fn database(&self) -> Database {
        Database::Sqlite(self.0.join("callboard.db"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "the demo's directory is left behind");
        }
    }
}

/// Every simulated provider is a source with its key, every sink a destination; mail is for what failed.
pub(super) fn configuration(
    simulator: &Simulator,
    sinks: &Sinks,
    secret: &Secret,
    speed: f64,
) -> Result<Config, Failure> {
    let text = written(simulator, sinks, secret);
    let config = Config::read(&text, None, &Env::default(), Registries::built_in());
    let mut config = config.map_err(|mistakes| Failure::Wrong(mistakes.to_string()))?;
    hasten(&mut config, speed);
    Ok(config)
}

fn written(simulator: &Simulator, sinks: &Sinks, secret: &Secret) -> String {
    let sources = simulator.providers().iter().map(|provider| {
        let (name, key, base_url) = (provider.name(), provider.api_key.expose(), &provider.base_url);
        format!("[sources.{name}]\nprovider = \"{name}\"\napi_key = \"{key}\"\nbase_url = \"{base_url}\"\n")
    });
    let destinations = format!(
        r#"
[destinations.webhook]
team = "platform"
channel = "webhook"
url = "{}"
secret = "{}"
[destinations.slack]
team = "ads"
channel = "slack"
url = "{}"
[destinations.mail]
team = "ops"
channel = "email"
to = "ops@example.com"
[email]
smtp = "{}"
from = "Callboard <callboard@example.com>"

[[subscriptions]]
destination = "webhook"
[[subscriptions]]
destination = "slack"
[[subscriptions]]
destination = "mail"
events = ["task.failed", "task.overdue"]

[egress]
allow = ["127.0.0.0/8"]
[server]
public_url = "https://{PUBLIC_HOST}"
shutdown_timeout = "5s"
"#,
        sinks.webhook.url,
        secret.expose(),
        sinks.slack.url,
        sinks.mail.smtp_url,
    );
    sources.collect::<String>() + &destinations
}

/// Divides what the service waits for by the speed at which its providers live.
fn hasten(config: &mut Config, speed: f64) {
    let tempo = Tempo::new(speed);
    let faster = |rate: Rate| Rate { count: (f64::from(rate.count) * speed).ceil() as u32, per: rate.per };
    for source in &mut config.sources {
        source.confirm_within = tempo.on_the_clock(source.confirm_within);
        let poll = &mut source.poll;
        poll.after = tempo.on_the_clock(poll.after);
        poll.every = tempo.on_the_clock(poll.every).max(EVERY_MIN);
        poll.give_up_after = tempo.on_the_clock(poll.give_up_after);
        poll.pace = provider(&source.provider).and_then(|adapter| adapter.ask()).map(|ask| faster(ask.api().pace));
    }
    for destination in &mut config.destinations {
        destination.rate = channel(&destination.channel).and_then(|channel| channel.limits().rate).map(faster);
    }
    for wait in &mut config.delivery.policy.waits {
        *wait = tempo.on_the_clock(*wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_waited_for_is_divided_and_nothing_is_asked_too_often() {
        let read = || Config::read("[sources.a]\nprovider = 'evolink'", None, &Env::default(), Registries::built_in());
        let (mut config, usual) = (read().unwrap(), read().unwrap());
        hasten(&mut config, 20.0);
        let (poll, rate) = (&config.sources[0].poll, Rate { count: 100, per: Duration::from_secs(1) });
        assert_eq!((poll.after, poll.every, poll.pace), (Duration::from_secs(15), Duration::from_secs(3), Some(rate)));
        assert_eq!(config.delivery.policy.waits[0] * 20, usual.delivery.policy.waits[0]);
        hasten(&mut config, 1000.0);
        assert_eq!(config.sources[0].poll.every, EVERY_MIN);
    }

    #[test]
    fn the_directory_is_gone_with_its_owner() {
        let scratch = Scratch::make().unwrap();
        let path = scratch.0.clone();
        assert!(path.is_dir());
        drop(scratch);
        assert!(!path.exists());
    }
}
