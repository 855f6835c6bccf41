//! Requests in, answers out. One file a resource.

mod answers;
mod clean;
mod faults;
mod health;
mod messages;
mod metrics;
mod requests;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use replog_host::probes;
use replog_shared::{Durability, LogName, NodeName, store::Reader};
use tokio_util::sync::CancellationToken;

use crate::node::Handle;

/// What every handler has.
#[derive(Debug)]
pub struct Context<R> {
    /// The node.
    pub node: Handle<R>,
    /// Which log.
    pub log: LogName,
    /// This node's name.
    pub name: NodeName,
    /// The configured secondaries.
    pub secondaries: Vec<NodeName>,
    /// What holding an entry means.
    pub durability: Durability,
    /// Whether appends are refused while no majority of the nodes is healthy.
    pub read_only_without_majority: bool,
    /// Whether the log may be emptied.
    pub allow_clean: bool,
    /// Whether faults are allowed: a master has none, and says so.
    pub allow_faults: bool,
    /// The node stops: whoever waits for something to be shown is told so.
    pub stopping: CancellationToken,
    /// The node has stopped: what is still being answered is broken off.
    pub stopped: CancellationToken,
}

impl<R> Context<R> {
    /// The configured nodes, this one included.
    pub fn nodes(&self) -> u16 {
        self.secondaries.len() as u16 + 1
    }
}

type State<R> = axum::extract::State<Arc<Context<R>>>;

/// The master's routes.
pub fn router<R: Reader>(context: Context<R>) -> Router {
    Router::new()
        .route("/messages", post(messages::append::<R>).get(messages::list::<R>))
        .route("/messages/batch", post(messages::append_batch::<R>))
        .route("/messages/{order}", get(messages::one::<R>))
        .route("/full_messages", get(messages::list_full::<R>))
        .route("/clean", post(clean::clean::<R>))
        .route("/faults", get(faults::elsewhere::<R>).put(faults::elsewhere::<R>))
        .route("/health", get(health::health::<R>))
        .route("/metrics", get(metrics::metrics::<R>))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(health::readyz::<R>))
        .with_state(Arc::new(context))
}
