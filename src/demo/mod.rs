//! The simulation that `callboard demo` shows and the tests use: providers that behave as their documents
//! say, and sinks that are told.
//!
//! What becomes of a task is a [`Plan`], made before anything happens: drawn by chance from a seed, or
//! given by a test. What a provider answers and posts follows from the plan and the clock alone, by pure
//! functions: [`plan`] says what a task is when, [`dialect`] how each provider says so, [`agenda`] what is
//! posted when. [`provider`] has the effects. [`chronicle`] puts into words what came of the plans.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::clock::SharedClock;
use crate::egress::Egress;
use crate::shutdown::Lifecycle;

mod agenda;
mod chronicle;
mod dialect;
mod draw;
mod faults;
mod journal;
mod listener;
mod plan;
mod provider;
mod requests;
mod sinks;
mod submission;
mod summary;
mod task;
mod told;
mod trouble;

pub use chronicle::Chronicle;
pub use draw::Weights;
pub use faults::{BatchFault, Down, Faults};
pub use journal::{Happening, Journal, Taken, TaskName, What};
pub use plan::{Calls, Due, End, Plan, Says, State, Tempo};
pub use provider::SimulatedProvider;
pub use requests::{KeySeen, Request};
pub use sinks::{Mail, MailSink, Sinks, SlackAnswer, SlackSink, Webhook, WebhookSink};
pub use submission::{Submission, Submissions};
pub use summary::{Row, Sink, Summary};
pub use task::{FORGED_HOST, SimulatedTask};
pub use told::Told;
pub use trouble::Trouble;

use provider::Surroundings;

/// How the simulation goes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options {
    /// What chance begins with: the same seed gives the same plans.
    pub seed: u64,
    /// How many times as fast as the documents say everything goes.
    pub speed: f64,
    /// Whether callbacks may go to this machine, over http.
    pub local_callbacks: bool,
    /// How often what is drawn.
    pub weights: Weights,
    /// How long the answer to a callback is awaited. It is time of the receiving machine, so that `speed`
    /// does not divide it.
    pub callback_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            speed: 1.0,
            local_callbacks: true,
            weights: Weights::default(),
            // EvoLink's; no other document names one.
            callback_timeout: Duration::from_secs(10),
        }
    }
}

/// The simulated providers. They listen until the process stops.
#[derive(Debug)]
pub struct Simulator {
    providers: Vec<Arc<SimulatedProvider>>,
    options: Options,
}

impl Simulator {
    /// Starts every provider, each at an address of its own. Callbacks are posted by [`Simulator::tick`] or
    /// [`Simulator::run`] only.
    ///
    /// # Errors
    /// Where no port of this machine can be listened on.
    pub fn start(options: &Options, clock: &SharedClock, journal: &Journal, life: &Lifecycle) -> io::Result<Self> {
        let egress = Egress::new(if options.local_callbacks { loopback() } else { Vec::new() });
        let around = Surroundings { options, clock, egress: &egress, journal, life };
        // Each has a chance of its own, so that what one is asked changes nothing at the others.
        let seeds = (0..).map(|place| options.seed.wrapping_add(place));
        let providers = dialect::DIALECTS.iter().zip(seeds);
        let providers = providers.map(|(dialect, seed)| SimulatedProvider::start(*dialect, seed, &around));
        Ok(Self { providers: providers.collect::<io::Result<_>>()?, options: *options })
    }

    /// Every provider.
    pub fn providers(&self) -> &[Arc<SimulatedProvider>] {
        &self.providers
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&Arc<SimulatedProvider>> {
        self.providers.iter().find(|provider| provider.name() == name)
    }

    /// Generation requests without end, each with a plan that its provider knows already; the same seed gives
    /// the same ones.
    pub fn submissions(&self) -> Submissions {
        Submissions::new(&self.providers, self.options.weights, self.options.seed)
    }

    /// Posts every callback that is due by now and waits for the answers: for tests, which move the clock.
    pub async fn tick(&self) {
        for provider in &self.providers {
            provider.tick().await;
        }
    }

    /// Posts callbacks as they become due, until the process stops.
    pub fn run(&self, life: &Lifecycle) {
        for provider in &self.providers {
            life.spawn(Arc::clone(provider).run());
        }
    }
}

/// The addresses of this machine.
fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].iter().filter_map(|net| net.parse().ok()).collect()
}
