//! When a task is asked for, and when something is told without an answer.

use super::*;

const START: Timestamp = Timestamp(1_775_001_600_000);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn plan() -> Plan {
    Plan {
        can_ask: true,
        confirms: true,
        confirm: Confirm::Auto,
        confirm_within: seconds(600),
        after: seconds(300),
        every: seconds(60),
        give_up_after: seconds(86_400),
    }
}

fn begun(expected: Option<u64>, deadline: Option<u64>) -> Watch {
    Watch::begin(&plan(), false, expected.map(seconds), deadline.map(seconds), START)
}

fn asks_in(watch: &Watch) -> u64 {
    watch.ask_at.unwrap().since(START).as_secs()
}

#[test]
fn the_first_question_is_when_the_task_should_have_ended() {
    assert_eq!(asks_in(&begun(None, None)), 300);
    assert_eq!(asks_in(&begun(Some(90), None)), 90);
    // Whoever says that it takes a month is asked before the task is overdue.
    assert_eq!(asks_in(&begun(Some(2_600_000), None)), 86_400);
    assert_eq!(asks_in(&begun(None, Some(120))), 120);
}

#[test]
fn of_a_watch_is_written_what_has_changed() {
    let before = Watch { vouched: true, ..begun(None, None) };
    assert_eq!(before.saving(&before), Saving::Nothing);
    let mut answered = before.clone();
    answered.answered(Said::Status(Status::Processing), &plan(), End::Open, START.after(seconds(300)), 0.0);
    assert_eq!(answered.saving(&before), Saving::Question);
    let unknown = Watch { unknown_at: Some(START.into()), ..before.clone() };
    assert_eq!(unknown.saving(&before), Saving::Question);

    assert_eq!(answered.saving(&begun(None, None)), Saving::All, "it is another queue");
    let told = Watch { overdue_at: None, overdue_told: true, ..before.clone() };
    assert_eq!(told.saving(&before), Saving::All);
    let mut claimed = before.clone();
    claimed.hear(&Observation::new("t", Status::Failed), None, End::Open, START);
    assert_eq!((claimed.saving(&before), before.saving(&claimed)), (Saving::All, Saving::All));
    assert_eq!(claimed.saving(&claimed), Saving::All, "the settings say when a claim is looked at");
}

#[test]
fn a_provider_that_never_calls_is_asked_as_the_main_way() {
    let mut source = crate::domain::source::Source {
        name: "s".into(),
        provider: "p".into(),
        callback_tokens: Vec::new(),
        signing_secrets: Vec::new(),
        teams: None,
        rate: None,
        api_key: Some(crate::domain::secret::Secret::new("k")),
        base_url: Some("https://example.com".into()),
        confirm: Confirm::Auto,
        confirm_within: seconds(600),
        poll: crate::domain::source::Poll::default(),
        relay_keys: crate::domain::source::RelayKeys::Keep,
        from_file: true,
    };
    assert_eq!((Plan::of(&source, true).after, Plan::of(&source, false).after), (seconds(300), seconds(60)));
    assert!(Plan::of(&source, true).can_ask && Plan::of(&source, true).confirms);
    source.confirm = Confirm::Never;
    assert!(Plan::of(&source, true).can_ask && !Plan::of(&source, true).confirms);
    source.api_key = None;
    assert!(!Plan::of(&source, true).can_ask);
}

#[test]
fn something_is_told_without_an_answer_when_it_is_overdue_or_nobody_confirmed() {
    let mut watch = begun(None, None);
    assert_eq!(watch.look_at(&plan()), Some(START.after(seconds(86_400))));
    watch.hear(&Observation::new("t", Status::Completed), None, End::Open, START);
    assert_eq!(watch.look_at(&plan()), Some(START.after(seconds(600))));
    let always = Plan { confirm: Confirm::Always, ..plan() };
    assert_eq!(watch.look_at(&always), Some(START.after(seconds(86_400))));
}

#[test]
fn who_throttles_is_left_alone_for_as_long_as_it_says() {
    let mut watch = begun(None, None);
    watch.answered(Said::Throttled(seconds(200)), &plan(), End::Open, START, 0.0);
    assert_eq!(asks_in(&watch), 200);
    watch.answered(Said::Throttled(seconds(1)), &plan(), End::Open, START, 0.0);
    assert_eq!(asks_in(&watch), 15);
}

#[test]
fn what_had_no_answer_is_asked_again_within_one_interval_and_spread_over_its_end() {
    for (jitter, expected) in [(0.0, 60), (0.5, 54), (1.0, 48), (7.0, 48)] {
        let mut watch = begun(None, None);
        for _ in 0..50 {
            watch.answered(Said::Nothing, &plan(), End::Open, START, jitter);
        }
        assert_eq!(asks_in(&watch), expected);
    }
}

#[test]
fn it_is_kept_as_json_and_comes_back_the_same() {
    let mut watch = begun(Some(7), None);
    let mut seen = Observation::new("t", Status::Failed);
    seen.expected = Some(seconds(9));
    seen.created_at = Some(START);
    watch.hear(&seen, Some(CallbackId::new(START)), End::Open, START);
    watch.answered(Said::Status(Status::Processing), &plan(), End::Open, START, 0.0);
    watch.last = Some(LastPoll { id: PollId::new(START), outcome: "processing".into(), detail: Some("x".into()) });
    let back: Watch = serde_json::from_str(&serde_json::to_string(&watch).unwrap()).unwrap();
    // What the queue is asked by has columns of its own.
    let back = Watch { ask_at: watch.ask_at, asking: watch.asking, vouched: watch.vouched, ..back };
    assert_eq!(back, watch);
}
