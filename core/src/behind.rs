//! A log whose disk is behind, for the tests of both cores.

use bytes::Bytes;
use replog_shared::{
    Digest, MessageId, Order, Place, PlacedMark,
    lines::Tip,
    store::{LogView, MemoryStore},
};

/// A log, and how many of its bytes wait to become durable.
pub(crate) struct Behind<'a>(pub(crate) &'a MemoryStore, pub(crate) usize);

impl LogView for Behind<'_> {
    fn tip(&self) -> &Tip {
        self.0.tip()
    }

    fn durable(&self) -> Place {
        self.0.durable()
    }

    fn pending_bytes(&self) -> usize {
        self.1
    }

    fn visible_through(&self) -> Order {
        self.0.visible_through()
    }

    fn marks(&self) -> &[PlacedMark] {
        self.0.marks()
    }

    fn digest_at(&self, place: Place) -> Option<Digest> {
        self.0.digest_at(place)
    }

    fn find(&self, id: &MessageId) -> Option<Order> {
        self.0.find(id)
    }

    fn entry(&self, order: Order) -> Option<Bytes> {
        self.0.entry(order)
    }

    fn size(&self, from: Order, to: Order) -> usize {
        self.0.size(from, to)
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        self.0.fit(from, bytes)
    }
}
