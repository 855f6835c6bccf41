//! `/faults`: on a master there are none.

use axum::extract::State as Extract;
use replog_host::edge::Problem;
use replog_shared::{Code, store::Reader};

use super::State;

/// 403 like a secondary without `--allow-faults`, else 404: faults are injected where entries are stored late, or
/// acks get lost, and that is on the secondaries.
pub(super) async fn elsewhere<R: Reader>(Extract(context): State<R>) -> Problem {
    if !context.allow_faults {
        let detail = "Faults are not allowed on this node, and a master has none: ask a secondary.";
        return Problem::new(Code::FaultsNotAllowed, detail);
    }
    let detail =
        "A master has no faults to inject: send this to a secondary that was started with --allow-faults.";
    let secondaries: Vec<&str> = context.nodes.secondaries.iter().map(|node| node.as_str()).collect();
    Problem::new(Code::NoFaultsHere, detail).with("secondaries", secondaries)
}
