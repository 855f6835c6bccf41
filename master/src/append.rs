//! From a checked append to its answer, whichever way it came.

use replog_host::{commands::Asked, edge::Problem};
use replog_shared::{MessageId, store::Reader, trace::TraceParent};
use tracing::debug;

use crate::{
    answers::{appended, batch_appended, gone, met},
    core::events::{WriteOutcome, Written},
    node::Handle,
    nodes::Nodes,
    requests::Request,
};

/// An append that the node was given, of which the answer is awaited. `Id` is the id of its message, or those of its batch.
pub(crate) struct Started<Id> {
    id: Id,
    trace: Option<TraceParent>,
    outcome: Asked<WriteOutcome>,
}

impl Started<MessageId> {
    /// Gives one message to the node, which appends in the order in which it is given.
    pub(crate) async fn one<R: Reader>(
        node: &Handle<R>,
        request: Request,
        trace: Option<TraceParent>,
    ) -> Result<Self, Problem> {
        let id = request.append.messages[0].id.clone();
        let outcome = node.append(request.append, trace, request.timeout).await.map_err(|_| gone())?;
        Ok(Started { id, trace, outcome })
    }

    /// The JSON of the answer.
    pub(crate) async fn answer(self, nodes: &Nodes) -> Result<Vec<u8>, Problem> {
        let outcome = self.outcome.answer().await.map_err(|_| gone())?;
        note_answer(&self.id, self.trace, &outcome);
        Ok(appended(nodes, &self.id, &met(nodes, outcome)?))
    }
}

impl Started<Vec<MessageId>> {
    /// Gives a batch to the node, as [`Started::one`].
    pub(crate) async fn batch<R: Reader>(
        node: &Handle<R>,
        request: Request,
        trace: Option<TraceParent>,
    ) -> Result<Self, Problem> {
        let id = request.append.messages.iter().map(|new| new.id.clone()).collect();
        let outcome = node.append(request.append, trace, request.timeout).await.map_err(|_| gone())?;
        Ok(Started { id, trace, outcome })
    }

    /// The JSON of the answer.
    pub(crate) async fn answer(self, nodes: &Nodes) -> Result<Vec<u8>, Problem> {
        let outcome = self.outcome.answer().await.map_err(|_| gone())?;
        note_answer(&self.id[0], self.trace, &outcome);
        Ok(batch_appended(nodes, &self.id, &met(nodes, outcome)?))
    }
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
    let Written { first, count, duplicate, w, .. } = written;
    let trace_id = trace.map(|trace| tracing::field::display(trace.trace_id()));
    debug!(message.id = %id, entry.order = %first, count, write.w = %w, duplicate, became, trace_id, "answered an append");
}
