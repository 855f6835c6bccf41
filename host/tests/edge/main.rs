//! The HTTP edge against raw sockets: what a well-behaved client library would never send.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod heads;
mod http_1_0;
mod limits;
mod problems;
mod shutdown;
mod sites;
mod support;
mod tls;
mod tokens;
