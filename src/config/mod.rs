//! Configuration: what the operator writes, turned into types, or into every mistake at once, each
//! with its file, its line and the nearest valid spelling.
//!
//! [`Config::load`] goes from text to types in three steps: `tree` parses TOML and hangs the
//! environment's overrides into it, `section` reads it key by key and notes every mistake with its
//! place, and one file for each part of the configuration says which keys there are and what they mean.
//! `default.toml` describes them all ([`REFERENCE`]).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use crate::channels::{CHANNELS, Channel};
use crate::domain::destination::Destination;
use crate::domain::event::EventType;
use crate::domain::filter::Filter;
use crate::domain::retry::RetryPolicy;
use crate::domain::seal::SealKey;
use crate::domain::secret::Secret;
use crate::domain::source::Source;
pub use crate::domain::spelling::nearest;
use crate::providers::{PROVIDERS, Provider};

mod asking;
mod destinations;
mod env;
mod mistakes;
mod retention;
mod secrets;
mod section;
mod server;
mod sources;
mod subscriptions;
#[cfg(test)]
mod tests;
mod tree;
pub mod value;

pub use env::Env;
pub use mistakes::{Mistake, Mistakes};
use section::{Reader, Section};
pub use sources::made_source;

/// The commented default file: every key, what it means, its default and an example.
pub const REFERENCE: &str = include_str!("default.toml");

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "callboard.toml";
/// The variable that names the file.
const FILE_VARIABLE: &str = "CALLBOARD_CONFIG";

/// What the configuration is held against: the providers and channels that exist.
#[derive(Clone, Copy)]
pub struct Registries<'a> {
    /// Every provider.
    pub providers: &'a [&'a dyn Provider],
    /// Every channel.
    pub channels: &'a [&'a dyn Channel],
}

impl Registries<'static> {
    /// Those of this build.
    pub fn built_in() -> Self {
        Self { providers: PROVIDERS, channels: CHANNELS }
    }
}

/// Everything that is configured; defaults where nothing is written.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from; `None` where there is none.
    pub file: Option<PathBuf>,
    /// `[server]`
    pub server: Server,
    /// `[database] url`
    pub database: Database,
    /// `[sources.*]`; where none is written, one for every built-in provider. Without callback tokens where
    /// none is written: one is then made and kept.
    pub sources: Vec<Source>,
    /// `[destinations.*]`
    pub destinations: Vec<Destination>,
    /// `[[subscriptions]]`
    pub subscriptions: Vec<SubscriptionConfig>,
    /// `[email]`
    pub email: Option<Email>,
    /// `[delivery]`
    pub delivery: Delivery,
    /// `[egress] allow`
    pub egress_allow: Vec<IpNet>,
    /// `[retention]`
    pub retention: Retention,
    /// `$CALLBOARD_SECRETS_KEY`: what seals the secrets in the database, the first of them; the others still open.
    pub secrets_keys: Vec<SealKey>,
    /// The line of every key in the file, by its path (`destinations.ads.url`, `subscriptions[1].where`).
    lines: BTreeMap<String, usize>,
}

impl Config {
    /// Reads the file (`explicit`, else the one that `$CALLBOARD_CONFIG` names, else `./callboard.toml` if
    /// there is one, else nothing) and the overrides of the environment.
    ///
    /// # Errors
    /// Every mistake that there is.
    pub fn load(explicit: Option<&Path>, env: &Env) -> Result<Self, Mistakes> {
        Self::load_in(Path::new(""), explicit, env, Registries::built_in())
    }

    /// [`Config::load`] as if `directory` were the working directory, with other registries.
    fn load_in(directory: &Path, explicit: Option<&Path>, env: &Env, known: Registries<'_>) -> Result<Self, Mistakes> {
        let named = explicit.map(Path::to_owned).or_else(|| env.get(FILE_VARIABLE).map(PathBuf::from));
        let default = directory.join(DEFAULT_FILE);
        let Some(file) = named.or_else(|| default.exists().then_some(default)) else {
            return Self::read("", None, env, known);
        };
        match std::fs::read_to_string(&file) {
            Ok(text) => Self::read(&text, Some(&file), env, known),
            Err(error) => {
                let problem = format!("it cannot be read: {error}");
                let whole = Mistake { file: Some(file), line: None, place: String::new(), problem, suggestion: None };
                Err(Mistakes::of(vec![whole]))
            }
        }
    }

    /// Reads a file's text, and the overrides of the environment.
    ///
    /// # Errors
    /// Every mistake that there is.
    pub fn read(text: &str, file: Option<&Path>, env: &Env, known: Registries<'_>) -> Result<Self, Mistakes> {
        let mut tree = match tree::parse(text, file.unwrap_or(Path::new(DEFAULT_FILE))) {
            Ok(tree) => tree,
            Err(mistakes) => return Err(Mistakes::of(mistakes)),
        };
        tree::add_default_sources(&mut tree, known.providers.iter().map(|provider| provider.name()));
        let misplaced = tree::apply_overrides(&mut tree, env);

        let reader = Reader::new(file.map(Path::to_owned), env);
        let mut root = Section::root(&reader, &tree);
        let server = server::server(root.section("server"));
        let database = server::database(root.section("database"));
        let sources = sources::sources(root.section("sources"), known.providers);
        let destinations = destinations::destinations(root.section("destinations"), known.channels);
        let subscriptions = subscriptions::subscriptions(root.sections("subscriptions"), &sources, &destinations);
        let email = server::email(root.section("email"));
        let delivery = server::delivery(root.section("delivery"));
        let egress_allow = server::egress(root.section("egress"));
        let retention = retention::retention(root.section("retention"));
        let secrets_keys = secrets::keys(env);
        root.finish();

        let (mut mistakes, lines) = reader.finish();
        mistakes.extend(misplaced);
        let secrets_keys = secrets_keys.unwrap_or_else(|mistake| {
            mistakes.push(mistake);
            Vec::new()
        });
        if !mistakes.is_empty() {
            return Err(Mistakes::of(mistakes));
        }
        let file = file.map(Path::to_owned);
        Ok(Self {
            file,
            server,
            database,
            sources,
            destinations,
            subscriptions,
            email,
            delivery,
            egress_allow,
            retention,
            secrets_keys,
            lines,
        })
    }

    /// What callback URLs begin with: `public_url`, else where this machine itself reaches `listen`.
    pub fn base_url(&self) -> String {
        self.server.public_url.clone().unwrap_or_else(|| self.local_callbacks_url())
    }

    /// Where this machine itself reaches the API.
    pub fn manage_url(&self) -> String {
        match self.server.manage_listen {
            Some(address) => format!("http://{}", dialled(address)),
            None => self.local_callbacks_url(),
        }
    }

    /// Where this machine itself posts callbacks to.
    pub fn local_callbacks_url(&self) -> String {
        self.local_url(self.server.listen)
    }

    fn local_url(&self, address: SocketAddr) -> String {
        let scheme = if self.server.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", dialled(address))
    }

    /// A mistake that shows itself only later (a channel refuses a setting, say), with the file and the line
    /// of the key at `place`, a path such as `destinations.ads.url`, or of what holds it.
    pub fn mistake(&self, place: &str, problem: impl Into<String>) -> Mistake {
        let holders = std::iter::successors(Some(place), |path| path.rsplit_once('.').map(|(holder, _)| holder));
        let line = holders.filter_map(|path| self.lines.get(path)).copied().next();
        Mistake { file: self.file.clone(), line, place: place.to_owned(), problem: problem.into(), suggestion: None }
    }
}

/// Where a listening address is reached from this machine: one that stands for all is loopback.
fn dialled(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (std::net::Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where management listens, if apart; then only callbacks, the relay and health are on `listen`.
    pub manage_listen: Option<SocketAddr>,
    /// What callback URLs begin with, without a slash at the end; `None` where not set.
    pub public_url: Option<String>,
    /// The administrator's key; `None` is one made on first start.
    pub admin_key: Option<Secret>,
    /// The largest body of a callback, or of a relayed request that makes a task, in bytes.
    pub max_body: usize,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
    /// Proxies whose word on the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Certificate and key files.
    pub tls: Option<Tls>,
}

/// `server.tls`
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file of the certificate chain.
    pub cert: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// `database.url`
#[derive(Clone, Debug)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A server; the URL holds the password.
    Postgres(Secret),
}

impl Database {
    /// Where the administrator's key of the first start is kept: beside the file of the database, else in the directory that
    /// `serve` was started in.
    pub fn key_file(&self) -> PathBuf {
        const NAME: &str = "callboard.key";
        match self {
            Self::Sqlite(path) => path.with_file_name(NAME),
            Self::Postgres(_) => PathBuf::from(NAME),
        }
    }
}

/// `[[subscriptions]]`
#[derive(Clone, Debug)]
pub struct SubscriptionConfig {
    /// The destination's name.
    pub destination: String,
    /// The types, defaults filled in.
    pub events: Vec<EventType>,
    /// `None` is all that the team may see.
    pub sources: Option<Vec<String>>,
    /// `where`, compiled.
    pub filter: Option<Filter>,
}

/// `[email]`
#[derive(Clone, Debug)]
pub struct Email {
    /// `smtp://`, `smtps://` or `smtp+starttls://`, with user and password.
    pub smtp: Secret,
    /// The sender's mailbox.
    pub from: String,
}

/// `[delivery]`
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How long one try may take.
    pub timeout: Duration,
    /// When it is tried again, and when a destination is given up.
    pub policy: RetryPolicy,
}

/// `[retention]`: how long what came in, and what was told, is kept; `None` is for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Callbacks, and what providers answered when they were asked.
    pub callbacks: Option<Duration>,
    /// Events of tasks that ended, with their deliveries and attempts, and what those tasks said.
    pub events: Option<Duration>,
}
