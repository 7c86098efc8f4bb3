//! How long a task is asked for, and what is told when its end stays away.

use super::*;
use crate::domain::watch::Saving;
use Status::{Completed, Failed, Pending, Processing};

#[test]
fn a_task_that_was_once_seen_at_the_provider_is_there() {
    let mut story = story(Confirm::Auto);
    story.claims(Processing);
    story.answers(Processing);
    for _ in 0..30 {
        story.pass(MINUTE);
        story.says(UNKNOWN);
    }
    assert_eq!((story.told.as_slice(), story.asks_in()), (&["task.processing"][..], Some(60)));
}

#[test]
fn a_made_up_task_that_claims_no_end_is_no_longer_asked_for_either() {
    let mut story = story(Confirm::Auto);
    story.claims(Processing);
    for _ in 0..6 {
        assert!(story.asks_in().is_some());
        story.says(UNKNOWN);
        story.pass(MINUTE);
    }
    assert_eq!(story.asks_in(), None);
    story.pass(2 * DAY);
    assert_eq!(story.told, ["task.processing"]);
}

#[test]
fn a_task_that_is_registered_after_it_was_taken_for_made_up_is_watched_again() {
    let mut story = story(Confirm::Auto);
    story.claims(Completed);
    for _ in 0..21 {
        story.says(UNKNOWN);
        story.pass(15);
    }
    assert_eq!(story.asks_in(), None);
    story.registers();
    assert_eq!(story.asks_in(), Some(0));
    story.answers(Completed);
    assert_eq!(story.told, ["task.completed"]);
}

#[test]
fn a_signature_stands_for_its_task() {
    let mut story = story(Confirm::Auto);
    story.signs(Processing);
    for _ in 0..60 {
        story.pass(MINUTE);
        story.says(UNKNOWN);
    }
    assert_eq!(story.asks_in(), Some(60));
}

#[test]
fn claims_do_not_pile_up() {
    let mut story = story(Confirm::Auto);
    for n in 0..100 {
        for status in [Completed, Failed, Status::Cancelled] {
            story.claims_with(status, &format!("https://forged.example.com/{n}"));
        }
        story.answers(Processing);
        story.pass(6 * MINUTE);
        story.answers(Processing);
    }
    let claims = &story.watch().unwrap().claims;
    assert_eq!((claims.len(), claims.iter().all(|claim| claim.state == ClaimState::Disputed)), (3, true));
}

#[test]
fn overdue_is_told_once_and_the_provider_is_asked_slowly_for_seven_days() {
    let mut story = story(Confirm::Auto);
    story.registers();
    let (mut asked, mut last) = (Vec::new(), 0);
    for minute in 1..=20 * DAY / MINUTE {
        story.pass(MINUTE);
        if story.asks_in() == Some(0) {
            story.answers(Processing);
            asked.push(minute);
            last = minute;
        }
    }
    assert_eq!(story.told, ["task.processing", "task.overdue"]);
    let day = DAY / MINUTE;
    assert_eq!((asked[0], asked[1], last), (5, 6, 8 * day));
    assert_eq!(asked.iter().filter(|minute| **minute > day).count(), 7 * 24);
    story.answers(Completed);
    assert_eq!(story.told.last(), Some(&"task.completed"), "an end that comes late is still told");
}

#[test]
fn a_task_that_the_provider_never_knew_is_asked_for_until_its_deadline() {
    let mut story = story(Confirm::Auto);
    story.registers();
    story.says(UNKNOWN);
    story.pass(DAY);
    assert_eq!(story.told, ["task.overdue"]);
    story.says(UNKNOWN);
    assert_eq!(story.asks_in(), None);
}

#[test]
fn an_answer_that_brings_no_news_moves_the_next_question_and_leaves_the_task_as_it_is() {
    let mut story = story(Confirm::Auto);
    story.answers(Processing);
    story.pass(5 * MINUTE);
    story.answers(Processing);
    let before = story.followed.clone().unwrap();
    story.pass(MINUTE);
    story.answers(Processing);
    assert!(Arc::ptr_eq(&before.task, &story.followed.as_ref().unwrap().task));
    assert_eq!((story.task().updated_at, story.asks_in()), (START, Some(60)));
    assert_eq!(story.watch().unwrap().saving(&before.watch.unwrap()), Saving::Question);

    let further = Observation { progress: Some(40), ..Observation::new("t", Processing) };
    story.take(&further, &from(Via::Poll, Trust::SignedBody), false);
    assert_eq!((story.task().progress, story.task().updated_at), (Some(40), story.now));
}

#[test]
fn a_task_has_changed_when_something_of_it_has() {
    let mut story = story(Confirm::Auto);
    story.signs(Processing);
    story.pass(MINUTE);
    story.signs(Processing);
    assert_eq!(story.task().updated_at, START);
    let metadata = Metadata::from([("campaign".to_owned(), "spring".to_owned())]);
    let named = Provenance { metadata, metadata_origin: MetadataOrigin::Url, ..from(Via::Callback, Trust::Unsigned) };
    story.take(&saw(Completed, "https://example.com/a.mp4"), &named, false);
    let named_at = story.now;
    assert_eq!((story.task().status, story.task().updated_at), (Processing, named_at), "a claim brings its metadata");
    story.pass(MINUTE);
    story.answers(Completed);
    let ended_at = story.now;
    story.pass(MINUTE);
    story.signs(Completed);
    assert_eq!((story.task().status, story.task().updated_at), (Completed, ended_at));
}

#[test]
fn who_registers_a_known_task_says_when_it_is_overdue() {
    let mut story = story(Confirm::Auto);
    story.claims(Processing);
    let (plan, now, from) = (story.plan, story.now, from(Via::Relay, Trust::Unsigned));
    let deadline = Some(seconds(10 * MINUTE));
    let context = Context { from: &from, plan: &plan, callback_id: None, vouches: true, expected: None, deadline, now };
    story.followed.as_mut().unwrap().observe(&Observation::new("t", Pending), &context);
    story.pass(10 * MINUTE);
    assert_eq!(story.told, ["task.processing", "task.overdue"]);
    story.followed.as_mut().unwrap().observe(&Observation::new("t", Pending), &Context { now: story.now, ..context });
    story.pass(10 * MINUTE);
    assert_eq!(story.told, ["task.processing", "task.overdue"], "it is told once, whoever registers it again");
}

#[test]
fn what_nobody_understood_is_asked_about_but_not_without_end() {
    let mut story = story(Confirm::Auto);
    let (plan, from) = (story.plan, from(Via::Callback, Trust::Unsigned));
    let context = |now| Context {
        from: &from,
        plan: &plan,
        callback_id: None,
        vouches: false,
        expected: None,
        deadline: None,
        now,
    };
    story.followed = Some(Followed::begin_unread("s", "p", "t", &context(story.now)));
    assert_eq!((story.task().status, story.asks_in()), (Pending, Some(0)));
    story.answers(Processing);
    story.pass(1);
    let now = story.now;
    story.followed.as_mut().unwrap().unread(&context(now));
    assert_eq!(story.asks_in(), Some(14), "not sooner than a claim is asked about again");
    story.answers(Completed);
    story.followed.as_mut().unwrap().unread(&context(now));
    assert_eq!((story.told.as_slice(), story.watch()), (&["task.processing", "task.completed"][..], None));
}
