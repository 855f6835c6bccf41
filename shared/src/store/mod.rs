//! The log behind its trait.
//!
//! [`LogView`] is what a core may ask of the log, [`Store`] what a node does to it, [`Reader`] what HTTP
//! reads from it while the node works on.

mod id_index;
mod memory;

use bytes::Bytes;

pub use memory::MemoryStore;

use crate::{Digest, Lines, MessageId, Order, Place, PlacedMark, lines::Tip};

/// What can be asked of a log. Everything appended shows at once, durable or not.
pub trait LogView {
    /// The end of the log.
    fn tip(&self) -> &Tip;

    /// The place up to which the log is held at the store's durability level.
    fn durable(&self) -> Place;

    /// The marks, in order.
    fn marks(&self) -> &[PlacedMark];

    /// The digest at a place; `None` if the log has no such place.
    fn digest_at(&self, place: Place) -> Option<Digest>;

    /// The order of the entry with this id; `None` if there is none.
    fn find(&self, id: &MessageId) -> Option<Order>;

    /// The line of an entry, line feed included; `None` beyond the end.
    fn entry(&self, order: Order) -> Option<Bytes>;

    /// Bytes of the lines of `from..to`. Beyond the end there are none.
    fn size(&self, from: Order, to: Order) -> usize;

    /// The largest `end` for which the lines of `from..end` have at most `bytes` bytes, but at least one
    /// entry; `from` if nothing is behind it.
    fn fit(&self, from: Order, bytes: usize) -> Order;
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

/// A log that a node writes. All writes take effect in the order of the calls; [`LogView::durable`] tells how
/// far they are held at the durability level.
pub trait Store: LogView + Send + 'static {
    /// Its reader.
    type Reader: Reader;

    /// A reader of this log.
    fn reader(&self) -> Self::Reader;

    /// Appends a run that was checked against this log's tip. Returns at once; a run that does not continue
    /// the log is not appended.
    #[must_use = "a run that does not continue the log is not appended"]
    fn append(&mut self, lines: &Lines) -> bool;

    /// Cuts everything behind `place`, a place of this log.
    fn truncate(&mut self, place: Place);
}
