//! Mistakes on purpose, made where a node meets its core: each is one that a rule of the protocol forbids.

/// A mistake that the simulation must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A secondary acks the highest order that it received, whatever is missing before it.
    AckOfHighestReceived,
    /// The master counts acks, not nodes: a second ack of one node counts for its neighbour.
    AcksCountedTwice,
    /// The master keeps what a node had acked when its next process, which holds nothing, is admitted.
    AckedSurvivesRestart,
    /// A restarted node goes on under the incarnation it had before.
    IncarnationSurvivesRestart,
    /// Nothing is pushed, fetched or asked a second time.
    RetryGivesUp,
    /// A fetched range is appended at the log's end, wherever it belongs.
    FetchedAppendedBlindly,
    /// A pushed run is appended as it comes, without reordering and deduplication.
    PushedAppendedBlindly,
    /// The master does not find ids that it has already.
    IdIndexLost,
    /// The master answers as if w were 1.
    WriteConcernIgnored,
    /// The master passes over the order that a caller expects.
    ExpectedOrderIgnored,
    /// A secondary keeps what it was told to cut.
    CutSkipped,
    /// The master takes the order that a secondary fetches from for an ack.
    FetchTakenAsAck,
    /// A restarted master begins its log anew and gives the same orders again, without asking anybody.
    OrdersReused,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 13] = [
        Mutant::AckOfHighestReceived,
        Mutant::AcksCountedTwice,
        Mutant::AckedSurvivesRestart,
        Mutant::IncarnationSurvivesRestart,
        Mutant::RetryGivesUp,
        Mutant::FetchedAppendedBlindly,
        Mutant::PushedAppendedBlindly,
        Mutant::IdIndexLost,
        Mutant::WriteConcernIgnored,
        Mutant::ExpectedOrderIgnored,
        Mutant::CutSkipped,
        Mutant::FetchTakenAsAck,
        Mutant::OrdersReused,
    ];
}
