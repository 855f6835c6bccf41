//! The log on disk, as its node sees it.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc, thread::JoinHandle};

use bytes::Bytes;
use replog_shared::{
    Digest, Lines, MessageId, Order, Place, PlacedMark,
    entry::{EntryLine, goes_on},
    lines::Tip,
    store::{
        Cut, IdIndex, LineChunks, LogView, ReadError, Store, StoreError, StoreFigures, UnfinishedBatches,
        digest_at_mark, tip_of_cut,
    },
};

use super::{
    cut::CutAt,
    reader::DiskReader,
    shared::{Shared, read, write},
    spare::Spares,
    work::Run,
};
use crate::limits::{INDEX_STRIDE_BYTES, RUN_BYTES_MAX, TAIL_BYTES};

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
    pub(super) unfinished: UnfinishedBatches,
    /// Only where ids are looked up: on a master.
    pub(super) ids: Option<IdIndex>,
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
        recent.or_else(|| self.old_entry(order, |line, _| Bytes::copy_from_slice(line)))
    }

    fn batch_end(&self, order: Order) -> Order {
        let (mut end, mut more) = (order, true);
        let first = read(&self.shared.tail).first();
        if order < first {
            // The store has failed if they cannot be read.
            let _poisoned = self.shared.walk(order, first, INDEX_STRIDE_BYTES as usize, |line| {
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
        let old = if from < first { self.measure(from, to.min(first), usize::MAX).1 } else { 0 };
        old + recent
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        let tail = read(&self.shared.tail);
        if from >= tail.first() {
            return tail.fit(from, bytes);
        }
        let first = tail.first();
        drop(tail);
        self.measure(from, first, bytes).0
    }
}

impl DiskStore {
    fn digest_after(&self, length: Order) -> Option<Digest> {
        if length == Order::ZERO {
            return Some(Digest::EMPTY);
        }
        let recent = read(&self.shared.tail).digest_after(length);
        recent.or_else(|| self.old_entry(Order::new(length.get() - 1), |_, digest| digest))
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
        let (mut marks, mut left) = (Vec::new(), cut.marks_that_stay);
        if left > 0 {
            self.shared.walk(cut.place.length, cut.place.length.next(), 0, |line| {
                marks.extend_from_slice(line.line);
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        let before = self.digest_after(cut.place.length).unwrap_or_default();
        Ok(LineChunks::behind(cut.place.length, before, &marks, cut.digest))
    }

    fn cut(&mut self, cut: &CutAt, kept: Cut) -> Result<Option<PathBuf>, StoreError> {
        let failed = |error: &dyn std::fmt::Display| {
            self.shared.pipe.fail(&error);
            StoreError::Failed { reason: error.to_string() }
        };
        // From now on everything is read from the files.
        let tail = self.empty_tail(cut).map_err(|error| failed(&error))?;
        *write(&self.shared.tail) = tail;
        let kept = self.shared.cut(cut, kept).map_err(|error| failed(&error))?;
        Ok(kept.into_iter().next())
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
        self.marks.extend_from_slice(lines.marks());
        self.tip = lines.tip().clone();
        self.unfinished.on_run(&self.tip);
        true
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        self.durable = self.shared.pipe.durable()?;
        self.unfinished.forget_before(self.durable.length);
        self.forget_old_lines();
        Ok(())
    }

    fn failure(&self) -> Option<StoreError> {
        self.shared.pipe.failure()
    }

    fn pending_bytes(&self) -> usize {
        self.shared.pipe.pending_bytes()
    }

    fn figures(&self) -> StoreFigures {
        let bytes = read(&self.shared.segments).iter().map(|segment| segment.end).sum();
        StoreFigures { bytes, ..self.shared.pipe.figures() }
    }

    fn truncate(&mut self, place: Place, kept: Cut) -> Result<Option<PathBuf>, StoreError> {
        let digest = self.digest_at(place);
        self.failure().map_or(Ok(()), Err)?;
        let digest = digest.ok_or(StoreError::NoSuchPlace { place })?;
        let tip = tip_of_cut(self, place, digest);
        self.failure().map_or(Ok(()), Err)?;
        self.shared.pipe.seal()?;
        let cut = CutAt::new(place, digest, self.tip.place.length, &self.marks);
        let quarantined = if place == self.tip.place { None } else { self.cut(&cut, kept)? };
        self.marks.truncate(place.marks as usize);
        self.tip = tip;
        self.unfinished = UnfinishedBatches::of(&self.tip);
        self.durable = place;
        self.shared.pipe.on_cut(place);
        if let Some(ids) = &mut self.ids {
            ids.truncate(place.length);
        }
        Ok(quarantined)
    }

    fn close(mut self) -> Result<(), StoreError> {
        let sealed = self.shared.pipe.seal();
        self.stop_threads();
        sealed
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
