//! An HTTP server of its own on a port of this machine, for whoever can answer a request.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, PayloadConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::shutdown::Lifecycle;

/// The largest body that is taken, in bytes.
const BODY_MAX: usize = 4 << 20;
/// How long requests may take that are being answered when it stops, in seconds.
const GRACE_SECONDS: u64 = 1;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Without its query, as it stands in the URL.
    pub(super) path: String,
    pub(super) query: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Asked {
    /// The value of a header, whose name is given in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// An answer; names of headers in lower case.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// The end of the connection.
    Close,
}

impl Reply {
    /// An answer in plain text.
    pub(super) fn text(status: u16, text: &str) -> Self {
        let headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
        Self::Answer { status, headers, body: text.as_bytes().to_vec() }
    }
}

/// Whoever answers requests.
pub(super) trait Answers: Send + Sync + 'static {
    /// Answers one.
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Reply>;
}

/// A free port of this machine, taken and not yet served.
pub(super) struct Port {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Port {
    /// Takes one.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    /// Serves it until the process stops.
    ///
    /// # Errors
    /// Where the server cannot be started.
    pub(super) fn serve(self, whoever: Arc<dyn Answers>, life: &Lifecycle) -> io::Result<()> {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(Data::from(Arc::clone(&whoever)))
                .app_data(PayloadConfig::new(BODY_MAX))
                .default_service(web::to(handle))
        })
        .on_connect(|connection, extensions| {
            let stream = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
            // A second handle, by which the connection can be ended without an answer.
            if let Some(Ok(handle)) = stream.map(|stream| stream.as_fd().try_clone_to_owned()) {
                extensions.insert(TcpStream::from(handle));
            }
        })
        .workers(1)
        .shutdown_timeout(GRACE_SECONDS)
        .shutdown_signal(life.soft().clone().cancelled_owned())
        .listen(self.listener)?
        .run();
        let address = self.address;
        life.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, %address, "a simulated server failed");
            }
        });
        Ok(())
    }
}

async fn handle(request: HttpRequest, body: Bytes, whoever: Data<dyn Answers>) -> HttpResponse {
    let headers = request.headers().iter();
    let asked = Asked {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.query_string().to_owned(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body,
    };
    match whoever.answer(asked).await {
        Reply::Answer { status, headers, body } => {
            let mut answer = HttpResponse::build(StatusCode::from_u16(status).unwrap_or_default());
            for header in headers {
                answer.insert_header(header);
            }
            answer.body(body)
        }
        Reply::Close => {
            if let Some(connection) = request.conn_data::<TcpStream>() {
                // An error says that it is closed already.
                let _ = connection.shutdown(Shutdown::Both);
            }
            HttpResponse::InternalServerError().finish()
        }
    }
}
