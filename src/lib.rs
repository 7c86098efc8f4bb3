//! Callboard receives the callbacks of AI-generation providers, keeps each as one durable event, and
//! tells everyone who should know.

pub mod app;
pub mod channels;
pub mod cli;
pub mod config;
pub mod domain;
pub mod egress;
pub mod flow;
pub mod http;
pub mod providers;
pub mod shutdown;
pub mod store;
pub mod telemetry;
