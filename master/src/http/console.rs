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
use crate::core::events::{Holders, Written};

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
    fn of<R>(context: &Context<R>, written: &Written, holders: Holders) -> WaitingWrite {
        let (hold, lack): (Vec<_>, Vec<_>) =
            context.nodes.secondaries.iter().enumerate().partition(|(index, _)| holders.contains(*index));
        let names = |nodes: Vec<(usize, &NodeName)>| {
            nodes.into_iter().map(|(_, node)| node.clone()).collect::<Vec<_>>()
        };
        let nodes = [vec![context.nodes.name.clone()], names(hold)].concat();
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
            let waiting =
                waiting.iter().map(|(written, holders)| WaitingWrite::of(&context, written, *holders));
            let waiting = waiting.collect();
            Some(Snapshot { health: HealthAnswer::of(&context, report), waiting })
        }
    };
    console::stream(&consoles, look, stop)
}
