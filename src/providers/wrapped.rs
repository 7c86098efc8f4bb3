//! The answers of kling3api.com, `{code, message, data}` with the task in `data`, and of its sister API.
//!
//! kling3api.com documents a task that was made, one that ended well, and the codes of its errors; API in
//! One documents no answer at all, and shares its prices and the names of its machines with it. What both
//! adapters read alike is therefore here, wrapped or flat, and a [`Shape`] says where they differ.

use super::Unread;
use super::api::{Reply, Told};
use super::ask;
use super::links::{Links, kind_of_name};
use super::read::{self, Fields, StatusWords, shown};
use crate::domain::task::{Category, Observation, Status, TaskError, Usage};

/// Where one provider puts what.
pub(super) struct Shape {
    /// The fields of which the first that is there is the task's id.
    pub(super) ids: &'static [&'static str],
    /// Its words for the statuses; they count in any case.
    pub(super) words: StatusWords,
    /// The fields of which the first that is there names the model.
    pub(super) models: &'static [&'static str],
    /// The paths to the result links, from the outside in.
    pub(super) outputs: &'static [&'static [&'static str]],
}

/// The documented error codes: under which HTTP status each comes, what it means, and whether the same
/// request, unchanged, may succeed later.
const CODES: [(&str, u16, Category, Option<bool>); 9] = [
    ("INVALID_PROMPT", 400, Category::InvalidRequest, Some(false)),
    ("INVALID_DURATION", 400, Category::InvalidRequest, Some(false)),
    ("INVALID_TYPE", 400, Category::InvalidRequest, Some(false)),
    ("MISSING_IMAGE", 400, Category::InvalidRequest, Some(false)),
    ("MISSING_VIDEO", 400, Category::InvalidRequest, Some(false)),
    ("INVALID_API_KEY", 401, Category::Authentication, Some(false)),
    ("INSUFFICIENT_CREDITS", 402, Category::InsufficientCredits, Some(false)),
    ("RATE_LIMITED", 429, Category::RateLimited, Some(true)),
    ("INTERNAL_ERROR", 500, Category::Internal, Some(true)),
];

impl Shape {
    /// The task that a body shows.
    pub(super) fn observation(&self, body: &[u8]) -> Result<Observation, Unread> {
        self.task(self.inside(Fields(&read::object(body)?)))
    }

    /// What the answer to a request that makes a task says. A task that is said to have ended well and
    /// has no result has only been made: the word may be about the request, and asking will tell.
    pub(super) fn created(&self, reply: &Reply<'_>) -> Result<Observation, Unread> {
        if let Some(told) = refusal(reply) {
            return Err(ask::not_made(&told));
        }
        let mut seen = ask::created(reply, |body, _| self.observation(body))?;
        if seen.status == Status::Completed && seen.outputs.is_empty() {
            seen.status = Status::Pending;
        }
        Ok(seen)
    }

    /// What an answer says of the task that was asked for.
    pub(super) fn told(&self, task_id: &str, reply: &Reply<'_>) -> Told {
        refusal(reply).unwrap_or_else(|| match self.observation(reply.body) {
            Ok(seen) => ask::of(task_id, seen),
            Err(unread) => refused_in_words(reply, &unread).unwrap_or_else(|| ask::nothing(&unread)),
        })
    }

    /// The fields of the task: those of `data` if it has an id, else those of the body.
    fn inside<'a>(&self, body: Fields<'a>) -> Fields<'a> {
        body.object("data").filter(|data| self.id(*data).is_some() || self.id(body).is_none()).unwrap_or(body)
    }

    /// Under which of its names the id is there.
    fn id(&self, fields: Fields<'_>) -> Option<&'static str> {
        self.ids.iter().copied().find(|id| fields.text_or_integer(id).is_some())
    }

    fn task(&self, fields: Fields<'_>) -> Result<Observation, Unread> {
        let id = self.id(fields).unwrap_or(self.ids[0]);
        let mut seen = fields.task_in_any_case(id, "status", self.words)?;
        seen.model = self.models.iter().find_map(|model| fields.text(model));
        seen.progress = fields.percent("progress");
        seen.created_at = fields.time("created_at");
        seen.completed_at = fields.time("completed_at");
        seen.usage = fields.number("consumed_credits").map(|credits| Usage { credits: Some(credits) });
        if seen.status == Status::Failed || seen.status == Status::Cancelled {
            seen.error = error(fields);
        }
        let hint = ["type", "model"].into_iter().find_map(|name| kind_of_name(&fields.text(name)?));
        // Nothing is said of how long links live.
        seen.outputs = self.links(fields).outputs(hint, |_| None);
        Ok(seen)
    }

    fn links(&self, fields: Fields<'_>) -> Links {
        let mut links = Links::default();
        for path in self.outputs {
            let Some((last, outer)) = path.split_last() else { continue };
            let inner = outer.iter().try_fold(fields, |fields, name| fields.object(name));
            if let Some(value) = inner.and_then(|fields| fields.value(last)) {
                links.add_all(value);
            }
        }
        links
    }
}

/// What an answer's HTTP status says, or a `code` in its body that says another one than 200; `None` where
/// the task has to be read. 0 is the other way in which such APIs say that all is well.
fn refusal(reply: &Reply<'_>) -> Option<Told> {
    let body = read::object(reply.body).unwrap_or_default();
    let fields = Fields(&body);
    let word = word(fields).map(str::to_owned).or_else(|| ask::code(fields));
    if let Some(told) = Told::by_status(reply.status, word.as_deref()) {
        return Some(told);
    }
    let code = fields.number("code").or_else(|| fields.text("code")?.parse::<i32>().ok().map(f64::from))?;
    if code == 0.0 || (200.0..300.0).contains(&code) {
        return None;
    }
    if (300.0..600.0).contains(&code) {
        // The range is checked, so the cast keeps the number.
        return Told::by_status(code as u16, word.as_deref());
    }
    let code = shown(&code.to_string());
    Some(Told::Nothing(format!("HTTP {}, and the `code` in the body is {code}", reply.status)))
}

/// A body without a task in which a documented code stands somewhere means what the code does, whatever
/// its HTTP status: how an error looks is not documented.
fn refused_in_words(reply: &Reply<'_>, unread: &Unread) -> Option<Told> {
    if !matches!(unread, Unread::NoTask(_)) {
        return None;
    }
    let body = read::object(reply.body).ok()?;
    let word = word(Fields(&body))?;
    let (_, status, ..) = CODES.iter().find(|(known, ..)| *known == word)?;
    Told::by_status(*status, Some(word))
}

/// The documented error code in a body, at any of the places where one may stand.
fn word(fields: Fields<'_>) -> Option<&'static str> {
    let inner = [fields.object("error"), fields.object("data")];
    let places = std::iter::once(fields).chain(inner.into_iter().flatten());
    let texts = places.flat_map(|fields| ["code", "error_code", "error", "message"].map(|name| fields.text(name)));
    texts.flatten().find_map(|text| CODES.iter().map(|(known, ..)| *known).find(|known| *known == text))
}

/// Why a task failed: `error_message`, which may be one of the codes, or an `error` as others write it.
fn error(fields: Fields<'_>) -> Option<TaskError> {
    let Some(message) = fields.text("error_message") else { return fields.error(meaning) };
    let known = CODES.iter().any(|(known, ..)| *known == message).then(|| message.clone());
    let code = fields.text_or_integer("error_code").or(known);
    let (category, retryable) = code.as_deref().map_or((Category::Unknown, None), meaning);
    Some(TaskError { code: code.map(|code| shown(&code)), message: Some(message), category, retryable })
}

fn meaning(code: &str) -> (Category, Option<bool>) {
    let known = CODES.iter().find(|(known, ..)| *known == code);
    known.map_or((Category::Unknown, None), |(_, _, category, retryable)| (*category, *retryable))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::task::OutputKind;

    const SHAPE: Shape = Shape {
        ids: &["task_id", "id"],
        words: &[("running", Status::Processing), ("success", Status::Completed), ("failed", Status::Failed)],
        models: &["model", "type"],
        outputs: &[&["response"], &["output", "urls"]],
    };

    fn with_reply<T>(status: u16, body: &Value, read: impl Fn(&Reply<'_>) -> T) -> T {
        read(&Reply { status, body: body.to_string().as_bytes(), received_at: Timestamp(0) })
    }

    fn told(status: u16, body: &Value) -> Told {
        with_reply(status, body, |reply| SHAPE.told("a", reply))
    }

    fn created(body: &Value) -> Result<Observation, Unread> {
        with_reply(200, body, |reply| SHAPE.created(reply))
    }

    fn task(body: &Value) -> Observation {
        SHAPE.observation(body.to_string().as_bytes()).unwrap_or_else(|unread| panic!("{body}: {unread}"))
    }

    #[test]
    fn a_task_may_be_flat_or_wrapped_and_its_words_in_any_case() {
        for body in [
            json!({"task_id": "a", "status": "RUNNING"}),
            json!({"code": 200, "message": "success", "data": {"task_id": "a", "status": "Running"}}),
            json!({"id": "request-1", "status": "success", "data": {"id": "a", "status": "running"}}),
            json!({"id": "a", "status": "running", "data": {"note": "not a task"}}),
            json!({"task_id": "a", "id": 7, "status": "running"}),
        ] {
            let seen = task(&body);
            assert_eq!((&*seen.task_id, seen.status), ("a", Status::Processing), "{body}");
        }
        assert_eq!(
            task(&json!({"data": {"task_id": 71_000_000_000_000_001_i64, "status": "RUNNING"}})).task_id,
            "71000000000000001"
        );
    }

    #[test]
    fn a_code_in_the_body_counts_like_an_http_status() {
        let data = json!({"task_id": "a", "status": "SUCCESS", "response": ["https://x.example/a.mp4"]});
        let with = |code: Value| told(200, &json!({"code": code, "message": "m", "data": data}));
        for fine in [json!(200), json!("200"), json!(0), json!(null), json!(true), json!(200.0)] {
            assert!(matches!(with(fine.clone()), Told::Task(_)), "{fine}");
        }
        assert_eq!(with(json!(404)), Told::NotFound);
        assert_eq!(with(json!("404")), Told::NotFound);
        assert_eq!(with(json!(429)), Told::Throttled);
        assert_eq!(with(json!(401)), Told::Refused("HTTP 401".into()));
        assert_eq!(with(json!(403.0)), Told::Refused("HTTP 403".into()));
        assert_eq!(with(json!(500)), Told::Nothing("HTTP 500".into()));
        for strange in [json!(1001), json!(-1), json!(100), json!(1e300)] {
            let said = with(strange.clone());
            assert!(matches!(&said, Told::Nothing(text) if text.contains("`code` in the body")), "{strange}: {said:?}");
        }
        // The HTTP status comes first.
        assert_eq!(told(404, &json!({"code": 200, "data": data})), Told::NotFound);
    }

    #[test]
    fn an_error_is_known_by_its_code_wherever_it_stands() {
        for body in [
            json!({"code": "INVALID_API_KEY", "message": "API key is missing"}),
            json!({"error": "INVALID_API_KEY"}),
            json!({"error": {"code": "INVALID_API_KEY", "message": "m"}}),
            json!({"message": "INVALID_API_KEY", "data": null}),
            json!({"data": {"error_code": "INVALID_API_KEY"}}),
        ] {
            for status in [200, 401] {
                let expected = Told::Refused("HTTP 401, `INVALID_API_KEY`".into());
                assert_eq!(told(status, &body), expected, "{status} {body}");
            }
            assert!(matches!(created(&body), Err(Unread::NoTask(_))), "{body}");
        }
        assert_eq!(told(200, &json!({"message": "RATE_LIMITED"})), Told::Throttled);
        assert_eq!(told(500, &json!({"message": "RATE_LIMITED"})), Told::Nothing("HTTP 500, `RATE_LIMITED`".into()));
        // A task whose word is unknown is a task: nothing else is concluded from it.
        let odd = json!({"task_id": "a", "status": "ODD", "message": "INVALID_API_KEY"});
        assert!(matches!(told(200, &odd), Told::Nothing(text) if text.contains("`ODD`")));
    }

    #[test]
    fn a_failure_says_why() {
        use Category::*;
        let failed = |fields: Value| {
            let mut body = json!({"task_id": "a", "status": "failed"});
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            task(&body).error
        };
        let error = |code: Option<&str>, message: Option<&str>, category, retryable| {
            Some(TaskError { code: code.map(Into::into), message: message.map(Into::into), category, retryable })
        };
        assert_eq!(failed(json!({"error_message": "it broke"})), error(None, Some("it broke"), Unknown, None));
        for (code, category, retryable) in [
            ("INVALID_PROMPT", InvalidRequest, false),
            ("INVALID_DURATION", InvalidRequest, false),
            ("INVALID_TYPE", InvalidRequest, false),
            ("MISSING_IMAGE", InvalidRequest, false),
            ("MISSING_VIDEO", InvalidRequest, false),
            ("INVALID_API_KEY", Authentication, false),
            ("INSUFFICIENT_CREDITS", InsufficientCredits, false),
            ("RATE_LIMITED", RateLimited, true),
            ("INTERNAL_ERROR", Internal, true),
        ] {
            let expected = error(Some(code), Some(code), category, Some(retryable));
            assert_eq!(failed(json!({"error_message": code})), expected);
            let expected = error(Some(code), Some("m"), category, Some(retryable));
            assert_eq!(failed(json!({"error_message": "m", "error_code": code})), expected);
            assert_eq!(failed(json!({"error": {"code": code, "message": "m"}})), expected);
        }
        assert_eq!(failed(json!({"error": "it broke"})), error(None, Some("it broke"), Unknown, None));
        assert_eq!(failed(json!({"error_message": null})), None);
        let running = json!({"task_id": "a", "status": "running", "error_message": "not yet"});
        assert_eq!(task(&running).error, None);
    }

    #[test]
    fn results_are_where_the_shape_says() {
        let body = json!({"task_id": "a", "status": "success", "type": "pro-image-to-video",
            "response": ["https://x.example/1", {"url": "https://x.example/2.png"}],
            "output": {"urls": "https://x.example/3"}, "request": {"image": "https://x.example/input.png"}});
        let seen = task(&body);
        let outputs: Vec<_> =
            seen.outputs.iter().map(|output| (&*output.url, output.kind, output.expires_at)).collect();
        assert_eq!(
            outputs,
            [
                ("https://x.example/1", OutputKind::Video, None),
                ("https://x.example/2.png", OutputKind::Image, None),
                ("https://x.example/3", OutputKind::Video, None),
            ]
        );
        assert_eq!(seen.model.as_deref(), Some("pro-image-to-video"));
    }

    #[test]
    fn success_without_a_result_is_an_end_when_asked_and_none_when_made() {
        let body = json!({"code": 200, "data": {"task_id": "a", "status": "SUCCESS", "response": []}});
        assert!(
            matches!(told(200, &body), Told::Task(seen) if seen.status == Status::Completed && seen.outputs.is_empty())
        );
        assert_eq!(created(&body).unwrap().status, Status::Pending);

        let done = json!({"task_id": "a", "status": "SUCCESS", "response": ["https://x.example/a.mp4"]});
        assert_eq!(created(&done).unwrap().status, Status::Completed);
        let failed = json!({"task_id": "a", "status": "FAILED", "error_message": "INVALID_PROMPT"});
        assert_eq!(created(&failed).unwrap().status, Status::Failed);
        for new in [json!({"task_id": "a"}), json!({"data": {"task_id": "a", "status": "NEW"}})] {
            assert_eq!(created(&new).unwrap(), Observation::new("a", Status::Pending), "{new}");
        }
        let refused = created(&json!({"code": 402, "data": {"task_id": "a"}})).unwrap_err();
        assert_eq!(refused.to_string(), "expected an answer that names a new task, found HTTP 402");
    }
}
