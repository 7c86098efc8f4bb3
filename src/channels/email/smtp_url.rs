//! `[email] smtp`: where the mail server is and how it is spoken to.

use lettre::transport::smtp::authentication::Credentials;
use url::{Host, Url};

use crate::domain::secret::Secret;

/// How the connection is kept from others' eyes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Security {
    /// `smtp://`: STARTTLS where the server offers it and is not on this machine.
    Opportunistic,
    /// `smtp+starttls://`: STARTTLS, or nothing is sent.
    StartTls,
    /// `smtps://`: TLS from the first byte.
    Implicit,
}

/// A mail server.
pub(super) struct SmtpServer {
    pub(super) security: Security,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) credentials: Option<Credentials>,
    /// Whether it is on this machine, where nobody can listen on the way.
    pub(super) loopback: bool,
}

const FORMS: &str = "write smtp://HOST:PORT, smtp+starttls://USER:PASSWORD@HOST or smtps://USER:PASSWORD@HOST, \
                     with @ : / ? # and % in user and password as %40 %3A %2F %3F %23 %25";

/// Reads the URL. What is said of a bad one does not repeat it.
pub(super) fn read(smtp_url: &Secret) -> Result<SmtpServer, String> {
    let url =
        Url::parse(smtp_url.expose().trim()).map_err(|error| format!("`smtp` is not a URL ({error}): {FORMS}"))?;
    // Ports: RFC 5321 §4.5.4.2 (25), RFC 6409 (587), RFC 8314 (465).
    let (security, port) = match url.scheme() {
        "smtp" => (Security::Opportunistic, 25),
        "smtp+starttls" => (Security::StartTls, 587),
        "smtps" => (Security::Implicit, 465),
        other => return Err(format!("`smtp` begins with `{other}:`: {FORMS}")),
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`smtp` has something behind the host: {FORMS}"));
    }
    // Of a scheme that it does not know, the parser leaves the host as it is written.
    let written = url.host_str().filter(|host| !host.is_empty());
    let host = written.and_then(|host| Host::parse(host).ok()).ok_or_else(|| format!("`smtp` has no host: {FORMS}"))?;
    let (name, loopback) = match host {
        Host::Ipv4(v4) => (v4.to_string(), v4.is_loopback()),
        Host::Ipv6(v6) => (v6.to_string(), v6.to_canonical().is_loopback()),
        Host::Domain(name) => {
            let loopback = name == "localhost" || name.ends_with(".localhost");
            (name, loopback)
        }
    };
    let user = decode(url.username())?;
    let credentials = match (user.is_empty(), url.password()) {
        (true, None) => None,
        (false, Some(password)) => Some(Credentials::new(user, decode(password)?)),
        _ => return Err(format!("`smtp` has a user without a password or the reverse: {FORMS}")),
    };
    Ok(SmtpServer { security, host: name, port: url.port().unwrap_or(port), credentials, loopback })
}

/// Undoes percent-encoding. A `%` that begins no pair of hexadecimal digits stays.
fn decode(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(|two| std::str::from_utf8(two).ok());
        let hex = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let value = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        decoded.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8(decoded).map_err(|_| format!("user and password of `smtp` must be UTF-8: {FORMS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> SmtpServer {
        read(&Secret::new(url)).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn each_form_is_read() {
        for (url, security, host, port, loopback) in [
            ("smtp://localhost:1025", Security::Opportunistic, "localhost", 1025, true),
            ("smtp://MX.example.com/", Security::Opportunistic, "mx.example.com", 25, false),
            ("smtps://u:p@smtp.example.com", Security::Implicit, "smtp.example.com", 465, false),
            ("smtp+starttls://u:p@smtp.example.com", Security::StartTls, "smtp.example.com", 587, false),
            ("smtp://[::1]:25", Security::Opportunistic, "::1", 25, true),
            ("smtp://127.1.2.3", Security::Opportunistic, "127.1.2.3", 25, true),
            ("smtp://10.0.0.1", Security::Opportunistic, "10.0.0.1", 25, false),
            ("smtp://localhost.example.com", Security::Opportunistic, "localhost.example.com", 25, false),
        ] {
            let read = parsed(url);
            assert_eq!((read.security, read.host.as_str(), read.port, read.loopback), (security, host, port, loopback));
            assert_eq!(read.credentials.is_some(), url.contains('@'), "{url}");
        }
    }

    #[test]
    fn user_and_password_are_decoded() {
        let read = parsed("smtps://me%40example.com:p%2F%23%3a100%@h");
        assert_eq!(read.credentials, Some(Credentials::new("me@example.com".into(), "p/#:100%".into())));
    }

    #[test]
    fn bad_ones_are_explained_without_their_secret() {
        for bad in [
            "",
            "secret",
            "secret@example.com",
            "http://u:secret@h",
            "smtp:secret",
            "smtp://",
            "smtps://u:secret@",
            "smtps://secret@h",
            "smtps://:secret@h",
            "smtps://u:se/cret@h",
            "smtp://h?secret",
            "smtp://u:secret%ff@h",
            "smtp://u:secret@ho st",
            "smtp://u:secret@h:99999",
        ] {
            let said = read(&Secret::new(bad)).err().unwrap_or_else(|| panic!("{bad}"));
            assert!(said.contains("smtps://USER:PASSWORD@HOST") && !said.contains("secret"), "{bad}: {said}");
        }
    }
}
