//! The master: takes messages over HTTP, gives each its place in the total order, and replicates it.
//!
//! The path of a write: [`http`] → [`node`] → the core → the store → the bus → acks → the core → [`http`].
//!
//! | module | is |
//! | --- | --- |
//! | [`config`] | what the operator says, checked |
//! | [`app`] | wires everything: [`app::start`] |
//! | [`http`] | requests in, answers out |
//! | `door` | the same for appends over NATS |
//! | [`node`] | the one task that owns the core, [`replog_core::master`], and its driver |
//! | [`nodes`] | who the nodes are |
//! | `requests`, `append`, `answers` | what clients send, checked; from there to what they are told |
//! | `words` | the sentences that the core's reasons become |
//! | [`telemetry`] | what is counted for `/metrics` |

mod answers;
pub mod app;
mod append;
pub mod config;
mod door;
pub mod http;
pub mod node;
pub mod nodes;
mod requests;
pub mod telemetry;
mod words;

pub use app::{Running, start};
pub use config::Config;
pub use http::openapi;
