//! The log behind its trait.
//!
//! [`LogView`] is what a core may ask of the log, [`Store`] what a node does to it, [`Reader`] what HTTP
//! reads from it while the node works on.

mod batches;
mod chunks;
mod id_index;
mod lookup;
mod memory;
mod old_lines;
mod span;

use bytes::Bytes;

pub use batches::UnfinishedBatches;
pub use chunks::LineChunks;
pub use id_index::{IdHash, IdIndex, IdSeed};
pub use lookup::{LookAhead, Lookup};
pub use memory::MemoryStore;
pub use old_lines::{Gatherer, OldLines, OldPages};
pub use span::{Span, after_marks, before_marks};

use crate::{
    Digest, Histogram, Lines, MessageId, Order, Place, PlacedMark,
    entry::{EntryLine, goes_on},
    lines::Tip,
};

/// What can be asked of a log. Everything appended shows at once, durable or not.
pub trait LogView {
    /// The end of the log.
    fn tip(&self) -> &Tip;

    /// The place up to which the log is held at the store's durability level. Moves only in
    /// [`Store::refresh`] and [`Store::truncate`], never in the middle of an event. Never after the place of a cut
    /// that is not durable yet.
    fn durable(&self) -> Place;

    /// Bytes of lines that were appended and are not durable yet, as of the last [`Store::refresh`]. Who fetches
    /// is paced by it, so that a slow disk costs no memory.
    fn pending_bytes(&self) -> usize;

    /// Exclusive end of what readers may be shown: as far as the log is durable, but of a batch all or nothing.
    fn visible_through(&self) -> Order;

    /// The marks, in order.
    fn marks(&self) -> &[PlacedMark];

    /// The digest at a place; `None` if the log has no such place.
    fn digest_at(&self, place: Place) -> Option<Digest>;

    /// The order of the entry with this id; `None` if there is none.
    fn find(&self, id: &MessageId) -> Option<Order>;

    /// The line of an entry, line feed included; `None` beyond the end.
    fn entry(&self, order: Order) -> Option<Bytes>;

    /// Exclusive end of the batch to which the entry at `order` belongs: behind that entry if it is of none. The log's
    /// end if the rest of the batch is not there.
    fn batch_end(&self, order: Order) -> Order {
        let mut end = order;
        while let Some(line) = self.entry(end) {
            end = end.next();
            if !goes_on(&line) {
                break;
            }
        }
        end
    }

    /// Bytes of the lines of `from..to`. Beyond the end there are none.
    fn size(&self, from: Order, to: Order) -> usize;

    /// The largest `end` for which the lines of `from..end` have at most `bytes` bytes, but at least one
    /// entry; `from` if nothing is behind it. May be smaller where two pieces of the storage meet.
    fn fit(&self, from: Order, bytes: usize) -> Order;

    /// The order from which on all lines are in memory; zero if all are. Never after [`LogView::durable`].
    fn recent_from(&self) -> Order {
        Order::ZERO
    }

    /// Whether what is asked of the entries of `from..to`, and of the marks before each, is answered without a disk: they
    /// are in memory, or were lent by [`Store::lend`]. Orders beyond the end are.
    fn has_at_hand(&self, from: Order, to: Order) -> bool {
        from >= to.min(self.recent_from())
    }

    /// Shows the orders of all entries that may carry this id, without looking at them.
    fn candidates(&self, _id: &MessageId, _show: &mut dyn FnMut(Order)) {}
}

/// A part of a log, as it is stored.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The lines, marks among them: those at `from`, and those at the log's end if `to` is the end.
    pub bytes: Bytes,
    /// Exclusive end of the entries in it.
    pub to: Order,
    /// The log's digest through its last line.
    pub digest: Digest,
}

/// Reads a log, from any thread, while its node works on it.
pub trait Reader: Clone + Send + Sync + 'static {
    /// The lines from `from` on, up to `to` and at most about `bytes` bytes, but at least one line if there is
    /// one. The page may end sooner.
    ///
    /// # Errors
    /// The storage's own, as text: the bytes are damaged or cannot be read.
    fn read(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError>;

    /// Old lines, to be lent to the store. Fewer than are asked for, perhaps none, if a cut comes between.
    ///
    /// # Errors
    /// As [`Reader::read`].
    fn old(&self, lookup: Lookup) -> Result<OldLines, ReadError>;

    /// The same as [`Reader::read`], if it is in memory: never waits for a storage. `None` where only [`Reader::read`] can tell.
    fn recent(&self, from: Order, to: Order, bytes: usize) -> Option<Page>;
}

/// Why a log could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be read at order {order}: {reason}")]
pub struct ReadError {
    /// Where.
    pub order: Order,
    /// Why.
    pub reason: String,
}

/// Work that a store's own threads do: appends, cuts and chores take effect on the disk in the order in which they were
/// given. It is done, durably, once [`Store::done`] has come to its ticket.
///
/// Tickets are compared among those of one store; [`Ticket::NONE`] is done from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// Nothing to wait for.
    pub const NONE: Ticket = Ticket(0);

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Ticket {
        Ticket(self.0 + 1)
    }
}

/// Something that is to be done on the disk in order with the log's own work, such as saving what a node must not
/// forget. What it returns as an error fails the store.
pub type Chore = Box<dyn FnOnce() -> Result<(), String> + Send>;

/// What becomes of the lines that [`Store::truncate`] cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// They are kept in files of their own, durable before they are gone from the log; no file for marks alone. None in
    /// memory.
    Quarantine,
    /// They are gone.
    Drop,
}

/// Why a store refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The storage failed or gave back damaged bytes. Nothing is written any more; the node has to stop.
    /// What was durable stays so; what was appended since may or may not be there after a restart.
    #[error("the log's storage failed, and nothing more is written to it: {reason}")]
    Failed {
        /// What failed, and where.
        reason: String,
    },
    /// The log has no such place. Nothing was changed.
    #[error("the log has no place behind {} entries and {} marks", place.length, place.marks)]
    NoSuchPlace {
        /// The place asked for.
        place: Place,
    },
}

/// What an operator may want to know of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFigures {
    /// Bytes that the log takes.
    pub bytes: u64,
    /// Entries that became durable together, since the log was opened. None in memory.
    pub group_entries: Histogram,
    /// How long each sync of them took. None below level `disk`.
    pub sync_times: Histogram,
}

impl StoreFigures {
    /// Of a log of so many bytes that has just been opened.
    pub fn new(bytes: u64) -> StoreFigures {
        StoreFigures { bytes, group_entries: Histogram::of_entries(), sync_times: Histogram::of_times() }
    }
}

/// A log that a node writes. All writes take effect in the order of the calls; [`LogView::durable`] tells how
/// far they are held at the durability level.
///
/// A store on disk works on after [`Store::append`] has returned. It wakes its node when there is news; the
/// node then calls [`Store::refresh`], before it asks its core anything. The view of the log is one and the
/// same from one refresh to the next.
///
/// Invariant: a store that failed once never moves `durable` again and takes no more lines.
pub trait Store: LogView + Send + 'static {
    /// Its reader.
    type Reader: Reader;

    /// A reader of this log.
    fn reader(&self) -> Self::Reader;

    /// Appends a run that was checked against this log's tip. Returns at once; a run that does not continue
    /// the log, or that comes after a failure, is not appended. After a crash a run is there whole or not at
    /// all.
    #[must_use = "a run that does not continue the log is not appended"]
    fn append(&mut self, lines: &Lines) -> bool;

    /// Takes in how far the storage has come: moves [`LogView::durable`].
    ///
    /// # Errors
    /// The storage failed, now or at any time before.
    fn refresh(&mut self) -> Result<(), StoreError>;

    /// Why the store takes no more lines; `None` while it does. To be asked after the core has looked into
    /// the log and before its decisions are executed: an entry that could not be read is no entry that does
    /// not exist.
    fn failure(&self) -> Option<StoreError>;

    /// What an operator may want to know. Not for every turn of the node: it is put together when asked for.
    fn figures(&self) -> StoreFigures;

    /// Answers from these, too, until [`Store::take_back`] or a cut. They were read of this log since it was last cut.
    fn lend(&mut self, _pages: OldPages) {}

    /// Gives back what was lent.
    fn take_back(&mut self) -> OldPages {
        OldPages::default()
    }

    /// As [`Reader::read`], from memory or from what was lent if it is there.
    ///
    /// # Errors
    /// As [`Reader::read`].
    fn page(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        self.reader().read(from, to, bytes)
    }

    /// Cuts everything after `place`, a place of this log. The view of the log is cut when it returns; the disk
    /// follows, and once the ticket is done the cut is durable. After a crash before that the log ends at `place` or
    /// later.
    ///
    /// # Errors
    /// There is no such place, and nothing was changed; or the storage failed, now or before.
    fn truncate(&mut self, place: Place, cut: Cut) -> Result<Ticket, StoreError>;

    /// Has `chore` done after all that this store was given before, and before all that it will be given. Returns at
    /// once. After a failure nothing is done any more, and the ticket never is.
    fn run(&mut self, chore: Chore) -> Ticket;

    /// The last ticket whose work is done. Moves only in [`Store::refresh`]; in memory all is done at once.
    fn done(&self) -> Ticket;

    /// Makes everything durable and marks the clean end. Dropping a store does the same and tells nobody
    /// whether it worked.
    ///
    /// # Errors
    /// The storage failed, now or before.
    fn close(self) -> Result<(), StoreError>
    where
        Self: Sized;

    /// Drops the store without waiting for its storage, which may stand still: what it was given and is not durable may
    /// be written or not. For a process that ends now.
    fn abandon(self)
    where
        Self: Sized,
    {
    }
}

/// The end of `log` once it is cut at `place`, one of its places, where its digest is `digest`.
pub fn tip_of_cut(log: &dyn LogView, place: Place, digest: Digest) -> Tip {
    let mark = (place.marks as usize).checked_sub(1).and_then(|last| log.marks().get(last));
    let last = place.length.before().and_then(|order| log.entry(order));
    let at = last.and_then(|line| EntryLine::parse(&line).ok()?.at);
    let is_behind_mark = mark.is_some_and(|mark| mark.at == place.length);
    let batch = if is_behind_mark { None } else { open_batch(log, place.length) };
    Tip { place, digest, epoch: mark.map(|placed| placed.mark.epoch.clone()), at, batch }
}

/// Where the batch begins that goes on at `length`; none if none does.
fn open_batch(log: &dyn LogView, length: Order) -> Option<Order> {
    let mut from = length;
    while let Some(before) =
        from.before().filter(|order| log.entry(*order).is_some_and(|line| goes_on(&line)))
    {
        from = before;
    }
    (from < length).then_some(from)
}

/// What the marks tell about [`LogView::digest_at`]: `None` if the log that ends at `tip` has no such place,
/// the digest if the place is behind a mark, `Some(None)` if it is the digest through the entry before.
pub fn digest_at_mark(tip: &Tip, marks: &[PlacedMark], place: Place) -> Option<Option<Digest>> {
    let (before, behind) = marks.split_at_checked(place.marks as usize)?;
    if place.length > tip.place.length || behind.first().is_some_and(|next| next.at < place.length) {
        return None;
    }
    match before.last() {
        Some(last) if last.at > place.length => None,
        Some(last) if last.at == place.length => Some(Some(last.digest)),
        _ => Some(None),
    }
}
