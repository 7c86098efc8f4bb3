//! Percentiles against exact ones, and what is counted of which event.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The exact percentile: the smallest that so many do not exceed.
fn exact(mut all: Vec<u64>, percent: u64) -> u64 {
    all.sort_unstable();
    let rank = (all.len() as u64 * percent).div_ceil(100).max(1);
    all[usize::try_from(rank).unwrap() - 1]
}

fn histogram(all: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    all.iter().for_each(|millis| histogram.note(*millis));
    histogram
}

/// Durations of every order of magnitude.
fn durations() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec((0u32..38, any::<u64>()).prop_map(|(bits, any)| any & ((1 << bits) - 1)), 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_percentile_is_within_five_percent_of_the_exact_one(all in durations(), percent in 1u64..=100) {
        let (found, wanted) = (histogram(&all).percentile(percent).unwrap(), exact(all, percent));
        prop_assert!(found.abs_diff(wanted) * 20 <= wanted, "{found} for {wanted}");
    }

    #[test]
    fn histograms_merged_are_the_histogram_of_all(one in durations(), other in durations()) {
        let mut merged = histogram(&one);
        merged.merge(&histogram(&other));
        let all = [one, other].concat();
        prop_assert_eq!(merged.count(), all.len() as u64);
        prop_assert_eq!(&merged, &histogram(&all));
        let written = serde_json::to_string(&merged).unwrap();
        prop_assert_eq!(serde_json::from_str::<Histogram>(&written).unwrap(), merged);
    }

    #[test]
    fn a_bucket_holds_what_is_put_into_it_and_is_at_most_five_percent_wide(millis in 0..LONGEST_MS) {
        let mine = bucket(millis);
        prop_assert!(bucket(millis + 1) - mine <= 1, "a gap behind {}", millis);
        prop_assert_eq!(bucket(middle(mine)), mine);
        let width = middle(mine + 1).saturating_sub(middle(mine));
        prop_assert!(width <= 1 || width * 20 <= millis, "{} wide at {}", width, millis);
    }

    #[test]
    fn a_day_holds_its_moments(millis in 0i64..253_402_128_000_000) {
        let (at, day) = (Timestamp(millis), Day::of(Timestamp(millis)));
        prop_assert!(day.start() <= at && at < day.next().start());
        prop_assert_eq!(Day::parse(&day.to_string()), Some(day));
    }
}

#[test]
fn nothing_has_no_percentiles_and_small_numbers_are_exact() {
    assert_eq!(Histogram::default().percentile(50), None);
    for millis in 0..64 {
        assert_eq!(histogram(&[millis]).percentile(95), Some(millis));
    }
    assert_eq!(histogram(&[u64::MAX]).percentile(50).map(bucket), Some(bucket(LONGEST_MS)));
    assert_eq!(serde_json::to_string(&histogram(&[7, 7, 90_000])).unwrap(), r#"{"7":2,"395":1}"#);
}

#[test]
fn what_is_no_date_is_no_day() {
    assert_eq!(Day::of(Timestamp(1_757_169_743_120)).to_string(), "2025-09-06");
    assert_eq!((LAST.to_string().as_str(), LAST.next()), ("9999-12-30", LAST));
    for text in ["", "2025-9-6", "2025-02-30", "2025-09-06T00:00:00Z", "20250906"] {
        assert_eq!(Day::parse(text), None, "{text}");
    }
}

const AT: Timestamp = Timestamp(1_757_169_803_000);

/// An event of a task that began a minute before [`AT`] and ended ten seconds before, changed by `with`.
fn rolled(kind: EventType, with: serde_json::Value, received_at: Option<Timestamp>) -> Rollup {
    let mut data = json!({
        "source": "evolink", "task_id": "t", "status": "completed", "model": "kling", "outputs": [],
        "usage": {"credits": 0.1}, "created_at": "2025-09-06T14:42:23Z", "completed_at": "2025-09-06T14:43:13Z",
        "observed_via": "callback", "confirmed": true, "metadata": {},
    });
    for (key, value) in with.as_object().unwrap() {
        data[key] = value.clone();
    }
    let counted = Counted::read(kind, AT, &json!({"id": "evt_1", "data": data}).to_string()).unwrap();
    assert_eq!(counted.key("evolink").day, Day::of(AT));
    let mut rollup = Rollup::default();
    counted.count(&mut rollup, received_at);
    rollup
}

/// The one duration that is in it.
fn only(histogram: &Histogram) -> Option<u64> {
    assert!(histogram.count() <= 1);
    histogram.percentile(50)
}

#[test]
fn an_end_is_counted_with_what_it_took_and_cost() {
    let rollup = rolled(EventType::TaskCompleted, json!({}), None);
    assert_eq!((rollup.completed, rollup.failed, rollup.cancelled, rollup.told_by_poll), (1, 0, 0, 0));
    assert_eq!(only(&rollup.generation), only(&histogram(&[50_000])));
    assert_eq!(only(&rollup.callback_delay), only(&histogram(&[10_000])));
    assert_eq!(rollup.micro_credits, 100_000);
    let failed = rolled(EventType::TaskFailed, json!({"usage": null}), None);
    assert_eq!((failed.failed, failed.micro_credits, failed.generation.count()), (1, 0, 0));
    assert_eq!(rolled(EventType::TaskCancelled, json!({}), None).cancelled, 1);
}

#[test]
fn what_the_provider_does_not_say_is_not_made_up() {
    let silent = rolled(EventType::TaskCompleted, json!({"created_at": null, "completed_at": null}), None);
    assert_eq!((silent.generation.count(), silent.callback_delay.count()), (0, 0));
    let no_end = rolled(EventType::TaskCompleted, json!({"completed_at": null}), None);
    assert_eq!(only(&no_end.generation), only(&histogram(&[60_000])));
    let backwards = rolled(EventType::TaskCompleted, json!({"created_at": "2025-09-06T14:43:14Z"}), None);
    assert_eq!(backwards.generation.count(), 0);
    let ahead = rolled(EventType::TaskCompleted, json!({"completed_at": "2025-09-06T14:43:24Z"}), None);
    assert_eq!(only(&ahead.callback_delay), Some(0));
    for credits in [json!(-3), json!(null), json!(1e300)] {
        let rollup = rolled(EventType::TaskCompleted, json!({"usage": {"credits": credits}}), None);
        assert!(rollup.micro_credits >= 0);
    }
}

#[test]
fn an_end_that_was_asked_for_has_the_delay_of_its_callback_if_one_came() {
    let asked = json!({"observed_via": "poll"});
    let alone = rolled(EventType::TaskCompleted, asked.clone(), None);
    assert_eq!((alone.told_by_poll, alone.callback_delay.count()), (1, 0));
    let confirmed = rolled(EventType::TaskCompleted, asked.clone(), Some(Timestamp(AT.0 - 7000)));
    assert_eq!(only(&confirmed.callback_delay), only(&histogram(&[3000])));
    let wants = |with: serde_json::Value| {
        let mut data = json!({"completed_at": "2025-09-06T14:43:13Z", "observed_via": "poll", "confirmed": true});
        with.as_object().unwrap().iter().for_each(|(key, value)| data[key] = value.clone());
        let body = json!({"data": data}).to_string();
        Counted::read(EventType::TaskCompleted, AT, &body).unwrap().wants_receipt()
    };
    assert!(wants(json!({})) && wants(json!({"observed_via": "callback", "confirmed": false})));
    assert!(!wants(json!({"observed_via": "callback"})) && !wants(json!({"completed_at": null})));
    assert!(!wants(json!({"observed_via": "relay"})));
}

#[test]
fn a_conflict_is_counted_and_is_no_second_end() {
    let conflict = rolled(EventType::TaskConflict, json!({"observed_via": "poll"}), None);
    assert_eq!(conflict, Rollup { conflicts: 1, ..Rollup::default() });
    for kind in [EventType::TaskProcessing, EventType::TaskOverdue, EventType::DeliveryDead] {
        assert_eq!(Counted::read(kind, AT, "{}"), None);
    }
    assert_eq!(Counted::read(EventType::TaskCompleted, AT, "no JSON"), None);
}

#[test]
fn shares_are_of_what_there_is() {
    let mut rollup = Rollup::default();
    assert_eq!((rollup.success_rate(), rollup.needed_poll()), (None, None));
    rollup.merge(&Rollup { completed: 3, failed: 1, cancelled: 4, told_by_poll: 2, ..Rollup::default() });
    assert_eq!((rollup.success_rate(), rollup.needed_poll()), (Some(0.75), Some(0.25)));
    rollup.merge(&Rollup { micro_credits: 27_500_000, disputed: 2, ..Rollup::default() });
    assert_eq!((rollup.credits(), rollup.disputed, rollup.ended()), (27.5, 2, 8));
}
