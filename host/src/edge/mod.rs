//! The HTTP edge: what stands between a socket and a route, the same in both nodes.
//!
//! - [`serve`] accepts connections and holds every limit: a slow or silent client costs a connection, never
//!   another client's time.
//! - [`Routes`] says of each route what it asks of its caller.
//! - [`problem`] is the one shape of every refusal, whoever refuses: route, framework, or HTTP parser.
//! - [`json`], [`ndjson`], [`query`], [`accept`] read what a client sent, strictly; [`stream`] writes what is too
//!   large to build up, [`compression`] makes it smaller.
//!
//! A connection, from the outside in: `handshake` makes TLS of it where there is a certificate (`tls`),
//! `connection` drives it and holds its deadlines, `wire` is its
//! socket, `watch` knows what it is doing and `framing` where each request begins, `service` checks a request,
//! routes it, and sees to it that every refusal is a problem document, `site` refuses changes that another site's page
//! asks for, `body` meters what comes in and notices
//! when an answer is out.

pub mod accept;
mod body;
pub mod compression;
mod connection;
mod framing;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handshake;
pub mod json;
mod limits;
pub mod ndjson;
mod options;
pub mod problem;
pub mod query;
mod rate;
mod routes;
mod serve;
mod service;
mod site;
mod socket;
pub mod stream;
mod tls;
pub mod waits;
mod watch;
mod wire;

pub use connection::ClientAddress;
pub use limits::EdgeLimits;
pub use options::EdgeOptions;
pub use problem::Problem;
pub use routes::{Access, Routes};
pub use serve::serve;
pub use tls::{ServerTls, ServerTlsError};
pub use waits::Waits;
