//! Who is served next, and when.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use super::limits::{BURST, PIECE_COST_BYTES};

/// Serves all who follow the log one after the other, at a rate that leaves the node's thread to the appends.
///
/// However far they are behind, each gets one piece in its turn: what they lack is a range of the log, never a queue.
#[derive(Debug)]
pub(super) struct Turns {
    rate: Rate,
    /// When all that was served would have been served at this rate. The lock is the queue: it is fair.
    served_until: Mutex<Instant>,
}

impl Turns {
    pub(super) fn new(bytes_per_second: u64) -> Turns {
        Turns { rate: Rate { bytes_per_second }, served_until: Mutex::new(Instant::now()) }
    }

    /// Waits for its turn and has a piece made; `size` tells its bytes.
    pub(super) async fn take<T>(&self, make: impl Future<Output = T>, size: impl FnOnce(&T) -> usize) -> T {
        let mut served_until = self.served_until.lock().await;
        let due = Rate::due(*served_until);
        if due > Instant::now() {
            sleep_until(due).await;
        }
        // Made when its turn has come, so that it has all that was appended meanwhile.
        let made = make.await;
        *served_until = self.rate.after(*served_until, Instant::now(), size(&made));
        made
    }
}

/// How much may be sent.
#[derive(Clone, Copy, Debug)]
struct Rate {
    bytes_per_second: u64,
}

impl Rate {
    /// When the next piece may be made.
    fn due(served_until: Instant) -> Instant {
        served_until.checked_sub(BURST).unwrap_or(served_until)
    }

    /// When a piece of so many bytes, made `now`, would have been served.
    fn after(self, served_until: Instant, now: Instant, bytes: usize) -> Instant {
        let bytes = PIECE_COST_BYTES.saturating_add(bytes as u64);
        served_until.max(now) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_keep_to_the_rate() {
        let (rate, began) = (Rate { bytes_per_second: 1_000_000 }, Instant::now());
        let (mut now, mut served_until) = (began, began);
        for _ in 0..100 {
            now = now.max(Rate::due(served_until));
            served_until = rate.after(served_until, now, 100_000);
        }
        let pieces = Duration::from_secs_f64((100_000.0 + PIECE_COST_BYTES as f64) / 1e6) * 99;
        let behind = pieces.saturating_sub(now - began);
        assert!(behind.abs_diff(BURST) < Duration::from_millis(1), "{behind:?}");
        // What was not used is lost: a pause gives no more than one burst.
        let later = served_until + Duration::from_secs(60);
        assert!(rate.after(served_until, later, 0) > later);
    }

    #[tokio::test]
    async fn who_comes_first_is_served_first_and_the_others_wait() {
        let (turns, began) = (Turns::new(1_000_000), Instant::now());
        let served = Mutex::new(Vec::new());
        let one = async |name| {
            turns.take(async { 50_000 }, |size| *size).await;
            served.lock().await.push(name);
        };
        tokio::join!(one(1), one(2), one(3));
        assert_eq!(*served.lock().await, [1, 2, 3]);
        assert!(began.elapsed() > Duration::from_millis(2 * 50) - BURST);
    }
}
