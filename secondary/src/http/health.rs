//! How the node is: for people, for programs, and for probes.

use std::collections::BTreeMap;

use ::http::StatusCode;
use axum::{Json, extract::State};
use replog_host::edge::{Problem, query::Query};
use replog_shared::{Digest, Epoch, EpochNumber, LogId, NodeName, Order, wire::SecondaryState};
use serde::Serialize;

use super::Context;
use crate::{
    core::{Counters, Status},
    node::Report,
};

/// The answer of `GET /health`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    /// `ok` only when streaming from a master that was heard of late.
    status: &'static str,
    role: &'static str,
    node: NodeName,
    state: SecondaryState,
    log_id: Option<LogId>,
    epoch: Option<EpochNumber>,
    fence: Option<Epoch>,
    length: Order,
    digest: Digest,
    /// Entries of the master that are not shown yet; none before a master was heard.
    lag: Option<u64>,
    whole: bool,
    nats_connected: bool,
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
#[derive(Debug, Serialize)]
struct Master {
    /// Its name, while it is heard.
    hears: Option<NodeName>,
    length: Option<Order>,
    http: Option<String>,
}

/// The orders that are in question: `from..to`.
#[derive(Debug, Serialize)]
struct Diverged {
    from: Order,
    to: Order,
}

/// The node's own state; always 200 while it runs.
pub(super) async fn health(
    State(context): State<Context>,
    Query(()): Query<()>,
) -> Result<Json<Health>, Problem> {
    let report = context.node.status().await?;
    Ok(Json(Health::of(context.name, report)))
}

impl Health {
    fn of(node: NodeName, report: Report) -> Health {
        let Report { status, connected, refused } = report;
        Health {
            status: word(&status),
            role: "secondary",
            node,
            state: status.state,
            log_id: status.log_id,
            epoch: status.epoch.as_ref().map(Epoch::number),
            length: status.length,
            digest: status.digest,
            lag: status.lag(),
            whole: status.whole,
            nats_connected: connected,
            diverged: status.diverged.map(|orders| Diverged { from: orders.from, to: orders.to }),
            foreign_log_id: status.foreign,
            buffered_bytes: status.buffered_bytes,
            fetches_in_flight: status.fetches_in_flight,
            counters: status.counters,
            refused_envelopes: refused,
            fence: status.fence,
            master: Master { hears: status.hears, length: status.master_length, http: status.master_http },
        }
    }
}

fn word(status: &Status) -> &'static str {
    match status.state {
        SecondaryState::Streaming if status.hears.is_some() => "ok",
        SecondaryState::Streaming | SecondaryState::Joining | SecondaryState::Syncing => "degraded",
        SecondaryState::Diverged => "diverged",
        SecondaryState::Foreign => "foreign",
    }
}

/// The process answers.
pub(super) async fn livez(Query(()): Query<()>) -> &'static str {
    "ok\n"
}

/// The log can be read and NATS is connected. Never says anything of lag or of other nodes.
pub(super) async fn readyz(
    State(context): State<Context>,
    Query(()): Query<()>,
) -> Result<&'static str, Problem> {
    if context.node.facts().borrow().connected {
        return Ok("ok\n");
    }
    let detail = "There is no connection to NATS.";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail).retryable())
}
