use super::*;

async fn posted(kind: EventType, bodies: &[String]) -> Vec<Value> {
    let server = Server::start(Reply::Answer(200, "", "ok")).await;
    let sender = channel("slack").unwrap().parse(&settings(json!({"url": server.url()})), &house(None)).unwrap();
    for body in bodies {
        let report = sender.send(&message(kind, body.clone())).await;
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    server.requests().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

#[tokio::test]
async fn a_message_says_what_people_want_to_know() {
    let failed = events::task(json!({"status": "failed", "outputs": [], "completed_at": null, "confirmed": false,
        "error": {"code": "E7", "message": "no <faces>\nplease", "category": "content_policy", "retryable": false}}));
    let conflict = events::task(json!({"recorded_status": "failed", "claimed_status": "completed"}));
    let service = |about: &str, reason: &str, count: i64| json!({"data": {"team": "ops", about: "mail", "reason": reason, "since": "2025-09-06T14:42:23.5Z", "count": count}});
    for (kind, body, words) in [
        (
            EventType::TaskCompleted,
            events::completed(),
            &[
                "✅ kling-o3-text-to-video completed",
                "*Duration*\n2 min 5 s",
                "*Credits*\n27",
                "*Status*\ncompleted",
                "• <https://cdn.example.com/a.mp4?sig=1&amp;x=2|video on cdn.example.com>, until 2025-09-07 14:42 UTC",
                "campaign: spring",
                "Task: task-unified-1757169743-o3t2v",
                "Source: evolink",
                "Event: `evt_01JD`",
            ][..],
        ),
        (
            EventType::TaskFailed,
            failed,
            &["❌", "failed", "*Error code*\nE7", "`content_policy`", "no &lt;faces&gt;\nplease", "Confirmed: no"],
        ),
        (EventType::TaskConflict, conflict, &["*Recorded*\nfailed", "*Claimed*\ncompleted"]),
        (
            EventType::DestinationDisabled,
            service("destination", "answered 410", 7),
            &[
                "❌ Destination mail is disabled",
                "*Reason*\nanswered 410",
                "*Since*\n`2025-09-06 14:42 UTC`",
                "*Failed tries*\n7",
                "*Next*\nwhat waits for it is held",
                "Team: ops",
                "Type: destination.disabled",
            ],
        ),
        (
            EventType::DestinationRecovered,
            service("destination", "it takes deliveries again", 3),
            &["✅ Destination mail works again", "*Dead deliveries*\n3"],
        ),
        (EventType::DeliveryDead, service("destination", "answered 500", 1), &["❌ A delivery to mail is dead"]),
        (EventType::DeliveryDead, service("destination", "answered 500", 9), &["❌ 9 deliveries to mail are dead"]),
        (EventType::SourceSilent, service("source", "no callback since 2025", 0), &["⚠️ Source mail is silent"]),
        (EventType::SourceSilent, service("source", "60 of 100 tasks failed", 60), &["⚠️ Source mail is in trouble"]),
        (EventType::SourceSilent, service("source", "heard again", 0), &["✅ Source mail is heard again"]),
    ] {
        let payload = posted(kind, &[body.to_string()]).await.remove(0);
        let texts = strings(&payload["blocks"]).join("\n\n");
        for word in words {
            assert!(texts.contains(word), "{word} in {texts}");
        }
        let title = payload["blocks"][0]["text"]["text"].as_str().unwrap();
        assert!(payload["text"].as_str().unwrap().starts_with(title), "{}", payload["text"]);
    }
}

#[tokio::test]
async fn hostile_texts_stay_texts_and_within_the_limits() {
    for kind in [EventType::TaskFailed, EventType::SourceSilent] {
        for payload in posted(kind, &events::all()).await {
            let texts = strings(&payload);
            texts.iter().for_each(|text| assert_harmless(text));
            assert!(payload["text"].as_str().is_some_and(|text| !text.is_empty() && units(text) <= 3000));
            assert!(texts.iter().map(|text| units(text)).sum::<usize>() < 13_200 + 3000, "all texts of {payload}");
            let blocks = payload["blocks"].as_array().unwrap();
            assert!((1..=50).contains(&blocks.len()));
            blocks.iter().for_each(assert_within_limits);
        }
    }
}

/// Only links to http and https, with one label, and only whole escapes.
fn assert_harmless(text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').unwrap_or_else(|| panic!("{text}")) + at;
        let inner = &rest[at + 1..end];
        assert!(inner.starts_with("https://") && inner.matches('|').count() == 1 && !inner.contains('<'), "{text}");
        let (url, label) = inner.split_once('|').unwrap();
        let host = url::Url::parse(&url.replace("&amp;", "&")).unwrap().host_str().unwrap().to_owned();
        assert!(label.contains(&host), "{inner}");
        rest = &rest[end + 1..];
    }
    assert!(!rest.contains('>'), "{text}");
    for (at, _) in text.match_indices('&') {
        assert!(["&amp;", "&lt;", "&gt;"].iter().any(|escape| text[at..].starts_with(escape)), "{text}");
    }
    assert!(!text.contains(['\u{202E}', '\u{2066}', '\u{1B}', '\0', '\r']), "{text:?}");
}

fn assert_within_limits(block: &Value) {
    let within = |text: &Value, max| {
        let text = text["text"].as_str().unwrap();
        assert!(!text.is_empty() && units(text) <= max, "{} of {max}: {text}", units(text));
    };
    match block["type"].as_str().unwrap() {
        "header" => {
            assert_eq!(block["text"]["type"], "plain_text");
            within(&block["text"], 150);
        }
        "section" => {
            let fields = block["fields"].as_array().cloned().unwrap_or_default();
            assert!(fields.len() <= 10);
            fields.iter().for_each(|field| within(field, 2000));
            if fields.is_empty() {
                within(&block["text"], 3000);
            }
        }
        "context" => {
            let elements = block["elements"].as_array().unwrap();
            assert!((1..=10).contains(&elements.len()));
            elements.iter().for_each(|element| within(element, 2000));
        }
        other => panic!("{other}"),
    }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Every text that is shown.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(text) if key == "text" => vec![text.as_str()],
                other => strings(other),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}
