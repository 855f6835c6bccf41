//! `GET` and `PUT /faults`: faults on purpose, where they are allowed.

use std::time::Duration;

use axum::{Json, extract::State};
use replog_host::edge::{
    Problem,
    json::JsonBody,
    query::{Query, whole_number},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use replog_shared::{Code, store::Reader};

use super::Context;
use crate::config::MAX_FAULT_DELAY_MS;
use replog_core::secondary::Faults;

/// Faults as JSON; what a request leaves out is none.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Faults")]
pub(super) struct FaultsBody {
    /// How much later each envelope is stored, in milliseconds.
    #[schemars(range(max = MAX_FAULT_DELAY_MS))]
    delay_ms: u64,
    /// The share of envelopes that are stored and then answered with an error.
    #[schemars(range(min = 0, max = 1))]
    error_rate: f64,
    /// The share of envelopes that are dropped.
    #[schemars(range(min = 0, max = 1))]
    drop_rate: f64,
}

impl FaultsBody {
    fn check(self) -> Result<Faults, Problem> {
        let FaultsBody { delay_ms, error_rate, drop_rate } = self;
        let share = 0.0..=1.0;
        let checks = [
            ("delay_ms", delay_ms <= MAX_FAULT_DELAY_MS),
            ("error_rate", share.contains(&error_rate)),
            ("drop_rate", share.contains(&drop_rate)),
        ];
        if let Some((field, _)) = checks.iter().find(|(_, fine)| !fine) {
            let allowed = allowed_value(field).unwrap_or_default();
            return Err(Problem::invalid_field(field, format!("`{field}` must be {allowed}.")));
        }
        Ok(Faults { delay: Duration::from_millis(delay_ms), error_rate, drop_rate })
    }
}

/// What the field of this name may be.
fn allowed_value(field: &str) -> Option<String> {
    match field {
        "delay_ms" => Some(whole_number(&(0..=MAX_FAULT_DELAY_MS))),
        "error_rate" | "drop_rate" => Some("a number from 0 to 1".to_owned()),
        _ => None,
    }
}

impl From<Faults> for FaultsBody {
    fn from(faults: Faults) -> FaultsBody {
        let Faults { delay, error_rate, drop_rate } = faults;
        FaultsBody { delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), error_rate, drop_rate }
    }
}

/// The faults that are injected.
pub(super) async fn get<R: Reader>(
    State(context): State<Context<R>>,
    Query(()): Query<()>,
) -> Result<Json<FaultsBody>, Problem> {
    allowed(&context)?;
    Ok(Json(context.node.faults().await.map_err(|_| Problem::stopping())?.into()))
}

/// Injects other faults from now on.
pub(super) async fn put<R: Reader>(
    State(context): State<Context<R>>,
    Query(()): Query<()>,
    body: JsonBody,
) -> Result<Json<FaultsBody>, Problem> {
    allowed(&context)?;
    let faults = body.parse::<FaultsBody>().and_then(FaultsBody::check);
    let faults = faults.map_err(|problem| problem.allowing(allowed_value))?;
    context.node.set_faults(faults).await.map_err(|_| Problem::stopping())?;
    Ok(Json(faults.into()))
}

fn allowed<R>(context: &Context<R>) -> Result<(), Problem> {
    if context.allow_faults {
        return Ok(());
    }
    let detail = "Faults are not allowed on this node. Start it with --allow-faults.";
    Err(Problem::new(Code::FaultsNotAllowed, detail))
}
