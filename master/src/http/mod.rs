//! Requests in, answers out. One file a resource.

mod batches;
mod clean;
mod console;
mod description;
mod faults;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod items;
mod messages;
mod metrics;
mod tail;

use std::sync::Arc;

use axum::{body::Body, response::Response};
use http::{HeaderValue, header};
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
    Durability, LogName, WriteConcern,
    limits::MAX_SECONDARIES,
    store::{MemoryStore, Reader, Store},
};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{node::Handle, nodes::Nodes};

/// What every handler has.
#[derive(Debug)]
pub struct Context<R> {
    /// The node.
    pub node: Handle<R>,
    /// Which log.
    pub log: LogName,
    /// The configured nodes.
    pub nodes: Nodes,
    /// What holding an entry means.
    pub durability: Durability,
    /// Whether appends are refused while no majority of the nodes is healthy.
    pub read_only_without_majority: bool,
    /// Whether the log may be emptied.
    pub allow_clean: bool,
    /// Whether faults are allowed: a master has none, and says so.
    pub allow_faults: bool,
    /// What NATS denies of the requests over NATS; none if none are taken.
    pub door_denied: Option<watch::Receiver<Option<String>>>,
    /// The consoles that are open.
    pub consoles: Snapshots,
    /// Who follows the log.
    pub tails: Tails,
    /// Places of requests that wait for others.
    pub waits: Waits,
    /// The node stops: whoever waits for something to be shown is told so.
    pub stopping: CancellationToken,
    /// The node has stopped: what is still being answered is broken off.
    pub stopped: CancellationToken,
}

impl<R: Reader> Context<R> {
    /// Whether a request with this w may have to wait for other nodes. While this node does not lead, all may.
    fn waits_for_others(&self, w: WriteConcern) -> bool {
        w > WriteConcern::ONE || !self.node.readiness.borrow().has_epoch
    }
}

type State<R> = axum::extract::State<Arc<Context<R>>>;

/// The master's routes, and what each asks of its caller.
pub fn router<R: Reader>(context: Context<R>) -> Routes {
    let info = description::info(context.nodes.count());
    routes::<R>().described(info).with_state(Arc::new(context))
}

/// The description of a master's API, as OpenAPI. Told by a node, it knows the largest `w` there; here it is the
/// largest one that any log has.
pub fn openapi() -> Value {
    let info = description::info(MAX_SECONDARIES as u16 + 1);
    routes::<<MemoryStore as Store>::Reader>().described(info).document(info)
}

fn routes<R: Reader>() -> Routes<Arc<Context<R>>> {
    Routes::new()
        .post("/messages", Needs(Append), description::append, messages::append::<R>)
        .get("/messages", Needs(Read), reads::messages, messages::list::<R>)
        .post("/messages/batch", Needs(Append), description::append_batch, messages::append_batch::<R>)
        .get("/messages/{order}", Needs(Read), description::one, messages::one::<R>)
        .get("/full_messages", Needs(Read), reads::full_messages, messages::list_full::<R>)
        .get("/tail", Needs(Read), reads::tail, tail::tail::<R>)
        .post("/clean", Needs(Admin), description::clean, clean::clean::<R>)
        .get("/faults", Needs(Admin), description::read_faults, faults::elsewhere::<R>)
        .put("/faults", Needs(Admin), description::set_faults, faults::elsewhere::<R>)
        .get("/health", Needs(Read), description::health, health::health::<R>)
        .get("/metrics", Needs(Read), chores::metrics, metrics::metrics::<R>)
        .get("/livez", Open, chores::livez, probes::livez)
        .get("/readyz", Open, chores::readyz, health::readyz::<R>)
        .get("/events", Needs(Read), description::events, console::events::<R>)
        .get("/", Open, chores::console, index)
        .get("/console.css", Open, chores::console_style, style)
        .get("/console.js", Open, chores::console_script, script)
}

/// A 200 with a JSON body.
fn json_response(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
