//! Why a start waits, why a promotion does not come about, and what one would do: facts, of which a program makes
//! sentences.

use replog_shared::{Epoch, LogId, NodeName, Order, OrderRange};

/// What a start waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The bus: nobody can be asked.
    Bus,
    /// The answers of these nodes.
    Answers(Vec<NodeName>),
    /// Its own look at what all have answered.
    Comparison,
    /// What it learns of the log that this node holds, to which its own may give way.
    LogOf(NodeName),
    /// That this is so no more.
    Change(Reason),
}

/// Why a node does not lead now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A flag that is meant for one start has nothing to do in this one. Left where it is, it would give entries up at a
    /// later one.
    UselessFlag(UselessFlag),
    /// Another process of this node's own name is alive.
    Double(NodeName),
    /// A node hears a living master.
    HeardByAnother {
        /// Who hears it.
        by: NodeName,
        /// Whom.
        master: NodeName,
    },
    /// Another master is heard here.
    Rival(NodeName),
    /// The other nodes hold different logs, of this number, and this node has none.
    DifferentLogs(usize),
    /// A log is to be taken over, and no node that answers holds one.
    NoLog {
        /// How many answered.
        answered: usize,
    },
    /// The nodes whose log this one began to take over are silent.
    HoldersAreSilent,
    /// What the highest rank decides between, an operator must.
    Dispute(Dispute),
    /// A promotion reaches too few nodes.
    TooFewReached {
        /// Whole nodes that it reaches.
        whole: usize,
        /// How many it must reach.
        required: usize,
        /// Those that it does not.
        missing: Vec<NodeName>,
    },
    /// This node may take a log over once these nodes are there and whole.
    Lack {
        /// Why it has to.
        lack: Lack,
        /// The nodes.
        missing: Vec<NodeName>,
    },
    /// The other nodes stopped answering while this one was promoted.
    NoAnswers,
    /// What this node sent is not the log that it promised.
    AnotherLog(NodeName),
}

/// A flag that has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UselessFlag {
    /// `--recover`, over an empty directory.
    RecoverOfNothing,
    /// `--recover`, and nobody who answered holds or knows more than this node.
    RecoverOfNoOldCopy,
    /// `--reach`, and there is nothing to take over.
    Reach,
}

/// What the log of a node lacks that is to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// All of it: it is empty, and the others hold this log.
    All(LogId),
    /// All of it: it began a log that has no entry, and the others hold this one.
    AllButItsOwn(LogId),
    /// Entries that it had, or perhaps some.
    Some,
}

/// Why nobody but an operator can say which log is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dispute {
    /// The best log neither has nor explains what a node holds.
    Unexplained {
        /// The node.
        node: NodeName,
        /// The node of the best log.
        best: NodeName,
    },
    /// Too many epochs lie between the two logs to tell.
    Unknown {
        /// The node.
        node: NodeName,
        /// The node of the best log.
        best: NodeName,
    },
}

/// What became of the other nodes by a promotion that did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// Nothing: nobody was asked to promise.
    NothingChanged,
    /// Who promised takes nothing older any more.
    PromisesStay,
}

/// Why a join is refused, besides that a node is not configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinRefusal {
    /// It is another process of this node's own name.
    OwnName,
    /// It holds another log.
    OtherLog,
    /// Another living process has its name.
    NameInUse,
}

/// What a promotion would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The node that would be promoted.
    pub node: NodeName,
    /// Over which log; none: nobody who answered holds one.
    pub over: Option<ReportedLog>,
}

/// The log that would be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedLog {
    /// The log.
    pub log_id: LogId,
    /// All configured nodes, the promoted one first, and what they hold.
    pub nodes: Vec<(NodeName, Holding)>,
    /// What would happen.
    pub outcome: Outcome,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// It does not answer.
    NoAnswer,
    /// No log.
    NoLog,
    /// Another log.
    OtherLog(LogId),
    /// The log that would be taken over.
    Log {
        /// Its last epoch; none before the first mark.
        epoch: Option<Epoch>,
        /// How many entries it has.
        entries: Order,
        /// Whether it is whole.
        whole: bool,
    },
}

/// What would become of a promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It would come about.
    Promoted(Promoted),
    /// It would not; for this reason, if it is not that no promotion was asked for.
    NotNow(Option<Reason>),
}

/// A promotion that would come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promoted {
    /// Whole nodes that it reaches.
    pub reached: usize,
    /// Configured nodes.
    pub nodes: usize,
    /// The node whose log becomes the log; none: there is none.
    pub best: Option<NodeName>,
    /// What nodes give up; none: it cannot be told from where on.
    pub given_up: Vec<(NodeName, Option<OrderRange>)>,
    /// A living master, which would be fenced.
    pub fences: Option<Reason>,
}
