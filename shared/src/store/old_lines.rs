//! Old lines that were read from a disk, and are in memory for one event.

use super::{LineChunks, Lookup, Page};
use crate::{Digest, Order, entry::goes_on, lines::last_line};

/// Entries in a row, each with the marks before it.
#[derive(Debug)]
pub struct OldLines {
    lines: LineChunks,
}

impl OldLines {
    /// None yet: the first will be that of `from`.
    pub fn new(from: Order) -> OldLines {
        OldLines { lines: LineChunks::of_old(from) }
    }

    /// Takes the next entry: its line with those of the marks before it, and the log's digest through it.
    pub fn push(&mut self, lines: &[u8], digest: Digest) {
        self.lines.push_old(lines, digest);
    }

    /// The first order.
    pub fn from(&self) -> Order {
        self.lines.first()
    }

    /// Exclusive end.
    pub fn to(&self) -> Order {
        self.lines.length()
    }

    /// Bytes of the lines.
    pub fn bytes(&self) -> usize {
        self.lines.bytes()
    }
}

/// Takes what a [`Lookup`] asks for from lines that are shown one after the other.
#[derive(Debug)]
pub struct Gatherer {
    lookup: Lookup,
    lines: OldLines,
    /// The entry was seen behind which the batch begins that is asked for.
    found_begin: bool,
}

impl Gatherer {
    /// Will be shown lines from `from` on.
    pub fn new(lookup: Lookup, from: Order) -> Gatherer {
        Gatherer { lookup, lines: OldLines::new(from), found_begin: from == Order::ZERO }
    }

    /// Takes an entry with the marks before it; false if that is enough.
    pub fn take(&mut self, lines: &[u8], digest: Digest) -> bool {
        let order = self.lines.to();
        match self.lookup {
            Lookup::Lines { bytes, .. } => {
                let first = self.lines.from() == order;
                if !first && self.lines.bytes() + lines.len() > bytes {
                    return false;
                }
            }
            Lookup::Cut { at } if order < at && !goes_on(last_line(lines)) => {
                self.lines = OldLines::new(order);
                self.found_begin = true;
            }
            Lookup::Cut { .. } => {}
        }
        self.lines.push(lines, digest);
        true
    }

    /// What was taken; none if lines from further back have to be shown.
    pub fn done(self) -> Option<OldLines> {
        let whole = self.found_begin || matches!(self.lookup, Lookup::Lines { .. });
        whole.then_some(self.lines)
    }
}

/// All that was read for one event.
#[derive(Debug, Default)]
pub struct OldPages {
    list: Vec<OldLines>,
}

impl OldPages {
    /// Takes what was read.
    pub fn push(&mut self, lines: OldLines) {
        self.list.push(lines);
    }

    /// Lets go of all.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Whether nothing was taken.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bytes of the lines.
    pub fn bytes(&self) -> usize {
        self.list.iter().map(OldLines::bytes).sum()
    }

    fn holding(&self, order: Order) -> Option<&LineChunks> {
        self.list.iter().find(|lines| lines.from() <= order && order < lines.to()).map(|old| &old.lines)
    }

    /// Whether all entries of `from..to` are there.
    pub fn cover(&self, from: Order, to: Order) -> bool {
        let mut at = from;
        while at < to {
            let Some(lines) = self.holding(at) else { return false };
            at = lines.length();
        }
        true
    }

    /// The line of an entry.
    pub fn line(&self, order: Order) -> Option<&[u8]> {
        self.holding(order)?.line(order)
    }

    /// The lines of the marks before an entry.
    pub fn marks_before(&self, order: Order) -> Option<&[u8]> {
        self.holding(order)?.marks_before(order)
    }

    /// The digest through the entry before `length`, marks at `length` left out.
    pub fn digest_after(&self, length: Order) -> Option<Digest> {
        self.holding(length.before()?)?.digest_after(length)
    }

    /// Bytes of the lines of `from..to`, if all are there.
    pub fn size(&self, from: Order, to: Order) -> Option<usize> {
        let (mut at, mut size) = (from, 0);
        while at < to {
            let lines = self.holding(at)?;
            size += lines.size(at, to);
            at = lines.length();
        }
        Some(size)
    }

    /// As [`super::LogView::fit`].
    pub fn fit(&self, from: Order, bytes: usize) -> Option<Order> {
        Some(self.holding(from)?.fit(from, bytes))
    }

    /// As [`super::Reader::read`].
    pub fn page(&self, from: Order, to: Order, bytes: usize) -> Option<Page> {
        Some(self.holding(from)?.page(from, to, bytes))
    }
}
