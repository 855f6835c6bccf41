//! The HTTP routes of a secondary.

mod faults;
mod health;
mod misdirected;
mod read;

use axum::{
    Router,
    routing::{get, post},
};
use replog_host::{edge::Problem, probes};
use replog_shared::{
    Durability, NodeName,
    store::{MemoryStore, Store},
};
use tokio_util::sync::CancellationToken;

use crate::node::{Handle, Stopped};

/// How this node's log is read.
type LogReader = <MemoryStore as Store>::Reader;

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) node: Handle,
    pub(crate) reader: LogReader,
    pub(crate) name: NodeName,
    pub(crate) durability: Durability,
    pub(crate) allow_faults: bool,
    /// The server stops: whoever waits is told so.
    pub(crate) stopping: CancellationToken,
    /// The node has stopped: what is still being answered is broken off.
    pub(crate) stopped: CancellationToken,
}

/// All routes.
pub(crate) fn router(context: Context) -> Router {
    Router::new()
        .route("/messages", get(read::messages).post(misdirected::to_master))
        .route("/messages/batch", post(misdirected::to_master))
        .route("/messages/{order}", get(misdirected::to_master))
        .route("/clean", post(misdirected::to_master))
        .route("/full_messages", get(read::full_messages))
        .route("/health", get(health::health))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(health::readyz))
        .route("/faults", get(faults::get).put(faults::put))
        .with_state(context)
}

impl From<Stopped> for Problem {
    fn from(_: Stopped) -> Problem {
        Problem::stopping()
    }
}
