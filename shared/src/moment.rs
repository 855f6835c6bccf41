//! Time as a value that the caller brings along.

use std::time::Duration;

/// A point in time, as the time passed since an arbitrary start of the process that asks.
///
/// The cores never read a clock: each event brings its `now`. Two nodes' moments cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment this long after the start.
    pub const fn after_start(passed: Duration) -> Moment {
        Moment(passed)
    }

    /// How long after the start it is.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The moment this much later. Saturates, so that a time-out of any size may be added.
    #[must_use]
    pub const fn plus(self, delay: Duration) -> Moment {
        Moment(self.0.saturating_add(delay))
    }

    /// How much later this is than `earlier`; zero if it is not later.
    pub const fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
