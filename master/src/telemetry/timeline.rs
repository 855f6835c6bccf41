//! When what became durable here, so that a lag can be told in seconds and in bytes.

use std::{collections::VecDeque, time::Duration};

use replog_shared::{Moment, Order};

/// What becomes durable within this time is told together, while nothing forces longer stretches.
const STEP: Duration = Duration::from_millis(50);

/// Stretches that are kept. When there are more, neighbours become one: a lag is then told to within a 256th
/// of how far back they reach.
const STRETCHES_MAX: usize = 512;

/// Entries that became durable within a short time.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// When the first of them did.
    since: Moment,
    /// Exclusive end of them.
    to: Order,
    /// Bytes of the log up to there.
    bytes: u64,
}

/// The log as stretches of entries, oldest first; never none. The first one has all that every secondary holds,
/// and whatever was there before the process started.
#[derive(Debug)]
pub(super) struct Timeline {
    stretches: VecDeque<Stretch>,
    step: Duration,
}

/// How far behind a secondary is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lag {
    /// How long the oldest entry that it lacks has been durable here, at most.
    pub(super) time: Duration,
    /// About how many bytes it lacks.
    pub(super) bytes: u64,
}

impl Timeline {
    /// Of a log that was of this length and size at `since`.
    pub(super) fn new(since: Moment, length: Order, bytes: u64) -> Timeline {
        Timeline { stretches: [Stretch { since, to: length, bytes }].into(), step: STEP }
    }

    /// The log became durable through `length`; it has so many bytes up to there.
    pub(super) fn on_durable(&mut self, now: Moment, length: Order, bytes: u64) {
        let only = self.stretches.len() == 1;
        match self.stretches.back_mut() {
            Some(last) if last.to >= length => {}
            Some(last) if !only && now.since(last.since) < self.step => {
                (last.to, last.bytes) = (length, bytes);
            }
            _ => self.push(Stretch { since: now, to: length, bytes }),
        }
    }

    fn push(&mut self, stretch: Stretch) {
        if self.stretches.len() >= STRETCHES_MAX {
            self.thin_out();
        }
        self.stretches.push_back(stretch);
    }

    /// Joins neighbours; the first stretch is not like the others.
    fn thin_out(&mut self) {
        let mut thinned: VecDeque<Stretch> = self.stretches.drain(..1).collect();
        for pair in self.stretches.make_contiguous().chunks(2) {
            if let (Some(first), Some(last)) = (pair.first(), pair.last()) {
                thinned.push_back(Stretch { since: first.since, ..*last });
            }
        }
        self.stretches = thinned;
        self.step *= 2;
    }

    /// Every secondary holds `0..through`: what became durable when is not asked any more there.
    pub(super) fn forget(&mut self, through: Order) {
        while self.stretches.get(1).is_some_and(|second| second.to <= through) {
            if let Some(first) = self.stretches.pop_front() {
                self.stretches[0].since = first.since;
            }
        }
        if self.stretches.len() <= STRETCHES_MAX / 4 {
            self.step = STEP;
        }
    }

    /// What a secondary lacks that holds `0..through`.
    pub(super) fn lag(&self, now: Moment, through: Order) -> Lag {
        let total = self.stretches.back().map_or(0, |last| last.bytes);
        let first_lacked = self.stretches.iter().position(|stretch| stretch.to > through);
        let Some(index) = first_lacked else { return Lag::default() };
        let stretch = self.stretches[index];
        let (from, before) = match index.checked_sub(1) {
            Some(before) => (self.stretches[before].to, self.stretches[before].bytes),
            None => (Order::ZERO, 0),
        };
        let held = through.since(from) as f64 / stretch.to.since(from) as f64;
        let held_bytes = before + (held * stretch.bytes.saturating_sub(before) as f64) as u64;
        Lag { time: now.since(stretch.since), bytes: total.saturating_sub(held_bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn lag(timeline: &Timeline, now: u64, through: u64) -> (u128, u64) {
        let Lag { time, bytes } = timeline.lag(at(now), Order::new(through));
        (time.as_millis(), bytes)
    }

    /// One entry of 10 bytes each 100 ms, from 100 ms on.
    fn steady(entries: u64) -> Timeline {
        let mut timeline = Timeline::new(at(0), Order::ZERO, 0);
        (1..=entries).for_each(|nth| timeline.on_durable(at(100 * nth), Order::new(nth), 10 * nth));
        timeline
    }

    #[test]
    fn a_lag_is_as_old_as_the_oldest_entry_that_is_lacking() {
        let timeline = steady(9);
        assert_eq!(lag(&timeline, 1_000, 9), (0, 0));
        assert_eq!(lag(&timeline, 1_000, 8), (100, 10));
        assert_eq!(lag(&timeline, 1_000, 3), (600, 60));
        assert_eq!(lag(&timeline, 1_000, 0), (900, 90));
    }

    #[test]
    fn what_comes_within_a_step_is_as_old_as_its_first_entry() {
        let mut timeline = steady(1);
        timeline.on_durable(at(120), Order::new(3), 50);
        assert_eq!(
            lag(&timeline, 200, 2),
            (100, 17),
            "two of three entries are about two thirds of the bytes"
        );
    }

    #[test]
    fn what_was_there_before_is_as_old_as_the_process() {
        let mut timeline = Timeline::new(at(0), Order::new(100), 1_000);
        timeline.on_durable(at(10), Order::new(101), 1_010);
        assert_eq!(lag(&timeline, 500, 50), (500, 510));
        assert_eq!(lag(&timeline, 500, 100), (490, 10));
    }

    #[test]
    fn a_secondary_that_is_away_for_long_costs_precision_and_no_memory() {
        let timeline = steady(100_000);
        assert!(timeline.stretches.len() <= STRETCHES_MAX);
        let (time, bytes) = lag(&timeline, 10_000_000, 50_000);
        assert!((5_000_000..5_040_000).contains(&time), "{time}");
        assert!((499_000..501_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn what_all_hold_is_forgotten_and_precision_comes_back() {
        let mut timeline = steady(100_000);
        timeline.forget(Order::new(100_000));
        assert_eq!((timeline.stretches.len(), timeline.step), (1, STEP));
        timeline.on_durable(at(10_000_100), Order::new(100_001), 1_000_010);
        assert_eq!(lag(&timeline, 10_000_200, 100_000), (100, 10));
        assert_eq!(lag(&timeline, 10_000_200, 0), (10_000_200, 1_000_010), "it was wiped");
    }
}
