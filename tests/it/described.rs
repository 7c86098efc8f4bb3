//! Every answer that a test gets of the service is held against the description of the API: its status, its content type, and
//! each of its fields.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use callboard::http::document;
use jsonschema::Validator;
use serde_json::{Value, json};

const PROBLEM: &str = "application/problem+json";
const NO_SUCH_ROUTE: &str = "there is no such route, or it does not take this method";

/// An answer, and to what.
pub(crate) struct Answered<'a> {
    pub(crate) method: &'a str,
    /// As it was asked for, with or without a query.
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// The description, in which no object has a field that is not described.
static CLOSED: LazyLock<Value> = LazyLock::new(|| {
    let mut document = document().clone();
    close(&mut document["components"]["schemas"]);
    document
});

fn close(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("properties").is_some_and(Value::is_object) && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".into(), json!(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Panics if an answer is not one that is described.
#[track_caller]
pub(crate) fn hold(answered: &Answered<'_>) {
    let ours = ["/api/v1/", "/callbacks/", "/healthz", "/readyz", "/openapi.json"];
    if ours.iter().any(|beginning| answered.path.starts_with(beginning))
        && let Err(problem) = judge(answered)
    {
        let Answered { method, path, status, body, .. } = answered;
        panic!("{method} {path} was answered {status}: {problem}: {}", String::from_utf8_lossy(body));
    }
}

/// What is not as it is described.
pub(crate) fn judge(answered: &Answered<'_>) -> Result<(), String> {
    let Answered { status, content_type, body, .. } = answered;
    // What is not there is not described either, nor what is not on the listener that was asked.
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    if *status == 404 && said["detail"] == NO_SUCH_ROUTE && said["type"] == "urn:callboard:problem:not-found" {
        return Ok(());
    }
    let (name, operation) = find(answered.method, answered.path).ok_or("there is no such route")?;
    let responses = &operation["responses"];
    let described = responses.get(status.to_string()).ok_or("this status is not described")?;
    let Some(contents) = described.get("content") else {
        return if body.is_empty() { Ok(()) } else { Err("a body is not described".into()) };
    };
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    // What a provider wants to be answered is its own.
    if name.starts_with("post /callbacks/") && *status == 200 && kind != "application/json" {
        return Ok(());
    }
    let content = contents.get(kind).ok_or(format!("the content type `{kind}` is not described"))?;
    if kind != "application/json" && kind != PROBLEM {
        return Ok(());
    }
    let said: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if kind == PROBLEM && said["status"] != *status {
        return Err("the problem says another status".into());
    }
    check(&format!("{name} {status} {kind}"), &content["schema"], &said)
}

/// Holds a value against a schema of the description; `name` is the schema's.
pub(crate) fn check(name: &str, schema: &Value, value: &Value) -> Result<(), String> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let known = KNOWN.lock().unwrap().get(name).cloned();
    let validator = known.unwrap_or_else(|| {
        let validator = Arc::new(validator(schema));
        KNOWN.lock().unwrap().insert(name.to_owned(), Arc::clone(&validator));
        validator
    });
    let wrong: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{error} at `{}`", error.instance_path())).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn validator(schema: &Value) -> Validator {
    let whole = json!({"allOf": [schema], "components": {"schemas": CLOSED["components"]["schemas"]}});
    jsonschema::options().should_validate_formats(true).build(&whole).unwrap()
}

/// The operation that a request is for, and its name: of those that fit, the one whose path says most.
pub(crate) fn find(method: &str, path: &str) -> Option<(String, &'static Value)> {
    let path = path.split('?').next().unwrap_or_default();
    let asked: Vec<&str> = path.split('/').collect();
    let paths = document()["paths"].as_object().unwrap().iter();
    let fitting = paths.filter(|(template, _)| fits(template, &asked));
    let best = fitting.max_by_key(|(template, _)| template.split('/').filter(|part| !part.starts_with('{')).count());
    let (template, item) = best?;
    let method = method.to_lowercase();
    Some((format!("{method} {template}"), item.get(&method)?))
}

fn fits(template: &str, asked: &[&str]) -> bool {
    let parts: Vec<&str> = template.split('/').collect();
    // A task's id, and a path at a provider, may have slashes in them.
    let is_open = template.ends_with("/{task_id}") || template.ends_with("/{path}");
    let length = if is_open { asked.len() >= parts.len() } else { asked.len() == parts.len() };
    length && parts.iter().zip(asked).all(|(part, asked)| part.starts_with('{') || part == asked)
}
