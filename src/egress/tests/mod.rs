use std::time::Instant;

use super::*;

pub(crate) mod server;
pub(crate) mod tls;

use server::{Reply, Server};

/// Longer than anything here takes that is not meant to time out.
const AMPLE: Duration = Duration::from_secs(10);

fn loopback() -> Vec<IpNet> {
    vec!["127.0.0.0/8".parse().unwrap()]
}

/// An egress for which every name has these addresses.
fn with_names(allow: Vec<IpNet>, addresses: &[&str]) -> Egress {
    let addresses: Vec<SocketAddr> =
        addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
    let lookup: Lookup = Arc::new(move |_| {
        let found = addresses.clone();
        Box::pin(async move { Ok(found) })
    });
    Egress::with(Rules::Outside { allow }, lookup, &[])
}

async fn post(egress: &Egress, url: &str, timeout: Duration) -> Result<Answer, EgressError> {
    let url = Url::parse(url).unwrap();
    let request =
        Post { url: &url, headers: vec![("content-type", "application/json".into())], body: Bytes::from_static(b"{}") };
    egress.post(request, timeout).await
}

#[test]
fn urls_are_read_and_bad_ones_refused_without_their_secrets() {
    let egress = Egress::new(vec![]);
    for good in ["https://hooks.example.com/a?b=c", "http://example.com:8080", "https://8.8.8.8/", "http://localhost/"]
    {
        assert!(egress.check_url(good).is_ok(), "{good}");
    }
    for (bad, expected) in [
        ("secret", "not a URL"),
        ("http://", "not a URL"),
        ("ftp://example.com/secret", "`ftp:`"),
        ("https://secret@example.com/", "user or password"),
        ("https://:secret@example.com/", "user or password"),
        ("http://127.0.0.1/secret", "127.0.0.1 leads to 127.0.0.1, a loopback address; add it to `egress.allow`"),
        ("http://2130706433:81/secret", "127.0.0.1:81 leads to 127.0.0.1, a loopback"),
        ("http://0x7f.1/secret", "a loopback address"),
        ("http://127.0.0.1./secret", "a loopback address"),
        ("http://１２７.0.0.1/secret", "a loopback address"),
        ("http://[::1]/secret", "a loopback address"),
        ("http://[::ffff:169.254.169.254]/secret", "a link-local address"),
        ("http://[fd00:ec2::254]/secret", "a private address"),
    ] {
        let said = egress.check_url(bad).unwrap_err().to_string();
        assert!(said.contains(expected), "{bad}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn what_is_allowed_is_allowed_in_each_spelling_and_nothing_beside_it() {
    let egress = Egress::new(loopback());
    assert!(egress.check_url("http://127.0.0.1/").is_ok());
    assert!(egress.check_url("http://[::ffff:127.0.0.1]/").is_ok());
    for other in ["http://[::1]/", "http://10.0.0.1/", "http://[64:ff9b::127.0.0.1]/"] {
        assert!(egress.check_url(other).is_err(), "{other}");
    }
}

#[tokio::test]
async fn an_inside_address_is_never_connected_to() {
    let server = Server::start(Reply::Answer(200, "", "inside")).await;
    let port = server.address.port();
    let literal = post(&Egress::new(vec![]), &format!("http://127.0.0.1:{port}/"), AMPLE).await;
    let mapped = post(&Egress::new(vec![]), &format!("http://[::ffff:127.0.0.1]:{port}/"), AMPLE).await;
    let name = post(&Egress::new(vec![]), &format!("http://localhost:{port}/"), AMPLE).await;
    // Rebinding: a public address beside an inside one.
    let mixed = with_names(vec![], &["127.0.0.1", "93.184.216.34"]);
    let mixed = post(&mixed, &format!("http://rebind.example:{port}/"), AMPLE).await;
    for refused in [literal, mapped, name, mixed] {
        let error = refused.unwrap_err();
        assert!(matches!(error, EgressError::Refused(Refused::Inside { .. })), "{error:?}");
        assert!(error.to_string().contains("`egress.allow`"), "{error}");
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(
        post(&with_names(loopback(), &["127.0.0.1"]), &format!("http://any.example:{port}/"), AMPLE)
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_its_target_hears_nothing() {
    let target = Server::start(Reply::Answer(200, "", "reached")).await;
    let to = format!("location: http://{}/\r\n", target.address);
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start(Reply::Answer(status, to.clone().leak(), "")).await;
        assert_eq!(post(&Egress::new(loopback()), &server.url(), AMPLE).await.unwrap().status, status);
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn one_deadline_covers_head_and_body() {
    let limit = Duration::from_millis(300);
    for reply in [
        Reply::Hang,
        Reply::Drip("HTTP/1.1 2"),
        Reply::Drip("HTTP/1.1 200 OK\r\nx-header: "),
        Reply::Drip("HTTP/1.1 200 OK\r\ncontent-length: 16000\r\n\r\n"),
    ] {
        let server = Server::start(reply.clone()).await;
        let start = Instant::now();
        let error = post(&Egress::new(loopback()), &server.url(), limit).await.unwrap_err();
        assert!(matches!(error, EgressError::Timeout { .. }), "{reply:?}: {error:?}");
        assert!(error.to_string().ends_with("within 0.3 s"), "{error}");
        assert!((limit..AMPLE / 2).contains(&start.elapsed()), "{reply:?}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_large_answer_is_cut_and_its_connection_closed() {
    let server = Server::start(Reply::Endless).await;
    let answer = post(&Egress::new(loopback()), &server.url(), AMPLE).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, RESPONSE_BYTES_MAX));
    server.closed().await;
}

#[tokio::test]
async fn a_compressed_answer_stays_as_it_is() {
    let server = Server::start(Reply::Answer(200, "content-encoding: gzip\r\n", "not inflated")).await;
    let answer = post(&Egress::new(loopback()), &server.url(), AMPLE).await.unwrap();
    assert_eq!(answer.body, b"not inflated");
    assert_eq!(server.requests()[0].header("accept-encoding"), None);
}

#[tokio::test]
async fn what_breaks_is_named_without_the_url() {
    let nobody = format!("http://127.0.0.1:{}/secret-path?token=secret-query", server::dead_port());
    let no_names = with_names(loopback(), &[]);
    let fails: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::other("secret")) }));
    let no_lookup = Egress::with(Rules::Outside { allow: loopback() }, fails, &[]);
    let cut = Server::start(Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")).await;
    let early = Server::start(Reply::Raw("")).await;
    let other = Server::start(Reply::Raw("SSH-2.0-OpenSSH_9.2\r\n")).await;
    let egress = Egress::new(loopback());
    let secret = "http://none.example/secret-path?token=secret-query";
    for (egress, url, expected) in [
        (&egress, nobody.as_str(), "no connection to 127.0.0.1"),
        (&no_names, secret, "the name none.example could not be found"),
        (&no_lookup, secret, "the name none.example could not be found"),
        (&egress, &cut.url(), "broke off"),
        (&egress, &early.url(), "broke off"),
        (&egress, &other.url(), "broke off"),
    ] {
        let error = post(egress, url, AMPLE).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    assert_eq!(early.requests().len(), 1, "nothing is sent twice");
}

#[tokio::test]
async fn retry_after_comes_back_as_it_was_sent() {
    let server = Server::start(Reply::Answer(429, "Retry-After: 7\r\n", "")).await;
    let answer = post(&Egress::new(loopback()), &server.url(), AMPLE).await.unwrap();
    assert_eq!((answer.status, answer.retry_after.as_deref()), (429, Some("7")));
}

fn question<'a>(method: &'static str, url: &'a Url, body_max: usize) -> Ask<'a> {
    Ask { method, url, headers: vec![("authorization", "Bearer key".into())], body: None, body_max }
}

#[tokio::test]
async fn a_question_goes_out_with_its_method_headers_and_body() {
    let server = Server::start(Reply::Answer(200, "retry-after: 3\r\n", "{\"status\":\"completed\"}")).await;
    let url = Url::parse(&format!("http://{}/v1/tasks/a?b=c", server.address)).unwrap();
    let egress = Egress::new(loopback());
    let answer = egress.ask(question("GET", &url, 1024), AMPLE).await.unwrap();
    assert_eq!(answer.body, b"{\"status\":\"completed\"}");
    assert_eq!(answer.retry_after.as_deref(), Some("3"));
    let body = Some(Bytes::from_static(b"{}"));
    egress.ask(Ask { body, ..question("DELETE", &url, 1024) }, AMPLE).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].line, "GET /v1/tasks/a?b=c");
    assert_eq!(requests[0].header("authorization"), Some("Bearer key"));
    assert_eq!((requests[0].body.as_slice(), requests[0].header("content-length")), (&b""[..], None));
    assert_eq!((requests[1].line.as_str(), requests[1].body.as_slice()), ("DELETE /v1/tasks/a?b=c", &b"{}"[..]));
}

#[tokio::test]
async fn of_an_answer_no_more_is_read_than_was_asked_for() {
    let server = Server::start(Reply::Endless).await;
    let url = Url::parse(&server.url()).unwrap();
    for body_max in [0, 10, 100_000] {
        let answer = Egress::new(loopback()).ask(question("GET", &url, body_max), AMPLE).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, body_max));
        server.closed().await;
    }
}

#[tokio::test]
async fn a_question_is_guarded_as_a_post_is() {
    let server = Server::start(Reply::Answer(200, "", "inside")).await;
    let by_name = format!("http://name.example:{}/", server.address.port());
    for (egress, url) in [(Egress::new(vec![]), server.url()), (with_names(vec![], &["127.0.0.1"]), by_name)] {
        let error = egress.ask(question("GET", &Url::parse(&url).unwrap(), 10), AMPLE).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused(Refused::Inside { .. })), "{error:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_operators_own_urls_may_be_inside_and_are_bounded_all_the_same() {
    let target = Server::start(Reply::Answer(200, "", "reached")).await;
    let to = format!("location: http://{}/\r\n", target.address);
    let server = Server::start(Reply::Answer(307, to.leak(), "")).await;
    let egress = Egress::operators();
    let by_name = server.url().replace("127.0.0.1", "localhost");
    for url in [server.url(), by_name] {
        let answer = egress.ask(question("GET", &Url::parse(&url).unwrap(), 10), AMPLE).await.unwrap();
        assert_eq!(answer.status, 307);
    }
    assert_eq!((server.requests().len(), target.connections()), (2, 0));
    let hung = Server::start(Reply::Hang).await;
    let limit = Duration::from_millis(200);
    let error = egress.ask(question("GET", &Url::parse(&hung.url()).unwrap(), 10), limit).await.unwrap_err();
    assert!(matches!(error, EgressError::Timeout { .. }), "{error:?}");
    assert!(egress.check_url("ftp://127.0.0.1/").is_err() && egress.check_url("http://u:p@127.0.0.1/").is_err());
}
