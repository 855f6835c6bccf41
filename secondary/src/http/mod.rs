//! The HTTP routes of a secondary.

mod console;
mod faults;
mod health;
mod metrics;
mod misdirected;
mod read;

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

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Context<R> {
    pub(crate) node: Handle<R>,
    pub(crate) log: LogName,
    pub(crate) name: NodeName,
    pub(crate) durability: Durability,
    pub(crate) allow_faults: bool,
    /// The consoles that are open.
    pub(crate) consoles: Snapshots,
    /// Who follows the log.
    pub(crate) tails: Tails,
    /// The server stops: whoever waits is told so.
    pub(crate) stopping: CancellationToken,
    /// The node has stopped: what is still being answered is broken off.
    pub(crate) stopped: CancellationToken,
}

/// All routes, and what each asks of its caller.
pub(crate) fn router<R: Reader>(context: Context<R>) -> Routes {
    Routes::new()
        .get("/messages", Needs(Read), read::messages::<R>)
        .post("/messages", Needs(Append), misdirected::to_master::<R>)
        .post("/messages/batch", Needs(Append), misdirected::to_master::<R>)
        .get("/messages/{order}", Needs(Read), misdirected::to_master::<R>)
        .get("/tail", Needs(Read), read::tail::<R>)
        .post("/clean", Needs(Admin), misdirected::to_master::<R>)
        .get("/full_messages", Needs(Read), read::full_messages::<R>)
        .get("/health", Needs(Read), health::health::<R>)
        .get("/metrics", Needs(Read), metrics::metrics::<R>)
        .get("/livez", Open, probes::livez)
        .get("/readyz", Open, health::readyz::<R>)
        .get("/events", Needs(Read), console::events::<R>)
        .get("/", Open, index)
        .get("/console.css", Open, style)
        .get("/console.js", Open, script)
        .get("/faults", Needs(Admin), faults::get::<R>)
        .put("/faults", Needs(Admin), faults::put::<R>)
        .with_state(context)
}
