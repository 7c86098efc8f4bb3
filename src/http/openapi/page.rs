//! The description as a page: plain HTML, made once, without a script.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::complete::reference;
use super::sample::{curl, sample};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The whole page.
pub(super) fn page(document: &Value) -> String {
    let groups = groups(document);
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Callboard API</title>\n\
         <link rel=\"stylesheet\" href=\"/docs/style.css\">\n",
    );
    let version = escape(text(&document["info"]["version"]));
    let _ = write!(html, "<header>\n<h1>Callboard API</h1>\n<p>Version {version} · ");
    html.push_str("<a href=\"/openapi.json\">openapi.json</a> (OpenAPI 3.1)</p>\n</header>\n<main>\n");
    paragraphs(&mut html, text(&document["info"]["description"]));
    contents(&mut html, &groups);
    for (tag, operations) in &groups {
        let _ = writeln!(html, "<h2 id=\"tag-{tag}\">{}</h2>", escape(tag));
        for operation in operations {
            one(&mut html, document, operation);
        }
    }
    html.push_str("<h2 id=\"schemas\">Shapes</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        shape(&mut html, name, schema);
    }
    html.push_str("</main>\n</html>\n");
    html
}

/// An operation, and where it is.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    value: &'a Value,
    is_webhook: bool,
}

impl Operation<'_> {
    fn id(&self) -> &str {
        text(&self.value["operationId"])
    }

    fn name(&self) -> String {
        let method = self.method.to_uppercase();
        if self.is_webhook { escape(self.path) } else { format!("{method} {}", escape(self.path)) }
    }
}

/// The operations by their tags, each tag where its first operation is; the webhooks at the end.
fn groups(document: &Value) -> Vec<(&str, Vec<Operation<'_>>)> {
    let mut groups: Vec<(&str, Vec<Operation<'_>>)> = Vec::new();
    for (of, is_webhook) in [("paths", false), ("webhooks", true)] {
        for (path, item) in document[of].as_object().into_iter().flatten() {
            for method in METHODS {
                let Some(value) = item.get(method) else { continue };
                let operation = Operation { method, path, value, is_webhook };
                let tag = text(&value["tags"][0]);
                match groups.iter_mut().find(|(known, _)| *known == tag) {
                    Some((_, operations)) => operations.push(operation),
                    None => groups.push((tag, vec![operation])),
                }
            }
        }
    }
    groups
}

fn contents(html: &mut String, groups: &[(&str, Vec<Operation<'_>>)]) {
    html.push_str("<nav aria-label=\"Contents\">\n");
    for (tag, operations) in groups {
        let _ = writeln!(html, "<h3><a href=\"#tag-{tag}\">{}</a></h3>\n<ul>", escape(tag));
        for operation in operations {
            let summary = escape(text(&operation.value["summary"]));
            let _ = writeln!(
                html,
                "<li><a href=\"#{}\"><code>{}</code></a> {summary}</li>",
                escape(operation.id()),
                operation.name(),
            );
        }
        html.push_str("</ul>\n");
    }
    html.push_str("<h3><a href=\"#schemas\">Shapes</a></h3>\n</nav>\n");
}

fn one(html: &mut String, document: &Value, operation: &Operation<'_>) {
    let value = operation.value;
    let _ = writeln!(
        html,
        "<section id=\"{}\">\n<h3>{}</h3>\n<p class=\"route {}\"><code>{}</code></p>",
        escape(operation.id()),
        escape(text(&value["summary"])),
        if operation.is_webhook { "post" } else { operation.method },
        operation.name(),
    );
    paragraphs(html, text(&value["description"]));
    parameters(html, value);
    let body = &value["requestBody"];
    for (kind, content) in body["content"].as_object().into_iter().flatten() {
        let _ = writeln!(html, "<h4>Body</h4>\n<p>{} as <code>{}</code></p>", linked(&content["schema"]), escape(kind));
        if kind == "application/json" {
            block(html, "An example", &pretty(&sample(document, content)));
        }
    }
    if !operation.is_webhook {
        block(html, "With curl", &curl(document, operation.method, operation.path, value));
    }
    answers(html, document, value);
    html.push_str("</section>\n");
}

fn parameters(html: &mut String, operation: &Value) {
    let Some(parameters) = operation["parameters"].as_array().filter(|parameters| !parameters.is_empty()) else {
        return;
    };
    html.push_str("<h4>Parameters</h4>\n<dl>\n");
    for parameter in parameters {
        let needed = if parameter["required"] == true { ", needed" } else { "" };
        let _ = writeln!(
            html,
            "<dt><code>{}</code> <small>{}{needed}, {}</small></dt>\n<dd>{}</dd>",
            escape(text(&parameter["name"])),
            escape(text(&parameter["in"])),
            linked(&parameter["schema"]),
            inline(text(&parameter["description"])),
        );
    }
    html.push_str("</dl>\n");
}

fn answers(html: &mut String, document: &Value, operation: &Value) {
    html.push_str("<h4>Answers</h4>\n<dl>\n");
    let mut shown = None;
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let contents: Vec<String> = answer["content"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(kind, content)| format!("{} <code>{}</code>", linked(&content["schema"]), escape(kind)))
            .collect();
        let headers: Vec<&str> =
            answer["headers"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let headers =
            if headers.is_empty() { String::new() } else { format!(", with <code>{}</code>", headers.join(", ")) };
        let _ = writeln!(
            html,
            "<dt><code>{}</code> <small>{}</small></dt>\n<dd>{}{headers}</dd>",
            escape(status),
            contents.join(", "),
            inline(text(&answer["description"])),
        );
        let json = &answer["content"]["application/json"];
        if status.starts_with('2') && json.is_object() && shown.is_none() {
            shown = Some(pretty(&sample(document, json)));
        }
    }
    html.push_str("</dl>\n");
    if let Some(shown) = shown {
        block(html, "An answer", &shown);
    }
}

fn block(html: &mut String, title: &str, code: &str) {
    let _ = writeln!(
        html,
        "<details><summary>{title}</summary>\n<pre tabindex=\"0\"><code>{}</code></pre></details>",
        escape(code)
    );
}

fn shape(html: &mut String, name: &str, schema: &Value) {
    let _ = writeln!(html, "<section id=\"schema-{}\">\n<h3>{}</h3>", escape(name), escape(name));
    paragraphs(html, text(&schema["description"]));
    fields(html, schema);
    let parts = |key: &str| schema[key].as_array().into_iter().flatten();
    for one in parts("oneOf").chain(parts("anyOf")) {
        if one.get("properties").is_some() {
            let _ = writeln!(html, "<p>{}</p>", inline(&format!("Either: {}", text(&one["description"]))));
            fields(html, one);
        } else {
            let _ = writeln!(html, "<p>Either {}</p>", linked(one));
        }
    }
    if ["properties", "oneOf", "anyOf"].iter().all(|key| schema.get(key).is_none()) {
        let _ = writeln!(html, "<p>{}</p>", linked(schema));
    }
    html.push_str("</section>\n");
}

fn fields(html: &mut String, schema: &Value) {
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else { return };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    html.push_str("<dl>\n");
    for (name, property) in properties {
        let there = if required.contains(&name.as_str()) { "" } else { ", optional" };
        let _ = writeln!(
            html,
            "<dt><code>{}</code> <small>{}{there}</small></dt>\n<dd>{}</dd>",
            escape(name),
            linked(property),
            inline(about(property)),
        );
    }
    html.push_str("</dl>\n");
}

/// What is said of a property; of one that may be null it stands with what it is otherwise.
fn about(property: &Value) -> &str {
    let parts = property["oneOf"].as_array().into_iter().flatten();
    let mut said = std::iter::once(property).chain(parts).map(|part| text(&part["description"]));
    said.find(|about| !about.is_empty()).unwrap_or_default()
}

/// What a schema is, in a few words that lead on.
fn linked(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        let name = escape(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for (key, between) in [("oneOf", " or "), ("allOf", " with ")] {
        if let Some(parts) = schema[key].as_array() {
            let known = parts.iter().filter(|part| key == "oneOf" || reference(part).is_some());
            return known.map(linked).collect::<Vec<_>>().join(between);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        kind => text(kind).to_owned(),
    };
    let mut words = match kind.as_str() {
        kind if kind.starts_with("array") => format!("{} of {}", escape(kind), linked(&schema["items"])),
        "" => "anything".to_owned(),
        kind => escape(kind),
    };
    limits(schema.as_object(), &mut words);
    words
}

fn limits(schema: Option<&Map<String, Value>>, words: &mut String) {
    let known = [
        ("format", "format"),
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "at least characters:"),
        ("maxLength", "at most characters:"),
        ("maxItems", "at most items:"),
        ("default", "default"),
        ("const", "always"),
    ];
    for (key, word) in known {
        if let Some(value) = schema.and_then(|schema| schema.get(key)) {
            let _ = write!(words, ", {word} {}", escape(value.to_string().trim_matches('"')));
        }
    }
    if let Some(values) = schema.and_then(|schema| schema.get("enum")).and_then(Value::as_array) {
        let values: Vec<String> = values.iter().map(|value| format!("<code>{}</code>", escape(text(value)))).collect();
        let _ = write!(words, ": {}", values.join(", "));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn paragraphs(html: &mut String, markdown: &str) {
    for paragraph in markdown.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let _ = writeln!(html, "<p>{}</p>", inline(paragraph));
    }
}

/// The little of Markdown that we write: `code` and **bold**.
fn inline(markdown: &str) -> String {
    let mut html = String::new();
    for (at, part) in markdown.split('`').enumerate() {
        if at % 2 == 1 {
            let _ = write!(html, "<code>{}</code>", escape(part));
            continue;
        }
        for (at, part) in part.split("**").enumerate() {
            let part = escape(part);
            let _ = if at % 2 == 1 { write!(html, "<strong>{part}</strong>") } else { write!(html, "{part}") };
        }
    }
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::document;

    #[test]
    fn the_page_leads_everywhere_and_runs_nothing() {
        let page = page(document());
        let ids: Vec<&str> =
            page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default()).collect();
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "an id is there twice");
        for link in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap_or_default()) {
            assert!(ids.contains(&link), "nothing is at #{link}");
        }
        for item in document()["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let id = text(&operation["operationId"]);
                assert!(ids.contains(&id) && !text(&operation["summary"]).is_empty(), "{id}");
            }
        }
        assert!(!page.contains("<script") && !page.contains("style=") && !page.contains("://cdn"));
    }

    #[test]
    fn what_looks_like_html_is_text() {
        assert_eq!(inline("a <b> `x & y` **now**"), "a &lt;b&gt; <code>x &amp; y</code> <strong>now</strong>");
    }
}
