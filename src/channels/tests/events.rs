//! Events to send: ordinary ones, and ones that a hostile provider would like to have sent.

use serde_json::{Value, json};

/// What does something somewhere if it is not escaped.
pub(crate) const HOSTILE: &[&str] = &[
    "<!channel> <@U012345> <https://evil.example|innocent.example>",
    "\"><script>alert(1)</script><img src=https://evil.example/x.png>",
    "a\r\nBcc: victim@evil.example\r\n\r\nbody\r\n.\r\nMAIL FROM:<x@evil.example>\r\n",
    "`*bold*` _italic_ ~gone~ :skull: &lt;!here&gt; &amp;",
    "\u{202E}gpj.exe\u{2066}\u{200B}\u{FEFF}\u{0}\u{7}\u{1B}[31m\u{85}\u{2028}",
    "=?utf-8?q?=0D=0ABcc:_victim@evil.example?=",
    "春の動画 😀 ünïcode",
    "",
];

pub(crate) fn completed() -> Value {
    task(json!({}))
}

/// A completed task with some fields replaced.
pub(crate) fn task(with: Value) -> Value {
    let mut data = json!({
        "source": "evolink", "provider": "evolink", "task_id": "task-unified-1757169743-o3t2v", "status": "completed",
        "model": "kling-o3-text-to-video", "progress": 100,
        "outputs": [{"url": "https://cdn.example.com/a.mp4?sig=1&x=2", "kind": "video", "expires_at": "2025-09-07T14:42:23Z", "archived_url": null}],
        "error": null, "usage": {"credits": 27.0}, "created_at": "2025-09-06T14:42:23Z",
        "completed_at": "2025-09-06T14:44:28Z", "observed_via": "callback", "confirmed": true,
        "metadata": {"campaign": "spring"},
    });
    data.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    json!({"id": "evt_01JD", "type": "task.completed", "timestamp": "2025-09-06T14:44:29.000Z", "data": data})
}

/// A task every text of which is this one.
pub(crate) fn task_of(text: &str) -> Value {
    let output = |url: &str| json!({"url": url, "kind": text, "expires_at": text, "archived_url": null});
    task(json!({
        "source": text, "provider": text, "task_id": text, "status": text, "model": text,
        "recorded_status": text, "claimed_status": text,
        "outputs": [output(text), output(&format!("https://cdn.example.com/{text}?{text}#{text}")),
            output(&format!("javascript:{text}")), output(&format!("https://good.example@evil.example/{text}"))],
        "error": {"code": text, "message": text, "category": text, "retryable": true},
        "metadata": {text: text, "k": text}, "observed_via": text, "confirmed": false,
    }))
}

/// Bodies of every kind.
pub(crate) fn all() -> Vec<String> {
    let long = "<&>`\u{1F600}".repeat(1000);
    let many: Vec<Value> = (0..300)
        .map(|n| json!({"url": format!("https://h{n}.example/{}", "a|b".repeat(n)), "kind": "image"}))
        .collect();
    let huge: serde_json::Map<String, Value> = (0..50).map(|n| (format!("{n}{long}"), json!(long))).collect();
    let service = json!({"team": "ops", "destination": "ads-slack", "reason": "answered 410", "since": "2025-09-06T14:42:23Z", "count": 7});
    let mut bodies = vec![
        completed(),
        task_of(&long),
        task(json!({"outputs": many, "metadata": huge.clone()})),
        task(json!({"outputs": 5, "metadata": [], "error": "text", "usage": 1, "created_at": 7, "model": {}})),
        task(json!({"usage": {"credits": 1e300}, "completed_at": "1999-01-01T00:00:00Z"})),
        json!({"id": "evt_1", "type": "destination.disabled", "data": service}),
        json!({"id": "evt_1", "type": "source.silent", "data": huge}),
        json!({"data": null}),
        json!([]),
        json!("text"),
    ];
    bodies.extend(HOSTILE.iter().map(|text| task_of(text)));
    let texts = bodies.iter().map(Value::to_string);
    texts.chain(["".to_owned(), "{".to_owned(), "[".repeat(100_000)]).collect()
}
