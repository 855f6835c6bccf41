//! `/health`, `/livez`, `/readyz`.

use std::collections::BTreeMap;

use axum::{Json, extract::State as Extract, response::Response};
use replog_host::{
    edge::{Problem, query::Query},
    probes,
};
use replog_shared::{Code, Digest, Durability, EpochNumber, LogId, NodeName, Order, store::Reader};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, State};
use crate::{
    node::{HealthReport, SecondaryReport},
    nodes::Nodes,
    words,
};
use replog_core::master::events::NotLeading;

const OK: &str = "ok";
const DEGRADED: &str = "degraded";
const READ_ONLY: &str = Code::ReadOnly.word();

/// What `status` may say.
fn status_words() -> Vec<&'static str> {
    [OK, DEGRADED, READ_ONLY].into_iter().chain(NotLeading::CODES.map(Code::word)).collect()
}

/// `GET /health` of a master.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub(super) struct HealthAnswer {
    /// What is worst; `reason` says why it is not `ok`.
    #[schemars(extend("enum" = status_words()))]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[schemars(extend("const" = "master"))]
    role: &'static str,
    node: NodeName,
    log_id: Option<LogId>,
    epoch: Option<EpochNumber>,
    /// The node that opened the epoch: only both together name it.
    epoch_owner: Option<NodeName>,
    length: Order,
    digest: Digest,
    durability: Durability,
    /// Configured nodes, this one included.
    nodes: u16,
    healthy_nodes: usize,
    pending_writes: usize,
    nats_connected: bool,
    /// What NATS has denied since this connection was opened, and is not known to allow again.
    #[serde(skip_serializing_if = "Option::is_none")]
    nats_denied: Option<String>,
    /// Why NATS cannot be reached, and what to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    nats_unreachable: Option<String>,
    /// JetStream streams that answer requests on this log's subjects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nats_streams: Vec<String>,
    /// Nodes that ask to join and are not configured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_nodes: Vec<NodeName>,
    secondaries: BTreeMap<NodeName, SecondaryAnswer>,
    refused_envelopes: BTreeMap<&'static str, u64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecondaryHealth")]
struct SecondaryAnswer {
    #[schemars(extend("enum" = ["healthy", "suspected", "unhealthy"]))]
    status: &'static str,
    /// What the master does with it.
    stage: &'static str,
    acked_through: Order,
    /// Entries that it has not acked.
    lag: u64,
    retries: u64,
    /// The order of an entry that is larger than what nats-server takes: nothing from there on is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    too_large_at: Option<Order>,
}

impl From<(SecondaryReport, Order)> for SecondaryAnswer {
    fn from((report, length): (SecondaryReport, Order)) -> SecondaryAnswer {
        let SecondaryReport { status, stage, acked_through, retries, too_large, .. } = report;
        let lag = length.since(acked_through);
        SecondaryAnswer { status, stage, acked_through, lag, retries, too_large_at: too_large }
    }
}

/// `GET /health`: always 200 while the node runs; what is wrong stands in `status`.
pub(super) async fn health<R: Reader>(
    Extract(context): State<R>,
    Query(()): Query<()>,
) -> Result<Json<HealthAnswer>, Problem> {
    let report = context.node.health(0).await.map_err(|_| Problem::stopping())?;
    Ok(Json(HealthAnswer::of(&context, report)))
}

impl HealthAnswer {
    pub(super) fn of<R>(context: &Context<R>, mut report: HealthReport) -> HealthAnswer {
        if let Some(denied) = &context.door_denied {
            add(&mut report.trouble.denied, denied.borrow().as_deref());
        }
        let (status, reason) = status(&report, context);
        let length = report.length;
        let secondaries = report.secondaries.into_iter();
        let secondaries =
            secondaries.map(|secondary| (secondary.node.clone(), SecondaryAnswer::from((secondary, length))));
        HealthAnswer {
            status,
            reason,
            role: "master",
            node: context.nodes.name.clone(),
            log_id: report.log_id,
            epoch: report.epoch,
            epoch_owner: report.epoch.map(|_| context.nodes.name.clone()),
            length,
            digest: report.digest,
            durability: context.durability,
            nodes: context.nodes.count(),
            healthy_nodes: report.healthy_nodes,
            pending_writes: report.pending_writes,
            nats_connected: report.bus_is_up,
            nats_denied: report.trouble.denied,
            nats_unreachable: report.trouble.unreachable,
            nats_streams: report.trouble.streams,
            unknown_nodes: report.strangers,
            secondaries: secondaries.collect(),
            refused_envelopes: report.refused,
        }
    }
}

/// What `/health` says of the whole, the worst first, and why it is not ok.
fn status<R>(report: &HealthReport, context: &Context<R>) -> (&'static str, Option<String>) {
    let trouble = probes::bus_trouble(report.bus_is_up, &report.trouble);
    if let Some(why) = &report.not_leading {
        let mut reason = Some(words::not_leading(why));
        if matches!(why, NotLeading::Recovering { .. }) {
            // It hears nobody because of that, perhaps.
            add(&mut reason, trouble.as_deref());
        }
        return (why.code().word(), reason);
    }
    let (healthy, nodes) = (report.healthy_nodes, context.nodes.count());
    if context.read_only_without_majority && 2 * healthy <= usize::from(nodes) {
        return (READ_ONLY, Some(format!("{healthy} of {nodes} nodes are healthy, which is no majority")));
    }
    let rival =
        || report.rival.as_ref().map(|rival| format!("another master, {rival}, leads a log of this name"));
    let trouble = trouble.or_else(rival).or_else(|| report.outdated.clone());
    let trouble = trouble.or_else(|| trouble_of_secondaries(&report.secondaries));
    match in_one([trouble, strangers(&report.strangers, &context.nodes)]) {
        Some(reason) => (DEGRADED, Some(reason)),
        None => (OK, None),
    }
}

fn strangers(strangers: &[NodeName], nodes: &Nodes) -> Option<String> {
    let (own, others): (Vec<&str>, Vec<&str>) =
        strangers.iter().map(NodeName::as_str).partition(|name| *name == nodes.name.as_str());
    let own = own.first().map(|name| {
        format!("another process of this node's own name, {name}, asks to join: stop one of the two")
    });
    let configured = nodes.secondaries.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
    let others = (!others.is_empty()).then(|| {
        format!("{} asks to join and is not configured (configured: {configured})", others.join(", "))
    });
    in_one([own, others])
}

fn in_one(reasons: [Option<String>; 2]) -> Option<String> {
    let [mut first, second] = reasons;
    add(&mut first, second.as_deref());
    first
}

fn add(words: &mut Option<String>, more: Option<&str>) {
    let Some(more) = more else { return };
    *words = Some(match words.take() {
        Some(words) => format!("{words}; {more}"),
        None => more.to_owned(),
    });
}

fn trouble_of_secondaries(secondaries: &[SecondaryReport]) -> Option<String> {
    let too_large = |secondary: &SecondaryReport| {
        let order = secondary.too_large?;
        Some(format!(
            "the entry at order {order} is larger than what nats-server takes: raise its max_payload, {} gets nothing from there on",
            secondary.node
        ))
    };
    if let Some(reason) = secondaries.iter().find_map(too_large) {
        return Some(reason);
    }
    let ill = secondaries.iter().filter_map(|secondary| match (secondary.status, secondary.stage) {
        (_, "foreign") => Some(foreign(secondary)),
        (_, "diverged") => Some(format!("{} is diverged", secondary.node)),
        ("healthy", _) => None,
        (status, _) => Some(format!("{} is {status}", secondary.node)),
    });
    let ill = ill.collect::<Vec<_>>();
    (!ill.is_empty()).then(|| ill.join(", "))
}

/// What happened, and what to do.
fn foreign(secondary: &SecondaryReport) -> String {
    let node = &secondary.node;
    let theirs = secondary.foreign.map(|log_id| format!(", {log_id}")).unwrap_or_default();
    format!(
        "{node} is foreign: it holds another log{theirs}, than this master, whose log began while {node} was not heard or over another directory; to keep this master's log, start {node} over an empty data directory; to keep that of {node}, start this master over one: it takes that log over"
    )
}

/// `GET /readyz`: this node leads and its bus is connected. Local facts only: never who is absent.
pub(super) async fn readyz<R: Reader>(Extract(context): State<R>, Query(()): Query<()>) -> Response {
    let readiness = *context.node.readiness.borrow();
    probes::ready(match (readiness.bus_is_up, readiness.leading) {
        (true, true) => None,
        (false, _) => Some("NATS is not connected"),
        (true, false) => Some("this master does not lead yet"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_of_this_nodes_name_is_not_called_one_to_be_configured() {
        let name = |text: &str| text.parse().unwrap();
        let nodes = Nodes { name: name("secondary1"), secondaries: vec![name("master")] };
        assert_eq!(strangers(&[], &nodes), None);
        let own = "another process of this node's own name, secondary1, asks to join: stop one of the two";
        assert_eq!(strangers(&[name("secondary1")], &nodes).as_deref(), Some(own));
        let other = "secondry2 asks to join and is not configured (configured: master)";
        let both = strangers(&[name("secondary1"), name("secondry2")], &nodes);
        assert_eq!(both, Some(format!("{own}; {other}")));
    }
}
