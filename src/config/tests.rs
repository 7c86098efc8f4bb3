use std::sync::Arc;

use super::*;
use crate::channels::{Channel, Field, FieldKind, House, Invalid, Limits, Sender};
use crate::domain::clock::Timestamp;
use crate::domain::destination::Settings;
use crate::domain::pace::Rate;
use crate::domain::task::Observation;
use crate::providers::api::{Api, Ask, Call, CallbackUrl, Reply, Told};
use crate::providers::{About, Inbound, Provider, Unread, Verified};

struct FakeProvider {
    name: &'static str,
    signs: bool,
    ask: Option<&'static FakeAsk>,
}

impl Provider for FakeProvider {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> About {
        About { title: "", docs: None, callback_url_goes: "", signs: self.signs, retries: "", links_live: "" }
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), String> {
        if secret.expose().starts_with("whsec_") { Ok(()) } else { Err("it begins with whsec_".to_owned()) }
    }

    fn interpret(&self, _: &Inbound<Verified>) -> Result<Vec<Observation>, Unread> {
        Err(Unread::NoTask(String::new()))
    }

    fn ask(&self) -> Option<&'static dyn Ask> {
        self.ask.map(|ask| -> &'static dyn Ask { ask })
    }

    fn example(&self, _: &str, _: Timestamp) -> String {
        String::new()
    }
}

struct FakeAsk(&'static Api);

const fn api(base_url: Option<&'static str>, lists: bool) -> Api {
    let (callback_url, pace) = (CallbackUrl::Nowhere, Rate { count: 2, per: Duration::from_secs(1) });
    Api { base_url, callback_url, creates: &[], queries: &[], cancels: &[], batch: 1, lists, pace }
}

impl Ask for FakeAsk {
    fn api(&self) -> &'static Api {
        self.0
    }

    fn created(&self, _: &Reply<'_>) -> Result<Observation, Unread> {
        Err(Unread::NoTask(String::new()))
    }

    fn one(&self, _: &str) -> Call {
        Call::get(String::new())
    }

    fn read_one(&self, _: &str, _: &Reply<'_>) -> Told {
        Told::NotFound
    }
}

struct FakeChannel {
    name: &'static str,
    fields: &'static [Field],
}

impl Channel for FakeChannel {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        ""
    }

    fn fields(&self) -> &'static [Field] {
        self.fields
    }

    fn limits(&self) -> Limits {
        Limits { rate: None, concurrency: 1 }
    }

    fn parse(&self, _: &Settings, _: &House) -> Result<Arc<dyn Sender>, Invalid> {
        Err(Invalid { field: "url", problem: String::new() })
    }
}

mod reference;
mod sources;
mod variables;

const fn field(name: &'static str, kind: FieldKind, required: bool) -> Field {
    Field { name, kind, required, secret: false }
}

static EVOLINK: FakeAsk = FakeAsk(&api(Some("https://evolink.example"), true));
static HOMELESS: FakeAsk = FakeAsk(&api(None, false));

const KNOWN: Registries<'static> = Registries {
    providers: &[
        &FakeProvider { name: "evolink", signs: false, ask: Some(&EVOLINK) },
        &FakeProvider { name: "homeless", signs: false, ask: Some(&HOMELESS) },
        &FakeProvider { name: "replicate", signs: true, ask: None },
    ],
    channels: &[
        &FakeChannel { name: "slack", fields: &[field("url", FieldKind::Text, true)] },
        &FakeChannel { name: "email", fields: &[field("to", FieldKind::Texts, true)] },
        &FakeChannel {
            name: "webhook",
            fields: &[field("url", FieldKind::Text, true), field("secret", FieldKind::Texts, false)],
        },
    ],
};

fn read_with(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let env: Env = env.iter().copied().collect();
    Config::read(text, Some(Path::new("c.toml")), &env, KNOWN).map_err(|mistakes| mistakes.to_string())
}

fn read(text: &str) -> Config {
    read_with(text, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The one mistake in a text.
fn mistake(text: &str) -> String {
    mistake_with(text, &[])
}

fn mistake_with(text: &str, env: &[(&str, &str)]) -> String {
    let mistakes = read_with(text, env).map(|config| format!("{config:?}")).expect_err(text);
    assert_eq!(mistakes.lines().count(), 1, "{text}\n{mistakes}");
    mistakes
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn without_anything_it_is_the_contracts_defaults() {
    let config = read("");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.max_body, 1_048_576);
    assert_eq!(config.server.shutdown_timeout, seconds(20));
    assert!(config.server.manage_listen.is_none() && config.server.tls.is_none() && config.server.admin_key.is_none());
    assert!(matches!(&config.database, Database::Sqlite(file) if file == Path::new("callboard.db")));
    let sources: Vec<_> = config.sources.iter().map(|source| (&*source.name, &*source.provider)).collect();
    assert_eq!(sources, [("evolink", "evolink"), ("homeless", "homeless"), ("replicate", "replicate")]);
    assert_eq!(config.delivery.timeout, seconds(15));
    let waits = [5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600].map(seconds);
    assert_eq!(config.delivery.policy.waits, waits);
    assert_eq!(config.delivery.policy.disable_after, seconds(5 * 86_400));
    assert!(config.email.is_none() && config.destinations.is_empty() && config.subscriptions.is_empty());
    assert_eq!(read("[sources]").sources.len(), 3);
}

const WHOLE: &str = r#"
[server]
listen = "[::]:80"
manage_listen = "127.0.0.1:8081"
public_url = "https://hooks.example.com/cb/"
admin_key = "${KEY}"
max_body = 2048
shutdown_timeout = "500ms"
trusted_proxies = ["10.0.0.0/8", "${PROXY:-192.0.2.1}"]
[database]
url = "postgres://user:${PW}@db/callboard"
[sources.video]
provider = "evolink"
callback_token = ["0123456789abcdef", "fedcba9876543210"]
teams = ["ads", "ops"]
rate = "200/s"
confirm = "never"
[sources.images]
provider = "replicate"
signing_secret = "whsec_abc"
[destinations.ads-slack]
team = "ads"
channel = "slack"
url = "https://slack.example/${PW}"
rate = "1/s"
concurrency = 3
[destinations.mail]
team = "ops"
channel = "email"
to = ["a@example.com", "b@example.com"]
[destinations.hook]
team = "ops"
channel = "webhook"
url = "https://hook.example"
secret = "s"
[[subscriptions]]
destination = "ads-slack"
events = ["task.completed", "task.failed", "task.completed"]
sources = ["video", "images"]
where = 'task.model == "$${x}"'
[[subscriptions]]
destination = "mail"
[email]
smtp = "smtp://localhost:1025"
from = "Callboard <callboard@example.com>"
[delivery]
timeout = "5m"
retry = ["1s"]
disable_after = "1.5h"
[egress]
allow = ["127.0.0.1"]
"#;

#[test]
fn everything_written_is_understood() {
    let config = read_with(WHOLE, &[("KEY", "0123456789abcdef"), ("PW", "hush")]).unwrap_or_else(|m| panic!("{m}"));
    let server = &config.server;
    assert_eq!((server.listen.to_string(), server.max_body), ("[::]:80".to_owned(), 2048));
    assert_eq!(server.public_url.as_deref(), Some("https://hooks.example.com/cb"));
    assert_eq!(server.admin_key.as_ref().map(Secret::expose), Some("0123456789abcdef"));
    assert_eq!(server.trusted_proxies[1].to_string(), "192.0.2.1/32");
    assert!(matches!(&config.database, Database::Postgres(url) if url.expose() == "postgres://user:hush@db/callboard"));
    let [images, video] = config.sources.as_slice() else { panic!("{:?}", config.sources) };
    assert_eq!((images.signing_secrets.len(), video.callback_tokens.len()), (1, 2));
    assert_eq!(video.teams.as_deref(), Some(["ads".to_owned(), "ops".to_owned()].as_slice()));
    let names: Vec<_> = config.destinations.iter().map(|destination| &*destination.name).collect();
    assert_eq!(names, ["ads-slack", "hook", "mail"]);
    assert!(config.destinations.iter().all(|destination| destination.from_file));
    assert_eq!(config.destinations[0].concurrency, Some(3));
    assert_eq!(config.destinations[0].settings["url"], "https://slack.example/hush");
    assert_eq!(config.destinations[2].settings["to"], serde_json::json!(["a@example.com", "b@example.com"]));
    assert_eq!(config.subscriptions[0].events, [EventType::TaskCompleted, EventType::TaskFailed]);
    assert_eq!(config.subscriptions[0].filter.as_ref().map(Filter::text), Some("task.model == \"${x}\""));
    assert_eq!(config.subscriptions[1].events, EventType::DEFAULT);
    assert!(config.subscriptions[1].sources.is_none() && config.subscriptions[1].filter.is_none());
    assert_eq!(config.delivery.policy.waits, [seconds(1)]);
    assert_eq!(config.delivery.policy.disable_after, seconds(5400));
    let late = config.mistake("destinations.hook.url", "it is refused");
    assert_eq!(late.to_string(), "c.toml:34: destinations.hook.url: it is refused");
    assert_eq!(config.mistake("subscriptions[2].where.x", "no").line, Some(41));
    assert!(!format!("{:?}", config).contains("hush"));
}

#[test]
fn a_mistake_names_file_line_and_nearest_spelling() {
    for (text, wanted) in [
        (
            "[sources.evolink]\nprovider = 'evolink'\nprovder = 1",
            "c.toml:3: sources.evolink.provder: unknown key; did you mean `provider`?",
        ),
        ("[sever]", "c.toml:1: sever: unknown section; did you mean `server`?"),
        ("listen = 1", "c.toml:1: listen: unknown key; it can be `server`, `database`, `sources`, `destinations`"),
        (
            "[retention]\nevents = '30'",
            "retention.events: `30` is not a duration: write a number with ms, s, m, h or d",
        ),
        (
            "[retention]\ncallbacks = 'off'",
            "c.toml:2: retention.callbacks: `off` is not clear here: to keep everything",
        ),
        ("[retention]\nevents = '0s'", "it must be more than zero; to keep everything, write \"forever\""),
        ("[retention]\nevents = 30", "it is a number without quotes: write a duration such as \"30d\", or \"forever\""),
        ("[retention]\nevent = '1d'", "c.toml:2: retention.event: unknown key; did you mean `events`?"),
        ("[server]\nlisten = 8080", "c.toml:2: server.listen: it is a number without quotes: write an address such as"),
        ("[server]\nlisten = ':8080'", "write 0.0.0.0:8080 for every address"),
        ("[server]\nlisten = '${NONE}'", "c.toml:2: server.listen: the variable `NONE` is not set"),
        ("[server]\nmanage_listen = '127.0.0.1:8080'", "server.manage_listen: it is the same as `listen`"),
        ("[server]\npublic_url = 'hooks.example.com'", "server.public_url: `hooks.example.com` is not a URL"),
        ("[server]\npublic_url = 'https://u:hush@a'", "it has a user or a password in it"),
        ("[server]\npublic_url = 'https://u:hush@'", "server.public_url: it is not a URL"),
        ("[server]\npublic_url = 'ftp://a'", "is not an http or https URL"),
        ("[server]\npublic_url = 'https://a/?x=1'", "has a query or a fragment"),
        ("[server]\nadmin_key = 'short'", "c.toml:2: server.admin_key: write at least 16"),
        ("[server]\nmax_body = '65MiB'", "c.toml:2: server.max_body: it must be from 1KiB to 64MiB"),
        ("[server]\nmax_body = 1023", "it must be from 1KiB"),
        ("[server]\nmax_body = -1", "it is not a size"),
        ("[server]\nshutdown_timeout = 20", "it is a number without quotes: write a duration such as \"15s\""),
        ("[server]\nshutdown_timeout = '20'", "server.shutdown_timeout: `20` is not a duration"),
        ("[server]\nshutdown_timeout = '0s'", "it must be more than zero"),
        ("[server]\ntrusted_proxies = '10.0.0.0/8'", "it is a text in quotes: write a list, as in [\"10.0.0.0/8\"]"),
        ("[server]\ntrusted_proxies = [\n'10.0.0.0/8',\n'x']", "c.toml:4: server.trusted_proxies: `x` is not an"),
        ("[server]\ntls = true", "server.tls: it is true or false, and a table is needed here"),
        ("[server.tls]\ncert = 'Cargo.toml'", "c.toml:1: server.tls: `key` is missing"),
        ("[server.tls]\ncert = 'Cargo.toml'\nkey = 'src'", "c.toml:3: server.tls.key: `src` is not a file"),
        ("[server.tls]\ncert = 'none.pem'\nkey = 'Cargo.toml'", "server.tls.cert: `none.pem` cannot be read"),
        ("server = 1", "c.toml:1: server: it is a number without quotes, and a table is needed here"),
        ("[database]\nurl = 'mysql://u:hush@h/d'", "database.url: it begins neither with `sqlite:` nor"),
        ("[database]\nurl = 'postgre://u:hush@h/d'", "did you mean `postgres`?"),
        ("[database]\nurl = 'postgres:u:hush'", "it names no host"),
        ("[database]\nurl = 'sqlite::memory:'", "loses every event"),
        ("[delivery]\ntimeout = '6m'", "it must be from 1s to 5m"),
        ("[delivery]\nretry = []", "delivery.retry: the list is empty"),
        ("[delivery]\nretry = ['5s', '5x']", "`5x` is not a duration"),
        ("[delivery]\nretry = [5]", "it is a number without quotes"),
        ("[email]\nfrom = 'a@example.com'", "c.toml:1: email: `smtp` is missing"),
        ("[email]\nsmtp = 'smtp:///x'\nfrom = 'a@b.c'", "email.smtp: it names no host"),
        ("[email]\nsmtp = 'https://u:hush@h'\nfrom = 'a@b.c'", "email.smtp: it begins with `https`; it can be `smtp`"),
        ("[email]\nsmtp = 'smtp://h'\nfrom = \"a@b.c\\nBcc: x@y.z\"", "is not a mailbox"),
        ("[egress]\nallow = ['10/8']", "`10/8` is not an address range"),
    ] {
        let found = mistake(text);
        assert!(found.contains(wanted), "{text}\n{found}");
        assert!(!found.contains("hush"), "{found}");
    }
}

#[test]
fn mistakes_of_destinations_and_subscriptions() {
    const BASE: &str = "[destinations.ads]\nteam = 'ads'\nchannel = 'slack'\nurl = 'u'\n\
        [sources.video]\nprovider = 'evolink'\nteams = ['ops']\n[sources.open]\nprovider = 'evolink'\n";
    for (more, wanted) in [
        ("[destinations.b]\nchannel = 'slack'\nurl = 'u'", "c.toml:10: destinations.b: `team` is missing"),
        ("[destinations.b]\nteam = 'b'", "`channel` is missing; it can be `slack`, `email`, `webhook`"),
        ("[destinations.b]\nteam = 'b'\nchannel = 'slak'\nurl = 'u'", "there is no channel `slak`; did you mean"),
        ("[destinations.b]\nteam = 'b'\nchannel = 'slack'", "c.toml:10: destinations.b: `url` is missing"),
        ("[destinations.b]\nteam = 'b'\nchannel = 'slack'\nurl = ['u']", "destinations.b.url: it is a list"),
        ("[destinations.b]\nteam = 'b'\nchannel = 'slack'\nurl = ' '", "destinations.b.url: it is empty"),
        (
            "[destinations.b]\nteam = 'b'\nchannel = 'slack'\nurl = 'u'\nuri = 'u'",
            "uri: unknown key; did you mean `url`?",
        ),
        ("[destinations.b]\nteam = 'b'\nchannel = 'email'\nto = []", "destinations.b.to: the list is empty"),
        ("[destinations.b]\nteam = 'b'\nchannel = 'email'\nto = 7", "destinations.b.to: it is a number"),
        ("[destinations.b]\nteam = 'b'\nchannel = 'slack'\nurl = 'u'\nconcurrency = 0", "a whole number from 1 to"),
        ("[destinations.B]\nteam = 'b'\nchannel = 'slack'\nurl = 'u'", "`B` is not a name"),
        ("[subscriptions]\ndestination = 'ads'", "subscriptions: it is a table; write [[subscriptions]]"),
        ("[[subscriptions]]\n", "c.toml:10: subscriptions[1]: `destination` is missing"),
        ("[[subscriptions]]\ndestination = 'adds'", "there is no destination `adds` in the file; did you mean `ads`?"),
        ("[[subscriptions]]\ndestination = 'ads'\nevents = ['task.complete']", "did you mean `task.completed`?"),
        ("[[subscriptions]]\ndestination = 'ads'\nevents = []", "subscriptions[1].events: the list is empty"),
        (
            "[[subscriptions]]\ndestination = 'ads'\nsources = ['vide']",
            "there is no source `vide`; did you mean `video`?",
        ),
        (
            "[[subscriptions]]\ndestination = 'ads'\nsources = ['video']",
            "`video` is not for the team `ads`, which owns",
        ),
        (
            "[[subscriptions]]\ndestination = 'ads'\nwhere = 'tusk.model == 1'",
            "c.toml:12: subscriptions[1].where: line 1, column 1: unknown name `tusk`; did you mean `task`?",
        ),
        (
            "[[subscriptions]]\ndestination = 'ads'\nwhere = '''\ntask.confirmed &&\n tusk.model == 1'''",
            "c.toml:14: subscriptions[1].where: line 2, column 2: unknown name",
        ),
        (
            "[[subscriptions]]\ndestination = 'ads'\nwhere = \"\"\"task.confirmed &&\n tusk.model == 1\"\"\"",
            "c.toml:13: subscriptions[1].where: line 2, column 2: unknown name",
        ),
        ("[[subscriptions]]\ndestination = 'ads'\nfilter = ''", "subscriptions[1].filter: unknown key"),
    ] {
        let found = mistake(&format!("{BASE}{more}"));
        assert!(found.contains(wanted), "{more}\n{found}");
    }
    assert_eq!(read(&format!("{BASE}[[subscriptions]]\ndestination='ads'\nsources=['open']")).subscriptions.len(), 1);
}

#[test]
fn all_mistakes_are_found_at_once() {
    let text = "[delivery]\ntimeout = '1h'\nretry = ['x', 'y']\n[server]\nlisten = '1'\n[sources.a]\nprovider = 'b'";
    let env = [("CALLBOARD_SERVER__NOTHING", "1")];
    let mistakes = read_with(text, &env).map(|_| ()).expect_err("mistakes");
    let places: Vec<&str> = mistakes.lines().map(|line| line.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(places, ["c.toml:2", "c.toml:3", "c.toml:3", "c.toml:5", "c.toml:7", "CALLBOARD_SERVER__NOTHING"]);
}

#[test]
fn what_is_not_toml_has_its_line() {
    for (text, wanted) in [
        ("a = ", "c.toml:1: not valid TOML: "),
        ("[server]\nlisten = 'a\n", "c.toml:2: not valid TOML: "),
        ("[server]\r\nlisten = 'a'\r\nlisten = 'b'", "c.toml:3: not valid TOML: duplicate key"),
        ("[server]\n[server]", "c.toml:2: not valid TOML: duplicate key"),
    ] {
        let found = read_with(text, &[]).map(|_| ()).expect_err(text);
        assert!(found.starts_with(wanted), "{text}\n{found}");
    }
}

#[test]
fn the_file_is_looked_for_where_the_contract_says() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, port: u16| {
        let file = directory.path().join(name);
        std::fs::write(&file, format!("[server]\nlisten = '127.0.0.1:{port}'")).unwrap();
        file
    };
    let load = |explicit: Option<&Path>, env: &Env| {
        Config::load_in(directory.path(), explicit, env, KNOWN)
            .map(|config| config.server.listen.port())
            .map_err(|mistakes| mistakes.to_string())
    };
    let none = Env::default();
    assert_eq!(load(None, &none), Ok(8080));
    write(DEFAULT_FILE, 1);
    assert_eq!(load(None, &none), Ok(1));
    let by_variable = write("two.toml", 2);
    let env: Env = [(FILE_VARIABLE, by_variable.to_str().unwrap())].into_iter().collect();
    assert_eq!(load(None, &env), Ok(2));
    assert_eq!(load(Some(&write("three.toml", 3)), &env), Ok(3));
    let missing = directory.path().join("four.toml");
    let error = load(Some(&missing), &env).expect_err("there is no such file");
    assert!(error.contains("four.toml: it cannot be read"), "{error}");
}
