//! Envelopes that came before something they stand behind.

use std::collections::BTreeMap;

use bytes::Bytes;
use replog_shared::{Digest, Order, OrderRange, Place, limits::REORDER_BUFFER_ENVELOPES};

use crate::checks::assert_sum;

/// Units that are looked at after each event.
const CHECKED: usize = 8;

/// A run of lines as it came, not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// The order at which the lines begin.
    pub(super) from: Order,
    /// How many marks are before the lines, as its header tells; 0 where it does not.
    pub(super) marks_before: u32,
    /// Exclusive end of the entries, as its header tells.
    pub(super) to: Order,
    /// The lines.
    pub(super) lines: Bytes,
    /// The sender's digest through the last line.
    pub(super) digest: Digest,
}

impl Unit {
    /// Where its lines begin.
    pub(super) fn begins_at(&self) -> Place {
        Place::new(self.from, self.marks_before)
    }
}

/// What became of a unit that was put in.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Insertion {
    /// It waits for what stands before it.
    Held,
    /// It was there already.
    Duplicate,
    /// No room: it will be fetched when its turn comes.
    Dropped,
}

/// Keeps units until what stands before them has come. In by any order, out by the log's.
///
/// Invariant: at most `REORDER_BUFFER_ENVELOPES` units, and the bytes of their lines never exceed the limit; each has an
/// entry. What is nearest to the log's end stays; what is farthest goes first.
#[derive(Debug)]
pub(super) struct ReorderBuffer {
    units: BTreeMap<Order, Unit>,
    bytes: usize,
    max_bytes: usize,
}

impl ReorderBuffer {
    /// An empty one that holds at most `max_bytes` bytes of lines.
    pub(super) const fn new(max_bytes: usize) -> ReorderBuffer {
        ReorderBuffer { units: BTreeMap::new(), bytes: 0, max_bytes }
    }

    /// Puts a unit in. Of two that begin at the same order the longer one stays.
    pub(super) fn insert(&mut self, unit: Unit) -> Insertion {
        if self.units.get(&unit.from).is_some_and(|held| held.to >= unit.to) {
            return Insertion::Duplicate;
        }
        self.remove(unit.from);
        self.make_room(unit.from, unit.lines.len());
        if self.is_full_for(unit.lines.len()) {
            return Insertion::Dropped;
        }
        self.bytes += unit.lines.len();
        self.units.insert(unit.from, unit);
        Insertion::Held
    }

    /// Drops units behind `from`, the farthest first, until `wanted` bytes fit or none is left there.
    fn make_room(&mut self, from: Order, wanted: usize) {
        while self.is_full_for(wanted) {
            match self.units.last_key_value() {
                Some((farthest, _)) if *farthest > from => {
                    let farthest = *farthest;
                    self.remove(farthest);
                }
                _ => return,
            }
        }
    }

    fn is_full_for(&self, wanted: usize) -> bool {
        self.bytes + wanted > self.max_bytes || self.units.len() >= REORDER_BUFFER_ENVELOPES
    }

    /// Drops what begins at `end` or behind it: no log reaches there.
    pub(super) fn drop_from(&mut self, end: Order) {
        while let Some(last) = self.last_from().filter(|from| *from >= end) {
            self.remove(last);
        }
    }

    fn remove(&mut self, from: Order) -> Option<Unit> {
        let unit = self.units.remove(&from)?;
        self.bytes -= unit.lines.len();
        Some(unit)
    }

    /// Takes the first unit if a log of this length reaches it.
    pub(super) fn pop_continuing(&mut self, length: Order) -> Option<Unit> {
        let (from, _) = self.units.first_key_value().filter(|(from, _)| **from <= length)?;
        let from = *from;
        self.remove(from)
    }

    /// What no unit covers of `from..to`, in order.
    pub(super) fn missing(&self, from: Order, to: Order) -> impl Iterator<Item = OrderRange> {
        let mut at = from;
        let units = self.units.values().map(|unit| (unit.from, unit.to));
        let gaps = units.chain([(to, to)]).map(move |(start, end)| {
            let gap = OrderRange::new(at, start.min(to));
            at = at.max(end);
            gap
        });
        gaps.filter(|gap| !gap.is_empty())
    }

    /// Where the last unit begins: everything before it is known to exist.
    pub(super) fn last_from(&self) -> Option<Order> {
        self.units.last_key_value().map(|(from, _)| *from)
    }

    /// Bytes of lines that are held.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many units are held.
    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether so much is held that fetching farther ahead would only push something out.
    pub(super) const fn is_crowded(&self) -> bool {
        self.bytes > self.max_bytes / 2
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.units.clear();
        self.bytes = 0;
    }

    /// Where the first unit begins.
    pub(super) fn first_from(&self) -> Option<Order> {
        self.units.first_key_value().map(|(from, _)| *from)
    }

    /// Asserts the invariant. Looks at the first units, which go to the log next.
    pub(super) fn check(&self) {
        assert!(
            self.units.len() <= REORDER_BUFFER_ENVELOPES,
            "the reorder buffer holds more units than it may"
        );
        assert!(self.bytes <= self.max_bytes, "the reorder buffer holds more bytes than it may");
        assert_sum("the reorder buffer", self.bytes, self.units.values().map(|unit| unit.lines.len()));
        for (from, unit) in self.units.iter().take(CHECKED) {
            assert_eq!(*from, unit.from, "a unit is kept at another order than its own");
            assert!(unit.from < unit.to, "a unit without an entry is kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(from: u64, to: u64, bytes: usize) -> Unit {
        let lines = vec![b'x'; bytes].into();
        Unit { from: Order::new(from), marks_before: 0, to: Order::new(to), lines, digest: Digest::EMPTY }
    }

    fn range(from: u64, to: u64) -> OrderRange {
        OrderRange::new(Order::new(from), Order::new(to))
    }

    #[test]
    fn units_come_out_when_the_log_reaches_them() {
        let mut buffer = ReorderBuffer::new(100);
        assert_eq!(buffer.insert(unit(5, 7, 10)), Insertion::Held);
        assert_eq!(buffer.insert(unit(3, 5, 10)), Insertion::Held);
        assert_eq!(buffer.pop_continuing(Order::new(2)), None);
        assert_eq!(buffer.pop_continuing(Order::new(3)).unwrap().from, Order::new(3));
        assert_eq!(buffer.pop_continuing(Order::new(5)).unwrap().from, Order::new(5));
        assert_eq!(buffer.bytes(), 0);
    }

    #[test]
    fn the_longer_of_two_stays() {
        let mut buffer = ReorderBuffer::new(100);
        assert_eq!(buffer.insert(unit(3, 5, 10)), Insertion::Held);
        assert_eq!(buffer.insert(unit(3, 5, 10)), Insertion::Duplicate);
        assert_eq!(buffer.insert(unit(3, 4, 5)), Insertion::Duplicate);
        assert_eq!(buffer.insert(unit(3, 6, 20)), Insertion::Held);
        assert_eq!(buffer.bytes(), 20);
    }

    #[test]
    fn what_is_farthest_gives_way() {
        let mut buffer = ReorderBuffer::new(100);
        assert_eq!(buffer.insert(unit(9, 10, 60)), Insertion::Held);
        assert_eq!(buffer.insert(unit(12, 13, 60)), Insertion::Dropped);
        assert_eq!(buffer.insert(unit(3, 4, 60)), Insertion::Held);
        assert_eq!(buffer.last_from(), Some(Order::new(3)));
        assert_eq!(buffer.insert(unit(1, 2, 101)), Insertion::Dropped);
    }

    #[test]
    fn empty_units_are_bounded_too_and_those_beyond_a_logs_end_can_be_dropped() {
        let mut buffer = ReorderBuffer::new(100);
        for from in 0..2 * REORDER_BUFFER_ENVELOPES as u64 {
            let _ = buffer.insert(unit(from, from + 1, 0));
        }
        assert_eq!(buffer.units.len(), REORDER_BUFFER_ENVELOPES);
        buffer.drop_from(Order::new(7));
        assert_eq!(buffer.last_from(), Some(Order::new(6)));
        assert_eq!(buffer.bytes(), 0);
    }

    #[test]
    fn gaps_lie_between_units() {
        let mut buffer = ReorderBuffer::new(100);
        assert_eq!(buffer.missing(Order::new(1), Order::new(1)).next(), None);
        let _ = buffer.insert(unit(3, 5, 1));
        let _ = buffer.insert(unit(7, 8, 1));
        let gaps: Vec<OrderRange> = buffer.missing(Order::new(1), Order::new(10)).collect();
        assert_eq!(gaps, [range(1, 3), range(5, 7), range(8, 10)]);
        let gaps: Vec<OrderRange> = buffer.missing(Order::new(1), Order::new(4)).collect();
        assert_eq!(gaps, [range(1, 3)]);
    }

    /// One that holds a unit of 10 bytes.
    fn holding(unit: Unit) -> ReorderBuffer {
        ReorderBuffer { units: BTreeMap::from([(unit.from, unit)]), bytes: 10, max_bytes: 100 }
    }

    #[test]
    #[should_panic(expected = "the reorder buffer holds more units than it may")]
    fn too_many_units_are_found() {
        let units =
            (0..=REORDER_BUFFER_ENVELOPES as u64).map(|from| (Order::new(from), unit(from, from + 1, 0)));
        ReorderBuffer { units: units.collect(), bytes: 0, max_bytes: 100 }.check();
    }

    #[test]
    #[should_panic(expected = "the reorder buffer holds more bytes than it may")]
    fn too_many_bytes_are_found() {
        ReorderBuffer { max_bytes: 9, ..holding(unit(3, 5, 10)) }.check();
    }

    #[test]
    #[should_panic(expected = "the bytes of the reorder buffer are miscounted")]
    fn bytes_that_are_not_those_of_the_units_are_found() {
        holding(unit(3, 5, 9)).check();
    }

    #[test]
    #[should_panic(expected = "a unit without an entry is kept")]
    fn a_unit_that_no_log_waits_for_is_found() {
        holding(unit(3, 3, 10)).check();
    }

    #[test]
    #[should_panic(expected = "a unit is kept at another order than its own")]
    fn a_unit_in_another_place_is_found() {
        let mut buffer = holding(unit(3, 5, 10));
        buffer.units = BTreeMap::from([(Order::new(4), unit(3, 5, 10))]);
        buffer.check();
    }

    proptest! {
        /// Whatever the order, overlap and repetition of units: all comes out once the gaps are filled,
        /// nothing comes out too early, and the limit holds.
        #[test]
        fn any_arrival_order_ends_in_the_logs_order(
            units in prop::collection::vec((0..40u64, 1..6u64, 1..30usize), 0..60),
        ) {
            let mut buffer = ReorderBuffer::new(200);
            for (from, count, bytes) in units {
                let _ = buffer.insert(unit(from, from + count, bytes));
                prop_assert!(buffer.bytes() <= 200);
                let held: usize = buffer.units.values().map(|unit| unit.lines.len()).sum();
                prop_assert_eq!(held, buffer.bytes());
                buffer.check();
            }
            let (mut length, mut filled) = (Order::ZERO, 0);
            while length < Order::new(50) {
                match buffer.pop_continuing(length) {
                    Some(unit) => {
                        prop_assert!(unit.from <= length);
                        length = length.max(unit.to);
                    }
                    None => {
                        let gap = buffer.missing(length, Order::new(50)).next().unwrap();
                        prop_assert_eq!(gap.from, length);
                        length = gap.to;
                        filled += 1;
                    }
                }
            }
            prop_assert!(filled <= 61);
            prop_assert_eq!(buffer.bytes(), 0);
        }

        /// A gap is exactly what no unit covers.
        #[test]
        fn missing_is_the_complement(
            units in prop::collection::vec((0..40u64, 1..6u64), 0..20),
            from in 0..40u64,
            to in 0..50u64,
        ) {
            let mut buffer = ReorderBuffer::new(1_000);
            let mut covered = [false; 64];
            for (from, count) in units {
                let _ = buffer.insert(unit(from, from + count, 1));
            }
            for unit in buffer.units.values() {
                covered[unit.from.get() as usize..unit.to.get() as usize].fill(true);
            }
            let gaps: Vec<OrderRange> = buffer.missing(Order::new(from), Order::new(to)).collect();
            for order in 0..64 {
                let expected = (from..to).contains(&order) && !covered[order as usize];
                let found = gaps.iter().any(|gap| (gap.from.get()..gap.to.get()).contains(&order));
                prop_assert_eq!(found, expected, "order {}", order);
            }
        }
    }
}
