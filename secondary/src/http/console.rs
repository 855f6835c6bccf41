//! `GET /events`: what the console shows of a secondary.

use axum::{extract::State, response::Response};
use replog_host::{
    console,
    edge::{Problem, query::Query},
};
use replog_shared::store::Reader;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, faults::FaultsBody, health::Health};

/// The secondary at one moment.
#[derive(Serialize, JsonSchema)]
pub(super) struct Snapshot {
    #[serde(flatten)]
    health: Health,
    /// The faults in force; none where they are not allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    faults: Option<FaultsBody>,
}

/// The node's state, again each time it has changed.
pub(super) async fn events<R: Reader>(
    State(context): State<Context<R>>,
    Query(()): Query<()>,
) -> Result<Response, Problem> {
    let (consoles, stop) = (context.consoles.clone(), context.stopping.clone());
    let look = move || {
        let context = context.clone();
        async move {
            let report = context.node.health().await.ok()?;
            let faults = match context.allow_faults {
                true => Some(context.node.faults().await.ok()?.into()),
                false => None,
            };
            Some(Snapshot { health: Health::of(context.name, context.durability, report), faults })
        }
    };
    console::stream(&consoles, look, stop)
}
