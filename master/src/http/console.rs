//! `GET /events`: what the console shows of a master.

use axum::{extract::State as Extract, response::Response};
use replog_host::{
    console,
    edge::{Problem, query::Query},
};
use replog_shared::{NodeName, Order, store::Reader};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, State, health::HealthAnswer};
use replog_core::master::events;

/// Writes that wait and are shown; of more, their number.
const SHOWN_WRITES: usize = 50;

/// The master at one moment.
#[derive(Serialize, JsonSchema)]
pub(super) struct Snapshot {
    #[serde(flatten)]
    health: HealthAnswer,
    waiting: Vec<WaitingWrite>,
}

/// A write whose w is not met yet.
#[derive(Serialize, JsonSchema)]
struct WaitingWrite {
    /// Its first order.
    order: Order,
    /// How many entries it has; 0 for a clean.
    count: u64,
    w: u16,
    /// Who holds it.
    nodes: Vec<NodeName>,
    /// Whose acks are missing.
    missing: Vec<NodeName>,
    /// How many of those are needed.
    needs: usize,
}

impl WaitingWrite {
    fn of<R>(context: &Context<R>, waiting: &events::WaitingWrite) -> WaitingWrite {
        let events::WaitingWrite { written, is_held_here, holders } = waiting;
        let (hold, lack): (Vec<_>, Vec<_>) =
            context.nodes.secondaries.iter().enumerate().partition(|(index, _)| holders.contains(*index));
        let names = |nodes: Vec<(usize, &NodeName)>| {
            nodes.into_iter().map(|(_, node)| node.clone()).collect::<Vec<_>>()
        };
        let here = is_held_here.then(|| context.nodes.name.clone());
        let nodes: Vec<NodeName> = here.into_iter().chain(names(hold)).collect();
        let w = written.w.get();
        WaitingWrite {
            order: written.first,
            count: written.count,
            w,
            needs: usize::from(w).saturating_sub(nodes.len()),
            nodes,
            missing: names(lack),
        }
    }
}

/// The node's state, again each time it has changed.
pub(super) async fn events<R: Reader>(
    Extract(context): State<R>,
    Query(()): Query<()>,
) -> Result<Response, Problem> {
    let (consoles, stop) = (context.consoles.clone(), context.stopping.clone());
    let look = move || {
        let context = context.clone();
        async move {
            let mut report = context.node.health(SHOWN_WRITES).await.ok()?;
            let waiting = std::mem::take(&mut report.waiting);
            let waiting = waiting.iter().map(|waiting| WaitingWrite::of(&context, waiting)).collect();
            Some(Snapshot { health: HealthAnswer::of(&context, report), waiting })
        }
    };
    console::stream(&consoles, look, stop)
}
