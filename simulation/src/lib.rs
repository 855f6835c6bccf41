//! A whole log of simulated nodes in one thread: the real cores over simulated disks, bus, clock and clients.
//!
//! Everything is drawn from one seed, so a seed is a schedule: [`run`] gives the same result for the same seed
//! on any machine. A schedule has two phases. In *chaos* envelopes are lost, doubled, delayed, reordered and
//! damaged, links are cut, connections reset, nodes killed, paused, wiped, given an old or another node's
//! directory, promoted and deposed, while clients write, retry, hang up and clean; only safety is checked. Then
//! the faults *heal*, an operator sees to it that one node leads, and within [`LIVENESS`] all logs must be equal
//! and every w answered.
//!
//! | file | is |
//! | --- | --- |
//! | `plan`, `faults` | what a seed draws: rates, limits, faults, times |
//! | `world`, `queue` | the clock, the events, the two phases, the operator |
//! | `hub` | what nodes and clients share while an event is handled |
//! | `network` | what becomes of an envelope |
//! | `disk`, `directory`, `work` | what becomes of a log and an identity when their process ends; saves and cuts that take their time |
//! | `node` | a machine: its disk, and what runs on it |
//! | `master`, `secondary` | the real cores and their drivers, and what surrounds them |
//! | `client` | what is asked, and what may be answered |
//! | `oracle`, `mirror` | what must hold, judged by the bytes on the disks |
//! | `mutant` | mistakes on purpose that the oracle must find |
//! | `coverage` | paths that a whole run must have taken |
//! | `story` | one line an event, told only when a seed fails |

mod client;
mod coverage;
mod directory;
mod disk;
mod faults;
mod hub;
mod master;
mod mirror;
mod mutant;
mod network;
mod node;
mod oracle;
mod plan;
mod queue;
mod reads;
mod secondary;
mod story;
mod work;
mod world;

use std::{fmt, time::Duration};

pub use coverage::{Coverage, Path};
pub use mutant::Mutant;

/// How long after the faults have healed everything must be well again, in simulated time.
pub const LIVENESS: Duration = Duration::from_secs(60);

/// Schedules of one kind, where random ones come too seldom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// Three nodes, each cut off in turn.
    CutInTurn,
    /// The same, with cleans, also by masters that another one has replaced.
    Cleans,
    /// Masters that start over an old copy, or without what a power loss took, while others are cut off.
    DisksGoBack,
    /// Nodes that lose everything while what they said is still on its way.
    LateAcks,
    /// A master that starts again and again, mostly without an append in between.
    Restarts,
    /// Lines of secondaries are damaged while these run.
    Flips,
    /// Two secondaries that do not hear each other are promoted at the same time, over the third node.
    Rivals,
    /// A secondary's log is damaged while no process runs over it, and a promotion counts on what it held.
    Rots,
    /// Logs begin while the only holder of another one is cut off, and have nothing in them when it comes back.
    BareLogs,
}

impl Focus {
    /// All of them.
    pub const ALL: [Focus; 9] = [
        Focus::CutInTurn,
        Focus::Cleans,
        Focus::DisksGoBack,
        Focus::LateAcks,
        Focus::Restarts,
        Focus::Rivals,
        Focus::Flips,
        Focus::Rots,
        Focus::BareLogs,
    ];
}

/// How to run a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The kind of schedule; none: any.
    pub focus: Option<Focus>,
    /// The mistake that is built in; none: the code as it is.
    pub mutant: Option<Mutant>,
    /// Whether to tell every event; without it a run is much quicker.
    pub story: bool,
}

/// What a run that held every invariant was like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// A hash of every event in order: equal for equal schedules.
    pub trace: String,
    /// Events that happened.
    pub events: u64,
    /// Entries in the log at the end.
    pub entries: u64,
    /// Which paths it took.
    pub coverage: Coverage,
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The schedule.
    pub seed: u64,
    /// Its kind; none: any.
    pub focus: Option<Focus>,
    /// When, since the start of the simulation.
    pub at: Duration,
    /// What was found.
    pub what: String,
    /// One line an event, oldest first; empty unless it was asked for.
    pub story: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.story {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {} failed after {:?}: {}", self.seed, self.at, self.what)?;
        writeln!(f, "replay it with its story:")?;
        let nth = Focus::ALL.iter().position(|&kind| Some(kind) == self.focus);
        let kind = nth.map(|nth| format!("REPLOG_SIM_FOCUS={nth} ")).unwrap_or_default();
        write!(
            f,
            "  REPLOG_SIM_SEED={} {kind}cargo nextest run --ignore-default-filter --cargo-profile simulation -p replog-simulation replay --no-capture",
            self.seed
        )
    }
}

/// Runs one schedule to its end.
///
/// # Errors
/// The first invariant that does not hold.
pub fn run(seed: u64, options: Options) -> Result<Stats, Box<Failure>> {
    world::World::new(seed, options).run()
}
