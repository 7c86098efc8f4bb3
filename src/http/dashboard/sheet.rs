//! Forms that are filled in: what is asked for, what was typed, and what is wrong with it beside its field. What was typed
//! becomes the JSON of the API's own request, so that both are read by the same code.

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::problem::Problem;
use super::form::Form;
use super::text::Text;
use crate::domain::filter::FilterError;

/// How a field is filled in, and what becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// One line.
    Text,
    /// One line that is not shown while it is typed.
    Secret,
    /// A whole number.
    Number,
    /// Several lines that are one text.
    Long,
    /// Each line is one of a list.
    Lines,
    /// Each line is `key=value`.
    Pairs,
    /// One of the choices.
    Choice,
    /// Any of the choices.
    Several,
    /// Yes or no.
    Flag,
    /// Not to be changed here, and not sent on.
    Fixed,
}

/// One of several that can be chosen.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// What is sent.
    pub(super) word: String,
    /// What is read.
    pub(super) label: String,
}

/// One field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// What the API calls it; a dot leads into an object.
    pub(super) name: &'static str,
    /// What people call it.
    pub(super) label: Text,
    /// What helps to fill it in.
    pub(super) hint: Option<String>,
    /// What stands there while it is empty.
    pub(super) example: String,
    /// How it is filled in.
    pub(super) kind: Kind,
    /// What can be chosen.
    pub(super) choices: Vec<Choice>,
    /// Whether it must be filled in.
    pub(super) is_needed: bool,
    /// What stands there.
    pub(super) values: Vec<String>,
    /// What is wrong with it.
    pub(super) problem: Option<String>,
    /// The line with the mistake, and what leads to its column.
    pub(super) mark: Option<(String, String)>,
}

impl Field {
    /// An empty one.
    pub(super) fn new(name: &'static str, label: Text, kind: Kind) -> Self {
        Self {
            name,
            label,
            kind,
            hint: None,
            example: String::new(),
            choices: Vec::new(),
            is_needed: false,
            values: Vec::new(),
            problem: None,
            mark: None,
        }
    }

    /// The same, which must be filled in.
    pub(super) fn needed(self) -> Self {
        Self { is_needed: true, ..self }
    }

    /// The same, with a hint.
    pub(super) fn hint(self, hint: impl ToString) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    /// The same, with an example of what is written there.
    pub(super) fn example(self, example: impl Into<String>) -> Self {
        Self { example: example.into(), ..self }
    }

    /// The same, with this in it.
    pub(super) fn with(self, value: impl Into<String>) -> Self {
        self.all([value.into()])
    }

    /// The same, with this in it if there is anything.
    pub(super) fn maybe(self, value: Option<impl Into<String>>) -> Self {
        self.all(value.map(Into::into))
    }

    /// The same, with all of this in it.
    pub(super) fn all(self, values: impl IntoIterator<Item = String>) -> Self {
        Self { values: values.into_iter().collect(), ..self }
    }

    /// The same, with these choices.
    pub(super) fn choices(self, choices: impl IntoIterator<Item = Choice>) -> Self {
        Self { choices: choices.into_iter().collect(), ..self }
    }

    /// What stands there, as one text.
    pub(super) fn text(&self) -> String {
        self.values.join("\n")
    }

    /// Whether this is chosen.
    pub(super) fn has(&self, word: &str) -> bool {
        self.values.iter().any(|value| value == word)
    }

    /// How it is written in HTML, for those that are an `<input>`.
    pub(super) fn input_type(&self) -> &'static str {
        match self.kind {
            Kind::Secret => "password",
            Kind::Number => "number",
            _ => "text",
        }
    }

    /// Whether it takes several lines.
    pub(super) fn is_tall(&self) -> bool {
        matches!(self.kind, Kind::Long | Kind::Lines | Kind::Pairs)
    }

    fn take(&mut self, form: &Form) {
        let typed = form.texts(self.name).map(|text| text.replace("\r\n", "\n"));
        self.values = match self.kind {
            Kind::Fixed => return,
            Kind::Several => typed.collect(),
            Kind::Lines | Kind::Pairs => typed.take(1).flat_map(|text| lines(&text)).collect(),
            _ => typed.take(1).collect(),
        };
    }

    fn json(&self) -> Option<Value> {
        let first = self.values.first();
        match self.kind {
            Kind::Fixed => None,
            Kind::Flag => first.map(|_| json!(true)),
            Kind::Number => first.map(|text| text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number))),
            Kind::Lines | Kind::Several => (!self.values.is_empty()).then(|| json!(self.values)),
            Kind::Pairs => (!self.values.is_empty()).then(|| pairs(&self.values)),
            _ => first.map(|text| json!(text)),
        }
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn pairs(lines: &[String]) -> Value {
    let pair = |line: &String| {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        (key.trim().to_owned(), json!(value.trim()))
    };
    Value::Object(lines.iter().map(pair).collect())
}

/// A form that is filled in.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    /// Its fields, in their order.
    pub(super) fields: Vec<Field>,
    /// From this one on they are seldom changed, and folded away.
    pub(super) seldom: usize,
    /// What is wrong that is no field's.
    pub(super) problem: Option<String>,
}

impl Sheet {
    /// One with these fields.
    pub(super) fn of(fields: impl IntoIterator<Item = Field>) -> Self {
        Self { fields: fields.into_iter().collect(), seldom: usize::MAX, problem: None }
    }

    /// The same, with the fields from this one on folded away.
    pub(super) fn seldom(self, name: &str) -> Self {
        let seldom = self.fields.iter().position(|field| field.name == name);
        Self { seldom: seldom.unwrap_or(usize::MAX), ..self }
    }

    /// Whether what is folded away must be seen.
    pub(super) fn is_open(&self) -> bool {
        self.fields.iter().skip(self.seldom).any(|field| field.problem.is_some())
    }

    /// Takes over what was typed, and keeps it.
    pub(super) fn take(&mut self, form: &Form) {
        self.fields.iter_mut().for_each(|field| field.take(form));
    }

    /// A field.
    pub(super) fn field(&mut self, name: &str) -> Option<&mut Field> {
        self.fields.iter_mut().find(|field| field.name == name)
    }

    /// What was typed, as the API takes it.
    pub(super) fn json(&self) -> Map<String, Value> {
        let mut all = Map::new();
        for field in &self.fields {
            let Some(value) = field.json() else { continue };
            match field.name.split_once('.') {
                None => _ = all.insert(field.name.to_owned(), value),
                Some((outer, inner)) => {
                    let object = all.entry(outer).or_insert_with(|| json!({}));
                    object[inner] = value;
                }
            }
        }
        all
    }

    /// Says beside its field what is wrong, or above all of them. Gives what the page is then answered with.
    ///
    /// # Errors
    /// A problem that nothing in the form can mend.
    pub(super) fn refuse(&mut self, problem: Problem) -> Result<StatusCode, Problem> {
        let status = problem.status_code();
        match &problem {
            Problem::Invalid { field, detail } => {
                let is_in = |name: &str| {
                    field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                };
                let found = self.fields.iter_mut().find(|known| is_in(known.name) && known.kind != Kind::Fixed);
                match found {
                    Some(found) => found.problem = Some(detail.clone()),
                    None => self.problem = Some(problem.told().1),
                }
            }
            Problem::Conflict(detail) => self.problem = Some(detail.clone()),
            _ => return Err(problem),
        }
        Ok(status)
    }

    /// Shows where in a field a mistake is.
    pub(super) fn mark(&mut self, name: &str, mistake: &FilterError) {
        let Some(field) = self.field(name) else { return };
        let text = field.text();
        let line = text.lines().nth(mistake.line.saturating_sub(1)).unwrap_or_default().to_owned();
        field.mark = Some((line, " ".repeat(mistake.column.saturating_sub(1))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::list::invalid;
    use crate::http::dashboard::text::Language;

    fn sheet() -> Sheet {
        let label = Language::English.texts().frame.api;
        Sheet::of([
            Field::new("name", label, Kind::Text),
            Field::new("poll.after", label, Kind::Text),
            Field::new("poll.discover", label, Kind::Flag),
            Field::new("teams", label, Kind::Several),
            Field::new("to", label, Kind::Lines),
            Field::new("concurrency", label, Kind::Number),
            Field::new("metadata", label, Kind::Pairs),
            Field::new("channel", label, Kind::Fixed).with("slack"),
        ])
    }

    #[test]
    fn what_was_typed_is_what_the_api_takes() {
        let mut sheet = sheet();
        sheet.take(&Form::of(
            &b"name=+a+&poll.after=1m&poll.discover=on&teams=x&teams=y&to=a%40b%0D%0A%0D%0Ac%40d&concurrency=8&metadata=k%3Dv%3Dw%0An&channel=evil"[..]
                .into(),
        ));
        let expected = json!({"name": "a", "poll": {"after": "1m", "discover": true}, "teams": ["x", "y"],
            "to": ["a@b", "c@d"], "concurrency": 8, "metadata": {"k": "v=w", "n": ""}});
        assert_eq!(Value::Object(sheet.json()), expected);
    }

    #[test]
    fn what_is_wrong_stands_beside_its_field() {
        let mut sheet = sheet();
        for (place, beside) in [("poll.after", "poll.after"), ("teams[1]", "teams"), ("to", "to")] {
            assert_eq!(sheet.refuse(invalid(place, "wrong")).ok(), Some(StatusCode::UNPROCESSABLE_ENTITY));
            assert_eq!(sheet.field(beside).and_then(|field| field.problem.take()), Some("wrong".to_owned()), "{place}");
        }
        assert!(sheet.refuse(invalid("nowhere", "wrong")).is_ok() && sheet.problem.is_some());
        assert!(sheet.refuse(Problem::Unavailable).is_err());
    }
}
