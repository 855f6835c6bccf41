//! Places of requests that are answered when something happens elsewhere, and so may hold a connection as long as
//! they like.

use std::{sync::Arc, time::Duration};

use replog_shared::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{EdgeLimits, Problem};

/// Of a number of connections, how many requests that wait for others may hold: four in five.
///
/// The bug this prevents: writes that wait for a dead node take all connections, and then nobody can append with
/// w = 1, ask for the node's health, or find out why.
pub const fn share_of(connections: usize) -> usize {
    let share = connections / 5 * 4 + connections % 5 * 4 / 5;
    if share == 0 { 1 } else { share }
}

/// All places of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Waits {
    places: Arc<Semaphore>,
    limit: usize,
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub struct WaitPlace {
    _place: OwnedSemaphorePermit,
}

impl Waits {
    /// All places are free: as many as the edge's connections leave room for.
    pub fn new(limits: &EdgeLimits) -> Waits {
        Waits::of(share_of(limits.max_connections))
    }

    /// So many places.
    pub fn of(limit: usize) -> Waits {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Waits { places: Arc::new(Semaphore::new(limit)), limit }
    }

    /// A place; none if all are taken.
    pub fn take(&self) -> Option<WaitPlace> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.ok().map(|place| WaitPlace { _place: place })
    }

    /// The refusal of a request that would have to wait, and did nothing.
    pub fn refusal(&self) -> Problem {
        let limit = self.limit;
        let detail =
            format!("{limit} requests wait for other nodes here, and no more may. Try again a little later.");
        Problem::new(Code::Overloaded, detail).with("limit", limit).retry_after(Duration::from_secs(1))
    }

    /// How many places there are.
    pub const fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_in_five_is_left_to_those_that_do_not_wait() {
        let shares = [1, 2, 5, 9, 10, 40, 10_000].map(share_of);
        assert_eq!(shares, [1, 1, 4, 7, 8, 32, 8_000]);
        assert_eq!(share_of(usize::MAX), usize::MAX / 5 * 4, "it is a multiple of five");
    }

    #[test]
    fn a_place_that_is_given_back_is_free() {
        let waits = Waits::of(1);
        let place = waits.take();
        assert!(place.is_some() && waits.take().is_none());
        drop(place);
        assert!(waits.take().is_some());
    }
}
