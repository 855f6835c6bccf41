//! Mistakes on purpose: each leaves a rule of the protocol out, so that the simulation can prove that it would
//! notice. Without the feature `mutants` none is ever made, and nothing of this is in the program.

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A restart does not add a start to its reign.
    StartNotCounted,
    /// A restart begins a reign.
    RestartReigns,
    /// An epoch names neither its owner nor its owner's process.
    OwnerNotInEpoch,
    /// An epoch does not name its owner's process.
    ProcessNotInEpoch,
    /// The longest log wins a promotion.
    RankByLength,
    /// The log of the highest fence wins a promotion.
    RankByFence,
    /// What ranks is what a node told before it promised.
    RankBeforePromise,
    /// A reign is promised to one node and then to another.
    TwoPromisesAReign,
    /// An answer to the question what a node holds is taken for a promise.
    AnswerIsPromise,
    /// A promoted node opens its epoch over its own log, whichever won.
    OpenWithoutFetch,
    /// A master that promised or learned of a higher epoch leads on.
    PromisedMasterGoesOn,
    /// A promotion goes on although the winner does not explain what another node holds.
    UnexplainedRankTaken,
    /// Marks without an entry may be given up as if they were nothing, whatever their kind.
    AnyMarksAreNothing,
    /// Logs without a common mark among those that a join tells of are taken to have nothing in common.
    UnknownForkIsTheBeginning,
    /// A restart gives up the last mark although entries stand behind it.
    EntriesFolded,
    /// A restart gives up the last mark although it is that of a promotion or a clean.
    TurnFolded,
    /// A node that begins to fetch a winner's log counts as whole no more, whether it gives something up or not.
    FetchIsALoss,
    /// What is read of a winner's log is not compared with what it promised.
    ReadUnchecked,
    /// A promoted node opens its epoch although its log ends within a batch.
    BatchLeftOpen,
    /// A clean goes on in the same epoch.
    CleanInPlace,
    /// A clean begins a reign.
    CleanReigns,
    /// A new log's node is saved as whole only once the log has its mark.
    NewLogIsNotWhole,
    /// A master that does not hold all leads on alone.
    NotWholeStartsAlone,
    /// An empty master leads on in the log that the others hold, without having it.
    EmptyMasterLeads,
    /// Who waited long enough is told that a write is in the log before it is durable there.
    ExpiredBeforeDurable,
    /// A node that stops answers for what is not durable.
    AnswersBeforeSeal,
    /// A start may decide in the tick in which it asks, and each round drops the answers to the last one.
    DecidesWhenItAsks,
    /// That a log is being emptied is not saved.
    CleanForgotten,
    /// What a node had acked counts on when it joins again.
    AckedSurvivesJoin,
}

#[cfg(feature = "mutants")]
thread_local! {
    static MADE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Makes this mistake from now on in this thread; none: no mistake.
#[cfg(feature = "mutants")]
pub fn set(mutant: Option<Mutant>) {
    MADE.set(mutant);
}

/// Whether this mistake is to be made.
#[cfg(feature = "mutants")]
pub(super) fn is(mutant: Mutant) -> bool {
    MADE.get() == Some(mutant)
}

/// Whether this mistake is to be made: never.
#[cfg(not(feature = "mutants"))]
pub(super) const fn is(_mutant: Mutant) -> bool {
    false
}
