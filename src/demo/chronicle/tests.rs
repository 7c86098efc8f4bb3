use super::super::trouble::Trouble;
use super::*;
use crate::domain::task::Status;

/// 2026-04-01T00:00:00Z.
const START: Timestamp = Timestamp(1_775_001_600_000);

fn name(source: &str) -> TaskName {
    TaskName { source: source.to_owned(), id: "task-1".to_owned() }
}

fn hear(chronicle: &mut Chronicle, what: What) -> Vec<String> {
    chronicle.hear(&Happening { at: START, what })
}

fn made(source: &str, plan: Plan) -> What {
    What::Made { task: name(source), plan, calls_back: source != "kling3api" }
}

fn posted(says: Says, status: Status, attempt: u32, taken: Taken) -> What {
    let next_at = (taken == Taken::Badly(503)).then(|| START.after(Duration::from_secs(1)));
    What::Posted { task: name("evolink"), says, status, attempt, taken, next_at }
}

fn accepted() -> Taken {
    Taken::Well(Some("accepted".to_owned()))
}

fn told(source: &str, id: &str, status: Status, via: &str) -> What {
    let event = Told {
        event_id: id.to_owned(),
        kind: format!("task.{}", status.as_str()),
        task: Some(name(source)),
        status: Some(status),
        observed_via: Some(via.to_owned()),
        confirmed: true,
        forged: false,
        error: (status == Status::Failed).then(|| "service_error".to_owned()),
    };
    What::Told { sink: "webhook", event }
}

fn plan(calls: Calls) -> Plan {
    Plan { calls, ..Plan::default() }
}

#[test]
fn a_task_is_narrated_from_its_plan_to_its_end() {
    let mut chronicle = Chronicle::default();
    let lines: Vec<String> = [
        made("evolink", plan(Calls::Normal)),
        posted(Says::TheEnd, Status::Completed, 1, Taken::Badly(503)),
        posted(Says::TheEnd, Status::Completed, 2, accepted()),
        told("evolink", "evt_1", Status::Completed, "callback"),
        What::Got { sink: "slack", line: "kling-o3 is completed (task-1)".to_owned(), taken: true },
        What::Got { sink: "slack", line: "a test".to_owned(), taken: true },
    ]
    .into_iter()
    .flat_map(|what| hear(&mut chronicle, what))
    .collect();
    let expected = [
        "00:00:00  #1    evolink     submitted as task-1: after 1 m 2 s completed, with a callback",
        "00:00:00  #1    evolink     it calls back `completed`: HTTP 503, again in 1 s",
        "00:00:00  #1    evolink     it calls back `completed` (try 2): accepted",
        "00:00:00  #1    webhook     got task.completed, known by callback, confirmed",
        "00:00:00  #1    evolink     = completed, as it was: it called back until it was heard",
        "00:00:00  #1    slack       got kling-o3 is completed (task-1)",
        "00:00:00        slack       got a test",
    ];
    assert_eq!(lines, expected);
    assert_eq!(chronicle.counts(), (1, 0));
}

#[test]
fn the_reason_is_what_was_planned_and_how_it_became_known() {
    let late = Calls::Late(Duration::from_secs(600));
    for (source, calls, via, reason) in [
        ("evolink", Calls::Normal, "callback", "it called back once"),
        ("evolink", Calls::FiveAtOnce, "callback", "it called back five times at once, and was told once"),
        ("evolink", Calls::Forged, "callback", "what a forger said before was not told"),
        ("evolink", Calls::Never, "poll", "its callback never came, so the provider was asked"),
        ("evolink", late, "poll", "its callback was late, so the provider was asked first"),
        ("kling3api", Calls::Never, "poll", "nobody calls back for it, so the provider was asked"),
    ] {
        let mut chronicle = Chronicle::default();
        hear(&mut chronicle, made(source, plan(calls)));
        assert_eq!(chronicle.why(&name(source)), None);
        hear(&mut chronicle, told(source, "evt_1", Status::Completed, via));
        let why = chronicle.why(&name(source)).unwrap();
        assert_eq!(why, format!("completed, as it was: {reason}"), "{calls:?}");
    }
}

#[test]
fn who_called_back_is_not_counted_as_known_by_asking_though_the_provider_confirmed_it() {
    let mut chronicle = Chronicle::default();
    hear(&mut chronicle, made("evolink", plan(Calls::Normal)));
    hear(&mut chronicle, posted(Says::TheEnd, Status::Completed, 1, accepted()));
    hear(&mut chronicle, told("evolink", "evt_1", Status::Completed, "poll"));
    assert_eq!(chronicle.why(&name("evolink")).unwrap(), "completed, as it was: it called back once");
    let row = chronicle.summary().total();
    assert_eq!((row.called_back, row.polled), (1, 0));
}

#[test]
fn a_forgery_is_narrated_with_what_the_provider_says_and_what_becomes_of_it() {
    let mut chronicle = Chronicle::default();
    hear(&mut chronicle, made("evolink", Plan { end: End::failed("service_error", "x"), ..plan(Calls::Forged) }));
    hear(&mut chronicle, posted(Says::Forgery, Status::Completed, 1, accepted()));
    let asked = |status| What::Asked { task: name("evolink"), status };
    let lines = hear(&mut chronicle, asked(Status::Processing));
    assert_eq!(lines, ["00:00:00  #1    evolink     asked, the provider says `processing`"]);
    assert_eq!(hear(&mut chronicle, asked(Status::Processing)), Vec::<String>::new());
    let (outcome, detail) = ("disputed".to_owned(), "it was denied".to_owned());
    let lines = hear(&mut chronicle, What::Judged { task: name("evolink"), outcome, detail });
    assert_eq!(lines, ["00:00:00  #1    evolink     the forged callback is `disputed`: it was denied"]);
}

#[test]
fn troubles_and_deliveries_that_fail_are_told() {
    let mut chronicle = Chronicle::default();
    hear(&mut chronicle, made("evolink", plan(Calls::Normal)));
    let failed = |task, next_at| What::Failed {
        task,
        destination: "webhook".to_owned(),
        attempt: 2,
        reason: "answered 503".to_owned(),
        next_at,
    };
    let next_at = Some(START.after(Duration::from_millis(250)));
    for (what, line) in [
        (
            What::Troubled { trouble: Trouble::SlackBusy, lasts: Some(Duration::from_secs(3)) },
            "00:00:00        trouble     slack takes no messages for 3 s",
        ),
        (
            What::Troubled { trouble: Trouble::NoWay("evolink"), lasts: None },
            "00:00:00        trouble     no more: no callback of evolink gets through",
        ),
        (
            failed(Some(name("evolink")), next_at),
            "00:00:00  #1    callboard   webhook, try 2: answered 503; again in 250 ms",
        ),
        (failed(None, None), "00:00:00        callboard   webhook, try 2: answered 503; given up"),
    ] {
        assert_eq!(hear(&mut chronicle, what), [line]);
    }
}

#[test]
fn what_is_long_past_is_only_counted() {
    let task = |number: usize| TaskName { source: "evolink".to_owned(), id: format!("task-{number}") };
    let mut chronicle = Chronicle::default();
    for number in 0..KEPT + 5 {
        hear(&mut chronicle, What::Made { task: task(number), plan: plan(Calls::Normal), calls_back: true });
        let What::Told { sink, event } = told("evolink", &format!("evt_{number:09}"), Status::Completed, "poll") else {
            unreachable!()
        };
        // The first one is not told of, and therefore not forgotten.
        if number > 0 {
            hear(&mut chronicle, What::Told { sink, event: Told { task: Some(task(number)), ..event } });
        }
    }
    assert_eq!((chronicle.stories.len(), chronicle.events.len()), (KEPT + 1, KEPT));
    assert!(chronicle.stories.contains_key(&task(0)) && !chronicle.stories.contains_key(&task(1)));
    let summary = chronicle.summary();
    let row = summary.total();
    assert_eq!((row.submitted, row.completed, row.open, row.mismatches), (KEPT + 5, KEPT + 4, 1, 0));
    assert_eq!((summary.events["task.completed"], chronicle.counts()), (KEPT + 4, (KEPT + 5, 1)));
}

#[test]
fn a_lost_callback_is_why_the_provider_was_asked() {
    let mut chronicle = Chronicle::default();
    hear(&mut chronicle, made("evolink", plan(Calls::Normal)));
    hear(&mut chronicle, What::Lost { task: name("evolink") });
    let asked = |status| What::Asked { task: name("evolink"), status };
    assert_eq!(hear(&mut chronicle, asked(Status::Processing)), Vec::<String>::new());
    assert_eq!(
        hear(&mut chronicle, asked(Status::Completed)),
        ["00:00:00  #1    evolink     asked, the provider says `completed`"]
    );
    assert_eq!(hear(&mut chronicle, asked(Status::Completed)), Vec::<String>::new());
    hear(&mut chronicle, told("evolink", "evt_1", Status::Completed, "poll"));
    let why = chronicle.why(&name("evolink")).unwrap();
    assert_eq!(why, "completed, as it was: its callback was lost, so the provider was asked");
}

#[test]
fn a_forgery_that_is_not_told_is_caught_and_one_that_is_told_is_a_mismatch() {
    let failing = Plan { end: End::failed("service_error", "x"), ..plan(Calls::Forged) };
    let heard = |lie: Option<What>| {
        let mut chronicle = Chronicle::default();
        hear(&mut chronicle, made("evolink", failing.clone()));
        hear(&mut chronicle, posted(Says::Forgery, Status::Completed, 1, accepted()));
        hear(&mut chronicle, lie.unwrap_or_else(|| told("evolink", "evt_1", Status::Failed, "callback")));
        let row = chronicle.summary().total();
        (row.forged, row.forged_caught, row.mismatches, chronicle.why(&name("evolink")).unwrap())
    };
    let why = "failed with `service_error`, as it was: what a forger said before was not told";
    assert_eq!(heard(None), (1, 1, 0, why.to_owned()));
    let lie = heard(Some(told("evolink", "evt_1", Status::Completed, "callback")));
    assert_eq!(lie, (1, 0, 1, "MISMATCH: told `completed`, but it is `failed`".to_owned()));
}

#[test]
fn a_forged_link_is_a_mismatch_even_where_the_status_is_right() {
    let mut chronicle = Chronicle::default();
    hear(&mut chronicle, made("evolink", plan(Calls::Forged)));
    let What::Told { sink, event } = told("evolink", "evt_1", Status::Completed, "callback") else { unreachable!() };
    hear(&mut chronicle, What::Told { sink, event: Told { forged: true, ..event } });
    assert_eq!(chronicle.summary().mismatches(), 1);
    let why = chronicle.why(&name("evolink")).unwrap();
    assert_eq!(why, "MISMATCH: told `completed`, with a forged link, but it is `completed`");
}

#[test]
fn a_repeated_delivery_is_no_second_end_but_a_second_event_is() {
    let mut chronicle = Chronicle::default();
    hear(&mut chronicle, made("evolink", plan(Calls::FiveAtOnce)));
    hear(&mut chronicle, told("evolink", "evt_1", Status::Completed, "callback"));
    assert_eq!(hear(&mut chronicle, told("evolink", "evt_1", Status::Completed, "callback")), Vec::<String>::new());
    let summary = chronicle.summary();
    assert_eq!((summary.mismatches(), summary.events["task.completed"], summary.sinks["webhook"].taken), (0, 1, 2));
    hear(&mut chronicle, told("evolink", "evt_2", Status::Completed, "poll"));
    assert_eq!(chronicle.summary().mismatches(), 1);
    assert_eq!(chronicle.why(&name("evolink")).unwrap(), "MISMATCH: 2 ends were told of one task");
}

#[test]
fn everything_is_counted_where_it_belongs() {
    let mut chronicle = Chronicle::default();
    hear(&mut chronicle, made("evolink", plan(Calls::Normal)));
    hear(&mut chronicle, made("kling3api", plan(Calls::Never)));
    hear(&mut chronicle, posted(Says::TheEnd, Status::Completed, 1, accepted()));
    hear(&mut chronicle, told("evolink", "evt_1", Status::Completed, "callback"));
    hear(&mut chronicle, told("somebody", "evt_2", Status::Failed, "callback"));
    hear(&mut chronicle, What::Got { sink: "slack", line: "rate_limited".to_owned(), taken: false });
    let summary = chronicle.summary();
    let evolink = Row { submitted: 1, completed: 1, called_back: 1, ..Row::new("evolink") };
    let kling = Row { submitted: 1, open: 1, ..Row::new("kling3api") };
    assert_eq!(summary.rows, [evolink, kling]);
    assert_eq!((summary.strangers, summary.sinks["slack"]), (1, Sink { taken: 0, refused: 1 }));
    assert_eq!(chronicle.counts(), (2, 1));
}

#[test]
fn spans_are_written_as_people_do() {
    for (millis, text) in [(0, "0 ms"), (250, "250 ms"), (1_999, "1 s"), (60_000, "1 m"), (185_000, "3 m 5 s")] {
        assert_eq!(span(Duration::from_millis(millis)), text);
    }
}

#[test]
fn a_long_text_is_cut_between_characters() {
    assert_eq!(short("日落"), "日落");
    assert_eq!(short(&"日".repeat(SHOWN)), "日".repeat(SHOWN));
    assert_eq!(short(&"日".repeat(SHOWN + 1)), format!("{}…", "日".repeat(SHOWN)));
}
