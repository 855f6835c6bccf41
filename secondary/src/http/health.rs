//! How the node is: for people, for programs, and for probes.

use std::collections::BTreeMap;

use axum::{Json, extract::State, response::Response};
use replog_host::{
    edge::{Problem, query::Query},
    probes,
};
use replog_shared::{
    Digest, Durability, Epoch, EpochNumber, LogId, NodeName, Order,
    wire::{SecondaryState, Verdict},
};
use schemars::JsonSchema;
use serde::Serialize;

use replog_shared::store::Reader;

use super::Context;
use crate::node::HealthReport;
use replog_core::secondary::{Counters, Status};

/// The answer of `GET /health`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// `ok` only when streaming from a master that was heard of late.
    #[schemars(extend("enum" = ["ok", "degraded", "diverged", "foreign"]))]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[schemars(extend("const" = "secondary"))]
    role: &'static str,
    node: NodeName,
    state: SecondaryState,
    log_id: Option<LogId>,
    epoch: Option<EpochNumber>,
    /// The node that opened the epoch: only both together name it.
    epoch_owner: Option<NodeName>,
    fence: Option<Epoch>,
    length: Order,
    digest: Digest,
    durability: Durability,
    /// Entries of the master that are not shown yet; none before a master was heard.
    lag: Option<u64>,
    whole: bool,
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
    master: Master,
    #[serde(skip_serializing_if = "Option::is_none")]
    diverged: Option<Diverged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    foreign_log_id: Option<LogId>,
    buffered_bytes: usize,
    fetches_in_flight: usize,
    counters: Counters,
    /// Envelopes that were not understood, by kind.
    refused_envelopes: BTreeMap<&'static str, u64>,
}

/// What is known of the master.
#[derive(Debug, Serialize, JsonSchema)]
struct Master {
    /// Its name, while it is heard.
    hears: Option<NodeName>,
    length: Option<Order>,
    http: Option<String>,
    /// The secondaries that it has, if this node's name is not one of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secondaries: Vec<NodeName>,
}

/// The orders that are in question: `from..to`.
#[derive(Debug, Serialize, JsonSchema)]
struct Diverged {
    from: Order,
    to: Order,
}

/// The node's own state; always 200 while it runs.
pub(super) async fn health<R: Reader>(
    State(context): State<Context<R>>,
    Query(()): Query<()>,
) -> Result<Json<Health>, Problem> {
    let report = context.node.health().await.map_err(|_| Problem::stopping())?;
    Ok(Json(Health::of(context.name, context.durability, report)))
}

impl Health {
    pub(super) fn of(node: NodeName, durability: Durability, report: HealthReport) -> Health {
        let (word, reason) = word(&report);
        let HealthReport { status, bus_is_up, trouble, refused } = report;
        Health {
            status: word,
            reason,
            role: "secondary",
            node,
            state: status.state,
            log_id: status.log_id,
            epoch: status.epoch.as_ref().map(Epoch::number),
            epoch_owner: status.epoch.as_ref().map(|epoch| epoch.owner.clone()),
            length: status.length,
            digest: status.digest,
            durability,
            lag: status.lag(),
            whole: status.whole,
            nats_connected: bus_is_up,
            nats_denied: trouble.denied,
            nats_unreachable: trouble.unreachable,
            nats_streams: trouble.streams,
            diverged: status.diverged.map(|orders| Diverged { from: orders.from, to: orders.to }),
            foreign_log_id: status.foreign,
            buffered_bytes: status.buffered_bytes,
            fetches_in_flight: status.fetches_in_flight,
            counters: status.counters,
            refused_envelopes: refused,
            fence: status.fence,
            master: Master {
                hears: status.hears,
                length: status.master_length,
                http: status.master_http,
                secondaries: status.master_secondaries,
            },
        }
    }
}

/// What `/health` says of the whole, the worst first, and why it is not ok.
fn word(report: &HealthReport) -> (&'static str, Option<String>) {
    let status = &report.status;
    match status.state {
        SecondaryState::Diverged => ("diverged", Some(diverged(status))),
        SecondaryState::Foreign => ("foreign", Some(foreign(status))),
        SecondaryState::Streaming | SecondaryState::Joining | SecondaryState::Syncing => {
            let trouble = probes::bus_trouble(report.bus_is_up, &report.trouble);
            match trouble.or_else(|| waits_for(status)) {
                Some(reason) => ("degraded", Some(reason)),
                None => ("ok", None),
            }
        }
    }
}

fn diverged(status: &Status) -> String {
    let orders = status.diverged.map_or_else(String::new, |orders| format!(" at {orders}"));
    format!("this node and the master differ{orders}, an operator must decide")
}

/// What happened, and what to do.
fn foreign(status: &Status) -> String {
    let theirs = status.foreign.map(|log_id| format!(", {log_id}")).unwrap_or_default();
    format!(
        "the master has another log{theirs}, than this node, which keeps its own: the master's began while this node was not heard, or over another directory; to follow it, start this node over an empty data directory; to keep this node's log, start the master over one: it takes this log over"
    )
}

/// What is missing to a node that follows its master from entry to entry.
fn waits_for(status: &Status) -> Option<String> {
    let waits_for = match status.state {
        _ if status.hears.is_none() => "no master is heard",
        SecondaryState::Joining => return Some(not_admitted(status)),
        SecondaryState::Syncing => "this node fetches what it missed",
        _ => return None,
    };
    Some(waits_for.to_owned())
}

fn not_admitted(status: &Status) -> String {
    match status.join_refused {
        Some(Verdict::Unknown) => {
            let names: Vec<&str> = status.master_secondaries.iter().map(NodeName::as_str).collect();
            let names = if names.is_empty() { "no names".to_owned() } else { names.join(", ") };
            format!("the master has no secondary of this node's name; it has {names}")
        }
        Some(Verdict::NameInUse) => "another process that is alive has this node's name".to_owned(),
        _ => "the master has not admitted this node yet".to_owned(),
    }
}

/// The log can be read and NATS is connected. Never says anything of lag or of other nodes.
pub(super) async fn readyz<R: Reader>(State(context): State<Context<R>>, Query(()): Query<()>) -> Response {
    let bus_is_up = context.node.facts.borrow().bus_is_up;
    probes::ready((!bus_is_up).then_some("NATS is not connected"))
}
