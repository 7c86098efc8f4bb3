//! Configuration: what the operator writes, turned into types, or into every mistake at once, each
//! with its file, its line and the nearest valid spelling.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::destination::Destination;
use crate::domain::event::EventType;
use crate::domain::filter::Filter;
use crate::domain::pace::Rate;
use crate::domain::retry::RetryPolicy;
use crate::domain::secret::Secret;

/// Everything that is configured; defaults where nothing is written.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from; `None` where there is none.
    pub file: Option<PathBuf>,
    /// `[server]`
    pub server: Server,
    /// `[database] url`
    pub database: Database,
    /// `[sources.*]`; where none is written, one for every built-in provider.
    pub sources: Vec<SourceConfig>,
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
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where management listens, if apart; then only callbacks and health are on `listen`.
    pub manage_listen: Option<SocketAddr>,
    /// What callback URLs begin with, without a slash at the end; `None` where not set.
    pub public_url: Option<String>,
    /// The administrator's key; `None` is one made on first start.
    pub admin_key: Option<Secret>,
    /// The largest body of a callback, in bytes.
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

/// `[sources.NAME]`
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Its name.
    pub name: String,
    /// One of `providers::PROVIDERS`.
    pub provider: String,
    /// Empty where none is written: one is then made and kept.
    pub callback_tokens: Vec<Secret>,
    /// Empty where the provider does not sign.
    pub signing_secrets: Vec<Secret>,
    /// `None` is all teams.
    pub teams: Option<Vec<String>>,
    /// `None` is no limit.
    pub rate: Option<Rate>,
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
