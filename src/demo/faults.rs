//! What is wrong with a simulated provider at the moment.

use std::time::Duration;

/// Faults of a provider, switched while it runs. The default is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// It answers nobody.
    pub down: Option<Down>,
    /// It refuses every request with 429, and asks to be left alone for so long (whole seconds).
    pub throttled: Option<Duration>,
    /// It takes no key: 401.
    pub key_refused: bool,
    /// It takes no requests from this address: 403 `ip_not_allowed`.
    pub address_refused: bool,
    /// What is wrong with questions for many tasks.
    pub batch: Option<BatchFault>,
    /// It does what it is asked and breaks off before its answer.
    pub answers_lost: bool,
    /// Its callbacks are lost: it neither posts them nor tries again.
    pub callbacks_cut: bool,
    /// No callback to Callboard gets through: each try fails, and is made again as its documents say.
    pub way_blocked: bool,
    /// It takes so long over every answer, on the real clock.
    pub latency: Duration,
}

/// How a provider is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Down {
    /// It answers 503.
    Unavailable,
    /// It breaks off every connection.
    Closed,
    /// It keeps every connection and says nothing, until the fault is gone.
    Hangs,
}

/// What is wrong with questions for many tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchFault {
    /// There is no such route: 404.
    NotFound,
    /// There is such a route for something else: 405.
    NotAllowed,
    /// The answer is a list without `{"data": …}` around it.
    BareList,
    /// Completed tasks come without their results.
    NoResults,
}
