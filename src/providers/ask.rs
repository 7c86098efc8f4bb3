//! What the adapters' questions and answers share: how an id gets into a URL, and what an answer says
//! before its task has to be read.

use std::fmt::Write;

use super::Unread;
use super::api::{Reply, Told};
use super::read::{self, Fields, shown};
use crate::domain::clock::Timestamp;
use crate::domain::task::{Observation, Status, clean};

/// A foreign text as one segment of a path, or one value of a query.
pub(super) fn encoded(text: &str) -> String {
    // In a URL `..` leads out of its place, and by the URL standard `%2E%2E` does so as well. Encoded
    // twice it stays, as the name of a task that nobody has.
    if matches!(text, "." | "..") {
        return text.replace('.', "%252E");
    }
    let mut url = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// The code by which a provider says why it refused, for people: where any of them puts it.
pub(super) fn code(fields: Fields<'_>) -> Option<String> {
    let code = fields.object("error").and_then(|error| error.text_or_integer("code"));
    let code = code.or_else(|| ["error_code", "code", "title"].into_iter().find_map(|name| fields.text(name)));
    code.map(|code| shown(&code))
}

/// What an answer's HTTP status says already; `None` where its body has to be read.
pub(super) fn by_status(reply: &Reply<'_>) -> Option<Told> {
    let body = read::object(reply.body).ok();
    let code = body.as_ref().and_then(|body| code(Fields(body)));
    Told::by_status(reply.status, code.as_deref())
}

/// What an answer says of the one task that was asked for; `read` reads its body.
pub(super) fn told(
    task_id: &str,
    reply: &Reply<'_>,
    read: impl Fn(&[u8], Timestamp) -> Result<Observation, Unread>,
) -> Told {
    by_status(reply).unwrap_or_else(|| match read(reply.body, reply.received_at) {
        Ok(seen) => of(task_id, seen),
        Err(unread) => nothing(&unread),
    })
}

/// What was read, if it is about the task that was asked for.
pub(super) fn of(task_id: &str, seen: Observation) -> Told {
    if seen.task_id == clean(task_id) {
        return Told::Task(Box::new(seen));
    }
    Told::Nothing(format!("asked for the task `{}`, answered of `{}`", shown(task_id), shown(&seen.task_id)))
}

/// What could not be read says nothing of a task.
pub(super) fn nothing(unread: &Unread) -> Told {
    Told::Nothing(unread.to_string())
}

/// What the answer to a request that makes a task says; `read` reads its body. A task without a status,
/// or with one that is in no table, has just been made: it is pending.
pub(super) fn created(
    reply: &Reply<'_>,
    read: impl Fn(&[u8], Timestamp) -> Result<Observation, Unread>,
) -> Result<Observation, Unread> {
    if let Some(told) = by_status(reply) {
        return Err(not_made(&told));
    }
    match read(reply.body, reply.received_at) {
        Err(Unread::Unknown { task_id, .. }) => Ok(Observation::new(&task_id, Status::Pending)),
        read => read,
    }
}

/// No task was made, since this was answered instead.
pub(super) fn not_made(told: &Told) -> Unread {
    let found = match told {
        Told::Task(seen) => &format!("the task `{}`", shown(&seen.task_id)),
        Told::NotFound => "HTTP 404",
        Told::Throttled => "HTTP 429",
        Told::Refused(said) | Told::Nothing(said) => said,
    };
    Unread::NoTask(format!("expected an answer that names a new task, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_in_its_place() {
        for (id, expected) in [
            ("task-unified_1.2~3", "task-unified_1.2~3"),
            ("a/b c", "a%2Fb%20c"),
            ("a?b=c&d#e;f", "a%3Fb%3Dc%26d%23e%3Bf"),
            ("%2F\"\\", "%252F%22%5C"),
            ("春", "%E6%98%A5"),
            ("..", "%252E%252E"),
            (".", "%252E"),
            ("...", "..."),
        ] {
            assert_eq!(encoded(id), expected, "{id}");
        }
    }

    #[test]
    fn a_refusals_code_is_found_where_it_may_stand() {
        for (body, code) in [
            (r#"{"error":{"code":"ip_not_allowed","type":"permission_error"}}"#, "HTTP 403, `ip_not_allowed`"),
            (r#"{"error":{"code":1302}}"#, "HTTP 403, `1302`"),
            (r#"{"code":"INVALID_API_KEY"}"#, "HTTP 403, `INVALID_API_KEY`"),
            (r#"{"title":"Unauthenticated","status":401}"#, "HTTP 403, `Unauthenticated`"),
            (r#"{"error":"no"}"#, "HTTP 403"),
            ("<html>", "HTTP 403"),
        ] {
            let reply = Reply { status: 403, body: body.as_bytes(), received_at: Timestamp(0) };
            assert_eq!(by_status(&reply), Some(Told::Refused(code.into())), "{body}");
        }
    }
}
