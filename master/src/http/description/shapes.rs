//! What answers look like that are written by hand, for speed: as types, for the sake of their schemas. Tests hold the
//! real answers against those.
#![expect(dead_code, reason = "nothing is ever made of these types but schemas")]

use replog_shared::{EpochNumber, MessageId, NodeName, Order, WallTime};
use schemars::JsonSchema;
use serde_json::Value;

/// The one word of an answer that is none of a refusal.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
enum Ok {
    /// It is done.
    Ok,
}

/// The answer to an append.
#[derive(JsonSchema)]
#[schemars(rename = "Appended")]
pub(super) struct AppendedShape {
    status: Ok,
    /// The client's id, or the generated one.
    message_id: MessageId,
    order: Order,
    /// How many nodes were asked for.
    #[schemars(range(min = 1))]
    w: u16,
    /// The nodes that held it when this was written: at least `w`.
    nodes: Vec<NodeName>,
    /// How many whole nodes a promotion must reach to keep it for sure.
    kept_if_reached: u16,
    /// It was in the log before this request.
    duplicate: bool,
    epoch: EpochNumber,
    /// The node that opened the epoch: only both together name it.
    epoch_owner: NodeName,
}

/// The answer to a batch.
#[derive(JsonSchema)]
#[schemars(rename = "BatchAppended")]
pub(super) struct BatchAppendedShape {
    status: Ok,
    /// The order of its first message; the others follow without a gap.
    first_order: Order,
    /// How many messages it has.
    #[schemars(range(min = 1, max = replog_shared::limits::MAX_BATCH_MESSAGES))]
    count: u64,
    /// The clients' ids, and generated ones, in order.
    message_ids: Vec<MessageId>,
    /// How many nodes were asked for.
    #[schemars(range(min = 1))]
    w: u16,
    /// The nodes that held it when this was written: at least `w`.
    nodes: Vec<NodeName>,
    /// How many whole nodes a promotion must reach to keep it for sure.
    kept_if_reached: u16,
    /// It was in the log before this request.
    duplicate: bool,
    epoch: EpochNumber,
    /// The node that opened the epoch: only both together name it.
    epoch_owner: NodeName,
}

/// The answer to a clean.
#[derive(JsonSchema)]
#[schemars(rename = "Cleaned")]
pub(super) struct CleanedShape {
    status: Ok,
    /// How many nodes were asked for.
    #[schemars(range(min = 1))]
    w: u16,
    /// The nodes whose log was empty when this was written: at least `w`.
    nodes: Vec<NodeName>,
    /// How many whole nodes a promotion must reach to keep the clean for sure.
    kept_if_reached: u16,
    /// Always false.
    duplicate: bool,
    /// The epoch that begins with nothing.
    epoch: EpochNumber,
    /// The node that opened the epoch: only both together name it.
    epoch_owner: NodeName,
}

/// One entry, and who holds it.
#[derive(JsonSchema)]
#[schemars(rename = "HeldEntry")]
pub(super) struct HeldEntryShape {
    order: Order,
    epoch: EpochNumber,
    /// When it was appended, on the master's clock; never before the entry before it. Absent in an entry that was
    /// appended before there were times in the log (format 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WallTime")]
    at: Option<WallTime>,
    id: MessageId,
    /// The batch goes on with the next entry. Absent where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    more: Option<bool>,
    message: Value,
    /// The nodes that held it when this was written.
    nodes: Vec<NodeName>,
}
