//! Requests in, answers out. One file a resource.

mod answers;
mod batches;
mod clean;
mod console;
mod faults;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod messages;
mod metrics;
mod requests;
mod tail;

use std::sync::Arc;

use replog_host::{
    auth::Scope::{Admin, Append, Read},
    console::{Snapshots, index, script, style},
    edge::{
        Access::{Needs, Open},
        Routes,
    },
    probes,
    tail::Tails,
};
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
    /// The consoles that are open.
    pub consoles: Snapshots,
    /// Who follows the log.
    pub tails: Tails,
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

/// The master's routes, and what each asks of its caller.
pub fn router<R: Reader>(context: Context<R>) -> Routes {
    Routes::new()
        .post("/messages", Needs(Append), messages::append::<R>)
        .get("/messages", Needs(Read), messages::list::<R>)
        .post("/messages/batch", Needs(Append), messages::append_batch::<R>)
        .get("/messages/{order}", Needs(Read), messages::one::<R>)
        .get("/full_messages", Needs(Read), messages::list_full::<R>)
        .get("/tail", Needs(Read), tail::tail::<R>)
        .post("/clean", Needs(Admin), clean::clean::<R>)
        .get("/faults", Needs(Admin), faults::elsewhere::<R>)
        .put("/faults", Needs(Admin), faults::elsewhere::<R>)
        .get("/health", Needs(Read), health::health::<R>)
        .get("/metrics", Needs(Read), metrics::metrics::<R>)
        .get("/livez", Open, probes::livez)
        .get("/readyz", Open, health::readyz::<R>)
        .get("/events", Needs(Read), console::events::<R>)
        .get("/", Open, index)
        .get("/console.css", Open, style)
        .get("/console.js", Open, script)
        .with_state(Arc::new(context))
}
