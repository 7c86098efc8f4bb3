//! What holds of every route is said once, here, and not beside each handler: who may ask, what a path's places mean, and the
//! problems that any of them may answer.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::PROBLEM;
use crate::domain::access::{Right, Role};
use crate::http::problem::Code;

/// Where the routes of the API begin.
const API: &str = "/api/v1/";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// What stands in a path's braces.
const PLACES: [(&str, &str); 6] = [
    ("source", "A source, by its name."),
    ("task_id", "The provider's id of the task. A slash in it may be written as it is or as `%2F`."),
    ("token", "The unguessable part of the source's callback URL."),
    ("path", "The path at the provider, with all its slashes."),
    ("name", "Its name."),
    ("id", "Its id."),
];

/// Adds it to what the handlers say of themselves.
pub(super) fn complete(document: &mut Value) {
    for schema in each_mut(&mut document["components"]["schemas"]) {
        join(schema);
    }
    let heads = join_all(document);
    pages(document);
    without_unnamed(document, heads);
    let answered = named(document, |operation| operation.get("responses"));
    let asked = named(document, |operation| operation.get("requestBody"));
    for (name, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        if answered.contains(name) {
            always_there(schema);
        } else if asked.contains(name) {
            closed(schema);
        }
    }
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if METHODS.contains(&method.as_str()) {
                operate(path, method, operation);
            }
        }
    }
}

fn each_mut(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().into_iter().flat_map(|map| map.values_mut())
}

/// Makes one object of an `allOf` of objects, as far as they are written out.
fn join(schema: &mut Value) {
    let Some(parts) = schema.get("allOf").and_then(Value::as_array) else { return };
    if parts.iter().any(|part| part.get("properties").is_none()) {
        return;
    }
    let mut joined = json!({"type": "object", "properties": {}, "required": []});
    for part in parts {
        for (name, property) in part["properties"].as_object().into_iter().flatten() {
            joined["properties"][name] = property.clone();
        }
        let required = part["required"].as_array().cloned().unwrap_or_default();
        if let Some(all) = joined["required"].as_array_mut() {
            all.extend(required);
        }
    }
    if let Some(description) = schema.get("description") {
        joined["description"] = description.clone();
    }
    *schema = joined;
}

/// The same where a part is another schema, which is written in its place.
fn join_all(document: &mut Value) -> BTreeSet<String> {
    let known = document["components"]["schemas"].clone();
    let mut heads = BTreeSet::new();
    for schema in each_mut(&mut document["components"]["schemas"]) {
        for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(name) = reference(part).map(str::to_owned) {
                *part = known[&name].clone();
                heads.insert(name);
            }
        }
        join(schema);
    }
    heads
}

/// What was a part of others alone is no schema of its own any more.
fn without_unnamed(document: &mut Value, mut heads: BTreeSet<String>) {
    let text = document.to_string();
    heads.retain(|name| !text.contains(&format!("\"#/components/schemas/{name}\"")));
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| !heads.contains(name));
    }
}

/// A page's items are named, not written out.
fn pages(document: &mut Value) {
    let names: BTreeSet<String> =
        document["components"]["schemas"].as_object().into_iter().flat_map(Map::keys).cloned().collect();
    for (name, page) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        if let Some(item) = name.strip_prefix("Page_").filter(|item| names.contains(*item)) {
            page["properties"]["items"]["items"] = json!({"$ref": format!("#/components/schemas/{item}")});
        }
    }
}

/// The name of the schema that is referred to.
pub(super) fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")
}

/// The schemas that this part of any operation leads to.
fn named(document: &Value, part: impl Fn(&Value) -> Option<&Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let items = ["paths", "webhooks"].into_iter().filter_map(|of| document[of].as_object()).flat_map(Map::values);
    for operation in items.filter_map(Value::as_object).flat_map(Map::values) {
        if let Some(part) = part(operation) {
            follow(document, part, &mut found);
        }
    }
    found
}

fn follow(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = reference(value)
                && found.insert(name.to_owned())
            {
                follow(document, &document["components"]["schemas"][name], found);
            }
            map.values().for_each(|value| follow(document, value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| follow(document, value, found)),
        _ => {}
    }
}

/// Whether null is among its values.
fn is_nullable(schema: &Value) -> bool {
    let null = json!("null");
    let listed = schema["type"].as_array().is_some_and(|types| types.contains(&null));
    let one_of = schema["oneOf"].as_array().is_some_and(|each| each.iter().any(|one| one["type"] == null));
    listed || one_of
}

/// What may be null in an answer is always there.
fn always_there(schema: &mut Value) {
    for part in schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        always_there(part);
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    let nullable = properties.iter().filter(|(_, property)| is_nullable(property)).map(|(name, _)| name.clone());
    let there = schema["required"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned));
    let required: BTreeSet<String> = nullable.chain(there).collect();
    schema["required"] = json!(required);
}

/// A field that nobody knows is refused.
fn closed(schema: &mut Value) {
    for part in schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        closed(part);
    }
    if schema.get("properties").is_some() {
        schema["additionalProperties"] = json!(false);
    }
}

fn operate(path: &str, method: &str, operation: &mut Value) {
    let noun = path.strip_prefix(API).and_then(|path| path.split('/').next());
    let tag = noun.map_or_else(|| operation["tags"][0].as_str().unwrap_or("service").to_owned(), str::to_owned);
    // A handler that takes many methods has one name for all.
    let handler = operation["operationId"].as_str().filter(|_| !path.starts_with("/relay/")).unwrap_or(method);
    operation["operationId"] = json!(format!("{tag}.{handler}"));
    operation["tags"] = json!([tag]);
    of_roles(operation);
    places(path, operation);
    if noun.is_some() {
        problems(path, method, operation);
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if status.starts_with(['4', '5']) && response.get("content").is_none() {
            told(status, response);
        }
    }
}

fn right(word: &str) -> Option<Right> {
    Some(match word {
        "read" => Right::Read,
        "manage" => Right::Manage,
        "submit" => Right::Submit,
        "administer" => Right::Administer,
        _ => return None,
    })
}

/// Says which roles a key may have, where the handler says what right it needs.
fn of_roles(operation: &mut Value) {
    let mut said = None;
    for rights in operation.get_mut("security").and_then(Value::as_array_mut).into_iter().flatten().flat_map(each_mut) {
        let Some(right) = rights[0].as_str().and_then(right) else { continue };
        let roles: Vec<&str> = Role::ALL.into_iter().filter(|role| role.has(right)).map(Role::as_str).collect();
        said = Some(roles.iter().map(|role| format!("`{role}`")).collect::<Vec<_>>().join(", "));
        *rights = json!(roles);
    }
    if let Some(roles) = said {
        let about = operation["description"].as_str().map(|about| format!("{about}\n\n")).unwrap_or_default();
        operation["description"] = json!(format!("{about}Takes a key of the role {roles}."));
    }
}

/// The places in the path, and parameters without null: there is no way to write it in a query.
fn places(path: &str, operation: &mut Value) {
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    for parameter in &mut parameters {
        without_null(&mut parameter["schema"]);
    }
    for (name, about) in PLACES.into_iter().filter(|(name, _)| path.contains(&format!("{{{name}}}"))) {
        let schema = json!({"type": "string", "minLength": 1});
        parameters.push(json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema}));
    }
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
}

fn without_null(schema: &mut Value) {
    let null = json!("null");
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|kind| *kind != null);
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(parts) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        parts.retain(|part| part["type"] != null);
        if let [only] = parts.as_slice() {
            *schema = only.clone();
        }
    }
}

/// The problems that a route of the API may answer for what it takes.
fn problems(path: &str, method: &str, operation: &mut Value) {
    let takes_query =
        operation["parameters"].as_array().into_iter().flatten().any(|parameter| parameter["in"] == "query");
    let takes_body = method != "get";
    let mut may = vec![Code::Unauthorized, Code::Forbidden, Code::Unavailable];
    if path.contains('{') {
        may.push(Code::NotFound);
    }
    if takes_body {
        may.extend([Code::TooSlow, Code::TooLarge, Code::Invalid]);
    } else if takes_query {
        may.push(Code::Invalid);
    }
    if method == "post" {
        may.push(Code::Conflict);
        once(operation);
    }
    for code in may {
        let status = code.status().as_u16().to_string();
        if operation["responses"].get(&status).is_none() {
            operation["responses"][status] = json!({"description": code.title()});
        }
    }
}

/// Every POST takes an `Idempotency-Key`.
fn once(operation: &mut Value) {
    let about = "The same request with the same key is answered as it was the first time, for a day; another request with it is \
                 refused with 409.";
    let key = json!({"name": "Idempotency-Key", "in": "header", "required": false, "description": about,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}});
    match operation.get_mut("parameters").and_then(Value::as_array_mut) {
        Some(parameters) => parameters.push(key),
        None => operation["parameters"] = json!([key]),
    }
}

/// What a problem of this status is, in words, and its shape.
fn told(status: &str, response: &mut Value) {
    response["content"] = json!({PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}});
    if ["429", "503"].contains(&status) {
        response["headers"] =
            json!({"Retry-After": {"description": "After so many seconds.", "schema": {"type": "integer"}}});
    }
}
