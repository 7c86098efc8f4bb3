//! The words and the rules: pure code, no I/O crate, time always an argument.
//!
//! Everything that Callboard decides is decided here and only here: what a status step is
//! ([`task`]), what is to be done until its end is known ([`watch`]), what an event says ([`event`]), whom it concerns ([`subscription`]), and what becomes
//! of a delivery after an attempt ([`delivery`]). The rest of the house carries these decisions out.

pub mod access;
pub mod callback;
pub mod clock;
pub mod delivery;
pub mod destination;
pub mod event;
pub mod filter;
pub mod follow;
pub mod id;
pub mod observation;
pub mod pace;
pub mod replay;
pub mod retry;
pub mod rollup;
pub mod safe;
pub mod seal;
pub mod secret;
pub mod signature;
pub mod silence;
pub mod source;
pub mod spelling;
pub mod subscription;
pub mod task;
pub mod trouble;
pub mod watch;
