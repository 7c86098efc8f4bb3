//! The way to the operator's mail server. Its address comes from the configuration file and is not
//! judged by `egress`.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;

use super::smtp_url::{self, Security, SmtpServer};
use crate::domain::secret::Secret;

/// A good-bye may take so long; the mail is delivered by then.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// How mail leaves: the server of `[email] smtp` and the sender's mailbox.
pub struct Mailer {
    server: SmtpServer,
    /// `None` where TLS is never spoken.
    tls: Option<TlsParameters>,
    from: Mailbox,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SmtpServer { host, port, security, .. } = &self.server;
        write!(f, "Mailer({security:?}, {host}:{port}, from {})", self.from.email)
    }
}

impl Mailer {
    /// Reads `[email]`. `smtp_url` is one of
    /// - `smtp://[user:password@]host[:25]`: with STARTTLS where the server offers it, but plain on this
    ///   machine. User and password are never sent in the clear to another machine; without them the
    ///   certificate is not verified, because who could forge it could as well hide the offer.
    /// - `smtp+starttls://…[:587]`: with STARTTLS or not at all.
    /// - `smtps://…[:465]`: TLS from the first byte.
    ///
    /// # Errors
    /// What is wrong and how it is written right, without the URL: it holds a password.
    pub fn new(smtp_url: &Secret, from: &str) -> Result<Self, String> {
        let server = smtp_url::read(smtp_url)?;
        let from = mailbox(from).map_err(|problem| format!("`from` {problem}"))?;
        let tls = match server.security {
            Security::Opportunistic if server.loopback => None,
            security => {
                let unverified = security == Security::Opportunistic && server.credentials.is_none();
                let tls = TlsParametersBuilder::new(server.host.clone())
                    .dangerous_accept_invalid_certs(unverified)
                    .dangerous_accept_invalid_hostnames(unverified);
                Some(tls.build().map_err(|error| format!("TLS cannot be used for mail: {error}"))?)
            }
        };
        Ok(Self { server, tls, from })
    }

    /// Connects and logs in, and sends nothing.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub async fn check(&self, timeout: Duration) -> Result<(), String> {
        let talk = async {
            self.connect().await?.quit().await;
            Ok(())
        };
        let ended = tokio::time::timeout(timeout, talk).await;
        ended.unwrap_or_else(|_| Err(self.late(timeout))).map_err(|trouble| trouble.reason)
    }

    /// The sender's mailbox.
    pub(super) fn from(&self) -> &Mailbox {
        &self.from
    }

    /// That the deadline came first.
    pub(super) fn late(&self, timeout: Duration) -> Trouble {
        Trouble::connection(format!("no answer from {} within {} s", self.place(), timeout.as_secs_f64()))
    }

    fn place(&self) -> String {
        format!("mail server {}:{}", self.server.host, self.server.port)
    }

    /// A connection that is ready for mail. There is no pool: a send that its deadline cuts off would
    /// go back to it half done, and the next mail would read the answers of the last.
    pub(super) async fn connect(&self) -> Result<Connection, Trouble> {
        let hello = ClientId::default();
        let implicit = self.tls.clone().filter(|_| self.server.security == Security::Implicit);
        let address = (self.server.host.as_str(), self.server.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(address, None, &hello, implicit, None).await;
        let mut smtp = connecting.map_err(|error| self.trouble("the connection", &error))?;
        if let Some(tls) = self.tls.clone().filter(|_| !smtp.is_encrypted()) {
            if smtp.can_starttls() {
                smtp.starttls(tls, &hello).await.map_err(|error| self.trouble("STARTTLS", &error))?;
            } else if self.server.security == Security::StartTls {
                return Err(Trouble::connection(format!("{} does not offer STARTTLS, nothing was sent", self.place())));
            }
        }
        if let Some(credentials) = &self.server.credentials {
            if !self.server.loopback && !smtp.is_encrypted() {
                let place = self.place();
                return Err(Trouble::connection(format!("{place} offers no TLS, user and password were not sent")));
            }
            smtp.auth(DEFAULT_MECHANISMS, credentials)
                .await
                .map_err(|error| self.trouble("user and password", &error))?;
        }
        Ok(Connection { smtp, place: self.place() })
    }

    /// Before the first recipient every trouble is the connection's, even a permanent refusal: the
    /// operator can mend it, and the mail is then still wanted.
    fn trouble(&self, stage: &str, error: &Error) -> Trouble {
        Trouble { fault: Fault::Connection, ..Trouble::of(&self.place(), stage, error) }
    }
}

/// Reads a mailbox, `ops@example.com` or `Ops <ops@example.com>`. Says what is wrong with it.
pub(super) fn mailbox(text: &str) -> Result<Mailbox, String> {
    let wrong = |why: &str| {
        format!("`{}` is not a mail address{why}: write ops@example.com or Ops <ops@example.com>", text.escape_debug())
    };
    if text.chars().any(char::is_control) {
        return Err(wrong(" (it has a control character)"));
    }
    let mailbox: Mailbox = text.trim().parse().map_err(|_| wrong(""))?;
    // Not every server takes others (RFC 6531), and which ones do shows only when a mail is lost.
    if !mailbox.email.to_string().is_ascii() {
        return Err(wrong(" of ASCII characters (a domain can be written as xn--…)"));
    }
    Ok(mailbox)
}

/// Whose fault it was, and so what is left to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nothing more can be sent on this connection.
    Connection,
    /// This mail did not go this time.
    Mail,
    /// The server will never take this mail for this recipient.
    Recipient,
}

/// What went wrong.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) fault: Fault,
    /// For people.
    pub(super) reason: String,
    /// The SMTP code, where the server gave one.
    pub(super) code: Option<u16>,
    /// The server's words.
    pub(super) said: String,
}

impl Trouble {
    fn connection(reason: String) -> Self {
        Self { fault: Fault::Connection, reason, code: None, said: String::new() }
    }

    fn of(place: &str, stage: &str, error: &Error) -> Self {
        let code = error.status().map(u16::from);
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        let reason = match code {
            Some(code) => format!("{place} answered {code} to {stage}"),
            None if error.is_response() => format!("{place} broke off, or does not speak SMTP, at {stage}"),
            None => format!("{place} failed at {stage}: {cause}"),
        };
        let fault = match code {
            // 421 (RFC 5321 §4.2.3): the server closes the connection, whatever it was asked.
            None | Some(421) => Fault::Connection,
            Some(_) => Fault::Mail,
        };
        Self { fault, reason, code, said: code.map(|_| cause).unwrap_or_default() }
    }
}

/// A connection to the mail server, logged in.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    place: String,
}

impl Connection {
    /// One mail to one recipient. The code and words with which the server took it.
    pub(super) async fn transmit(
        &mut self,
        from: &Mailbox,
        to: &Address,
        mail: &[u8],
    ) -> Result<(u16, String), Trouble> {
        let said = self.transaction(from, to, mail).await;
        if let Err(trouble) = &said
            && trouble.fault != Fault::Connection
            && let Err(error) = self.smtp.command(Rset).await
        {
            // The recipient's own trouble stays the one that is told; the next one finds the
            // connection broken.
            tracing::debug!(place = self.place, %error, "RSET failed");
        }
        said
    }

    async fn transaction(&mut self, from: &Mailbox, to: &Address, mail: &[u8]) -> Result<(u16, String), Trouble> {
        let place = self.place.clone();
        let trouble = |stage: &str, error: &Error| Trouble::of(&place, stage, error);
        let for_recipient = |stage: &str, error: &Error| {
            let trouble = Trouble::of(&place, stage, error);
            if error.is_permanent() { Trouble { fault: Fault::Recipient, ..trouble } } else { trouble }
        };
        let mail_from = Mail::new(Some(from.email.clone()), vec![]);
        self.smtp.command(mail_from).await.map_err(|error| trouble("the sender", &error))?;
        let recipient = Rcpt::new(to.clone(), vec![]);
        self.smtp.command(recipient).await.map_err(|error| for_recipient("the recipient", &error))?;
        self.smtp.command(Data).await.map_err(|error| for_recipient("DATA", &error))?;
        let taken = self.smtp.message(mail).await.map_err(|error| for_recipient("the mail", &error))?;
        let said: Vec<&str> = taken.message().collect();
        Ok((taken.code().into(), said.join("\n")))
    }

    /// Says good-bye; what the server makes of it changes nothing.
    pub(super) async fn quit(mut self) {
        let _ = tokio::time::timeout(QUIT_TIMEOUT, self.smtp.quit()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::thread::JoinHandle;

    use super::*;
    use crate::channels::tests::smtp::{Act, SmtpServer};
    use crate::egress::tests::server::dead_port;
    use crate::egress::tests::tls;

    const AMPLE: Duration = Duration::from_secs(10);

    fn mailer(scheme: &str, port: u16) -> Mailer {
        Mailer::new(&Secret::new(format!("{scheme}://secret-user:secret-password@127.0.0.1:{port}")), "a@example.com")
            .unwrap()
    }

    /// As if it were on another machine.
    fn far(mut mailer: Mailer) -> Mailer {
        mailer.server.loopback = false;
        mailer
    }

    #[tokio::test]
    async fn a_check_logs_in_and_sends_nothing() {
        let server = SmtpServer::start(|_| Act::Usual).await;
        assert_eq!(mailer("smtp", server.address.port()).check(AMPLE).await, Ok(()));
        let verbs: Vec<String> = server.commands().iter().map(|line| line.chars().take(4).collect()).collect();
        assert_eq!(verbs, ["EHLO", "AUTH", "QUIT"]);
        let said = mailer("smtp", dead_port()).check(AMPLE).await.unwrap_err();
        assert!(said.contains("127.0.0.1") && said.contains("refused") && !said.contains("secret"), "{said}");
    }

    #[tokio::test]
    async fn no_password_and_no_mail_goes_in_the_clear_where_tls_is_withheld() {
        let withheld = SmtpServer::start(|_| Act::Usual).await;
        let port = withheld.address.port();
        let said = far(mailer("smtp", port)).check(AMPLE).await.unwrap_err();
        assert!(said.contains("were not sent"), "{said}");
        let said = mailer("smtp+starttls", port).check(AMPLE).await.unwrap_err();
        assert!(said.contains("does not offer STARTTLS"), "{said}");
        assert!(
            withheld.commands().iter().all(|line| line.starts_with("EHLO") || line == "QUIT"),
            "{:?}",
            withheld.commands()
        );

        let broken: fn(&str) -> Act = |line| match line {
            "STARTTLS" => Act::Say("454 not now"),
            line if line.starts_with("EHLO") => Act::Say("250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN"),
            _ => Act::Usual,
        };
        let broken = SmtpServer::start(broken).await;
        let said = far(mailer("smtp+starttls", broken.address.port())).check(AMPLE).await.unwrap_err();
        assert!(said.contains("answered 454 to STARTTLS"), "{said}");
        assert!(broken.commands().iter().all(|line| !line.starts_with("AUTH")), "{:?}", broken.commands());
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_vouches_for_is_refused() {
        let port = tls::serve(&tls::certificate("127.0.0.1", false));
        let said = mailer("smtps", port).check(AMPLE).await.unwrap_err();
        assert!(said.contains("certificate") && !said.contains("secret"), "{said}");
    }

    /// A mail server that turns to TLS after STARTTLS. What it heard, before and after.
    fn starttls_server() -> (u16, JoinHandle<[Vec<String>; 2]>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connection = tls::connection(&tls::certificate("127.0.0.1", false));
        let heard = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(b"220 test\r\n").unwrap();
            let before = talk(&mut socket);
            [before, talk(&mut rustls::StreamOwned::new(connection, socket))]
        });
        (port, heard)
    }

    /// Answers commands until the client starts TLS or goes away.
    fn talk(stream: &mut (impl Read + Write)) -> Vec<String> {
        let mut heard = Vec::new();
        let mut line = Vec::new();
        let mut byte = [0];
        // Byte by byte, so that nothing of the handshake is read with the line before it.
        while matches!(stream.read(&mut byte), Ok(1)) {
            line.push(byte[0]);
            if byte[0] != b'\n' {
                continue;
            }
            let command = String::from_utf8(std::mem::take(&mut line)).unwrap();
            let answer: &[u8] = if command.starts_with("EHLO") {
                b"250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"
            } else {
                b"220 fine\r\n"
            };
            // The client may be gone after QUIT.
            let _ = stream.write_all(answer);
            heard.push(command.chars().take(4).collect());
            if command == "STARTTLS\r\n" {
                break;
            }
        }
        heard
    }

    #[tokio::test]
    async fn an_offer_of_starttls_is_taken_and_a_password_asks_for_a_good_certificate() {
        let (port, heard) = starttls_server();
        let mut anonymous =
            Mailer::new(&Secret::new(format!("smtp://mail.example.com:{port}")), "a@example.com").unwrap();
        // A name that leads here, as far as the test can have one.
        anonymous.server.host = "127.0.0.1".to_owned();
        assert_eq!(anonymous.check(AMPLE).await, Ok(()));
        assert_eq!(heard.join().unwrap(), [&["EHLO", "STAR"][..], &["EHLO", "QUIT"]]);

        let (port, heard) = starttls_server();
        let said = mailer("smtp+starttls", port).check(AMPLE).await.unwrap_err();
        assert!(said.contains("certificate"), "{said}");
        assert_eq!(heard.join().unwrap(), [&["EHLO", "STAR"][..], &[]]);
    }

    #[test]
    fn it_does_not_show_its_password() {
        let shown = format!("{:?}", mailer("smtps", 465));
        assert_eq!(shown, "Mailer(Implicit, 127.0.0.1:465, from a@example.com)");
    }
}
