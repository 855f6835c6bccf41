//! What is counted while a load runs.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::failure::Failure;

/// The shortest latency that is told from others.
const MIN_LATENCY: Duration = Duration::from_micros(1);

/// The longest latency that is told from others; longer ones count as this one.
const MAX_LATENCY: Duration = Duration::from_secs(3_600);

/// Digits of a latency that are kept.
const LATENCY_DIGITS: u8 = 3;

/// Which requests are measured: those that begin in the window.
pub(crate) struct Window {
    /// Requests before this moment only warm up.
    pub(crate) from: Instant,
    /// No request begins from here on; `None`: the count alone ends the run.
    pub(crate) until: Option<Instant>,
    /// Requests to measure; `None`: as many as fit.
    pub(crate) count: Option<u64>,
}

/// The counts of one run.
///
/// All clients of the run share one, and with it one histogram: one for each would not stay in the
/// processor's cache.
pub(crate) struct Tally {
    window: Window,
    begun: u64,
    answered: u64,
    answered_in_window: u64,
    last_answer: Option<Instant>,
    latencies: Histogram<u64>,
    errors: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts nothing yet.
    ///
    /// # Errors
    /// No histogram of these bounds: our own bug.
    pub(crate) fn new(window: Window) -> Result<Self, Failure> {
        let latencies = Histogram::new_with_bounds(nanos(MIN_LATENCY), nanos(MAX_LATENCY), LATENCY_DIGITS)
            .map_err(|error| Failure::Bad(error.to_string()))?;
        Ok(Self {
            window,
            begun: 0,
            answered: 0,
            answered_in_window: 0,
            last_answer: None,
            latencies,
            errors: BTreeMap::new(),
        })
    }

    /// Whether another request may begin `now`; if so, it has begun.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        if self.is_over(now) {
            return false;
        }
        if self.is_measured(now) {
            self.begun += 1;
        }
        true
    }

    /// Counts what became of the request that began at `began`: its status, or how its connection failed.
    pub(crate) fn end(&mut self, began: Instant, now: Instant, outcome: &io::Result<u16>) {
        if !self.is_measured(began) {
            return;
        }
        self.last_answer = Some(now);
        match outcome {
            Ok(200) => self.on_good(now, now - began),
            Ok(status) => self.count_error(status.to_string()),
            Err(error) => self.count_error(format!("connection: {}", error.kind())),
        }
    }

    /// Ends the window: what was begun may still be answered.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.window.until = Some(self.window.until.map_or(now, |until| until.min(now)));
    }

    /// Counts as errors the requests that were begun and have no answer by `now`.
    pub(crate) fn give_up(&mut self, now: Instant) {
        let open = self.begun - self.answered - self.errors();
        if open > 0 {
            self.last_answer = Some(now);
            self.errors.insert("unanswered".to_owned(), open);
        }
    }

    /// Whether no request begins any more.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.window.until.is_some_and(|until| now >= until) || self.window.count == Some(self.begun)
    }

    /// Requests answered with 200.
    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    /// Requests answered with 200 while the window was open: what the rate counts.
    pub(crate) fn answered_in_window(&self) -> u64 {
        self.answered_in_window
    }

    /// All requests that were measured and not answered with 200.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The errors, by status or kind.
    pub(crate) fn errors_by_kind(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// The latencies of what was answered with 200, in nanoseconds.
    pub(crate) fn latencies(&self) -> &Histogram<u64> {
        &self.latencies
    }

    /// How long has been measured `now`: the window as far as it is open, whether answers came or not. A run
    /// that its count ends lasts until its last answer.
    pub(crate) fn measured(&self, now: Instant) -> Duration {
        let is_complete =
            self.window.count == Some(self.begun) && self.begun == self.answered + self.errors();
        let end = self.last_answer.filter(|_| is_complete).unwrap_or(now);
        let end = self.window.until.map_or(end, |until| until.min(end));
        end.saturating_duration_since(self.window.from)
    }

    fn is_measured(&self, began: Instant) -> bool {
        began >= self.window.from
    }

    fn on_good(&mut self, now: Instant, latency: Duration) {
        self.answered += 1;
        if self.window.until.is_none_or(|until| now <= until) {
            self.answered_in_window += 1;
        }
        self.latencies.saturating_record(nanos(latency));
    }

    fn count_error(&mut self, kind: String) {
        *self.errors.entry(kind).or_default() += 1;
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A window of one second that opens one second after the returned start.
    fn tally(count: Option<u64>) -> (Instant, Tally) {
        let start = Instant::now();
        let window = Window { from: start + SECOND, until: Some(start + 2 * SECOND), count };
        (start, Tally::new(window).unwrap())
    }

    #[test]
    fn warming_up_is_not_counted() {
        let (start, mut tally) = tally(Some(1));
        assert!(tally.begin(start));
        tally.end(start, start + SECOND, &Ok(200));
        assert_eq!((tally.answered(), tally.measured(start + SECOND)), (0, Duration::ZERO));
        assert!(tally.begin(start + SECOND));
        assert!(!tally.begin(start + SECOND), "the count is reached");
    }

    #[test]
    fn a_late_answer_has_a_latency_and_no_part_in_the_rate() {
        let (start, mut tally) = tally(None);
        let began = start + SECOND + SECOND / 2;
        assert!(tally.begin(began));
        assert!(!tally.begin(start + 2 * SECOND), "the window is closed");
        tally.end(began, start + 3 * SECOND, &Ok(200));
        assert_eq!((tally.answered(), tally.answered_in_window()), (1, 0));
        assert_eq!(tally.measured(start + 3 * SECOND), SECOND);
    }

    #[test]
    fn a_stall_is_part_of_the_measured_time() {
        let (start, mut tally) = tally(None);
        let began = start + SECOND;
        assert!(tally.begin(began));
        tally.end(began, began + SECOND / 10, &Ok(200));
        assert_eq!(tally.measured(start + 9 * SECOND), SECOND);
    }

    #[test]
    fn a_counted_run_lasts_until_its_last_answer() {
        let (start, mut tally) = tally(Some(1));
        let began = start + SECOND;
        assert!(tally.begin(began));
        assert_eq!(tally.measured(began + SECOND / 2), SECOND / 2);
        tally.end(began, began + SECOND / 10, &Ok(200));
        assert_eq!(tally.measured(start + 9 * SECOND), SECOND / 10);
    }

    #[test]
    fn errors_are_counted_by_status_and_kind() {
        let (start, mut tally) = tally(None);
        let now = start + SECOND;
        for outcome in [Ok(503), Err(io::ErrorKind::UnexpectedEof.into()), Ok(503)] {
            assert!(tally.begin(now));
            tally.end(now, now, &outcome);
        }
        assert!(tally.begin(now));
        tally.give_up(now);
        let errors: Vec<_> =
            tally.errors_by_kind().iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        assert_eq!(errors, [("503", 2), ("connection: unexpected end of file", 1), ("unanswered", 1)]);
    }

    #[test]
    fn a_stopped_run_ends_early() {
        let (start, mut tally) = tally(None);
        tally.stop(start + SECOND + SECOND / 2);
        assert!(tally.is_over(start + SECOND + SECOND / 2));
        tally.stop(start + 5 * SECOND);
        assert!(tally.is_over(start + SECOND + SECOND / 2), "a window never grows");
    }
}
