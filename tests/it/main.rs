//! What `contract.md` promises, held on both databases: one file a promise.
//!
//! The tests need PostgreSQL's programs (Debian: `apt-get install postgresql`) and nothing else; they
//! start a server of their own. They wait for conditions and never for time: the services under test
//! have a clock that the test moves.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail where it likes, and is a client, a peer and an operator of the service"
)]

mod api;
mod app;
mod database;
mod dispatch;
mod interleave;
mod lease;
mod postgres;
mod receive;
mod schema;
mod sink;
mod store;
mod subscribe;
