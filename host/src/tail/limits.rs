//! What one who follows the log may cost.

use std::time::Duration;

/// Bytes of lines that are read at one time. With the events' own text they fit into one piece, usually.
pub(super) const PAGE_BYTES: usize = 12 * 1024;

/// Bytes that are given to the connection at one time. Its buffer has 16 KiB then, and not 32.
pub(super) const PIECE_BYTES: usize = 16_000;

/// What a piece costs besides its bytes, in bytes: waking the client's task and one write of few bytes take about as
/// long as so many bytes of a large one.
pub(super) const PIECE_COST_BYTES: u64 = 12 * 1024;

/// How far those who follow may be ahead of their rate: an entry that is alone reaches many at once.
pub(super) const BURST: Duration = Duration::from_millis(20);

/// Silence after which a sign of life is sent. Proxies take a minute of it for a dead connection.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The shortest and the longest time, in milliseconds, that a browser is told to wait until it comes back: many
/// clients of one node come back at different times.
pub(super) const RECONNECT_MS: std::ops::Range<u32> = 500..2_500;
