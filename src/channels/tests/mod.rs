//! What every channel promises, on real sockets.

use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::delivery::Outcome;
use crate::domain::event::EventType;
use crate::domain::secret::Secret;
use crate::egress::tests::server::{Reply, Server};

mod email;
pub(crate) mod events;
mod slack;
pub(crate) mod smtp;
mod webhook;

use smtp::{Act, SmtpServer};

const AMPLE: Duration = Duration::from_secs(10);
const SECRET: &str = "whsec_c2VjcmV0LXNpZ25pbmcta2V5LW9uZQ==";

/// A house whose egress may dial this machine.
fn house(mailer: Option<Arc<Mailer>>) -> House {
    House { egress: Egress::new(vec!["127.0.0.0/8".parse().unwrap()]), mailer, public_url: None }
}

fn settings(value: Value) -> Settings {
    value.as_object().unwrap().clone().into_iter().collect()
}

fn message(kind: EventType, body: String) -> Message {
    Message {
        event_id: "evt_01JD".to_owned(),
        kind: kind.as_str().to_owned(),
        at: Timestamp(1_757_169_743_120),
        body,
        replay_id: None,
        now: SystemClock.now(),
        timeout: AMPLE,
        parts_done: Vec::new(),
    }
}

fn mailer(server: &SmtpServer) -> Arc<Mailer> {
    let url = Secret::new(format!("smtp://secret-user:secret-password@{}", server.address));
    Arc::new(Mailer::new(&url, "Callboard <callboard@example.com>").unwrap())
}

/// What the other side does.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Takes,
    Refuses,
    Hangs,
    Drips,
    Cuts,
}

/// A destination of some channel, and the server behind it.
struct Peer {
    sender: Arc<dyn Sender>,
    http: Option<Server>,
    smtp: Option<SmtpServer>,
}

impl Peer {
    /// A new channel needs its line here, and is then held to everything below.
    async fn of(channel: &dyn Channel, manner: Manner) -> Self {
        match channel.name() {
            "webhook" | "slack" => Self::http(channel, manner).await,
            "email" => Self::smtp(channel, manner).await,
            other => panic!("no test server for {other}"),
        }
    }

    async fn http(channel: &dyn Channel, manner: Manner) -> Self {
        let server = Server::start(match manner {
            Manner::Takes => Reply::Answer(200, "", "ok"),
            Manner::Refuses => Reply::Answer(500, "", "no"),
            Manner::Hangs => Reply::Hang,
            Manner::Drips => Reply::Drip("HTTP/1.1 200 OK\r\ncontent-length: 16000\r\n\r\n"),
            Manner::Cuts => Reply::Raw("HTTP/1.1 200 OK\r\ncontent-le"),
        })
        .await;
        let written = settings(json!({"url": server.url(), "secret": SECRET}));
        let sender = channel.parse(&written, &house(None)).unwrap();
        Self { sender, http: Some(server), smtp: None }
    }

    async fn smtp(channel: &dyn Channel, manner: Manner) -> Self {
        let server = SmtpServer::start(match manner {
            Manner::Takes => |_| Act::Usual,
            Manner::Refuses => |line| if line.starts_with("RCPT") { Act::Say("451 later") } else { Act::Usual },
            Manner::Hangs => |_| Act::Stall,
            Manner::Drips => |line| if line == "." { Act::Stall } else { Act::Usual },
            Manner::Cuts => |line| if line == "." { Act::Drop } else { Act::Usual },
        })
        .await;
        let written = settings(json!({"to": ["ops@example.com"]}));
        let sender = channel.parse(&written, &house(Some(mailer(&server)))).unwrap();
        Self { sender, http: None, smtp: Some(server) }
    }

    /// How many messages it took in.
    fn taken(&self) -> usize {
        self.http.as_ref().map_or(0, |server| server.requests().len())
            + self.smtp.as_ref().map_or(0, |server| server.mails().len())
    }
}

#[tokio::test]
async fn a_try_ends_as_the_other_side_lets_it_and_in_time() {
    let limit = Duration::from_millis(400);
    for channel in CHANNELS {
        for (manner, expected, words) in [
            (Manner::Takes, "delivered", ""),
            (Manner::Refuses, "failed", "answered "),
            (Manner::Hangs, "failed", "within 0.4 s"),
            (Manner::Drips, "failed", "within 0.4 s"),
            (Manner::Cuts, "failed", "broke off"),
        ] {
            let peer = Peer::of(*channel, manner).await;
            let timeout = if words.contains("within") { limit } else { AMPLE };
            let message = Message { timeout, ..message(EventType::TaskCompleted, events::completed().to_string()) };
            let start = Instant::now();
            let report = peer.sender.send(&message).await;
            let context = format!("{} {manner:?}: {report:?}", channel.name());
            assert_eq!(report.outcome.as_str(), expected, "{context}");
            assert!(report.outcome.reason().unwrap_or_default().contains(words), "{context}");
            assert!(start.elapsed() < AMPLE / 2, "{context}: {:?}", start.elapsed());
            assert!(!format!("{report:?} {}", peer.sender.target()).to_lowercase().contains("secret"), "{context}");
        }
    }
}

#[tokio::test]
async fn every_event_is_sent_whatever_is_in_it() {
    for channel in CHANNELS {
        let peer = Peer::of(*channel, Manner::Takes).await;
        let ordinary = EventType::ALL.map(|kind| (kind, events::completed().to_string()));
        let others = EventType::ALL.into_iter().cycle().zip(events::all());
        for (sent, (kind, body)) in ordinary.into_iter().chain(others).enumerate() {
            let report = peer.sender.send(&message(kind, body.clone())).await;
            assert_eq!(report.outcome, Outcome::Delivered, "{} {kind:?} {body}", channel.name());
            assert_eq!(peer.taken(), sent + 1);
        }
    }
}

#[test]
fn a_setting_that_is_missing_or_wrong_is_named_and_not_repeated() {
    let mailer = Mailer::new(&Secret::new("smtp://localhost"), "a@example.com").unwrap();
    let house = house(Some(Arc::new(mailer)));
    let good = json!({"url": "https://example.com/hook", "secret": SECRET, "to": "ops@example.com"});
    let wrong = [json!(null), json!(5), json!(""), json!(" "), json!({}), json!([""]), json!(["ok@example.com", 5])];
    for channel in CHANNELS {
        assert!(channel.parse(&settings(good.clone()), &house).is_ok(), "{}", channel.name());
        for field in channel.fields() {
            let mut without = settings(good.clone());
            without.remove(field.name);
            let parsed = channel.parse(&without, &house).map(drop);
            assert_eq!(parsed.map_err(|invalid| invalid.field), if field.required { Err(field.name) } else { Ok(()) });
            for value in wrong.iter().chain([&json!("secret value, which is none")]) {
                let mut settings = settings(good.clone());
                settings.insert(field.name.to_owned(), value.clone());
                let invalid = channel.parse(&settings, &house).map(drop).unwrap_err();
                assert_eq!(invalid.field, field.name, "{value}");
                assert!(!field.secret || !invalid.to_string().contains("secret value"), "{invalid}");
            }
        }
    }
}

#[test]
fn the_registry_is_complete() {
    let names: Vec<&str> = CHANNELS.iter().map(|channel| channel.name()).collect();
    assert_eq!(names, ["webhook", "slack", "email"]);
    for known in CHANNELS {
        assert_eq!(channel(known.name()).map(Channel::name), Some(known.name()));
        assert!(!known.about().is_empty() && known.limits().concurrency > 0);
        assert_eq!(known.signs(), known.fields().iter().any(|field| field.name == "secret"));
    }
    assert!(channel("pigeon").is_none());
}
