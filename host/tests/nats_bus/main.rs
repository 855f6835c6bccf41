//! The bus against a real nats-server: one test for each fact that the protocol above it leans on.
//!
//! The server comes from `cargo xtask tools`.

mod certificates;
mod link;
mod login;
mod packets;
mod payload_limit;
mod reach;
mod refusals;
mod server;
mod service;
mod streams;
mod support;
