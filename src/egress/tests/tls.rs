use std::io::{Read, Write};
use std::net::TcpListener;

use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

/// The server's side of a TLS connection with this certificate.
pub(crate) fn connection(certified: &CertifiedKey<KeyPair>) -> rustls::ServerConnection {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![certified.cert.der().clone()];
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    rustls::ServerConnection::new(Arc::new(config)).unwrap()
}

/// A TLS server that answers one request with 200; for what the client makes of its certificate.
pub(crate) fn serve(certified: &CertifiedKey<KeyPair>) -> u16 {
    let connection = connection(certified);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = rustls::StreamOwned::new(connection, socket);
        // A client that refuses the certificate breaks off here; the test sees its side of it.
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    });
    port
}

pub(crate) fn certificate(name: &str, expired: bool) -> CertifiedKey<KeyPair> {
    let signing_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    }
    let cert = params.self_signed(&signing_key).unwrap();
    CertifiedKey { cert, signing_key }
}

fn trusting(certified: &CertifiedKey<KeyPair>) -> Egress {
    let root = reqwest::Certificate::from_der(certified.cert.der()).unwrap();
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Ok(vec!["127.0.0.1:0".parse().unwrap()]) }));
    Egress::with(Rules::Outside { allow: loopback() }, lookup, &[root])
}

#[tokio::test]
async fn a_good_certificate_is_taken_and_bad_ones_are_named() {
    let good = certificate("hooks.example", false);
    let answer = post(&trusting(&good), &format!("https://hooks.example:{}/", serve(&good)), AMPLE).await;
    assert_eq!(answer.unwrap().status, 200);

    let expired = certificate("hooks.example", true);
    let other = certificate("other.example", false);
    let stranger = certificate("hooks.example", false);
    for (trusted, served, expected) in [
        (&good, &stranger, "invalid peer certificate"),
        (&expired, &expired, "expired"),
        (&other, &other, "not valid for name"),
    ] {
        let url = format!("https://hooks.example:{}/secret-path", serve(served));
        let error = post(&trusting(trusted), &url, AMPLE).await.unwrap_err();
        assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(expected) && !said.contains("secret"), "{said}");
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_ends_at_the_deadline() {
    let server = Server::start(Reply::Hang).await;
    let url = server.url().replace("http://", "https://");
    let error = post(&Egress::new(loopback()), &url, Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, EgressError::Timeout { .. }), "{error:?}");
}
