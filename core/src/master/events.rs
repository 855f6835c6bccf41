//! What a caller asks of the core, and what it is told.

use std::time::Duration;

use replog_shared::{
    Applied, Code, EpochNumber, LogId, Message, MessageId, Moment, NodeName, Order, OrderRange, WriteConcern,
};

use super::reasons::{Aftermath, JoinRefusal, Reason, Report, WaitsFor};

/// Which waiting caller an outcome is for. Given by the node, opaque to the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId(pub usize);

/// A message that is to be appended, with its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Given by the client, or generated.
    pub id: MessageId,
    /// The payload.
    pub message: Message,
}

/// One append: one message, or a batch that takes one unbroken run of orders.
#[derive(Clone, Debug)]
pub struct Append {
    /// At least one; no id twice.
    pub messages: Vec<NewMessage>,
    /// How many nodes must hold all of it before the caller is answered.
    pub w: WriteConcern,
    /// The order that it must get; none: any.
    pub expect_order: Option<Order>,
    /// When the caller is answered at the latest, but not before this node itself holds the run; none: waits for
    /// ever.
    pub deadline: Option<Moment>,
}

impl Append {
    /// Bytes of its messages and ids.
    pub fn bytes(&self) -> usize {
        self.messages.iter().map(|new| new.id.as_str().len() + new.message.as_json().len()).sum()
    }
}

/// A set of configured secondaries, by their place in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holders(u128);

impl Holders {
    /// Adds the secondary at this place.
    pub(super) const fn insert(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    /// Whether it has the secondary at this place.
    pub const fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    /// How many secondaries it has.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }
}

/// A run of the log that a caller waits for, or waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The first order of the run.
    pub first: Order,
    /// How many entries it has; 0 for a clean.
    pub count: u64,
    /// Exclusive end of what a node must hold to hold the run: its end, or that of the batch of which it is a part.
    pub through: Order,
    /// Whether an earlier append had put it there.
    pub duplicate: bool,
    /// What was asked for.
    pub w: WriteConcern,
}

/// A write whose w is not met yet, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingWrite {
    /// What was written.
    pub written: Written,
    /// Whether this node holds it at its durability level.
    pub is_held_here: bool,
    /// The secondaries that hold it.
    pub holders: Holders,
}

impl Written {
    /// Its last order: who waits for that one waits for all of it.
    pub fn last(&self) -> Order {
        Order::new(self.first.get() + self.count.saturating_sub(1))
    }
}

/// What this node may be short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// More waits to become durable than its storage takes in for a while.
    Storage,
    /// As many callers wait for other nodes as may.
    Waits,
}

/// How an append, or a wait for one, ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum WriteOutcome {
    /// At least w nodes hold it and all before it.
    Met {
        /// What was written.
        written: Written,
        /// The secondaries that hold it.
        holders: Holders,
        /// The epoch of the answer.
        epoch: EpochNumber,
    },
    /// The caller's time is over; the entry lives on. This node holds it at its durability level.
    Unconfirmed {
        /// What was written.
        written: Written,
        /// The secondaries that hold it.
        holders: Holders,
    },
    /// The wait ended because the node cannot go on; the entry may live on.
    Interrupted {
        /// What was written.
        written: Written,
        /// Why.
        by: Interruption,
    },
    /// Nothing was stored.
    Refused(Refusal),
}

/// Why a wait was broken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// This node stops. The entry is in the log, durable.
    Stopping,
    /// This node does not lead any more. Whether the entry survives is not known here.
    NotLeading(NotLeading),
    /// The log was emptied while the caller waited.
    Cleaned,
}

/// Why nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The id belongs to another message.
    Conflict {
        /// Which message of the append, counted from 0.
        nth: usize,
        /// The id.
        id: MessageId,
        /// The order of the entry that carries it.
        order: Order,
        /// Whether the entry's message is the same value in other words.
        same_value: bool,
        /// Whether this node holds that entry at its durability level. What it does not may still get lost.
        is_held: bool,
    },
    /// Of a batch, some ids are in the log and do not form this batch.
    PartlyKnown {
        /// Which message of the append, counted from 0.
        nth: usize,
        /// An id that is in the log.
        id: MessageId,
        /// The order of the entry that carries it.
        order: Order,
    },
    /// The next order is another one than the caller expects.
    UnexpectedOrder {
        /// How long the log is, durable or not: the next order.
        length: Order,
        /// How far it is durable.
        durable: Order,
    },
    /// The entry does not fit into one envelope.
    TooLarge {
        /// Which message of the append, counted from 0.
        nth: usize,
        /// Its id.
        id: MessageId,
        /// The most bytes that its line may have.
        limit: usize,
    },
    /// No majority of the nodes is healthy, and the operator wants no appends then.
    ReadOnly {
        /// Healthy nodes, this one included.
        healthy: usize,
        /// Configured nodes.
        nodes: usize,
    },
    /// There is no room for it now.
    Overloaded {
        /// What is short.
        short_of: Shortage,
        /// Whether it is in the log all the same, by an earlier append.
        applied: Applied,
        /// Where, if it is.
        known: Option<Written>,
    },
    /// The disk has not told yet whether it is in the log already, and as many events wait for that as may, or the caller's
    /// time is over. Nothing was appended.
    NotLookedUp,
    /// No entry has this order.
    NoSuchOrder {
        /// How far the log is durable.
        length: Order,
    },
    /// This node does not lead.
    NotLeading(NotLeading),
}

impl Refusal {
    /// No room, and nothing in the log.
    pub const fn no_room(short_of: Shortage) -> Refusal {
        Refusal::Overloaded { short_of, applied: Applied::No, known: None }
    }

    /// The code of its answer.
    pub const fn code(&self) -> Code {
        match self {
            Refusal::Conflict { .. } | Refusal::PartlyKnown { .. } => Code::Conflict,
            Refusal::UnexpectedOrder { .. } => Code::UnexpectedOrder,
            Refusal::TooLarge { .. } => Code::MessageTooLarge,
            Refusal::ReadOnly { .. } => Code::ReadOnly,
            Refusal::Overloaded { .. } | Refusal::NotLookedUp => Code::Overloaded,
            Refusal::NoSuchOrder { .. } => Code::NoSuchOrder,
            Refusal::NotLeading(why) => why.code(),
        }
    }
}

/// Why this node takes no appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotLeading {
    /// It still finds out what the others hold.
    Recovering {
        /// What it waits for.
        waits_for: WaitsFor,
        /// Secondaries that are too old to take part.
        outdated: Vec<NodeName>,
    },
    /// Another node reigns.
    Fenced {
        /// Who.
        by: NodeName,
    },
    /// The promotion that the operator asked for did not come about.
    NotPromoted {
        /// Why.
        reason: Reason,
        /// What became of the other nodes.
        aftermath: Aftermath,
    },
    /// The operator only wanted to know what a promotion would do.
    DryRun {
        /// That.
        report: Box<Report>,
    },
    /// A secondary holds entries, or knows of an epoch of this node's own, that this log lacks.
    Diverged {
        /// Which secondary.
        node: NodeName,
    },
    /// It stops.
    Stopping,
}

impl NotLeading {
    /// Every code that a master which does not lead may answer with.
    pub const CODES: [Code; 6] =
        [Code::Recovering, Code::Fenced, Code::Diverged, Code::NotPromoted, Code::DryRun, Code::Stopping];

    /// The code for it in answers, `/health` and metrics.
    pub const fn code(&self) -> Code {
        match self {
            NotLeading::Recovering { .. } => Code::Recovering,
            NotLeading::Fenced { .. } => Code::Fenced,
            NotLeading::NotPromoted { .. } => Code::NotPromoted,
            NotLeading::DryRun { .. } => Code::DryRun,
            NotLeading::Diverged { .. } => Code::Diverged,
            NotLeading::Stopping => Code::Stopping,
        }
    }
}

/// A change that an operator may want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An epoch was opened: this node leads.
    Leading {
        /// The epoch.
        epoch: EpochNumber,
        /// The log.
        log_id: Option<LogId>,
        /// Its length.
        length: Order,
    },
    /// Nobody who answered holds a log: a new one begins.
    NewLog {
        /// The nodes that did not answer. What they may hold is another log then.
        silent: Vec<NodeName>,
    },
    /// The log in which this node leads has nothing in it and gives way to that of a node which was silent before.
    GivesWay {
        /// The node.
        node: NodeName,
        /// Its log.
        log_id: Option<LogId>,
    },
    /// Another node's log ranks highest: what this one lacks is fetched from there.
    Adopting {
        /// The log.
        log_id: LogId,
        /// The node whose log is fetched.
        from: NodeName,
        /// How long it is.
        length: Order,
    },
    /// This node gives up entries that the log it takes over does not have.
    Cut {
        /// Their orders.
        orders: OrderRange,
    },
    /// Round trips take so long that silent nodes are waited for longer than was configured.
    WaitRaised {
        /// What was configured.
        configured: Duration,
        /// What is waited instead, as far as is known by now.
        wait: Duration,
    },
    /// The start waits for something.
    Waiting {
        /// Why.
        reason: Reason,
    },
    /// This node does not lead any more.
    Stopped(NotLeading),
    /// A secondary was admitted.
    Admitted {
        /// Which.
        node: NodeName,
        /// How long its log is after the cut.
        length: Order,
    },
    /// A node asks to join that is not configured.
    Stranger {
        /// Its name.
        node: NodeName,
        /// The names that are.
        configured: Vec<NodeName>,
    },
    /// A join was refused.
    JoinRefused {
        /// Which node.
        node: NodeName,
        /// Why.
        reason: JoinRefusal,
    },
    /// Another master of this log's name is alive.
    Rival {
        /// Which node.
        node: NodeName,
    },
    /// An entry is larger than what the bus takes: this secondary gets nothing until it takes more.
    TooLargeForBus {
        /// Which node.
        node: NodeName,
        /// Which entry.
        order: Order,
        /// The most bytes that its line may have.
        limit: usize,
    },
    /// A secondary speaks an older version than this master: it is refused until it is upgraded.
    Outdated {
        /// Which node.
        node: NodeName,
        /// Its version.
        version: u8,
    },
    /// The log ended within a batch: the beginning of that is given up where the new epoch begins.
    BatchCut {
        /// The orders of the entries that are given up.
        orders: OrderRange,
    },
    /// An envelope was dropped: the disk does not keep up with what is asked of it.
    DiskBehind,
    /// An ack does not count.
    AckRefused {
        /// Of which node.
        node: NodeName,
        /// Why, in a word.
        why: &'static str,
    },
    /// An ack whose digest is not this log's.
    DigestMismatch {
        /// Which node.
        node: NodeName,
        /// Where.
        through: Order,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each, from a match that the compiler holds complete.
    fn after(why: &NotLeading) -> Option<NotLeading> {
        let node = || -> NodeName { "a".parse().unwrap() };
        Some(match why {
            NotLeading::Recovering { .. } => NotLeading::Fenced { by: node() },
            NotLeading::Fenced { .. } => NotLeading::Diverged { node: node() },
            NotLeading::Diverged { .. } => {
                NotLeading::NotPromoted { reason: Reason::NoAnswers, aftermath: Aftermath::PromisesStay }
            }
            NotLeading::NotPromoted { .. } => {
                NotLeading::DryRun { report: Box::new(Report { node: node(), over: None }) }
            }
            NotLeading::DryRun { .. } => NotLeading::Stopping,
            NotLeading::Stopping => return None,
        })
    }

    #[test]
    fn the_codes_of_a_master_that_does_not_lead_are_complete() {
        let first = NotLeading::Recovering { waits_for: WaitsFor::Comparison, outdated: Vec::new() };
        let all = std::iter::successors(Some(first), after);
        assert_eq!(all.map(|why| why.code()).collect::<Vec<_>>(), NotLeading::CODES);
    }
}
