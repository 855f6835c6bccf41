//! Old lines of a log on their way from a disk, while their node works on.

use replog_core::driver::{Core, Driver, Turn};
use replog_shared::store::{OldLines, Reader as _, Store as _};

use super::disk::Disk;

/// How long a read takes, in turn, in microseconds: some overtake each other, and some are long enough for a cut to come
/// between.
const LATENCIES: [u64; 5] = [0, 100, 3_000, 0, 40_000];

/// Reads that are under way.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// When each is done, and what it finds.
    under_way: Vec<(u64, Turn, OldLines)>,
    begun: usize,
}

impl Reads {
    /// Begins to read what events wait for.
    pub(super) fn begin<C: Core>(&mut self, now: u64, driver: &mut Driver<C, Disk>) {
        while let Some((turn, lookup)) = driver.next_read() {
            let lines = driver.log().reader().old(lookup);
            let lines = lines.unwrap_or_else(|error| unreachable!("memory does not fail: {error}"));
            self.under_way.push((now + LATENCIES[self.begun % LATENCIES.len()], turn, lines));
            self.begun += 1;
        }
    }

    /// The next that is done by now.
    pub(super) fn next_done(&mut self, now: u64) -> Option<(Turn, OldLines)> {
        let at = self.under_way.iter().position(|(at, ..)| *at <= now)?;
        let (_, turn, lines) = self.under_way.remove(at);
        Some((turn, lines))
    }

    /// When the next one is done.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.under_way.iter().map(|(at, ..)| *at).min()
    }
}
