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
    /// A write was answered with its w met.
    Met,
    /// Of a batch that was asked again, all was found in the log.
    RetryFound,
}

impl Path {
    /// All of them.
    pub const ALL: [Path; 14] = [
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
        Path::Met,
        Path::RetryFound,
    ];
}

/// How often each path was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: [u64; Path::ALL.len()],
    /// Times an operator wiped all nodes after the faults had healed, because an empty master had no whole
    /// log to take over: the design leaves this to people.
    pub helped_not_whole: u64,
    /// … wiped secondaries of another log than the master's.
    pub helped_foreign: u64,
    /// … restarted a master that had stopped taking appends, being fenced.
    pub helped_stopped: u64,
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
        self.helped_not_whole += other.helped_not_whole;
        self.helped_foreign += other.helped_foreign;
        self.helped_stopped += other.helped_stopped;
    }

    /// The paths that were never taken.
    pub fn missing(&self) -> Vec<Path> {
        Path::ALL.into_iter().filter(|path| self.count(*path) == 0).collect()
    }
}
