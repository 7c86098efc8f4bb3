//! Any order of claims, signed callbacks, answers and time.

use proptest::prelude::*;

use super::*;

/// Anything that can happen.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Claim(Status, u8),
    Signed(Status),
    Answer(Status),
    Says(Said),
    Registers,
    Passes(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let status = || prop::sample::select(Status::ALL.to_vec());
    let said = prop::sample::select(vec![
        UNKNOWN,
        Said::NotFound { key_works: false },
        Said::Refused,
        Said::Throttled(seconds(30)),
        Said::Nothing,
    ]);
    prop_oneof![
        (status(), 0..3u8).prop_map(|(status, link)| Happens::Claim(status, link)),
        status().prop_map(Happens::Signed),
        status().prop_map(Happens::Answer),
        said.prop_map(Happens::Says),
        Just(Happens::Registers),
        prop::sample::select(vec![1, 15, 120, 300, 660, 90_000, 700_000]).prop_map(Happens::Passes),
    ]
}

fn is_end(told: &str) -> bool {
    ["task.completed", "task.failed", "task.cancelled"].contains(&told)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_there_is_one_end_and_the_first_certain_word_is_it(
        all in prop::collection::vec(happens(), 1..40),
        confirm in prop::sample::select(vec![Confirm::Auto, Confirm::Always, Confirm::Never]),
    ) {
        let mut story = story(confirm);
        for (at, one) in all.into_iter().enumerate() {
            let told_before = story.told.iter().any(|told| is_end(told));
            // The first word of a task is one that makes it known.
            match one {
                Happens::Says(_) | Happens::Passes(_) | Happens::Answer(_) if at == 0 => story.registers(),
                Happens::Claim(status, link) => drop(story.claims_with(status, &format!("https://example.com/{link}"))),
                Happens::Signed(status) => drop(story.signs(status)),
                Happens::Answer(status) => story.answers(status),
                Happens::Says(said) => story.says(said),
                Happens::Registers => story.registers(),
                Happens::Passes(time) => story.pass(time),
            }
            if let Happens::Signed(status) | Happens::Answer(status) = one
                && status.is_terminal() && !told_before && at > 0
            {
                prop_assert_eq!(story.told.last().copied(), status.event().map(EventType::as_str));
                prop_assert!(story.task().confirmed);
            }
            for kind in ["task.processing", "task.overdue", "task.conflict"] {
                prop_assert!(story.told.iter().filter(|told| **told == kind).count() <= 1, "{:?}", story.told);
            }
            prop_assert!(story.told.iter().filter(|told| is_end(told)).count() <= 1, "{:?}", story.told);
            let (told, confirmed) = (story.told.iter().any(|told| is_end(told)), story.task().confirmed);
            prop_assert_eq!(told, story.task().status.is_terminal());
            prop_assert!(confirm != Confirm::Always || !told || confirmed);
            if let Some(watch) = story.watch() {
                prop_assert!(watch.claims.len() <= 3);
                prop_assert!(told || watch.look_at(&story.plan).is_none_or(|at| at > story.now));
            }
        }
    }
}
