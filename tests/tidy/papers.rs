//! What is written beside the code: the README's tables and examples, the files for operating.

use std::time::Duration;

use callboard::channels::{CHANNELS, Channel, House};
use callboard::config::{Config, Env, Registries};
use callboard::egress::Egress;
use callboard::providers::{PROVIDERS, Provider};

use crate::source::{read, toml_file};

/// Compares what stands between two markers of the README, and says what to paste.
fn stands_in_readme(marker: &str, table: &str) {
    let readme = read("README.md");
    let (open, close) = (format!("<!-- {marker} -->"), format!("<!-- /{marker} -->"));
    let between = readme.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    let (found, _) = between.unwrap_or_else(|| panic!("README.md lacks {open} … {close}"));
    assert!(found.trim() == table.trim(), "paste this between {open} and {close} of README.md:\n\n{table}\n");
}

#[test]
fn the_readme_lists_every_provider() {
    let mut table =
        "| provider | | where the callback URL goes | signs | tries again | how it is asked | result links live |\n"
            .to_owned();
    table.push_str("|---|---|---|---|---|---|---|\n");
    for provider in PROVIDERS {
        let about = provider.about();
        table.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {} | {} |\n",
            provider.name(),
            about.docs.map_or_else(|| about.title.to_owned(), |docs| format!("[{}]({docs})", about.title)),
            about.callback_url_goes,
            if about.signs { "yes" } else { "no" },
            about.retries,
            asked(*provider),
            about.links_live,
        ));
    }
    stands_in_readme("providers", &table);
}

/// How a provider is asked for its tasks.
fn asked(provider: &dyn Provider) -> String {
    let Some(api) = provider.ask().map(|ask| ask.api()) else { return "no".to_owned() };
    let many = if api.batch > 1 { format!("{} at once", api.batch) } else { "one by one".to_owned() };
    let lists = if api.lists { ", and has a list" } else { "" };
    let host = if api.base_url.is_none() { ", once its source says `base_url`" } else { "" };
    format!("{many}{lists}{host}")
}

fn settings(channel: &dyn Channel) -> String {
    let one = |field: &callboard::channels::Field| {
        let optional = if field.required { "" } else { " (optional)" };
        format!("`{}`{optional}", field.name)
    };
    channel.fields().iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_readme_lists_every_channel() {
    let mut table = "| channel | | settings | default limits |\n|---|---|---|---|\n".to_owned();
    for channel in CHANNELS {
        let limits = channel.limits();
        let rate = limits.rate.map(|rate| format!("{rate}, ")).unwrap_or_default();
        table.push_str(&format!(
            "| `{}` | {} | {} | {rate}{} at once |\n",
            channel.name(),
            channel.about(),
            settings(*channel),
            limits.concurrency
        ));
    }
    stands_in_readme("channels", &table);
}

#[test]
fn every_provider_has_its_chapter() {
    let text = read("docs/providers.md");
    for provider in PROVIDERS {
        let heading = format!("(`{}`)\n", provider.name());
        let found = text.lines().any(|line| line.starts_with("## ") && format!("{line}\n").ends_with(&heading));
        assert!(found, "docs/providers.md lacks a chapter that ends with {heading}");
        let docs = provider.about().docs.unwrap_or_default();
        assert!(text.contains(docs), "docs/providers.md lacks {docs}");
    }
}

/// The variables that the examples use.
const VARIABLES: [(&str, &str); 10] = [
    ("CALLBOARD_ADMIN_KEY", "0123456789abcdef"),
    ("EVOLINK_CALLBACK_TOKEN", "0123456789abcdef"),
    ("EVOLINK_API_KEY", "key"),
    ("API_IN_ONE_KEY", "key"),
    ("REPLICATE_SIGNING_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("SLACK_ADS_URL", "https://hooks.slack.com/services/T0/B0/x"),
    ("BACKEND_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("SMTP_PASSWORD", "password"),
    ("DATABASE_PASSWORD", "password"),
    ("PUBLIC_URL", "https://hooks.example.com"),
];

/// Every example of configuration is one that the service starts with.
#[test]
fn examples_of_configuration_hold() {
    let env: Env = VARIABLES.into_iter().collect();
    let mut examples = 0;
    for path in ["README.md", "docs/decisions.md", "docs/providers.md", "ARCHITECTURE.md"] {
        let text = read(path);
        for block in text.split("```toml\n").skip(1) {
            let example = block.split("```").next().unwrap_or_default();
            let config = Config::read(example, None, &env, Registries::built_in());
            let config = config.unwrap_or_else(|mistakes| panic!("{path}: {mistakes}\n{example}"));
            let mailer = config.email.as_ref().map(|email| callboard::channels::Mailer::new(&email.smtp, &email.from));
            let mailer = mailer.transpose().unwrap_or_else(|problem| panic!("{path}: {problem}"));
            let egress = Egress::new(config.egress_allow.clone());
            let house = House { egress, mailer: mailer.map(Into::into), public_url: None };
            for destination in &config.destinations {
                let channel = callboard::channels::channel(&destination.channel).expect("the configuration was read");
                let parsed = channel.parse(&destination.settings, &house).map(drop);
                parsed.unwrap_or_else(|invalid| panic!("{path}: {}: {invalid}", destination.name));
            }
            examples += 1;
        }
    }
    assert!(examples >= 4, "only {examples} examples were found");
}

fn defaults() -> Config {
    Config::read("", None, &Env::default(), Registries::built_in()).unwrap()
}

/// A stop takes `shutdown_timeout`, and then has to write down what it interrupted, for which the
/// database has 3 s for a connection and 4 s for a statement.
fn longest_stop() -> Duration {
    defaults().server.shutdown_timeout + Duration::from_secs(10)
}

#[test]
fn fly_waits_for_the_drain_and_runs_one_machine() {
    let fly = toml_file("fly.toml");
    assert_eq!(fly["kill_signal"].as_str(), Some("SIGTERM"));
    let wait = fly["kill_timeout"].as_u64().unwrap();
    assert!(Duration::from_secs(wait) > longest_stop(), "kill_timeout is {wait} s, a stop takes {:?}", longest_stop());
    assert!(wait <= 300, "fly.io waits 300 s at most");
    let service = &fly["services"][0];
    assert_eq!(service["auto_stop_machines"].as_str(), Some("off"));
    assert_eq!(service["min_machines_running"].as_u64(), Some(1));
    assert_eq!(service["http_checks"][0]["path"].as_str(), Some("/readyz"));
    let container = read("packaging/Containerfile");
    assert_eq!(fly["build"]["dockerfile"].as_str(), Some("packaging/Containerfile"));
    assert!(container.contains("USER 65532:65532") && container.contains("STOPSIGNAL SIGTERM"));

    // Its variables are settings that there are, and what they say fits the rest of the file.
    let env: Env = fly["env"].as_object().unwrap().iter().map(|(key, v)| (key.clone(), v.as_str().unwrap())).collect();
    let config = Config::read("", None, &env, Registries::built_in()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(service["internal_port"].as_u64(), Some(config.server.listen.port().into()));
    let callboard::config::Database::Sqlite(file) = config.database else { panic!("fly.toml names no SQLite file") };
    assert!(file.starts_with(fly["mounts"]["destination"].as_str().unwrap()), "{} is on no volume", file.display());
}

#[test]
fn systemd_waits_for_the_drain() {
    let unit = read("packaging/callboard.service");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    assert_eq!(value("KillSignal"), Some("SIGTERM"));
    let wait: u64 = value("TimeoutStopSec").and_then(|text| text.parse().ok()).expect("TimeoutStopSec in seconds");
    assert!(
        Duration::from_secs(wait) > longest_stop(),
        "TimeoutStopSec is {wait} s, a stop takes {:?}",
        longest_stop()
    );
}
