//! The service as tests use it: the whole of it in this process, on a real socket and a real database,
//! with a clock that stands still and a dispatcher that the test drives.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use callboard::app::App;
use callboard::config::{Config, Env};
use callboard::domain::clock::{Clock, ManualClock, SharedClock, Timestamp};
use callboard::domain::secret::Secret;
use callboard::flow::dispatch::{Dispatcher, Parts};
use callboard::flow::fresh::Fresh;
use callboard::flow::notice::Notices;
use callboard::flow::poll::Poller;
use callboard::flow::replays::{self, Replayer};
use callboard::http::Services;
use callboard::providers::provider;
use callboard::shutdown::Lifecycle;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

pub(crate) use crate::database::{Database, Db};
use crate::described::{Answered, hold};

/// When every test begins: 2026-04-01T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp(1_775_001_600_000);
pub(crate) const ADMIN_KEY: &str = "admin-key-of-the-tests";
/// What seals the keys of clients, where a variable names it.
const SECRETS_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The callback token of every source.
pub(crate) const TOKEN: &str = "token-of-the-tests-1";
/// What `replicate` signs with: the secret that the Standard Webhooks libraries publish for tests.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Makes of each function two tests, one on each database.
macro_rules! both {
    ($($(#[$about:meta])* async fn $name:ident($db:ident: Db) $body:block)*) => {$(
        $(#[$about])*
        mod $name {
            use super::*;

            async fn run($db: Db) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                Box::pin(run(Db::Sqlite)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                Box::pin(run(Db::Postgres)).await;
            }
        }
    )*};
}
pub(crate) use both;

/// An answer of the service.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) bytes: Vec<u8>,
    /// The body, null where it is no JSON.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.body[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {}", self.body))
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> &[Value] {
        self.body["items"].as_array().unwrap_or_else(|| panic!("no list: {}", self.body))
    }

    /// It must be this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }
}

/// One instance of the service.
pub(crate) struct TestApp {
    pub(crate) database: Arc<Database>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) services: Services,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) poller: Poller,
    pub(crate) replayer: Replayer,
    pub(crate) life: Lifecycle,
    pub(crate) notices: Notices,
    pub(crate) client: reqwest::Client,
    pub(crate) address: SocketAddr,
    serving: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.life.stop();
    }
}

impl TestApp {
    /// Starts on an empty database. What `config` leaves out is as tests want it: every provider is a
    /// source with [`TOKEN`], and destinations may be on loopback.
    pub(crate) async fn new(db: Db, config: &str) -> Self {
        Self::on(Arc::new(Database::fresh(db)), Arc::new(ManualClock::new(START)), config).await
    }

    /// Starts on a database that others may use too.
    pub(crate) async fn on(database: Arc<Database>, clock: Arc<ManualClock>, config: &str) -> Self {
        Self::try_on(database, clock, config).await.unwrap()
    }

    /// The same; gives what it says where it does not start.
    pub(crate) async fn try_on(database: Arc<Database>, clock: Arc<ManualClock>, config: &str) -> anyhow::Result<Self> {
        let config = read_config(database.directory.path(), &database.url, config);
        let app = App::build(config, Arc::clone(&clock) as SharedClock).await?;
        let address = app.addresses()[0];
        let (services, dispatcher, poller) = (app.services.clone(), app.dispatcher(), app.poller());
        let replayer = app.replayer();
        let (notices, life) = (app.notices.clone(), app.life.clone());
        let serving = Some(tokio::spawn(app.serve()));
        let client = reqwest::Client::new();
        Ok(Self { database, clock, services, dispatcher, poller, replayer, life, notices, client, address, serving })
    }

    /// Ends it, and waits until it has ended: another may then serve its database.
    pub(crate) async fn stop(&mut self) {
        self.life.stop();
        if let Some(serving) = self.serving.take() {
            serving.await.unwrap().unwrap();
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What its leases are taken by.
    pub(crate) fn owner(&self) -> String {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{}/{}", host.trim(), self.address)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Another dispatcher over the same parts, as a second process on the same database has one.
    pub(crate) fn another_dispatcher(&self, owner: &str) -> Dispatcher {
        let services = &self.services;
        Dispatcher::new(Parts {
            store: services.store.clone(),
            roster: Arc::clone(&services.roster),
            clock: Arc::clone(&services.clock),
            policy: services.delivery().policy.clone(),
            timeout: services.delivery().timeout,
            owner: owner.to_owned(),
            notices: self.notices.clone(),
            wake: Arc::clone(&services.wake),
            fresh: Fresh::default(),
            life: self.life.clone(),
        })
    }

    /// From now on it sends by itself.
    pub(crate) fn dispatch(&mut self) {
        let by_hand = self.another_dispatcher("nobody");
        let dispatcher = std::mem::replace(&mut self.dispatcher, by_hand);
        self.life.spawn(dispatcher.run());
    }

    /// Another worker for replays over the same parts, as a second process on the same database has one.
    pub(crate) fn another_replayer(&self, owner: &str) -> Replayer {
        let services = &self.services;
        Replayer::new(replays::Parts {
            store: services.store.clone(),
            roster: Arc::clone(&services.roster),
            clock: Arc::clone(&services.clock),
            owner: owner.to_owned(),
            wake: Arc::clone(&services.replays),
            deliveries: Arc::clone(&services.wake),
            life: self.life.clone(),
        })
    }

    /// Makes a key past the API; gives it.
    pub(crate) async fn make_key(&self, role: &str, team: Option<&str>) -> String {
        let id = callboard::domain::id::KeyId::new(self.now());
        let key = format!("cbk_{id}");
        let team = team.map_or("NULL".to_owned(), |team| format!("'{team}'"));
        let hash = Secret::new(key.as_str()).hash();
        let sql = format!(
            "INSERT INTO keys (id, hash, name, role, team, created_at) VALUES ('{id}', '{hash}', 'a test', '{role}', {team}, 1)"
        );
        self.database.execute(&sql).await;
        key
    }

    /// Asks or tells the API with a key.
    pub(crate) async fn with_key(&self, key: &str, method: reqwest::Method, path: &str, body: Value) -> Answer {
        let request = self.client.request(method, self.url(path)).bearer_auth(key);
        answer(if body.is_null() { request } else { request.body(body.to_string()) }).await
    }

    /// One look of the dispatcher; gives how many deliveries were tried.
    pub(crate) async fn tick(&mut self) -> usize {
        self.dispatcher.tick().await.unwrap()
    }

    /// Looks until nothing more can be tried at this moment; gives how many were.
    pub(crate) async fn tick_all(&mut self) -> usize {
        let mut all = 0;
        loop {
            match self.tick().await {
                0 => return all,
                many => all += many,
            }
        }
    }

    /// Posts a callback.
    pub(crate) async fn post(
        &self,
        source: &str,
        query: &str,
        body: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let mut request = self.client.post(self.url(&format!("/callbacks/{source}/{TOKEN}{query}"))).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    /// Posts an EvoLink callback of this task and status.
    pub(crate) async fn evolink(&self, task_id: &str, status: &str) -> Answer {
        self.post("evolink", "", evolink(task_id, status), &[]).await
    }

    /// Posts a Replicate callback that is signed at this moment with [`SECRET`].
    pub(crate) async fn signed(&self, task_id: &str, status: &str) -> Answer {
        self.signed_with(SECRET, task_id, status).await
    }

    pub(crate) async fn signed_with(&self, secret: &str, task_id: &str, status: &str) -> Answer {
        let body = json!({"id": task_id, "status": status}).to_string();
        let headers = sign(secret, &body, self.now());
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post("replicate", "", body, &headers).await
    }

    /// Asks the API with the administrator's key.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.client.get(self.url(path)).bearer_auth(ADMIN_KEY)).await
    }

    /// All deliveries of this destination, newest first.
    pub(crate) async fn deliveries(&self, destination: &str) -> Vec<Value> {
        let list = self.get(&format!("/api/v1/deliveries?limit=250&destination={destination}")).await.expect(200);
        list.items().to_vec()
    }

    /// One delivery with its attempts.
    pub(crate) async fn delivery(&self, row: &Value) -> Value {
        self.get(&format!("/api/v1/deliveries/{}", row["id"].as_str().unwrap())).await.expect(200).body
    }

    /// Posts to the API with the administrator's key.
    pub(crate) async fn post_api(&self, path: &str, body: Value) -> Answer {
        answer(self.client.post(self.url(path)).bearer_auth(ADMIN_KEY).body(body.to_string())).await
    }
}

/// What it is answered; the service's own answers are held against the description.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap().to_vec();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Simulated providers have paths like ours; this header is on each answer of the service.
    if header("referrer-policy").is_some() {
        let content_type = header("content-type");
        hold(&Answered { method: method.as_str(), path: &path, status, content_type, body: &bytes });
    }
    Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default(), bytes }
}

/// The headers with which Replicate would sign this body at this moment.
pub(crate) fn sign(secret: &str, body: &str, now: Timestamp) -> Vec<(&'static str, String)> {
    provider("replicate").unwrap().sign(&Secret::new(secret), body.as_bytes(), now)
}

/// An EvoLink callback.
pub(crate) fn evolink(task_id: &str, status: &str) -> String {
    let results = if status == "completed" { json!(["https://example.com/a.mp4"]) } else { json!([]) };
    json!({"id": task_id, "status": status, "model": "kling-o3-text-to-video", "results": results}).to_string()
}

/// A webhook destination, and a subscription of it to the default events.
pub(crate) fn webhook(name: &str, url: &str) -> String {
    format!(
        "[destinations.{name}]\nteam = \"ops\"\nchannel = \"webhook\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n\
         [[subscriptions]]\ndestination = \"{name}\"\n"
    )
}

fn read_config(directory: &Path, url: &str, text: &str) -> Config {
    let mut text = text.to_owned();
    if !text.contains("[sources.") {
        text.push_str(&format!(
            "\n[sources.evolink]\nprovider = \"evolink\"\ncallback_token = \"{TOKEN}\"\n\
             [sources.aivideoapi]\nprovider = \"aivideoapi\"\ncallback_token = \"{TOKEN}\"\n\
             [sources.replicate]\nprovider = \"replicate\"\ncallback_token = \"{TOKEN}\"\nsigning_secret = \"{SECRET}\"\n"
        ));
    }
    if !text.contains("[egress]") {
        text.push_str("\n[egress]\nallow = [\"127.0.0.0/8\"]\n");
    }
    let file = directory.join("callboard.toml");
    std::fs::write(&file, text).unwrap();
    let mut variables = vec![
        ("CALLBOARD_SERVER__LISTEN", "127.0.0.1:0"),
        ("CALLBOARD_SERVER__ADMIN_KEY", ADMIN_KEY),
        ("CALLBOARD_SERVER__SHUTDOWN_TIMEOUT", "1s"),
        ("CALLBOARD_DATABASE__URL", url),
    ];
    // With SQLite it is in a file beside the database.
    if url.starts_with("postgres") {
        variables.push(("CALLBOARD_SECRETS_KEY", SECRETS_KEY));
    }
    let env = Env::from_iter(variables);
    Config::load(Some(&file), &env).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

both! {
    async fn a_callback_becomes_one_delivery(db: Db) {
        let sink = crate::sink::Sink::start().await;
        let mut app = TestApp::new(db, &webhook("backend", &sink.url())).await;
        let posted = app.evolink("task-1", "completed").await.expect(200);
        assert_eq!(posted.text("outcome"), "accepted");
        assert_eq!(app.tick_all().await, 1);
        let told = sink.requests();
        assert_eq!((told.len(), told[0].json()["id"].as_str()), (1, posted.body["event_id"].as_str()));
    }
}
