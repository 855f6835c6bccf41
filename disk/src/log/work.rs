//! What the threads of a log hand to each other.

use std::sync::Arc;

use replog_shared::{Digest, Lines, Place};

use crate::files::File;

/// A run that waits to be written, with the place and the digest that it continues.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) lines: Lines,
    pub(super) start: Place,
    pub(super) digest: Digest,
}

/// How far the writer has come.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// Counts writes, from 1.
    pub(super) write: u64,
    /// The log's end in it.
    pub(super) place: Place,
    /// Bytes of lines written since the log was opened.
    pub(super) line_bytes: u64,
    /// Where it was written.
    pub(super) file: Arc<dyn File>,
    /// Behind the last line, in that file.
    pub(super) lines_end: u64,
}

/// What the writer has to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Write these.
    Group(Vec<Run>),
    /// Nothing happened for a while.
    Idle,
    /// Make everything durable and end the segment: the log is to be cut or closed.
    Seal,
    /// Go home.
    Stop,
}
