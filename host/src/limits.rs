//! Every maximum of what surrounds a node's core, with its reason. Those of the bus and of the edge stand beside
//! them.

use std::time::Duration;

/// Pages that are read from a disk at one time, for HTTP. A disk gives no more when it is asked by more, and
/// each takes a thread and a page's memory. Others wait for their turn, within the connections of the edge.
pub(crate) const COLD_READS: usize = 4;

/// Traced appends that are remembered; of more, the ones that stand first in the log give way. A trace is wanted
/// while its entries are on their way to the secondaries, which is over in a moment or was noticed otherwise.
pub(crate) const MAX_TRACES: usize = 1_024;

/// How long a node that stops waits for its disk before it tells its callers that nobody knows what became of their
/// writes: below the grace of the edge, so that they are still there to hear it.
pub(crate) const SETTLE_WAIT: Duration = Duration::from_secs(4);

/// How long it waits in all until its log is closed: below the 10 s that `docker stop` gives. A disk that is only slow
/// syncs some files one after the other meanwhile.
pub(crate) const STOP_WAIT: Duration = Duration::from_secs(9);
