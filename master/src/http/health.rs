//! `/health`, `/livez`, `/readyz`.

use std::collections::BTreeMap;

use axum::{Json, extract::State as Extract, response::Response};
use http::StatusCode;
use replog_host::edge::{Problem, query::Query};
use replog_shared::{Digest, Durability, EpochNumber, LogId, NodeName, Order, store::Reader};
use serde::Serialize;

use super::{
    State,
    answers::{gone, json_response, words},
};
use crate::{
    core::events::NotLeading,
    node::{DURABILITY, HealthReport},
};

/// `GET /health` of a master.
#[derive(Serialize)]
pub(super) struct HealthAnswer {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    role: &'static str,
    node: NodeName,
    log_id: Option<LogId>,
    epoch: Option<EpochNumber>,
    length: Order,
    digest: Digest,
    durability: Durability,
    /// Configured nodes, this one included.
    nodes: u16,
    healthy_nodes: usize,
    pending_writes: usize,
    nats_connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    nats_denied: Option<String>,
    secondaries: BTreeMap<NodeName, SecondaryAnswer>,
    refused_envelopes: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct SecondaryAnswer {
    status: &'static str,
    stage: &'static str,
    acked_through: Order,
    /// Entries that it has not acked.
    lag: u64,
    retries: u64,
}

/// `GET /health`: always 200 while the node runs; what is wrong stands in `status`.
pub(super) async fn health<R: Reader>(
    Extract(context): State<R>,
    Query(()): Query<()>,
) -> Result<Json<HealthAnswer>, Problem> {
    let report = context.node.health().await.map_err(|_| gone())?;
    let (status, reason) = status(&report, context.read_only_without_majority, context.nodes());
    let length = report.length;
    let secondaries = report.secondaries.into_iter().map(|secondary| {
        let lag = length.since(secondary.acked_through);
        let (status, stage, acked_through) = (secondary.status, secondary.stage, secondary.acked_through);
        (secondary.node, SecondaryAnswer { status, stage, acked_through, lag, retries: secondary.retries })
    });
    Ok(Json(HealthAnswer {
        status,
        reason,
        role: "master",
        node: context.name.clone(),
        log_id: report.log_id,
        epoch: report.epoch,
        length,
        digest: report.digest,
        durability: DURABILITY,
        nodes: context.nodes(),
        healthy_nodes: report.healthy_nodes,
        pending_writes: report.pending_writes,
        nats_connected: report.bus_is_up,
        nats_denied: report.denied,
        secondaries: secondaries.collect(),
        refused_envelopes: report.refused,
    }))
}

/// What `/health` says of the whole, the worst first.
fn status(
    report: &HealthReport,
    read_only_without_majority: bool,
    nodes: u16,
) -> (&'static str, Option<String>) {
    let word = match &report.not_leading {
        Some(NotLeading::Recovering { .. }) => "recovering",
        Some(NotLeading::Fenced { .. }) => "fenced",
        Some(NotLeading::NotPromoted { .. }) => "not_promoted",
        Some(NotLeading::Diverged { .. }) => "diverged",
        Some(NotLeading::Stopping) => "stopping",
        None if read_only_without_majority && 2 * report.healthy_nodes <= usize::from(nodes) => "read_only",
        None if !report.bus_is_up || report.denied.is_some() => "degraded",
        None => {
            let well = |stage| stage != "foreign" && stage != "diverged";
            let all = report.secondaries.iter().all(|one| one.status == "healthy" && well(one.stage));
            if all { "ok" } else { "degraded" }
        }
    };
    (word, report.not_leading.as_ref().map(words))
}

/// `GET /livez`: the process answers.
pub(super) async fn livez(Query(()): Query<()>) -> Response {
    json_response(b"{\"status\":\"ok\"}\n".to_vec())
}

/// `GET /readyz`: this node leads and its bus is connected. Local facts only: never who is absent.
pub(super) async fn readyz<R: Reader>(
    Extract(context): State<R>,
    Query(()): Query<()>,
) -> Result<Response, Problem> {
    let readiness = *context.node.readiness.borrow();
    let missing = match (readiness.bus_is_up, readiness.leading) {
        (true, true) => return Ok(json_response(b"{\"status\":\"ok\"}\n".to_vec())),
        (false, _) => "NATS is not connected",
        (true, false) => "this master does not lead yet",
    };
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", format!("Not ready: {missing}."))
        .retryable())
}
