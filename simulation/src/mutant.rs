//! Mistakes on purpose: each is one that a rule of the protocol forbids.
//!
//! Those that can be made where a node meets its core are made there; the others are switches in the cores.

use replog_core::checks;
use replog_core::master::mutant as master;
use replog_core::secondary::mutant as secondary;

use super::Focus;

/// Where a mistake is made.
#[derive(Clone, Copy, Debug)]
enum Site {
    Boundary,
    Master(master::Mutant),
    Secondary(secondary::Mutant),
    /// In both cores.
    Both(master::Mutant, secondary::Mutant),
}

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident: $site:expr,)+) => {
        /// A mistake that the simulation must find.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)+];

            const fn site(self) -> Site {
                match self {
                    $(Mutant::$name => $site,)+
                }
            }
        }
    };
}

mutants! {
    /// A secondary acks the highest order that it received, whatever is missing before it.
    AckOfHighestReceived: Site::Boundary,
    /// The master counts acks, not nodes: a second ack of one node counts for its neighbour.
    AcksCountedTwice: Site::Boundary,
    /// The master keeps what a node had acked when its next process, which holds nothing, is admitted.
    AckedSurvivesRestart: Site::Boundary,
    /// A restarted node goes on under the incarnation it had before.
    IncarnationSurvivesRestart: Site::Boundary,
    /// Nothing is pushed, fetched or asked a second time.
    RetryGivesUp: Site::Boundary,
    /// A fetched range is appended at the log's end, wherever it belongs.
    FetchedAppendedBlindly: Site::Boundary,
    /// A pushed run is appended as it comes, without reordering and deduplication.
    PushedAppendedBlindly: Site::Boundary,
    /// The master does not find ids that it has already.
    IdIndexLost: Site::Boundary,
    /// The master answers as if w were 1.
    WriteConcernIgnored: Site::Boundary,
    /// The master passes over the order that a caller expects.
    ExpectedOrderIgnored: Site::Boundary,
    /// A secondary keeps what it was told to cut.
    CutSkipped: Site::Boundary,
    /// The master takes the order that a secondary fetches from for an ack.
    FetchTakenAsAck: Site::Boundary,
    /// A restarted master begins its log anew and gives the same orders again, without asking anybody.
    OrdersReused: Site::Boundary,
    /// A secondary acks what it has not synced.
    AckedBeforeSync: Site::Boundary,
    /// The master pushes and answers what it has not synced.
    PublishedBeforeSync: Site::Boundary,
    /// The mark of an epoch is not synced before the epoch begins.
    MarkNotSynced: Site::Boundary,
    /// A fence is not saved.
    FenceNotSaved: Site::Boundary,
    /// Nodes that do not hold all count as reached.
    PartlyHeldCounts: Site::Boundary,
    /// A node still counts as whole after a power loss that may have taken its tail.
    WholeAfterPowerLoss: Site::Boundary,
    /// Acks count before the epoch's mark is held, whatever digest they carry.
    AckBeforeMark: Site::Boundary,
    /// Acks of a process that is not the admitted one count.
    OldIncarnationCounts: Site::Boundary,
    /// Entries of any epoch are taken for those of the session's.
    OldEntriesTaken: Site::Boundary,
    /// A log is cut at the master's length, not at the fork.
    CutAtLength: Site::Boundary,
    /// A node shows what is durable of a batch before it holds all of it.
    BatchShownInPart: Site::Boundary,
    /// A node says what follows from a save or a cut before that is done.
    SaidBeforeSaved: Site::Boundary,
    /// A damaged log is repaired before it is saved that its node is whole no more.
    RepairedBeforeSaved: Site::Boundary,
    /// A node starts over another node's directory.
    NameUnchecked: Site::Boundary,
    /// A restart does not add a start to its reign.
    StartNotCounted: Site::Master(master::Mutant::StartNotCounted),
    /// A restart begins a reign.
    RestartReigns: Site::Master(master::Mutant::RestartReigns),
    /// An epoch names neither its owner nor its owner's process.
    OwnerNotInEpoch: Site::Master(master::Mutant::OwnerNotInEpoch),
    /// An epoch does not name its owner's process.
    ProcessNotInEpoch: Site::Master(master::Mutant::ProcessNotInEpoch),
    /// The longest log wins a promotion.
    RankByLength: Site::Master(master::Mutant::RankByLength),
    /// The log of the highest fence wins a promotion.
    RankByFence: Site::Master(master::Mutant::RankByFence),
    /// What ranks is what a node told before it promised.
    RankBeforePromise: Site::Master(master::Mutant::RankBeforePromise),
    /// An answer to the question what a node holds is taken for a promise.
    AnswerIsPromise: Site::Master(master::Mutant::AnswerIsPromise),
    /// A promoted node opens its epoch over its own log, whichever won.
    OpenWithoutFetch: Site::Master(master::Mutant::OpenWithoutFetch),
    /// A master that promised or learned of a higher epoch leads on.
    PromisedMasterGoesOn: Site::Master(master::Mutant::PromisedMasterGoesOn),
    /// A promotion goes on although the winner does not explain what another node holds.
    UnexplainedRankTaken: Site::Master(master::Mutant::UnexplainedRankTaken),
    /// Marks without an entry may be given up in a promotion as if they were nothing, whatever their kind.
    AnyMarksGivenUp: Site::Master(master::Mutant::AnyMarksAreNothing),
    /// Logs without a common mark among those that a join tells of are taken to have nothing in common.
    UnknownForkIsTheBeginning: Site::Master(master::Mutant::UnknownForkIsTheBeginning),
    /// A restart gives up its last mark although entries stand behind it.
    EntriesFolded: Site::Master(master::Mutant::EntriesFolded),
    /// A restart gives up its last mark although it is that of a promotion or a clean.
    TurnFolded: Site::Master(master::Mutant::TurnFolded),
    /// What is read of a winner's log is not compared with what it promised.
    ReadUnchecked: Site::Master(master::Mutant::ReadUnchecked),
    /// A node that begins to fetch a winner's log counts as whole no more, whether it gives something up or not.
    FetchIsALoss: Site::Master(master::Mutant::FetchIsALoss),
    /// A promoted node opens its epoch although its log ends within a batch.
    BatchLeftOpen: Site::Master(master::Mutant::BatchLeftOpen),
    /// A clean goes on in the same epoch.
    CleanInPlace: Site::Master(master::Mutant::CleanInPlace),
    /// A clean begins a reign.
    CleanReigns: Site::Master(master::Mutant::CleanReigns),
    /// A new log's node is saved as whole only once the log has its mark.
    NewLogIsNotWhole: Site::Master(master::Mutant::NewLogIsNotWhole),
    /// A master that does not hold all leads on alone.
    NotWholeStartsAlone: Site::Master(master::Mutant::NotWholeStartsAlone),
    /// An empty master leads on in the log that the others hold, without having it.
    EmptyMasterLeads: Site::Master(master::Mutant::EmptyMasterLeads),
    /// Who waited long enough is told that a write is in the log before it is durable there.
    ExpiredBeforeDurable: Site::Master(master::Mutant::ExpiredBeforeDurable),
    /// A master that is stopped answers before it has made its log durable, and for all of it.
    AnswersBeforeSeal: Site::Master(master::Mutant::AnswersBeforeSeal),
    /// A start may decide in the tick in which it asks, and each round drops the answers to the last one.
    DecidesWhenItAsks: Site::Master(master::Mutant::DecidesWhenItAsks),
    /// That a log is being emptied is not saved.
    CleanForgotten: Site::Master(master::Mutant::CleanForgotten),
    /// What a node had acked counts on when it joins again.
    AckedSurvivesJoin: Site::Master(master::Mutant::AckedSurvivesJoin),
    /// A reign is promised to one node and then to another.
    TwoPromisesAReign: Site::Both(
        master::Mutant::TwoPromisesAReign,
        secondary::Mutant::TwoPromisesAReign
    ),
    /// What the master's history does not explain is cut.
    UnexplainedCut: Site::Secondary(secondary::Mutant::UnexplainedCut),
    /// Marks without an entry are cut as if they were nothing, whatever their kind.
    AnyMarksCut: Site::Secondary(secondary::Mutant::AnyMarksAreNothing),
    /// An answer to another join than the outstanding one is taken, and the fork that it names.
    OldJoinAnswerTaken: Site::Secondary(secondary::Mutant::OldJoinAnswerTaken),
    /// Another log is given up for the master's.
    ForeignCut: Site::Secondary(secondary::Mutant::ForeignCut),
    /// With a log that has nothing in it a node forgets whatever it promised.
    PromiseForgotten: Site::Secondary(secondary::Mutant::PromiseForgotten),
}

impl Mutant {
    /// The kind of schedules that finds it soon; none: any.
    pub const fn focus(self) -> Option<Focus> {
        match self {
            Mutant::OldIncarnationCounts => Some(Focus::LateAcks),
            Mutant::AckedSurvivesJoin => Some(Focus::Flips),
            Mutant::TwoPromisesAReign => Some(Focus::Rivals),
            Mutant::CleanReigns => Some(Focus::Cleans),
            Mutant::RepairedBeforeSaved => Some(Focus::Rots),
            Mutant::PromiseForgotten => Some(Focus::BareLogs),
            Mutant::UnexplainedCut | Mutant::UnexplainedRankTaken => Some(Focus::DisksGoBack),
            Mutant::EntriesFolded | Mutant::TurnFolded | Mutant::AnyMarksGivenUp | Mutant::AnyMarksCut => {
                Some(Focus::Restarts)
            }
            _ => None,
        }
    }

    /// Makes the mistake from now on in this thread, if it is made in a core; none: no mistake.
    pub(super) fn switch(mutant: Option<Mutant>) {
        let (in_master, in_secondary) = match mutant.map(Mutant::site) {
            Some(Site::Master(mutant)) => (Some(mutant), None),
            Some(Site::Secondary(mutant)) => (None, Some(mutant)),
            Some(Site::Both(master, secondary)) => (Some(master), Some(secondary)),
            Some(Site::Boundary) | None => (None, None),
        };
        master::set(in_master);
        secondary::set(in_secondary);
        checks::switch(mutant.is_none());
    }
}
