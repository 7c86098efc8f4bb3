//! What goes wrong for a while, so that one sees how it is borne.

use std::time::Duration;

use super::faults::Faults;
use super::{Simulator, Sinks, SlackAnswer};

/// What Slack asks to be left alone for. It knows whole seconds only.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// Something that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No callback of this provider gets through to Callboard.
    NoWay(&'static str),
    /// Slack takes no message.
    SlackBusy,
    /// The webhook's server is down.
    WebhookDown,
}

impl Trouble {
    /// Every trouble, each after the other and over again; `seed` says which comes first.
    pub fn all(seed: u64) -> impl Iterator<Item = Self> {
        const ALL: [Trouble; 4] =
            [Trouble::NoWay("evolink"), Trouble::SlackBusy, Trouble::NoWay("aivideoapi"), Trouble::WebhookDown];
        ALL.into_iter().cycle().skip((seed % 4) as usize)
    }

    /// How long it lasts, by the provider's clock: a callback is given up in it, a delivery is not.
    pub fn lasts(self) -> Duration {
        Duration::from_secs(match self {
            Self::NoWay(_) => 150,
            Self::SlackBusy => 90,
            Self::WebhookDown => 60,
        })
    }

    /// It begins.
    pub fn begin(self, simulator: &Simulator, sinks: &Sinks) {
        match self {
            Self::NoWay(name) => block(simulator, name, true),
            Self::SlackBusy => sinks.slack.set_answer(SlackAnswer::RateLimited(LEFT_ALONE)),
            Self::WebhookDown => sinks.webhook.set_answer(503, None),
        }
    }

    /// It is over.
    pub fn end(self, simulator: &Simulator, sinks: &Sinks) {
        match self {
            Self::NoWay(name) => block(simulator, name, false),
            Self::SlackBusy => sinks.slack.set_answer(SlackAnswer::Ok),
            Self::WebhookDown => sinks.webhook.set_answer(204, None),
        }
    }

    /// What it is.
    pub(super) fn what(self) -> String {
        match self {
            Self::NoWay(name) => format!("no callback of {name} gets through"),
            Self::SlackBusy => "slack takes no messages".to_owned(),
            Self::WebhookDown => "the server of the webhook is down".to_owned(),
        }
    }
}

fn block(simulator: &Simulator, name: &str, way_blocked: bool) {
    if let Some(provider) = simulator.provider(name) {
        provider.set_faults(Faults { way_blocked, ..provider.faults() });
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialect::DIALECTS;
    use super::*;

    #[test]
    fn whatever_the_seed_every_trouble_comes_and_concerns_somebody() {
        for seed in [0, 1, 7, u64::MAX] {
            let mut what: Vec<String> = Trouble::all(seed).take(4).map(Trouble::what).collect();
            what.sort();
            what.dedup();
            assert_eq!(what.len(), 4, "{what:?}");
        }
        for trouble in Trouble::all(0).take(4) {
            let Trouble::NoWay(name) = trouble else { continue };
            assert!(DIALECTS.iter().any(|dialect| dialect.name() == name && dialect.habits().calls_back), "{name}");
        }
    }
}
