//! What the store, its readers and its threads have in common.

use std::{
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use replog_shared::{
    Digest, Mark, Order,
    entry::EntryLine,
    store::{LineChunks, ReadError},
};

use super::{
    pipe::Pipe,
    segments::{self, Segment},
};
use crate::{
    format::{Frame, Stretch, WalkError, Walker},
    limits::{INDEX_STRIDE_BYTES, READ_BYTES},
    open::DataDir,
};

/// The log's files, its recent lines, and what its threads tell each other.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: DataDir,
    pub(crate) segments: RwLock<Vec<Segment>>,
    /// At least all lines that are not durable. Locked before `segments`, never after.
    pub(crate) tail: RwLock<LineChunks>,
    pub(crate) pipe: Pipe,
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// A line as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogLine<'a> {
    /// The order of the entry, or of the entry that follows the mark.
    pub(crate) order: Order,
    pub(crate) is_mark: bool,
    pub(crate) line: &'a [u8],
    /// The log's digest through it.
    pub(crate) digest: Digest,
}

/// A segment, opened to be read from some frame on.
struct Opened {
    path: PathBuf,
    stretch: Stretch,
    /// The order to which the first line belongs.
    at: Order,
}

impl Shared {
    /// Shows `visit` the lines that belong to `from..to`, marks at `from` included and marks at `to` not,
    /// as they are on the disk, until it breaks off. `bytes` is about how many will be read.
    ///
    /// # Errors
    /// What is there cannot be read or is damaged. The store is poisoned then.
    pub(crate) fn walk(
        &self,
        from: Order,
        to: Order,
        bytes: usize,
        mut visit: impl FnMut(LogLine<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let chunk = bytes.saturating_add(INDEX_STRIDE_BYTES as usize).min(READ_BYTES);
        let mut index = segments::holding(&read(&self.segments), from);
        let mut reached = None;
        while let Some(opened) = self.open(index, from)? {
            // After a cut, another segment may stand where the next one was.
            if reached.is_some_and(|at| at != opened.at) {
                break;
            }
            match self.walk_segment(opened, from..to, chunk, &mut visit)? {
                Some(at) if at < to => reached = Some(at),
                _ => break,
            }
            index += 1;
        }
        Ok(())
    }

    /// Walks to the end of one segment: the order it reached; `None` if `visit` broke off.
    fn walk_segment(
        &self,
        opened: Opened,
        wanted: Range<Order>,
        chunk: usize,
        visit: &mut impl FnMut(LogLine<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Order>, ReadError> {
        let Opened { path, stretch, mut at } = opened;
        let mut walker = Walker::new(stretch, chunk);
        while at < wanted.end {
            let offset = walker.offset();
            let frame = walker.next().map_err(|error| self.damaged(at, &path, &error))?;
            let Some(frame) = frame else { break };
            let Frame::Line { line, digest, .. } = frame else { continue };
            let is_mark = Mark::is_mark(line);
            if at >= wanted.start {
                if !is_mark && !is_entry_at(line, at) {
                    return Err(self.out_of_place(at, &path, offset));
                }
                if visit(LogLine { order: at, is_mark, line, digest }).is_break() {
                    return Ok(None);
                }
            }
            at = if is_mark { at } else { at.next() };
        }
        Ok(Some(at))
    }

    /// Opens a segment; `None` if there is none, or a cut takes it away at this moment. What was opened stays as it is,
    /// whatever a cut makes of its name. No lock is held while the disk works.
    fn open(&self, index: usize, from: Order) -> Result<Option<Opened>, ReadError> {
        let Some(segment) = self.segment(index) else { return Ok(None) };
        let file = self.dir.files.open(&segment.path);
        let segments = read(&self.segments);
        // Where it is not in the list any more, nobody knows whose file was opened.
        let Some(now) = segments.get(index).filter(|now| now.header == segment.header) else {
            return Ok(None);
        };
        let (offset, at) = now.seek(from);
        let to = now.end;
        drop(segments);
        let path = segment.path;
        let file = file.map_err(|error| self.damaged(from, &path, &error.into()))?;
        Ok(Some(Opened { stretch: Stretch { file, salt: segment.header.salt, from: offset, to }, path, at }))
    }

    fn segment(&self, index: usize) -> Option<Segment> {
        read(&self.segments).get(index).map(Segment::outline)
    }

    fn damaged(&self, order: Order, path: &Path, error: &WalkError) -> ReadError {
        self.poison(order, format!("{}: {error}", path.display()))
    }

    fn out_of_place(&self, order: Order, path: &Path, offset: u64) -> ReadError {
        self.poison(order, format!("{} at byte {offset}: another line stands there", path.display()))
    }

    fn poison(&self, order: Order, reason: String) -> ReadError {
        let error = ReadError { order, reason };
        self.pipe.fail(&error);
        error
    }
}

fn is_entry_at(line: &[u8], order: Order) -> bool {
    EntryLine::parse(line).is_ok_and(|entry| entry.order == order)
}
