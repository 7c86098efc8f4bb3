//! What `sources`, `destinations`, `subscriptions` and `teams` share: listing, showing, making, replacing, deleting.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::client::{Client, Query};
use super::list::{Listing, Paging, print_one};
use super::table::{Column, fields};
use super::{Done, Failure, console};

/// One kind of setting.
pub(super) struct Noun {
    /// Its route.
    pub(super) path: &'static str,
    pub(super) columns: &'static [Column],
}

/// What can be done with settings that have a name.
#[derive(clap::Subcommand)]
pub(super) enum Named {
    /// List them
    #[command(after_help = "Example:\n  callboard destinations list --json")]
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one; secrets are never shown
    #[command(after_help = "Example:\n  callboard sources show evolink")]
    Show {
        /// Its name
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make one. Secrets that are made for it are shown here, once
    #[command(
        after_help = "Example:\n  callboard destinations create ads-slack --set team=ads --set channel=slack --set url=https://hooks.slack.com/…\n  callboard sources create studio --set provider=evolink --set poll.every=1m --set teams=ads,ops\n  callboard destinations create backend --file backend.json"
    )]
    Create {
        /// Its name
        name: String,
        #[command(flatten)]
        making: Making,
    },
    /// Put other settings in the place of those it has. What is left out gets its default; secrets stay
    #[command(after_help = "Example:\n  callboard destinations replace ads-slack --file ads-slack.json")]
    Replace {
        /// Its name
        name: String,
        #[command(flatten)]
        making: Making,
    },
    /// Delete it. Of a destination, what it was still to be told ends as dead, and its subscriptions go too
    #[command(after_help = "Example:\n  callboard destinations delete ads-slack")]
    Delete {
        /// Its name
        name: String,
    },
}

/// The fields of what is made.
#[derive(clap::Args)]
pub(super) struct Making {
    /// A field, as in the configuration: `poll.every=1m` is one inside of another, a field given twice is a list, as is
    /// `events=a,b`; what is a number, true, false, null, or JSON in quotes, brackets or braces is taken as that
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// A JSON file with the fields; `-` is standard input
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Noun {
    /// Does it.
    pub(super) async fn run(&self, client: &Client, what: Named) -> Done {
        match what {
            Named::List { paging } => self.list(client, &paging).await,
            Named::Show { name, json } => self.show(client, &name, json).await,
            Named::Create { name, making } => self.create(client, Some(&name), &making).await,
            Named::Replace { name, making } => self.replace(client, &name, &making).await,
            Named::Delete { name } => self.delete(client, &name).await,
        }
    }

    pub(super) async fn list(&self, client: &Client, paging: &Paging) -> Done {
        Listing { path: &[self.path], query: Query::new(), columns: self.columns }.print(client, paging).await
    }

    pub(super) async fn show(&self, client: &Client, name: &str, as_json: bool) -> Done {
        let text = client.get(&[self.path, name], &Query::new()).await?;
        print_one(&text, as_json, |text| fields(text, &[]));
        Ok(())
    }

    pub(super) async fn create(&self, client: &Client, name: Option<&str>, making: &Making) -> Done {
        let mut body = making.fields()?;
        if let Some(name) = name {
            body.insert("name".to_owned(), Value::String(name.to_owned()));
        }
        let text = client.post(&[self.path], &Value::Object(body)).await?;
        print_one(&text, making.json, |text| fields(text, &[]));
        Ok(())
    }

    pub(super) async fn replace(&self, client: &Client, name: &str, making: &Making) -> Done {
        let text = client.put(&[self.path, name], &Value::Object(making.fields()?)).await?;
        print_one(&text, making.json, |text| fields(text, &[]));
        Ok(())
    }

    pub(super) async fn delete(&self, client: &Client, name: &str) -> Done {
        client.delete(&[self.path, name]).await?;
        console::say(&format!("{name} is deleted"));
        Ok(())
    }
}

impl Making {
    fn fields(&self) -> Result<Map<String, Value>, Failure> {
        let mut fields = self.file.as_deref().map(read).transpose()?.unwrap_or_default();
        let mut seen = Vec::new();
        for pair in &self.set {
            let wrong = |problem: &str| {
                Failure::Wrong(format!("--set {}: {problem}", pair.split('=').next().unwrap_or_default()))
            };
            let (path, text) = pair.split_once('=').ok_or_else(|| wrong("write it as FIELD=VALUE"))?;
            let value = value(path, text).map_err(|problem| wrong(&problem))?;
            set(&mut fields, path, value, seen.contains(&path)).map_err(|problem| wrong(&problem))?;
            seen.push(path);
        }
        Ok(fields)
    }
}

fn read(file: &Path) -> Result<Map<String, Value>, Failure> {
    let shown = file.display();
    let text =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.map_err(|error| Failure::Wrong(format!("--file {shown}: it cannot be read: {error}")))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Failure::Wrong(format!("--file {shown}: a JSON object is expected"))),
        // Its own words may hold a piece of a secret; where it is, is enough.
        Err(error) => Err(Failure::Wrong(format!(
            "--file {shown}: line {}, column {}: not valid JSON",
            error.line(),
            error.column()
        ))),
    }
}

/// Fields that are lists, also where one thing is in them.
const LISTS: [&str; 3] = ["events", "sources", "teams"];

/// A value as it is meant: JSON where it looks like JSON, else the text.
fn value(field: &str, text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) if LISTS.contains(&field) && !text.starts_with('[') => {
            Ok(text.split(',').map(|item| Value::String(item.trim().to_owned())).collect())
        }
        Err(_) if text.starts_with(['{', '[', '"']) => Err("what begins like JSON must be JSON".to_owned()),
        Err(_) => Ok(Value::String(text.to_owned())),
    }
}

/// Sets a field, which may lie in another; one that was set before becomes a list.
fn set(fields: &mut Map<String, Value>, path: &str, value: Value, is_again: bool) -> Result<(), String> {
    if let Some((outer, inner)) = path.split_once('.') {
        let held = fields.entry(outer).or_insert_with(|| Value::Object(Map::new()));
        let held = held.as_object_mut().ok_or_else(|| format!("`{outer}` is not an object"))?;
        return set(held, inner, value, is_again);
    }
    if path.is_empty() {
        return Err("a field is missing before the `=` or a dot".to_owned());
    }
    let value = match fields.remove(path) {
        Some(first) if is_again => items(first).into_iter().chain(items(value)).collect(),
        _ => value,
    };
    fields.insert(path.to_owned(), value);
    Ok(())
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        one => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(set: &[&str]) -> Result<Value, String> {
        let making = Making { set: set.iter().map(|pair| (*pair).to_owned()).collect(), file: None, json: false };
        match making.fields() {
            Ok(fields) => Ok(Value::Object(fields)),
            Err(failure) => Err(failure.text()),
        }
    }

    #[test]
    fn fields_are_taken_as_they_are_meant() {
        assert_eq!(
            fields(&[
                "team=ads",
                "concurrency=4",
                "rate=1/s",
                "poll.every=1m",
                "poll.discover=true",
                "to=a@x",
                "to=b@x",
                "to=c@x",
                "events=a, b",
                "events=c",
                "teams=ads"
            ]),
            Ok(json!({"team": "ads", "concurrency": 4, "rate": "1/s", "poll": {"every": "1m", "discover": true},
                      "to": ["a@x", "b@x", "c@x"], "events": ["a", "b", "c"], "teams": ["ads"]}))
        );
        assert_eq!(
            fields(&["secret=\"5\"", "sources=[\"a\"]", "where=task.model == \"a=b\"", "x=null"]),
            Ok(json!({"secret": "5", "sources": ["a"], "where": "task.model == \"a=b\"", "x": null}))
        );
    }

    #[test]
    fn mistakes_are_named_without_what_may_be_secret() {
        for (set, said) in [
            (&["hush"][..], "--set hush: write it as FIELD=VALUE"),
            (&["=hush"][..], "--set : a field is missing"),
            (&["secret=[hush"][..], "--set secret: what begins like JSON must be JSON"),
            (&["poll=1m", "poll.every=hush"][..], "--set poll.every: `poll` is not an object"),
        ] {
            let wrong = fields(set).unwrap_err();
            assert!(wrong.starts_with(said), "{wrong}");
            assert!(wrong == "--set hush: write it as FIELD=VALUE" || !wrong.contains("hush"), "{wrong}");
        }
    }
}
