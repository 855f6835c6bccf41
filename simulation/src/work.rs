//! What a node was told that it will be saved or cut, and its disk has not done yet.

use std::collections::VecDeque;

use bytes::Bytes;
use replog_shared::{Epoch, Identity, Place, store::Ticket};

use super::oracle::Saved;

/// A save or a cut that is not done.
#[derive(Debug)]
pub(super) struct Open {
    /// Where the log ended when it was given. Lines that were appended since are written after it.
    pub(super) end: Place,
    pub(super) before: Before,
}

/// What stands on the disk until it is done.
#[derive(Clone, Debug)]
pub(super) enum Before {
    /// A save: what was saved before, and what the oracle made of that.
    Save { identity: Identity, given_up_by_clean: Option<Epoch>, judged: Saved },
    /// A cut at `at`: the log with all that is to go; `damaged`: a line of it is.
    Cut { at: Place, log: Image, damaged: bool },
}

/// A log as it stands on a disk.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) lines: Bytes,
    pub(super) durable: Place,
    pub(super) synced: Place,
    pub(super) runs: Vec<Place>,
}

/// Saves and cuts, which are done in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Work {
    open: VecDeque<Open>,
    done: Ticket,
    last: Ticket,
}

impl Work {
    pub(super) fn give(&mut self, open: Open) {
        self.last = self.last.next();
        self.open.push_back(open);
    }

    /// The next one is done.
    pub(super) fn finish(&mut self) -> Option<Open> {
        let finished = self.open.pop_front()?;
        self.done = self.done.next();
        Some(finished)
    }

    /// The last one, while it is not done.
    pub(super) fn last_open(&self) -> Option<Ticket> {
        (self.done < self.last).then_some(self.last)
    }

    pub(super) const fn done(&self) -> Ticket {
        self.done
    }

    /// All of the log through a place is synced, as a cut there is done. Returns through where that is so for good: what is
    /// behind a cut that is not done goes.
    pub(super) fn on_synced(&mut self, through: Place) -> Place {
        self.open.iter_mut().fold(through, |through, open| match &mut open.before {
            Before::Cut { at, log, .. } => {
                log.durable = log.durable.max(through);
                log.synced = log.synced.max(through);
                through.min(*at)
            }
            Before::Save { .. } => through,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Those that are not done, in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Open> {
        self.open.iter()
    }
}

/// What a crash took back.
#[derive(Debug, Default)]
pub(super) struct Undone {
    /// What the oracle had made of what is on the disk again; none: no save was lost.
    pub(super) saved: Option<Saved>,
    /// A damaged line is back.
    pub(super) damaged: bool,
}
