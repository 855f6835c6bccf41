//! What a node tells of itself, and when it may promise: the same on every node.

use super::{Promise, Sender, State};
use crate::{Epoch, Identity, NodeName, Order, Outline, mark, store::LogView};

/// How far a log has come: the epoch of its last mark, then its length. Of two logs of one lineage the higher
/// rank has all that the lower one has (docs/RECOVERY.md, section 3).
pub type Rank<'a> = (Option<&'a Epoch>, Order);

impl State {
    /// What the node of this identity and log tells. What is not durable yet may be gone after a crash, so it
    /// is no part of it. `most`: how many marks are told, see [`crate::limits::OUTLINE_MARKS`].
    pub fn of(
        sender: Sender,
        request: u64,
        promised: Option<Epoch>,
        identity: &Identity,
        log: &dyn LogView,
        hears: Option<NodeName>,
        most: usize,
    ) -> State {
        let durable = log.durable();
        let marks = &log.marks()[..durable.marks as usize];
        State {
            sender,
            request,
            promised,
            fence: identity.fence.clone(),
            outline: Outline::of(marks, durable, most),
            digest: log.digest_at(durable).unwrap_or_default(),
            turn: mark::last_turn(marks).cloned(),
            whole: identity.whole,
            hears,
        }
    }

    /// The epoch of its last mark; none in a log without marks.
    pub fn epoch(&self) -> Option<&Epoch> {
        self.outline.epoch()
    }

    /// The rank of its log.
    pub fn rank(&self) -> Rank<'_> {
        (self.epoch(), self.outline.length)
    }

    /// The highest epoch that the node knows of: its fence or its last mark.
    pub fn highest(&self) -> Option<&Epoch> {
        self.fence.as_ref().max(self.epoch())
    }
}

impl Promise {
    /// Whether a node of this identity gives it. `hears_master`: a live master is heard, or the node itself is
    /// one; such a node promises only what is forced or what it has promised already. To be asked together with
    /// [`Promise::is_of_a_reign_already_promised`].
    pub fn may_be_given(&self, identity: &Identity, hears_master: bool) -> bool {
        let blank = identity.log_id.is_none();
        let foreign = self.sender.log_id != identity.log_id;
        let renewed = identity.fence.as_ref() == Some(&self.epoch);
        let old = Some(&self.epoch) < identity.fence.as_ref();
        !blank && !foreign && !old && (self.forced || renewed || !hears_master)
    }

    /// Whether a node of this identity has promised or followed another epoch of the very reign that is to begin: one
    /// promise a reign (docs/RECOVERY.md, section 4).
    pub fn is_of_a_reign_already_promised(&self, identity: &Identity) -> bool {
        let same_reign = |fence: &Epoch| fence.reign == self.epoch.reign && *fence != self.epoch;
        identity.fence.as_ref().is_some_and(same_reign)
    }
}
