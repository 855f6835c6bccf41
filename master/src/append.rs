//! From a checked append to its answer, whichever way it came.

use replog_host::{commands::Asked, edge::Problem};
use replog_shared::{MessageId, store::Reader, trace::TraceParent};
use tracing::debug;

use crate::{
    answers::{About, appended, batch_appended, gone, met},
    node::Handle,
    nodes::Nodes,
    requests::{Form, Request},
};
use replog_core::master::events::{WriteOutcome, Written};

/// An append that the node was given, of which the answer is awaited.
pub(crate) struct Started {
    about: About,
    trace: Option<TraceParent>,
    outcome: Asked<WriteOutcome>,
}

impl Started {
    /// Gives an append to the node, which appends in the order in which it is given. One that may not wait is refused
    /// where it would have to.
    pub(crate) async fn new<R: Reader>(
        node: &Handle<R>,
        request: Request,
        trace: Option<TraceParent>,
        may_wait: bool,
    ) -> Result<Self, Problem> {
        let Request { append, timeout, form, has_ids } = request;
        let ids = append.messages.iter().map(|new| new.id.clone()).collect();
        let about = About { ids, form, has_ids };
        match node.append(append, trace, timeout, may_wait).await {
            Ok(outcome) => Ok(Started { about, trace, outcome }),
            Err(_) => Err(about.retried(gone())),
        }
    }

    /// The JSON of the answer.
    pub(crate) async fn answer(self, nodes: &Nodes) -> Result<Vec<u8>, Problem> {
        let about = &self.about;
        let outcome = self.outcome.answer().await.map_err(|_| about.retried(gone()))?;
        note_answer(&about.ids[0], self.trace, &outcome);
        let met = met(nodes, about, outcome)?;
        Ok(match about.form {
            Form::One => appended(nodes, &about.ids[0], &met),
            Form::Array | Form::Lines(_) => batch_appended(nodes, &about.ids, &met),
        })
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
