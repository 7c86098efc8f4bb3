//! The composition root: opens the store, reads the roster, starts the server and the workers. It
//! knows everything, so that nobody else has to.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use actix_web::{App as Actix, HttpServer};
use anyhow::{Context, anyhow};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle};

use crate::channels::{House, Mailer};
use crate::config::{Config, Database};
use crate::domain::clock::SharedClock;
use crate::domain::safe::Safe;
use crate::domain::seal::Seal;
use crate::egress::Egress;
use crate::flow::dispatch::{Dispatcher, Parts, lease_for};
use crate::flow::fresh::Fresh;
use crate::flow::janitor::Janitor;
use crate::flow::listeners::Listeners;
use crate::flow::notice::Notices;
use crate::flow::poll::{self, Poller};
use crate::flow::receive::Receiver;
use crate::flow::record::{self, Recorder, Wakes};
use crate::flow::relay::Relay;
use crate::flow::repeats::Repeats;
use crate::flow::replays::{self, Replayer};
use crate::flow::roller::Roller;
use crate::flow::roster::LiveRoster;
use crate::flow::secrets::seal_plain;
use crate::flow::watchman::{self, Watchman};
use crate::http::{AdminKey, Attempts, Front, Services, routes, tls::Certificates};
use crate::shutdown::Lifecycle;
use crate::store::{Store, lock_sqlite, seal_beside};
use crate::telemetry;

/// How long a request's head may take to come.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How often the settings of other instances are followed (contract: within a second).
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Everything, opened and ready to run.
pub struct App {
    /// What the handlers work with.
    pub services: Services,
    /// Who may watch what happens.
    pub notices: Notices,
    /// The life of the process.
    pub life: Lifecycle,
    recorder: Recorder,
    parts: Parts,
    asking: poll::Parts,
    replaying: replays::Parts,
    listeners: Vec<(TcpListener, Front)>,
    certificates: Option<Arc<Certificates>>,
    // Held while the process serves this file.
    _lock: Option<File>,
}

/// Opens the database that is configured.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    match &config.database {
        Database::Sqlite(path) => Store::open_sqlite(path)
            .await
            .with_context(|| format!("the database file {} cannot be opened", path.display())),
        Database::Postgres(url) => {
            Store::open_postgres(url).await.context("the PostgreSQL database of `database.url` cannot be opened")
        }
    }
}

/// What seals the secrets that are kept: the keys that the environment names, else with SQLite the file beside the
/// database. `None` with PostgreSQL alone, which several instances share.
///
/// # Errors
/// The file cannot be used.
pub fn seal(config: &Config) -> anyhow::Result<Option<Seal>> {
    match &config.database {
        _ if !config.secrets_keys.is_empty() => Ok(Seal::new(config.secrets_keys.clone())),
        Database::Sqlite(path) => Ok(Some(seal_beside(path)?)),
        Database::Postgres(_) => Ok(None),
    }
}

/// What secrets are laid down in and taken out of.
///
/// # Errors
/// The file of the key cannot be used.
pub fn safe(config: &Config) -> anyhow::Result<Safe> {
    Ok(Safe::new(seal(config)?.map(Arc::new)))
}

/// What the channels use of the house.
///
/// # Errors
/// What is wrong with `[email]`.
pub fn house(config: &Config) -> anyhow::Result<House> {
    let mailer = config.email.as_ref().map(|email| Mailer::new(&email.smtp, &email.from)).transpose();
    Ok(House {
        egress: Egress::new(config.egress_allow.clone()),
        mailer: mailer.map_err(|problem| anyhow!("[email]: {problem}"))?.map(Arc::new),
        public_url: config.server.public_url.clone(),
    })
}

impl App {
    /// Opens everything: the database, the roster, the listeners. Nothing is taken or sent yet.
    ///
    /// # Errors
    /// A sentence that says what could not be opened and why.
    pub async fn build(mut config: Config, clock: SharedClock) -> anyhow::Result<Self> {
        let lock = match &config.database {
            Database::Sqlite(path) => Some(lock_sqlite(path)?),
            Database::Postgres(_) => None,
        };
        let listeners = listeners(&mut config)?;
        let certificates = config.server.tls.clone().map(Certificates::load).transpose();
        let certificates = certificates.map_err(|problem| anyhow!("server.tls: {problem}"))?;
        let store = open_store(&config).await?;
        let (safe, house) = (safe(&config)?, house(&config)?);
        seal_plain(&store, &safe).await?;
        let seal = safe.seal().cloned();
        let roster = Arc::new(LiveRoster::load(config.clone(), house, store.clone(), safe, Arc::clone(&clock)).await?);
        let (life, notices, wakes) = (Lifecycle::default(), Notices::default(), Wakes::default());
        let owner = owner(&listeners);
        let fresh = Fresh::new(&owner, lease_for(config.delivery.timeout));
        let repeats = Repeats::new([config.retention.callbacks, config.retention.events].into_iter().flatten().min());
        let recording = record::Parts {
            store: store.clone(),
            clock: Arc::clone(&clock),
            notices: notices.clone(),
            wakes: wakes.clone(),
            fresh: fresh.clone(),
            repeats: repeats.clone(),
        };
        let recorder = Recorder::new(recording, &life);
        let parts = Parts {
            store: store.clone(),
            roster: Arc::clone(&roster),
            clock: Arc::clone(&clock),
            policy: config.delivery.policy.clone(),
            timeout: config.delivery.timeout,
            owner,
            notices: notices.clone(),
            wake: Arc::clone(&wakes.deliveries),
            fresh,
            life: life.clone(),
        };
        let operators = Egress::operators();
        let relay = Relay {
            roster: Arc::clone(&roster),
            store: store.clone(),
            recorder: recorder.clone(),
            egress: operators.clone(),
            seal: seal.clone(),
            public_url: config.server.public_url.clone(),
            clock: Arc::clone(&clock),
            life: life.clone(),
        };
        let asking = asking(&parts, &recorder, operators, seal, &wakes.questions);
        let streams = Listeners::new(store.clone(), Arc::clone(&clock), wakes.events.clone(), life.soft().clone());
        let replaying = replaying(&parts);
        let services = Services {
            receiver: Receiver::new(Arc::clone(&roster), recorder.clone(), Arc::clone(&clock)),
            relay,
            roster,
            store,
            repeats,
            clock,
            wake: wakes.deliveries,
            questions: wakes.questions,
            replays: Arc::clone(&replaying.wake),
            listeners: streams,
            admin: AdminKey::new(config.server.admin_key.as_ref()),
            sign_ins: Attempts::default(),
            config: Arc::new(config),
            metrics: telemetry::metrics(),
        };
        Ok(Self { services, notices, life, recorder, parts, asking, replaying, listeners, certificates, _lock: lock })
    }

    /// Where it listens: callbacks first, then management if that is apart.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|(listener, _)| listener.local_addr().ok()).collect()
    }

    /// A dispatcher over the same parts, for whoever drives it by hand.
    pub fn dispatcher(&self) -> Dispatcher {
        Dispatcher::new(self.parts.clone())
    }

    /// A poller over the same parts, for whoever drives it by hand.
    pub fn poller(&self) -> Poller {
        Poller::new(self.asking.clone())
    }

    /// A roller over the same parts, for whoever drives it by hand.
    pub fn roller(&self) -> Roller {
        Roller::new(self.services.store.clone(), self.life.clone())
    }

    /// A janitor over the same parts, for whoever drives it by hand.
    pub fn janitor(&self) -> Janitor {
        let Services { store, config, clock, .. } = &self.services;
        Janitor::new(store.clone(), config.retention, Arc::clone(clock), self.life.clone())
    }

    /// A worker for replays over the same parts, for whoever drives it by hand.
    pub fn replayer(&self) -> Replayer {
        Replayer::new(self.replaying.clone())
    }

    /// A watchman over the same parts, for whoever drives it by hand.
    pub fn watchman(&self) -> Watchman {
        Watchman::new(watchman::Parts {
            store: self.parts.store.clone(),
            roster: Arc::clone(&self.parts.roster),
            clock: Arc::clone(&self.parts.clock),
            notices: self.notices.clone(),
            wake: Arc::clone(&self.parts.wake),
            life: self.life.clone(),
        })
    }

    /// Serves until the process is told to stop; then finishes what is in flight within
    /// `server.shutdown_timeout`, and leaves the rest in the database for the next start.
    ///
    /// # Errors
    /// Where the server or the database fails.
    pub async fn run(self) -> anyhow::Result<()> {
        let (dispatcher, poller, replayer) = (self.dispatcher(), self.poller(), self.replayer());
        dispatcher.take_over().await?;
        poller.take_over().await?;
        replayer.take_over().await?;
        let life = self.life.clone();
        // Nobody waits for these: where they fail they begin again, and the service goes on.
        life.spawn(self.roller().run());
        life.spawn(self.janitor().run());
        let works = [watched(&life, dispatcher.run()), watched(&life, poller.run()), watched(&life, replayer.run())];
        life.spawn(follow(self.services.clone(), life.clone()));
        life.spawn(self.watchman().run());
        self.serve().await?;
        for work in works {
            work.await?.context("a worker panicked; nothing is lost, and the next start goes on with it")?;
        }
        Ok(())
    }

    /// Serves HTTP only: nothing is sent but by a dispatcher that somebody else drives.
    ///
    /// # Errors
    /// Where the server fails.
    pub async fn serve(self) -> anyhow::Result<()> {
        let grace = self.services.config.server.shutdown_timeout;
        let begun = tokio::time::Instant::now();
        if let Some(certificates) = &self.certificates {
            Arc::clone(certificates).watch(&self.life);
        }
        let mut servers = Vec::new();
        for (listener, front) in self.listeners {
            // The management listener is for a private network and stays plain.
            let certificates = self.certificates.as_ref().filter(|_| front != Front::Management);
            servers.push(server(listener, front, &self.services, certificates, &self.life, grace)?);
        }
        let serving = async {
            let served = tokio::select! {
                served = futures_util::future::try_join_all(servers) => served.map(drop),
                // A second signal does not wait for requests: who sent them has no answer and tries again.
                () = self.life.hard().cancelled() => Ok(()),
            };
            self.life.stop();
            served
        };
        let stopping = async {
            self.life.soft().cancelled().await;
            tokio::time::Instant::now()
        };
        let (served, stopped) = tokio::join!(serving, stopping);
        // Every request has its answer, or will have none: nothing more can come to be recorded.
        self.recorder.close();
        self.life.drained(grace.saturating_sub(stopped.elapsed())).await;
        count_repeats(&self.services).await;
        self.services.store.close().await;
        tracing::info!(
            served_seconds = stopped.duration_since(begun).as_secs(),
            drained_ms = u64::try_from(stopped.elapsed().as_millis()).unwrap_or(u64::MAX),
            "stopped; what was not sent yet is in the database"
        );
        served.context("the HTTP server failed")
    }
}

/// What asks the providers.
fn asking(
    parts: &Parts,
    recorder: &Recorder,
    egress: Egress,
    seal: Option<Arc<Seal>>,
    wake: &Arc<Notify>,
) -> poll::Parts {
    poll::Parts {
        store: parts.store.clone(),
        roster: Arc::clone(&parts.roster),
        recorder: recorder.clone(),
        egress,
        seal,
        clock: Arc::clone(&parts.clock),
        owner: parts.owner.clone(),
        wake: Arc::clone(wake),
        life: parts.life.clone(),
    }
}

/// What carries replays out: beside the dispatcher, which sends what they make.
fn replaying(parts: &Parts) -> replays::Parts {
    replays::Parts {
        store: parts.store.clone(),
        roster: Arc::clone(&parts.roster),
        clock: Arc::clone(&parts.clock),
        owner: parts.owner.clone(),
        wake: Arc::default(),
        deliveries: Arc::clone(&parts.wake),
        life: parts.life.clone(),
    }
}

/// A service that takes in and tells nobody, or asks nobody, must not go on: whoever started it starts it again.
fn watched(
    life: &Lifecycle,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<std::result::Result<(), JoinError>> {
    let working = life.spawn(work);
    let life = life.clone();
    life.clone().spawn(async move {
        let ended = working.await;
        life.stop();
        ended
    })
}

/// Where it listens. Of port 0 the system makes one: the configuration is then told which, so that the
/// URLs that are shown lead here.
fn listeners(config: &mut Config) -> anyhow::Result<Vec<(TcpListener, Front)>> {
    let front = if config.server.manage_listen.is_some() { Front::Callbacks } else { Front::Whole };
    let mut listeners = vec![listen(config.server.listen, front, "server.listen")?];
    config.server.listen = listeners[0].0.local_addr()?;
    if let Some(address) = config.server.manage_listen {
        let (listener, front) = listen(address, Front::Management, "server.manage_listen")?;
        config.server.manage_listen = Some(listener.local_addr()?);
        listeners.push((listener, front));
    }
    Ok(listeners)
}

fn listen(address: SocketAddr, front: Front, key: &str) -> anyhow::Result<(TcpListener, Front)> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}: is another program using it? `{key}` sets it"))?;
    Ok((listener, front))
}

/// Which process this is: no other one can listen at this address of this host.
fn owner(listeners: &[(TcpListener, Front)]) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let address = listeners.first().and_then(|(listener, _)| listener.local_addr().ok());
    format!("{}/{}", host.trim(), address.map(|address| address.to_string()).unwrap_or_default())
}

fn server(
    listener: TcpListener,
    front: Front,
    services: &Services,
    certificates: Option<&Arc<Certificates>>,
    life: &Lifecycle,
    grace: Duration,
) -> anyhow::Result<actix_web::dev::Server> {
    let services = services.clone();
    let soft = life.soft().clone();
    let server = HttpServer::new(move || Actix::new().app_data(Data::new(services.clone())).configure(routes(front)))
        .client_request_timeout(HEAD_DEADLINE)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(grace.as_secs().max(1))
        .shutdown_signal(soft.cancelled_owned());
    let server = match certificates {
        Some(certificates) => server.listen_rustls_0_23(listener, certificates.server_config()?)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

async fn count_repeats(services: &Services) {
    if let Err(error) = services.repeats.write(&services.store).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "how often callbacks came again could not be written down yet");
    }
}

async fn follow(services: Services, life: Lifecycle) {
    loop {
        tokio::select! {
            () = life.soft().cancelled() => return,
            () = tokio::time::sleep(FOLLOW_EVERY) => {}
        }
        if let Err(error) = services.roster.follow().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the settings could not be read; the old ones stay"
            );
        }
        if let Err(error) = services.roster.write_uses().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "when keys were used could not be written down yet"
            );
        }
        count_repeats(&services).await;
    }
}
