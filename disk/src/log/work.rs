//! What the threads of a log hand to each other.

use std::{fmt, sync::Arc};

use replog_shared::{
    Digest, Lines, Place,
    store::{Chore, Cut, Ticket},
};

use super::cut::CutAt;
use crate::files::File;

/// A run that waits to be written, with the place and the digest that it continues.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) lines: Lines,
    pub(super) start: Place,
    pub(super) digest: Digest,
}

/// Something else that is done in order with the runs.
pub(super) struct Task {
    /// Done once the store is told so.
    pub(super) ticket: Ticket,
    pub(super) what: Errand,
}

/// What a task is.
pub(super) enum Errand {
    /// Cut the log, and keep or drop what is cut.
    Cut(CutAt, Cut),
    /// Whatever the node wants done in order.
    Chore(Chore),
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.what {
            Errand::Cut(at, _) => Some(at),
            Errand::Chore(_) => None,
        };
        f.debug_struct("Task").field("ticket", &self.ticket).field("cut", &what).finish()
    }
}

/// What waits for the writer.
#[derive(Debug)]
pub(super) enum Item {
    Run(Run),
    Task(Task),
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
    /// Do this.
    Task(Task),
    /// Nothing happened for a while.
    Idle,
    /// Make everything durable and end the segment: the log is to be closed.
    Seal,
    /// Go home.
    Stop,
}
