//! The main job: the callbacks that the providers' documents describe go in over HTTP, and come out
//! once each as a Slack message, a mail and a signed webhook.

use serde_json::Value;

use super::endpoint::{Reply, Sink};
use super::mail::MailServer;
use super::process::{Place, TOKEN, body_of, steady_port};
use super::signed::{SECRET, verified};
use super::wire::{self, Message};

/// Source and fixture, the event that it makes, and words that people are told.
const DOCUMENTED: [(&str, &str, &str, &[&str]); 4] = [
    ("evolink", "completed-video", "task.completed", &["kling-o3-text-to-video", "https://example.com/a.mp4"]),
    ("evolink", "failed", "task.failed", &["gemini-3.1-flash-image-preview", "content_policy"]),
    (
        "aivideoapi",
        "completed",
        "task.completed",
        &["kling-3.0", "https://file.aivideoapi.ai/videos/2026/04/04/abc123.mp4"],
    ),
    ("aivideoapi", "failed", "task.failed", &[]),
];

/// Posts a fixture as it came over the wire, with its own headers.
fn post(url: &str, fixture: &str) -> Message {
    let path = format!("{}/tests/fixtures/{fixture}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let head = text.split_once("\r\n\r\n").unwrap().0;
    let headers: Vec<(&str, &str)> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| !["Host", "Content-Length"].contains(name))
        .collect();
    wire::request("POST", url, &headers, body_of(fixture).as_bytes()).unwrap()
}

fn config(slack: &Sink, webhook: &Sink, mail_port: u16) -> String {
    let subscription = |name: &str| {
        let events = r#"["task.processing", "task.completed", "task.failed"]"#;
        format!("[[subscriptions]]\ndestination = \"{name}\"\nevents = {events}\n")
    };
    let subscriptions = ["slack", "mail", "backend"].map(subscription).concat();
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
[sources.evolink]
provider = "evolink"
callback_token = "{TOKEN}"
[sources.aivideoapi]
provider = "aivideoapi"
callback_token = "{TOKEN}"
[email]
smtp = "smtp://127.0.0.1:{mail_port}"
from = "Callboard <callboard@example.com>"
[destinations.slack]
team = "ads"
channel = "slack"
url = "{}"
rate = "100/s"
[destinations.mail]
team = "ops"
channel = "email"
to = "ops@example.com"
[destinations.backend]
team = "platform"
channel = "webhook"
url = "{}"
secret = "{SECRET}"
[egress]
allow = ["127.0.0.0/8"]
{subscriptions}"#,
        slack.url(),
        webhook.url(),
    )
}

#[test]
fn documented_callbacks_come_out_once_each_in_all_three_ways() {
    let (slack, webhook) = (Sink::start(|_| Reply::Text("ok")), Sink::start(|_| Reply::Status(204)));
    let mail_port = steady_port();
    let place = Place::with(&config(&slack, &webhook, mail_port));
    let mails = MailServer::start(&place, mail_port, &[]);
    let service = place.serve();
    let mut expected = Vec::new();
    for (source, fixture, kind, words) in DOCUMENTED {
        let fixture = format!("{source}/{fixture}.http");
        let url = format!("{}?campaign=spring", service.callback_url(source));
        let answer = post(&url, &fixture).json();
        assert_eq!(answer["outcome"], "accepted", "{fixture}: {answer}");
        // As a provider that has not heard our answer.
        let again = post(&url, &fixture).json();
        assert_eq!((&again["outcome"], &again["event_id"]), (&"duplicate".into(), &answer["event_id"]), "{fixture}");
        expected.push((answer["event_id"].as_str().unwrap().to_owned(), kind, words));
    }
    let late = post(&service.callback_url("evolink"), "evolink/processing.http").json();
    assert_eq!((&late["outcome"], &late["event_id"]), (&"stale".into(), &Value::Null), "its task has ended");
    let deliveries = DOCUMENTED.len() * 3;
    service.out.until("everything was delivered", |lines| {
        (lines.iter().filter(|line| line.ends_with(" attempt 1 delivered")).count() >= deliveries).then_some(())
    });

    let (messages, posts, mails) = (slack.got.all(), webhook.got.all(), mails.mails());
    assert_eq!((messages.len(), posts.len(), mails.len()), (DOCUMENTED.len(), DOCUMENTED.len(), DOCUMENTED.len()));
    let events: Vec<Value> = posts.iter().map(|got| verified(&got.request)).collect();
    let messages: Vec<Value> = messages.iter().map(|got| got.request.json()).collect();
    for (id, kind, words) in &expected {
        let mut ours = events.iter().filter(|event| event["id"] == *id);
        let event = ours.next().unwrap();
        assert!(ours.next().is_none());
        assert_eq!(event["type"], *kind);
        assert_eq!(event["data"]["metadata"]["campaign"], "spring");
        let told = messages.iter().filter(|message| message.to_string().contains(id.as_str())).collect::<Vec<_>>();
        assert_eq!(told.len(), 1);
        assert!(told[0]["text"].is_string() && told[0]["blocks"].is_array());
        let read: Vec<String> = mails
            .iter()
            .map(|mail| mail_parser::MessageParser::new().parse(mail).unwrap().body_text(0).unwrap().into_owned())
            .filter(|text| text.contains(id.as_str()))
            .collect();
        assert_eq!(read.len(), 1);
        for word in *words {
            assert!(event.to_string().contains(word), "{word} is not in {event}");
            assert!(told[0].to_string().contains(word), "{word} is not in {:#}", told[0]);
            assert!(read[0].contains(word), "{word} is not in {}", read[0]);
        }
    }
    service.stop();
}
