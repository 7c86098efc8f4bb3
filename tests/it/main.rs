//! What `contract.md` promises, held on both databases: one file a promise.
//!
//! The tests need PostgreSQL's programs, a mail server and a browser (Debian: `apt-get install postgresql
//! python3-aiosmtpd chromium chromium-driver`) and nothing else; they start servers of their own. They wait for conditions and
//! never for time: a service inside the test process has a clock that the test moves, one that runs as
//! a process is waited for by what it says and sends.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail where it likes, and is a client, a peer and an operator of the service"
)]

mod access;
mod api;
mod app;
mod ask;
mod browser;
mod browser_pages;
mod chromium;
mod cli;
mod cli_backup;
mod cli_listen;
mod cli_read;
mod cli_replay;
mod cli_settings;
mod confirm;
mod dashboard;
mod dashboard_doing;
mod dashboard_pages;
mod dashboard_settings;
mod database;
mod demo;
mod described;
mod discover;
mod dispatch;
mod end_to_end;
mod endpoint;
mod first_run;
mod fresh;
mod guess;
mod interleave;
mod keys;
mod kill;
mod lease;
mod lists;
mod mail;
mod news;
mod notices;
mod openapi;
mod outage;
mod postgres;
mod process;
mod receive;
mod record;
mod relay;
mod relay_bytes;
mod relay_process;
mod repeats;
mod replays;
mod replays_killed;
mod reprocess;
mod retention;
mod retention_history;
mod scene;
mod schema;
mod screenshots;
mod sealed;
mod settings;
mod signed;
mod simulator;
mod simulator_asked;
mod sink;
mod sinks;
mod stats;
mod stop;
mod store;
mod store_cost;
mod store_intents;
mod store_migrated;
mod store_prune;
mod store_replays;
mod store_sessions;
mod store_settings;
mod store_stats;
mod store_tail;
mod store_trouble;
mod store_watches;
mod stream;
mod subscribe;
mod tls;
mod watchman;
mod wire;
