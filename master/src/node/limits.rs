//! Every size and interval of the node's task, with its reason.

use std::time::Duration;

/// Commands that wait for the node. More make their senders wait: the HTTP edge bounds those.
pub(super) const COMMANDS: usize = 4_096;

/// Events taken at one wake-up before effects that can wait (pushes, answers) are executed. Bounds how long
/// the first of them waits for the last.
pub(super) const BURST: usize = 1_024;

/// How often callers that hung up are looked for: soon enough that they hold no memory for long, rarely
/// enough that looking costs nothing.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
