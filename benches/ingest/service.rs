//! Callboard itself, as it is served, over a database of the bench.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use callboard::app::App;
use callboard::config::{Config, Env, Registries};
use callboard::domain::clock::SystemClock;
use callboard::domain::task::Metadata;
use callboard::flow::receive::callback_path;
use callboard::shutdown::Lifecycle;
use tokio::task::JoinHandle;

/// What runs of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Works {
    /// HTTP and the recorder: it takes in and sends nothing.
    TakingIn,
    /// Everything, as `callboard serve` does.
    Everything,
}

/// A service that runs.
pub(crate) struct Service {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The path of the callbacks of its source `evolink`.
    pub(crate) path: String,
    life: Lifecycle,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Service {
    /// Starts it with a source `evolink` and what else is in `settings`.
    pub(crate) async fn start(url: &str, directory: &Path, settings: &str, works: Works) -> Self {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{url}\"\n[sources.evolink]\nprovider = \"evolink\"\n{settings}"
        );
        let env: Env = std::iter::empty::<(String, String)>().collect();
        let config = Config::read(&text, Some(&directory.join("callboard.toml")), &env, Registries::built_in());
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let app = App::build(config, Arc::new(SystemClock)).await.expect("it opens");
        let (address, life) = (app.addresses()[0], app.life.clone());
        let path = callback_path(&app.services.roster.now(), "evolink", &Metadata::new()).expect("a source");
        let serving = match works {
            Works::TakingIn => tokio::spawn(app.serve()),
            Works::Everything => tokio::spawn(app.run()),
        };
        Self { address, path, life, serving }
    }

    /// Stops it, as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.life.stop();
        self.serving.await.expect("it ends").expect("it ends well");
    }
}

/// The settings of one destination to which everything goes.
pub(crate) const SUBSCRIBED: &str = "[destinations.sink]\nteam = \"bench\"\nchannel = \"webhook\"\n\
     url = \"https://sink.example.com/\"\n[[subscriptions]]\ndestination = \"sink\"\n";
