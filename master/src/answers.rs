//! What clients are told.

use std::time::Duration;

use replog_host::edge::Problem;
use replog_shared::{Applied, Code, EpochNumber, MessageId, NodeName, Order, json, store::ReadError};

use crate::{nodes::Nodes, requests::Form, words};
use replog_core::master::events::{
    Holders, Interruption, NotLeading, Refusal, Shortage, WriteOutcome, Written,
};

/// When a refused client may come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A write that w nodes hold.
pub(crate) struct Met {
    pub(crate) written: Written,
    pub(crate) holders: Holders,
    pub(crate) epoch: EpochNumber,
}

/// What a client has sent: an answer that may be followed by the same request again names its ids.
pub(crate) struct About {
    /// At least one; given by the client, or generated.
    pub(crate) ids: Vec<MessageId>,
    pub(crate) form: Form,
    /// Whether the client gave any of them.
    pub(crate) has_ids: bool,
}

impl About {
    /// A request that has no message of its own: a clean, or the wait for an entry.
    const NO_MESSAGE: About = About { ids: Vec::new(), form: Form::One, has_ids: false };

    /// The refusal with the ids to retry with, if there may be a point in that.
    ///
    /// The bug this prevents: a client that leaves the id to the node, gets a time-out, and doubles its message by its
    /// retry.
    pub(crate) fn retried(&self, problem: Problem) -> Problem {
        if !problem.is_retryable() && problem.has_applied() == Applied::No {
            return problem;
        }
        match (&self.form, &self.ids[..]) {
            (_, []) => problem,
            (Form::One, [id, ..]) => problem.with("message_id", id.as_str()),
            (Form::Array | Form::Lines(_), _) => {
                let ids: Vec<&str> = self.ids.iter().map(MessageId::as_str).collect();
                problem.with("message_ids", ids)
            }
        }
    }

    /// What a refusal says that came before any id was looked up: nothing of this request is in the log, but an earlier
    /// one with the same id may be.
    fn not_looked_up(&self) -> Applied {
        if self.has_ids { Applied::Unknown } else { Applied::No }
    }

    /// Adds where the entries are: the order to wait for, and of a batch where it begins and how long it is.
    fn placed(&self, problem: Problem, written: &Written) -> Problem {
        let problem = problem.with("order", written.last().get());
        match self.form {
            Form::One => problem,
            Form::Array | Form::Lines(_) => {
                problem.with("first_order", written.first.get()).with("count", written.count)
            }
        }
    }

    /// What is or was where, as the beginning of a sentence.
    fn at(&self, written: &Written, verb: &str) -> String {
        match self.form {
            Form::One => format!("The entry {verb} at order {}", written.first),
            Form::Array | Form::Lines(_) => {
                format!("The batch {verb} from order {} to order {}", written.first, written.last())
            }
        }
    }
}

/// The write that w nodes hold, or the problem that tells what became of it.
pub(crate) fn met(nodes: &Nodes, about: &About, outcome: WriteOutcome) -> Result<Met, Problem> {
    let problem = match outcome {
        WriteOutcome::Met { written, holders, epoch } => return Ok(Met { written, holders, epoch }),
        WriteOutcome::Unconfirmed { written, holders } => unconfirmed(nodes, about, &written, holders),
        WriteOutcome::Interrupted { written, by } => interrupted(about, &written, &by),
        WriteOutcome::Refused(refusal) => refused(about, refusal),
    };
    Err(about.retried(problem))
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
/// of the n nodes have one of the holders among them (docs/RECOVERY.md, section 16).
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
                words::not_leading(&why)
            );
            let problem = Problem::new(why.code(), detail);
            return Err(problem.applied(Applied::Unknown));
        }
        WriteOutcome::Refused(Refusal::NotLeading(why)) => {
            let detail = format!("The log was not emptied: {}.", words::not_leading(&why));
            return Err(not_leading(&why).detail(detail));
        }
        WriteOutcome::Met { .. }
        | WriteOutcome::Refused(_)
        | WriteOutcome::Interrupted { by: Interruption::Cleaned, .. } => {
            return met(nodes, &About::NO_MESSAGE, outcome);
        }
    };
    Err(Problem::new(code, detail).applied(Applied::Yes).not_retryable())
}

/// The entry that w nodes hold, or the problem that tells why it is not shown.
pub(crate) fn met_wait(nodes: &Nodes, outcome: WriteOutcome) -> Result<Met, Problem> {
    match outcome {
        WriteOutcome::Refused(Refusal::NotLeading(why)) => {
            let detail = format!("Which nodes hold it is not known here: {}.", words::not_leading(&why));
            Err(not_leading(&why).detail(detail))
        }
        outcome => met(nodes, &About::NO_MESSAGE, outcome),
    }
}

/// The names of this node and of the secondaries in `holders`.
fn holder_names(nodes: &Nodes, holders: Holders) -> Vec<&str> {
    let secondaries = nodes.secondaries.iter().enumerate();
    let holding = secondaries.filter(|(index, _)| holders.contains(*index)).map(|(_, node)| node);
    std::iter::once(&nodes.name).chain(holding).map(NodeName::as_str).collect()
}

fn unconfirmed(nodes: &Nodes, about: &About, written: &Written, holders: Holders) -> Problem {
    let (place, last, w) = (about.at(written, "is in the log"), written.last(), written.w);
    let detail = format!(
        "{place}, but {w} nodes did not hold it in time. It keeps replicating; GET /messages/{last}?w={w} waits for it."
    );
    let problem = Problem::new(Code::Unconfirmed, detail).applied(Applied::Yes);
    about.placed(problem, written).with("w", w.get()).with("nodes", holder_names(nodes, holders))
}

fn interrupted(about: &About, written: &Written, by: &Interruption) -> Problem {
    let problem = match by {
        Interruption::Stopping => {
            let detail = format!(
                "The node is stopping. {} and goes on replicating when the node is back with its log.",
                about.at(written, "is in the log")
            );
            Problem::new(Code::Stopping, detail).applied(Applied::Yes)
        }
        Interruption::NotLeading(why) => {
            let detail = format!(
                "{}, but {}; whether it survives is not known here. Send it again with the same id to the node that leads.",
                about.at(written, "was"),
                words::not_leading(why)
            );
            Problem::new(why.code(), detail).applied(Applied::Unknown)
        }
        Interruption::Cleaned => {
            let detail = "The log was emptied while this write waited for its nodes.";
            return about.placed(Problem::new(Code::Cleaned, detail).applied(Applied::Unknown), written);
        }
    };
    about.placed(problem.retry_after(RETRY_AFTER), written)
}

fn refused(about: &About, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Conflict { nth, id, order, same_value: true, is_held: false } => {
            let detail = format!(
                "The id {:?} holds the same value in other words, at order {order}, but that entry is not durable yet and may still get lost. Send this again to learn whether it stays.",
                id.as_str()
            );
            let problem = conflict(about, nth, &id, order, detail).with("same_value", true);
            problem.applied(Applied::Unknown).retry_after(RETRY_AFTER)
        }
        Refusal::Conflict { nth, id, order, same_value, .. } => {
            let id_text = id.as_str();
            let detail = if same_value {
                format!(
                    "The id {id_text:?} holds the same value in other words, at order {order}: it differs in the order of members, the spelling of a number, or escapes. The value is in the log, and only this text of it is not: there is nothing left to append; GET /messages/{order} shows it."
                )
            } else {
                format!(
                    "The id {id_text:?} belongs to another message, at order {order}. Use a new id for a new message."
                )
            };
            let problem = conflict(about, nth, &id, order, detail);
            if same_value { problem.with("same_value", true) } else { problem }
        }
        Refusal::PartlyKnown { nth, id, order } => {
            let detail = format!(
                "The id {:?} is in the log already, at order {order}, but not as part of this very batch.",
                id.as_str()
            );
            conflict(about, nth, &id, order, detail)
        }
        Refusal::UnexpectedOrder { length, durable } => {
            let mut detail = format!("The next order is {length}, not the expected one.");
            if durable < length {
                detail += &format!(
                    " The entries from order {durable} on are not durable yet: should they get lost, it is lower."
                );
            }
            Problem::new(Code::UnexpectedOrder, detail).with("length", length.get())
        }
        Refusal::TooLarge { nth, id, limit } => {
            about.form.name(too_large(limit), nth, "message").with("id", id.as_str())
        }
        Refusal::ReadOnly { healthy, nodes } => {
            let detail = format!(
                "Read-only: {healthy} of {nodes} nodes are healthy, which is no majority, and this log takes no appends then."
            );
            Problem::new(Code::ReadOnly, detail).retry_after(RETRY_AFTER)
        }
        Refusal::Overloaded { short_of, applied, known } => {
            overloaded(about, short_of, applied, known.as_ref())
        }
        Refusal::NotLookedUp => {
            let detail = "This node's disk does not tell in time whether the log has this already, so nothing was appended. Try again a little later.";
            Problem::new(Code::Overloaded, detail).applied(about.not_looked_up()).retry_after(RETRY_AFTER)
        }
        Refusal::NoSuchOrder { length } => {
            let detail = format!("The log has no such order; its length is {length}.");
            Problem::new(Code::NoSuchOrder, detail).with("length", length.get())
        }
        Refusal::NotLeading(why) => not_leading(&why).applied(about.not_looked_up()),
    }
}

fn overloaded(about: &About, short_of: Shortage, applied: Applied, known: Option<&Written>) -> Problem {
    let detail = match (short_of, known) {
        (Shortage::Storage, _) => {
            "More entries wait to become durable than this node's storage takes in for a while.".to_owned()
        }
        (Shortage::Waits, None) => {
            "As many requests wait for other nodes here as may, and nothing was appended. Try again a little later, or with w = 1.".to_owned()
        }
        (Shortage::Waits, Some(written)) => {
            let (place, w) = (about.at(written, "is in the log"), written.w);
            format!("{place}, but {w} nodes do not hold it yet, and as many requests wait for other nodes here as may. Try again a little later.")
        }
    };
    let problem = Problem::new(Code::Overloaded, detail).applied(applied).retry_after(RETRY_AFTER);
    match known {
        Some(written) => about.placed(problem, written),
        None => problem,
    }
}

fn conflict(about: &About, nth: usize, id: &MessageId, order: Order, detail: String) -> Problem {
    let problem = about.form.name(Problem::new(Code::Conflict, detail), nth, "id");
    problem.with("id", id.as_str()).with("order", order.get())
}

/// 413: the entry's line does not fit into one envelope.
fn too_large(limit: usize) -> Problem {
    let detail = format!(
        "The message is too large for one envelope: its entry may have at most {limit} bytes, by the nats-server's max_payload."
    );
    Problem::new(Code::MessageTooLarge, detail).with("limit", limit)
}

/// 503: this node does not lead.
pub(crate) fn not_leading(why: &NotLeading) -> Problem {
    let problem = Problem::new(why.code(), format!("No appends here: {}.", words::not_leading(why)));
    match why {
        NotLeading::Fenced { by } => problem.with("master", by.as_str()),
        NotLeading::NotPromoted { .. } | NotLeading::DryRun { .. } => problem,
        NotLeading::Diverged { node } => problem.with("secondary", node.as_str()),
        NotLeading::Recovering { .. } | NotLeading::Stopping => problem.retry_after(RETRY_AFTER),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_may_get_lower_says_so() {
        let told = |durable| {
            let (length, durable) = (Order::new(7), Order::new(durable));
            let problem = refused(&About::NO_MESSAGE, Refusal::UnexpectedOrder { length, durable });
            assert_eq!((problem.status().as_u16(), problem.member("length")), (412, Some(&7.into())));
            let document: serde_json::Value = serde_json::from_slice(&problem.body()).unwrap();
            document["detail"].as_str().unwrap().to_owned()
        };
        let sure = "The next order is 7, not the expected one.";
        assert_eq!(told(7), sure);
        let more = " The entries from order 4 on are not durable yet: should they get lost, it is lower.";
        assert_eq!(told(4), sure.to_owned() + more);
    }
}
