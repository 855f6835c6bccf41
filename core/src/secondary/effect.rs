//! What a core wants done, and what it has to tell.

use replog_shared::{Epoch, Identity, Lines, LogId, NodeName, Order, OrderRange, Place, store::Cut, wire};

use crate::read_answer::ReadAnswer;

/// Something to do. The node does all of them, in order, before it brings the next event.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Save this before anything else is done.
    Save(Identity),
    /// Append this run: it was checked against the log's tip.
    Append(Lines),
    /// Cut the log behind this place, and keep or drop what is cut: nothing is lost, or the master's history explains
    /// it.
    Truncate(Place, Cut),
    /// Ask to be admitted.
    Join(wire::Join),
    /// Ask for a range.
    Fetch(wire::Fetch),
    /// Say what is held.
    Ack(wire::Ack),
    /// Answer an ask or a promise.
    State {
        /// Where the answer goes.
        reply: String,
        /// The answer.
        state: wire::State,
    },
    /// Answer a read with a page of the log.
    ReadAnswer(ReadAnswer),
    /// Tell the operator.
    Notice(Notice),
}

/// A change that an operator wants to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A master was heard; this node asks it to be admitted.
    Joining {
        /// The master's epoch.
        epoch: Epoch,
    },
    /// The master does not admit this node (yet).
    JoinRefused {
        /// Its word.
        verdict: wire::Verdict,
        /// The secondaries that it has, where it does not know this one.
        secondaries: Vec<NodeName>,
    },
    /// Admitted; what is missing is fetched.
    Joined {
        /// The master's epoch.
        epoch: Epoch,
        /// What is missing, as known by now.
        missing: OrderRange,
    },
    /// The epoch's mark is held: acks count from now on.
    Streaming {
        /// The epoch.
        epoch: Epoch,
    },
    /// All that the master held at the join is held: this node counts in a promotion.
    Whole,
    /// The master no longer counts this process among the admitted ones.
    NotAdmitted,
    /// Entries that a promotion or a clean explains away are cut from the log.
    Cut {
        /// Their orders.
        orders: OrderRange,
    },
    /// This log reaches beyond the fork, and no promotion or clean explains it; everything is kept.
    Diverged {
        /// The orders that are in question.
        orders: OrderRange,
    },
    /// This log and the master's differ before the fork, so one of them was damaged: this one is cut
    /// altogether and fetched anew.
    Damaged {
        /// What is cut.
        orders: OrderRange,
    },
    /// This node's log has nothing in it and gives way to the master's.
    GivesWay {
        /// The master's log.
        theirs: Option<LogId>,
    },
    /// The master has another log; this one is kept.
    Foreign {
        /// The master's log; none if it did not tell.
        theirs: Option<LogId>,
    },
    /// An older epoch will not be followed any more.
    Promised {
        /// The epoch that was promised.
        epoch: Epoch,
        /// The node that asked.
        to: NodeName,
    },
    /// An envelope was dropped: the disk does not keep up with what is asked of it.
    DiskBehind,
    /// An envelope of the session did not continue the log; it is fetched again.
    EntriesRefused {
        /// Where the envelope began.
        from: Order,
        /// Why, in words.
        reason: String,
    },
}
