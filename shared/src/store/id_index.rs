//! From an id to the order of its entry, in about twenty bytes.

use std::fmt;

use hashbrown::HashTable;
use twox_hash::XxHash3_64;

use crate::{Lines, Order, entry};

/// Bytes of a hash that are kept in a slot.
const HASH_BYTES: usize = 4;
/// Bytes of an order that are kept in a slot: 10¹² entries.
const ORDER_BYTES: usize = 5;

/// A piece of the id's hash and the order, packed.
type Slot = [u8; HASH_BYTES + ORDER_BYTES];

/// The secret with which a process hashes ids: who does not know it cannot prepare ids that all fall on one place, so
/// that each append scans them all.
#[derive(Clone, Copy)]
pub struct IdSeed(u64);

impl IdSeed {
    /// Made from random bits.
    pub const fn from_random(bits: u64) -> IdSeed {
        IdSeed(bits)
    }

    /// The hash of an id's text: XXH3 with a seed. That is no cryptographic hash, and need not be one where nobody sees
    /// what it gives. SipHash, which is one, makes an append in a batch a tenth slower.
    pub fn hash(self, id: &[u8]) -> IdHash {
        let hash = XxHash3_64::oneshot_with_seed(self.0, id);
        IdHash((hash >> 32) as u32 ^ hash as u32)
    }
}

impl fmt::Debug for IdSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdSeed(secret)")
    }
}

/// The piece of an id's hash that the index keeps. Not for storage: it changes with the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdHash(u32);

/// Which entry may carry an id. The ids themselves are in the log: a hit must be compared with the entry.
///
/// At most 23 bytes an entry, 12 when full.
#[derive(Clone, Debug)]
pub struct IdIndex {
    seed: IdSeed,
    slots: HashTable<Slot>,
}

impl IdIndex {
    /// An empty index of a process that hashes ids with this seed.
    pub const fn new(seed: IdSeed) -> IdIndex {
        IdIndex { seed, slots: HashTable::new() }
    }

    /// The seed with which ids are hashed.
    pub const fn seed(&self) -> IdSeed {
        self.seed
    }

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

    /// Notes that the entry at `order` carries an id with this hash, which is this index's seed's.
    pub fn insert(&mut self, id: IdHash, order: Order) {
        let rehash = |slot: &Slot| Self::spread(Self::hash_of(slot));
        self.slots.insert_unique(Self::spread(id.0), Self::pack(id.0, order), rehash);
    }

    /// Notes the ids of all entries in a run.
    pub fn insert_lines(&mut self, lines: &Lines) {
        let mut order = lines.from();
        for line in lines.entry_lines() {
            if let Some(id) = entry::id_text(line) {
                self.insert(self.seed.hash(&id), order);
            }
            order = order.next();
        }
    }

    /// The order whose entry `is_it` accepts, among those that may carry the id with this text.
    pub fn find(&self, id: &[u8], mut is_it: impl FnMut(Order) -> bool) -> Option<Order> {
        let hash = self.seed.hash(id).0;
        let same = |slot: &Slot| Self::hash_of(slot) == hash && is_it(Self::order_of(slot));
        self.slots.find(Self::spread(hash), same).map(Self::order_of)
    }

    /// Shows the orders of all entries that may carry the id with this text.
    pub fn candidates(&self, id: &[u8], show: &mut dyn FnMut(Order)) {
        let none_is_it = |order| {
            show(order);
            false
        };
        self.find(id, none_is_it);
    }

    /// Forgets every entry from `length` on.
    pub fn truncate(&mut self, length: Order) {
        self.slots.retain(|slot| Self::order_of(slot) < length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: IdSeed = IdSeed::from_random(7);

    #[test]
    fn ids_are_found_until_they_are_cut() {
        let mut index = IdIndex::new(SEED);
        for order in 0..10_000u64 {
            index.insert(SEED.hash(order.to_string().as_bytes()), Order::new(order));
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
        let mut index = IdIndex::new(SEED);
        index.insert(SEED.hash(b"a"), Order::new(1));
        assert_eq!(index.find(b"a", |_| false), None);
    }

    #[test]
    fn another_seed_parts_ids_that_one_seed_does_not() {
        let mut seen = std::collections::HashMap::new();
        let ids = (0..1_000_000u64).map(|id| id.to_string());
        let prepared: Vec<(String, String)> = ids
            .filter_map(|id| {
                let other = seen.insert(SEED.hash(id.as_bytes()).0, id.clone())?;
                Some((id, other))
            })
            .collect();
        assert!(prepared.len() > 50, "the run is invalid: {} ids fall on one place", prepared.len());
        let other = IdSeed::from_random(8);
        let same = |(a, b): &&(String, String)| other.hash(a.as_bytes()) == other.hash(b.as_bytes());
        assert_eq!(prepared.iter().filter(same).count(), 0);
        assert_eq!(format!("{SEED:?}"), "IdSeed(secret)");
    }

    #[test]
    fn an_entry_costs_at_most_24_bytes() {
        let mut index = IdIndex::new(SEED);
        for order in 0..1_000_000u64 {
            index.insert(SEED.hash(&order.to_le_bytes()), Order::new(order));
        }
        assert!(index.slots.allocation_size() <= 24 * 1_000_000, "{}", index.slots.allocation_size());
    }
}
