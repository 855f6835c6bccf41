//! The HTTP routes of a secondary.

mod faults;
mod health;
mod misdirected;
mod read;

use axum::{
    Router,
    routing::{get, post},
};
use replog_host::{edge::Problem, probes, tail::Tails};
use replog_shared::{Durability, NodeName, store::Reader};
use tokio_util::sync::CancellationToken;

use crate::node::{Handle, Stopped};

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Context<R> {
    pub(crate) node: Handle,
    pub(crate) reader: R,
    pub(crate) name: NodeName,
    pub(crate) durability: Durability,
    pub(crate) allow_faults: bool,
    /// Who follows the log.
    pub(crate) tails: Tails,
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
        .route("/tail", get(read::tail::<R>))
        .route("/health", get(health::health::<R>))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(health::readyz::<R>))
        .route("/faults", get(faults::get::<R>).put(faults::put::<R>))
        .with_state(context)
}

impl From<Stopped> for Problem {
    fn from(_: Stopped) -> Problem {
        Problem::stopping()
    }
}
