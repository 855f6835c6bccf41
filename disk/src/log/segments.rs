//! The segments of an open log, and where in them each order is.

use std::path::PathBuf;

use replog_shared::{Order, Place};

use crate::{format::Header, limits::INDEX_STRIDE_BYTES};

/// The first frame behind some entry: from here on, every line belongs to `order` or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    /// Entries before it in its segment.
    entries: u32,
    /// Where in the file it begins.
    offset: u32,
}

/// Notes a point each [`INDEX_STRIDE_BYTES`] of a segment, as its frames pass by.
#[derive(Debug, Default)]
pub(crate) struct Indexer {
    points: Vec<Point>,
    entries: u32,
}

impl Indexer {
    /// An entry's frame ends at `offset`.
    pub(crate) fn on_entry(&mut self, offset: u64) {
        self.entries += 1;
        let last = self.points.last().map_or(0, |point| u64::from(point.offset));
        if offset >= last + INDEX_STRIDE_BYTES {
            self.points.push(Point { entries: self.entries, offset: offset as u32 });
        }
    }

    /// The segment ends at `offset` now, and takes no more entries.
    pub(crate) fn cut(&mut self, offset: u64) {
        self.points.retain(|point| u64::from(point.offset) <= offset);
    }
}

/// A segment of the log.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its file.
    pub(crate) path: PathBuf,
    /// What it says of itself.
    pub(crate) header: Header,
    /// Behind its last frame that was written.
    pub(crate) end: u64,
    /// Where the orders in it are.
    pub(crate) index: Indexer,
}

impl Segment {
    /// The place at which it begins.
    pub(crate) fn start(&self) -> Place {
        self.header.start
    }

    /// The same without its index, for work on its file while others go on with the log.
    pub(crate) fn outline(&self) -> Segment {
        Segment { path: self.path.clone(), header: self.header, end: self.end, index: Indexer::default() }
    }

    /// A frame at or before the first line that belongs to `order`, and the order to which it belongs.
    pub(crate) fn seek(&self, order: Order) -> (u64, Order) {
        let entries = order.since(self.start().length);
        let points = &self.index.points;
        let behind = points.partition_point(|point| u64::from(point.entries) <= entries);
        match behind.checked_sub(1).map(|at| points[at]) {
            Some(point) => (point.offset.into(), self.start().length.plus(point.entries.into())),
            None => (crate::format::HEADER_BYTES as u64, self.start().length),
        }
    }
}

/// The segment in which the first line is that belongs to `order`: marks at an order may stand at the end of
/// the segment before the one that has the entry.
pub(crate) fn holding(segments: &[Segment], order: Order) -> usize {
    segments.partition_point(|segment| segment.start().length < order).saturating_sub(1)
}
