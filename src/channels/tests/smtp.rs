//! A mail server on a real socket that keeps what it is sent and answers as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::egress::tests::server::spawn;

/// What it does with a line; the greeting is asked for with an empty one, the end of a mail with `.`.
pub(crate) enum Act {
    /// As a mail server that takes everything.
    Usual,
    /// This answer.
    Say(&'static str),
    /// The end of the connection.
    Drop,
    /// Nothing, and the connection stays.
    Stall,
}

type Script = fn(&str) -> Act;

#[derive(Default)]
struct Log {
    commands: Mutex<Vec<String>>,
    mails: Mutex<Vec<(String, Vec<u8>)>>,
}

/// The server; it ends with its value.
pub(crate) struct SmtpServer {
    pub(crate) address: SocketAddr,
    log: Arc<Log>,
    task: JoinHandle<()>,
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SmtpServer {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Log::default());
        let task = spawn(accept(listener, script, log.clone()));
        Self { address, log, task }
    }

    /// Every line that was not part of a mail.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.log.commands.lock().unwrap().clone()
    }

    /// The mails that were taken: recipient and text.
    pub(crate) fn mails(&self) -> Vec<(String, Vec<u8>)> {
        self.log.mails.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, script: Script, log: Arc<Log>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let log = log.clone();
        connections.spawn(async move {
            // A client that goes away ends the connection, which is what some tests are about.
            let _ = serve(BufReader::new(stream), script, &log).await;
        });
    }
}

async fn serve(mut stream: BufReader<TcpStream>, script: Script, log: &Log) -> std::io::Result<()> {
    let mut recipient = String::new();
    let mut line = String::new();
    let mut in_transaction = false;
    loop {
        let usual = match line.split([' ', ':']).next().unwrap_or_default() {
            "" => "220 test ESMTP",
            "EHLO" => "250-test\r\n250-AUTH PLAIN\r\n250 8BITMIME",
            "AUTH" => "235 welcome",
            "DATA" => "354 go on",
            "." => "250 2.0.0 queued",
            "QUIT" => "221 bye",
            "MAIL" if in_transaction => "503 nested MAIL",
            _ => "250 fine",
        };
        let answer = match script(&line) {
            Act::Usual => usual,
            Act::Say(answer) => answer,
            Act::Drop => return Ok(()),
            Act::Stall => return stream.read(&mut [0; 1]).await.map(drop),
        };
        match line.get(..4) {
            Some("MAIL") => in_transaction = true,
            Some("RSET") => in_transaction = false,
            _ if line == "." => in_transaction = false,
            _ => {}
        }
        if let Some(to) = line.strip_prefix("RCPT TO:") {
            recipient = to.trim_matches(['<', '>']).to_owned();
        }
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        line = if answer.starts_with("354") {
            let mail = read_mail(&mut stream).await?;
            // Kept where it is taken.
            if matches!(script("."), Act::Usual) {
                log.mails.lock().unwrap().push((recipient.clone(), mail));
            }
            ".".to_owned()
        } else {
            let line = read_line(&mut stream).await?;
            log.commands.lock().unwrap().push(line.clone());
            line
        };
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

async fn read_mail(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let start = mail.len();
        if stream.read_until(b'\n', &mut mail).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if &mail[start..] == b".\r\n" {
            mail.truncate(start);
            return Ok(mail);
        }
        if mail[start] == b'.' {
            mail.remove(start);
        }
    }
}
