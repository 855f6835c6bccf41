//! A checked run of a log's lines: the unit that is appended, pushed and fetched.

use bytes::Bytes;

use crate::{Digest, Epoch, EpochNumber, Mark, Order, Place, PlacedMark, WallTime, entry::EntryLine};

/// Where a line ends, and the log's digest through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineEnd {
    /// Exclusive end in the run's bytes.
    pub end: u32,
    /// The log's digest through this line.
    pub digest: Digest,
}

/// The end of a log: what the next line must continue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// How far the log reaches.
    pub place: Place,
    /// Its digest.
    pub digest: Digest,
    /// The epoch of its last mark; none in an empty log.
    pub epoch: Option<Epoch>,
    /// When its last entry was appended; none without an entry, or if that is one of format 1.
    pub at: Option<WallTime>,
    /// Where the batch begins in the middle of which the log ends; none if it ends between two appends.
    pub batch: Option<Order>,
}

impl Tip {
    /// How far a reader may be shown a log that ends here: to its end, or to where a batch begins of which
    /// something is missing.
    pub fn visible_through(&self) -> Order {
        self.batch.unwrap_or(self.place.length)
    }

    fn on_entry(&mut self, entry: &EntryLine<'_>) {
        self.at = entry.at;
        self.batch = if entry.more { self.batch.or(Some(self.place.length)) } else { None };
    }
}

/// A run of lines that continues a log at a known tip: entries in order, each of the epoch of the mark
/// before it, marks of rising epochs.
///
/// Checked once, where it enters the node; appending it needs no second look.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The lines as they are stored and sent, each with its line feed.
    bytes: Bytes,
    /// The end of each entry's line in `bytes`; lines of marks lie between.
    entries: Vec<LineEnd>,
    /// The marks among the lines.
    marks: Vec<PlacedMark>,
    from: Order,
    tip: Tip,
}

/// Why a run of lines does not continue a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// Neither an entry's line nor a mark's.
    #[error("line {line} is neither an entry nor a mark")]
    NotALine {
        /// Which line of the run, from 0.
        line: usize,
    },
    /// The entry has another order than the one that is due.
    #[error("order {found} where {expected} is due")]
    OutOfOrder {
        /// The order that is due.
        expected: Order,
        /// The order in the line.
        found: Order,
    },
    /// The entry names another epoch than the mark before it.
    #[error("the entry at {order} is of epoch {found}, which is not the epoch of the mark before it")]
    WrongEpoch {
        /// The entry's order.
        order: Order,
        /// The epoch it names.
        found: EpochNumber,
    },
    /// The mark's epoch is not above that of the mark before it.
    #[error("mark of epoch {found} does not rise above the mark before it")]
    EpochNotRising {
        /// The mark's epoch.
        found: EpochNumber,
    },
    /// A mark comes before the rest of a batch: a batch is in a log as a whole or not at all.
    #[error("mark of epoch {found} within the batch that begins at {batch}")]
    WithinBatch {
        /// The mark's epoch.
        found: EpochNumber,
        /// Where the batch begins.
        batch: Order,
    },
    /// More bytes than a run may have.
    #[error("a run of lines has at most 4 GiB")]
    TooLong,
}

impl Lines {
    /// Checks that `bytes` continue a log at `tip`.
    ///
    /// # Errors
    /// At the first line that does not.
    pub fn checked(bytes: Bytes, tip: &Tip) -> Result<Lines, LinesError> {
        Lines::checked_until(bytes, tip, |_| false)
    }

    /// Of `bytes` the lines before `end`, checked. All of them if the run does not come to stand there.
    ///
    /// # Errors
    /// At the first line that does not continue a log at `tip`.
    pub fn checked_before(bytes: Bytes, tip: &Tip, end: Place) -> Result<Lines, LinesError> {
        Lines::checked_until(bytes, tip, |place| place == end)
    }

    fn checked_until(bytes: Bytes, tip: &Tip, is_end: impl Fn(Place) -> bool) -> Result<Lines, LinesError> {
        let mut run = Lines::empty(tip);
        let mut start = 0;
        while start < bytes.len() && !is_end(run.tip.place) {
            let rest = &bytes[start..];
            let end = start + memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            run.admit(&bytes[start..end], end)?;
            start = end;
        }
        run.bytes = bytes.slice(..start);
        Ok(run)
    }

    /// The run of nothing at `tip`.
    pub fn empty(tip: &Tip) -> Lines {
        let from = tip.place.length;
        Lines { bytes: Bytes::new(), entries: Vec::new(), marks: Vec::new(), from, tip: tip.clone() }
    }

    /// The run of lines that a master has just encoded: their ends are known, and `at`, when they were appended; their
    /// form is not doubted. With the last of them a batch is complete.
    pub fn of_entries(bytes: Bytes, ends: impl IntoIterator<Item = usize>, at: WallTime, tip: &Tip) -> Lines {
        let mut run = Lines::empty(tip);
        let mut start = 0;
        for end in ends {
            run.push_entry(&bytes[start..end], end);
            start = end;
        }
        run.tip.at = if run.entries.is_empty() { run.tip.at } else { Some(at) };
        run.tip.batch = None;
        run.bytes = bytes;
        run
    }

    /// The run of one mark.
    pub fn of_mark(mark: Mark, tip: &Tip) -> Lines {
        let mut run = Lines::empty(tip);
        let line = mark.encode();
        run.push_mark(mark, &line);
        run.bytes = line.into();
        run
    }

    fn admit(&mut self, line: &[u8], end: usize) -> Result<(), LinesError> {
        if u32::try_from(end).is_err() {
            return Err(LinesError::TooLong);
        }
        if !line.ends_with(b"\n") {
            return Err(LinesError::NotALine { line: self.line_number() });
        }
        if Mark::is_mark(line) { self.admit_mark(line) } else { self.admit_entry(line, end) }
    }

    fn admit_mark(&mut self, line: &[u8]) -> Result<(), LinesError> {
        let mark = Mark::parse(line).map_err(|_| LinesError::NotALine { line: self.line_number() })?;
        if self.tip.epoch.as_ref() >= Some(&mark.epoch) {
            return Err(LinesError::EpochNotRising { found: mark.epoch.number() });
        }
        if let Some(batch) = self.tip.batch {
            return Err(LinesError::WithinBatch { found: mark.epoch.number(), batch });
        }
        self.push_mark(mark, line);
        Ok(())
    }

    fn admit_entry(&mut self, line: &[u8], end: usize) -> Result<(), LinesError> {
        let entry = EntryLine::parse(line).map_err(|_| LinesError::NotALine { line: self.line_number() })?;
        let expected = self.tip.place.length;
        if entry.order != expected {
            return Err(LinesError::OutOfOrder { expected, found: entry.order });
        }
        if self.tip.epoch.as_ref().map(Epoch::number) != Some(entry.epoch) {
            return Err(LinesError::WrongEpoch { order: entry.order, found: entry.epoch });
        }
        self.tip.on_entry(&entry);
        self.push_entry(line, end);
        Ok(())
    }

    fn push_entry(&mut self, line: &[u8], end: usize) {
        self.tip.digest = self.tip.digest.extend(line);
        self.tip.place.length = self.tip.place.length.next();
        self.entries.push(LineEnd { end: end as u32, digest: self.tip.digest });
    }

    fn push_mark(&mut self, mark: Mark, line: &[u8]) {
        self.tip.digest = self.tip.digest.extend(line);
        self.tip.place.marks += 1;
        self.tip.epoch = Some(mark.epoch.clone());
        self.tip.batch = None;
        self.marks.push(PlacedMark { mark, at: self.tip.place.length, digest: self.tip.digest });
    }

    fn line_number(&self) -> usize {
        self.entries.len() + self.marks.len()
    }

    /// The lines themselves.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The end of each entry's line.
    pub fn entries(&self) -> &[LineEnd] {
        &self.entries
    }

    /// Each entry's line, line feed included.
    pub fn entry_lines(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.entries.iter().map(|entry| entry.end as usize));
        let piece = |(start, entry): (usize, &LineEnd)| last_line(&self.bytes[start..entry.end as usize]);
        starts.zip(&self.entries).map(piece)
    }

    /// The marks among the lines.
    pub fn marks(&self) -> &[PlacedMark] {
        &self.marks
    }

    /// The order at which the run begins.
    pub fn from(&self) -> Order {
        self.from
    }

    /// The log's end once the run is appended.
    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    /// Whether there is nothing to append.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The last of some lines, each of which ends with its line feed.
pub(crate) fn last_line(lines: &[u8]) -> &[u8] {
    let before = &lines[..lines.len().saturating_sub(1)];
    &lines[memchr::memrchr(b'\n', before).map_or(0, |at| at + 1)..]
}

/// What is left of `bytes`, a run that begins at `from`, behind the lines that a log at `tip` has already:
/// entries below its length, and marks not above its last epoch.
///
/// Nothing is checked but what is skipped; `None` if a line that is skipped is malformed or if the run
/// begins behind the log's end.
pub fn unseen(bytes: &Bytes, from: Place, tip: &Tip) -> Option<Bytes> {
    if from > tip.place {
        return None;
    }
    let mut start = 0;
    while start < bytes.len() {
        let end = start + memchr::memchr(b'\n', &bytes[start..])? + 1;
        let line = &bytes[start..end];
        let seen = if Mark::is_mark(line) {
            Some(&Mark::parse(line).ok()?.epoch) <= tip.epoch.as_ref()
        } else {
            EntryLine::parse(line).ok()?.order < tip.place.length
        };
        if !seen {
            break;
        }
        start = end;
    }
    Some(bytes.slice(start..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Incarnation, MarkKind, Message, MessageId,
        entry::{self, EntryHead},
    };

    fn mark(start: u32) -> Mark {
        let owner = "m".parse().unwrap();
        let epoch = Epoch { reign: 1, owner, start, incarnation: Incarnation::from_random(1) };
        Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO }
    }

    fn entry_line(order: u64, start: u32) -> Vec<u8> {
        line_of_batch(order, start, false)
    }

    fn line_of_batch(order: u64, start: u32, more: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let message = Message::from_json(Bytes::from(format!("\"m{order}\""))).unwrap();
        let id = MessageId::new(&format!("id{order}")).unwrap();
        let at = WallTime::from_ms(1_000 + order);
        let head = EntryHead { order: Order::new(order), epoch: EpochNumber { reign: 1, start }, at, more };
        entry::encode(&mut out, head, &id, &message);
        out
    }

    fn run(parts: &[Vec<u8>]) -> Bytes {
        parts.concat().into()
    }

    #[test]
    fn a_run_continues_the_log() {
        let bytes =
            run(&[mark(0).encode(), entry_line(0, 0), entry_line(1, 0), mark(1).encode(), entry_line(2, 1)]);
        let lines = Lines::checked(bytes.clone(), &Tip::default()).unwrap();
        assert_eq!(lines.tip().place, Place::new(Order::new(3), 2));
        assert_eq!(lines.entries().len(), 3);
        assert_eq!(lines.marks()[1].at, Order::new(2));
        assert_eq!(lines.entries()[2].end as usize, bytes.len());
        let expected = [entry_line(0, 0), entry_line(1, 0), entry_line(2, 1)];
        assert!(lines.entry_lines().eq(expected.iter().map(Vec::as_slice)), "marks are passed over");
    }

    #[test]
    fn what_does_not_continue_it_is_refused() {
        let refused = |parts: &[Vec<u8>]| Lines::checked(run(parts), &Tip::default()).unwrap_err();
        assert!(matches!(refused(&[entry_line(0, 0)]), LinesError::WrongEpoch { .. }));
        assert!(matches!(refused(&[mark(0).encode(), entry_line(1, 0)]), LinesError::OutOfOrder { .. }));
        assert!(matches!(refused(&[mark(0).encode(), entry_line(0, 1)]), LinesError::WrongEpoch { .. }));
        assert!(matches!(refused(&[mark(1).encode(), mark(1).encode()]), LinesError::EpochNotRising { .. }));
        assert!(matches!(refused(&[b"junk\n".to_vec()]), LinesError::NotALine { line: 0 }));
        let mut cut = mark(0).encode();
        cut.pop();
        assert!(matches!(refused(&[cut]), LinesError::NotALine { .. }));
    }

    #[test]
    fn a_run_may_end_within_a_batch_and_the_next_one_completes_it() {
        let bytes =
            run(&[mark(0).encode(), entry_line(0, 0), line_of_batch(1, 0, true), line_of_batch(2, 0, true)]);
        let open = Lines::checked(bytes, &Tip::default()).unwrap().tip().clone();
        assert_eq!((open.place.length, open.batch), (Order::new(3), Some(Order::new(1))));
        assert_eq!((open.visible_through(), open.at), (Order::new(1), Some(WallTime::from_ms(1_002))));
        let whole = Lines::checked(entry_line(3, 0).into(), &open).unwrap().tip().clone();
        assert_eq!((whole.batch, whole.visible_through()), (None, Order::new(4)));
    }

    #[test]
    fn no_epoch_begins_within_a_batch() {
        let bytes = run(&[mark(0).encode(), line_of_batch(0, 0, true), mark(1).encode()]);
        let refused = Lines::checked(bytes, &Tip::default()).unwrap_err();
        assert!(matches!(refused, LinesError::WithinBatch { batch: Order::ZERO, .. }), "{refused}");
    }

    #[test]
    fn only_what_is_unseen_is_left() {
        let all = run(&[mark(0).encode(), entry_line(0, 0), entry_line(1, 0), mark(1).encode()]);
        let tip = Lines::checked(run(&[mark(0).encode(), entry_line(0, 0)]), &Tip::default())
            .unwrap()
            .tip()
            .clone();
        let left = unseen(&all, Place::START, &tip).unwrap();
        assert_eq!(left, run(&[entry_line(1, 0), mark(1).encode()]));
        assert!(unseen(&all, Place::new(Order::new(2), 0), &tip).is_none());
        assert!(unseen(&all, Place::new(Order::new(1), 2), &tip).is_none(), "a mark is missing");
        let end = Lines::checked(left, &tip).unwrap().tip().clone();
        assert!(unseen(&all, Place::START, &end).unwrap().is_empty());
    }
}
