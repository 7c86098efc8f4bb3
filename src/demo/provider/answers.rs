//! What a simulated provider answers: decided under its lock, without waiting for anything.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use url::{Host, Url, form_urlencoded};

use super::{KEPT, SimulatedProvider, State};
use crate::demo::dialect::{Question, Refusal};
use crate::demo::draw;
use crate::demo::faults::BatchFault;
use crate::demo::journal::What;
use crate::demo::listener::{Asked, Reply};
use crate::demo::requests::KeySeen;
use crate::demo::task::{ESTIMATE, Moment, Order, SimulatedTask};
use crate::domain::clock::Timestamp;
use crate::egress::inside;

/// So many tasks can be asked for at once.
const BATCH_MAX: usize = 50;
/// The size of a page of the list, where none is asked for, and at most.
const PAGE: (usize, usize) = (20, 100);
/// The longest callback URL, in bytes.
const CALLBACK_URL_MAX: usize = 2048;

impl SimulatedProvider {
    /// Answers a request that nothing hinders.
    pub(super) fn reply(&self, asked: &Asked, key: KeySeen) -> Reply {
        match self.decide(asked, key) {
            Ok(Answer { body, replayed }) => {
                let mut headers = json_headers();
                if replayed {
                    headers.push(("idempotency-replayed", "true".to_owned()));
                }
                Reply::Answer { status: 200, headers, body: body.to_vec() }
            }
            Err(refusal) => self.refuse(&refusal),
        }
    }

    pub(super) fn refuse(&self, refusal: &Refusal) -> Reply {
        let mut headers = json_headers();
        if let (Refusal::TooMany, Some(wait)) = (refusal, self.faults().throttled) {
            headers.push(("retry-after", wait.as_secs().to_string()));
        }
        let body = self.dialect.refused(refusal).to_string().into_bytes();
        Reply::Answer { status: refusal.status(), headers, body }
    }

    fn decide(&self, asked: &Asked, key: KeySeen) -> Result<Answer, Refusal> {
        let faults = self.faults();
        if faults.throttled.is_some() {
            return Err(Refusal::TooMany);
        }
        if key != KeySeen::Right || faults.key_refused {
            return Err(Refusal::Key);
        }
        if faults.address_refused {
            return Err(Refusal::Address);
        }
        let now = self.clock.now();
        match self.dialect.question(&asked.method, &asked.path, &asked.query)? {
            Question::Create => self.create(asked, now),
            Question::One(id) => self.one(id, now).map(Answer::of),
            Question::Many => self.many(asked, now).map(Answer::of),
            Question::List => Ok(Answer::of(self.list(&asked.query, now))),
        }
    }

    fn create(&self, asked: &Asked, now: Timestamp) -> Result<Answer, Refusal> {
        let idempotency_key = asked.header("idempotency-key").filter(|_| self.dialect.knows_idempotency_keys());
        let mut state = self.state();
        if let Some((body, answer)) = idempotency_key.and_then(|key| state.idempotent.get(key)) {
            let answer = Answer { body: answer.clone(), replayed: true };
            return if *body == asked.body { Ok(answer) } else { Err(Refusal::Conflict) };
        }
        let body = object(&asked.body).ok_or_else(|| self.invalid("The body is not a JSON object."))?;
        let order = self.dialect.order(&asked.path, &body)?;
        let callback_url = order.callback_url.as_deref().map(|url| self.callback_url(url)).transpose()?;
        let task = self.make(&mut state, order, callback_url, now);
        let answer = Answer::of(self.dialect.created(&task, &task.shown(now, self.tempo)));
        if let Some(key) = idempotency_key {
            state.idempotent.insert(key.to_owned(), (asked.body.clone(), answer.body.clone()));
        }
        drop(state);
        self.changed.notify_one();
        let calls_back = task.callback_url.is_some();
        self.journal.tell(now, What::Made { task: self.task_name(&task.id), plan: task.plan, calls_back });
        Ok(answer)
    }

    fn make(&self, state: &mut State, order: Order, callback_url: Option<Url>, now: Timestamp) -> SimulatedTask {
        let given = state.given.get(&order.prompt).or_else(|| state.given.get(&order.model)).cloned();
        let plan = given
            .or_else(|| state.foreseen.remove(&order.prompt))
            .or_else(|| state.next.pop_front())
            .unwrap_or_else(|| draw::plan(&mut state.rng, &self.weights, self.dialect.habits()));
        let id = loop {
            let id = self.dialect.new_id(&order, &mut state.rng, now);
            if !state.numbers.contains_key(&id) {
                break id;
            }
        };
        if callback_url.is_some() {
            state.agenda.plan(&id, &plan, now, self.tempo);
        }
        let ends_at = now.after(self.tempo.on_the_clock(plan.ends_after()));
        let estimate = self.tempo.on_the_clock(ESTIMATE);
        let task = SimulatedTask { id: id.clone(), plan, created_at: now, ends_at, callback_url, estimate, order };
        if state.tasks.len() == KEPT
            && let Some(oldest) = state.tasks.pop_front()
        {
            state.numbers.remove(&oldest.id);
            state.dropped += 1;
        }
        state.numbers.insert(id, state.dropped + state.tasks.len());
        state.tasks.push_back(task.clone());
        task
    }

    fn one(&self, id: String, now: Timestamp) -> Result<Value, Refusal> {
        let Some(task) = self.task(&id) else { return Err(Refusal::NoTask(id)) };
        let moment = self.look(&task, now);
        Ok(self.dialect.shown(&task, &moment))
    }

    fn many(&self, asked: &Asked, now: Timestamp) -> Result<Value, Refusal> {
        let fault = self.faults().batch;
        match fault {
            Some(BatchFault::NotFound) => return Err(Refusal::NoRoute),
            Some(BatchFault::NotAllowed) => return Err(Refusal::Method),
            _ => {}
        }
        let body = object(&asked.body).unwrap_or_default();
        let ids: Option<Vec<&str>> =
            body.get("task_ids").and_then(Value::as_array).and_then(|ids| ids.iter().map(Value::as_str).collect());
        let ids = ids.filter(|ids| (1..=BATCH_MAX).contains(&ids.len()));
        let ids = ids.ok_or_else(|| self.invalid("'task_ids' must be a list of 1 to 50 ids."))?;
        // Unknown ids are simply absent.
        let found = ids.into_iter().filter_map(|id| self.task(id)).map(|task| {
            let mut shown = self.dialect.shown(&task, &self.look(&task, now));
            if let (Some(BatchFault::NoResults), Some(fields)) = (fault, shown.as_object_mut()) {
                fields.remove("results");
            }
            shown
        });
        let found: Value = found.collect();
        Ok(if fault == Some(BatchFault::BareList) { found } else { json!({"data": found}) })
    }

    fn list(&self, query: &str, now: Timestamp) -> Value {
        let value = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
        };
        let number = |name: &str| value(name).and_then(|text| text.parse::<usize>().ok()).filter(|number| *number > 0);
        let (page, size) = (number("page").unwrap_or(1), number("page_size").unwrap_or(PAGE.0).min(PAGE.1));
        let (status, kind, model) = (value("status"), value("type"), value("model"));
        let tasks = self.tasks();
        let rows = tasks.iter().rev().map(|task| (task, task.shown(now, self.tempo))).filter(|(task, moment)| {
            status.as_deref().is_none_or(|status| status == moment.status.as_str())
                && kind.as_deref().is_none_or(|kind| kind == task.order.kind)
                && model.as_deref().is_none_or(|model| model == task.order.model)
        });
        let rows: Vec<Value> = rows.map(|(task, moment)| self.dialect.listed(task, &moment)).collect();
        let shown: Vec<&Value> = rows.iter().skip((page - 1).saturating_mul(size)).take(size).collect();
        json!({"data": shown, "total": rows.len(), "page": page, "page_size": size})
    }

    /// What is answered when a task is asked for, which is told as well.
    fn look(&self, task: &SimulatedTask, now: Timestamp) -> Moment {
        let moment = task.shown(now, self.tempo);
        self.journal.tell(now, What::Asked { task: self.task_name(&task.id), status: moment.status });
        moment
    }

    fn invalid(&self, message: &str) -> Refusal {
        Refusal::Invalid(self.dialect.invalid_code(), message.to_owned())
    }

    fn callback_url(&self, url: &str) -> Result<Url, Refusal> {
        let strict = self.dialect.calls_public_https_only();
        check_callback_url(url, strict, self.local_callbacks)
            .map_err(|problem| self.invalid(&format!("'callback_url' {problem}.")))
    }
}

struct Answer {
    body: Bytes,
    replayed: bool,
}

impl Answer {
    fn of(body: Value) -> Self {
        Self { body: Bytes::from(body.to_string()), replayed: false }
    }
}

fn json_headers() -> Vec<(&'static str, String)> {
    vec![("content-type", "application/json".to_owned())]
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

/// Reads a callback URL. A strict provider takes https to a public address only; one that takes `local`
/// URLs takes those of this machine as well, http or https.
fn check_callback_url(url: &str, strict: bool, local: bool) -> Result<Url, &'static str> {
    if url.len() > CALLBACK_URL_MAX {
        return Err("must have at most 2048 characters");
    }
    let url = Url::parse(url).map_err(|_| "is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must be an HTTPS URL");
    }
    let (is_inside, is_loopback) = match url.host() {
        Some(Host::Ipv4(v4)) => (inside(v4.into()).is_some(), v4.is_loopback()),
        Some(Host::Ipv6(v6)) => (inside(v6.into()).is_some(), v6.is_loopback()),
        Some(Host::Domain(name)) => {
            let is_here = name == "localhost" || name.ends_with(".localhost");
            (is_here, is_here)
        }
        None => return Err("has no host"),
    };
    if local && is_loopback {
        return Ok(url);
    }
    match strict {
        true if url.scheme() != "https" => Err("must be an HTTPS URL"),
        true if is_inside => Err("must not lead to an internal IP"),
        _ => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_url_is_public_and_https_where_the_documents_say_so() {
        let long = format!("https://your-domain.com/{}", "a".repeat(CALLBACK_URL_MAX));
        for (url, strict, local) in [
            ("https://your-domain.com/webhooks/video-task-completed", true, false),
            ("http://your-server.com/webhook", false, false),
            ("http://127.0.0.1:8080/callbacks/evolink/t?a=1", true, true),
            ("http://[::1]:8080/", true, true),
            ("http://localhost:8080/", true, true),
        ] {
            assert!(check_callback_url(url, strict, local).is_ok(), "{url}");
        }
        for url in [
            "http://your-domain.com/",
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://172.16.0.1/",
            "https://192.168.1.1/",
            "https://[::1]/",
            "https://localhost/",
            "ftp://your-domain.com/",
            "your-domain.com",
            &long,
        ] {
            assert!(check_callback_url(url, true, false).is_err(), "{url}");
        }
        // What this simulation is told to accept is this machine, and nothing else inside.
        assert!(check_callback_url("http://10.1.2.3/", true, true).is_err());
    }
}
