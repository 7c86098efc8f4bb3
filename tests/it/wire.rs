//! HTTP/1.1 as bytes on a socket, from the client's side and from the server's: a client of the
//! service's own library would share its mistakes.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::described::{Answered, hold};

/// A socket that says nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(30);

/// A request or an answer: its first line, its headers, its body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) first_line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn path(&self) -> &str {
        self.first_line.split(' ').nth(1).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Reads one message; `None` where the other side has gone away before one.
pub(crate) fn read(stream: &mut impl BufRead) -> Result<Option<Message>> {
    let Some(first_line) = line(stream)? else { return Ok(None) };
    let mut message = Message { first_line, ..Message::default() };
    while let Some(header) = line(stream)?.filter(|line| !line.is_empty()) {
        let (name, value) = header.split_once(':').ok_or(ErrorKind::InvalidData)?;
        message.headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let length = message.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    message.body.resize(length, 0);
    stream.read_exact(&mut message.body)?;
    Ok(Some(message))
}

fn line(stream: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// What can be read and written.
pub(crate) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// One connection to the service, kept alive.
pub(crate) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    host: String,
}

impl Connection {
    /// `http` only.
    pub(crate) fn open(url: &str) -> Result<Self> {
        let url = Url::parse(url).unwrap();
        let socket = socket(&url)?;
        Ok(Self::over(Box::new(socket), &url))
    }

    /// `https`, trusting what `config` trusts.
    pub(crate) fn open_tls(url: &str, config: &Arc<rustls::ClientConfig>) -> Result<Self> {
        let url = Url::parse(url).unwrap();
        let socket = socket(&url)?;
        let name = url.host_str().unwrap().to_owned().try_into().unwrap();
        let client = rustls::ClientConnection::new(Arc::clone(config), name).map_err(Error::other)?;
        Ok(Self::over(Box::new(rustls::StreamOwned::new(client, socket)), &url))
    }

    fn over(stream: Box<dyn Stream>, url: &Url) -> Self {
        Self { stream: BufReader::new(stream), host: url.authority().to_owned() }
    }

    /// Sends a request and reads its answer.
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Message> {
        let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host).into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        let stream = self.stream.get_mut();
        stream.write_all(&bytes)?;
        stream.flush()?;
        let answer = read(&mut self.stream)?.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
        // Relayed answers are the provider's; this header is on each answer of the service.
        if answer.header("referrer-policy").is_some() {
            let (status, content_type) = (answer.status(), answer.header("content-type"));
            hold(&Answered { method, path, status, content_type, body: &answer.body });
        }
        Ok(answer)
    }
}

fn socket(url: &Url) -> Result<TcpStream> {
    let socket = TcpStream::connect((url.host_str().unwrap(), url.port_or_known_default().unwrap()))?;
    socket.set_read_timeout(Some(SILENCE))?;
    socket.set_write_timeout(Some(SILENCE))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// One request on a connection of its own. `url` is whole, with path and query.
pub(crate) fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Message> {
    let mut connection = Connection::open(url)?;
    connection.exchange(method, path_of(url), headers, body)
}

/// Posts JSON, as a provider does.
pub(crate) fn post(url: &str, body: &[u8]) -> Message {
    request("POST", url, &[("Content-Type", "application/json")], body).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// Path and query of a URL, as they are written.
pub(crate) fn path_of(url: &str) -> &str {
    let behind_scheme = url.find("://").map_or(0, |at| at + 3);
    url[behind_scheme..].find('/').map_or("/", |at| &url[behind_scheme + at..])
}
