//! The HTTP routes of a secondary.

mod faults;
mod health;
mod misdirected;
mod pages;
mod read;

use axum::{
    Router,
    routing::{get, post},
};
use replog_host::edge::Problem;
use replog_shared::{NodeName, store::MemoryStore, store::Store};
use ::http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    node::{Handle, Stopped},
};

/// How this node's log is read.
type LogReader = <MemoryStore as Store>::Reader;

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Served {
    node: Handle,
    reader: LogReader,
    name: NodeName,
    allow_faults: bool,
    /// The server stops: whoever waits is told so.
    stopping: CancellationToken,
    /// Pages can no longer be read.
    stopped: CancellationToken,
}

impl Served {
    pub(crate) fn new(
        node: Handle,
        reader: LogReader,
        config: &Config,
        stopping: CancellationToken,
        stopped: CancellationToken,
    ) -> Served {
        let (name, allow_faults) = (config.name.clone(), config.allow_faults);
        Served { node, reader, name, allow_faults, stopping, stopped }
    }
}

/// All routes.
pub(crate) fn router(state: Served) -> Router {
    Router::new()
        .route("/messages", get(read::messages).post(misdirected::append))
        .route("/messages/batch", post(misdirected::append))
        .route("/clean", post(misdirected::append))
        .route("/full_messages", get(read::full_messages))
        .route("/health", get(health::health))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/faults", get(faults::get).put(faults::put))
        .with_state(state)
}

/// 503: the node stops.
fn stopping() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "This node is stopping. Ask another one.")
        .retry_after(std::time::Duration::from_secs(1))
}

impl From<Stopped> for Problem {
    fn from(_: Stopped) -> Problem {
        stopping()
    }
}
