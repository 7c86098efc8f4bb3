//! `callboard serve`, and what it says on the first run.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::broadcast::error::RecvError;

use super::check::deep_mistakes;
use super::known::how_known;
use super::rest::how_secrets_rest;
use super::{Done, Failure, console, load};
use crate::app::{App, house};
use crate::config::{Config, Env, Mistakes};
use crate::domain::callback::CallbackOutcome;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::secret::Secret;
use crate::domain::task::Metadata;
use crate::flow::notice::{Notice, Notices};
use crate::flow::receive::{callback_path, example};
use crate::flow::roster::{ActiveSource, Roster};
use crate::providers::api::calls_back;
use crate::shutdown::Lifecycle;
use crate::store::Store;

pub(super) async fn run(file: Option<PathBuf>, env: &Env) -> Done {
    let config = load(file, env)?;
    let house = house(&config).map_err(|error| Failure::Wrong(format!("{error:#}")))?;
    let mistakes = deep_mistakes(&config, &house);
    if !mistakes.is_empty() {
        return Err(Failure::Wrong(Mistakes::of(mistakes).to_string()));
    }
    let app = App::build(config, Arc::new(SystemClock)).await?;
    let config = Arc::clone(&app.services.config);
    let key = match &config.server.admin_key {
        Some(_) => {
            let mut tx = app.services.store.write().await?;
            tx.drop_first_key().await?;
            tx.commit().await?;
            Key::Configured
        }
        None => keep_key(&app.services.store, &config).await?,
    };
    app.life.stop_on_signals().context("signals cannot be listened for")?;
    welcome(&app, &config, &key);
    narrate(&app.notices, &app.life);
    app.run().await?;
    Ok(())
}

enum Key {
    Configured,
    Kept(PathBuf, Secret, IsNew),
}

type IsNew = bool;

/// The administrator's key of the first start: in a file that only we can read, its hash in the database.
async fn keep_key(store: &Store, config: &Config) -> anyhow::Result<Key> {
    let path = config.database.key_file();
    let kept = std::fs::read_to_string(&path).ok().map(|text| Secret::new(text.trim()));
    let kept = kept.filter(|key| key.expose().len() >= crate::config::value::SECRET_MIN);
    let is_new = kept.is_none();
    let key = kept.unwrap_or_else(|| Secret::random("cbk_"));
    if is_new {
        write_key(&path, &key).with_context(|| format!("the key cannot be kept in {}", path.display()))?;
    }
    let mut tx = store.write().await?;
    tx.put_first_key(&key.hash(), SystemClock.now()).await?;
    tx.commit().await?;
    Ok(Key::Kept(path, key, is_new))
}

fn write_key(path: &Path, key: &Secret) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // A file that was there before keeps its own mode, which may be wider.
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    writeln!(file, "{}", key.expose())?;
    file.sync_all()
}

fn welcome(app: &App, config: &Config, key: &Key) {
    let roster = app.services.roster.now();
    let local = config.local_callbacks_url();
    console::say(&format!("Callboard {} is ready on {local}", env!("CARGO_PKG_VERSION")));
    console::say(&format!("dashboard      {}/", config.manage_url()));
    console::say(&format!("API            {}/api/v1", config.manage_url()));
    match key {
        Key::Configured => console::say("admin key      as configured in `server.admin_key`"),
        Key::Kept(path, key, is_new) => {
            let made = if *is_new { ", made just now" } else { "" };
            console::say(&format!("admin key      in {}{made}", path.display()));
            if *is_new && console::is_terminal() {
                console::say(&format!("               {}", key.expose()));
            }
        }
    }
    console::say(&format!("secrets        {}", how_secrets_rest(config)));
    let called = introduce(&roster, config);
    if roster.subscriptions.is_empty() {
        console::say("Nobody is told yet: declare [destinations.NAME] and [[subscriptions]] in callboard.toml,");
        console::say("or POST them to the API. `callboard check --reference` explains every key.");
    }
    if called {
        reachability(config);
    }
    show_example(app, &local);
}

/// Says where each source is called and how its tasks become known; and whether any is called at all.
fn introduce(roster: &Roster, config: &Config) -> bool {
    let mut sources: Vec<&ActiveSource> = roster.sources.values().collect();
    sources.sort_by(|a, b| a.source.name.cmp(&b.source.name));
    let called: Vec<&&ActiveSource> = sources.iter().filter(|active| calls_back(active.adapter)).collect();
    if !called.is_empty() {
        console::say("callback URLs, to be put into generation requests (metadata may follow as ?campaign=spring):");
    }
    for active in &called {
        let name = &active.source.name;
        let path = callback_path(roster, name, &Metadata::new()).unwrap_or_default();
        console::say(&format!("  {name:<14} {}{path}", config.base_url()));
    }
    console::say("how tasks become known:");
    let mut ways: Vec<(String, Vec<&str>)> = Vec::new();
    for active in &sources {
        let way = how_known(&active.source, active.adapter);
        match ways.iter_mut().find(|(known, _)| *known == way) {
            Some((_, names)) => names.push(&active.source.name),
            None => ways.push((way, vec![&active.source.name])),
        }
    }
    for (way, names) in ways {
        console::say(&format!("  {}: {way}", names.join(", ")));
    }
    !called.is_empty()
}

/// What stands between a provider and us.
fn reachability(config: &Config) {
    if config.server.public_url.as_ref().is_some_and(|url| url.starts_with("https://")) {
        return;
    }
    console::say("Providers cannot reach this address: they want public https. Ways out: set `server.public_url` and");
    console::say("put a proxy or `server.tls` in front, or open a tunnel to it.");
}

fn show_example(app: &App, local: &str) {
    let roster = app.services.roster.now();
    let Some(command) = example(&roster, local, SystemClock.now(), |_| true) else { return };
    console::say("Try it, in another terminal:");
    console::say(&format!("  {command}"));
}

/// Prints what happens, a line each, until the process stops.
fn narrate(notices: &Notices, life: &Lifecycle) {
    let mut watch = notices.watch();
    let hard = life.hard().clone();
    let soft = life.soft().clone();
    life.spawn(async move {
        loop {
            let notice = tokio::select! {
                notice = watch.recv() => notice,
                () = hard.cancelled() => return,
                () = soft.cancelled() => return,
            };
            match notice {
                Ok(notice) => {
                    if let Some(line) = line(&notice) {
                        console::say_line(&line);
                    }
                }
                Err(RecvError::Lagged(many)) => console::say(&format!("… {many} lines left out: too many at once")),
                Err(RecvError::Closed) => return,
            }
        }
    });
}

fn line(notice: &Notice) -> Option<String> {
    let joined = |parts: &[&str]| parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("  ");
    Some(match notice {
        Notice::Event { at, id, kind, source, task_id, destinations } => {
            let told = match destinations {
                0 => "nobody subscribes".to_owned(),
                1 => "1 destination".to_owned(),
                many => format!("{many} destinations"),
            };
            joined(&[&at.to_string(), kind, source, task_id, id, &format!("→ {told}")])
        }
        Notice::Callback { at, source, task_id, outcome, event_id, detail } => {
            let task_id = task_id.as_deref().unwrap_or_default();
            let said = match outcome {
                // The event's own line tells it; without an event this is the only one.
                CallbackOutcome::Accepted if event_id.is_some() => return None,
                CallbackOutcome::Accepted => "noted, no event yet".to_owned(),
                CallbackOutcome::Duplicate => match event_id {
                    Some(event) => format!("duplicate of {event}, nothing sent"),
                    None => "duplicate, nothing sent".to_owned(),
                },
                other => format!("{}, nothing sent", other.as_str()),
            };
            joined(&[&at.to_string(), "callback", source, task_id, &said, detail.as_deref().unwrap_or_default()])
        }
        Notice::Attempt { at, event_id, destination, number, outcome, reason, next_at } => {
            let next = next_at.map(|next| format!("next try {next}")).unwrap_or_default();
            let what = format!("attempt {number} {outcome}");
            joined(&[
                &at.to_string(),
                "delivery",
                destination,
                event_id,
                &what,
                reason.as_deref().unwrap_or_default(),
                &next,
            ])
        }
    })
}
