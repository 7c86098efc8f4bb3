//! What of what is old may go, and how much of it in one step. Plain code, no effects.

use crate::store::OldDelivery;

/// Something old: a callback, a poll or an event.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Its id.
    pub(super) id: String,
    /// Whether it is needed, as that of a task that is not over is.
    pub(super) is_needed: bool,
    /// The deliveries that tell it or hand it on.
    pub(super) deliveries: Vec<OldDelivery>,
}

/// What goes in one step.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Portion {
    /// What goes itself.
    pub(super) ids: Vec<String>,
    /// The deliveries that go, with their attempts.
    pub(super) deliveries: Vec<String>,
    /// The last one that nothing is left to do about; `None` where that is not even the first.
    pub(super) up_to: Option<String>,
}

/// Chooses what goes of the old, given oldest first, within about `rows_max` rows. What is needed stays, and what has a
/// delivery that is pending or held. Of one that has too many deliveries for a step, some of those go first.
pub(super) fn portion(old: Vec<Candidate>, rows_max: usize) -> Portion {
    let mut portion = Portion::default();
    let mut left = rows_max;
    for candidate in old {
        if candidate.is_needed || candidate.deliveries.iter().any(|delivery| delivery.is_open) {
            portion.up_to = Some(candidate.id);
            continue;
        }
        let cost = |delivery: &OldDelivery| 1 + delivery.attempts;
        let whole = 1 + candidate.deliveries.iter().map(cost).sum::<usize>();
        if whole <= left {
            left -= whole;
            portion.deliveries.extend(candidate.deliveries.into_iter().map(|delivery| delivery.id));
            portion.ids.push(candidate.id.clone());
            portion.up_to = Some(candidate.id);
            continue;
        }
        if portion.ids.is_empty() {
            for delivery in candidate.deliveries {
                if cost(&delivery) > left && !portion.deliveries.is_empty() {
                    break;
                }
                left = left.saturating_sub(cost(&delivery));
                portion.deliveries.push(delivery.id);
            }
        }
        break;
    }
    portion
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivery(id: &str, is_open: bool, attempts: usize) -> OldDelivery {
        OldDelivery { id: id.to_owned(), event_id: String::new(), is_open, attempts }
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let deliveries = prop::collection::vec((prop::bool::weighted(0.05), 0usize..12), 0..9);
        prop::collection::vec((prop::bool::weighted(0.2), deliveries), 0..20).prop_map(|all| {
            let named = all.into_iter().enumerate().map(|(at, (is_needed, deliveries))| {
                let id = format!("evt_{at:03}");
                let deliveries = deliveries.into_iter().enumerate();
                let deliveries = deliveries.map(|(n, (open, attempts))| delivery(&format!("{id}/{n}"), open, attempts));
                Candidate { deliveries: deliveries.collect(), is_needed, id }
            });
            named.collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn step_by_step_all_goes_that_may_and_nothing_else(all in candidates(), rows_max in 1usize..60) {
            let free = |one: &&Candidate| !one.is_needed && !one.deliveries.iter().any(|delivery| delivery.is_open);
            let wanted: Vec<String> = all.iter().filter(free).map(|one| one.id.clone()).collect();
            let with: usize = all.iter().filter(free).map(|one| one.deliveries.len()).sum();
            let (mut left, mut gone, mut gone_with) = (all.clone(), Vec::new(), Vec::new());
            for _ in 0..1000 {
                let step = portion(left.clone(), rows_max);
                let rows = step.ids.len()
                    + left.iter().flat_map(|one| &one.deliveries).filter(|one| step.deliveries.contains(&one.id))
                        .map(|one| 1 + one.attempts).sum::<usize>();
                // One delivery with its attempts is the least that can go.
                prop_assert!(rows <= rows_max || step.deliveries.len() + step.ids.len() == 1, "{} rows", rows);
                let is_done = step.ids.is_empty() && step.deliveries.is_empty() && step.up_to.is_none();
                gone.extend(step.ids);
                left.retain(|one| step.up_to.as_ref().is_none_or(|up_to| one.id > *up_to));
                left.iter_mut().for_each(|one| one.deliveries.retain(|it| !step.deliveries.contains(&it.id)));
                gone_with.extend(step.deliveries);
                if is_done {
                    break;
                }
            }
            prop_assert_eq!(gone, wanted);
            prop_assert_eq!(gone_with.len(), with);
            prop_assert!(left.is_empty());
        }
    }

    #[test]
    fn of_one_with_too_many_deliveries_some_go_first() {
        let many = (0..30).map(|n| delivery(&format!("dlv_{n:02}"), false, 1)).collect();
        let one = Candidate { id: "evt_1".into(), is_needed: false, deliveries: many };
        let step = portion(vec![one], 10);
        assert_eq!((step.ids.len(), step.deliveries.len(), step.up_to), (0, 5, None));
    }
}
