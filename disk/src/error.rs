//! What can go wrong while a log is written or opened.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use replog_shared::store::StoreError;

use crate::format::WalkError;

/// Something that was to be done to a file and failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{what} {}: {error}", path.display())]
    Io { what: &'static str, path: PathBuf, error: io::Error },
    /// A segment is damaged.
    #[error("{}: {_1}", _0.display())]
    Walk(PathBuf, WalkError),
    /// Something else had failed before.
    #[error("{0}")]
    Before(StoreError),
}

impl Failed {
    /// Whether the disk is full.
    pub(crate) fn is_for_want_of_room(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Failed::Io { error, .. } if matches!(error.kind(), StorageFull | QuotaExceeded))
    }

    fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failed {
        move |error| Failed::Io { what, path: path.to_owned(), error }
    }

    pub(crate) fn creating(path: &Path) -> impl FnOnce(io::Error) -> Failed {
        Failed::at("could not create", path)
    }

    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Failed {
        Failed::at("could not write", path)
    }

    pub(crate) fn syncing(path: &Path) -> impl FnOnce(io::Error) -> Failed {
        Failed::at("could not sync", path)
    }

    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Failed {
        Failed::at("could not read", path)
    }

    pub(crate) fn removing(path: &Path) -> impl FnOnce(io::Error) -> Failed {
        Failed::at("could not remove", path)
    }
}

/// Bytes of the log that were on the disk and are not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub file: PathBuf,
    /// Where in it the damage begins.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at byte {}: {}", self.file.display(), self.offset, self.reason)
    }
}

/// Why a log on disk was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something that was on the disk is not what it was. Nothing was changed.
    #[error(
        "{0}. Nothing was changed; restore the files, or start the node as one that refills from another"
    )]
    Damaged(Damage),
    /// A newer program wrote it. Nothing was changed.
    #[error("{}: {reason}", file.display())]
    NewerVersion {
        /// The segment.
        file: PathBuf,
        /// Which version, and which are known.
        reason: String,
    },
    /// The level `memory` has no log on disk.
    #[error("a log on disk has durability disk or os")]
    NotOnDisk,
    /// The file system refused.
    #[error("{0}")]
    Io(String),
}

impl From<Failed> for OpenError {
    fn from(failed: Failed) -> OpenError {
        OpenError::Io(failed.to_string())
    }
}
