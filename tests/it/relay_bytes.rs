//! The relay hands on what comes, byte for byte and as it comes, and nothing of ours goes where it should not.

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::app::{ADMIN_KEY, Answer, Db, TestApp, answer};
use super::sink::{Reply, Sink};

const OUR_KEY: &str = "sk-our-own-key";

/// A service with one source, whose provider is there.
async fn app(host: &str) -> TestApp {
    let config = format!(
        "[sources.evolink]\nprovider = \"evolink\"\nbase_url = \"http://{host}/base\"\napi_key = \"{OUR_KEY}\"\n\
         [sources.nowhere]\nprovider = \"api-in-one\"\n"
    );
    TestApp::new(Db::Sqlite, &config).await
}

fn relayed(app: &TestApp, method: &str, path: &str) -> reqwest::RequestBuilder {
    let request = app.client.request(method.parse().unwrap(), app.url(&format!("/relay{path}")));
    request.header("x-callboard-key", ADMIN_KEY)
}

async fn get(app: &TestApp, path: &str) -> Answer {
    answer(relayed(app, "GET", path)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_and_its_answer_are_passed_on_as_they_are() {
    let odd: Vec<u8> = (0..=255).collect();
    let body = odd.clone();
    let provider = Sink::scripted(move |_| {
        let headers = "x-their: one\r\nx-their: two\r\ncontent-encoding: br\r\nconnection: x-hop\r\nx-hop: 1\r\n";
        Reply::Answer(418, headers.to_owned(), body.clone())
    })
    .await;
    let app = app(&provider.host()).await;
    let request = relayed(&app, "PATCH", "/evolink/v9/a%2Fb/%E6%98%A5//c?b=%20&a&b=2")
        .header("authorization", "Basic dXNlcjpwYXNz")
        .header("x-callboard-metadata-order", "42")
        .header("accept-language", "de")
        .header("accept-language", "en")
        .header("content-type", "application/x-odd")
        .body(odd.clone());
    let got = answer(request).await.expect(418);
    assert_eq!(got.bytes, odd);
    let values: Vec<_> = got.headers.get_all("x-their").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(values, ["one", "two"]);
    assert_eq!((got.header("content-encoding"), got.header("x-hop")), (Some("br"), None));
    assert_eq!((got.header("content-length"), got.header("x-callboard-task")), (Some("256"), None));
    for ours in ["x-content-type-options", "cache-control", "referrer-policy", "content-type"] {
        assert_eq!(got.header(ours), None, "nothing of ours is added");
    }
    let asked = &provider.requests()[0];
    assert_eq!(asked.line, "PATCH /base/v9/a%2Fb/%E6%98%A5//c?b=%20&a&b=2");
    assert_eq!(asked.body, odd);
    for (name, value) in [
        ("authorization", Some("Basic dXNlcjpwYXNz")),
        ("host", Some(provider.host().as_str())),
        ("content-type", Some("application/x-odd")),
        ("content-length", Some("256")),
        ("accept-language", Some("de")),
        ("x-callboard-key", None),
        ("x-callboard-metadata-order", None),
    ] {
        assert_eq!(asked.header(name), value, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_key_goes_only_where_tasks_are_made_asked_for_or_cancelled() {
    let provider = Sink::start().await;
    let app = app(&provider.host()).await;
    let ours = format!("Bearer {OUR_KEY}");
    for (path, key) in [
        ("/v1/tasks/task-1", Some(ours.as_str())),
        ("/v1/tasks?page=2", Some(ours.as_str())),
        ("/v1/account/keys", None),
        ("/v1/tasks/a/b", None),
        ("//v1/tasks/task-1", None),
        ("/v1/%74asks/task-1", None),
    ] {
        get(&app, &format!("/evolink{path}")).await.expect(200);
        let asked = provider.requests().pop().unwrap();
        assert_eq!(asked.header("authorization"), key, "{path}");
    }
    let theirs = relayed(&app, "GET", "/evolink/v1/tasks/task-1").header("authorization", "Bearer theirs");
    answer(theirs).await.expect(200);
    assert_eq!(provider.requests().pop().unwrap().header("authorization"), Some("Bearer theirs"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_leads_out_of_the_providers_api() {
    let provider = Sink::start().await;
    let app = app(&provider.host()).await;
    // Sent as they are: a client that knows URLs would take the dots away before.
    for path in ["/../v1/tasks/x", "/a/../../x", "/%2e%2e/x", "/a/..%2f..%2fx", "/a/%252e%252e/x", "/v1/tasks/..;x"] {
        let mut stream = tokio::net::TcpStream::connect(app.address).await.unwrap();
        let request = format!(
            "GET /relay/evolink{path} HTTP/1.1\r\nhost: a\r\nx-callboard-key: {ADMIN_KEY}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).await.unwrap();
        assert!(got.starts_with("HTTP/1.1 422 "), "{path}: {got}");
    }
    assert_eq!(provider.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_relay_is_told_so() {
    let provider = Sink::start().await;
    let app = app(&provider.host()).await;
    let url = app.url("/relay/evolink/v1/tasks/a");
    for request in [
        app.client.get(&url),
        app.client.get(&url).header("x-callboard-key", "wrong"),
        app.client.get(&url).bearer_auth(ADMIN_KEY),
    ] {
        let refused = answer(request).await.expect(401);
        assert!(refused.text("detail").contains("X-Callboard-Key"));
        assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
    }
    get(&app, "/unknown/v1").await.expect(404);
    get(&app, "/evolink").await.expect(404);
    assert!(get(&app, "/nowhere/v1").await.expect(409).text("detail").contains("base_url"));
    assert_eq!(provider.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_not_there_is_a_bad_gateway() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let app = app(&free.to_string()).await;
    let refused = get(&app, "/evolink/v1/tasks/a").await.expect(502);
    assert!(refused.text("detail").contains(&free.to_string()), "{}", refused.body);
    let request = relayed(&app, "POST", "/evolink/v1/videos/generations").body("{}");
    answer(request).await.expect(502);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_is_no_json_is_passed_on_as_it_is() {
    let provider = Sink::scripted(|_| Reply::Answer(400, String::new(), b"not JSON\xff".to_vec())).await;
    let app = app(&provider.host()).await;
    let request = relayed(&app, "POST", "/evolink/v1/videos/generations").body(&b"\xff\x00"[..]);
    let refused = answer(request).await.expect(400);
    assert_eq!((refused.bytes.as_slice(), refused.header("x-callboard-task")), (&b"not JSON\xff"[..], None));
    assert_eq!(provider.requests()[0].body, b"\xff\x00");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_a_body_has_none() {
    let provider = Sink::scripted(|_| Reply::status(204)).await;
    let app = app(&provider.host()).await;
    let got = answer(relayed(&app, "DELETE", "/evolink/v1/x")).await.expect(204);
    assert_eq!(got.bytes, b"");
    assert_eq!(provider.requests()[0].header("content-length"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_says_how_long_the_body_would_be() {
    let provider = Sink::scripted(|_| Reply::Head("content-length: 42\r\n".into())).await;
    let app = app(&provider.host()).await;
    let got = answer(relayed(&app, "HEAD", "/evolink/v1/x")).await.expect(200);
    assert_eq!((got.header("content-length"), got.bytes.as_slice()), (Some("42"), &b""[..]));
    // The connection is as good as before.
    answer(relayed(&app, "HEAD", "/evolink/v1/x")).await.expect(200);
}

/// Both bodies are passed on while they come: neither side could go on otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_stream_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = app(&listener.local_addr().unwrap().to_string()).await;
    let provider = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut came = Vec::new();
        let mut until = async |stream: &mut tokio::net::TcpStream, end: &str| {
            while !String::from_utf8_lossy(&came).contains(end) {
                assert_ne!(stream.read_buf(&mut came).await.unwrap(), 0);
            }
        };
        until(&mut stream, "first of the client").await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}15\r\nfirst of the provider\r\n").as_bytes()).await.unwrap();
        until(&mut stream, "last of the client").await;
        until(&mut stream, "\r\n0\r\n\r\n").await;
        stream.write_all(b"14\r\nlast of the provider\r\n0\r\n\r\n").await.unwrap();
    });
    let (pieces, body) = mpsc::unbounded_channel::<Bytes>();
    let body = futures_util::stream::unfold(body, |mut body| async move {
        body.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), body))
    });
    let request = relayed(&app, "PUT", "/evolink/v1/files").body(reqwest::Body::wrap_stream(body));
    pieces.send(Bytes::from("first of the client")).unwrap();
    let mut got = request.send().await.unwrap().bytes_stream();
    assert_eq!(got.next().await.unwrap().unwrap(), "first of the provider");
    pieces.send(Bytes::from("last of the client")).unwrap();
    drop(pieces);
    assert_eq!(got.next().await.unwrap().unwrap(), "last of the provider");
    assert!(got.next().await.is_none());
    provider.await.unwrap();
}

/// A client that breaks off must not leave a request behind that looks whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_breaks_off_is_broken_off_at_the_provider_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = app(&listener.local_addr().unwrap().to_string()).await;
    let mut client = tokio::net::TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "POST /relay/evolink/v1/files HTTP/1.1\r\nhost: a\r\nx-callboard-key: {ADMIN_KEY}\r\n\
         transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut provider, _) = listener.accept().await.unwrap();
    let mut came = Vec::new();
    while !came.ends_with(b"half\r\n") {
        assert_ne!(provider.read_buf(&mut came).await.unwrap(), 0);
    }
    drop(client);
    // An error says the same as the end of the stream: it is broken off.
    while provider.read_buf(&mut came).await.unwrap_or(0) > 0 {}
    assert!(came.ends_with(b"half\r\n"), "{}", String::from_utf8_lossy(&came));
}
