//! Every size of a driver, with its reason.

/// Old parts of a log that are read at one time for events: beside what is read for HTTP, so that no reader keeps a
/// secondary from catching up.
pub(super) const PARKED_READS: usize = 4;

/// Events that wait for old lines of the log: each of many secondaries may have a window of fetches on its way, and many
/// clients may send again what they are not sure of. More find a disk that cannot keep up: packets are dropped as if the
/// bus had lost them, appends are refused as overloaded.
pub const PARKED_EVENTS: usize = 4_096;

/// Bytes of them: a few of the largest bodies, or all that a bus brings in such a time.
pub const PARKED_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of packets that wait for a save or a cut to become durable. More are dropped as if the bus had refused them:
/// acks, heartbeats and pushes come again, requests are asked again.
pub(super) const OUTBOX_BYTES: usize = 4 * 1024 * 1024;

/// Packets that wait so, whatever their size.
pub(super) const OUTBOX_ITEMS: usize = 4_096;
