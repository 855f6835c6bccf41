//! The bytes of a segment. docs/FORMAT.md is the contract; this is its only reader and writer.

mod frame;
mod header;
mod name;
mod walk;

pub(crate) use frame::{
    Expected, FRAME_HEADER_BYTES, Frame, FrameError, RECORD_BYTES, SyncRecord, put_line, put_record,
    records_behind,
};
pub(crate) use header::{HEADER_BYTES, Header, HeaderError};
pub(crate) use name::{TEMPORARY_SUFFIX, segment_name, start_of};
pub(crate) use walk::{Stretch, WalkError, Walker};
