//! From an id to the order of its entry, in about twenty bytes.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::{Lines, Order, entry::EntryLine};

/// Bytes of a hash that are kept in a slot.
const HASH_BYTES: usize = 4;
/// Bytes of an order that are kept in a slot: 10¹² entries.
const ORDER_BYTES: usize = 5;

/// A piece of the id's hash and the order, packed.
type Slot = [u8; HASH_BYTES + ORDER_BYTES];

/// The piece of an id's hash that the index keeps. Not for storage: it may change with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdHash(u32);

impl IdHash {
    /// The hash of an id's text.
    pub fn of(id: &[u8]) -> IdHash {
        let hash = FixedState::default().hash_one(id);
        IdHash((hash >> 32) as u32 ^ hash as u32)
    }
}

/// Which entry may carry an id. The ids themselves are in the log: a hit must be compared with the entry.
///
/// At most 23 bytes an entry, 12 when full.
#[derive(Clone, Debug, Default)]
pub struct IdIndex {
    slots: HashTable<Slot>,
}

impl IdIndex {
    /// Spreads the kept piece over the 64 bits that the table wants.
    fn spread(hash: u32) -> u64 {
        u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn pack(hash: u32, order: Order) -> Slot {
        let mut slot = Slot::default();
        slot[..HASH_BYTES].copy_from_slice(&hash.to_le_bytes());
        slot[HASH_BYTES..].copy_from_slice(&order.get().to_le_bytes()[..ORDER_BYTES]);
        slot
    }

    fn hash_of(slot: &Slot) -> u32 {
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(&slot[..HASH_BYTES]);
        u32::from_le_bytes(hash)
    }

    fn order_of(slot: &Slot) -> Order {
        let mut order = [0; 8];
        order[..ORDER_BYTES].copy_from_slice(&slot[HASH_BYTES..]);
        Order::new(u64::from_le_bytes(order))
    }

    /// Makes room for `entries` more, so that a log that is opened is indexed without moving anything.
    pub fn reserve(&mut self, entries: usize) {
        self.slots.reserve(entries, |slot| Self::spread(Self::hash_of(slot)));
    }

    /// Notes that the entry at `order` carries an id with this hash.
    pub fn insert(&mut self, id: IdHash, order: Order) {
        let rehash = |slot: &Slot| Self::spread(Self::hash_of(slot));
        self.slots.insert_unique(Self::spread(id.0), Self::pack(id.0, order), rehash);
    }

    /// Notes the ids of all entries in a run.
    pub fn insert_lines(&mut self, lines: &Lines) {
        for line in lines.entry_lines() {
            if let Ok(entry) = EntryLine::parse(line) {
                self.insert(IdHash::of(&entry.id_text()), entry.order);
            }
        }
    }

    /// The order whose entry `is_it` accepts, among those that may carry the id with this text.
    pub fn find(&self, id: &[u8], mut is_it: impl FnMut(Order) -> bool) -> Option<Order> {
        let hash = IdHash::of(id).0;
        let same = |slot: &Slot| Self::hash_of(slot) == hash && is_it(Self::order_of(slot));
        self.slots.find(Self::spread(hash), same).map(Self::order_of)
    }

    /// Forgets every entry from `length` on.
    pub fn truncate(&mut self, length: Order) {
        self.slots.retain(|slot| Self::order_of(slot) < length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_until_they_are_cut() {
        let mut index = IdIndex::default();
        for order in 0..10_000u64 {
            index.insert(IdHash::of(order.to_string().as_bytes()), Order::new(order));
        }
        let find =
            |index: &IdIndex, id: u64| index.find(id.to_string().as_bytes(), |order| order.get() == id);
        assert!((0..10_000).all(|id| find(&index, id) == Some(Order::new(id))));
        index.truncate(Order::new(500));
        assert_eq!(find(&index, 499), Some(Order::new(499)));
        assert_eq!(find(&index, 500), None);
    }

    #[test]
    fn a_hit_is_only_a_candidate() {
        let mut index = IdIndex::default();
        index.insert(IdHash::of(b"a"), Order::new(1));
        assert_eq!(index.find(b"a", |_| false), None);
    }

    #[test]
    fn an_entry_costs_at_most_24_bytes() {
        let mut index = IdIndex::default();
        for order in 0..1_000_000u64 {
            index.insert(IdHash::of(&order.to_le_bytes()), Order::new(order));
        }
        assert!(index.slots.allocation_size() <= 24 * 1_000_000, "{}", index.slots.allocation_size());
    }
}
