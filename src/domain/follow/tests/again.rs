//! What is told a second time, once the end that it speaks of is told: nothing comes of it, whatever happened in between.

use proptest::prelude::*;

use super::*;

/// Anything that can happen.
#[derive(Clone, Debug)]
enum Happens {
    /// Somebody says this, so trusted, of a job that began at this hour.
    Said(Status, Via, Trust, Option<i64>),
    Says(Said),
    Passes(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let status = prop::sample::select(Status::ALL.to_vec());
    let from = prop::sample::select(vec![
        (Via::Callback, Trust::Unsigned),
        (Via::Callback, Trust::SignedId),
        (Via::Callback, Trust::SignedBody),
        (Via::Poll, Trust::SignedBody),
    ]);
    let said = vec![UNKNOWN, Said::Refused, Said::Nothing];
    prop_oneof![
        4 => (status, from, prop::option::of(0..2i64)).prop_map(|(status, (via, trust), began)| {
            Happens::Said(status, via, trust, began)
        }),
        1 => prop::sample::select(said).prop_map(Happens::Says),
        1 => prop::sample::select(vec![1, 300, 660, 90_000]).prop_map(Happens::Passes),
    ]
}

/// What the very same again comes to.
fn again(followed: &Followed, plan: &Plan, now: Timestamp, seen: &Observation, from: &Provenance) -> (Turn, Task) {
    let mut followed = followed.clone();
    let callback = CallbackId::new(now);
    let callback_id = Some(&callback);
    let context = Context { from, plan, callback_id, vouches: false, expected: None, deadline: None, now };
    let turn = followed.observe(seen, &context);
    (turn, Task::clone(&followed.task))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn who_repeats_an_end_that_is_told_changes_nothing(
        all in prop::collection::vec(happens(), 1..30),
        confirm in prop::sample::select(vec![Confirm::Auto, Confirm::Always, Confirm::Never]),
    ) {
        let mut story = story(confirm);
        story.registers();
        let mut settled: Vec<(Observation, Provenance)> = Vec::new();
        for one in all {
            match one {
                Happens::Said(status, via, trust, began) => {
                    let created_at = began.map(|hour| Timestamp(START.0 + hour * 3_600_000));
                    let (seen, from) = (Observation { created_at, ..saw(status, "https://example.com/") }, from(via, trust));
                    let outcome = story.take(&seen, &from, false);
                    if via == Via::Callback && outcome == CallbackOutcome::Duplicate && story.task().has_told(&seen) {
                        settled.push((seen, from));
                    }
                }
                Happens::Says(said) => story.says(said),
                Happens::Passes(time) => story.pass(time),
            }
            for (seen, from) in &settled {
                let followed = story.followed.as_ref().unwrap();
                let (turn, task) = again(followed, &story.plan, story.now, seen, from);
                prop_assert_eq!(turn, Turn::of(CallbackOutcome::Duplicate));
                prop_assert_eq!(task.event_of(seen.status), story.task().terminal_event.as_ref());
                prop_assert_eq!(&task, &Task { updated_at: task.updated_at, ..story.task().clone() });
            }
        }
    }
}
