//! Examples, made of the schemas where none is given.

use serde_json::{Map, Value, json};

use super::complete::reference;

/// Deeper than any schema of ours.
const DEPTH_MAX: usize = 12;

/// An example of what a media type holds.
pub(super) fn sample(document: &Value, content: &Value) -> Value {
    content.get("example").cloned().unwrap_or_else(|| of(document, &content["schema"], DEPTH_MAX))
}

fn of(document: &Value, schema: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(given) = schema.get("example").or_else(|| schema["examples"].get(0)).or_else(|| schema.get("const")) {
        return given.clone();
    }
    if let Some(name) = reference(schema) {
        return of(document, &document["components"]["schemas"][name], depth - 1);
    }
    let first = |key: &str| {
        let parts = schema[key].as_array()?;
        parts.iter().find(|part| part["type"] != "null")
    };
    if let Some(part) = first("oneOf") {
        return of(document, part, depth - 1);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return together(document, parts, depth);
    }
    if let Some(word) = schema["enum"].get(0) {
        return word.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default();
    match kind {
        "array" => json!([of(document, &schema["items"], depth - 1)]),
        "integer" | "number" => schema.get("default").or_else(|| schema.get("minimum")).cloned().unwrap_or(json!(1)),
        "boolean" => json!(true),
        "object" => object(document, schema, depth),
        "string" => json!("…"),
        _ => Value::Null,
    }
}

fn object(document: &Value, schema: &Value, depth: usize) -> Value {
    let required = schema["required"].as_array().filter(|required| !required.is_empty());
    let is_shown = |name: &str| required.is_none_or(|required| required.iter().any(|known| known == name));
    let properties = schema["properties"].as_object().into_iter().flatten().filter(|(name, _)| is_shown(name));
    let mut made: Map<String, Value> =
        properties.map(|(name, property)| (name.clone(), of(document, property, depth - 1))).collect();
    if schema["additionalProperties"]["type"] == "string" {
        made.insert("campaign".into(), json!("spring"));
    }
    Value::Object(made)
}

/// What holds of the parts together: a later one says more closely what an earlier one says.
fn together(document: &Value, parts: &[Value], depth: usize) -> Value {
    let mut made = Value::Null;
    for part in parts {
        let closer = object_of(document, part, depth);
        match (made.as_object_mut(), closer) {
            (Some(fields), Value::Object(more)) => fields.extend(more),
            (None, closer) => made = closer,
            _ => {}
        }
    }
    made
}

fn object_of(document: &Value, part: &Value, depth: usize) -> Value {
    if part.get("properties").is_some() { object(document, part, depth) } else { of(document, part, depth - 1) }
}

/// A request as one types it.
pub(super) fn curl(document: &Value, method: &str, path: &str, operation: &Value) -> String {
    let path = path
        .replace("{source}", "evolink")
        .replace("{task_id}", "task-unified-1757169743-o3t2v")
        .replace("{token}", "TOKEN")
        .replace("{path}", "v1/videos/generations")
        .replace("{name}", "NAME")
        .replace("{id}", "ID");
    let method = if method == "get" { String::new() } else { format!(" -X {}", method.to_uppercase()) };
    let mut command = format!("curl{method} \"$CALLBOARD_URL{path}\"");
    if operation["security"][0].get("key").is_some() {
        command.push_str(" \\\n  -H \"Authorization: Bearer $CALLBOARD_KEY\"");
    }
    if operation["security"][0].get("relay").is_some() {
        command.push_str(" \\\n  -H \"X-Callboard-Key: $CALLBOARD_KEY\"");
    }
    let content = &operation["requestBody"]["content"]["application/json"];
    if content.is_object() && operation["requestBody"]["required"] != false {
        let body = sample(document, content).to_string().replace('\'', "'\\''");
        command.push_str(&format!(" \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"));
    }
    command
}
