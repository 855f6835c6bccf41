//! What clients are told.

use std::time::Duration;

use replog_host::edge::Problem;
use replog_shared::{Applied, Code, EpochNumber, MessageId, NodeName, Order, json, store::ReadError};

use crate::{
    core::events::{Holders, Interruption, NotLeading, Refusal, WriteOutcome, Written},
    nodes::Nodes,
};

/// When a refused client may come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A write that w nodes hold.
pub(crate) struct Met {
    pub(crate) written: Written,
    pub(crate) holders: Holders,
    pub(crate) epoch: EpochNumber,
}

/// The write that w nodes hold, or the problem that tells what became of it.
pub(crate) fn met(nodes: &Nodes, outcome: WriteOutcome) -> Result<Met, Problem> {
    match outcome {
        WriteOutcome::Met { written, holders, epoch } => Ok(Met { written, holders, epoch }),
        WriteOutcome::Unconfirmed { written, holders } => Err(unconfirmed(nodes, &written, holders)),
        WriteOutcome::Interrupted { written, by } => Err(interrupted(&written, &by)),
        WriteOutcome::Refused(refusal) => Err(refused(refusal)),
    }
}

/// Appends `"nodes":["master",…]`: this node and the secondaries that hold it.
pub(crate) fn push_nodes(out: &mut Vec<u8>, nodes: &Nodes, holders: Holders) {
    out.extend_from_slice(b"\"nodes\":[\"");
    out.extend_from_slice(nodes.name.as_str().as_bytes());
    for (index, node) in nodes.secondaries.iter().enumerate() {
        if holders.contains(index) {
            out.extend_from_slice(b"\",\"");
            out.extend_from_slice(node.as_str().as_bytes());
        }
    }
    out.extend_from_slice(b"\"]");
}

/// How many whole nodes a promotion must reach to keep for sure what `holders` and this node hold: any that many
/// of the n nodes have one of the holders among them.
fn kept_if_reached(nodes: &Nodes, holders: Holders) -> u64 {
    u64::from(nodes.count()) - u64::from(holders.count())
}

/// Appends what every answer to a write ends with:
/// `"w":…,"nodes":[…],"kept_if_reached":…,"duplicate":…,"epoch":"…","epoch_owner":"…"}`.
fn push_tail(out: &mut Vec<u8>, nodes: &Nodes, met: &Met) {
    out.extend_from_slice(b",\"w\":");
    json::push_number(out, met.written.w.get().into());
    out.push(b',');
    push_nodes(out, nodes, met.holders);
    out.extend_from_slice(b",\"kept_if_reached\":");
    json::push_number(out, kept_if_reached(nodes, met.holders));
    out.extend_from_slice(if met.written.duplicate {
        b",\"duplicate\":true"
    } else {
        b",\"duplicate\":false"
    });
    push_epoch(out, met.epoch);
    push_epoch_owner(out, nodes);
    out.extend_from_slice(b"}\n");
}

pub(crate) fn push_epoch(out: &mut Vec<u8>, epoch: EpochNumber) {
    out.extend_from_slice(b",\"epoch\":\"");
    json::push_number(out, epoch.reign.into());
    out.push(b'.');
    json::push_number(out, epoch.start.into());
    out.push(b'"');
}

/// Appends the owner of the epoch in which this node leads: itself. A name needs no escapes.
fn push_epoch_owner(out: &mut Vec<u8>, nodes: &Nodes) {
    out.extend_from_slice(b",\"epoch_owner\":\"");
    out.extend_from_slice(nodes.name.as_str().as_bytes());
    out.push(b'"');
}

/// The answer to an append.
pub(crate) fn appended(nodes: &Nodes, id: &MessageId, met: &Met) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"status\":\"ok\",\"message_id\":");
    json::push_string(&mut out, id.as_str());
    out.extend_from_slice(b",\"order\":");
    json::push_number(&mut out, met.written.first.get());
    push_tail(&mut out, nodes, met);
    out
}

/// The answer to a batch.
pub(crate) fn batch_appended(nodes: &Nodes, ids: &[MessageId], met: &Met) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + 40 * ids.len());
    out.extend_from_slice(b"{\"status\":\"ok\",\"first_order\":");
    json::push_number(&mut out, met.written.first.get());
    out.extend_from_slice(b",\"count\":");
    json::push_number(&mut out, met.written.count);
    out.extend_from_slice(b",\"message_ids\":[");
    for (nth, id) in ids.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        json::push_string(&mut out, id.as_str());
    }
    out.push(b']');
    push_tail(&mut out, nodes, met);
    out
}

/// The answer to a clean.
pub(crate) fn cleaned(nodes: &Nodes, met: &Met) -> Vec<u8> {
    let mut out = b"{\"status\":\"ok\"".to_vec();
    push_tail(&mut out, nodes, met);
    out
}

/// The node has stopped while the caller waited: nobody can tell what became of the write.
pub(crate) fn gone() -> Problem {
    let detail =
        "The node stopped before it could answer; send the write again with the same id once it is back.";
    Problem::new(Code::Stopping, detail).applied(Applied::Unknown).retry_after(RETRY_AFTER)
}

/// The node has stopped while the caller of a clean waited.
pub(crate) fn gone_clean() -> Problem {
    gone().detail(
        "The node stopped before it could answer; read the log once it is back, to see whether it is empty.",
    )
}

/// The clean that w nodes followed, or the problem that tells what became of it.
pub(crate) fn met_clean(nodes: &Nodes, outcome: WriteOutcome) -> Result<Met, Problem> {
    let (code, detail) = match outcome {
        WriteOutcome::Unconfirmed { written: Written { w, .. }, holders } => {
            let followed = 1 + holders.count();
            let detail = format!(
                "The log is empty, but {w} nodes had not followed in time: {followed} had. The others follow when they are back; there is no need to ask again."
            );
            let problem = Problem::new(Code::Unconfirmed, detail).not_retryable();
            let problem = problem.applied(Applied::Yes).with("w", w.get());
            return Err(problem.with("nodes", holder_names(nodes, holders)));
        }
        WriteOutcome::Interrupted { by: Interruption::Stopping, .. } => {
            let detail = "The node is stopping. Its log is empty; the other nodes follow when it is back.";
            (Code::Stopping, detail.to_owned())
        }
        WriteOutcome::Interrupted { by: Interruption::NotLeading(why), .. } => {
            let detail = format!(
                "The log was emptied here, but {}; whether the other nodes follow is not known here.",
                words(&why)
            );
            let problem = Problem::new(why.code(), detail);
            return Err(problem.applied(Applied::Unknown));
        }
        WriteOutcome::Refused(Refusal::NotLeading(why)) => {
            let detail = format!("The log was not emptied: {}.", words(&why));
            return Err(not_leading(&why).detail(detail));
        }
        WriteOutcome::Met { .. }
        | WriteOutcome::Refused(_)
        | WriteOutcome::Interrupted { by: Interruption::Cleaned, .. } => return met(nodes, outcome),
    };
    Err(Problem::new(code, detail).applied(Applied::Yes).not_retryable())
}

/// The entry that w nodes hold, or the problem that tells why it is not shown.
pub(crate) fn met_wait(nodes: &Nodes, outcome: WriteOutcome) -> Result<Met, Problem> {
    match outcome {
        WriteOutcome::Refused(Refusal::NotLeading(why)) => {
            let detail = format!("Which nodes hold it is not known here: {}.", words(&why));
            Err(not_leading(&why).detail(detail))
        }
        outcome => met(nodes, outcome),
    }
}

/// The names of this node and of the secondaries in `holders`.
fn holder_names(nodes: &Nodes, holders: Holders) -> Vec<&str> {
    let secondaries = nodes.secondaries.iter().enumerate();
    let holding = secondaries.filter(|(index, _)| holders.contains(*index)).map(|(_, node)| node);
    std::iter::once(&nodes.name).chain(holding).map(NodeName::as_str).collect()
}

fn unconfirmed(nodes: &Nodes, written: &Written, holders: Holders) -> Problem {
    let (order, w) = (written.first, written.w);
    let detail = format!(
        "The entry is in the log at order {order}, but {w} nodes did not hold it in time. It keeps replicating; GET /messages/{order}?w={w} waits for it."
    );
    Problem::new(Code::Unconfirmed, detail)
        .applied(Applied::Yes)
        .with("order", order.get())
        .with("w", w.get())
        .with("nodes", holder_names(nodes, holders))
}

fn interrupted(written: &Written, by: &Interruption) -> Problem {
    let order = written.first;
    let problem = match by {
        Interruption::Stopping => {
            let detail = format!(
                "The node is stopping. The entry is in the log at order {order} and goes on replicating when the node is back with its log."
            );
            Problem::new(Code::Stopping, detail).applied(Applied::Yes)
        }
        Interruption::NotLeading(why) => {
            let detail = format!(
                "The entry was at order {order}, but {}; whether it survives is not known here.",
                words(why)
            );
            Problem::new(why.code(), detail).applied(Applied::Unknown)
        }
        Interruption::Cleaned => {
            let detail = "The log was emptied while this write waited for its nodes.";
            return Problem::new(Code::Cleaned, detail).applied(Applied::Unknown).with("order", order.get());
        }
    };
    problem.retry_after(RETRY_AFTER).with("order", order.get())
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Conflict { id, order } => conflict(
            &id,
            order,
            format!(
                "The id {:?} belongs to another message, at order {order}. Use a new id for a new message.",
                id.as_str()
            ),
        ),
        Refusal::PartlyKnown { id, order } => conflict(
            &id,
            order,
            format!(
                "The id {:?} is in the log already, at order {order}, but not as part of this very batch.",
                id.as_str()
            ),
        ),
        Refusal::UnexpectedOrder { length } => {
            let detail = format!("The next order is {length}, not the expected one.");
            Problem::new(Code::UnexpectedOrder, detail).with("length", length.get())
        }
        Refusal::TooLarge { limit } => too_large(limit),
        Refusal::ReadOnly { healthy, nodes } => {
            let detail = format!(
                "Read-only: {healthy} of {nodes} nodes are healthy, which is no majority, and this log takes no appends then."
            );
            Problem::new(Code::ReadOnly, detail).retry_after(RETRY_AFTER)
        }
        Refusal::Overloaded => {
            let detail = "More entries wait to become durable than this node's storage takes in for a while.";
            Problem::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
        }
        Refusal::NoSuchOrder { length } => {
            let detail = format!("The log has no such order; its length is {length}.");
            Problem::new(Code::NoSuchOrder, detail).with("length", length.get())
        }
        Refusal::NotLeading(why) => not_leading(&why),
    }
}

fn conflict(id: &MessageId, order: Order, detail: String) -> Problem {
    Problem::new(Code::Conflict, detail).with("id", id.as_str()).with("order", order.get())
}

/// 413: the entry's line does not fit into one envelope.
pub(crate) fn too_large(limit: usize) -> Problem {
    let detail = format!(
        "The message is too large for one envelope: its entry may have at most {limit} bytes, by the nats-server's max_payload."
    );
    Problem::new(Code::MessageTooLarge, detail).with("limit", limit)
}

/// 503: this node does not lead.
pub(crate) fn not_leading(why: &NotLeading) -> Problem {
    let problem = Problem::new(why.code(), format!("No appends here: {}.", words(why)));
    match why {
        NotLeading::Fenced { by } => problem.with("master", by.as_str()),
        NotLeading::NotPromoted { .. } | NotLeading::DryRun { .. } => problem,
        NotLeading::Diverged { node } => problem.with("secondary", node.as_str()),
        NotLeading::Recovering { .. } | NotLeading::Stopping => problem.retry_after(RETRY_AFTER),
    }
}

/// Why this node does not lead, as part of a sentence.
pub(crate) fn words(why: &NotLeading) -> String {
    match why {
        NotLeading::Recovering { waits_for } => {
            format!("this master does not lead yet: {waits_for}")
        }
        NotLeading::Fenced { by } => format!("{by} reigns now"),
        NotLeading::NotPromoted { reason } => reason.clone(),
        NotLeading::DryRun { .. } => "it was only asked what a promotion would do".into(),
        NotLeading::Diverged { node } => {
            format!(
                "{node} holds entries or an epoch that this log lacks, an operator must decide: if this node's directory is an old copy, start it with --recover"
            )
        }
        NotLeading::Stopping => "the node is stopping".into(),
    }
}

/// 500: the store does not give the entry.
pub(crate) fn unreadable(error: &ReadError) -> Problem {
    let detail = format!("The entry is in the log, but cannot be read: {error}.");
    Problem::new(Code::Unreadable, detail)
}

/// 404: the log was emptied between the wait and the read.
pub(crate) fn too_late(order: Order) -> Problem {
    let detail = format!("The entry at order {order} is gone: the log was emptied.");
    Problem::new(Code::NoSuchOrder, detail)
}
