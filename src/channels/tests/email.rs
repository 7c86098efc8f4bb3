use mail_parser::{HeaderValue, MessageParser};

use super::*;

const ALL: [&str; 3] = ["a@example.com", "b@example.com", "c@example.com"];

fn sender(server: &SmtpServer) -> Arc<dyn Sender> {
    let house = house(Some(mailer(server)));
    channel("email").unwrap().parse(&settings(json!({"to": ALL})), &house).unwrap()
}

fn completed() -> Message {
    message(EventType::TaskCompleted, events::completed().to_string())
}

async fn mails(messages: &[Message]) -> Vec<Vec<u8>> {
    let server = SmtpServer::start(|_| Act::Usual).await;
    for message in messages {
        assert_eq!(sender(&server).send(message).await.outcome, Outcome::Delivered);
    }
    server.mails().into_iter().map(|(_, mail)| mail).collect()
}

#[tokio::test]
async fn a_mail_is_readable_and_says_what_people_want_to_know() {
    let sent = mails(&[completed()]).await;
    assert_eq!(sent.len(), 3);
    let mail = MessageParser::new().parse(&sent[0]).unwrap();
    assert_eq!(mail.subject(), Some("kling-o3-text-to-video completed (task-unified-1757169743-o3t2v)"));
    assert_eq!(mail.to().unwrap().first().unwrap().address(), Some("a@example.com"));
    assert_eq!(mail.from().unwrap().first().unwrap().name(), Some("Callboard"));
    assert_eq!(mail.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
    assert_eq!((mail.text_body_count(), mail.html_body_count(), mail.attachment_count()), (1, 1, 0));
    let (text, html) = (mail.body_text(0).unwrap(), mail.body_html(0).unwrap());
    for words in [
        "Duration: 2 min 5 s",
        "Credits: 27",
        "https://cdn.example.com/a.mp4?sig=1&x=2",
        "campaign: spring",
        "Task: task-unified-1757169743-o3t2v",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(html.contains("<a href=\"https://cdn.example.com/a.mp4?sig=1&amp;x=2\" rel=\"noreferrer noopener\">video on cdn.example.com</a>"), "{html}");
}

#[tokio::test]
async fn a_mail_of_the_services_own_says_what_happened_to_what() {
    let data = json!({"team": "ops", "destination": "backend", "reason": "answered 500 & <more>", "since": "2025-09-06T14:42:23Z", "count": 7});
    let event = json!({"id": "evt_1", "type": "delivery.dead", "data": data});
    let sent = mails(&[message(EventType::DeliveryDead, event.to_string())]).await;
    let mail = MessageParser::new().parse(&sent[0]).unwrap();
    assert_eq!(mail.subject(), Some("7 deliveries to backend are dead"));
    let (text, html) = (mail.body_text(0).unwrap(), mail.body_html(0).unwrap());
    for words in ["Reason: answered 500 & <more>", "Since: 2025-09-06 14:42 UTC", "Dead deliveries: 7", "Team: ops"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(html.contains("answered 500 &amp; &lt;more&gt;"), "{html}");
}

#[tokio::test]
async fn ids_are_the_same_for_the_same_and_threads_are_the_tasks() {
    let replay = Message { replay_id: Some("rpl_1".into()), ..completed() };
    let other_task = message(EventType::TaskCompleted, events::task(json!({"task_id": "other"})).to_string());
    let other_event = Message { event_id: "evt_2".into(), kind: "task.conflict".into(), ..completed() };
    let sent = mails(&[completed(), completed(), replay, other_event, other_task]).await;
    let parsed: Vec<_> = sent.iter().map(|mail| MessageParser::new().parse(mail).unwrap()).collect();
    let id = |n: usize| parsed[n].message_id().unwrap();
    let thread = |n: usize| match (parsed[n].references(), parsed[n].in_reply_to()) {
        (HeaderValue::Text(references), HeaderValue::Text(reply)) if references == reply => references.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!([id(0), id(1), id(2)], [id(3), id(4), id(5)], "the same again");
    let mut ids: Vec<&str> = [0, 1, 2, 6, 7, 8, 9, 10, 11].map(id).to_vec();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 9, "{ids:?}");
    assert!(ids.iter().all(|id| id.ends_with("@example.com")));
    assert!((0..12).all(|n| thread(n) == thread(0)) && thread(12) != thread(0));
}

#[tokio::test]
async fn hostile_texts_inject_no_header_no_command_and_no_markup() {
    let server = SmtpServer::start(|_| Act::Usual).await;
    let sender = sender(&server);
    for body in events::all() {
        let message = message(EventType::TaskFailed, body);
        assert_eq!(sender.send(&message).await.outcome, Outcome::Delivered);
    }
    assert_eq!(server.mails().len(), 3 * events::all().len());
    assert!(server.commands().iter().all(|line| !line.contains("evil.example")), "{:?}", server.commands());
    for (to, mail) in server.mails() {
        assert!(mail.is_ascii() && mail.split(|byte| *byte == b'\n').all(|line| line.len() <= 998));
        let parsed = MessageParser::new().parse(&mail).unwrap();
        let known = [
            "From",
            "To",
            "Date",
            "Subject",
            "Message-ID",
            "Auto-Submitted",
            "X-Auto-Response-Suppress",
            "In-Reply-To",
            "References",
            "MIME-Version",
            "Content-Type",
        ];
        for header in parsed.headers() {
            assert!(known.contains(&header.name()), "{}", header.name());
        }
        assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some(to.as_str()));
        let subject = parsed.subject().unwrap();
        assert!(
            !subject.is_empty() && subject.chars().count() <= 150 && !subject.contains(char::is_control),
            "{subject:?}"
        );
        let html = parsed.body_html(0).unwrap();
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("javascript:\""), "{html}");
        for link in html.split("href=\"").skip(1) {
            assert!(link.starts_with("https://"), "{link}");
        }
    }
}

#[tokio::test]
async fn each_recipient_has_a_transaction_and_a_fate_of_its_own() {
    type Script = fn(&str) -> Act;
    let b_rcpt_550: Script =
        |line| if line.contains("RCPT TO:<b@") { Act::Say("550 5.1.1 no such user") } else { Act::Usual };
    let b_rcpt_451: Script = |line| if line.contains("RCPT TO:<b@") { Act::Say("451 greylisted") } else { Act::Usual };
    let all_rcpt_550: Script = |line| if line.starts_with("RCPT") { Act::Say("550 no") } else { Act::Usual };
    let mail_554: Script = |line| if line == "." { Act::Say("554 no spam") } else { Act::Usual };
    let mail_452: Script = |line| if line == "." { Act::Say("452 disk full") } else { Act::Usual };
    let sender_550: Script = |line| if line.starts_with("MAIL") { Act::Say("550 who are you") } else { Act::Usual };
    let b_421: Script = |line| if line.contains("RCPT TO:<b@") { Act::Say("421 closing") } else { Act::Usual };
    let b_drop: Script = |line| if line.contains("RCPT TO:<b@") { Act::Drop } else { Act::Usual };
    let auth_535: Script = |line| if line.starts_with("AUTH") { Act::Say("535 wrong") } else { Act::Usual };
    let busy: Script = |line| if line.is_empty() { Act::Say("554 go away") } else { Act::Usual };
    for (script, expected, code, done, words) in [
        ((|_| Act::Usual) as Script, "delivered", Some(250), &ALL[..], ""),
        (b_rcpt_550, "rejected", Some(550), &["a@example.com", "c@example.com"], "b@example.com"),
        (b_rcpt_451, "failed", Some(451), &["a@example.com", "c@example.com"], "b@example.com"),
        (all_rcpt_550, "rejected", Some(550), &[], "c@example.com"),
        (mail_554, "rejected", Some(554), &[], "answered 554 to the mail"),
        (mail_452, "failed", Some(452), &[], "answered 452 to the mail"),
        (sender_550, "failed", Some(550), &[], "answered 550 to the sender"),
        (b_421, "failed", Some(421), &["a@example.com"], "answered 421"),
        (b_drop, "failed", None, &["a@example.com"], "broke off"),
        (auth_535, "failed", Some(535), &[], "answered 535 to user and password"),
        (busy, "failed", Some(554), &[], "answered 554 to the connection"),
    ] {
        let server = SmtpServer::start(script).await;
        let report = sender(&server).send(&completed()).await;
        assert_eq!((report.outcome.as_str(), report.status_code), (expected, code), "{report:?}");
        assert_eq!(report.parts_done, done, "{report:?}");
        assert!(report.outcome.reason().unwrap_or_default().contains(words), "{report:?}");
        assert_eq!(server.mails().iter().map(|(to, _)| to.as_str()).collect::<Vec<_>>(), done);
    }
}

#[tokio::test]
async fn a_later_try_reaches_only_those_who_have_not_got_it() {
    let server = SmtpServer::start(|_| Act::Usual).await;
    let again = Message { parts_done: vec!["a@example.com".into(), "gone@example.com".into()], ..completed() };
    let report = sender(&server).send(&again).await;
    assert_eq!(report.outcome, Outcome::Delivered);
    assert_eq!(report.parts_done, ["a@example.com", "gone@example.com", "b@example.com", "c@example.com"]);
    assert_eq!(server.mails().len(), 2);
    let nothing_left = Message { parts_done: ALL.map(str::to_owned).to_vec(), ..completed() };
    assert_eq!(sender(&server).send(&nothing_left).await.outcome, Outcome::Delivered);
    assert_eq!(server.mails().len(), 2);
}

#[tokio::test]
async fn the_deadline_keeps_what_was_done_before_it() {
    let server = SmtpServer::start(|line| if line.contains("RCPT TO:<b@") { Act::Stall } else { Act::Usual }).await;
    let report = sender(&server).send(&Message { timeout: Duration::from_millis(500), ..completed() }).await;
    assert_eq!((report.outcome.as_str(), report.parts_done.as_slice()), ("failed", &["a@example.com".to_owned()][..]));
    let stalls_at_the_end = SmtpServer::start(|line| if line == "QUIT" { Act::Stall } else { Act::Usual }).await;
    let report = sender(&stalls_at_the_end).send(&Message { timeout: Duration::from_millis(500), ..completed() }).await;
    assert_eq!(report.outcome, Outcome::Delivered, "{report:?}");
}

#[test]
fn without_a_mail_server_the_destination_is_refused() {
    let parsed = channel("email").unwrap().parse(&settings(json!({"to": "ops@example.com"})), &house(None));
    assert!(parsed.map(drop).unwrap_err().problem.contains("`[email] smtp` is not configured"));
}

#[test]
fn addresses_are_read_strictly() {
    let house = house(Some(Arc::new(Mailer::new(&Secret::new("smtp://localhost"), "a@example.com").unwrap())));
    let parse =
        |to: Value| channel("email").unwrap().parse(&settings(json!({"to": to})), &house).map(|sender| sender.target());
    assert_eq!(
        parse(json!(["Ops <ops@example.com>", "ops@example.com", "b@example.com"])).unwrap(),
        "ops@example.com, b@example.com"
    );
    for bad in [
        "ops",
        "ops@",
        "@example.com",
        "a@b@c",
        "ops@example.com\r\nBcc: x@evil.example",
        "ops@exa mple.com",
        "öps@example.com",
        "a@example.com, b@example.com",
    ] {
        let invalid = parse(json!(bad)).unwrap_err();
        assert!(invalid.field == "to" && !invalid.problem.contains(['\r', '\n']), "{bad}: {invalid:?}");
    }
}
