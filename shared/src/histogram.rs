//! Observations, counted by size.

use std::time::Duration;

/// Upper bounds of times, in nanoseconds: from what memory takes to what a client gives up at.
const TIME_BOUNDS_NANOS: [u64; 19] = [
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// Upper bounds of numbers of entries: from one to more than a group takes.
const ENTRIES_BOUNDS: [u64; 15] =
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 16_384, 65_536];

/// Counts of observations by size.
///
/// A plain value without a lock, so that whoever owns it observes for the price of a few comparisons; whoever
/// shows it is given a clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what is larger than all of them.
    counts: Vec<u64>,
    sum: u128,
}

impl Histogram {
    /// None of times, in nanoseconds.
    pub fn of_times() -> Histogram {
        Histogram::new(&TIME_BOUNDS_NANOS)
    }

    /// None of numbers of entries.
    pub fn of_entries() -> Histogram {
        Histogram::new(&ENTRIES_BOUNDS)
    }

    fn new(bounds: &'static [u64]) -> Histogram {
        Histogram { bounds, counts: vec![0; bounds.len() + 1], sum: 0 }
    }

    /// One more, of this size.
    pub fn observe(&mut self, size: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < size);
        self.counts[bucket] += 1;
        self.sum += u128::from(size);
    }

    /// One more, of this length.
    pub fn observe_time(&mut self, passed: Duration) {
        self.observe(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Upper bounds, inclusive, and how many observations are within each and not within the one before. What
    /// is larger than all bounds is in [`Histogram::count`] alone.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.bounds.iter().copied().zip(self.counts.iter().copied())
    }

    /// How many observations there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sizes, added up.
    pub const fn sum(&self) -> u128 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket_and_what_is_larger_is_counted_all_the_same() {
        let mut histogram = Histogram::of_entries();
        for size in [0, 1, 2, 3, 4, 5, 1_000_000] {
            histogram.observe(size);
        }
        let buckets: Vec<(u64, u64)> = histogram.buckets().take(4).collect();
        assert_eq!(buckets, [(1, 2), (2, 1), (4, 2), (8, 1)]);
        assert_eq!((histogram.count(), histogram.sum()), (7, 1_000_015));
    }

    #[test]
    fn times_are_counted_in_nanoseconds() {
        let mut histogram = Histogram::of_times();
        histogram.observe_time(Duration::from_micros(150));
        histogram.observe_time(Duration::MAX);
        assert_eq!(histogram.buckets().find(|(_, count)| *count > 0), Some((200_000, 1)));
        assert_eq!(histogram.count(), 2);
    }

    #[test]
    fn bounds_rise() {
        assert!(TIME_BOUNDS_NANOS.is_sorted() && ENTRIES_BOUNDS.is_sorted());
    }
}
