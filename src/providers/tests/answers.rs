//! What every provider that can be asked has to hold, checked over the registry and the answers in
//! `tests/fixtures/<provider>/answers/`.

use url::Url;

use super::*;
use crate::providers::api::{Api, Ask, Call, CallbackUrl, Listed, Reply, Told};

/// An answer of `tests/fixtures/<provider>/answers/`: to which question, and what must become of it.
struct Answer {
    name: String,
    ask: &'static dyn Ask,
    status: u16,
    body: Vec<u8>,
    expected: Value,
}

impl Answer {
    fn reply(&self) -> Reply<'_> {
        reply(self.status, &self.body)
    }

    fn question(&self) -> &str {
        self.expected["question"].as_str().unwrap()
    }

    fn task_id(&self) -> &str {
        self.expected["task_id"].as_str().unwrap()
    }

    /// The request by which the question is put; none for the answer to a client's own.
    fn call(&self) -> Option<Call> {
        match self.question() {
            "created" => None,
            "one" => Some(self.ask.one(self.task_id())),
            "many" => {
                let ids = self.expected["task_ids"].as_array().unwrap();
                self.ask.many(&ids.iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>())
            }
            "list" => self.ask.list(self.expected["page"].as_u64().unwrap().try_into().unwrap()),
            other => panic!("{}: there is no question `{other}`", self.name),
        }
    }

    fn reading(&self) -> Value {
        match self.question() {
            "created" => match self.ask.created(&self.reply()) {
                Ok(seen) => {
                    let mut written = observed(&seen);
                    written["expected_seconds"] = json!(seen.expected.map(|expected| expected.as_secs_f64()));
                    written
                }
                Err(unread) => written(Err(unread)),
            },
            "one" => told(&self.ask.read_one(self.task_id(), &self.reply())),
            "many" => self.ask.read_many(&self.reply()).map_or_else(
                |said| told(&said),
                |seen| json!({ "tasks": seen.iter().map(observed).collect::<Vec<_>>() }),
            ),
            _ => self.ask.read_list(&self.reply()).map_or_else(
                |said| told(&said),
                |rows| json!({ "listed": rows.iter().map(listed).collect::<Vec<_>>() }),
            ),
        }
    }
}

fn reply(status: u16, body: &[u8]) -> Reply<'_> {
    Reply { status, body, received_at: RECEIVED_AT }
}

fn told(told: &Told) -> Value {
    match told {
        Told::Task(seen) => json!({ "task": observed(seen) }),
        Told::NotFound => json!("not_found"),
        Told::Throttled => json!("throttled"),
        Told::Refused(said) => json!({ "refused": said }),
        Told::Nothing(said) => json!({ "nothing": said }),
    }
}

fn listed(row: &Listed) -> Value {
    json!({"task_id": row.task_id, "created_at": row.created_at, "status": row.status})
}

fn asked() -> Vec<(&'static str, &'static dyn Ask)> {
    PROVIDERS.iter().filter_map(|adapter| Some((adapter.name(), adapter.ask()?))).collect()
}

fn answers() -> Vec<Answer> {
    asked().into_iter().flat_map(|(name, ask)| answers_of(name, ask)).collect()
}

fn answers_of(provider: &str, ask: &'static dyn Ask) -> Vec<Answer> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(provider).join("answers");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let replies = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "http"));
    replies.map(|path| answer(ask, path)).collect()
}

fn answer(ask: &'static dyn Ask, path: &Path) -> Answer {
    let name = path.display().to_string();
    let raw = fs::read(path).unwrap();
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n").expect("an empty line ends the head");
    let head = std::str::from_utf8(&raw[..end]).unwrap();
    let (status_line, headers) = head.split_once("\r\n").unwrap();
    let body = raw[end + 4..].to_vec();
    let length = format!("Content-Length: {}", body.len());
    assert!(headers.split("\r\n").any(|line| line == length), "{name}: {length}");
    let status = status_line.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
    let expected = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
    Answer { name, ask, status, body, expected }
}

/// A body that each question about one task is answered with, of a task that has ended well.
fn endings() -> Vec<Answer> {
    let ended = |answer: &Answer| {
        answer.question() == "one" && answer.expected["reading"]["task"]["status"].as_str() == Some("completed")
    };
    let endings: Vec<Answer> = answers().into_iter().filter(ended).collect();
    assert!(endings.len() >= asked().len(), "each provider needs the answer of a task that has ended well");
    endings
}

#[test]
fn every_answer_is_read_as_written_down() {
    for (name, ask) in asked() {
        let questions: Vec<String> = answers_of(name, ask).iter().map(|answer| answer.question().to_owned()).collect();
        let wanted = [("created", true), ("one", true), ("many", ask.api().batch > 1), ("list", ask.api().lists)];
        for (question, wanted) in wanted {
            assert_eq!(questions.iter().any(|known| known == question), wanted, "{name}: answers to `{question}`");
        }
    }
    for answer in answers() {
        assert_eq!(answer.reading(), answer.expected["reading"], "{}", answer.name);
        let call = answer.call();
        let request = call.as_ref().map(|call| format!("{} {}", call.method, call.path));
        assert_eq!(json!(request), answer.expected["request"], "{}", answer.name);
        let body: Option<Value> = call.and_then(|call| call.body).map(|body| serde_json::from_slice(&body).unwrap());
        assert_eq!(json!(body), answer.expected["request_body"], "{}", answer.name);
    }
}

#[test]
fn what_is_known_of_an_api_holds_together() {
    for adapter in PROVIDERS {
        let Some(ask) = adapter.ask() else { continue };
        let (name, api) = (adapter.name(), ask.api());
        if let Some(base_url) = api.base_url {
            assert!(base_url.starts_with("https://") && !base_url.ends_with('/'), "{name}: {base_url}");
        }
        assert!(!api.creates.is_empty() && !api.queries.is_empty(), "{name}");
        for route in [api.creates, api.queries, api.cancels].into_iter().flatten() {
            assert!(route.path.starts_with('/') && !route.path.contains('?'), "{name}: {}", route.path);
            assert!(["GET", "POST", "DELETE"].contains(&route.method), "{name}: {}", route.method);
        }
        let ids: Vec<String> = (0..=api.batch).map(|n| format!("task-{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert!(ask.many(&ids).is_none() && ask.many(&[]).is_none(), "{name}: more than a batch, and none");
        assert_eq!(ask.many(&ids[1..]).is_some(), api.batch > 1, "{name}");
        assert_eq!(ask.list(1).is_some(), api.lists, "{name}");
        let goes = adapter.about().callback_url_goes;
        match api.callback_url {
            CallbackUrl::Nowhere => assert!(goes.starts_with("nowhere"), "{name}: {goes}"),
            CallbackUrl::Body(path) => assert!(path.iter().all(|part| goes.contains(part)), "{name}: {goes}"),
            CallbackUrl::Query(key) | CallbackUrl::Header(key) => assert!(goes.contains(key), "{name}: {goes}"),
        }
    }
}

fn is_query(api: &Api, call: &Call) -> bool {
    let path = call.path.split('?').next().unwrap();
    api.queries.iter().any(|route| route.is(call.method, path)) && api.takes_our_key(call.method, path)
}

#[test]
fn every_question_is_one_that_our_key_may_put() {
    for (name, ask) in asked() {
        let calls = [Some(ask.one("task-1")), Some(ask.one("春 \"1\"")), ask.many(&["a", "b"]), ask.list(3)];
        for call in calls.into_iter().flatten() {
            assert!(is_query(ask.api(), &call), "{name}: {} {}", call.method, call.path);
            assert!(!ask.api().creates(call.method, &call.path), "{name}: {}", call.path);
            assert_eq!(call.body.is_some(), call.method == "POST", "{name}");
        }
    }
}

/// What a URL's server makes of an encoded text.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
            rest = &rest[2..];
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// The parts of a request's URL as its server sees them: the path's, then the query's.
fn parts(call: &Call) -> (Vec<String>, Vec<(String, String)>) {
    let url = Url::parse(&format!("https://api.example.com{}", call.path)).unwrap();
    assert_eq!(url.host_str(), Some("api.example.com"));
    assert_eq!(url.fragment(), None, "{url}");
    assert!(url.as_str().ends_with(&call.path), "{url} is not what {} says", call.path);
    (url.path_segments().unwrap().map(decoded).collect(), url.query_pairs().into_owned().collect())
}

fn assert_stays_in_its_place(name: &str, ask: &dyn Ask, id: &str) {
    let known = "task-1";
    let put = |text: &str| if text == known { id.to_owned() } else { text.to_owned() };
    let (path, query) = parts(&ask.one(known));
    let expected_path: Vec<String> = path.iter().map(|segment| put(segment)).collect();
    let expected_query: Vec<_> = query.iter().map(|(key, value)| (put(key), put(value))).collect();
    assert_ne!((&expected_path, &expected_query), (&path, &query), "{name} does not say for which task it asks");
    assert_eq!(parts(&ask.one(id)), (expected_path, expected_query), "{name}: {id}");
}

#[test]
fn no_id_leaves_its_place_in_a_question() {
    let ids = [
        "task-unified-1757169743-o3t2v",
        "タスク 春 №1",
        "مهمة",
        "../../v1/credits",
        "a/b",
        "a\\b",
        "a b\tc\r\nX-Evil: 1",
        "\"quoted\" 'twice'",
        "a?page=1&b=2#c",
        "%2e%2e%2f",
        "a;b=c",
        "a+b",
        ".hidden",
        "...",
        "\u{FFFD}\u{202E}",
        "https://evil.example/",
        "@evil.example:80",
    ];
    for (name, ask) in asked() {
        for id in ids {
            assert_stays_in_its_place(name, ask, id);
        }
        // No URL can hold these as they are.
        for id in [".", ".."] {
            let segments = |id: &str| parts(&ask.one(id)).0.len();
            assert_eq!(segments(id), segments("task-1"), "{name}: {id}");
        }
    }
}

#[test]
fn an_answer_of_another_task_says_nothing() {
    for answer in endings() {
        for other in ["another", "", " ", &answer.task_id().to_uppercase().repeat(2)] {
            let said = answer.ask.read_one(other, &answer.reply());
            let Told::Nothing(detail) = &said else { panic!("{}: {said:?}", answer.name) };
            assert!(detail.contains(answer.task_id()), "{detail}");
        }
    }
}

const GARBAGE: [&str; 16] = [
    "",
    " ",
    "null",
    "true",
    "7",
    "\"completed\"",
    "[[]]",
    "[1]",
    "{}",
    "{\"data\":null}",
    "{\"data\":{}}",
    "{\"data\":[{}]}",
    "{\"status\":\"completed\"}",
    "{\"data\":{\"status\":\"SUCCESS\"}}",
    "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
    "\u{1f}\u{8b}\u{8}\u{0}",
];

fn assert_says_nothing(name: &str, ask: &dyn Ask, task_id: &str, body: &[u8]) {
    let body_text = String::from_utf8_lossy(body);
    let reply = reply(200, body);
    let one = ask.read_one(task_id, &reply);
    assert!(matches!(one, Told::Nothing(_)), "{name}: {one:?} of {body_text}");
    assert!(matches!(ask.read_many(&reply), Err(Told::Nothing(_))), "{name}: many of {body_text}");
    assert!(matches!(ask.read_list(&reply), Err(Told::Nothing(_))), "{name}: a list of {body_text}");
    assert!(matches!(ask.created(&reply), Err(Unread::NoTask(_))), "{name}: a new task of {body_text}");
}

#[test]
fn what_cannot_be_read_says_nothing() {
    for (name, ask) in asked() {
        for body in GARBAGE {
            assert_says_nothing(name, ask, "task-1", body.as_bytes());
        }
        let empty = ask.read_one("task-1", &reply(200, b"[]"));
        assert!(matches!(empty, Told::Nothing(_)), "{name}: {empty:?}");
    }
}

#[test]
fn an_answer_that_was_cut_off_says_nothing() {
    for answer in endings() {
        for length in 0..answer.body.trim_ascii_end().len() {
            assert_says_nothing(&answer.name, answer.ask, answer.task_id(), &answer.body[..length]);
        }
    }
}

#[test]
fn an_error_status_counts_whatever_the_body_says() {
    for answer in endings() {
        for body in [&answer.body[..], b"", b"<html>", b"[]", br#"{"error":{"code":"x","message":"y"}}"#] {
            for status in [301, 302, 400, 401, 402, 403, 404, 408, 410, 422, 429, 500, 502, 503, 504, 520, 599] {
                let reply = reply(status, body);
                let expected = |said: &Told| match status {
                    401 | 403 => matches!(said, Told::Refused(text) if text.contains(&status.to_string())),
                    404 | 410 => *said == Told::NotFound,
                    429 => *said == Told::Throttled,
                    _ => matches!(said, Told::Nothing(text) if text.contains(&status.to_string())),
                };
                let one = answer.ask.read_one(answer.task_id(), &reply);
                assert!(expected(&one), "{} HTTP {status}: {one:?}", answer.name);
                let api = answer.ask.api();
                if api.batch > 1 {
                    assert!(answer.ask.read_many(&reply).is_err_and(|said| expected(&said)), "{}", answer.name);
                }
                if api.lists {
                    assert!(answer.ask.read_list(&reply).is_err_and(|said| expected(&said)), "{}", answer.name);
                }
                let created = answer.ask.created(&reply);
                assert!(matches!(created, Err(Unread::NoTask(_))), "{} HTTP {status}: {created:?}", answer.name);
            }
        }
    }
}

#[test]
fn a_question_that_cannot_be_put_has_no_answer() {
    struct OneByOne;
    impl Ask for OneByOne {
        fn api(&self) -> &'static Api {
            PROVIDERS[0].ask().unwrap().api()
        }
        fn created(&self, _: &Reply<'_>) -> Result<Observation, Unread> {
            Err(Unread::NoTask("none".into()))
        }
        fn one(&self, task_id: &str) -> Call {
            Call::get(format!("/{task_id}"))
        }
        fn read_one(&self, _: &str, _: &Reply<'_>) -> Told {
            Told::NotFound
        }
    }
    assert_eq!(OneByOne.many(&["a"]), None);
    assert_eq!(OneByOne.list(1), None);
    assert!(matches!(OneByOne.read_many(&reply(200, b"[]")), Err(Told::Nothing(_))));
    assert!(matches!(OneByOne.read_list(&reply(200, b"[]")), Err(Told::Nothing(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_id_stays_in_its_place(id in "\\PC{1,64}") {
        prop_assume!(id != "." && id != ".." && id != "task-1");
        for (name, ask) in asked() {
            assert_stays_in_its_place(name, ask, &id);
        }
    }

    #[test]
    fn mutated_answers_are_read_soundly_or_say_nothing(
        pick: prop::sample::Index,
        mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        thread_local! {
            static ANSWERS: Vec<Answer> = answers();
        }
        ANSWERS.with(|answers| {
            let answer = pick.get(answers);
            let mut body = answer.body.clone();
            mutations.into_iter().for_each(|mutation| mutate(&mut body, mutation));
            let reply = reply(answer.status, &body);
            if let Ok(seen) = answer.ask.created(&reply) {
                assert_sound(&Ok(vec![seen]));
            }
            let id = answer.expected["task_id"].as_str().unwrap_or("task-1");
            if let Told::Task(seen) = answer.ask.read_one(id, &reply) {
                assert_eq!(seen.task_id, id);
                assert_sound(&Ok(vec![*seen]));
            }
            if let Ok(seen) = answer.ask.read_many(&reply) {
                seen.into_iter().for_each(|seen| assert_sound(&Ok(vec![seen])));
            }
            if let Ok(rows) = answer.ask.read_list(&reply) {
                assert!(rows.iter().all(|row| !row.task_id.is_empty() && !row.task_id.contains('\0')));
            }
        });
    }
}
