//! The time of day, as entries carry it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment on a wall clock, in milliseconds since 1970 (UTC). For people and for what reads the log: it decides
/// nothing. [`crate::Moment`] is what paces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(u64);

impl WallTime {
    /// So many milliseconds since 1970.
    pub const fn from_ms(ms: u64) -> WallTime {
        WallTime(ms)
    }

    /// Milliseconds since 1970.
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms since 1970", self.0)
    }
}
