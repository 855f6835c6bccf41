//! Pages of the log: from memory what is recent, from the disk what is older.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use replog_shared::{
    Digest, Order,
    store::{Gatherer, Lookup, OldLines, Page, ReadError, Reader},
};

use super::shared::{LogLine, Shared, read};
use crate::limits::BATCH_STEP;

/// Reads a log on disk, from any thread. Checks every checksum; bytes that do not match poison the store.
#[derive(Clone, Debug)]
pub struct DiskReader {
    pub(super) shared: Arc<Shared>,
}

impl Reader for DiskReader {
    fn read(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        self.shared.page(from, to, bytes)
    }

    fn old(&self, lookup: Lookup) -> Result<OldLines, ReadError> {
        self.shared.old(lookup)
    }

    fn recent(&self, from: Order, to: Order, bytes: usize) -> Option<Page> {
        let tail = read(&self.shared.tail);
        (from >= tail.first()).then(|| tail.page(from, to, bytes))
    }
}

impl Shared {
    pub(super) fn page(&self, from: Order, to: Order, limit: usize) -> Result<Page, ReadError> {
        let first = {
            let tail = read(&self.tail);
            if from >= tail.first() {
                return Ok(tail.page(from, to, limit));
            }
            tail.first()
        };
        let mut page = PageMaker::new(from, limit);
        self.walk(from, to.max(from.next()).min(first), limit, |line| page.take(line))?;
        Ok(self.with_trailing_marks(page.done()))
    }

    fn old(&self, lookup: Lookup) -> Result<OldLines, ReadError> {
        match lookup {
            Lookup::Lines { from, to, bytes } => {
                let gatherer = self.gather(lookup, from, to.max(from.next()), bytes)?;
                Ok(gatherer.done().unwrap_or_else(|| OldLines::new(from)))
            }
            Lookup::Cut { at } => self.before_cut(at),
        }
    }

    /// Goes back until the batch begins that goes on at `at`: mostly there is none.
    fn before_cut(&self, at: Order) -> Result<OldLines, ReadError> {
        let mut back = 1;
        loop {
            let from = Order::new(at.get().saturating_sub(back));
            let lookup = Lookup::Cut { at };
            if let Some(lines) = self.gather(lookup, from, at.next(), 0)?.done() {
                return Ok(lines);
            }
            back *= BATCH_STEP;
        }
    }

    fn gather(&self, lookup: Lookup, from: Order, to: Order, bytes: usize) -> Result<Gatherer, ReadError> {
        let to = to.min(read(&self.tail).first());
        let (mut gatherer, mut lines) = (Gatherer::new(lookup, from), Vec::new());
        self.walk(from, to, bytes, |line| {
            lines.extend_from_slice(line.line);
            if line.is_mark {
                return ControlFlow::Continue(());
            }
            let more = gatherer.take(&lines, line.digest);
            lines.clear();
            if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(gatherer)
    }

    /// A page that ends where the log does has the marks there, too.
    pub(super) fn with_trailing_marks(&self, page: Page) -> Page {
        let tail = read(&self.tail);
        if page.to != tail.length() || page.to != tail.first() {
            return page;
        }
        let marks = tail.page(page.to, page.to, 0);
        Page { bytes: [&page.bytes[..], &marks.bytes[..]].concat().into(), digest: marks.digest, ..page }
    }
}

/// Gathers lines until they are enough.
struct PageMaker {
    bytes: Vec<u8>,
    limit: usize,
    /// Behind the last entry in `bytes`; marks behind it wait for theirs.
    end: usize,
    to: Order,
    digest: Digest,
}

impl PageMaker {
    fn new(from: Order, limit: usize) -> PageMaker {
        PageMaker { bytes: Vec::new(), limit, end: 0, to: from, digest: Digest::EMPTY }
    }

    fn take(&mut self, line: LogLine<'_>) -> ControlFlow<()> {
        if self.end > 0 && self.bytes.len() + line.line.len() > self.limit {
            return ControlFlow::Break(());
        }
        self.bytes.extend_from_slice(line.line);
        if !line.is_mark {
            (self.end, self.to, self.digest) = (self.bytes.len(), line.order.next(), line.digest);
        }
        ControlFlow::Continue(())
    }

    fn done(mut self) -> Page {
        self.bytes.truncate(self.end);
        Page { bytes: Bytes::from(self.bytes), to: self.to, digest: self.digest }
    }
}
