//! Reading what providers send: tolerant of everything but the task's id and its status.
//!
//! A field that is optional and of another type than it should be counts as absent. Every text that
//! leaves here went through [`clean`].

use std::time::Duration;

use serde_json::{Map, Value};

use super::Unread;
use crate::domain::clock::Timestamp;
use crate::domain::task::{Category, Observation, Status, TASK_ID_MAX, TaskError, clean};

/// So much of a foreign word is shown in an explanation, in characters.
const SHOWN_MAX: usize = 80;
/// The byte order mark that some Windows libraries write before JSON.
const UTF_8_BOM: &[u8] = b"\xEF\xBB\xBF";

/// A provider's words for the statuses, each with ours.
pub(super) type StatusWords = &'static [(&'static str, Status)];

/// The JSON object that a body is.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Unread> {
    let found = match json(body) {
        Ok(Value::Object(fields)) => return Ok(fields),
        Ok(other) => kind_of(Some(&other)).to_owned(),
        Err(found) => found,
    };
    Err(Unread::NoTask(format!("expected a JSON object as the body, found {found}")))
}

/// The JSON objects of the list that a body is, or has in `data`. One row that is none spoils the list.
pub(super) fn rows(body: &[u8]) -> Result<Vec<Map<String, Value>>, Unread> {
    let found = match json(body) {
        Ok(Value::Array(rows)) => return rows.into_iter().map(row).collect(),
        Ok(Value::Object(mut fields)) => match fields.remove("data") {
            Some(Value::Array(rows)) => return rows.into_iter().map(row).collect(),
            other => format!("{} in `data`", kind_of(other.as_ref())),
        },
        Ok(other) => kind_of(Some(&other)).to_owned(),
        Err(found) => found,
    };
    Err(Unread::NoTask(format!("expected a list in `data` of the body, found {found}")))
}

fn row(value: Value) -> Result<Map<String, Value>, Unread> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(Unread::NoTask(format!("expected JSON objects in the list, found {}", kind_of(Some(&other))))),
    }
}

/// The value that a body is, else what it is instead.
fn json(body: &[u8]) -> Result<Value, String> {
    let body = body.strip_prefix(UTF_8_BOM).unwrap_or(body);
    if body.is_empty() {
        return Err("nothing".to_owned());
    }
    serde_json::from_slice(body).map_err(|fault| format!("what is not JSON: {fault}"))
}

/// An object's fields, each read as what it should be or not at all.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The value, whatever it is; `None` for null as well.
    pub(super) fn value(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The fields of an object.
    pub(super) fn object(self, name: &str) -> Option<Fields<'a>> {
        self.0.get(name)?.as_object().map(Fields)
    }

    /// A text that is not empty.
    pub(super) fn text(self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty()).map(clean)
    }

    /// A text that is not empty, or a whole number's decimal text: what codes and ids are written as.
    pub(super) fn text_or_integer(self, name: &str) -> Option<String> {
        self.text(name).or_else(|| integer(self.0.get(name)?))
    }

    /// A number.
    pub(super) fn number(self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// A share of a hundred; a fraction is cut off, what is outside 0 to 100 counts as absent.
    pub(super) fn percent(self, name: &str) -> Option<u8> {
        // The range is checked, so the cast keeps the number.
        self.number(name).filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent as u8)
    }

    /// A moment: seconds since 1970 or RFC 3339. Zero is how some languages write "not yet", and counts as absent.
    pub(super) fn time(self, name: &str) -> Option<Timestamp> {
        let at = match self.0.get(name)? {
            Value::String(text) => Timestamp::parse(text),
            number => Timestamp::from_seconds(number.as_f64()?),
        };
        at.filter(|at| at.0 > 0)
    }

    /// A number of seconds, more than none.
    pub(super) fn seconds(self, name: &str) -> Option<Duration> {
        Duration::try_from_secs_f64(self.number(name)?).ok().filter(|seconds| !seconds.is_zero())
    }

    /// The error in `error`: an object with `code` and `message`, or the message alone. `meaning` says
    /// for a code what it is and whether the same request, unchanged, may succeed later.
    pub(super) fn error(self, meaning: impl Fn(&str) -> (Category, Option<bool>)) -> Option<TaskError> {
        let (code, message) = match self.object("error") {
            Some(error) => (error.text_or_integer("code"), error.text("message")),
            None => (None, self.text("error")),
        };
        if code.is_none() && message.is_none() {
            return None;
        }
        let (category, retryable) = code.as_deref().map_or((Category::Unknown, None), meaning);
        Some(TaskError { code, message, category, retryable })
    }

    /// The task's id in `field`, and its status in `status`: all that has to be there.
    pub(super) fn task(
        self,
        field: &'static str,
        status: &'static str,
        words: StatusWords,
    ) -> Result<Observation, Unread> {
        self.task_where(field, status, words, |known, word| known == word)
    }

    /// The same, for providers of whose spelling too little is documented: a word counts in any case.
    pub(super) fn task_in_any_case(
        self,
        field: &'static str,
        status: &'static str,
        words: StatusWords,
    ) -> Result<Observation, Unread> {
        self.task_where(field, status, words, str::eq_ignore_ascii_case)
    }

    fn task_where(
        self,
        field: &'static str,
        status: &'static str,
        words: StatusWords,
        same: impl Fn(&str, &str) -> bool,
    ) -> Result<Observation, Unread> {
        let task_id = self.task_id(field)?;
        let found = self.0.get(status);
        let Some(word) = found.and_then(Value::as_str).filter(|word| !word.is_empty()) else {
            let found = kind_of(found);
            let detail = format!("expected the task's status as a string in `{status}`, found {found}");
            return Err(Unread::Unknown { task_id, detail });
        };
        match words.iter().find(|(known, _)| same(known, word)) {
            Some((_, status)) => Ok(Observation::new(&task_id, *status)),
            None => {
                let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
                let detail = format!(
                    "the status word in `{status}` is `{}`, and the known ones are {}",
                    shown(word),
                    known.join(", ")
                );
                Err(Unread::Unknown { task_id, detail })
            }
        }
    }

    /// The task's id in `field`: a text or a whole number, of at most 512 bytes.
    pub(super) fn task_id(self, field: &'static str) -> Result<String, Unread> {
        let Some(task_id) = self.text_or_integer(field) else {
            let found = kind_of(self.0.get(field));
            return Err(Unread::NoTask(format!("expected the task's id as a string in `{field}`, found {found}")));
        };
        if task_id.len() > TASK_ID_MAX {
            let found = task_id.len();
            return Err(Unread::NoTask(format!(
                "expected the task's id in `{field}` to be at most {TASK_ID_MAX} bytes, found {found}"
            )));
        }
        Ok(task_id)
    }
}

/// A foreign text as it may stand in an explanation: short and without NUL.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    clean(&short)
}

/// Only what is exact: a number beyond 64 bits has lost digits when it gets here.
fn integer(value: &Value) -> Option<String> {
    value.as_i64().map(|number| number.to_string()).or_else(|| value.as_u64().map(|number| number.to_string()))
}

fn kind_of(value: Option<&Value>) -> &'static str {
    match value {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(text)) if text.is_empty() => "an empty string",
        Some(Value::String(_)) => "a string",
        Some(Value::Array(_)) => "an array",
        Some(Value::Object(_)) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WORDS: StatusWords = &[("queued", Status::Pending), ("done", Status::Completed)];

    fn task(body: &str) -> Result<Observation, Unread> {
        let fields = object(body.as_bytes())?;
        Fields(&fields).task("id", "status", WORDS)
    }

    fn no_task(body: &str) -> String {
        match task(body) {
            Err(Unread::NoTask(detail)) => detail,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn what_has_no_task_says_what_was_expected_where() {
        for (body, detail) in [
            ("", "expected a JSON object as the body, found nothing"),
            ("[]", "expected a JSON object as the body, found an array"),
            (
                "{\"id\": \n",
                "expected a JSON object as the body, found what is not JSON: EOF while parsing a value at line 2 column 0",
            ),
            ("{}", "expected the task's id as a string in `id`, found nothing"),
            (r#"{"id":""}"#, "expected the task's id as a string in `id`, found an empty string"),
            (r#"{"id":1.5}"#, "expected the task's id as a string in `id`, found a number"),
            (r#"{"id":123456789012345678901234567890}"#, "expected the task's id as a string in `id`, found a number"),
            (r#"{"id":{}}"#, "expected the task's id as a string in `id`, found an object"),
        ] {
            assert_eq!(no_task(body), detail);
        }
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(513));
        assert_eq!(no_task(&long), "expected the task's id in `id` to be at most 512 bytes, found 513");
    }

    #[test]
    fn an_id_without_a_known_status_keeps_the_id() {
        for (body, detail) in [
            (r#"{"id":"a"}"#, "expected the task's status as a string in `status`, found nothing"),
            (r#"{"id":"a","status":1}"#, "expected the task's status as a string in `status`, found a number"),
            (
                r#"{"id":"a","status":"Done"}"#,
                "the status word in `status` is `Done`, and the known ones are queued, done",
            ),
        ] {
            assert_eq!(task(body), Err(Unread::Unknown { task_id: "a".into(), detail: detail.into() }));
        }
    }

    #[test]
    fn an_id_may_be_any_text_or_a_whole_number() {
        for (body, id) in [
            (r#"{"id":"任务 №1","status":"done"}"#, "任务 №1"),
            (r#"{"id":18446744073709551615,"status":"done"}"#, "18446744073709551615"),
            (r#"{"id":-7,"status":"done"}"#, "-7"),
            ("{\"id\":\"a\\u0000b\",\"status\":\"done\"}", "a\u{FFFD}b"),
            ("\u{FEFF}{\"id\":\"bom\",\"status\":\"done\"}", "bom"),
        ] {
            assert_eq!(task(body).unwrap().task_id, id);
        }
    }

    #[test]
    fn fields_of_another_type_count_as_absent() {
        let fields = json!({"empty": "", "flag": true, "null": null, "list": [1]});
        let fields = Fields(fields.as_object().unwrap());
        for name in ["empty", "flag", "null", "list", "missing"] {
            assert_eq!(fields.text_or_integer(name), None, "{name}");
            assert_eq!(fields.percent(name), None, "{name}");
            assert_eq!(fields.time(name), None, "{name}");
            assert!(fields.object(name).is_none(), "{name}");
        }
        assert!(fields.value("null").is_none());
    }

    #[test]
    fn percents_and_moments_have_a_range() {
        let fields = json!({"a": 0, "b": 99.9, "c": 101, "d": -1, "e": "50", "s": 1_757_169_743, "z": 0,
            "ms": 1_757_169_743_000_i64, "iso": "2025-09-06T14:42:23Z", "unset": "0001-01-01T00:00:00Z"});
        let fields = Fields(fields.as_object().unwrap());
        assert_eq!(["a", "b", "c", "d", "e"].map(|name| fields.percent(name)), [Some(0), Some(99), None, None, None]);
        let at = Some(Timestamp(1_757_169_743_000));
        assert_eq!(["s", "iso", "z", "ms", "unset"].map(|name| fields.time(name)), [at, at, None, None, None]);
    }

    #[test]
    fn a_list_is_the_body_or_in_its_data() {
        for body in [r#"[{"id":"a"}]"#, r#"{"data":[{"id":"a"}],"total":1}"#, "\u{FEFF}[{\"id\":\"a\"}]"] {
            assert_eq!(rows(body.as_bytes()).unwrap()[0]["id"], "a", "{body}");
        }
        assert_eq!(rows(b"[]").unwrap().len(), 0);
        for (body, detail) in [
            ("", "expected a list in `data` of the body, found nothing"),
            ("{}", "expected a list in `data` of the body, found nothing in `data`"),
            (r#"{"data":null}"#, "expected a list in `data` of the body, found null in `data`"),
            ("7", "expected a list in `data` of the body, found a number"),
            (r#"[{"id":"a"},"b"]"#, "expected JSON objects in the list, found a string"),
        ] {
            assert_eq!(rows(body.as_bytes()), Err(Unread::NoTask(detail.into())), "{body}");
        }
    }

    #[test]
    fn seconds_are_more_than_none() {
        let fields = json!({"a": 180, "b": 0.5, "c": 0, "d": -1, "e": "180", "f": 1e300});
        let fields = Fields(fields.as_object().unwrap());
        let some = |seconds| Some(Duration::from_secs_f64(seconds));
        let read = ["a", "b", "c", "d", "e", "f"].map(|name| fields.seconds(name));
        assert_eq!(read, [some(180.0), some(0.5), None, None, None, None]);
    }

    #[test]
    fn an_error_is_an_object_or_a_text() {
        let read = |error: Value| {
            let fields = json!({ "error": error });
            Fields(fields.as_object().unwrap()).error(|code| (Category::Internal, Some(code == "500")))
        };
        let error = |code: Option<&str>, message: Option<&str>, category, retryable| {
            Some(TaskError { code: code.map(Into::into), message: message.map(Into::into), category, retryable })
        };
        assert_eq!(read(json!({"code": 500})), error(Some("500"), None, Category::Internal, Some(true)));
        assert_eq!(read(json!({"message": "no"})), error(None, Some("no"), Category::Unknown, None));
        assert_eq!(read(json!("no\0")), error(None, Some("no\u{FFFD}"), Category::Unknown, None));
        for nothing in
            [json!(null), json!(""), json!({}), json!({"code": null, "message": ["no"]}), json!(1), json!([])]
        {
            assert_eq!(read(nothing), None);
        }
    }

    #[test]
    fn a_long_word_is_shown_short() {
        assert_eq!(shown("short\0"), "short\u{FFFD}");
        assert_eq!(shown(&"ж".repeat(81)), format!("{}…", "ж".repeat(80)));
    }
}
