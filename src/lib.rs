//! Callboard receives the callbacks of AI-generation providers, keeps each as one durable event, and
//! tells everyone who should know.
//!
//! # The way of an event
//!
//! [`http`] takes the bytes and hands them to [`flow::receive`], which has the provider's adapter in
//! [`providers`] check and read them, and gives what they say to [`flow::record`]. The recorder folds all
//! that came at the same time into its tasks ([`flow::fold`], after the rules of [`domain::task`]) and
//! writes callbacks, tasks, events and deliveries in one transaction of the [`store`]. Only then is the
//! provider answered. [`flow::dispatch`] claims what is due and has a channel of [`channels`] send it, through
//! [`egress`]; [`domain::delivery`] says what becomes of it.
//!
//! What nobody signed, and what never calls back, [`flow::poll`] asks the provider about; the answer takes the same way
//! from the recorder on. [`domain::watch`] says when, and what an answer means.
//!
//! [`demo`] stands apart: simulated providers and sinks, which the service meets over HTTP like any others.
//!
//! # What always holds
//!
//! - An answer of 2xx means committed and synced; any other means that no event was made of it.
//! - A task has at most one terminal event: [`domain::task::Task`] decides it, a unique index holds it.
//! - An event is bytes once it is made, and is never altered.
//! - Nothing is only in memory: a wake-up is a hint, the database is the queue.
//! - No transaction is open while anything goes over the network.
//! - Only [`providers::Inbound`]`<`[`providers::Verified`]`>` gives its body to be interpreted.
//! - Every address is judged where it is dialled ([`egress`]), but for the operator's own: the mail
//!   server, and the `base_url` of a source in the file.
//! - Time is an argument; the system's clock is read in [`domain::clock`] alone.
//! - Secrets are [`domain::secret::Secret`]s, which neither `Debug` nor a log shows.
//!
//! Who may know whom is held by `tests/tidy.rs`; ARCHITECTURE.md has the reasons.
//!
//! The modules follow in reading order: the words first, what is pure, what has effects, what joins them.

pub mod domain;

pub mod providers;

pub mod egress;

pub mod channels;

pub mod config;

pub mod store;

pub mod shutdown;

pub mod telemetry;

pub mod flow;

pub mod http;

pub mod app;

pub mod demo;

pub mod cli;
