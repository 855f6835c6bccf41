//! What a node must never forget, besides its log.

use serde::{Deserialize, Serialize};

use crate::{Epoch, LogId};

/// Which log a node holds, what it has promised, and whether it counts in a promotion.
///
/// It is kept on disk, and is there before anything that follows from it leaves the node: a promise that a
/// crash undoes is none. With `memory` durability every start is that of a wiped node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The log: minted or adopted once; none while the node is blank.
    pub log_id: Option<LogId>,
    /// The fence: the highest epoch that this node promised or followed. Below it nothing is accepted, acked
    /// or promised.
    pub fence: Option<Epoch>,
    /// Since it was created, wiped or lost its tail, this node has once held all that its master held when it
    /// joined. Only whole nodes count as reached in a promotion (docs/RECOVERY.md, section 8).
    pub whole: bool,
    /// The epoch of a clean that this node began as master: durable before the clean touches the log, so that a
    /// start after a crash within it finishes it. None while no clean is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleaning: Option<Epoch>,
}
