//! A mail server that keeps what it is given and sends it nowhere.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::super::journal::{Journal, What};
use super::keep;
use super::smtp::{GREETING, Said, Session};
use crate::domain::clock::SharedClock;
use crate::shutdown::Lifecycle;

/// What it is called in the narration.
const NAME: &str = "mail";
/// The longest line, in bytes: far longer than any that a client may write (RFC 5321 §4.5.3.1.6).
const LINE_MAX: u64 = 64 << 10;

/// How long it rests when nobody can be accepted.
const REST: Duration = Duration::from_millis(100);

/// The server.
pub struct MailSink {
    /// Where it is, as `[email] smtp` takes it.
    pub smtp_url: String,
    clock: SharedClock,
    journal: Journal,
    received: Mutex<Vec<Mail>>,
}

/// A mail as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Headers and body.
    pub text: String,
}

impl Mail {
    /// The subject as it stands in the header, its lines joined.
    pub fn subject(&self) -> String {
        let mut lines = self.text.lines().take_while(|line| !line.is_empty()).peekable();
        while let Some(line) = lines.next() {
            let Some((name, value)) = line.split_once(':') else { continue };
            if !name.eq_ignore_ascii_case("subject") {
                continue;
            }
            let mut subject = value.trim().to_owned();
            while let Some(more) = lines.next_if(|line| line.starts_with([' ', '\t'])) {
                subject.push(' ');
                subject.push_str(more.trim());
            }
            return subject;
        }
        String::new()
    }
}

impl fmt::Debug for MailSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailSink").field("smtp_url", &self.smtp_url).finish_non_exhaustive()
    }
}

impl MailSink {
    /// Starts to listen. It needs a tokio runtime around it.
    ///
    /// # Errors
    /// Where no port of this machine can be listened on.
    pub fn start(clock: &SharedClock, journal: &Journal, life: &Lifecycle) -> io::Result<Arc<Self>> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let sink = Arc::new(Self {
            smtp_url: format!("smtp://{}", listener.local_addr()?),
            clock: Arc::clone(clock),
            journal: journal.clone(),
            received: Mutex::default(),
        });
        life.spawn(Arc::clone(&sink).accept(TcpListener::from_std(listener)?, life.clone()));
        Ok(sink)
    }

    /// What came, in order; of very much the newest.
    pub fn received(&self) -> Vec<Mail> {
        self.kept().clone()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Mail>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, life: Lifecycle) {
        loop {
            let stream = tokio::select! {
                () = life.soft().cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = stream else {
                // Whoever went away before it was accepted is not missed; a want of handles passes.
                tokio::time::sleep(REST).await;
                continue;
            };
            let (sink, soft) = (Arc::clone(&self), life.soft().clone());
            life.spawn(async move {
                tokio::select! {
                    () = soft.cancelled() => {}
                    // An error is the end of the connection, and the client knows it as well.
                    _ = sink.converse(stream) => {}
                }
            });
        }
    }

    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut session = Session::default();
        stream.write_all(format!("{GREETING}\r\n").as_bytes()).await?;
        loop {
            let mut line = Vec::new();
            (&mut stream).take(LINE_MAX).read_until(b'\n', &mut line).await?;
            if line.last() != Some(&b'\n') {
                return Ok(());
            }
            let line = String::from_utf8_lossy(&line);
            let (reply, is_over) = match session.line(line.trim_end_matches(['\r', '\n'])) {
                Said::Nothing => continue,
                Said::Reply(reply) => (reply, false),
                Said::Bye(reply) => (reply, true),
                Said::Taken(reply, mail) => {
                    self.keep(mail);
                    (reply, false)
                }
            };
            stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
            if is_over {
                return Ok(());
            }
        }
    }

    fn keep(&self, mail: Mail) {
        let line = format!("to {}: {}", mail.to.join(", "), mail.subject());
        self.journal.tell(self.clock.now(), What::Got { sink: NAME, line, taken: true });
        keep(&mut self.kept(), mail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_found_in_the_header_only() {
        let subject = |text: &str| Mail { from: String::new(), to: Vec::new(), text: text.to_owned() }.subject();
        assert_eq!(subject("From: a\r\nSUBJECT: one\r\n two\r\nTo: b\r\n\r\nx"), "one two");
        assert_eq!(subject("From: a\r\n\r\nSubject: not this"), "");
    }
}
