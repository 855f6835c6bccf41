//! From a checked append to its answer, whichever way it came.

use replog_host::edge::Problem;
use replog_shared::{MessageId, store::Reader, trace::TraceParent};
use tracing::debug;

use crate::{
    answers::{appended, batch_appended, gone, met},
    core::events::{WriteOutcome, Written},
    node::Handle,
    nodes::Nodes,
    requests::Request,
};

/// Appends one message, and gives the JSON of the answer.
pub(crate) async fn one<R: Reader>(
    node: &Handle<R>,
    nodes: &Nodes,
    request: Request,
    trace: Option<TraceParent>,
) -> Result<Vec<u8>, Problem> {
    let id = request.append.messages[0].id.clone();
    let outcome = node.append(request.append, trace, request.timeout).await.map_err(|_| gone())?;
    note_answer(&id, trace, &outcome);
    let met = met(nodes, outcome)?;
    Ok(appended(nodes, &id, &met))
}

/// Appends a batch, and gives the JSON of the answer.
pub(crate) async fn batch<R: Reader>(
    node: &Handle<R>,
    nodes: &Nodes,
    request: Request,
    trace: Option<TraceParent>,
) -> Result<Vec<u8>, Problem> {
    let ids: Vec<MessageId> = request.append.messages.iter().map(|new| new.id.clone()).collect();
    let outcome = node.append(request.append, trace, request.timeout).await.map_err(|_| gone())?;
    note_answer(&ids[0], trace, &outcome);
    let met = met(nodes, outcome)?;
    Ok(batch_appended(nodes, &ids, &met))
}

/// One line for each append that got a place, when its caller is answered. `id` is that of its first message.
fn note_answer(id: &MessageId, trace: Option<TraceParent>, outcome: &WriteOutcome) {
    let (written, became) = match outcome {
        WriteOutcome::Met { written, .. } => (written, "met"),
        WriteOutcome::Unconfirmed { written, .. } => (written, "unconfirmed"),
        WriteOutcome::Interrupted { written, .. } => (written, "interrupted"),
        // Logged with all refusals.
        WriteOutcome::Refused(_) => return,
    };
    let Written { first, count, duplicate, w } = written;
    let trace_id = trace.map(|trace| tracing::field::display(trace.trace_id()));
    debug!(message.id = %id, entry.order = %first, count, write.w = %w, duplicate, became, trace_id, "answered an append");
}
