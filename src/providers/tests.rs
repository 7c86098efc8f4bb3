//! What every provider has to hold, checked over the registry and the requests in `tests/fixtures/`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

mod answers;

use super::signature::TOLERANCE;
use super::*;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::secret::Secret;
use crate::domain::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, standard_webhooks};
use crate::domain::task::Status;

/// When all fixtures come in: 2026-04-01T00:00:00Z, see `tests/fixtures/README.md`.
const RECEIVED_AT: Timestamp = Timestamp(1_775_001_600_000);
/// What the signed ones are signed with.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request of `tests/fixtures/<provider>/` and what must become of it.
struct Fixture {
    name: String,
    adapter: &'static dyn Provider,
    headers: Vec<Header>,
    body: Vec<u8>,
    expected: Value,
}

impl Fixture {
    fn inbound(&self) -> Inbound<Unverified> {
        Inbound::new(self.headers.clone(), Bytes::from(self.body.clone()), RECEIVED_AT)
    }

    fn set(&mut self, header: &str, value: &str) {
        self.headers.retain(|(name, _)| name != header);
        self.headers.push((header.to_owned(), value.as_bytes().to_vec()));
    }

    fn header(&self, name: &str) -> String {
        self.inbound().header(name).unwrap().to_owned()
    }
}

fn fixtures() -> Vec<Fixture> {
    let all: Vec<Fixture> = PROVIDERS.iter().flat_map(|adapter| fixtures_of(*adapter)).collect();
    for adapter in PROVIDERS {
        let count = all.iter().filter(|fixture| fixture.adapter.name() == adapter.name()).count();
        assert!(count >= 3, "{} needs fixtures", adapter.name());
    }
    all
}

fn fixtures_of(adapter: &'static dyn Provider) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(adapter.name());
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let requests = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "http"));
    requests.map(|path| fixture(adapter, path)).collect()
}

fn fixture(adapter: &'static dyn Provider, path: &Path) -> Fixture {
    let raw = fs::read(path).unwrap();
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n").expect("an empty line ends the head");
    let head = std::str::from_utf8(&raw[..end]).unwrap();
    let (request_line, headers) = head.split_once("\r\n").unwrap();
    assert_eq!(request_line, format!("POST /callbacks/{}/TOKEN HTTP/1.1", adapter.name()));
    let headers = headers.split("\r\n").map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.as_bytes().to_vec())
    });
    let fixture = Fixture {
        name: path.display().to_string(),
        adapter,
        headers: headers.collect(),
        body: raw[end + 4..].to_vec(),
        expected: serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap(),
    };
    assert_eq!(fixture.header("content-length"), fixture.body.len().to_string(), "{}", fixture.name);
    fixture
}

fn interpret(adapter: &dyn Provider, headers: Vec<Header>, body: &[u8]) -> Result<Vec<Observation>, Unread> {
    let inbound = Inbound::new(headers, Bytes::copy_from_slice(body), RECEIVED_AT);
    adapter.interpret(&inbound.verify(adapter, &[]).unwrap())
}

/// An interpretation as the fixtures write it down.
fn written(result: Result<Vec<Observation>, Unread>) -> Value {
    match result {
        Err(Unread::NoTask(detail)) => json!({ "no_task": detail }),
        Err(Unread::Unknown { task_id, detail }) => json!({"unknown": {"task_id": task_id, "detail": detail}}),
        Ok(seen) => {
            assert_eq!(seen.len(), 1);
            observed(&seen[0])
        }
    }
}

fn observed(seen: &Observation) -> Value {
    json!({
        "task_id": seen.task_id,
        "status": seen.status,
        "model": seen.model,
        "progress": seen.progress,
        "outputs": seen.outputs,
        "error": seen.error,
        "usage": seen.usage,
        "created_at": seen.created_at,
        "completed_at": seen.completed_at,
    })
}

#[test]
fn every_provider_says_who_it_is() {
    for adapter in PROVIDERS {
        let name = adapter.name();
        assert!(!name.is_empty());
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'), "{name}");
        assert_eq!(provider(name).map(|found| found.name()), Some(name), "two have the name {name}");
        let about = adapter.about();
        assert!(about.docs.is_none_or(|docs| docs.starts_with("https://")), "{name}");
        for text in [about.title, about.callback_url_goes, about.retries, about.links_live] {
            assert!(!text.trim().is_empty(), "{name}");
        }
    }
    assert!(provider("nobody").is_none());
}

#[test]
fn every_example_is_a_completed_task() {
    let created = Timestamp(1_775_000_000_000);
    for adapter in PROVIDERS {
        for id in ["task-1", "タスク \"春\"\\"] {
            let seen = interpret(*adapter, Vec::new(), adapter.example(id, created).as_bytes()).unwrap();
            assert_eq!(seen.len(), 1, "{}", adapter.name());
            assert_eq!(seen[0].task_id, id);
            assert_eq!(seen[0].status, Status::Completed);
            assert_eq!(seen[0].created_at, Some(created));
            assert!(!seen[0].outputs.is_empty(), "{}", adapter.name());
        }
    }
}

#[test]
fn every_fixture_is_read_as_written_down_each_time() {
    for fixture in fixtures() {
        for _ in 0..2 {
            let secrets = if fixture.adapter.about().signs { vec![Secret::new(SECRET)] } else { Vec::new() };
            let inbound = fixture.inbound().verify(fixture.adapter, &secrets);
            let inbound = inbound.unwrap_or_else(|rejected| panic!("{}: {rejected}", fixture.name));
            let trust = if secrets.is_empty() { Trust::Unsigned } else { Trust::SignedBody };
            assert_eq!(inbound.trust(), trust, "{}", fixture.name);
            assert_eq!(written(fixture.adapter.interpret(&inbound)), fixture.expected, "{}", fixture.name);
        }
    }
}

#[test]
fn a_field_of_a_wrong_type_never_costs_the_task() {
    let strange = [
        json!(null),
        json!(true),
        json!(-7),
        json!(1e300),
        json!("\0"),
        json!([[]]),
        json!({"a": 1}),
        json!([null, 1]),
    ];
    for fixture in fixtures() {
        let Some(id) = fixture.expected["task_id"].as_str() else { continue };
        let text = String::from_utf8(fixture.body.clone()).unwrap();
        let body: Value = serde_json::from_str(text.trim_start_matches('\u{FEFF}')).unwrap();
        for place in optional(&body) {
            for value in &strange {
                let mut body = body.clone();
                *body.pointer_mut(&place).unwrap() = value.clone();
                let seen = interpret(fixture.adapter, fixture.headers.clone(), body.to_string().as_bytes());
                let seen = seen.unwrap_or_else(|unread| panic!("{}, {place} is {value}: {unread}", fixture.name));
                assert_eq!(seen[0].task_id, id);
            }
        }
    }
}

/// The places of the fields of a body, or of the task that it wraps, that need not be there.
fn optional(body: &Value) -> Vec<String> {
    let needed = ["id", "task_id", "taskId", "status", "data"];
    let fields = |at: &str| -> Vec<String> {
        let fields = body.pointer(at).and_then(Value::as_object).into_iter().flat_map(|fields| fields.keys());
        fields.filter(|field| !needed.contains(&field.as_str())).map(|field| format!("{at}/{field}")).collect()
    };
    [fields(""), fields("/data")].concat()
}

fn signed_fixtures() -> Vec<Fixture> {
    let signed: Vec<Fixture> = fixtures().into_iter().filter(|fixture| fixture.adapter.about().signs).collect();
    assert!(!signed.is_empty());
    signed
}

fn judge(fixture: &Fixture, secrets: &[&str]) -> Result<Trust, Rejection> {
    let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    fixture.inbound().verify(fixture.adapter, &secrets).map(|inbound| inbound.trust())
}

const MISMATCH: Result<Trust, Rejection> = Err(Rejection::Mismatch(SIGNATURE_HEADER));
const WRONG: &str = "whsec_d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc=";

#[test]
fn a_signed_callback_holds_to_the_last_byte() {
    for mut fixture in signed_fixtures() {
        for place in 0..fixture.body.len() {
            fixture.body[place] ^= 1;
            assert_eq!(judge(&fixture, &[SECRET]), MISMATCH, "{} byte {place}", fixture.name);
            fixture.body[place] ^= 1;
        }
        fixture.body.push(b'\n');
        assert_eq!(judge(&fixture, &[SECRET]), MISMATCH, "{}", fixture.name);
        fixture.body.pop();
        fixture.set(ID_HEADER, "msg_other");
        assert_eq!(judge(&fixture, &[SECRET]), MISMATCH, "{}", fixture.name);
    }
}

#[test]
fn any_secret_of_a_rotation_fits_and_no_other_does() {
    for fixture in signed_fixtures() {
        assert_eq!(judge(&fixture, &[WRONG]), MISMATCH);
        assert_eq!(judge(&fixture, &["not base64!"]), MISMATCH);
        assert_eq!(judge(&fixture, &[WRONG, "not base64!", SECRET]), Ok(Trust::SignedBody));
        assert_eq!(judge(&fixture, &[SECRET, WRONG]), Ok(Trust::SignedBody));
    }
}

#[test]
fn any_signature_of_the_header_may_fit_but_only_whole() {
    for mut fixture in signed_fixtures() {
        let good = fixture.header(SIGNATURE_HEADER);
        let malformed = Err(Rejection::Malformed { header: SIGNATURE_HEADER, expected: "a list of `v1,<base64>`" });
        for (value, expected) in [
            (format!("v1,AAAA v1a,AAAA {good}"), Ok(Trust::SignedBody)),
            ("v1,".to_owned(), MISMATCH),
            (good[..good.len() - 1].to_owned(), MISMATCH),
            (format!("{good}A"), MISMATCH),
            (good.replacen("v1,", "v1a,", 1), malformed.clone()),
            (good.replacen("v1,", "", 1), malformed),
            (String::new(), Err(Rejection::Missing(SIGNATURE_HEADER))),
        ] {
            fixture.set(SIGNATURE_HEADER, &value);
            assert_eq!(judge(&fixture, &[SECRET]), expected, "{value}");
        }
    }
}

#[test]
fn who_reads_a_callback_sees_the_headers_that_its_adapter_names_and_no_others() {
    let headers = ["x-event", "x-task-id", "x-other"].map(|name| (name.to_owned(), b"said".to_vec()));
    for adapter in PROVIDERS {
        let inbound = Inbound::new(headers.to_vec(), Bytes::new(), RECEIVED_AT).verify(*adapter, &[]).unwrap();
        for (name, _) in &headers {
            let is_named = adapter.read_headers().contains(&name.as_str());
            assert_eq!(inbound.header(name).is_some(), is_named, "{}: {name}", adapter.name());
        }
        let seen: Vec<_> = inbound.read_headers().collect();
        let expected: Vec<_> = adapter.read_headers().iter().map(|name| inbound.header(name)).collect();
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_missing_or_unreadable_header_is_named() {
    for header in [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER] {
        for mut fixture in signed_fixtures() {
            fixture.headers.retain(|(name, _)| name != header);
            assert_eq!(judge(&fixture, &[SECRET]), Err(Rejection::Missing(header)));
        }
    }
    for mut fixture in signed_fixtures() {
        for time in ["now", "+1775001600", "1775001600.0", "99999999999999999999"] {
            fixture.set(TIMESTAMP_HEADER, time);
            let judged = judge(&fixture, &[SECRET]);
            assert!(matches!(judged, Err(Rejection::Malformed { header: TIMESTAMP_HEADER, .. })), "{time}: {judged:?}");
        }
    }
}

#[test]
fn a_signature_counts_for_five_minutes_both_ways() {
    let sent_at = RECEIVED_AT.0 / 1000;
    let allowed = i64::try_from(TOLERANCE.as_secs()).unwrap();
    for mut fixture in signed_fixtures() {
        for (off, ahead) in [(allowed, false), (allowed + 1, false), (-allowed, true), (-allowed - 1, true)] {
            let signed_at = sent_at - off;
            let signature =
                standard_webhooks(&Secret::new(SECRET), &fixture.header(ID_HEADER), signed_at, &fixture.body).unwrap();
            fixture.set(TIMESTAMP_HEADER, &signed_at.to_string());
            fixture.set(SIGNATURE_HEADER, &signature);
            let expected = if off.abs() <= allowed {
                Ok(Trust::SignedBody)
            } else {
                Err(Rejection::Age { by: Duration::from_secs(off.unsigned_abs()), ahead, allowed: TOLERANCE })
            };
            assert_eq!(judge(&fixture, &[SECRET]), expected, "{off}");
        }
        fixture.set(TIMESTAMP_HEADER, &i64::MAX.to_string());
        assert!(matches!(judge(&fixture, &[SECRET]), Err(Rejection::Age { ahead: true, .. })));
    }
}

#[test]
fn the_public_library_and_we_believe_each_other() {
    let library = standardwebhooks::Webhook::new(SECRET).unwrap();
    let now = SystemClock.now().0 / 1000;
    for mut fixture in signed_fixtures() {
        // The library's header map is of a crate that we do not name; this call tells the compiler its type.
        let mut headers = Default::default();
        assert!(library.verify(&fixture.body, &headers).is_err());
        let ours = standard_webhooks(&Secret::new(SECRET), "msg_1", now, &fixture.body).unwrap();
        headers.insert(ID_HEADER, "msg_1".parse().unwrap());
        headers.insert(TIMESTAMP_HEADER, now.to_string().parse().unwrap());
        headers.insert(SIGNATURE_HEADER, ours.parse().unwrap());
        library.verify(&fixture.body, &headers).unwrap();
        assert!(library.verify(b"{}", &headers).is_err());

        let sent_at = RECEIVED_AT.0 / 1000;
        fixture.set(ID_HEADER, "msg_2");
        fixture.set(SIGNATURE_HEADER, &library.sign("msg_2", sent_at, &fixture.body).unwrap());
        assert_eq!(judge(&fixture, &[SECRET]), Ok(Trust::SignedBody));
    }
}

#[test]
fn a_provider_that_signs_knows_its_secrets() {
    for adapter in PROVIDERS.iter().filter(|adapter| adapter.about().signs) {
        assert_eq!(adapter.check_secret(&Secret::new(SECRET)), Ok(()));
        let refused = adapter.check_secret(&Secret::new("hunter2!")).unwrap_err();
        assert!(refused.contains("base64") && !refused.contains("hunter2"), "{refused}");
    }
}

/// Whatever was read fits what the rest of the house relies on.
fn assert_sound(result: &Result<Vec<Observation>, Unread>) {
    let seen = match result {
        Ok(seen) => seen,
        Err(unread) => {
            assert!(!unread.to_string().contains('\0'));
            return;
        }
    };
    assert!(!seen.is_empty());
    for seen in seen {
        assert!(!seen.task_id.is_empty() && seen.task_id.len() <= 512);
        assert!(seen.progress.is_none_or(|progress| progress <= 100));
        let error = seen.error.iter().flat_map(|error| [&error.code, &error.message]);
        let texts = error.chain([&seen.model]).flatten().chain(seen.outputs.iter().map(|output| &output.url));
        assert!(texts.chain([&seen.task_id]).all(|text| !text.contains('\0')));
    }
}

/// What a mutation does to a body, at a place counted modulo its length.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(usize, u8),
    Insert(usize, Vec<u8>),
    Cut(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<usize>(), 1..=u8::MAX).prop_map(|(place, bits)| Mutation::Flip(place, bits)),
        (any::<usize>(), prop_oneof![Just(b"\\u0000".to_vec()), Just(b"0".to_vec()), any::<Vec<u8>>()])
            .prop_map(|(place, bytes)| Mutation::Insert(place, bytes)),
        any::<usize>().prop_map(Mutation::Cut),
    ]
}

fn mutate(body: &mut Vec<u8>, mutation: Mutation) {
    let place = |n: usize, len: usize| if len == 0 { 0 } else { n % len };
    match mutation {
        Mutation::Flip(..) if body.is_empty() => {}
        Mutation::Flip(n, bits) => {
            let at = place(n, body.len());
            body[at] ^= bits;
        }
        Mutation::Insert(n, bytes) => {
            let at = place(n, body.len());
            body.splice(at..at, bytes);
        }
        Mutation::Cut(n) => body.truncate(place(n, body.len())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_no_reason_to_panic(body: Vec<u8>, id: Vec<u8>, time: Vec<u8>, signature: Vec<u8>) {
        let names = [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER, "x-event", "x-task-id"];
        let values = [&id, &time, &signature, &id, &time];
        let headers: Vec<Header> = names.iter().zip(values).map(|(name, value)| ((*name).into(), value.clone())).collect();
        for adapter in PROVIDERS {
            assert_sound(&interpret(*adapter, headers.clone(), &body));
            let inbound = Inbound::new(headers.clone(), Bytes::copy_from_slice(&body), RECEIVED_AT);
            let believed = inbound.verify(*adapter, &[Secret::new(SECRET)]).is_ok();
            prop_assert!(!(believed && adapter.about().signs));
        }
    }

    #[test]
    fn mutated_callbacks_are_read_soundly_or_refused(
        pick: prop::sample::Index,
        mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        thread_local! {
            static FIXTURES: Vec<Fixture> = fixtures();
        }
        FIXTURES.with(|fixtures| {
            let fixture = pick.get(fixtures);
            let mut body = fixture.body.clone();
            mutations.into_iter().for_each(|mutation| mutate(&mut body, mutation));
            assert_sound(&interpret(fixture.adapter, fixture.headers.clone(), &body));
        });
    }

    #[test]
    fn an_id_of_any_script_stays_as_it_is(id in "\\PC{1,128}") {
        for adapter in PROVIDERS {
            let seen = interpret(*adapter, Vec::new(), adapter.example(&id, RECEIVED_AT).as_bytes()).unwrap();
            prop_assert_eq!(&seen[0].task_id, &id);
        }
    }
}
