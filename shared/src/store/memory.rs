//! The log in memory: gone with its process, durable at once.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::{LogView, Page, ReadError, Reader, Store, id_index::IdIndex};
use crate::{
    Digest, Lines, MessageId, Order, Place, PlacedMark,
    entry::EntryLine,
    lines::{LineEnd, Tip, last_line},
};

/// Bytes of lines in one segment. A segment never moves, so this is also the largest single copy.
const SEGMENT_BYTES: usize = 1024 * 1024;

/// A run of consecutive lines in one piece of memory.
#[derive(Debug)]
struct Segment {
    from: Order,
    bytes: Vec<u8>,
    /// The end of each entry's line in `bytes`, and the digest there; lines of marks lie between.
    ends: Vec<u32>,
    digests: Vec<Digest>,
}

impl Segment {
    fn new(from: Order, capacity: usize) -> Segment {
        Segment { from, bytes: Vec::with_capacity(capacity), ends: Vec::new(), digests: Vec::new() }
    }

    fn to(&self) -> Order {
        self.from.plus(self.ends.len() as u64)
    }

    /// Where the lines that belong to `order` begin: behind the entry before it, so that the marks at
    /// `order` are included.
    fn start_of(&self, order: Order) -> usize {
        match order.since(self.from) as usize {
            0 => 0,
            count => self.ends[count - 1] as usize,
        }
    }

    /// Gives back what is not used, and the marks behind the last entry.
    fn seal(&mut self) -> Vec<u8> {
        let marks = self.bytes.split_off(self.start_of(self.to()));
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.digests.shrink_to_fit();
        marks
    }
}

/// The segments, shared by the store and its readers. Invariant: dense, none empty but the last.
#[derive(Debug, Default)]
struct Segments {
    list: Vec<Segment>,
    length: Order,
    digest: Digest,
}

impl Segments {
    /// The segment that holds the entry at `order`.
    fn holding(&self, order: Order) -> Option<&Segment> {
        if order >= self.length {
            return None;
        }
        self.list.get(self.list.partition_point(|segment| segment.to() <= order))
    }

    fn digest_after(&self, length: Order) -> Option<Digest> {
        let Some(last) = length.get().checked_sub(1) else { return Some(Digest::EMPTY) };
        let segment = self.holding(Order::new(last))?;
        segment.digests.get(last.checked_sub(segment.from.get())? as usize).copied()
    }

    /// The segment that takes `bytes` more bytes of lines.
    fn with_room(&mut self, bytes: usize) -> &mut Segment {
        let has_room = |last: &Segment| bytes == 0 || last.bytes.len() + bytes <= SEGMENT_BYTES.max(bytes);
        let full = !self.list.last().is_some_and(has_room);
        if full {
            // The marks at the end belong to the entry that comes next.
            let marks = self.list.last_mut().map(Segment::seal).unwrap_or_default();
            let capacity = if self.list.is_empty() { bytes } else { SEGMENT_BYTES.max(bytes) + marks.len() };
            let mut segment = Segment::new(self.length, capacity);
            segment.bytes.extend_from_slice(&marks);
            self.list.push(segment);
        }
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    fn push(&mut self, lines: &Lines) {
        for (start, end, entries) in pieces(lines) {
            let length = self.length;
            // Marks alone stay with the entry before them: no segment is without entries but the first.
            let needed = if entries.is_empty() { 0 } else { end - start };
            let segment = self.with_room(needed);
            let shift = segment.bytes.len();
            segment.bytes.extend_from_slice(&lines.bytes()[start..end]);
            for entry in entries {
                segment.ends.push((shift + entry.end as usize - start) as u32);
                segment.digests.push(entry.digest);
            }
            self.length = length.plus(entries.len() as u64);
        }
        self.digest = lines.tip().digest;
    }

    fn page(&self, from: Order, to: Order, limit: usize) -> Page {
        let Some(segment) = self.holding(from) else { return self.trailing_marks(from) };
        let start = segment.start_of(from);
        let first = from.since(segment.from) as usize;
        let wanted = (to.min(segment.to()).since(segment.from) as usize).max(first + 1);
        let fitting = segment.ends[first..wanted].partition_point(|end| *end as usize - start <= limit);
        let last = first + fitting.max(1);
        let to = segment.from.plus(last as u64);
        if to == self.length && last == segment.ends.len() {
            return Page { bytes: Bytes::copy_from_slice(&segment.bytes[start..]), to, digest: self.digest };
        }
        let end = segment.ends[last - 1] as usize;
        Page {
            bytes: Bytes::copy_from_slice(&segment.bytes[start..end]),
            to,
            digest: segment.digests[last - 1],
        }
    }

    /// The page at the log's end: no entry, only the marks behind the last one.
    fn trailing_marks(&self, from: Order) -> Page {
        let tail = self.list.last().filter(|_| from == self.length);
        let bytes = tail.map_or(&[][..], |last| &last.bytes[last.start_of(last.to())..]);
        Page { bytes: Bytes::copy_from_slice(bytes), to: from, digest: self.digest }
    }
}

/// Cuts a run into pieces that fit a segment: start, end, and the entries in it.
fn pieces(lines: &Lines) -> Vec<(usize, usize, &[LineEnd])> {
    let total = lines.bytes().len();
    if total <= SEGMENT_BYTES {
        return vec![(0, total, lines.entries())];
    }
    let mut pieces = Vec::new();
    let (mut start, mut rest) = (0, lines.entries());
    while let Some(first) = rest.first() {
        let fitting = rest.partition_point(|entry| entry.end as usize - start <= SEGMENT_BYTES).max(1);
        let end = if fitting == rest.len() { total } else { rest[fitting - 1].end as usize };
        pieces.push((start, end.max(first.end as usize), &rest[..fitting]));
        (start, rest) = (end, &rest[fitting..]);
    }
    pieces
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// The log in memory (`--durability memory`).
#[derive(Debug, Default)]
pub struct MemoryStore {
    segments: Arc<RwLock<Segments>>,
    marks: Vec<PlacedMark>,
    tip: Tip,
    /// Only where ids are looked up: on a master.
    ids: Option<IdIndex>,
}

impl MemoryStore {
    /// An empty log that finds entries by their id: a master's.
    pub fn with_ids() -> MemoryStore {
        MemoryStore { ids: Some(IdIndex::default()), ..MemoryStore::default() }
    }

    /// An empty log that does not look up ids: a secondary's.
    pub fn without_ids() -> MemoryStore {
        MemoryStore::default()
    }

    fn index(&mut self, lines: &Lines) {
        let Some(ids) = &mut self.ids else { return };
        for line in lines.entry_lines() {
            if let Ok(entry) = EntryLine::parse(line) {
                ids.insert(&entry.id_text(), entry.order);
            }
        }
    }
}

impl LogView for MemoryStore {
    fn tip(&self) -> &Tip {
        &self.tip
    }

    fn durable(&self) -> Place {
        self.tip.place
    }

    fn marks(&self) -> &[PlacedMark] {
        &self.marks
    }

    fn digest_at(&self, place: Place) -> Option<Digest> {
        let (before, behind) = self.marks.split_at_checked(place.marks as usize)?;
        if place.length > self.tip.place.length || behind.first().is_some_and(|next| next.at < place.length) {
            return None;
        }
        match before.last() {
            Some(last) if last.at > place.length => None,
            Some(last) if last.at == place.length => Some(last.digest),
            _ => read(&self.segments).digest_after(place.length),
        }
    }

    fn find(&self, id: &MessageId) -> Option<Order> {
        let segments = read(&self.segments);
        let carries = |order: Order| segments.line(order).is_some_and(|line| has_id(line, id));
        self.ids.as_ref()?.find(id.as_str().as_bytes(), carries)
    }

    fn entry(&self, order: Order) -> Option<Bytes> {
        read(&self.segments).line(order).map(Bytes::copy_from_slice)
    }

    fn size(&self, from: Order, to: Order) -> usize {
        let segments = read(&self.segments);
        let (mut at, mut size) = (from, 0);
        while let Some(segment) = segments.holding(at).filter(|_| at < to) {
            let end = to.min(segment.to());
            size += segment.start_of(end) - segment.start_of(at);
            at = end;
        }
        size
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        let segments = read(&self.segments);
        let Some(segment) = segments.holding(from) else { return from };
        let start = segment.start_of(from);
        let first = from.since(segment.from) as usize;
        let fitting = segment.ends[first..].partition_point(|end| *end as usize - start <= bytes);
        from.plus(fitting.max(1) as u64)
    }
}

fn has_id(line: &[u8], id: &MessageId) -> bool {
    EntryLine::parse(line).is_ok_and(|entry| entry.has_id(id))
}

impl Segments {
    /// The line of an entry, without the marks before it.
    fn line(&self, order: Order) -> Option<&[u8]> {
        let segment = self.holding(order)?;
        let end = segment.ends[order.since(segment.from) as usize] as usize;
        Some(last_line(&segment.bytes[segment.start_of(order)..end]))
    }
}

impl Store for MemoryStore {
    type Reader = MemoryReader;

    fn reader(&self) -> MemoryReader {
        MemoryReader { segments: self.segments.clone() }
    }

    fn append(&mut self, lines: &Lines) -> bool {
        if lines.is_empty() {
            return true;
        }
        if lines.from() != self.tip.place.length {
            return false;
        }
        self.index(lines);
        write(&self.segments).push(lines);
        self.marks.extend_from_slice(lines.marks());
        self.tip = lines.tip().clone();
        true
    }

    fn truncate(&mut self, place: Place) {
        let Some(digest) = self.digest_at(place) else { return };
        let marks_after = self.marks.split_off(place.marks as usize);
        let mut segments = write(&self.segments);
        segments.cut(place.length, &marks_after, digest);
        drop(segments);
        self.tip = Tip { place, digest, epoch: self.marks.last().map(|placed| placed.mark.epoch.clone()) };
        if let Some(ids) = &mut self.ids {
            ids.truncate(place.length);
        }
    }
}

impl Segments {
    /// Cuts the entries from `length` on, and the marks behind that place.
    fn cut(&mut self, length: Order, marks_after: &[PlacedMark], digest: Digest) {
        self.list
            .retain(|segment| segment.from < length || (segment.from == length && length == Order::ZERO));
        if let Some(last) = self.list.last_mut() {
            let keep = length.since(last.from) as usize;
            let bytes = last.end_behind_marks(keep, length, marks_after);
            last.bytes.truncate(bytes);
            last.ends.truncate(keep);
            last.digests.truncate(keep);
        }
        self.length = length;
        self.digest = digest;
    }
}

impl Segment {
    /// Where the bytes end that stay when `keep` entries stay and `marks_after` go: behind the marks that
    /// stay at that place.
    fn end_behind_marks(&self, keep: usize, length: Order, marks_after: &[PlacedMark]) -> usize {
        let start = self.start_of(length);
        let until = self.ends.get(keep).map_or(self.bytes.len(), |end| *end as usize);
        let at_place = marks_after.iter().filter(|placed| placed.at == length).count();
        let lines = self.bytes[start..until].split_inclusive(|byte| *byte == b'\n');
        let marks: Vec<usize> = lines.filter(|line| crate::Mark::is_mark(line)).map(<[u8]>::len).collect();
        start + marks[..marks.len().saturating_sub(at_place)].iter().sum::<usize>()
    }
}

/// Reads a log in memory.
#[derive(Clone, Debug)]
pub struct MemoryReader {
    segments: Arc<RwLock<Segments>>,
}

impl Reader for MemoryReader {
    fn read(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        Ok(read(&self.segments).page(from, to, bytes))
    }
}

#[cfg(test)]
mod tests;
