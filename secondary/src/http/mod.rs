//! The HTTP routes of a secondary.

mod console;
mod description;
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
        Routes, Waits,
    },
    openapi::{chores, reads},
    probes,
    tail::Tails,
};
use replog_shared::{
    Durability, LogName, NodeName,
    store::{MemoryStore, Reader, Store},
};
use serde_json::Value;
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
    /// Places of requests that wait for others.
    pub(crate) waits: Waits,
    /// The server stops: whoever waits is told so.
    pub(crate) stopping: CancellationToken,
    /// The node has stopped: what is still being answered is broken off.
    pub(crate) stopped: CancellationToken,
}

/// All routes, and what each asks of its caller.
pub(crate) fn router<R: Reader>(context: Context<R>) -> Routes {
    routes::<R>().described(description::INFO).with_state(context)
}

/// The description of a secondary's API, as OpenAPI.
pub fn openapi() -> Value {
    routes::<<MemoryStore as Store>::Reader>().described(description::INFO).document(description::INFO)
}

fn routes<R: Reader>() -> Routes<Context<R>> {
    Routes::new()
        .get("/messages", Needs(Read), reads::messages, read::messages::<R>)
        .post("/messages", Needs(Append), description::append, misdirected::append_to_master::<R>)
        .post("/messages/batch", Needs(Append), description::append_batch, misdirected::append_to_master::<R>)
        .get("/messages/{order}", Needs(Read), description::one, misdirected::to_master::<R>)
        .get("/tail", Needs(Read), reads::tail, read::tail::<R>)
        .post("/clean", Needs(Admin), description::clean, misdirected::to_master::<R>)
        .get("/full_messages", Needs(Read), reads::full_messages, read::full_messages::<R>)
        .get("/health", Needs(Read), description::health, health::health::<R>)
        .get("/metrics", Needs(Read), chores::metrics, metrics::metrics::<R>)
        .get("/livez", Open, chores::livez, probes::livez)
        .get("/readyz", Open, chores::readyz, health::readyz::<R>)
        .get("/events", Needs(Read), description::events, console::events::<R>)
        .get("/", Open, chores::console, index)
        .get("/console.css", Open, chores::console_style, style)
        .get("/console.js", Open, chores::console_script, script)
        .get("/faults", Needs(Admin), description::read_faults, faults::get::<R>)
        .put("/faults", Needs(Admin), description::set_faults, faults::put::<R>)
}
