//! The API is described as it is: every route, every answer, and every event that is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use callboard::domain::access::Role;
use callboard::http::api::ROUTES;
use callboard::http::document;
use serde_json::{Value, json};

use crate::access::{call, key};
use crate::app::{ADMIN_KEY, Db, TestApp, answer, both, webhook};
use crate::described::{Answered, check, find, judge};
use crate::sink::Sink;

/// What is beside the API.
const BESIDE: [(&str, &str); 10] = [
    ("post", "/callbacks/{source}/{token}"),
    ("get", "/healthz"),
    ("get", "/metrics"),
    ("get", "/openapi.json"),
    ("get", "/readyz"),
    ("get", "/relay/{source}/{path}"),
    ("post", "/relay/{source}/{path}"),
    ("put", "/relay/{source}/{path}"),
    ("patch", "/relay/{source}/{path}"),
    ("delete", "/relay/{source}/{path}"),
];

/// Each operation with its method and path.
fn operations() -> Vec<(&'static str, &'static str, &'static Value)> {
    let items = document()["paths"].as_object().unwrap().iter();
    let each = items.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
    });
    each.collect()
}

#[test]
fn what_is_served_is_described_and_nothing_else() {
    let served: BTreeSet<(&str, String)> = ROUTES
        .iter()
        .map(|(method, path)| (*method, format!("/api/v1{}", path.replace(":.*}", "}"))))
        .chain(BESIDE.map(|(method, path)| (method, path.to_owned())))
        .collect();
    let described: BTreeSet<(&str, String)> =
        operations().into_iter().map(|(method, path, _)| (method, path.to_owned())).collect();
    assert_eq!(described, served);
}

#[test]
fn every_operation_says_what_it_is() {
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations() {
        let told = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
        assert!(!told("summary").is_empty(), "{method} {path}");
        assert!(operation.as_object().unwrap().values().all(|part| !part.is_null()), "{method} {path}");
        assert!(names.insert(told("operationId")), "{method} {path} has another's name");
        if path.starts_with("/api/v1/") {
            assert!(operation["security"][0]["key"][0].is_string(), "{method} {path} says no role");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(!response["description"].as_str().unwrap_or_default().is_empty(), "{method} {path} {status}");
        }
        for place in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|known| known["name"] == place && known["in"] == "path"), "{path}: {place}");
        }
    }
}

/// Every `$ref` of the description.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_schema_is_one_and_every_reference_leads_somewhere() {
    let mut found = BTreeSet::new();
    references(document(), &mut found);
    assert!(found.len() > 30, "{found:?}");
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document().pointer(pointer).is_some(), "{reference}");
    }
    for (name, schema) in document()["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
        let says_something = ["properties", "oneOf", "type"].iter().any(|key| schema.get(key).is_some());
        assert!(says_something && found.contains(&format!("#/components/schemas/{name}")), "{name}: {schema}");
    }
}

#[test]
fn the_example_of_every_body_is_one() {
    let mut examples = 0;
    for (method, path, operation) in operations() {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let Some(name) = schema["$ref"].as_str().filter(|name| !name.ends_with("/Nothing")) else { continue };
        let named = document().pointer(name.strip_prefix('#').unwrap()).unwrap();
        let example = named.get("example").unwrap_or_else(|| panic!("{method} {path} has no example"));
        check(name, schema, example).unwrap_or_else(|problem| panic!("{method} {path}: {problem}: {example}"));
        examples += 1;
    }
    assert!(examples > 8, "{examples}");
}

#[test]
fn the_page_about_the_api_lists_every_problem() {
    let page = include_str!("../../docs/api.md");
    let kinds = document()["components"]["schemas"]["ProblemType"]["enum"].as_array().unwrap();
    assert!(kinds.len() > 10);
    for kind in kinds {
        let code = kind.as_str().unwrap().strip_prefix("urn:callboard:problem:").unwrap();
        assert!(page.contains(&format!("\n| `{code}` | ")), "docs/api.md does not say what `{code}` is");
    }
}

#[test]
fn what_is_not_described_is_found() {
    let delivery = json!({"id": "dlv_1", "status": "pending"});
    let mut more = delivery.clone();
    more["more"] = json!(1);
    let problem = json!({"type": "urn:callboard:problem:not-found", "title": "x", "status": 404, "detail": "x"});
    let unknown = json!({"type": "urn:callboard:problem:new", "title": "x", "status": 404, "detail": "x"});
    for (status, kind, body, is_described) in [
        (202, "application/json", &delivery, true),
        (202, "application/json; charset=utf-8", &delivery, true),
        (202, "application/json", &more, false),
        (202, "application/json", &json!({"id": "dlv_1"}), false),
        (202, "application/json", &json!({"id": "dlv_1", "status": "sent"}), false),
        (200, "application/json", &delivery, false),
        (202, "text/plain", &delivery, false),
        (404, "application/problem+json", &problem, true),
        (404, "application/problem+json", &unknown, false),
        (409, "application/problem+json", &problem, false),
        (500, "application/problem+json", &problem, false),
    ] {
        let body = body.to_string();
        let path = "/api/v1/deliveries/dlv_1/retry";
        let answered = Answered { method: "POST", path, status, content_type: Some(kind), body: body.as_bytes() };
        assert_eq!(judge(&answered).is_ok(), is_described, "{status} {kind} {body}: {:?}", judge(&answered));
    }
    let (name, _) = find("GET", "/api/v1/tasks/evolink/a/b?x=/c").unwrap();
    assert_eq!(name, "get /api/v1/tasks/{source}/{task_id}");
    assert!(find("GET", "/api/v1/nothing").is_none() && find("PUT", "/api/v1/events").is_none());
}

both! {
    async fn the_description_and_its_page_need_no_key_and_run_nothing(db: Db) {
        let app = TestApp::new(db, "").await;
        let served = answer(app.client.get(app.url("/openapi.json"))).await.expect(200);
        assert_eq!(served.body, *document());
        assert_eq!(served.body["openapi"], "3.1.0");
        let page = answer(app.client.get(app.url("/docs"))).await.expect(200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'; style-src 'self'"));
        let html = String::from_utf8(page.bytes).unwrap();
        assert!(html.contains("GET /api/v1/events") && !html.contains("<script") && !html.contains("src="));
        let style = answer(app.client.get(app.url("/docs/style.css"))).await.expect(200);
        assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    }

    async fn each_role_may_ask_what_the_description_says(db: Db) {
        let app = TestApp::new(db, &webhook("backend", "https://example.com/hooks")).await;
        let mut keys = BTreeMap::from([(Role::Admin.as_str(), ADMIN_KEY.to_owned())]);
        for role in [Role::Manage, Role::Read, Role::Relay] {
            let made = key(&app, role.as_str(), Some("ops"), None).await;
            keys.insert(role.as_str(), made.text("key").to_owned());
        }
        for (method, path, operation) in operations() {
            let Some(path) = path.strip_prefix("/api/v1").filter(|path| *path != "/events/stream") else { continue };
            let path = ["source", "task_id", "name", "id"].iter().fold(path.to_owned(), |path, place| {
                path.replace(&format!("{{{place}}}"), "nothing")
            });
            let roles = operation["security"][0]["key"].as_array().unwrap();
            for (role, key) in &keys {
                // Nobody has such a field: nothing is made of it.
                let answered = call(&app, Some(key), method, &path, &json!({"no such field": 1})).await;
                let may = roles.contains(&json!(role));
                assert_eq!(answered.status != 403, may, "{role}: {method} {path}: {}", answered.status);
            }
        }
    }

    async fn every_event_that_is_told_is_described(db: Db) {
        let sink = Sink::start().await;
        let config = format!(
            "{}events = [\"task.processing\", \"task.completed\", \"task.failed\", \"task.cancelled\", \"task.overdue\", \
             \"task.conflict\"]\n",
            webhook("backend", &sink.url())
        );
        let mut app = TestApp::new(db, &config).await;
        for (task, statuses) in [
            ("one", &["starting", "processing", "succeeded"][..]),
            ("two", &["processing", "failed", "succeeded"]),
            ("three", &["canceled"]),
        ] {
            for status in statuses {
                app.signed(task, status).await.expect(200);
                app.tick_all().await;
            }
        }
        let overdue = json!({"source": "replicate", "task_id": "four", "expect_within": "1m"});
        app.post_api("/api/v1/tasks", overdue).await.expect(201);
        app.advance(Duration::from_secs(61));
        app.poller.tick().await.unwrap();
        app.tick_all().await;
        let mut told = BTreeSet::new();
        for request in sink.requests() {
            let event = request.json();
            let kind = event["type"].as_str().unwrap().to_owned();
            let described = &document()["webhooks"][&kind]["post"];
            let schema = &described["requestBody"]["content"]["application/json"]["schema"];
            check(&kind, schema, &event).unwrap_or_else(|problem| panic!("{problem}: {event}"));
            for header in described["parameters"].as_array().unwrap() {
                let is_there = request.header(header["name"].as_str().unwrap()).is_some();
                assert!(is_there || header["required"] == false, "{header}");
            }
            told.insert(kind);
        }
        let all = document()["webhooks"].as_object().unwrap().keys();
        assert_eq!(told, all.filter(|kind| kind.starts_with("task.")).cloned().collect());
    }
}
