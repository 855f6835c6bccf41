//! Following the log over real sockets: a log in memory behind the HTTP edge.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod following;
mod limits;
mod support;
