//! `/metrics`.

use std::fmt;

use axum::{extract::State as Extract, response::Response};
use replog_host::{
    edge::{Problem, query::Query},
    metrics::{self, Exposition, Figures, NodeLabels},
};
use replog_shared::store::Reader;

use super::State;
use crate::telemetry::MasterFigures;

/// A master's figures under its name.
#[derive(Debug)]
struct Labelled(NodeLabels, MasterFigures);

impl Figures for Labelled {
    fn expose(&self, out: &mut Exposition<'_>) -> fmt::Result {
        self.1.expose(&self.0, out)
    }
}

/// `GET /metrics`.
pub(super) async fn metrics<R: Reader>(
    Extract(context): State<R>,
    Query(()): Query<()>,
) -> Result<Response, Problem> {
    let figures = context.node.figures().await.map_err(|_| Problem::stopping())?;
    let labels = NodeLabels {
        role: "master",
        node: context.nodes.name.clone(),
        log: context.log.clone(),
        durability: context.durability,
    };
    metrics::answer(Labelled(labels, figures))
}
