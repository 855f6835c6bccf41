//! A node's directory as the driver of its core has it: the log, and with it what must not be forgotten.

use bytes::Bytes;
use replog_shared::{
    Digest, Lines, MessageId, Order, Place, PlacedMark,
    lines::Tip,
    store::{Chore, Cut, LogView, OldPages, Page, ReadError, Store, StoreError, StoreFigures, Ticket},
};

use super::disk::{Disk, SimStore};

impl LogView for Disk {
    fn tip(&self) -> &Tip {
        self.store.tip()
    }

    fn durable(&self) -> Place {
        self.store.durable()
    }

    fn pending_bytes(&self) -> usize {
        self.store.pending_bytes()
    }

    fn visible_through(&self) -> Order {
        self.store.visible_through()
    }

    fn marks(&self) -> &[PlacedMark] {
        self.store.marks()
    }

    fn digest_at(&self, place: Place) -> Option<Digest> {
        self.store.digest_at(place)
    }

    fn find(&self, id: &MessageId) -> Option<Order> {
        self.store.find(id)
    }

    fn entry(&self, order: Order) -> Option<Bytes> {
        self.store.entry(order)
    }

    fn size(&self, from: Order, to: Order) -> usize {
        self.store.size(from, to)
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        self.store.fit(from, bytes)
    }

    fn recent_from(&self) -> Order {
        self.store.recent_from()
    }

    fn has_at_hand(&self, from: Order, to: Order) -> bool {
        self.store.has_at_hand(from, to)
    }

    fn candidates(&self, id: &MessageId, show: &mut dyn FnMut(Order)) {
        self.store.candidates(id, show);
    }
}

impl Store for Disk {
    type Reader = <SimStore as Store>::Reader;

    fn reader(&self) -> Self::Reader {
        self.store.reader()
    }

    fn append(&mut self, lines: &Lines) -> bool {
        self.store.append(lines)
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        self.store.refresh()
    }

    /// A process that has died does nothing more.
    fn failure(&self) -> Option<StoreError> {
        self.has_died().then(|| StoreError::Failed { reason: "the process has died".to_owned() })
    }

    fn figures(&self) -> StoreFigures {
        self.store.figures()
    }

    fn lend(&mut self, pages: OldPages) {
        self.store.lend(pages);
    }

    fn take_back(&mut self) -> OldPages {
        self.store.take_back()
    }

    fn page(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        self.store.page(from, to, bytes)
    }

    fn truncate(&mut self, place: Place, _: Cut) -> Result<Ticket, StoreError> {
        match self.mistaken_cut(place) {
            Some(place) => self.cut(place),
            None => Ok(self.done()),
        }
    }

    fn run(&mut self, chore: Chore) -> Ticket {
        self.store.run(chore)
    }

    fn done(&self) -> Ticket {
        self.told_done()
    }

    fn close(self) -> Result<(), StoreError> {
        self.store.close()
    }
}
