//! The log on disk, and what a node must not forget.
//!
//! [`DataDir`] keeps a directory to one process, [`NodeFile`] is the node's own small file in it, and [`judge_node`]
//! gives the log: a [`DiskStore`], which implements [`replog_shared::store::Store`]. The bytes are described in
//! docs/FORMAT.md.
//!
//! | module | holds |
//! | --- | --- |
//! | `files` | the file system behind a trait: the real one, and a simulated one that crashes and lies |
//! | `format` | segment headers, frames, records; the only code that knows their bytes |
//! | `open` | from bytes to a log: everything judged, claims lowered, a torn end cut, damage refused |
//! | `log` | the open log: the store, its readers, the writer's and the syncer's threads, cuts |
//! | `node_file` | `node.json` |

mod error;
pub mod files;
mod format;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod limits;
mod log;
mod node_file;
mod open;

pub use error::{Damage, OpenError};
pub use log::{DiskReader, DiskStore};
pub use node_file::{NodeFacts, NodeFile, NodeFileError, recorded_end};
pub use open::{
    CheckReport, CutAtDamage, DataDir, DataDirError, Judged, JudgedNode, LogEnd, OpenMode, OpenNodeError,
    OpenOptions, OpenReport, OpenedNode, SegmentSizes, TornTail, check, judge, judge_node, open,
};

#[cfg(test)]
mod tests;
