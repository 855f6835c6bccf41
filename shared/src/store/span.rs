//! Parts of a log from place to place: what is pushed, fetched and taken over at one time.
//!
//! A log may have any number of marks at one order: promotions that no append followed. A part may end between two of
//! them, so that no envelope grows with their number, and no entry has to share one with them.

use bytes::Bytes;

use super::{LogView, Page, ReadError, Store};
use crate::{Mark, Order, Place, PlacedMark};

/// A part of a log, from one place to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where its first line begins.
    pub from: Place,
    /// Where its last line ends.
    pub to: Place,
}

impl Span {
    /// Of the lines between `from` and `end` as many as have at most `bytes` bytes, but at least one if there is one.
    /// Where it would begin between two marks it has marks alone.
    pub fn fitting(log: &dyn LogView, from: Place, end: Place, bytes: usize) -> Span {
        let marks = log.marks();
        let from = within(marks, from, end);
        let here = Marks::at(marks, from.length);
        let last_here = if from.length < end.length { here.after } else { here.after.min(end.marks) };
        let (fitting, size) = fitting_marks(marks, from.marks, last_here, 0, bytes);
        let only_marks = Span { from, to: Place::new(from.length, fitting) };
        let in_between = here.before < from.marks && from.marks < here.after;
        if fitting < last_here || from.length == end.length || in_between {
            return only_marks;
        }
        let skipped = skipped_bytes(log, from);
        let to = log.fit(from.length, bytes.saturating_add(skipped)).min(end.length);
        if to <= from.length || size > 0 && log.size(from.length, to) > bytes {
            return only_marks;
        }
        Span { from, to: Place::new(to, Marks::at(marks, to).before) }.with_trailing_marks(log, end, bytes)
    }

    /// The same with the marks behind it that fit, if it comes to the end of the log: of other marks a page has only
    /// those that an entry follows.
    fn with_trailing_marks(self, log: &dyn LogView, end: Place, bytes: usize) -> Span {
        let at_end = self.to.length == end.length && end.length == log.tip().place.length;
        if !at_end || self.to.marks >= end.marks {
            return self;
        }
        let (fitting, _) = fitting_marks(log.marks(), self.to.marks, end.marks, self.size(log), bytes);
        Span { to: Place::new(self.to.length, fitting), ..self }
    }

    /// The entries from `from` on that fit, for a node that has all marks before them.
    pub fn of_entries(log: &dyn LogView, from: Order, end: Order, bytes: usize) -> Span {
        let marks = log.marks();
        let from = Place::new(from, Marks::at(marks, from).after);
        let to = log.fit(from.length, bytes.saturating_add(skipped_bytes(log, from))).min(end);
        let to = to.max(from.length);
        Span { from, to: Place::new(to, Marks::at(marks, to).before.max(from.marks)) }
    }

    /// Whether it has no line.
    pub fn is_empty(self) -> bool {
        self.from == self.to
    }

    /// How many entries it has.
    pub fn entries(self) -> u64 {
        self.to.length.since(self.from.length)
    }

    /// Bytes of its lines.
    pub fn size(self, log: &dyn LogView) -> usize {
        let marks = log.marks();
        if self.entries() == 0 {
            return bytes_of(marks, self.from.marks, self.to.marks);
        }
        let lines = log.size(self.from.length, self.to.length).saturating_sub(skipped_bytes(log, self.from));
        lines + bytes_of(marks, Marks::at(marks, self.to.length).before, self.to.marks)
    }

    /// What to read of a log for it: orders, and how many bytes.
    pub fn to_read(self) -> (Order, Order, usize) {
        // A page has at least one entry and so all marks before it.
        let bytes = if self.entries() == 0 { 0 } else { usize::MAX };
        (self.from.length, self.to.length, bytes)
    }

    /// Its lines, or the beginning of them.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read(self, log: &impl Store) -> Result<(Span, Page), ReadError> {
        let (from, to, bytes) = self.to_read();
        Ok(self.part_of(log, log.page(from, to, bytes)?))
    }

    /// Its part of a page of `log` that was read for it. A page may end sooner, and so does the span that is returned.
    pub fn part_of(self, log: &dyn LogView, page: Page) -> (Span, Page) {
        let marks = log.marks();
        let skipped = self.from.marks.saturating_sub(Marks::at(marks, self.from.length).before);
        let start = end_of_lines(&page.bytes, 0, skipped);
        if self.entries() == 0 {
            let end = end_of_lines(&page.bytes, start, self.to.marks.saturating_sub(self.from.marks));
            let digest = log.digest_at(self.to).unwrap_or_default();
            return (self, Page { bytes: page.bytes.slice(start..end), to: self.to.length, digest });
        }
        let before = Marks::at(marks, page.to).before;
        let wanted = if page.to == self.to.length { self.to.marks.saturating_sub(before) } else { 0 };
        let (end, kept, cut) = with_trailing_marks(&page.bytes, start, wanted);
        let to = Place::new(page.to, before + kept);
        let digest = if cut { log.digest_at(to).unwrap_or_default() } else { page.digest };
        (Span { to, ..self }, Page { bytes: page.bytes.slice(start..end), to: page.to, digest })
    }
}

/// How many marks are before and after those at an order.
struct Marks {
    before: u32,
    after: u32,
}

impl Marks {
    fn at(marks: &[PlacedMark], order: Order) -> Marks {
        let before = marks.partition_point(|placed| placed.at < order);
        let after = marks.partition_point(|placed| placed.at <= order);
        Marks { before: before as u32, after: after as u32 }
    }
}

/// The place before the marks at an order.
pub fn before_marks(log: &dyn LogView, order: Order) -> Place {
    Place::new(order, Marks::at(log.marks(), order).before)
}

/// The place after the marks at an order.
pub fn after_marks(log: &dyn LogView, order: Order) -> Place {
    Place::new(order, Marks::at(log.marks(), order).after)
}

/// The place of the log that is nearest to `place`, but not after `end`.
fn within(marks: &[PlacedMark], place: Place, end: Place) -> Place {
    if place.length > end.length {
        return end;
    }
    let here = Marks::at(marks, place.length);
    let after = if place.length == end.length { here.after.min(end.marks) } else { here.after };
    Place::new(place.length, place.marks.clamp(here.before.min(after), after))
}

/// How many marks fit of those from the `from`-th to the `to`-th, beside `size` bytes, and the bytes of all. At least
/// one where there is nothing beside it.
fn fitting_marks(marks: &[PlacedMark], from: u32, to: u32, mut size: usize, bytes: usize) -> (u32, usize) {
    let mut fitting = from;
    while fitting < to {
        let more = bytes_of(marks, fitting, fitting + 1);
        if size > 0 && size + more > bytes {
            break;
        }
        size += more;
        fitting += 1;
    }
    (fitting, size)
}

/// Bytes of some marks' lines, or a little more: members that a line of an older format lacks are counted.
fn bytes_of(marks: &[PlacedMark], from: u32, to: u32) -> usize {
    let marks = marks.get(from as usize..to as usize).unwrap_or_default();
    marks.iter().map(|placed| placed.mark.encode().len()).sum()
}

/// Bytes of the marks at a place's order that are before it, which the log counts with the entry behind them. Exact
/// where they are all.
fn skipped_bytes(log: &dyn LogView, from: Place) -> usize {
    let here = Marks::at(log.marks(), from.length);
    if from.marks <= here.before {
        return 0;
    }
    match log.entry(from.length).filter(|_| from.marks == here.after) {
        Some(line) => log.size(from.length, from.length.next()).saturating_sub(line.len()),
        None => bytes_of(log.marks(), here.before, from.marks),
    }
}

/// Where the `count`-th line from `start` on ends.
fn end_of_lines(bytes: &Bytes, start: usize, count: u32) -> usize {
    (0..count)
        .fold(start, |at, _| memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end + 1))
}

/// Where the lines from `start` on end with no more than `wanted` marks behind the last entry, how many these are, and
/// whether there are more.
fn with_trailing_marks(bytes: &Bytes, start: usize, wanted: u32) -> (usize, u32, bool) {
    let mut ends = vec![bytes.len()];
    let mut end = bytes.len();
    while end > start {
        let line = memchr::memrchr(b'\n', &bytes[start..end - 1]).map_or(start, |at| start + at + 1);
        if !Mark::is_mark(&bytes[line..end]) {
            break;
        }
        end = line;
        ends.push(end);
    }
    let marks = ends.len() - 1;
    let kept = marks.min(wanted as usize);
    (ends[marks - kept], kept as u32, kept < marks)
}

#[cfg(test)]
mod tests;
