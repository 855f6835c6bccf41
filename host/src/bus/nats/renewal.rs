//! When a subscription that was denied is made again.

use std::time::{Duration, Instant};

use super::super::limits::{ALLOWED_AFTER, RENEWAL_MIN};

/// A subscription that the server denied. It says nothing when it would allow it: that is found out by subscribing, at
/// growing intervals.
#[derive(Debug)]
pub(super) struct Renewal {
    longest: Duration,
    /// From the last denial to the next try.
    delay: Duration,
    /// When to try; none while a try is not known to have failed.
    due: Option<Instant>,
    tried: Option<Instant>,
}

impl Renewal {
    /// Tries are at most so far apart.
    pub(super) const fn new(longest: Duration) -> Renewal {
        Renewal { longest, delay: Duration::ZERO, due: None, tried: None }
    }

    /// The server denied it.
    pub(super) fn on_denied(&mut self, now: Instant) {
        self.delay = (self.delay * 2).clamp(RENEWAL_MIN, self.longest);
        (self.due, self.tried) = (Some(now + self.delay), None);
    }

    /// Whether to try now; that is then taken as done.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            (self.due, self.tried) = (None, Some(now));
        }
        is_due
    }

    /// Whether the last try was not denied.
    pub(super) fn is_in_place(&self, now: Instant) -> bool {
        self.tried.is_some_and(|tried| now.duration_since(tried) >= ALLOWED_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_further_and_further_apart_up_to_the_longest_delay() {
        let longest = RENEWAL_MIN * 3;
        let mut renewal = Renewal::new(longest);
        let mut now = Instant::now();
        for delay in [RENEWAL_MIN, RENEWAL_MIN * 2, longest, longest] {
            renewal.on_denied(now);
            assert!(!renewal.is_due(now + delay - Duration::from_millis(1)));
            now += delay;
            assert!(renewal.is_due(now));
            assert!(!renewal.is_due(now), "once is enough");
        }
    }

    #[test]
    fn a_try_that_is_not_denied_for_a_while_has_succeeded() {
        let start = Instant::now();
        let mut renewal = Renewal::new(RENEWAL_MIN);
        renewal.on_denied(start);
        assert!(!renewal.is_in_place(start + ALLOWED_AFTER), "it was not tried");
        let tried = start + RENEWAL_MIN;
        assert!(renewal.is_due(tried));
        assert!(!renewal.is_in_place(tried));
        assert!(renewal.is_in_place(tried + ALLOWED_AFTER));
        renewal.on_denied(tried);
        assert!(!renewal.is_in_place(tried + ALLOWED_AFTER));
    }
}
