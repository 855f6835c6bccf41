//! The log while it is open: where its lines are, who reads them, who writes them.

mod cut;
mod pipe;
mod quarantine;
mod reader;
mod segments;
mod shared;
mod spare;
mod start;
mod store;
mod syncer;
mod work;
mod writer;

pub use reader::DiskReader;
pub use store::DiskStore;

pub(crate) use cut::{close_segment, replace_by_prefix, sealed_end};
pub(crate) use quarantine::next_number;
pub(crate) use segments::{Indexer, Segment};
pub(crate) use start::Parts;
