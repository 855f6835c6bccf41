//! The log on disk, as its node sees it.

use std::{ops::ControlFlow, sync::Arc, thread::JoinHandle};

use bytes::Bytes;
use replog_shared::{
    Digest, Lines, MessageId, Order, Place, PlacedMark,
    entry::{EntryLine, goes_on},
    limits::RUN_BYTES_MAX,
    lines::Tip,
    store::{
        Chore, Cut, IdIndex, LineChunks, LogView, OldPages, Page, ReadError, Store, StoreError, StoreFigures,
        Ticket, UnfinishedBatches, digest_at_mark, tip_of_cut,
    },
};

use super::{
    cut::CutAt,
    pipe::Reached,
    reader::DiskReader,
    shared::{Shared, read, write},
    spare::Spares,
    work::{Errand, Run},
};
use crate::limits::{INDEX_STRIDE_BYTES, TAIL_BYTES};

/// The log on disk (`--durability disk` and `os`). Opened with [`crate::open`].
///
/// Appends go to memory and to a writer thread; [`LogView::durable`] follows when [`Store::refresh`] is
/// called after a wake-up. Recent lines are served from memory, older ones from the disk with their
/// checksums verified. Any error of the disk is final: see [`StoreError::Failed`].
#[derive(Debug)]
pub struct DiskStore {
    pub(super) shared: Arc<Shared>,
    pub(super) marks: Vec<PlacedMark>,
    pub(super) tip: Tip,
    pub(super) durable: Place,
    /// Of lines that are not durable yet.
    pub(super) pending_bytes: usize,
    pub(super) done: Ticket,
    pub(super) unfinished: UnfinishedBatches,
    /// Only where ids are looked up: on a master.
    pub(super) ids: Option<IdIndex>,
    /// What was read for the event that is being decided.
    pub(super) lent: OldPages,
    pub(super) spares: Arc<Spares>,
    pub(super) threads: Vec<JoinHandle<()>>,
}

impl LogView for DiskStore {
    fn tip(&self) -> &Tip {
        &self.tip
    }

    fn durable(&self) -> Place {
        self.durable
    }

    fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    fn visible_through(&self) -> Order {
        self.unfinished.visible_through(self.durable.length)
    }

    fn marks(&self) -> &[PlacedMark] {
        &self.marks
    }

    /// `None` also if it cannot be read; the store has failed then.
    fn digest_at(&self, place: Place) -> Option<Digest> {
        digest_at_mark(&self.tip, &self.marks, place)?.or_else(|| self.digest_after(place.length))
    }

    /// `None` also if an entry that may carry the id cannot be read; the store has failed then, and takes no
    /// more lines.
    fn find(&self, id: &MessageId) -> Option<Order> {
        let ids = self.ids.as_ref()?;
        let carries = |order: Order| {
            self.entry(order).is_some_and(|line| EntryLine::parse(&line).is_ok_and(|entry| entry.has_id(id)))
        };
        ids.find(id.as_str().as_bytes(), carries)
    }

    /// `None` also if it cannot be read; the store has failed then.
    fn entry(&self, order: Order) -> Option<Bytes> {
        let recent = read(&self.shared.tail).line(order).map(Bytes::copy_from_slice);
        let lent = || self.lent.line(order).map(Bytes::copy_from_slice);
        recent.or_else(lent).or_else(|| self.old_entry(order, |line, _| Bytes::copy_from_slice(line)))
    }

    fn batch_end(&self, order: Order) -> Order {
        let (mut end, mut more) = (order, true);
        let first = read(&self.shared.tail).first();
        while let Some(line) = self.lent.line(end).filter(|_| more && end < first) {
            (end, more) = (end.next(), goes_on(line));
        }
        if more && end < first {
            // The store has failed if they cannot be read.
            let _poisoned = self.shared.walk(end, first, INDEX_STRIDE_BYTES as usize, |line| {
                if !line.is_mark {
                    (end, more) = (line.order.next(), goes_on(line.line));
                }
                if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        }
        let tail = read(&self.shared.tail);
        while let Some(line) = tail.line(end).filter(|_| more) {
            (end, more) = (end.next(), goes_on(line));
        }
        end
    }

    fn size(&self, from: Order, to: Order) -> usize {
        let tail = read(&self.shared.tail);
        let (first, recent) = (tail.first(), tail.size(from, to));
        drop(tail);
        let until = to.min(first);
        let lent = self.lent.size(from.min(until), until);
        lent.unwrap_or_else(|| self.measure(from, until, usize::MAX).1) + recent
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        let tail = read(&self.shared.tail);
        if from >= tail.first() {
            return tail.fit(from, bytes);
        }
        let first = tail.first();
        drop(tail);
        self.lent.fit(from, bytes).unwrap_or_else(|| self.measure(from, first, bytes).0)
    }

    fn recent_from(&self) -> Order {
        read(&self.shared.tail).first()
    }

    fn has_at_hand(&self, from: Order, to: Order) -> bool {
        let until = to.min(self.recent_from());
        from >= until || self.lent.cover(from, until)
    }

    fn candidates(&self, id: &MessageId, show: &mut dyn FnMut(Order)) {
        if let Some(ids) = &self.ids {
            ids.candidates(id.as_str().as_bytes(), show);
        }
    }
}

impl DiskStore {
    pub(super) fn digest_after(&self, length: Order) -> Option<Digest> {
        let Some(last) = length.before() else { return Some(Digest::EMPTY) };
        let recent = read(&self.shared.tail).digest_after(length);
        let known = recent.or_else(|| self.unfinished.digest_before(length));
        let known = known.or_else(|| self.lent.digest_after(length));
        known.or_else(|| self.old_entry(last, |_, digest| digest))
    }

    /// Something of an entry that is not in memory any more.
    fn old_entry<T>(&self, order: Order, take: impl Fn(&[u8], Digest) -> T) -> Option<T> {
        if order >= read(&self.shared.tail).first() {
            return None;
        }
        let mut found = None;
        let walked = self.shared.walk(order, order.next(), INDEX_STRIDE_BYTES as usize, |line| {
            if !line.is_mark {
                found = Some(take(line.line, line.digest));
            }
            ControlFlow::Continue(())
        });
        walked.ok().and(found)
    }

    /// How far and how large the lines on disk of `from..to` are, within `limit` bytes but at least one entry.
    /// Where they cannot be read, as far as they can; the store has failed then.
    fn measure(&self, from: Order, to: Order, limit: usize) -> (Order, usize) {
        let (mut end, mut size, mut marks) = (from, 0, 0);
        let _poisoned = self.shared.walk(from, to, limit, |line| {
            if line.is_mark {
                marks += line.line.len();
                return ControlFlow::Continue(());
            }
            let with = size + marks + line.line.len();
            if end > from && with > limit {
                return ControlFlow::Break(());
            }
            (end, size, marks) = (line.order.next(), with, 0);
            ControlFlow::Continue(())
        });
        (end.max(from.next()), size)
    }

    /// Lines that are durable need not stay in memory.
    fn forget_old_lines(&self) {
        write(&self.shared.tail).forget(self.durable.length, TAIL_BYTES);
    }

    /// The tail of a log that ends at `cut`, all of it on the disk.
    fn empty_tail(&self, cut: &CutAt) -> Result<LineChunks, ReadError> {
        let marks = self.marks_that_stay(cut)?;
        let before = self.digest_after(cut.place.length).unwrap_or_default();
        Ok(LineChunks::behind(cut.place.length, before, &marks, cut.digest))
    }

    /// The lines of the marks at the place of a cut that are before it.
    fn marks_that_stay(&self, cut: &CutAt) -> Result<Vec<u8>, ReadError> {
        let (order, mut left) = (cut.place.length, cut.marks_that_stay);
        if let Some(marks) = self.lent.marks_before(order) {
            let lines = marks.split_inclusive(|byte| *byte == b'\n').take(left as usize);
            return Ok(lines.collect::<Vec<_>>().concat());
        }
        let mut marks = Vec::new();
        if left > 0 {
            self.shared.walk(order, order.next(), 0, |line| {
                marks.extend_from_slice(line.line);
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        Ok(marks)
    }

    /// Cuts what is in memory: from now on no line after the cut is shown, though it is on the disk until that is cut,
    /// too.
    fn cut_memory(&mut self, cut: &CutAt, tip: Tip) -> Result<(), StoreError> {
        let marks_after = self.marks.split_off(cut.place.marks as usize);
        let is_recent = cut.place.length >= read(&self.shared.tail).first();
        if is_recent {
            write(&self.shared.tail).cut(cut.place.length, &marks_after, cut.digest);
        } else {
            let tail =
                self.empty_tail(cut).map_err(|error| StoreError::Failed { reason: error.to_string() })?;
            *write(&self.shared.tail) = tail;
        }
        self.tip = tip;
        let batch = self.tip.batch.and_then(|batch| self.digest_after(batch));
        self.unfinished.cut(&self.tip, |_| batch);
        self.durable = self.durable.min(cut.place);
        if let Some(ids) = &mut self.ids {
            ids.truncate(cut.place.length);
        }
        Ok(())
    }

    fn stop_threads(&mut self) {
        self.shared.pipe.stop();
        self.spares.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing more to say: the panic was printed.
            let _ = thread.join();
        }
        self.spares.clear();
    }
}

impl Store for DiskStore {
    type Reader = DiskReader;

    fn reader(&self) -> DiskReader {
        DiskReader { shared: self.shared.clone() }
    }

    fn append(&mut self, lines: &Lines) -> bool {
        if lines.is_empty() {
            return true;
        }
        if lines.from() != self.tip.place.length || lines.bytes().len() > RUN_BYTES_MAX {
            return false;
        }
        let (start, digest) = (self.tip.place, self.tip.digest);
        // Into memory first: whatever is on the disk and not in memory is durable.
        write(&self.shared.tail).push(lines);
        if !self.shared.pipe.push(Run { lines: lines.clone(), start, digest }) {
            return false;
        }
        if let Some(ids) = &mut self.ids {
            ids.insert_lines(lines);
        }
        self.pending_bytes += lines.bytes().len();
        let ends_with_mark = self.marks.last().is_some_and(|last| last.at == start.length);
        self.unfinished.on_run(lines, (!ends_with_mark).then_some(digest));
        self.marks.extend_from_slice(lines.marks());
        self.tip = lines.tip().clone();
        true
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        Reached { durable: self.durable, pending_bytes: self.pending_bytes, done: self.done } =
            self.shared.pipe.reached()?;
        self.unfinished.forget_before(self.durable.length);
        self.forget_old_lines();
        Ok(())
    }

    fn failure(&self) -> Option<StoreError> {
        self.shared.pipe.failure()
    }

    fn figures(&self) -> StoreFigures {
        let bytes = read(&self.shared.segments).iter().map(|segment| segment.end).sum();
        StoreFigures { bytes, ..self.shared.pipe.figures() }
    }

    fn lend(&mut self, pages: OldPages) {
        self.lent = pages;
    }

    fn take_back(&mut self) -> OldPages {
        std::mem::take(&mut self.lent)
    }

    fn page(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        let first = self.recent_from();
        let lent = if from < first { self.lent.page(from, to.min(first), bytes) } else { None };
        match lent {
            Some(page) => Ok(self.shared.with_trailing_marks(page)),
            None => self.shared.page(from, to, bytes),
        }
    }

    fn truncate(&mut self, place: Place, kept: Cut) -> Result<Ticket, StoreError> {
        let digest = self.digest_at(place);
        self.failure().map_or(Ok(()), Err)?;
        let digest = digest.ok_or(StoreError::NoSuchPlace { place })?;
        if place == self.tip.place {
            return Ok(self.shared.pipe.given());
        }
        let tip = tip_of_cut(self, place, digest);
        self.failure().map_or(Ok(()), Err)?;
        let cut = CutAt::new(place, digest, self.tip.place.length, &self.marks);
        self.cut_memory(&cut, tip)?;
        self.lent.clear();
        Ok(self.shared.pipe.give(Errand::Cut(cut, kept)))
    }

    fn run(&mut self, chore: Chore) -> Ticket {
        self.shared.pipe.give(Errand::Chore(chore))
    }

    fn done(&self) -> Ticket {
        self.done
    }

    fn close(mut self) -> Result<(), StoreError> {
        let sealed = self.shared.pipe.seal();
        self.stop_threads();
        sealed
    }

    fn abandon(mut self) {
        self.shared.pipe.abandon();
        // Not joined: they end when the disk answers, or with the process.
        self.threads.clear();
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            // It is in the log already if this failed.
            let _ = self.shared.pipe.seal();
            self.stop_threads();
        }
    }
}
