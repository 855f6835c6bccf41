//! What clients and operators send and write.

pub(crate) mod bodies;
pub(crate) mod http;
pub(crate) mod members;
pub(crate) mod nats;
pub(crate) mod negotiation;
pub(crate) mod query;
pub(crate) mod tokens;
mod twin;
