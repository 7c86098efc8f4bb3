//! The trouble of a destination: what its team is told of it, and what not again. Each change of state is told once,
//! however many deliveries it costs.

use std::time::Duration;

use super::clock::Timestamp;
use super::event::EventType;

/// Whoever had trouble again within this after it was told to be well must first be free of dead deliveries for as
/// long before that is told again: what goes to and fro is not told each time.
const CALM: Duration = Duration::from_secs(60 * 60);

/// What was told of a destination's trouble. The default is one that is well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trouble {
    /// Since when its team knows of it; `None` while it is well.
    pub told_at: Option<Timestamp>,
    /// When `delivery.dead` was told, since it was last well.
    pub told_dead_at: Option<Timestamp>,
    /// Deliveries that died since it was last well.
    pub dead: i64,
    /// When the last of all its deliveries died that did.
    pub dead_at: Option<Timestamp>,
    /// When it was last told to be well again.
    pub recovered_at: Option<Timestamp>,
}

/// How a destination fared in tries that ended together.
#[derive(Clone, Debug, Default)]
pub struct Faring<'a> {
    /// Whether it was disabled before.
    pub was_disabled: bool,
    /// Why it was disabled by these tries.
    pub disabled: Option<&'a str>,
    /// Deliveries that died.
    pub dead: i64,
    /// Why the first of them did.
    pub cause: Option<&'a str>,
    /// Whether it took one.
    pub delivered: bool,
    /// Since when it has only failed, these tries among them.
    pub failing_since: Option<Timestamp>,
    /// How often it has failed since.
    pub failures: i64,
}

/// Something that its team is to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// The type of the event.
    pub kind: EventType,
    /// What happened, for people.
    pub reason: String,
    /// When that began.
    pub since: Timestamp,
    /// Tries that failed, or deliveries that died.
    pub count: i64,
}

impl Trouble {
    /// Notes how it fared; gives what is to be told of that.
    pub fn take(&mut self, faring: &Faring<'_>, now: Timestamp) -> Vec<News> {
        let since = faring.failing_since.unwrap_or(now);
        let mut news = Vec::new();
        if faring.dead > 0 {
            self.dead += faring.dead;
            self.dead_at = Some(now);
            // Of one that is disabled it is known already.
            if self.told_dead_at.is_none() && !faring.was_disabled {
                self.told_at.get_or_insert(now);
                self.told_dead_at = Some(now);
                let reason = faring.cause.unwrap_or("not delivered").to_owned();
                news.push(News { kind: EventType::DeliveryDead, reason, since, count: self.dead });
            }
        }
        if let Some(reason) = faring.disabled.filter(|_| !faring.was_disabled) {
            self.told_at.get_or_insert(now);
            let (kind, reason) = (EventType::DestinationDisabled, reason.to_owned());
            news.push(News { kind, reason, since, count: faring.failures });
        }
        let is_well = faring.delivered && faring.dead == 0 && !faring.was_disabled && faring.disabled.is_none();
        if is_well && self.is_calm(now) {
            news.extend(self.recover(now));
        }
        news
    }

    fn recover(&mut self, now: Timestamp) -> Option<News> {
        let told_at = self.told_at?;
        let count = self.dead;
        *self = Self { dead_at: self.dead_at, recovered_at: Some(now), ..Self::default() };
        let (kind, reason) = (EventType::DestinationRecovered, "it takes deliveries again".to_owned());
        Some(News { kind, reason, since: told_at, count })
    }

    /// Whether its recovery may be told: at once, unless it had been told just before this trouble.
    fn is_calm(&self, now: Timestamp) -> bool {
        let had_just_recovered = match (self.recovered_at, self.told_at) {
            (Some(before), Some(told_at)) => told_at.since(before) < CALM,
            _ => false,
        };
        !had_just_recovered || self.dead == 0 || self.dead_at.is_none_or(|dead_at| now.since(dead_at) >= CALM)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    fn minutes(minutes: u64) -> Timestamp {
        START.after(Duration::from_secs(minutes * 60))
    }

    fn dead(many: i64) -> Faring<'static> {
        Faring { dead: many, cause: Some("answered 500"), failing_since: Some(START), ..Faring::default() }
    }

    fn delivered() -> Faring<'static> {
        Faring { delivered: true, ..Faring::default() }
    }

    fn gone() -> Faring<'static> {
        Faring { disabled: Some("answered 410"), failures: 1, ..Faring::default() }
    }

    fn kinds(news: &[News]) -> Vec<&'static str> {
        news.iter().map(|news| news.kind.as_str()).collect()
    }

    #[test]
    fn the_first_that_dies_is_told_and_the_others_are_counted() {
        let mut trouble = Trouble::default();
        assert_eq!(
            trouble.take(&dead(3), minutes(5)),
            [News { kind: EventType::DeliveryDead, reason: "answered 500".into(), since: START, count: 3 }]
        );
        assert!((0..10).all(|n| trouble.take(&dead(100), minutes(6 + n)).is_empty()));
        let recovered = trouble.take(&delivered(), minutes(30));
        assert_eq!(kinds(&recovered), ["destination.recovered"]);
        assert_eq!((recovered[0].since, recovered[0].count), (minutes(5), 1003));
        assert_eq!(trouble.take(&delivered(), minutes(31)), []);
    }

    #[test]
    fn a_disabled_one_is_told_once_and_well_again_when_it_takes_something_once_enabled() {
        let mut trouble = Trouble::default();
        assert_eq!(kinds(&trouble.take(&gone(), START)), ["destination.disabled"]);
        for still in [gone(), dead(1), delivered()] {
            assert_eq!(trouble.take(&Faring { was_disabled: true, ..still }, minutes(1)), []);
        }
        assert_eq!(kinds(&trouble.take(&delivered(), minutes(2))), ["destination.recovered"]);
        // Somebody enabled it each time: that is no going to and fro.
        assert_eq!(kinds(&trouble.take(&gone(), minutes(3))), ["destination.disabled"]);
        assert_eq!(kinds(&trouble.take(&delivered(), minutes(4))), ["destination.recovered"]);
    }

    #[test]
    fn one_that_was_well_tells_of_no_recovery() {
        assert_eq!(Trouble::default().take(&delivered(), START), []);
        let failing = Faring { failures: 3, failing_since: Some(START), ..Faring::default() };
        let mut trouble = Trouble::default();
        assert_eq!(trouble.take(&failing, minutes(1)), []);
        assert_eq!(trouble.take(&delivered(), minutes(2)), []);
    }

    #[test]
    fn what_goes_to_and_fro_is_told_well_only_after_an_hour_without_a_death() {
        let mut trouble = Trouble::default();
        let mut told = Vec::new();
        for minute in 0..120 {
            let faring = if minute % 2 == 0 { dead(1) } else { delivered() };
            told.extend(trouble.take(&faring, minutes(minute)));
        }
        assert_eq!(kinds(&told), ["delivery.dead", "destination.recovered", "delivery.dead"]);
        assert_eq!(trouble.take(&delivered(), minutes(118 + 59)), []);
        assert_eq!(kinds(&trouble.take(&delivered(), minutes(118 + 60))), ["destination.recovered"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_happens_each_state_is_told_once_and_seldom(steps in prop::collection::vec((0..4u8, 0..30u64), 0..200)) {
            let (mut trouble, mut now, mut is_disabled, mut is_told) = (Trouble::default(), START, false, false);
            let (mut last_dead, mut recoveries) = (false, Vec::new());
            for (what, pause) in steps {
                now = now.after(Duration::from_secs(pause * 60));
                let faring = match what {
                    0 => dead(1),
                    1 => delivered(),
                    2 => gone(),
                    _ => { is_disabled = false; continue }
                };
                let faring = Faring { was_disabled: is_disabled, ..faring };
                for news in trouble.take(&faring, now) {
                    match news.kind {
                        EventType::DestinationRecovered => {
                            prop_assert!(is_told && !is_disabled);
                            (is_told, last_dead) = (false, false);
                            if news.count > 0 { recoveries.push(now); }
                        }
                        EventType::DestinationDisabled => { prop_assert!(!is_disabled); is_told = true; }
                        _ => { prop_assert!(!last_dead && !is_disabled); (is_told, last_dead) = (true, true); }
                    }
                }
                is_disabled |= what == 2;
                prop_assert_eq!(trouble.told_at.is_some(), is_told);
            }
            // Of those whose deliveries died, at most two within any hour.
            prop_assert!(recoveries.windows(3).all(|some| some[2].since(some[0]) >= CALM));
        }
    }
}
