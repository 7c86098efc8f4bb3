//! What happens: the only rooms that join providers, store, channels and egress.
//!
//! [`receive`] takes a callback in, [`record`] makes it durable together with all that came at the same
//! time ([`mod@write`] folds and writes it), [`repeats`] knows what only came again, [`register`] takes in tasks that were submitted elsewhere, [`relay`] passes
//! on the requests that make them, [`poll`] asks the providers for what never came. [`dispatch`] tells the destinations,
//! what was just made at once ([`fresh`]), [`replay`] and [`replays`] tell them again, [`listeners`] are who follows the events, [`forward`] hands callbacks on to
//! clients that wanted them, [`reprocess`] reads a kept one again. [`roller`] counts what happened, [`janitor`] removes
//! what is old, [`watchman`] notices sources that fell silent. [`roster`] is what they all
//! read: the sources, destinations and subscriptions of this moment.

mod desk;
pub mod dispatch;
pub mod durations;
pub mod entry;
mod finished;
pub mod fold;
pub mod forward;
pub mod fresh;
mod inbox;
pub mod intents;
pub mod janitor;
pub mod lane;
mod lanes;
pub mod listeners;
pub mod notice;
pub mod poll;
pub mod probe;
pub mod receive;
pub mod record;
pub mod register;
pub mod relay;
pub mod repeats;
pub mod replay;
pub mod replays;
pub mod reprocess;
pub mod roller;
pub mod roster;
pub mod rotate;
pub mod secrets;
pub mod sweep;
mod trouble;
pub mod uses;
pub mod watchman;
pub mod write;
