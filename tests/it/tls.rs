//! HTTPS in the binary, and what each listener shows to whom.

use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

use super::process::{KEY, Place, Service, TOKEN, evolink};
use super::wire::{self, Connection};

/// A pair of certificate and key, and a client that trusts it and no other.
struct Pair {
    cert: String,
    key: String,
    client: Arc<rustls::ClientConfig>,
}

fn pair() -> Pair {
    let CertifiedKey { cert, signing_key }: CertifiedKey<KeyPair> =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    // Who resumes a session is shown no certificate.
    client.resumption = rustls::client::Resumption::disabled();
    let client = Arc::new(client);
    Pair { cert: cert.pem(), key: signing_key.serialize_pem(), client }
}

fn serve(place: &Place) -> Service {
    place.serve_with(&[("CALLBOARD_LOG", "info")])
}

fn is_served(service: &Service, pair: &Pair) -> bool {
    let answer = Connection::open_tls(&service.url, &pair.client).unwrap().exchange("GET", "/healthz", &[], b"");
    // What is not the certificate that is trusted ends the handshake.
    match answer {
        Ok(answer) => answer.status() == 200,
        Err(error) => {
            assert!(error.to_string().contains("certificate"), "{error}");
            false
        }
    }
}

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
admin_key = "cbk_the-key-of-the-tests"
tls = { cert = "cert.pem", key = "key.pem" }
[sources.evolink]
provider = "evolink"
callback_token = "token-of-the-tests-0001"
"#;

#[test]
fn new_certificates_are_served_without_a_dropped_connection_and_wrong_ones_never() {
    let (old, new) = (pair(), pair());
    let place = Place::with(CONFIG);
    place.write("cert.pem", &old.cert);
    place.write("key.pem", &old.key);
    let service = serve(&place);
    assert!(service.url.starts_with("https://127.0.0.1:") && service.api.starts_with("https://"), "{}", service.url);
    let mut kept = Connection::open_tls(&service.url, &old.client).unwrap();
    let path = format!("/callbacks/evolink/{TOKEN}");
    assert_eq!(kept.exchange("POST", &path, &[], &evolink("task-1")).unwrap().json()["outcome"], "accepted");
    assert!(!is_served(&service, &new), "nobody has that certificate yet");

    // The certificate of one pair and the key of the other.
    place.write("cert.pem", &new.cert);
    let refused = "the new certificate is refused, the old one stays";
    let line = service.err.until(refused, |log| log.iter().find(|line| line.contains(refused)).cloned());
    assert!(line.contains("key.pem: it is not the key of cert.pem"), "{line}");
    assert!(is_served(&service, &old) && !is_served(&service, &new));

    place.write("key.pem", &new.key);
    let read_anew = "the certificate was read anew";
    service.err.until(read_anew, |log| log.iter().any(|line| line.contains(read_anew)).then_some(()));
    assert!(is_served(&service, &new) && !is_served(&service, &old));
    assert_eq!(kept.exchange("POST", &path, &[], &evolink("task-2")).unwrap().json()["outcome"], "accepted");

    // A file that is cut off in the middle of its replacement is no certificate.
    place.write("cert.pem", &new.cert[..40]);
    service.err.until("the cut-off certificate was refused", |log| {
        log.iter().any(|line| line.contains(refused) && !line.contains("key.pem")).then_some(())
    });
    assert!(is_served(&service, &new));
    assert_eq!(kept.exchange("GET", "/healthz", &[], b"").unwrap().status(), 200);
    service.stop();
}

#[test]
fn a_service_with_a_wrong_pair_does_not_start() {
    let place = Place::with(CONFIG);
    place.write("cert.pem", pair().cert);
    place.write("key.pem", pair().key);
    for command in ["check", "serve"] {
        let ran = place.run(&[command]);
        assert_eq!(ran.code, Some(2));
        assert_eq!(ran.err, "callboard.toml:5: server.tls: key.pem: it is not the key of cert.pem");
    }
}

#[test]
fn plain_http_gets_nothing_from_a_tls_port_and_does_it_no_harm() {
    let only = pair();
    let place = Place::with(CONFIG);
    place.write("cert.pem", &only.cert);
    place.write("key.pem", &only.key);
    let service = serve(&place);
    let plain = service.url.replace("https://", "http://");
    // At most it gets the TLS library's alert.
    let answer = wire::request("GET", &format!("{plain}/healthz"), &[], b"");
    assert!(answer.as_ref().map_or(true, |answer| !answer.first_line.contains("HTTP")), "{answer:?}");
    assert!(is_served(&service, &only));
    service.stop();
}

fn status(method: &str, base: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    wire::request(method, &format!("{base}{path}"), headers, b"{}").unwrap().status()
}

#[test]
fn what_manages_is_only_where_managers_reach_it() {
    let place = Place::with(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nmanage_listen = \"127.0.0.1:0\"\nadmin_key = \"{KEY}\"\n\
         [sources.evolink]\nprovider = \"evolink\"\ncallback_token = \"{TOKEN}\"\n"
    ));
    let service = place.serve();
    let (public, manage) = (service.url.clone(), service.api.trim_end_matches("/api/v1").to_owned());
    assert_ne!(public, manage);
    let bearer = service.bearer();
    let key = [("Authorization", bearer.as_str())];

    assert_eq!(service.post("evolink", &evolink("task-1")).json()["outcome"], "accepted");
    assert_eq!(service.list("/events").len(), 1);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status("GET", &public, path, &[]), 200);
        assert_eq!(status("GET", &manage, path, &[]), 200);
    }
    for path in ["/api/v1/events", "/api/v1/sources", "/metrics", "/openapi.json", "/docs", "/docs/style.css"] {
        assert_eq!(status("GET", &public, path, &key), 404, "{path} is not for everybody");
        assert_eq!(status("GET", &manage, path, &key), 200, "{path}");
    }
    assert_eq!(status("GET", &manage, "/metrics", &[]), 200);
    assert_eq!(status("GET", &manage, "/metrics", &[("X-Forwarded-For", "203.0.113.9")]), 200);
    for headers in [&[][..], &[("Authorization", "Bearer cbk_the-key-of-the-test")], &[("Authorization", KEY)]] {
        assert_eq!(status("GET", &manage, "/api/v1/events", headers), 401);
    }
    service.stop();
}

#[test]
fn metrics_are_for_this_machine_and_for_the_administrator() {
    let place = Place::with(&format!("[server]\nlisten = \"127.0.0.1:0\"\nadmin_key = \"{KEY}\"\n"));
    let service = place.serve();
    service.post("evolink", &evolink("task-1"));
    let metrics = wire::request("GET", &format!("{}/metrics", service.url), &[], b"").unwrap();
    assert_eq!(metrics.status(), 200);
    assert!(metrics.text().contains("callboard_"), "{}", metrics.text());
    let bearer = service.bearer();
    // Through a proxy on this machine everybody comes from this machine.
    for proxied in
        [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9"), ("Fly-Client-IP", "203.0.113.9")]
    {
        assert_eq!(status("GET", &service.url, "/metrics", &[proxied]), 401);
        assert_eq!(status("GET", &service.url, "/metrics", &[proxied, ("Authorization", &bearer)]), 200);
    }
    service.stop();
}
