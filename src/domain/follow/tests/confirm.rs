//! Ends that nobody signed, and what the provider says of them.

use super::*;
use CallbackOutcome::{Accepted, Conflict, Disputed, Duplicate};
use Status::{Completed, Failed, Pending, Processing};

#[test]
fn an_unsigned_end_is_a_hint_and_the_provider_is_asked_at_once() {
    let mut story = story(Confirm::Auto);
    assert_eq!(story.claims(Completed), Accepted);
    assert_eq!((story.told.len(), story.task().status, story.asks_in()), (0, Pending, Some(0)));
    assert_eq!(story.claims(Completed), Duplicate);
    story.answers(Completed);
    assert_eq!(story.told, ["task.completed"]);
    assert_eq!(story.confirmed(), [story.callbacks[0].clone()]);
    let task = story.task();
    assert_eq!((task.confirmed, task.observed_via), (true, Via::Poll));
    assert_eq!(task.outputs[0].url, "https://example.com/true.mp4");
    assert!(story.watch().is_none());
}

#[test]
fn a_signed_end_is_believed_as_it_stands() {
    let mut story = story(Confirm::Always);
    assert_eq!(story.signs(Completed), Accepted);
    assert_eq!((story.told.as_slice(), story.task().confirmed), (&["task.completed"][..], true));
    assert!(story.watch().is_none());
}

#[test]
fn never_believes_what_nobody_signed() {
    let mut story = story(Confirm::Never);
    story.claims(Failed);
    assert_eq!((story.told.as_slice(), story.task().confirmed), (&["task.failed"][..], false));
}

#[test]
fn what_the_provider_denies_for_five_minutes_is_disputed_and_watched_on() {
    let mut story = story(Confirm::Auto);
    story.claims(Completed);
    for _ in 0..20 {
        story.answers(Processing);
        assert_eq!((story.disputed().len(), story.asks_in()), (0, Some(15)));
        story.pass(15);
    }
    story.answers(Processing);
    assert_eq!(story.disputed(), [story.callbacks[0].clone()]);
    assert_eq!((story.told.as_slice(), story.asks_in()), (&["task.processing"][..], Some(60)));
    story.pass(HOUR);
    story.answers(Failed);
    assert_eq!(story.told, ["task.processing", "task.failed"]);
}

#[test]
fn a_claim_is_asked_about_more_often_only_where_that_is_more_often() {
    let mut story = story(Confirm::Auto);
    story.plan.every = seconds(4);
    story.claims(Completed);
    story.answers(Processing);
    assert_eq!(story.asks_in(), Some(4));
}

#[test]
fn five_minutes_of_denial_begin_when_the_provider_first_denies() {
    let mut story = story(Confirm::Auto);
    story.claims(Completed);
    for _ in 0..24 {
        story.says(Said::Nothing);
        story.pass(15);
    }
    story.answers(Processing);
    assert!(story.disputed().is_empty(), "six minutes passed, in which nobody was there to deny it");
    story.pass(4 * MINUTE);
    story.answers(Completed);
    assert_eq!(story.told, ["task.processing", "task.completed"]);
}

#[test]
fn who_denies_is_not_silent_however_short_confirm_within_is() {
    let mut story = story(Confirm::Auto);
    story.plan.confirm_within = seconds(10);
    story.claims(Completed);
    story.answers(Processing);
    for _ in 0..8 {
        story.pass(30);
        story.answers(Processing);
        assert_eq!(story.told, ["task.processing"]);
    }
    story.says(Said::Nothing);
    story.pass(9);
    assert_eq!(story.told, ["task.processing"]);
    story.pass(1);
    assert_eq!(story.told, ["task.processing", "task.completed"]);
    assert!(!story.task().confirmed);
}

#[test]
fn auto_tells_it_unconfirmed_after_confirm_within_where_there_is_no_answer() {
    for said in [Said::Nothing, Said::Throttled(seconds(30))] {
        let mut story = story(Confirm::Auto);
        story.claims(Completed);
        for _ in 0..9 {
            story.says(said);
            story.pass(MINUTE);
        }
        assert!(story.told.is_empty(), "{said:?}");
        story.pass(MINUTE);
        assert_eq!((story.told.as_slice(), story.task().confirmed), (&["task.completed"][..], false));
        assert_eq!(story.confirmed(), [story.callbacks[0].clone()]);
        assert_eq!(story.task().outputs[0].url, "https://example.com/a.mp4");
        // The truth is still asked for.
        story.answers(Completed);
        assert_eq!((story.told.len(), story.task().confirmed, story.watch()), (1, true, None));
    }
}

#[test]
fn auto_tells_it_unconfirmed_even_where_nobody_asks() {
    let mut story = story(Confirm::Auto);
    story.claims(Completed);
    story.pass(10 * MINUTE);
    assert_eq!(story.told, ["task.completed"]);
}

#[test]
fn always_never_tells_what_nobody_confirmed() {
    for said in [Said::Nothing, Said::Refused, Said::Throttled(seconds(30)), Said::NotFound { key_works: false }] {
        let mut story = story(Confirm::Always);
        story.claims(Completed);
        story.says(said);
        for _ in 0..HOUR {
            story.pass(MINUTE);
            story.says(said);
        }
        assert_eq!(story.told, ["task.overdue"], "{said:?}");
        story.answers(Completed);
        assert_eq!(story.told, ["task.overdue", "task.completed"], "{said:?}");
        assert!(story.task().confirmed);
    }
}

#[test]
fn auto_tells_at_once_where_we_are_not_let_in() {
    for said in [Said::Refused, Said::NotFound { key_works: false }] {
        let mut story = story(Confirm::Auto);
        story.claims(Completed);
        story.says(said);
        assert_eq!((story.told.as_slice(), story.task().confirmed), (&["task.completed"][..], false), "{said:?}");
        assert_eq!(story.last.as_ref().unwrap().detail.is_some(), said != Said::Refused);
        // Once that is mended it is confirmed all the same; until then nobody is pestered.
        assert_eq!(story.asks_in(), Some(HOUR), "{said:?}");
        story.pass(HOUR);
        story.answers(Completed);
        assert_eq!((story.told.len(), story.task().confirmed), (1, true));
    }
}

#[test]
fn a_task_that_somebody_stands_for_is_there_even_if_the_provider_does_not_find_it() {
    let mut story = story(Confirm::Auto);
    story.registers();
    story.says(UNKNOWN);
    assert_eq!((story.told.len(), story.asks_in()), (0, Some(60)));
    story.claims(Completed);
    story.says(UNKNOWN);
    assert_eq!((story.told.as_slice(), story.task().confirmed), (&["task.completed"][..], false));
    assert!(story.last.as_ref().unwrap().detail.is_some(), "somebody has to look after the key");
}

#[test]
fn a_made_up_task_is_disputed_after_five_minutes_and_no_longer_watched() {
    let mut story = story(Confirm::Auto);
    story.claims(Completed);
    for _ in 0..20 {
        story.says(UNKNOWN);
        assert_eq!((story.disputed().len(), story.asks_in()), (0, Some(15)));
        story.pass(15);
    }
    story.says(UNKNOWN);
    assert_eq!((story.disputed(), story.asks_in()), (vec![story.callbacks[0].clone()], None));
    story.pass(10 * DAY);
    assert!(story.told.is_empty());
    // The same again is not asked about again.
    assert_eq!((story.claims(Completed), story.asks_in()), (Disputed, None));
    // Something else is.
    assert_eq!((story.claims(Failed), story.asks_in()), (Accepted, Some(0)));
}

#[test]
fn a_task_that_the_provider_finds_late_was_not_made_up() {
    let mut story = story(Confirm::Auto);
    story.claims(Completed);
    for _ in 0..8 {
        story.says(UNKNOWN);
        story.pass(15);
    }
    story.answers(Completed);
    assert_eq!((story.told.as_slice(), story.task().confirmed), (&["task.completed"][..], true));
}

#[test]
fn all_claims_share_one_question() {
    let mut story = story(Confirm::Auto);
    story.claims(Completed);
    let asked_until = story.now.after(seconds(45));
    let watch = story.followed.as_mut().unwrap().watch.as_mut().unwrap();
    (watch.ask_at, watch.asking) = (Some(asked_until), true);
    assert_eq!((story.claims(Failed), story.claims(Completed)), (Accepted, Duplicate));
    assert_eq!(story.watch().unwrap().ask_at, Some(asked_until));
}

#[test]
fn contrary_claims_are_judged_together() {
    let mut story = story(Confirm::Auto);
    assert_eq!((story.claims(Completed), story.claims(Failed)), (Accepted, Accepted));
    story.answers(Failed);
    assert_eq!(story.told, ["task.failed"]);
    assert_eq!(story.disputed(), [story.callbacks[0].clone()]);
    assert_eq!(story.confirmed(), [story.callbacks[1].clone()]);
}

#[test]
fn of_contrary_claims_that_nobody_confirms_the_first_is_told() {
    let mut story = story(Confirm::Auto);
    story.claims(Failed);
    story.claims(Completed);
    story.says(Said::Refused);
    assert_eq!(story.told, ["task.failed"]);
    let contrary = &story.last.as_ref().unwrap().contrary;
    assert_eq!(contrary.iter().map(|claim| claim.seen.status).collect::<Vec<_>>(), [Completed]);
}

#[test]
fn an_unconfirmed_end_that_the_provider_contradicts_is_a_conflict_told_once() {
    let mut story = story(Confirm::Auto);
    story.claims(Completed);
    story.says(Said::Refused);
    story.answers(Failed);
    assert_eq!(story.told, ["task.completed", "task.conflict"]);
    assert_eq!((story.task().status, story.task().confirmed), (Completed, false));
    assert_eq!(story.claims(Failed), Conflict);
    assert!(story.watch().is_none(), "there is nothing more to be found out");
}

#[test]
fn a_contrary_claim_after_the_end_is_told_only_if_the_provider_confirms_it() {
    let mut story = story(Confirm::Auto);
    story.claims(Completed);
    story.answers(Completed);
    assert_eq!((story.claims(Failed), story.asks_in()), (Conflict, Some(0)));
    story.answers(Completed);
    assert_eq!((story.told.len(), story.watch()), (1, None));
    assert_eq!(story.claims(Failed), Conflict);
    story.answers(Failed);
    assert_eq!(story.told, ["task.completed", "task.conflict"]);
    assert_eq!(story.confirmed(), [story.callbacks.iter().rev().nth(1).unwrap().clone()]);
}

#[test]
fn a_contrary_claim_that_the_provider_denies_is_not_asked_about_for_ever() {
    let mut story = story(Confirm::Auto);
    story.signs(Completed);
    story.claims(Failed);
    for _ in 0..21 {
        story.answers(Processing);
        story.pass(15);
    }
    assert_eq!((story.told.as_slice(), story.watch()), (&["task.completed"][..], None));
}

#[test]
fn a_true_callback_after_a_forged_one_was_disputed_is_asked_about_anew() {
    let mut story = story(Confirm::Auto);
    story.registers();
    story.claims_with(Completed, "https://forged.example.com/x.mp4");
    for _ in 0..21 {
        story.answers(Processing);
        story.pass(15);
    }
    // The forger's own again is known for what it is.
    assert_eq!(story.claims_with(Completed, "https://forged.example.com/x.mp4"), Disputed);
    assert_eq!((story.claims_with(Completed, "https://example.com/true.mp4"), story.asks_in()), (Accepted, Some(0)));
    story.answers(Completed);
    assert_eq!(story.told.last(), Some(&"task.completed"));
    assert_eq!(story.confirmed(), [story.callbacks.iter().rev().nth(1).unwrap().clone()]);
}

#[test]
fn another_task_by_the_same_id_is_no_end_of_this_one() {
    let at = |minutes: u64| Some(START.after(seconds(minutes * MINUTE)));
    let mut story = story(Confirm::Auto);
    let first = Observation { created_at: at(0), ..Observation::new("t", Completed) };
    let second = Observation { created_at: at(90), ..Observation::new("t", Failed) };
    story.take(&first, &from(Via::Callback, Trust::Unsigned), false);
    story.take(&first, &from(Via::Poll, Trust::SignedBody), false);
    for trust in [Trust::Unsigned, Trust::SignedBody] {
        assert_eq!(story.take(&second, &from(Via::Callback, trust), false), Conflict);
        assert!(story.last.as_ref().unwrap().detail.unwrap().starts_with("id_reused"));
    }
    story.take(&second, &from(Via::Poll, Trust::SignedBody), false);
    assert_eq!((story.told.as_slice(), story.watch()), (&["task.completed"][..], None));
}

#[test]
fn a_forged_beginning_does_not_shield_a_forged_end() {
    let at = |minutes: u64| Some(START.after(seconds(minutes * MINUTE)));
    let mut story = story(Confirm::Auto);
    let forged = Observation { created_at: at(500), ..Observation::new("t", Completed) };
    story.take(&forged, &from(Via::Callback, Trust::Unsigned), false);
    story.says(Said::Refused);
    let truth = Observation { created_at: at(0), ..Observation::new("t", Failed) };
    story.take(&truth, &from(Via::Poll, Trust::SignedBody), false);
    assert_eq!(story.told, ["task.completed", "task.conflict"]);
}
