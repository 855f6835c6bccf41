//! Paths that a run of many seeds must have taken: a simulation that never gets there proves nothing.

/// A path worth counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// An envelope came before one that it stands behind, and the log still became whole.
    GapFilled,
    /// An envelope came twice, or lay wholly in the log already.
    DuplicateDropped,
    /// An envelope of an older epoch or session was refused.
    StaleEpochRefused,
    /// The bus said that nobody listens.
    NoResponders,
    /// A caller whose time was over asked again and was answered.
    AnswerAfterTimeout,
    /// A node that lost everything holds the whole log again.
    WipedNodeRefilled,
    /// An ack of a process that is not admitted did not count.
    OldIncarnationIgnored,
    /// As many envelopes as may be were on their way without an ack.
    WindowFull,
    /// An empty master took over the log of its secondaries.
    LogAdopted,
    /// The log was emptied on purpose.
    Cleaned,
    /// Entries were cut that a promotion or a clean explains away.
    SuffixCut,
    /// An envelope was refused because its bytes were damaged.
    DamageRefused,
    /// An event waited for old lines to be read, …
    Parked,
    /// … and the log was cut meanwhile.
    CutWhileParked,
    /// A write was answered with its w met.
    Met,
    /// Of a batch that was asked again, all was found in the log.
    RetryFound,
    /// A node was promoted.
    Promoted,
    /// A promotion did not come about, …
    PromotionAbandoned,
    /// … and was run again.
    PromotionRunAgain,
    /// A master that had led learned that another one reigns.
    DeposedMasterTold,
    /// A promoted node gave up the beginning of a batch whose end nobody held that it reached.
    BatchCut,
    /// A promoted node gave up its own suffix for a log that ranks higher.
    OwnSuffixGivenUp,
    /// A secondary that hears nobody had itself promoted.
    TimerFired,
    /// A secondary gave up a suffix that a promotion explains away.
    SuffixCutAfterPromotion,
    /// A starting master noticed that it lacks, or may lack, what it had.
    LackNoticed,
    /// A node lost its claim to hold all, …
    WholeLost,
    /// … or gained it.
    Whole,
    /// An older copy of a node's directory was in its place at a start.
    OldCopyStarted,
    /// A log held what its master's neither has nor explains, and was kept.
    Diverged,
    /// A log was cleaned by a master while a higher epoch existed.
    CleanByZombie,
    /// Another node's directory was refused.
    NameRefused,
    /// A promotion halted, because nothing explained what another node held.
    UnexplainedHalt,
    /// A process died between two steps of one event.
    DiedBetweenSteps,
    /// A power loss took lines.
    LinesLost,
    /// A restarted master replaced its last mark, …
    Folded,
    /// … or died when that mark was gone and the next one not there yet.
    FoldTorn,
    /// A secondary gave up marks without an entry.
    MarksCut,
    /// A node was promoted over a node that holds a mark which its log lacks because it was replaced.
    PromotedOverFolded,
    /// A secondary cut its log where it was damaged.
    RotCut,
    /// A start died between what it claims of its damaged log and the cut.
    DiedInRepair,
    /// A master refused its damaged log, and started over an empty directory.
    RotRefused,
    /// A join told of too few marks: older ones were asked for.
    OlderMarksWanted,
    /// A promotion halted, because nobody could tell what another node held.
    UnknownHalt,
    /// A caller was told that its master stops, and that its write is in the log.
    StopTold,
    /// A start was refused for a flag that had nothing to do.
    FlagRefused,
    /// A secondary gave a log up that had nothing in it, …
    GaveWay,
    /// … and a leading master stepped back from one.
    LedLogGaveWay,
    /// A packet waited for a save or a cut, …
    WaitedForDisk,
    /// … and a process died before a save was done.
    SaveLost,
}

impl Path {
    /// All of them.
    pub const ALL: [Path; 49] = [
        Path::GapFilled,
        Path::DuplicateDropped,
        Path::StaleEpochRefused,
        Path::NoResponders,
        Path::AnswerAfterTimeout,
        Path::WipedNodeRefilled,
        Path::OldIncarnationIgnored,
        Path::WindowFull,
        Path::LogAdopted,
        Path::Cleaned,
        Path::SuffixCut,
        Path::DamageRefused,
        Path::Parked,
        Path::CutWhileParked,
        Path::Met,
        Path::RetryFound,
        Path::Promoted,
        Path::PromotionAbandoned,
        Path::PromotionRunAgain,
        Path::DeposedMasterTold,
        Path::BatchCut,
        Path::OwnSuffixGivenUp,
        Path::TimerFired,
        Path::SuffixCutAfterPromotion,
        Path::LackNoticed,
        Path::WholeLost,
        Path::Whole,
        Path::OldCopyStarted,
        Path::Diverged,
        Path::CleanByZombie,
        Path::NameRefused,
        Path::UnexplainedHalt,
        Path::DiedBetweenSteps,
        Path::LinesLost,
        Path::Folded,
        Path::FoldTorn,
        Path::MarksCut,
        Path::PromotedOverFolded,
        Path::RotCut,
        Path::DiedInRepair,
        Path::RotRefused,
        Path::OlderMarksWanted,
        Path::UnknownHalt,
        Path::StopTold,
        Path::FlagRefused,
        Path::GaveWay,
        Path::LedLogGaveWay,
        Path::WaitedForDisk,
        Path::SaveLost,
    ];
}

/// How often each path was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    counts: [u64; Path::ALL.len()],
    /// How often an operator helped after the faults had healed: with a start or a promotion, …
    pub helped_to_lead: u64,
    /// … or by wiping a node of another log, or one that had diverged. The design leaves both to people.
    pub helped_by_wiping: u64,
}

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage { counts: [0; Path::ALL.len()], helped_to_lead: 0, helped_by_wiping: 0 }
    }
}

impl Coverage {
    /// Counts one.
    pub fn hit(&mut self, path: Path) {
        self.add(path, 1);
    }

    /// Counts some.
    pub fn add(&mut self, path: Path, times: u64) {
        self.counts[path as usize] += times;
    }

    /// How often this path was taken.
    pub const fn count(&self, path: Path) -> u64 {
        self.counts[path as usize]
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Coverage) {
        for path in Path::ALL {
            self.add(path, other.count(path));
        }
        self.helped_to_lead += other.helped_to_lead;
        self.helped_by_wiping += other.helped_by_wiping;
    }

    /// The paths that were never taken.
    pub fn missing(&self) -> Vec<Path> {
        Path::ALL.into_iter().filter(|path| self.count(*path) == 0).collect()
    }
}
