//! The HTTP routes of a secondary.

mod faults;
mod health;
mod metrics;
mod misdirected;
mod read;

use axum::{
    Router,
    routing::{get, post},
};
use replog_host::probes;
use replog_shared::{Durability, LogName, NodeName, store::Reader};
use tokio_util::sync::CancellationToken;

use crate::node::Handle;

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Context<R> {
    pub(crate) node: Handle<R>,
    pub(crate) log: LogName,
    pub(crate) name: NodeName,
    pub(crate) durability: Durability,
    pub(crate) allow_faults: bool,
    /// The server stops: whoever waits is told so.
    pub(crate) stopping: CancellationToken,
    /// The node has stopped: what is still being answered is broken off.
    pub(crate) stopped: CancellationToken,
}

/// All routes.
pub(crate) fn router<R: Reader>(context: Context<R>) -> Router {
    Router::new()
        .route("/messages", get(read::messages::<R>).post(misdirected::to_master::<R>))
        .route("/messages/batch", post(misdirected::to_master::<R>))
        .route("/messages/{order}", get(misdirected::to_master::<R>))
        .route("/clean", post(misdirected::to_master::<R>))
        .route("/full_messages", get(read::full_messages::<R>))
        .route("/health", get(health::health::<R>))
        .route("/metrics", get(metrics::metrics::<R>))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(health::readyz::<R>))
        .route("/faults", get(faults::get::<R>).put(faults::put::<R>))
        .with_state(context)
}
