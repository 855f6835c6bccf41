//! Every size of the node's task, with its reason.

/// Commands that wait for the node. More make their senders wait: they ask for its state, which is no hurry.
pub(super) const COMMANDS: usize = 64;

/// Events taken at one wake-up before an ack goes out: enough that one ack covers a full push window, few
/// enough that the master waits for no ack for long.
pub(super) const BURST: usize = 256;
