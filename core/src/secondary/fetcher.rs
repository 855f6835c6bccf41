//! Ranges that were asked of the master and have not come yet.

use std::collections::VecDeque;

use replog_shared::{
    Moment, Order, OrderRange,
    backoff::Backoff,
    limits::{
        ANSWER_TIMEOUT, ENVELOPE_BYTES, FETCH_RANGE_ENTRIES, FETCH_WINDOW_RANGES, PULL_PENDING_BYTES,
        PUSH_RESUME_ENTRIES, REORDER_BUFFER_BYTES,
    },
};

/// Requests that are remembered after they were given up.
const GIVEN_UP_REQUESTS: usize = 8 * FETCH_WINDOW_RANGES;

/// A range on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InFlight {
    request: u64,
    range: OrderRange,
    deadline: Moment,
}

/// Plans which ranges to ask for: several at a time, none twice, again after a time-out, without limit.
///
/// Invariant: at most [`PullLimits::window_ranges`] in flight, no two of which overlap or have one request.
#[derive(Debug)]
pub(super) struct Fetcher {
    limits: PullLimits,
    in_flight: Vec<InFlight>,
    /// Entries to ask for in one range: as many as fitted one answer of late.
    range_entries: u64,
    /// The last answer was short of what was asked for.
    last_was_short: bool,
    backoff: Backoff,
    /// Nothing is asked for before this; set after a time-out.
    not_before: Option<Moment>,
    /// Requests that were given up: their answers may still come, and are as good.
    given_up: VecDeque<u64>,
}

/// How much a secondary asks for and keeps. Small ones make a simulation meet every edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullLimits {
    /// Ranges asked for at one time.
    pub window_ranges: usize,
    /// Entries in one range.
    pub range_entries: u64,
    /// Bytes of envelopes kept because something before them is missing.
    pub buffer_bytes: usize,
    /// Bytes that wait to become durable here, above which nothing is asked for and nothing that is pushed is taken.
    pub pending_bytes: usize,
    /// Who lacks no more entries than this is pushed at: the master's own limit.
    pub resume_entries: u64,
}

impl Default for PullLimits {
    fn default() -> PullLimits {
        PullLimits {
            window_ranges: FETCH_WINDOW_RANGES,
            range_entries: FETCH_RANGE_ENTRIES,
            buffer_bytes: REORDER_BUFFER_BYTES,
            pending_bytes: PULL_PENDING_BYTES,
            resume_entries: PUSH_RESUME_ENTRIES,
        }
    }
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Answer {
    /// It was asked for.
    Wanted {
        /// Something was asked for, and the master's log ends before it.
        beyond_end: bool,
    },
    /// Nobody here asked for it.
    Unknown,
}

impl Fetcher {
    pub(super) fn new(limits: PullLimits) -> Fetcher {
        Fetcher {
            limits,
            in_flight: Vec::new(),
            range_entries: limits.range_entries,
            last_was_short: false,
            backoff: Backoff::default(),
            not_before: None,
            given_up: VecDeque::new(),
        }
    }
}

impl Fetcher {
    /// The ranges to ask for now, of what is missing, while so many bytes wait to become durable; each must be given to
    /// [`Fetcher::start`].
    pub(super) fn plan(
        &self,
        pending_bytes: usize,
        missing: impl Iterator<Item = OrderRange>,
    ) -> Vec<OrderRange> {
        let mut planned = Vec::new();
        let mut room = self.room().min(self.room_of_disk(pending_bytes));
        for gap in missing {
            let mut at = gap.from;
            while at < gap.to && room > 0 {
                let Some(to) = self.free_end(at, gap.to) else {
                    at = self.covered_end(at);
                    continue;
                };
                planned.push(OrderRange::new(at, to));
                room -= 1;
                at = to;
            }
            if room == 0 {
                break;
            }
        }
        planned
    }

    /// How many more ranges may be asked for. After a time-out it is one: a probe.
    fn room(&self) -> usize {
        let window = if self.backoff.attempts() > 0 { 1 } else { self.limits.window_ranges };
        if self.not_before.is_some() { 0 } else { window.saturating_sub(self.in_flight.len()) }
    }

    /// How many more ranges may come before the disk has more to do than it may.
    fn room_of_disk(&self, pending_bytes: usize) -> usize {
        let left = self.limits.pending_bytes.saturating_sub(pending_bytes);
        left.div_ceil(ENVELOPE_BYTES).saturating_sub(self.in_flight.len())
    }

    /// Whether nothing is on its way and something may be asked for.
    pub(super) fn is_free(&self) -> bool {
        self.in_flight.is_empty() && self.not_before.is_none()
    }

    /// Where a new range that begins at `at` ends; `None` if `at` is on its way.
    fn free_end(&self, at: Order, limit: Order) -> Option<Order> {
        let ranges = self.in_flight.iter().map(|flight| flight.range);
        if ranges.clone().any(|range| range.from <= at && at < range.to) {
            return None;
        }
        let next = ranges.map(|range| range.from).filter(|from| *from > at).min();
        Some(limit.min(next.unwrap_or(limit)).min(at.plus(self.range_entries)))
    }

    fn covered_end(&self, at: Order) -> Order {
        let ranges = self.in_flight.iter().map(|flight| flight.range);
        ranges.filter(|range| range.from <= at && at < range.to).map(|range| range.to).max().unwrap_or(at)
    }

    /// A range was asked for.
    pub(super) fn start(&mut self, now: Moment, request: u64, range: OrderRange) {
        self.in_flight.push(InFlight { request, range, deadline: now.plus(ANSWER_TIMEOUT) });
    }

    /// An answer has come and is held back until `until`: it is not asked for again before.
    pub(super) fn on_held(&mut self, request: u64, until: Moment) {
        if let Some(flight) = self.in_flight.iter_mut().find(|flight| flight.request == request) {
            flight.deadline = until.plus(ANSWER_TIMEOUT);
        }
    }

    /// An answer with `count` entries has come. It may be short of what was asked for: the rest is simply
    /// missing again. `marks_alone`: it has lines, and no entry among them.
    pub(super) fn on_answer(&mut self, request: u64, count: u64, marks_alone: bool) -> Answer {
        let Some(index) = self.in_flight.iter().position(|flight| flight.request == request) else {
            let late = self.given_up.contains(&request);
            return if late { Answer::Wanted { beyond_end: false } } else { Answer::Unknown };
        };
        let wanted = self.in_flight.swap_remove(index).range.count();
        let tells = wanted > 0 && !marks_alone;
        if tells {
            self.adapt(wanted, count);
        }
        Answer::Wanted { beyond_end: tells && count == 0 }
    }

    /// Asks for as much as fits one answer. A single short one says nothing: it may have met the end of one
    /// of the store's segments.
    fn adapt(&mut self, wanted: u64, count: u64) {
        let short = count < wanted;
        if short && self.last_was_short {
            self.range_entries = count.max(1);
        } else if !short && wanted >= self.range_entries {
            self.range_entries =
                (self.range_entries + self.range_entries / 8 + 1).min(self.limits.range_entries);
        }
        self.last_was_short = short;
    }

    /// An answer brought the log on: the master is well.
    pub(super) const fn on_progress(&mut self) {
        self.backoff.reset();
        self.not_before = None;
    }

    /// An answer brought nothing new: waits, so that a master with nothing to give is not asked in a loop.
    pub(super) fn on_fruitless(&mut self, now: Moment, random: &mut fastrand::Rng) {
        self.not_before = Some(now.plus(self.backoff.next_delay(random)));
    }

    /// Gives up waiting for what is overdue; it is asked for again after a delay.
    pub(super) fn on_deadline(&mut self, now: Moment, random: &mut fastrand::Rng) {
        if self.not_before.is_some_and(|until| until <= now) {
            self.not_before = None;
        }
        if self.give_up(|flight| flight.deadline <= now) {
            self.on_fruitless(now, random);
        }
    }

    /// Waits for these no longer, and remembers the last of them; whether there were any.
    fn give_up(&mut self, which: impl Fn(&InFlight) -> bool) -> bool {
        let before = self.in_flight.len();
        self.given_up
            .extend(self.in_flight.extract_if(.., |flight| which(flight)).map(|flight| flight.request));
        let surplus = self.given_up.len().saturating_sub(GIVEN_UP_REQUESTS);
        self.given_up.drain(..surplus);
        self.in_flight.len() < before
    }

    /// When [`Fetcher::on_deadline`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.in_flight.iter().map(|flight| flight.deadline).chain(self.not_before).min()
    }

    /// Forgets what is on its way; a new session asks anew.
    pub(super) fn clear(&mut self) {
        self.give_up(|_| true);
        self.on_progress();
    }

    /// The ranges on their way.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Asserts the invariant.
    pub(super) fn check(&self) {
        assert!(self.in_flight.len() <= self.limits.window_ranges, "more ranges are asked for than may be");
        for (nth, one) in self.in_flight.iter().enumerate() {
            for other in &self.in_flight[nth + 1..] {
                assert!(!overlap(one.range, other.range), "{one:?} and {other:?} are asked for twice");
                assert_ne!(one.request, other.request, "two ranges are asked for by one request");
            }
        }
        let range_entries = 1..=self.limits.range_entries;
        assert!(range_entries.contains(&self.range_entries), "a range has {} entries", self.range_entries);
        assert!(self.given_up.len() <= GIVEN_UP_REQUESTS, "too many requests are remembered");
    }
}

fn overlap(one: OrderRange, other: OrderRange) -> bool {
    one.from.max(other.from) < one.to.min(other.to)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use replog_shared::limits::RETRY_MIN;

    use super::*;

    fn range(from: u64, to: u64) -> OrderRange {
        OrderRange::new(Order::new(from), Order::new(to))
    }

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn ask(fetcher: &mut Fetcher, now: Moment, missing: &[OrderRange]) -> Vec<OrderRange> {
        let planned = fetcher.plan(0, missing.iter().copied());
        for (nth, range) in planned.iter().enumerate() {
            fetcher.start(now, nth as u64, *range);
        }
        planned
    }

    #[test]
    fn the_window_is_filled_and_nothing_is_asked_for_twice() {
        let mut fetcher = Fetcher::new(PullLimits::default());
        let planned = ask(&mut fetcher, at(0), &[range(0, 1_000_000)]);
        assert_eq!(planned.len(), FETCH_WINDOW_RANGES);
        assert_eq!(planned[1], range(FETCH_RANGE_ENTRIES, 2 * FETCH_RANGE_ENTRIES));
        assert!(fetcher.plan(0, [range(0, 1_000_000)].into_iter()).is_empty());
        assert_eq!(fetcher.on_answer(0, FETCH_RANGE_ENTRIES, false), Answer::Wanted { beyond_end: false });
        let next = fetcher.plan(0, [range(FETCH_RANGE_ENTRIES, 1_000_000)].into_iter());
        assert_eq!(next, [range(8 * FETCH_RANGE_ENTRIES, 9 * FETCH_RANGE_ENTRIES)]);
    }

    #[test]
    fn no_more_is_asked_for_than_the_disk_may_have_to_do() {
        let fetcher = Fetcher::new(PullLimits { pending_bytes: 3 * ENVELOPE_BYTES, ..PullLimits::default() });
        let planned = |pending| fetcher.plan(pending, [range(0, 1_000_000)].into_iter()).len();
        assert_eq!([0, 1, ENVELOPE_BYTES, 3 * ENVELOPE_BYTES - 1].map(planned), [3, 3, 2, 1]);
        assert_eq!([3 * ENVELOPE_BYTES, usize::MAX].map(planned), [0, 0]);
    }

    #[test]
    fn small_gaps_are_asked_for_exactly() {
        let mut fetcher = Fetcher::new(PullLimits::default());
        assert_eq!(ask(&mut fetcher, at(0), &[range(2, 3), range(5, 9)]), [range(2, 3), range(5, 9)]);
    }

    #[test]
    fn ranges_shrink_to_what_fits_an_answer() {
        let mut fetcher = Fetcher::new(PullLimits::default());
        ask(&mut fetcher, at(0), &[range(0, 2_048)]);
        let _wanted = fetcher.on_answer(0, 100, false);
        assert_eq!(fetcher.plan(0, [range(5_000, 9_000)].into_iter())[0], range(5_000, 6_024));
        let _wanted = fetcher.on_answer(1, 100, false);
        assert_eq!(fetcher.plan(0, [range(5_000, 9_000)].into_iter())[0], range(5_000, 5_100));
    }

    #[test]
    fn what_does_not_come_is_asked_for_again_with_growing_delays() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut fetcher = Fetcher::new(PullLimits::default());
        let mut now = at(0);
        for _ in 0..50 {
            let planned = ask(&mut fetcher, now, &[range(0, 3)]);
            assert_eq!(planned, [range(0, 3)]);
            now = fetcher.next_deadline().unwrap();
            fetcher.on_deadline(now, &mut random);
            assert!(fetcher.plan(0, [range(0, 3)].into_iter()).is_empty(), "it waits first");
            now = fetcher.next_deadline().unwrap();
            fetcher.on_deadline(now, &mut random);
        }
        fetcher.on_progress();
        assert_eq!(fetcher.room(), FETCH_WINDOW_RANGES);
        assert_eq!(
            fetcher.on_answer(0, 3, false),
            Answer::Wanted { beyond_end: false },
            "late is not unasked"
        );
        assert_eq!(fetcher.on_answer(77, 3, false), Answer::Unknown);
        assert!(fetcher.given_up.len() <= GIVEN_UP_REQUESTS);
    }

    #[test]
    fn what_brings_nothing_closes_the_window_until_it_is_probed_or_something_comes() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut fetcher = Fetcher::new(PullLimits::default());
        let most = FETCH_WINDOW_RANGES;
        assert_eq!(fetcher.room(), most);
        fetcher.on_fruitless(at(0), &mut random);
        assert_eq!((fetcher.room(), fetcher.is_free()), (0, false));
        let until = fetcher.next_deadline().expect("it asks again by itself");
        fetcher.on_deadline(until, &mut random);
        assert_eq!((fetcher.room(), fetcher.is_free()), (1, true));
        fetcher.on_fruitless(until, &mut random);
        fetcher.on_progress();
        assert_eq!((fetcher.room(), fetcher.next_deadline()), (most, None));
        fetcher.on_fruitless(at(0), &mut random);
        assert_eq!(fetcher.next_deadline(), Some(at(0).plus(RETRY_MIN)), "as if nothing had been amiss");
    }

    /// One that has asked for these.
    fn asking(ranges: &[(u64, OrderRange)]) -> Fetcher {
        let mut fetcher = Fetcher::new(PullLimits::default());
        ranges.iter().for_each(|(request, range)| fetcher.start(at(0), *request, *range));
        fetcher
    }

    #[test]
    #[should_panic(expected = "more ranges are asked for than may be")]
    fn a_window_that_is_too_full_is_found() {
        let ranges: Vec<_> = (0..=FETCH_WINDOW_RANGES as u64).map(|at| (at, range(at, at + 1))).collect();
        asking(&ranges).check();
    }

    #[test]
    #[should_panic(expected = "are asked for twice")]
    fn ranges_that_overlap_are_found() {
        asking(&[(0, range(3, 6)), (1, range(5, 9))]).check();
    }

    #[test]
    #[should_panic(expected = "two ranges are asked for by one request")]
    fn two_ranges_of_one_request_are_found() {
        asking(&[(0, range(3, 5)), (0, range(5, 9))]).check();
    }

    #[test]
    #[should_panic(expected = "a range has 0 entries")]
    fn a_range_that_brings_nothing_is_found() {
        Fetcher { range_entries: 0, ..asking(&[]) }.check();
    }

    #[test]
    #[should_panic(expected = "too many requests are remembered")]
    fn requests_without_an_end_are_found() {
        Fetcher { given_up: (0..=GIVEN_UP_REQUESTS as u64).collect(), ..asking(&[]) }.check();
    }
}
