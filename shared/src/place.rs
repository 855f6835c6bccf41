//! A position in a log that tells marks apart.

use serde::{Deserialize, Serialize};

use crate::Order;

/// A position in a log: the entries and the marks before it.
///
/// An order alone is not enough: a mark takes no order, so a log has two positions at the order where an
/// epoch begins, before and after the mark, and only the second one counts for acks of that epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Exclusive end of the entries before this place.
    pub length: Order,
    /// How many marks stand before this place.
    pub marks: u32,
}

impl Place {
    /// The beginning of every log.
    pub const START: Place = Place { length: Order::ZERO, marks: 0 };

    /// The place behind `length` entries and `marks` marks.
    pub const fn new(length: Order, marks: u32) -> Place {
        Place { length, marks }
    }
}
