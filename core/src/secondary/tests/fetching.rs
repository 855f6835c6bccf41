//! When the next ranges are asked for after an answer that did not come, or brought nothing.

use replog_shared::limits::{ANSWER_TIMEOUT, FETCH_WINDOW_RANGES, RETRY_MAX, RETRY_MIN};

use super::*;

type Envelope = (wire::EntriesHeader, Bytes);

/// A secondary that asks for the log of `master`, so many entries in a range.
fn fetching(master: &Master, range_entries: u64) -> Secondary {
    let mut secondary = Secondary::new();
    secondary.core.fetcher = Fetcher::new(PullLimits { range_entries, ..PullLimits::default() });
    secondary.join(master);
    secondary
}

/// An answer to this question with what is held already.
fn nothing_new(master: &Master, fetch: &wire::Fetch) -> Envelope {
    master.entries(0, 1, Some(fetch.request))
}

impl Secondary {
    fn next_fetch(&mut self) -> wire::Fetch {
        let mut fetches = self.fetches();
        assert_eq!(fetches.len(), 1);
        fetches.remove(0)
    }

    /// The next question, and after how much time it came.
    fn fetch_in_time(&mut self) -> (wire::Fetch, Duration) {
        assert_eq!(self.fetches().len(), 0, "it waits");
        let since = self.now;
        while self.said.iter().all(|effect| !matches!(effect, Effect::Fetch(_))) {
            let deadline = self.core.next_deadline().expect("it asks again by itself");
            self.pass(deadline.since(self.now));
        }
        (self.next_fetch(), self.now.since(since))
    }
}

#[test]
fn any_progress_opens_the_window_that_a_time_out_had_closed() {
    let master = Master::with(40);
    let pushed = |_: &wire::Fetch| master.entries(0, 1, None);
    let pushed_behind_a_gap = |_: &wire::Fetch| master.entries(5, 6, None);
    let late_answer = |fetch: &wire::Fetch| master.fetched(fetch);
    let progress: [&dyn Fn(&wire::Fetch) -> Envelope; 3] = [&pushed, &pushed_behind_a_gap, &late_answer];
    for envelope in progress {
        let mut secondary = fetching(&master, 1);
        let asked = secondary.fetches();
        assert_eq!(asked.len(), FETCH_WINDOW_RANGES);
        secondary.pass(ANSWER_TIMEOUT);
        assert_eq!(secondary.fetches().len(), 0, "it waits before it asks again");
        secondary.receive(envelope(&asked[3]));
        assert_eq!(secondary.fetches().len(), FETCH_WINDOW_RANGES, "the master is well");
    }
}

#[test]
fn without_progress_one_range_is_asked_for_after_a_while() {
    let master = Master::with(40);
    let mut secondary = fetching(&master, 1);
    secondary.fetches();
    secondary.pass(ANSWER_TIMEOUT);
    secondary.pass(RETRY_MIN);
    assert_eq!(secondary.fetches().len(), 1);
}

#[test]
fn an_answer_with_nothing_new_makes_it_wait_and_progress_makes_the_next_wait_short() {
    let master = Master::with(4);
    let mut secondary = fetching(&master, 4);
    let mut fetch = secondary.next_fetch();
    secondary.receive(master.entries(0, 1, None));
    let mut waits = Vec::new();
    for _ in 0..20 {
        secondary.receive(nothing_new(&master, &fetch));
        let (next, waited) = secondary.fetch_in_time();
        waits.push(waited);
        fetch = next;
    }
    assert_eq!(waits[0], RETRY_MIN);
    assert!(waits.iter().any(|waited| *waited > 4 * RETRY_MIN), "{waits:?}");
    assert!(waits.iter().all(|waited| *waited <= RETRY_MAX), "{waits:?}");
    secondary.receive(master.entries(1, 2, None));
    assert_ne!(secondary.fetches().len(), 0);
    secondary.receive(nothing_new(&master, &fetch));
    assert_eq!(secondary.core.fetcher.next_deadline(), Some(secondary.now.plus(RETRY_MIN)));
}

#[test]
fn a_push_that_comes_twice_holds_back_no_fetch() {
    let mut master = Master::with(3);
    let mut secondary = fetching(&master, 1);
    secondary.serve_fetches(&master);
    master.append(20);
    secondary.hear(&master.heartbeat());
    secondary.receive(master.entries(0, 3, None));
    secondary.pass(PUSH_QUIET);
    assert_eq!(secondary.fetches().len(), FETCH_WINDOW_RANGES, "nothing is amiss");
}
