//! Every size and interval of the log on disk, with its reason.

use std::time::Duration;

/// Bytes of the first segment. Small, so that a log with ten entries does not cost 64 MiB.
pub(crate) const SEGMENT_MIN_BYTES: u64 = 256 * 1024;

/// Bytes of the largest segment. A cut copies at most one; changing segments costs four syncs.
pub(crate) const SEGMENT_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A new segment has at least this share of what the log has already, as a divisor: few files, and never more
/// than a third of the disk space prefilled in vain.
pub(crate) const SEGMENT_SHARE: u64 = 2;

/// Bytes of zeros written at one time when a segment is prefilled.
pub(crate) const PREFILL_BYTES: usize = 256 * 1024;

/// Bytes of lines taken into one group, or one run if it has more. Bounds the writer's buffer, and how long
/// the first of a group waits for the last.
pub(crate) const GROUP_BYTES: usize = 2 * 1024 * 1024;

/// How long nothing must happen until it is noted in the log that its last group is synced. Tests that hold
/// a sync must not hold this one.
pub(crate) const IDLE: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 20 });

/// How long nothing must happen at level `os` until what was written is synced as well.
pub(crate) const IDLE_OS: Duration = Duration::from_secs(1);

/// Durable bytes of recent lines that stay in memory: pushes and acks of nodes that keep up never read the
/// disk.
pub(crate) const TAIL_BYTES: usize = 4 * 1024 * 1024;

/// Bytes between two points of the order index: what a read may have to pass over before its first line.
/// At 8 bytes a point, a log of 10 GiB costs 10 MiB.
pub(crate) const INDEX_STRIDE_BYTES: u64 = 8 * 1024;

/// Bytes read at one time while pages are served.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Bytes read at one time while a log is opened: large enough for the disk, small enough for the cache.
pub(crate) const SCAN_BYTES: usize = 512 * 1024;

/// Threads that check segments while a log is opened.
pub(crate) const SCAN_THREADS: usize = 2;

/// Checked segments that wait to be indexed. Each holds 4 bytes an entry.
pub(crate) const SCAN_QUEUE: usize = 2;

/// How many times as far is gone back at each step towards the beginning of a batch: the largest is reached in four, and
/// few lines are read in vain.
pub(crate) const BATCH_STEP: u64 = 16;
