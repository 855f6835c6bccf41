//! The place of an entry in the one total order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the total order, counted from 0 without holes. Only a master gives orders.
///
/// A type of its own because counts, lengths and byte offsets are also `u64`: swapping one for an order
/// is the bug this prevents. As an *exclusive end* (`length`, `through`, `acked_through`,
/// `visible_through`) the value n means "0..n", so 0 means "nothing".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Order(u64);

impl Order {
    /// The first order of every log, and as an exclusive end: nothing yet.
    pub const ZERO: Order = Order(0);

    /// The order with this number.
    pub const fn new(number: u64) -> Order {
        Order(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The order `count` places further on. Saturates: a number from outside cannot overflow.
    #[must_use]
    pub const fn plus(self, count: u64) -> Order {
        Order(self.0.saturating_add(count))
    }

    /// The next order.
    #[must_use]
    pub const fn next(self) -> Order {
        self.plus(1)
    }

    /// The order before; none before the first.
    pub const fn before(self) -> Option<Order> {
        match self.0.checked_sub(1) {
            Some(number) => Some(Order(number)),
            None => None,
        }
    }

    /// How many orders lie in `earlier..self`; 0 if `earlier` is not earlier.
    pub const fn since(self, earlier: Order) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The half-open run `from..to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderRange {
    /// The first order in the run.
    pub from: Order,
    /// The first order behind it.
    pub to: Order,
}

impl OrderRange {
    /// The run `from..to`; empty if `to` is not behind `from`.
    pub const fn new(from: Order, to: Order) -> OrderRange {
        OrderRange { from, to }
    }

    /// How many orders it holds.
    pub const fn count(self) -> u64 {
        self.to.since(self.from)
    }

    /// Whether it holds none.
    pub const fn is_empty(self) -> bool {
        self.count() == 0
    }
}

impl fmt::Display for OrderRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_runs_backwards_is_empty() {
        let range = OrderRange::new(Order::new(5), Order::new(3));
        assert!(range.is_empty());
        assert_eq!(OrderRange::new(Order::new(3), Order::new(5)).count(), 2);
    }

    #[test]
    fn a_number_from_outside_cannot_overflow() {
        assert_eq!(Order::new(u64::MAX).next(), Order::new(u64::MAX));
    }
}
