//! `/metrics`.

use std::fmt;

use axum::{extract::State, response::Response};
use replog_host::{
    edge::{Problem, query::Query},
    metrics::{self, Exposition, Figures, NodeLabels},
};
use replog_shared::store::Reader;

use super::Context;
use crate::telemetry::SecondaryFigures;

/// A secondary's figures under its name.
#[derive(Debug)]
struct Labelled(NodeLabels, SecondaryFigures);

impl Figures for Labelled {
    fn expose(&self, out: &mut Exposition<'_>) -> fmt::Result {
        self.1.expose(&self.0, out)
    }
}

/// What the node has counted.
pub(super) async fn metrics<R: Reader>(
    State(context): State<Context<R>>,
    Query(()): Query<()>,
) -> Result<Response, Problem> {
    let figures = context.node.figures().await.map_err(|_| Problem::stopping())?;
    let Context { name: node, log, durability, .. } = context;
    metrics::answer(Labelled(NodeLabels { role: "secondary", node, log, durability }, figures))
}
