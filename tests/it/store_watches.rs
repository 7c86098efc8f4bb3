//! What the store keeps for the poller: watches, polls, how sources are faring, and callbacks judged later.

use std::time::Duration;

use callboard::domain::callback::CallbackOutcome;
use callboard::domain::clock::Timestamp;
use callboard::domain::id::{EventId, PollId};
use callboard::domain::source::Confirm;
use callboard::domain::task::{Observation, Status};
use callboard::domain::watch::{End, Plan, Saving, Watch};
use callboard::store::{Asked, JudgedCallback, NewPoll, NextAsk, SavedWatch, Store, TaskId, Tx};

use super::store::{callback, ended, later};
use crate::app::{Database, Db, START, both};

fn plan() -> Plan {
    let minute = Duration::from_secs(60);
    Plan {
        can_ask: true,
        confirms: true,
        confirm: Confirm::Auto,
        confirm_within: minute * 10,
        after: minute * 5,
        every: minute,
        give_up_after: minute * 60 * 24,
    }
}

/// A watch whose question is due at this moment.
pub(crate) fn watch(vouched: bool, ask_at: Option<Timestamp>) -> Watch {
    Watch { ask_at, ..Watch::begin(&plan(), vouched, None, None, START) }
}

pub(crate) fn save(tx: &mut Tx, watches: &[(TaskId, Watch)]) {
    let saved = watches.iter().map(|(id, watch)| {
        let intent_id = (id.1 == "relayed").then_some("int_1");
        SavedWatch { id, watch, look_at: watch.look_at(&plan()), intent_id, saving: Saving::All }
    });
    tx.save_watches(&saved.collect::<Vec<_>>());
}

pub(crate) fn id(source: &str, task_id: &str) -> TaskId {
    (source.to_owned(), task_id.to_owned())
}

fn asked(task_id: &str) -> Asked {
    Asked { task_id: task_id.into(), sealed_key: None, is_awaited: false }
}

async fn claim(store: &Store, vouched: bool, limit: usize, now: Timestamp) -> Vec<Asked> {
    let mut tx = store.write().await.unwrap();
    let until = now.after(Duration::from_secs(45));
    let mut claimed = tx.claim_questions("evolink", vouched, limit, now, ("me", until)).await.unwrap();
    tx.commit().await.unwrap();
    claimed.sort_by(|a, b| a.task_id.cmp(&b.task_id));
    claimed
}

async fn locked(store: &Store, task_id: &str) -> Option<Watch> {
    let mut tx = store.write().await.unwrap();
    let id = id("evolink", task_id);
    let mut known = tx.lock_tasks(vec![id.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    known.remove(&id).unwrap().watch
}

both! {
    async fn questions_are_claimed_the_longest_due_first_and_each_by_one(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        save(&mut tx, &[
            (id("evolink", "second"), watch(true, Some(later(2)))),
            (id("evolink", "relayed"), watch(true, Some(later(1)))),
            (id("evolink", "third"), watch(true, Some(later(3)))),
            (id("evolink", "stranger"), watch(false, Some(later(1)))),
            (id("evolink", "rests"), watch(true, None)),
            (id("other", "elsewhere"), watch(true, Some(later(1)))),
        ]);
        let next = |source: &str, vouched, at| NextAsk { source: source.into(), vouched, ask_at: at };
        let mut due = tx.next_questions(&["evolink", "other", "nobody"]).await.unwrap();
        assert_eq!(tx.asked_next("evolink", "second").await.unwrap(), Some(later(2)));
        assert_eq!(tx.asked_next("evolink", "rests").await.unwrap(), None);
        assert_eq!(tx.asked_next("evolink", "nobody").await.unwrap(), None);
        due.sort_by_key(|next| (next.source.clone(), next.vouched));
        assert_eq!(due, [next("evolink", false, later(1)), next("evolink", true, later(1)), next("other", true, later(1))]);
        tx.commit().await.unwrap();

        assert!(claim(&store, true, 9, START).await.is_empty());
        assert_eq!(claim(&store, true, 2, later(5)).await, [asked("relayed"), asked("second")]);
        assert_eq!(claim(&store, true, 2, later(5)).await, [asked("third")]);
        assert_eq!(claim(&store, true, 2, later(5)).await, []);
        assert_eq!(claim(&store, false, 2, later(5)).await, [asked("stranger")]);
        // A lease that ends is a question that is due.
        assert_eq!(claim(&store, true, 9, later(49)).await, []);
        assert_eq!(claim(&store, true, 9, later(50)).await.len(), 3);
    }

    async fn who_waits_for_a_task_sees_its_watch_as_it_is_then(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        tx.insert_tasks([ended("t", Status::Completed, START).0]);
        save(&mut tx, &[(id("evolink", "t"), watch(true, Some(later(1))))]);
        tx.commit().await.unwrap();

        let mut first = store.write().await.unwrap();
        first.lock_tasks(vec![id("evolink", "t")]).await.unwrap();
        let second = tokio::spawn({
            let store = store.clone();
            async move { locked(&store, "t").await }
        });
        while db == Db::Postgres && database.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").await == 0 {
            tokio::task::yield_now().await;
        }
        save(&mut first, &[(id("evolink", "t"), watch(true, Some(later(99))))]);
        first.commit().await.unwrap();
        assert_eq!(second.await.unwrap().unwrap().ask_at, Some(later(99)));
    }

    async fn what_a_dead_process_was_asking_is_due_at_once(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        save(&mut tx, &[
            (id("evolink", "a"), watch(true, Some(START))),
            (id("evolink", "b"), watch(true, Some(later(500)))),
        ]);
        tx.commit().await.unwrap();
        assert_eq!(claim(&store, true, 9, START).await.len(), 1);
        let mut tx = store.write().await.unwrap();
        assert_eq!(tx.void_questions(Some("another"), later(1)).await.unwrap(), 0);
        assert_eq!(tx.void_questions(Some("me"), later(1)).await.unwrap(), 1);
        assert_eq!(tx.void_questions(None, later(1)).await.unwrap(), 0);
        tx.commit().await.unwrap();
        assert_eq!(claim(&store, true, 9, later(1)).await, [asked("a")]);
        let mut tx = store.write().await.unwrap();
        assert_eq!(tx.void_questions(None, later(2)).await.unwrap(), 1);
        tx.commit().await.unwrap();
    }

    async fn a_watch_comes_back_as_it_was_saved_and_keeps_the_lease_of_who_asks(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let (task, _) = ended("t", Status::Completed, START);
        let mut first = watch(true, Some(later(7)));
        first.hear(&Observation::new("t", Status::Failed), None, End::Open, START);
        let mut tx = store.write().await.unwrap();
        tx.insert_tasks([task.clone()]);
        save(&mut tx, &[(id("evolink", "t"), first.clone())]);
        tx.commit().await.unwrap();
        assert_eq!(locked(&store, "t").await, Some(first.clone()));

        claim(&store, true, 1, START).await;
        let leased = locked(&store, "t").await.unwrap();
        assert_eq!((leased.ask_at, leased.asking), (Some(later(45)), true));
        // Something else came in while it is being asked about.
        let mut tx = store.write().await.unwrap();
        save(&mut tx, &[(id("evolink", "t"), leased.clone())]);
        tx.commit().await.unwrap();
        assert_eq!(locked(&store, "t").await, Some(leased.clone()));
        // The answer came.
        let answered = Watch { ask_at: Some(later(60)), asking: false, vouched: false, ..leased };
        let mut tx = store.write().await.unwrap();
        save(&mut tx, &[(id("evolink", "t"), answered.clone())]);
        tx.commit().await.unwrap();
        assert_eq!(locked(&store, "t").await, Some(answered));

        let mut tx = store.write().await.unwrap();
        tx.end_watches(&[&id("evolink", "t"), &id("evolink", "nobody")]);
        tx.commit().await.unwrap();
        assert_eq!(locked(&store, "t").await, None);
    }

    async fn where_only_the_question_has_moved_the_rest_of_a_watch_is_left_alone(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let (task, _) = ended("t", Status::Completed, START);
        let (id, first) = (id("evolink", "t"), watch(true, Some(START)));
        let question = |tx: &mut Tx, watch: &Watch| {
            tx.save_watches(&[SavedWatch { id: &id, watch, look_at: None, intent_id: None, saving: Saving::Question }]);
        };
        let mut tx = store.write().await.unwrap();
        tx.insert_tasks([task]);
        save(&mut tx, &[(id.clone(), first.clone())]);
        tx.commit().await.unwrap();
        claim(&store, true, 1, START).await;
        let leased = locked(&store, "t").await.unwrap();

        // Something else came in while it is being asked about, and then the answer.
        let other = Watch { asked_at: Some(START.into()), ..leased };
        let answered = Watch { ask_at: Some(later(60)), asking: false, ..other.clone() };
        for watch in [&other, &answered] {
            let mut tx = store.write().await.unwrap();
            question(&mut tx, watch);
            assert_eq!(tx.next_look().await.unwrap(), first.overdue_at.map(Timestamp::from));
            tx.commit().await.unwrap();
            assert_eq!(locked(&store, "t").await.as_ref(), Some(watch));
        }
        assert_eq!(claim(&store, true, 1, later(60)).await, [asked("t")]);
    }

    async fn what_is_to_be_told_without_an_answer_is_found_the_longest_due_first(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let overdue = |at: Timestamp| Watch { overdue_at: Some(at.into()), ..watch(true, None) };
        let mut tx = store.write().await.unwrap();
        assert_eq!(tx.next_look().await.unwrap(), None);
        save(&mut tx, &[
            (id("evolink", "b"), overdue(later(2))),
            (id("other", "a"), overdue(later(1))),
            (id("evolink", "c"), overdue(later(3))),
            (id("evolink", "told"), Watch { overdue_at: None, ..overdue(START) }),
        ]);
        assert_eq!(tx.next_look().await.unwrap(), Some(later(1)));
        assert_eq!(tx.due_looks(later(2), 9).await.unwrap(), [id("other", "a"), id("evolink", "b")]);
        assert_eq!(tx.due_looks(later(9), 1).await.unwrap(), [id("other", "a")]);
        assert!(tx.due_looks(START, 9).await.unwrap().is_empty());
        tx.commit().await.unwrap();
    }

    async fn polls_are_kept_newest_first_and_repeats_counted(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let poll = |task_id: &str, outcome: &str, at: Timestamp| NewPoll {
            id: PollId::new(at),
            source: "evolink".into(),
            task_id: task_id.into(),
            outcome: outcome.into(),
            detail: (outcome == "refused").then(|| "HTTP 401".into()),
            at,
            body: Some(vec![0, 255]),
        };
        let polls = [poll("t", "processing", START), poll("t", "refused", later(1)), poll("u", "nothing", later(2))];
        let mut tx = store.write().await.unwrap();
        tx.insert_polls(&polls);
        tx.commit().await.unwrap();
        let mut tx = store.write().await.unwrap();
        tx.repeat_polls(&[(polls[0].id.clone(), later(5))]);
        tx.flush().await.unwrap();
        tx.repeat_polls(&[(polls[0].id.clone(), later(6)), (polls[2].id.clone(), later(6))]);
        let rows = tx.polls("evolink", "t", 9).await.unwrap();
        let shown: Vec<_> = rows.iter().map(|row| (row.outcome.as_str(), row.detail.as_deref(), row.at)).collect();
        assert_eq!(shown, [("refused", Some("HTTP 401"), later(1)), ("processing", None, START)]);
        assert_eq!((rows[1].id.as_str(), rows[1].repeated_at), (polls[0].id.as_str(), Some(later(6))));
        assert_eq!((rows[0].repeats, rows[0].repeated_at), (0, None));
        assert_eq!(rows[1].repeats, 2);
        assert_eq!(tx.polls("evolink", "t", 1).await.unwrap().len(), 1);
        assert!(tx.polls("other", "t", 9).await.unwrap().is_empty());
        tx.commit().await.unwrap();
    }

    async fn how_a_source_fares_is_noted_part_by_part(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        tx.add_sources(&["a", "b"], START);
        tx.flush().await.unwrap();
        tx.add_sources(&["a"], later(9));
        assert_eq!(tx.source_states().await.unwrap().len(), 2);
        assert_eq!(tx.source_state("nobody").await.unwrap(), None);
        let state = tx.source_state("a").await.unwrap().unwrap();
        assert_eq!((state.added_at, &state.found, &state.refused, state.listed_at), (START, &None, &None, None));

        tx.note_refused("a", "HTTP 401", later(1)).await.unwrap();
        tx.note_refused("a", "HTTP 403", later(2)).await.unwrap();
        tx.note_listed("a", later(5)).await.unwrap();
        tx.note_listed("a", later(4)).await.unwrap();
        let state = tx.source_state("a").await.unwrap().unwrap();
        assert_eq!((state.refused, state.listed_at), (Some((later(1), "HTTP 403".into())), Some(later(5))));

        tx.note_found("a", "key-1", later(6)).await.unwrap();
        tx.note_found("a", "key-1", later(7)).await.unwrap();
        let state = tx.source_state("a").await.unwrap().unwrap();
        assert_eq!((state.found, state.refused, state.listed_at), (Some((later(6), "key-1".into())), None, Some(later(5))));
        tx.note_found("a", "key-2", later(8)).await.unwrap();
        assert_eq!(tx.source_state("a").await.unwrap().unwrap().found, Some((later(8), "key-2".into())));
        let other = tx.source_state("b").await.unwrap().unwrap();
        assert_eq!((other.found, other.refused, other.listed_at), (None, None, None));
        tx.commit().await.unwrap();
    }

    async fn a_callback_is_judged_when_the_provider_has_spoken(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        let kept = ["true", "false", "twice"].map(|task| callback(task, CallbackOutcome::Accepted, START));
        let first_disputed = callback("twice", CallbackOutcome::Disputed, later(1));
        let ids = tx.keep_callbacks([kept.to_vec(), vec![first_disputed]].concat()).await.unwrap();
        let event = EventId::new(START);
        let judged = |at: usize, outcome, event_id: Option<&EventId>, detail: Option<&str>| JudgedCallback {
            id: ids[at].clone(),
            outcome,
            event_id: event_id.cloned(),
            detail: detail.map(str::to_owned),
        };
        tx.judge_callbacks(&[]).await.unwrap();
        tx.judge_callbacks(&[
            judged(0, None, Some(&event), None),
            judged(1, Some(CallbackOutcome::Disputed), None, Some("denied")),
            // It would be the same as one that is kept, which must not be.
            judged(2, Some(CallbackOutcome::Disputed), None, Some("denied")),
        ]).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = store.read().await.unwrap();
        let mut shown = Vec::new();
        for id in &ids {
            let row = tx.callback(&callboard::domain::access::Scope::All, id.as_str()).await.unwrap().unwrap().row;
            shown.push((row.outcome, row.event_id, row.detail));
        }
        let denied = || Some("denied".to_owned());
        assert_eq!(shown, [
            (CallbackOutcome::Accepted, Some(event.to_string()), None),
            (CallbackOutcome::Disputed, None, denied()),
            (CallbackOutcome::Accepted, None, None),
            (CallbackOutcome::Disputed, None, None),
        ]);
    }
}
