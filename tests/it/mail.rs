//! Mail, as a real mail server takes it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use mail_parser::{HeaderValue, Message, MessageParser};
use serde_json::{Value, json};

use super::process::{Place, Service, evolink, lines, steady_port};
use super::wire;

const SERVER_IS_LISTENING: &str = "Server is listening on";

/// A mail server, and the mails that it took.
pub(crate) struct MailServer {
    child: Child,
    kept: PathBuf,
}

impl MailServer {
    /// It keeps its mails in `place`. `options` are the program's own, as for TLS.
    pub(crate) fn start(place: &Place, port: u16, options: &[&str]) -> Self {
        let kept = place.path("mails");
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-m", "aiosmtpd", "-n", "-d", "-l", &format!("127.0.0.1:{port}")]).args(options);
        command.args(["-c", "aiosmtpd.handlers.Mailbox"]).arg(&kept).current_dir(place.path("."));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("Debian: python3");
        let log = lines(child.stderr.take().unwrap());
        let is_missing = |lines: &[String]| lines.iter().any(|line| line.contains("No module named"));
        let listens = log.until("the mail server listened", |lines| {
            let listens = lines.iter().any(|line| line.contains(SERVER_IS_LISTENING));
            (listens || is_missing(lines)).then_some(listens)
        });
        assert!(listens, "these tests need a mail server: `apt-get install python3-aiosmtpd` on Debian");
        Self { child, kept }
    }

    /// Everything that it has taken, in the order of the recipients.
    pub(crate) fn mails(&self) -> Vec<Vec<u8>> {
        let new = std::fs::read_dir(self.kept.join("new")).unwrap();
        let mut mails: Vec<Vec<u8>> = new.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
        mails.sort_by_key(|mail| envelope(mail));
        mails
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// To whom it was handed over, which its `To` could hide.
fn envelope(mail: &[u8]) -> String {
    header(&parsed(mail), "X-RcptTo")
}

fn parsed(mail: &[u8]) -> Message<'_> {
    MessageParser::new().parse(mail).unwrap()
}

fn header(mail: &Message<'_>, name: &'static str) -> String {
    mail.header_raw(name).unwrap_or_else(|| panic!("no {name}")).trim().to_owned()
}

fn config(smtp: &str) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
[email]
smtp = "{smtp}"
from = "Callboard <callboard@example.com>"
[destinations.mail]
team = "ops"
channel = "email"
to = ["anna@example.com", "Ben <ben@example.com>"]
[[subscriptions]]
destination = "mail"
[delivery]
timeout = "5s"
retry = ["1s", "1s", "1s", "1s", "1s", "1s"]
"#
    )
}

/// Waits until so many mails were told to have been delivered.
fn delivered(service: &Service, many: usize) {
    service.out.until(&format!("{many} deliveries"), |lines| {
        (lines.iter().filter(|line| line.contains("  mail  ") && line.ends_with(" delivered")).count() >= many)
            .then_some(())
    });
}

fn thread(mail: &Message<'_>) -> String {
    match (mail.references(), mail.in_reply_to()) {
        (HeaderValue::Text(references), HeaderValue::Text(reply)) if references == reply => references.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_recipient_gets_a_mail_that_people_and_machines_can_read() {
    let port = steady_port();
    let place = Place::with(&config(&format!("smtp://127.0.0.1:{port}")));
    let server = MailServer::start(&place, port, &[]);
    let service = place.serve();
    let event = service.post("evolink", &evolink("task-1")).json();
    delivered(&service, 1);
    let mails = server.mails();
    assert_eq!(mails.iter().map(|mail| envelope(mail)).collect::<Vec<_>>(), ["anna@example.com", "ben@example.com"]);
    for (mail, to) in mails.iter().zip(["anna@example.com", "ben@example.com"]) {
        let mail = parsed(mail);
        assert_eq!(mail.to().unwrap().first().unwrap().address(), Some(to), "who else gets it is not said");
        assert_eq!(mail.from().unwrap().first().unwrap().address(), Some("callboard@example.com"));
        assert_eq!(mail.subject(), Some("kling-o3-text-to-video completed (task-1)"));
        assert_eq!(header(&mail, "Auto-Submitted"), "auto-generated");
        assert!(header(&mail, "Content-Type").starts_with("multipart/alternative"));
        assert_eq!((mail.text_body_count(), mail.html_body_count(), mail.attachment_count()), (1, 1, 0));
        for body in [mail.body_text(0).unwrap(), mail.body_html(0).unwrap()] {
            for words in ["https://example.com/a.mp4", "27", "task-1", event["event_id"].as_str().unwrap()] {
                assert!(body.contains(words), "{words} is not in {body}");
            }
        }
    }

    // A replay is another mail in the same conversation; another task is another conversation.
    let replay = format!("{}/events/{}/replay", service.api, event["event_id"].as_str().unwrap());
    let replayed = wire::request("POST", &replay, &[("Authorization", &service.bearer())], b"{}").unwrap();
    assert_eq!(replayed.status(), 202, "{replayed:?}");
    delivered(&service, 2);
    service.post("evolink", &evolink("task-2"));
    delivered(&service, 3);
    let mails = server.mails();
    let all: Vec<Message<'_>> = mails.iter().map(|mail| parsed(mail)).collect();
    let mut ids: Vec<&str> = all.iter().map(|mail| mail.message_id().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    let of_task = |task_id: &str| -> Vec<String> {
        all.iter().filter(|mail| mail.subject().unwrap().contains(task_id)).map(thread).collect()
    };
    let (first, second) = (of_task("task-1"), of_task("task-2"));
    assert_eq!((first.len(), second.len()), (4, 2));
    assert!(first.iter().all(|thread| *thread == first[0]) && second.iter().all(|thread| *thread != first[0]));
    service.stop();
}

#[test]
fn what_a_provider_writes_stays_text() {
    let port = steady_port();
    let place = Place::with(&config(&format!("smtp://127.0.0.1:{port}")));
    let server = MailServer::start(&place, port, &[]);
    let service = place.serve();
    let hostile =
        "x\r\nBcc: eve@example.com\r\n\r\n.\r\nRCPT TO:<eve@example.com>\n<script>alert(1)</script> =?utf-8?q?a?=";
    let mut body: Value = serde_json::from_slice(&evolink("task-1")).unwrap();
    body["model"] = json!(hostile);
    body["id"] = json!("task\r\nX-Evil: 1");
    body["status"] = json!("failed");
    body["error"] = json!({"code": "x\r\nX-Evil: 1", "message": "one\r\n.\r\nQUIT\r\n<script>alert(2)</script>"});
    let url = format!("{}?note=%0D%0AX-Evil%3A+1%3Cscript%3E", service.callback_url("evolink"));
    assert_eq!(wire::post(&url, body.to_string().as_bytes()).json()["outcome"], "accepted");
    delivered(&service, 1);
    let mails = server.mails();
    assert_eq!(mails.iter().map(|mail| envelope(mail)).collect::<Vec<_>>(), ["anna@example.com", "ben@example.com"]);
    for raw in &mails {
        let mail = parsed(raw);
        assert!(["Bcc", "X-Evil", "RCPT TO"].iter().all(|name| mail.header_raw(*name).is_none()));
        let subject = mail.subject().unwrap();
        assert!(subject.starts_with("x Bcc: eve@example.com") && !subject.chars().any(char::is_control), "{subject:?}");
        let html = mail.body_html(0).unwrap();
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(2)&lt;/script&gt;"), "{html}");
        assert!(mail.body_text(0).unwrap().contains("QUIT"), "the mail did not end at the dot");
    }
    service.stop();
}

#[test]
fn a_mail_waits_for_its_server_and_is_the_same_whoever_sends_it() {
    let port = steady_port();
    let place = Place::with(&config(&format!("smtp://127.0.0.1:{port}")));
    let service = place.serve();
    service.post("evolink", &evolink("task-1"));
    let failed = service.said("attempt 1 failed");
    assert!(failed.contains("mail server 127.0.0.1") && failed.contains("next try"), "{failed}");
    service.stop();

    // The same delivery in a second database: what is sent from it must be told as the same mail.
    let twin = Place::with(&place.read("callboard.toml"));
    for entry in std::fs::read_dir(place.path(".")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with("callboard.") {
            std::fs::copy(entry.path(), twin.path(entry.file_name().to_str().unwrap())).unwrap();
        }
    }
    let server = MailServer::start(&place, port, &[]);
    for place in [&place, &twin] {
        let service = place.serve();
        delivered(&service, 1);
        service.stop();
    }
    let mails = server.mails();
    let ids: Vec<String> = mails.iter().map(|mail| parsed(mail).message_id().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids[0] == ids[1] && ids[2] == ids[3] && ids[0] != ids[2], "{ids:?}");
}

#[test]
fn mail_goes_over_tls_that_can_be_trusted_and_over_no_other() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    for (scheme, cert, key) in [("smtps", "--smtpscert", "--smtpskey"), ("smtp+starttls", "--tlscert", "--tlskey")] {
        let port = steady_port();
        let place = Place::with(&config(&format!("{scheme}://127.0.0.1:{port}")));
        place.write("mail-cert.pem", certified.cert.pem());
        place.write("mail-key.pem", certified.signing_key.serialize_pem());
        let server = MailServer::start(&place, port, &[cert, "mail-cert.pem", key, "mail-key.pem"]);

        let service = place.serve();
        service.post("evolink", &evolink("task-1"));
        let failed = service.said("attempt 1 failed");
        assert!(failed.contains("certificate"), "{scheme}: {failed}");
        service.stop();
        assert_eq!(server.mails().len(), 0);

        let trusted = place.path("mail-cert.pem");
        let service = place.serve_with(&[("SSL_CERT_FILE", trusted.to_str().unwrap())]);
        delivered(&service, 1);
        assert_eq!(server.mails().len(), 2, "{scheme}");
        service.stop();
    }
}

#[test]
fn without_starttls_nothing_is_sent_where_it_is_asked_for() {
    let port = steady_port();
    let place = Place::with(&config(&format!("smtp+starttls://127.0.0.1:{port}")));
    let server = MailServer::start(&place, port, &[]);
    let service = place.serve();
    service.post("evolink", &evolink("task-1"));
    let failed = service.said("attempt 1 failed");
    assert!(failed.contains("does not offer STARTTLS"), "{failed}");
    service.stop();
    assert_eq!(server.mails().len(), 0);
}
