//! The node that holds a replica of the log.
//!
//! `main → app → { http, node } → core → shared`: [`replog_core::secondary`] decides without IO, `node` is the one task
//! that owns it and its driver, `http` translates, `telemetry` tells what was counted. [`app::start`] runs a node on any
//! bus, [`app::run`] on NATS.

pub mod app;
pub mod config;
mod http;
mod node;
mod telemetry;

pub use app::{Running, run, start};
pub use config::Config;
pub use http::openapi;
