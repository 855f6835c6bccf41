//! Opening a log: what is on the disk is judged, what its node claims of it is lowered, then it is repaired and becomes
//! a store.

mod data_dir;
mod judged;
mod leftovers;
mod log_end;
mod node;
mod parallel;
mod recover;
mod repair;
mod scan;

use std::path::PathBuf;

use replog_shared::{Digest, Durability, Epoch, Order, Place, WallTime, store::IdSeed};

pub use data_dir::{DataDir, DataDirError};
pub use judged::Judged;
pub use log_end::LogEnd;
pub use node::{JudgedNode, OpenNodeError, OpenedNode, judge_node};

use crate::{
    error::{Damage, OpenError},
    limits::{SEGMENT_MAX_BYTES, SEGMENT_MIN_BYTES, SEGMENT_SHARE},
    log::DiskStore,
};

/// What to do about bytes that were on the disk and are not sound any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenMode {
    /// Refuse, and change nothing: a master's log is nobody's copy.
    #[default]
    Strict,
    /// Keep what is before the damage, move the rest into quarantine, and say so. What was acknowledged is
    /// missing then: the node is not whole before it has fetched it again.
    CutAtDamage,
}

/// How a log is opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// `Disk` or `Os`.
    pub level: Durability,
    /// With which seed ids are hashed, so that entries can be found by them: about 20 bytes of memory an entry. None:
    /// they cannot.
    pub ids: Option<IdSeed>,
    /// What to do about damage.
    pub mode: OpenMode,
    /// Where the log ended when it was closed, if nothing was written to it since: a log that lacks something
    /// before is damaged, not torn. None if that is not known.
    pub closed_at: Option<LogEnd>,
    /// How large segments are. Old segments keep their sizes.
    pub segments: SegmentSizes,
}

/// How large segments are, in bytes. A run that is larger gets a segment of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSizes {
    /// The first one.
    pub first: u64,
    /// The largest: segments grow with the log.
    pub largest: u64,
}

impl Default for SegmentSizes {
    fn default() -> SegmentSizes {
        SegmentSizes { first: SEGMENT_MIN_BYTES, largest: SEGMENT_MAX_BYTES }
    }
}

impl SegmentSizes {
    /// The size of the next segment of a log that has so many bytes.
    pub(crate) fn next(self, log_bytes: u64) -> u64 {
        let first = self.first.max(1);
        (log_bytes / SEGMENT_SHARE).next_multiple_of(first).clamp(first, self.largest.max(first))
    }
}

/// What was found and done while a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The log's end.
    pub place: Place,
    /// Segments that were checked.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// A write that a crash had torn was cut off; it was never acknowledged at level `disk`.
    pub torn_tail: Option<TornTail>,
    /// The log was cut where it was damaged ([`OpenMode::CutAtDamage`]).
    pub cut_at_damage: Option<CutAtDamage>,
}

/// The end of a write that did not reach the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where in it the log ends now.
    pub offset: u64,
    /// Bytes that were cut off.
    pub bytes: u64,
    /// What stood there.
    pub reason: String,
}

/// What was given up because of damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutAtDamage {
    /// Where, and what was wrong.
    pub damage: Damage,
    /// The raw files that were moved or copied out of the way.
    pub quarantined: Vec<PathBuf>,
}

/// What a check found. Nothing was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The log's end, without a torn write.
    pub place: Place,
    /// The epoch of its last mark.
    pub epoch: Option<Epoch>,
    /// Its digest.
    pub digest: Digest,
    /// When its last entry was appended, if that says so.
    pub at: Option<WallTime>,
    /// Where the batch begins in the middle of which it ends.
    pub batch: Option<Order>,
    /// Segments that were checked.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// A write that a crash has torn; the next opening cuts it off.
    pub torn_tail: Option<TornTail>,
}

/// Checks the log in a data directory as [`open`] does, and changes nothing. `closed_at` is that of
/// [`OpenOptions`].
///
/// # Errors
/// The log is damaged, of a newer format, or the file system refused.
pub fn check(dir: &DataDir, closed_at: Option<LogEnd>) -> Result<CheckReport, OpenError> {
    recover::check(dir, closed_at)
}

/// Checks the log in a data directory, to open it; an empty one begins a new log. Nothing is changed.
///
/// Everything is checked: each checksum, the digest through all lines, that orders are dense.
///
/// # Errors
/// The log is damaged ([`OpenMode::Strict`]), of a newer format, or the file system refused.
pub fn judge(dir: &DataDir, options: OpenOptions) -> Result<Judged, OpenError> {
    if options.level == Durability::Memory {
        return Err(OpenError::NotOnDisk);
    }
    recover::judge(dir, options)
}

/// Opens a log that nobody claims anything of: [`judge`], and at once [`Judged::repair`]. A node opens its log with
/// [`judge_node`].
///
/// # Errors
/// As the two.
pub fn open(
    dir: &DataDir,
    options: OpenOptions,
    wake: impl Fn() + Send + Sync + 'static,
) -> Result<(DiskStore, OpenReport), OpenError> {
    let judged = judge(dir, options)?;
    leftovers::remove(dir)?;
    judged.repair(wake)
}
