//! Lines in memory, in pieces that never move: a whole log, or the recent end of one.

use bytes::Bytes;

use super::{Gatherer, Lookup, OldLines, Page};
use crate::{
    Digest, Lines, Mark, Order, PlacedMark,
    lines::{LineEnd, last_line},
};

/// Bytes of lines in one chunk. A chunk never moves, so this is also the largest single copy.
pub(super) const CHUNK_BYTES: usize = 1024 * 1024;

/// A run of consecutive lines in one piece of memory.
#[derive(Debug)]
struct Chunk {
    from: Order,
    bytes: Vec<u8>,
    /// The end of each entry's line in `bytes`, and the digest there; lines of marks lie between.
    ends: Vec<u32>,
    digests: Vec<Digest>,
}

impl Chunk {
    fn new(from: Order, capacity: usize) -> Chunk {
        Chunk { from, bytes: Vec::with_capacity(capacity), ends: Vec::new(), digests: Vec::new() }
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

    /// Where the bytes end that stay when `keep` entries stay and `marks_after` go: behind the marks that
    /// stay at that place.
    fn end_behind_marks(&self, keep: usize, length: Order, marks_after: &[PlacedMark]) -> usize {
        let start = self.start_of(length);
        let until = self.ends.get(keep).map_or(self.bytes.len(), |end| *end as usize);
        let at_place = marks_after.iter().filter(|placed| placed.at == length).count();
        let lines = self.bytes[start..until].split_inclusive(|byte| *byte == b'\n');
        let marks: Vec<usize> = lines.filter(|line| Mark::is_mark(line)).map(<[u8]>::len).collect();
        start + marks[..marks.len().saturating_sub(at_place)].iter().sum::<usize>()
    }
}

/// The lines of a log from some order on, in memory: of the whole log in [`super::MemoryStore`], of its
/// recent end in a store on disk.
///
/// Invariant: dense; no chunk without an entry but the last.
#[derive(Debug, Default)]
pub struct LineChunks {
    list: Vec<Chunk>,
    /// The digest through the entry before the first one held.
    before: Digest,
    length: Order,
    digest: Digest,
}

impl LineChunks {
    /// Holds nothing yet of a log that has `length` entries. `before` is its digest through the last of
    /// them; `marks` are the lines of the marks behind that entry, and `digest` the digest through those.
    pub fn behind(length: Order, before: Digest, marks: &[u8], digest: Digest) -> LineChunks {
        let chunk = Chunk { bytes: marks.to_vec(), ..Chunk::new(length, 0) };
        LineChunks { list: vec![chunk], before, length, digest }
    }

    /// Holds nothing yet: lines from `from` on that were read from a disk.
    pub(super) fn of_old(from: Order) -> LineChunks {
        LineChunks { list: vec![Chunk::new(from, 0)], length: from, ..LineChunks::default() }
    }

    /// Takes the next entry that was read: its line with those of the marks before it, and the digest through it. All
    /// of them stay in one chunk.
    pub(super) fn push_old(&mut self, lines: &[u8], digest: Digest) {
        let Some(chunk) = self.list.last_mut() else { return };
        chunk.bytes.extend_from_slice(lines);
        chunk.ends.push(chunk.bytes.len() as u32);
        chunk.digests.push(digest);
        (self.length, self.digest) = (self.length.next(), digest);
    }

    /// Copies what is asked for.
    pub(super) fn copy(&self, lookup: Lookup) -> OldLines {
        let (from, to) = match lookup {
            Lookup::Lines { from, to, .. } => (from, to.max(from.next())),
            Lookup::Cut { at } => (Order::ZERO, at.next()),
        };
        let mut gatherer = Gatherer::new(lookup, from);
        let mut at = from;
        while let Some(chunk) = self.holding(at).filter(|_| at < to) {
            let nth = at.since(chunk.from) as usize;
            let lines = &chunk.bytes[chunk.start_of(at)..chunk.ends[nth] as usize];
            if !gatherer.take(lines, chunk.digests[nth]) {
                break;
            }
            at = at.next();
        }
        gatherer.done().unwrap_or_else(|| OldLines::new(from))
    }

    /// The order of the first entry held; the log's length if none is. The marks at it are held too.
    pub fn first(&self) -> Order {
        self.list.first().map_or(self.length, |chunk| chunk.from)
    }

    /// Exclusive end of the entries held: the log's length.
    pub fn length(&self) -> Order {
        self.length
    }

    /// Bytes of the lines held.
    pub fn bytes(&self) -> usize {
        self.list.iter().map(|chunk| chunk.bytes.len()).sum()
    }

    /// Lets go of the oldest entries, all of them below `through`, as long as `keep` bytes stay.
    pub fn forget(&mut self, through: Order, keep: usize) {
        let mut rest = self.bytes();
        while let [oldest, _, ..] = &self.list[..] {
            rest -= oldest.bytes.len();
            if oldest.to() > through || rest < keep {
                return;
            }
            self.before = oldest.digests.last().copied().unwrap_or(self.before);
            self.list.remove(0);
        }
    }

    /// The chunk that holds the entry at `order`.
    fn holding(&self, order: Order) -> Option<&Chunk> {
        if order >= self.length || order < self.first() {
            return None;
        }
        self.list.get(self.list.partition_point(|chunk| chunk.to() <= order))
    }

    /// The digest through the entry before `length`, marks at `length` left out; `None` if that entry is
    /// not held.
    pub fn digest_after(&self, length: Order) -> Option<Digest> {
        if length == self.first() {
            return Some(self.before);
        }
        let last = Order::new(length.get().checked_sub(1)?);
        let chunk = self.holding(last)?;
        chunk.digests.get(last.since(chunk.from) as usize).copied()
    }

    /// The line of an entry, without the marks before it; `None` if it is not held.
    pub fn line(&self, order: Order) -> Option<&[u8]> {
        let chunk = self.holding(order)?;
        let end = chunk.ends[order.since(chunk.from) as usize] as usize;
        Some(last_line(&chunk.bytes[chunk.start_of(order)..end]))
    }

    /// The lines of the marks before an entry; `None` if it is not held.
    pub(super) fn marks_before(&self, order: Order) -> Option<&[u8]> {
        let chunk = self.holding(order)?;
        let start = chunk.start_of(order);
        let lines = &chunk.bytes[start..chunk.ends[order.since(chunk.from) as usize] as usize];
        Some(&lines[..lines.len() - last_line(lines).len()])
    }

    /// Bytes of the lines held of `from..to`.
    pub fn size(&self, from: Order, to: Order) -> usize {
        let (mut at, mut size) = (from.max(self.first()), 0);
        while let Some(chunk) = self.holding(at).filter(|_| at < to) {
            let end = to.min(chunk.to());
            size += chunk.start_of(end) - chunk.start_of(at);
            at = end;
        }
        size
    }

    /// As [`super::LogView::fit`], within the chunk that holds `from`.
    pub fn fit(&self, from: Order, bytes: usize) -> Order {
        let Some(chunk) = self.holding(from) else { return from };
        let start = chunk.start_of(from);
        let first = from.since(chunk.from) as usize;
        let fitting = chunk.ends[first..].partition_point(|end| *end as usize - start <= bytes);
        from.plus(fitting.max(1) as u64)
    }

    /// As [`super::Reader::read`], within the chunk that holds `from`.
    pub fn page(&self, from: Order, to: Order, limit: usize) -> Page {
        let Some(chunk) = self.holding(from) else { return self.trailing_marks(from) };
        let start = chunk.start_of(from);
        let first = from.since(chunk.from) as usize;
        let wanted = (to.min(chunk.to()).since(chunk.from) as usize).max(first + 1);
        let fitting = chunk.ends[first..wanted].partition_point(|end| *end as usize - start <= limit);
        let last = first + fitting.max(1);
        let to = chunk.from.plus(last as u64);
        if to == self.length && last == chunk.ends.len() {
            return Page { bytes: Bytes::copy_from_slice(&chunk.bytes[start..]), to, digest: self.digest };
        }
        let end = chunk.ends[last - 1] as usize;
        Page { bytes: Bytes::copy_from_slice(&chunk.bytes[start..end]), to, digest: chunk.digests[last - 1] }
    }

    /// The page at the log's end: no entry, only the marks behind the last one.
    fn trailing_marks(&self, from: Order) -> Page {
        let tail = self.list.last().filter(|_| from == self.length);
        let bytes = tail.map_or(&[][..], |last| &last.bytes[last.start_of(last.to())..]);
        Page { bytes: Bytes::copy_from_slice(bytes), to: from, digest: self.digest }
    }

    /// Appends a run that continues the log.
    pub fn push(&mut self, lines: &Lines) {
        for (start, end, entries) in pieces(lines) {
            let length = self.length;
            // Marks alone stay with the entry before them: no chunk is without entries but the first.
            let needed = if entries.is_empty() { 0 } else { end - start };
            let chunk = self.with_room(needed);
            let shift = chunk.bytes.len();
            chunk.bytes.extend_from_slice(&lines.bytes()[start..end]);
            for entry in entries {
                chunk.ends.push((shift + entry.end as usize - start) as u32);
                chunk.digests.push(entry.digest);
            }
            self.length = length.plus(entries.len() as u64);
        }
        self.digest = lines.tip().digest;
    }

    /// The chunk that takes `bytes` more bytes of lines.
    fn with_room(&mut self, bytes: usize) -> &mut Chunk {
        let has_room = |last: &Chunk| bytes == 0 || last.bytes.len() + bytes <= CHUNK_BYTES.max(bytes);
        let full = !self.list.last().is_some_and(has_room);
        if full {
            // The marks at the end belong to the entry that comes next.
            let marks = self.list.last_mut().map(Chunk::seal).unwrap_or_default();
            let capacity = if self.list.is_empty() { bytes } else { CHUNK_BYTES.max(bytes) + marks.len() };
            let mut chunk = Chunk::new(self.length, capacity);
            chunk.bytes.extend_from_slice(&marks);
            self.list.retain(|chunk| !chunk.ends.is_empty());
            self.list.push(chunk);
        }
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// Cuts the entries from `length` on, and the marks behind that place. `digest` is the digest there.
    pub fn cut(&mut self, length: Order, marks_after: &[PlacedMark], digest: Digest) {
        self.list.retain(|chunk| chunk.from <= length);
        if let Some(last) = self.list.last_mut() {
            let keep = length.since(last.from) as usize;
            let bytes = last.end_behind_marks(keep, length, marks_after);
            last.bytes.truncate(bytes);
            last.ends.truncate(keep);
            last.digests.truncate(keep);
        }
        self.rejoin_marks();
        self.length = length;
        self.digest = digest;
    }

    /// A last chunk without an entry gives its marks back to the chunk before.
    fn rejoin_marks(&mut self) {
        if let [.., before, last] = &mut self.list[..]
            && last.ends.is_empty()
        {
            before.bytes.append(&mut last.bytes);
            self.list.pop();
        }
    }
}

/// Cuts a run into pieces that fit a chunk: start, end, and the entries in it.
fn pieces(lines: &Lines) -> Vec<(usize, usize, &[LineEnd])> {
    let total = lines.bytes().len();
    if total <= CHUNK_BYTES {
        return vec![(0, total, lines.entries())];
    }
    let mut pieces = Vec::new();
    let (mut start, mut rest) = (0, lines.entries());
    while let Some(first) = rest.first() {
        let fitting = rest.partition_point(|entry| entry.end as usize - start <= CHUNK_BYTES).max(1);
        let end = if fitting == rest.len() { total } else { rest[fitting - 1].end as usize };
        pieces.push((start, end.max(first.end as usize), &rest[..fitting]));
        (start, rest) = (end, &rest[fitting..]);
    }
    pieces
}
