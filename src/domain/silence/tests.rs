use proptest::prelude::*;

use super::*;

const HEARD: Timestamp = Timestamp(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn after(hours: f64) -> Timestamp {
    HEARD.after(HOUR.mul_f64(hours))
}

/// A history in which slot after slot was heard or not, going back.
fn history(is_heard: impl Fn(usize) -> bool) -> History {
    History { heard: (0..SLOTS).map(|slot| slot == 0 || is_heard(slot)).collect(), called: 0, called_of: 0 }
}

fn silent_for(hours: f64, history: &History, unheard: i64) -> Option<Change> {
    let facts = Facts { heard_at: Some(HEARD), history: Some(history), unheard, ..Facts::default() };
    judge(&facts, after(hours))
}

fn reason(change: Option<Change>) -> Option<(Ailment, String)> {
    match change {
        Some(Change::Ill { ailment, reason, .. }) => Some((ailment, reason)),
        _ => None,
    }
}

/// The share of so many percent among so many.
fn share(percent: i64, all: i64) -> Share {
    let bad = all * percent / 100;
    Share { good: all - bad, bad }
}

fn lately(recent: Share, usual: Share) -> Lately {
    Lately { since: HEARD, recent, usual }
}

#[test]
fn a_busy_source_is_silent_after_ten_times_its_longest_wait() {
    // Every ten minutes, every fifty minutes.
    for (every, hours) in [(1, 10.0 / 6.0), (5, 50.0 / 6.0)] {
        let busy = history(|slot| slot % every == 0);
        assert_eq!(silent_for(hours - 0.01, &busy, 0), None, "{every}");
        let (ailment, reason) = reason(silent_for(hours + 0.01, &busy, 0)).unwrap();
        assert_eq!(ailment, Ailment::Silent);
        let longest = format!("no callback since {HEARD}: the longest wait of the days before was {} min", every * 10);
        assert_eq!(reason, longest);
    }
}

#[test]
fn a_source_that_sleeps_at_night_is_missed_only_by_day() {
    // Heard by day, ten hours of it, and last in the evening.
    let day = history(|slot| slot % SLOTS_A_DAY < 60);
    for hours in [1.0, 8.0, 13.9, 16.9] {
        assert_eq!(silent_for(hours, &day, 0), None, "{hours} h");
    }
    // Fourteen hours of night, and three in which it called on every other day.
    let (_, reason) = reason(silent_for(17.1, &day, 0)).unwrap();
    assert!(reason.ends_with("at this hour it called on every day before"), "{reason}");
}

#[test]
fn a_source_that_rests_on_some_days_is_not_missed() {
    let week = history(|slot| slot % SLOTS_A_DAY < 60 && slot / SLOTS_A_DAY < 5);
    assert!((1..48).all(|hours| silent_for(f64::from(hours), &week, 0).is_none()));
}

#[test]
fn tasks_that_should_have_called_are_missed_where_they_usually_call() {
    let calls = |called| History { called, called_of: 20, ..history(|slot| slot % 100 == 0) };
    assert_eq!(silent_for(20.0, &calls(20), 4), None);
    assert_eq!(silent_for(20.0, &calls(17), 50), None, "others are only asked for");
    assert_eq!(silent_for(16.0, &calls(20), 50), None, "it waited as long before");
    let change = silent_for(20.0, &calls(20), 5);
    let Some(Change::Ill { ailment: Ailment::Silent, since: HEARD, count: 5, reason }) = change else {
        panic!("{change:?}")
    };
    assert!(reason.ends_with("5 tasks are known since then, and none of them called back"), "{reason}");
}

#[test]
fn what_nobody_could_hear_is_no_silence() {
    let busy = history(|_| true);
    let heard = |hours| {
        let started = after(50.0);
        let facts = Facts { heard_at: Some(HEARD), listening_since: started, history: Some(&busy), ..Facts::default() };
        judge(&facts, after(50.0 + hours))
    };
    assert_eq!(heard(1.5), None);
    assert!(heard(2.0).is_some());
    // The hours of the day are those of the clock, however long it was away.
    let day = history(|slot| slot % SLOTS_A_DAY < 60);
    assert_eq!(day.expected_hours(17 * HOUR, 17 * HOUR), 3);
    assert_eq!(day.expected_hours(17 * HOUR, 2 * HOUR), 2);
    assert_eq!(day.expected_hours(40 * HOUR, 10 * HOUR), 0);
}

#[test]
fn a_share_is_unusual_only_against_what_is_usual() {
    let few = lately(share(100, 19), share(1, 1000));
    let unknown = lately(share(100, 100), share(0, 49));
    let usual = lately(share(60, 100), share(40, 1000));
    let unusual = lately(share(60, 100), share(5, 1000));
    let much_as_a_rule = lately(share(90, 100), share(40, 1000));
    for (ends, is_told) in [(few, false), (unknown, false), (usual, false), (unusual, true), (much_as_a_rule, true)] {
        let change = judge(&Facts { ends, ..Facts::default() }, after(1.0));
        assert_eq!(change.is_some(), is_told, "{ends:?}");
        let change = judge(&Facts { callbacks: ends, ..Facts::default() }, after(1.0));
        assert_eq!(change.is_some(), is_told, "{ends:?}");
    }
    let facts = Facts { ends: unusual, ..Facts::default() };
    assert_eq!(
        judge(&facts, after(1.0)),
        Some(Change::Ill {
            ailment: Ailment::Failing,
            reason: format!("60 of 100 tasks that ended since {HEARD} failed; usual are 5 %"),
            since: HEARD,
            count: 60,
        })
    );
}

#[test]
fn a_refused_key_is_told_when_it_stays_refused() {
    let facts = Facts { refused: Some((HEARD, "answered 401")), ..Facts::default() };
    assert_eq!(judge(&facts, HEARD.after(REFUSED_FOR - Duration::from_millis(1))), None);
    let (ailment, reason) = reason(judge(&facts, HEARD.after(REFUSED_FOR))).unwrap();
    assert_eq!((ailment, reason.as_str()), (Ailment::Refused, "the provider does not answer our key: answered 401"));
}

#[test]
fn what_was_told_is_over_when_that_very_trouble_is() {
    let told = |ailment| Facts { told: Some((ailment, HEARD)), heard_at: Some(HEARD), ..Facts::default() };
    let well = lately(share(20, 10), Share::default());
    let ill = lately(share(100, 100), share(0, 100));
    let refused = Some((HEARD, "answered 401"));
    for (facts, is_over) in [
        (told(Ailment::Silent), false),
        (Facts { heard_at: Some(after(0.1)), ..told(Ailment::Silent) }, true),
        (told(Ailment::Failing), false),
        (Facts { ends: ill, ..told(Ailment::Failing) }, false),
        (Facts { ends: well, ..told(Ailment::Failing) }, true),
        (Facts { callbacks: ill, ..told(Ailment::Unreadable) }, false),
        (Facts { callbacks: well, ..told(Ailment::Unreadable) }, true),
        (Facts { refused, ..told(Ailment::Refused) }, false),
        (told(Ailment::Refused), true),
    ] {
        let ailment = facts.told.unwrap().0;
        assert_eq!(judge(&facts, after(1.0)), is_over.then_some(Change::Well(ailment)), "{facts:?}");
        assert!(ailment.over().starts_with(HEARD_AGAIN));
        assert_eq!(Ailment::parse(ailment.as_str()), Some(ailment));
    }
}

#[test]
fn after_a_recovery_nothing_is_told_for_an_hour() {
    let refused = Some((Timestamp(HEARD.0 - 18_000_000), "answered 401"));
    let facts = Facts { refused, recovered_at: Some(after(0.0)), ..Facts::default() };
    assert_eq!(judge(&facts, after(0.99)), None);
    assert!(judge(&facts, after(1.0)).is_some());
}

fn any_history() -> impl Strategy<Value = History> {
    // How often it is heard, from never to always.
    (0.0..=1.0_f64, prop::collection::vec(0.0..1.0_f64, SLOTS), 0..=60_i64, 0..=100_i64).prop_map(
        |(often, slots, called_of, percent)| History {
            heard: slots.iter().enumerate().map(|(slot, draw)| slot == 0 || *draw < often.powi(2)).collect(),
            called: called_of * percent / 100,
            called_of,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn little_traffic_is_never_silence(mut some in any_history(), hours in 0.0..1000.0_f64) {
        some.heard.iter_mut().skip(BUSY_SLOTS - 1).for_each(|slot| *slot = false);
        prop_assert_eq!(silent_for(hours, &some, UNHEARD_MIN - 1), None);
    }

    #[test]
    fn who_waited_as_long_before_and_called_is_not_silent_by_that(some in any_history(), share in 0.0..=1.0_f64) {
        let hours = some.longest_wait().as_secs_f64() / 3600.0 * share;
        let expected = some.expected_hours(HOUR.mul_f64(hours), HOUR.mul_f64(hours));
        let told = silent_for(hours, &some, 50);
        prop_assert!(told.is_none() || expected >= EXPECTED_HOURS, "{:?}", told);
    }

    #[test]
    fn a_silence_stays_one_until_something_is_heard(some in any_history(), hours in 0.0..100.0_f64, more in 0.0..100.0_f64, unheard in 0..9_i64) {
        if silent_for(hours, &some, unheard).is_some() {
            prop_assert!(silent_for(hours + more, &some, unheard).is_some());
        }
        let told = Facts { told: Some((Ailment::Silent, HEARD)), heard_at: Some(HEARD), history: Some(&some), unheard, ..Facts::default() };
        prop_assert_eq!(judge(&told, after(hours + more)), None);
    }

    #[test]
    fn nobody_is_silent_within_the_hour(some in any_history(), share in 0.0..0.999_f64) {
        prop_assert_eq!(silent_for(share, &some, 1000), None);
    }

    #[test]
    fn the_same_share_as_usual_is_never_unusual(percent in 0..=100_i64, recent in 0..2000_i64, usual in 0..2000_i64) {
        let ends = lately(share(percent, recent), share(percent, usual.max(100)));
        let told = judge(&Facts { ends, callbacks: ends, ..Facts::default() }, after(1.0));
        prop_assert_eq!(told, None);
    }
}
