//! Plans by chance: the same seed gives the same plans.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::plan::{Calls, End, Plan};

/// How often what is drawn, each in relation to the others of its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each field is named after the `End` or `Calls` that it weighs")]
pub struct Weights {
    pub completed: u32,
    pub failed: u32,
    pub cancelled: u32,
    pub normal: u32,
    pub never: u32,
    pub five_at_once: u32,
    pub out_of_order: u32,
    pub late: u32,
    pub forged: u32,
    pub lagging: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            completed: 14,
            failed: 5,
            cancelled: 1,
            normal: 8,
            never: 3,
            five_at_once: 2,
            out_of_order: 2,
            late: 1,
            forged: 2,
            lagging: 2,
        }
    }
}

/// What a provider does at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// Whether it calls back.
    pub(super) calls_back: bool,
    /// Whether its tasks can end as cancelled.
    pub(super) cancels: bool,
    /// The codes of its failed tasks and what is said with each.
    pub(super) failures: &'static [(&'static str, &'static str)],
}

/// Draws a plan for a task of a provider with these habits.
pub(super) fn plan(rng: &mut StdRng, weights: &Weights, habits: &Habits) -> Plan {
    let calls = if habits.calls_back { calls(rng, weights) } else { Calls::Never };
    // A forgery says "completed", which is worth most where it is not true.
    let forged_lie = calls == Calls::Forged && rng.random_bool(0.75);
    let end = if forged_lie { failure(rng, habits) } else { end(rng, weights, habits) };
    Plan {
        queued: seconds(rng, 1, 10),
        processing: seconds(rng, 20, 180),
        steps: rng.random_range(2..=20),
        end,
        calls,
        short: rng.random_bool(0.3),
    }
}

fn calls(rng: &mut StdRng, weights: &Weights) -> Calls {
    // Late is later than the five minutes after which pollers ask by themselves.
    let (late, lag) = (seconds(rng, 6 * 60, 15 * 60), seconds(rng, 5, 45));
    let choices = [
        (weights.normal, Calls::Normal),
        (weights.never, Calls::Never),
        (weights.five_at_once, Calls::FiveAtOnce),
        (weights.out_of_order, Calls::OutOfOrder),
        (weights.late, Calls::Late(late)),
        (weights.forged, Calls::Forged),
        (weights.lagging, Calls::Lagging(lag)),
    ];
    weighted(rng, &choices).unwrap_or(Calls::Normal)
}

fn end(rng: &mut StdRng, weights: &Weights, habits: &Habits) -> End {
    let cancelled = if habits.cancels { weights.cancelled } else { 0 };
    let choices =
        [(weights.completed, End::Completed), (weights.failed, failure(rng, habits)), (cancelled, End::Cancelled)];
    weighted(rng, &choices).unwrap_or(End::Completed)
}

fn failure(rng: &mut StdRng, habits: &Habits) -> End {
    let (code, message) = habits.failures[rng.random_range(0..habits.failures.len())];
    End::failed(code, message)
}

fn seconds(rng: &mut StdRng, from: u64, to: u64) -> Duration {
    Duration::from_secs(rng.random_range(from..=to))
}

/// One of the choices; `None` where none has any weight.
fn weighted<T: Clone>(rng: &mut StdRng, choices: &[(u32, T)]) -> Option<T> {
    let all: u32 = choices.iter().map(|(weight, _)| weight).sum();
    let mut left = if all > 0 { rng.random_range(0..all) } else { return None };
    for (weight, choice) in choices {
        if left < *weight {
            return Some(choice.clone());
        }
        left -= weight;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::mem::discriminant;

    use rand::SeedableRng;

    use super::*;

    const CALLER: Habits = Habits { calls_back: true, cancels: true, failures: &[("a", "A"), ("b", "B"), ("c", "C")] };

    fn drawn(seed: u64, weights: &Weights, habits: &Habits) -> Vec<Plan> {
        let mut rng = StdRng::seed_from_u64(seed);
        (0..500).map(|_| plan(&mut rng, weights, habits)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_plans() {
        let weights = Weights::default();
        assert_eq!(drawn(7, &weights, &CALLER), drawn(7, &weights, &CALLER));
        assert_ne!(drawn(7, &weights, &CALLER), drawn(8, &weights, &CALLER));
    }

    #[test]
    fn everything_that_can_happen_does() {
        let plans = drawn(1, &Weights::default(), &CALLER);
        let kinds = [
            Calls::Normal,
            Calls::Never,
            Calls::FiveAtOnce,
            Calls::OutOfOrder,
            Calls::Late(Duration::ZERO),
            Calls::Forged,
            Calls::Lagging(Duration::ZERO),
        ];
        for kind in kinds {
            let is_drawn = plans.iter().any(|plan| discriminant(&plan.calls) == discriminant(&kind));
            assert!(is_drawn, "{kind:?} was never drawn");
        }
        assert!(plans.iter().any(|plan| plan.end == End::Cancelled));
        let codes: BTreeSet<&str> = plans
            .iter()
            .filter_map(|plan| match &plan.end {
                End::Failed { code, .. } => Some(code.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(codes, BTreeSet::from(["a", "b", "c"]));
    }

    #[test]
    fn nothing_happens_that_the_provider_does_not_do() {
        let habits = Habits { calls_back: false, cancels: false, ..CALLER };
        for plan in drawn(2, &Weights::default(), &habits) {
            assert_eq!(plan.calls, Calls::Never);
            assert_ne!(plan.end, End::Cancelled);
        }
    }

    #[test]
    fn what_has_no_weight_is_not_drawn() {
        let weights = Weights { failed: 0, cancelled: 0, forged: 0, never: 0, ..Weights::default() };
        for plan in drawn(3, &weights, &CALLER) {
            assert_eq!(plan.end, End::Completed);
            assert!(!matches!(plan.calls, Calls::Forged | Calls::Never), "{plan:?}");
        }
    }
}
