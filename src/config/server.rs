//! `[server]`, `[database]`, `[email]`, `[delivery]` and `[egress]`.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::section::{Found, Section};
use super::{Database, Delivery, Email, Server, Tls, value};
use crate::domain::retry::RetryPolicy;
use crate::domain::secret::Secret;
use crate::domain::spelling::suggestion;

/// The defaults of contract §3.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const MAX_BODY: usize = 1024 * 1024;
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);
const DATABASE_FILE: &str = "callboard.db";
const TIMEOUT: Duration = Duration::from_secs(15);
const RETRY_SECONDS: [u64; 9] = [5, 30, 120, 600, 3600, 10_800, 21_600, 43_200, 86_400];
const DISABLE_AFTER: Duration = Duration::from_secs(5 * 86_400);

/// A callback's body: the smallest limit that any provider's callback fits in, and the largest that many
/// of them at once leave room for in memory.
const MAX_BODY_BOUNDS: std::ops::RangeInclusive<u64> = 1024..=64 * 1024 * 1024;

/// How long one try of a delivery may take: less than a second no TLS handshake is sure to make, and more
/// than five minutes would hold a place for nothing.
const TIMEOUT_BOUNDS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

const A_DURATION: &str = "a duration such as \"15s\"";
const AN_ADDRESS: &str = "an address such as \"127.0.0.1:8080\"";
const RANGES: &str = "\"10.0.0.0/8\"";

pub(super) fn server(mut section: Section<'_>) -> Server {
    let listen = section.read("listen", AN_ADDRESS, address);
    let manage_listen = section.read("manage_listen", AN_ADDRESS, address);
    if let Some(manage) = &manage_listen
        && manage.value == listen.as_ref().map_or(LISTEN, |found| found.value)
        && manage.value.port() != 0
    {
        section.reader().wrong(&manage.place, "it is the same as `listen`: write another, or leave it out");
    }
    let server = Server {
        listen: listen.map_or(LISTEN, |found| found.value),
        manage_listen: manage_listen.map(|found| found.value),
        public_url: section.read("public_url", "a URL such as \"https://hooks.example.com\"", public_url).map(value_of),
        admin_key: section.read("admin_key", "a text of at least 16 characters", admin_key).map(value_of),
        max_body: max_body(&mut section),
        shutdown_timeout: section
            .read("shutdown_timeout", A_DURATION, value::positive)
            .map_or(SHUTDOWN_TIMEOUT, value_of),
        trusted_proxies: networks(&mut section, "trusted_proxies"),
        tls: tls(section.section("tls")),
    };
    section.finish();
    server
}

fn value_of<T>(found: Found<T>) -> T {
    found.value
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let hint = if text.starts_with(':') {
        format!("write 0.0.0.0{text} for every address of the machine")
    } else {
        "write an IP address, a colon and a port, as in \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned()
    };
    text.parse().map_err(|_| format!("`{text}` is not an address to listen on: {hint}"))
}

fn public_url(text: &str) -> Result<String, String> {
    let no_user = "it has a user or a password in it, which would be in every callback URL: leave them out";
    value::url_to_extend(text, "https://hooks.example.com", no_user)
}

fn admin_key(text: &str) -> Result<Secret, String> {
    if text.len() < value::SECRET_MIN || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!(
            "write at least {} letters, digits and signs, without spaces: it opens everything",
            value::SECRET_MIN
        ));
    }
    Ok(Secret::new(text))
}

fn max_body(section: &mut Section<'_>) -> usize {
    let Some(found) = section.size("max_body") else { return MAX_BODY };
    if !MAX_BODY_BOUNDS.contains(&found.value) {
        section.reader().wrong(&found.place, "it must be from 1KiB to 64MiB");
    }
    usize::try_from(found.value).unwrap_or(MAX_BODY)
}

fn networks(section: &mut Section<'_>, key: &'static str) -> Vec<IpNet> {
    let found = section.list(key, RANGES, value::network);
    found.map(|list| list.value.into_iter().map(value_of).collect()).unwrap_or_default()
}

fn tls(mut section: Section<'_>) -> Option<Tls> {
    if !section.is_there() {
        return None;
    }
    section.requires("cert", "write the PEM file of the certificate chain");
    section.requires("key", "write the PEM file of the private key");
    let cert = section.read("cert", "a file name", readable);
    let key = section.read("key", "a file name", readable);
    section.finish();
    Some(Tls { cert: cert?.value, key: key?.value })
}

fn readable(text: &str) -> Result<PathBuf, String> {
    let opened = File::open(text).and_then(|file| file.metadata());
    match opened {
        Ok(metadata) if metadata.is_file() => Ok(PathBuf::from(text)),
        Ok(_) => Err(format!("`{text}` is not a file")),
        Err(error) => Err(format!("`{text}` cannot be read: {error}")),
    }
}

pub(super) fn database(mut section: Section<'_>) -> Database {
    let wanted = "a URL such as \"sqlite:callboard.db\" or \"postgres://user@host/db\"";
    let url = section.read("url", wanted, database_url);
    section.finish();
    url.map_or_else(|| Database::Sqlite(DATABASE_FILE.into()), value_of)
}

/// Says nothing of the URL, in which there is a password.
fn database_url(text: &str) -> Result<Database, String> {
    let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
    match scheme {
        "sqlite" => sqlite(rest.strip_prefix("//").unwrap_or(rest)).map(Database::Sqlite),
        "postgres" | "postgresql" => match Url::parse(text) {
            Ok(url) if url.has_host() || url.query().is_some() => Ok(Database::Postgres(Secret::new(text))),
            Ok(_) => Err("it names no host: write postgres://user:password@host/database".to_owned()),
            Err(error) => Err(format!("it is not a URL ({error}): write postgres://user:password@host/database")),
        },
        _ => {
            let schemes = ["sqlite", "postgres", "postgresql"];
            let hint = if rest.is_empty() { String::new() } else { format!(" ({})", suggestion(scheme, schemes)) };
            Err(format!("it begins neither with `sqlite:` nor with `postgres://`{hint}"))
        }
    }
}

fn sqlite(path: &str) -> Result<PathBuf, String> {
    if path.is_empty() {
        return Err("it names no file: write sqlite:callboard.db".to_owned());
    }
    if path.starts_with(":memory:") {
        return Err("a database in memory loses every event when it stops: write sqlite:callboard.db".to_owned());
    }
    if path.contains('?') {
        return Err("parameters are not taken: write the file alone, sqlite:callboard.db".to_owned());
    }
    Ok(PathBuf::from(path))
}

pub(super) fn email(mut section: Section<'_>) -> Option<Email> {
    if !section.is_there() {
        return None;
    }
    section.requires("smtp", "write as in smtp = \"smtps://user:password@smtp.example.com\"");
    section.requires("from", "write as in from = \"Callboard <callboard@example.com>\"");
    let smtp = section.read("smtp", "a URL such as \"smtp://localhost:1025\"", smtp_url);
    let from = section.read("from", "a mailbox such as \"Callboard <callboard@example.com>\"", sender);
    section.finish();
    Some(Email { smtp: smtp?.value, from: from?.value })
}

/// Says nothing of the URL, in which there is a password.
fn smtp_url(text: &str) -> Result<Secret, String> {
    const SCHEMES: [&str; 3] = ["smtp", "smtps", "smtp+starttls"];
    let example = "as in smtps://user:password@smtp.example.com or smtp://localhost:1025";
    let url = Url::parse(text).map_err(|error| format!("it is not a URL ({error}): write it {example}"))?;
    if !SCHEMES.contains(&url.scheme()) {
        return Err(format!("it begins with `{}`; {}", url.scheme(), suggestion(url.scheme(), SCHEMES)));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("it names no host: write it {example}"));
    }
    Ok(Secret::new(text))
}

/// A light look only: the email channel parses it.
fn sender(text: &str) -> Result<String, String> {
    let parts = text.trim().rsplit_once('@');
    if parts.is_some_and(|(user, host)| !user.is_empty() && host.len() > 1) && !text.chars().any(char::is_control) {
        return Ok(text.trim().to_owned());
    }
    Err(format!("`{}` is not a mailbox: write it as in \"Callboard <callboard@example.com>\"", text.escape_debug()))
}

pub(super) fn delivery(mut section: Section<'_>) -> Delivery {
    let timeout = section.read("timeout", A_DURATION, |text| {
        let duration = value::duration(text)?;
        if TIMEOUT_BOUNDS.contains(&duration) { Ok(duration) } else { Err("it must be from 1s to 5m".to_owned()) }
    });
    let waits = section.filled_list("retry", "\"5s\", \"30s\"", value::positive);
    let disable_after = section.read("disable_after", A_DURATION, value::positive).map_or(DISABLE_AFTER, value_of);
    section.finish();
    let default_waits = || RETRY_SECONDS.map(Duration::from_secs).to_vec();
    Delivery {
        timeout: timeout.map_or(TIMEOUT, value_of),
        policy: RetryPolicy {
            waits: waits.map_or_else(default_waits, |list| list.value.into_iter().map(value_of).collect()),
            disable_after,
        },
    }
}

pub(super) fn egress(mut section: Section<'_>) -> Vec<IpNet> {
    let allow = networks(&mut section, "allow");
    section.finish();
    allow
}
