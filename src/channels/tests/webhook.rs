use standardwebhooks::Webhook;

use super::*;

const OTHER: &str = "whsec_c2VjcmV0LXNpZ25pbmcta2V5LXR3bw==";

fn sender(url: &str, secrets: Value) -> Arc<dyn Sender> {
    let settings = settings(json!({"url": url, "secret": secrets}));
    channel("webhook").unwrap().parse(&settings, &house(None)).unwrap()
}

#[tokio::test]
async fn the_public_library_verifies_each_secret() {
    let server = Server::start(Reply::Answer(204, "", "")).await;
    let body = format!(" {}\n", events::task_of("春 <b>"));
    let mut message = message(EventType::TaskCompleted, body.clone());
    for secrets in [json!(SECRET), json!([OTHER, SECRET])] {
        let report = sender(&server.url(), secrets).send(&message).await;
        assert_eq!((report.outcome, report.status_code), (Outcome::Delivered, Some(204)));
    }
    message.replay_id = Some("rpl_1".to_owned());
    sender(&server.url(), json!(OTHER)).send(&message).await;
    let requests = server.requests();
    for (request, good, bad) in [
        (&requests[0], SECRET, Some(OTHER)),
        (&requests[1], SECRET, None),
        (&requests[1], OTHER, None),
        (&requests[2], OTHER, Some(SECRET)),
    ] {
        let mut headers = reqwest::header::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, request.header(name).unwrap().parse().unwrap());
        }
        Webhook::new(good).unwrap().verify(&request.body, &headers).unwrap();
        assert!(bad.is_none_or(|bad| Webhook::new(bad).unwrap().verify(&request.body, &headers).is_err()));
        assert!(Webhook::new(good).unwrap().verify(b"{}", &headers).is_err());
        assert_eq!(request.body, body.as_bytes());
        assert_eq!(request.header("webhook-id"), Some("evt_01JD"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("user-agent"), Some(concat!("Callboard/", env!("CARGO_PKG_VERSION"))));
    }
    let replays: Vec<_> = requests.iter().map(|request| request.header("callboard-replay")).collect();
    assert_eq!(replays, [None, None, Some("rpl_1")]);
}

#[tokio::test]
async fn nothing_is_sent_unsigned() {
    let server = Server::start(Reply::Answer(200, "", "")).await;
    let message = message(EventType::TaskCompleted, "{}".into());
    let unsigned = channel("webhook").unwrap().parse(&settings(json!({"url": server.url()})), &house(None)).unwrap();
    assert_eq!(unsigned.send(&message).await.outcome.as_str(), "failed");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_status_decides_and_the_answer_is_kept() {
    let long: &'static str = "x".repeat(100_000).leak();
    for (status, headers, body, expected) in [
        (200, "", "fine", "delivered"),
        (202, "", long, "delivered"),
        (302, "location: http://127.0.0.1:9/\r\n", "", "failed"),
        (404, "", "not here", "failed"),
        (410, "", "gone", "gone"),
        (429, "retry-after: 7\r\n", "", "throttled"),
        (500, "", long, "failed"),
        (503, "", "", "failed"),
        (503, "retry-after: 7\r\n", "", "throttled"),
    ] {
        let server = Server::start(Reply::Answer(status, headers, body)).await;
        let report = sender(&server.url(), json!(SECRET)).send(&message(EventType::TaskFailed, "{}".into())).await;
        assert_eq!((report.outcome.as_str(), report.status_code), (expected, Some(status)), "{report:?}");
        assert_eq!(report.response, body.as_bytes()[..body.len().min(16 * 1024)]);
        if let Outcome::Throttled { after, .. } = report.outcome {
            assert_eq!(after, Some(Duration::from_secs(7)));
        }
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_inside_address_is_refused_when_written_and_when_dialled() {
    let server = Server::start(Reply::Answer(200, "", "")).await;
    let strict = House { egress: Egress::new(vec![]), ..house(None) };
    for name in ["webhook", "slack"] {
        let parse =
            |url: String| channel(name).unwrap().parse(&settings(json!({"url": url, "secret": SECRET})), &strict);
        let invalid = parse(server.url()).map(drop).unwrap_err();
        assert!(invalid.problem.contains("`egress.allow`") && !invalid.problem.contains("secret"), "{invalid}");
        let by_name = parse(server.url().replace("127.0.0.1", "localhost")).unwrap();
        let report = by_name.send(&message(EventType::TaskFailed, "{}".into())).await;
        assert_eq!(report.outcome.as_str(), "failed");
        assert!(report.outcome.reason().unwrap().contains("`egress.allow`"), "{report:?}");
    }
    assert_eq!(server.connections(), 0);
}
