//! What a start has asked, which answers it takes, and how long it waits for them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use replog_shared::{Incarnation, Moment, NodeName, wire};

use crate::master::mutant::{self, Mutant};

/// Questions whose answers are taken. They go out every 100 ms, so these are those of the last seconds: what takes
/// longer tells of a node as it was.
const MAX_QUESTIONS: usize = 64;

/// How long a start waits, at most, for its own question to come back, and for round trips that are longer than the wait
/// that was configured.
const MAX_RAISED_WAIT: Duration = Duration::from_secs(5);

/// The questions of a start, from the first one to its epoch.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// What was asked and when, oldest first.
    questions: VecDeque<(u64, Moment)>,
    /// When the silence began that is waited for; none until something is asked.
    since: Option<Moment>,
    /// The last question that each process has answered.
    answered: BTreeMap<(NodeName, Incarnation), Moment>,
    /// The quickest round trip of each node.
    round_trips: BTreeMap<NodeName, Duration>,
    /// The quickest way of a question to NATS and back; none: none has come back.
    echo: Option<Duration>,
}

impl Asking {
    /// A question goes out.
    pub(super) fn ask(&mut self, now: Moment, request: u64) {
        self.since.get_or_insert(now);
        self.questions.push_back((request, now));
        if self.questions.len() > MAX_QUESTIONS {
            self.questions.pop_front();
        }
    }

    /// The connection is lost: silence means nothing any more, and no answer will come.
    pub(super) fn on_bus_down(&mut self) {
        (self.since, self.echo) = (None, None);
        self.questions.clear();
    }

    /// Everybody has all the time again. What was asked may still be answered.
    pub(super) fn start_over(&mut self, now: Moment) {
        self.since = None;
        if mutant::is(Mutant::DecidesWhenItAsks) {
            *self = Asking { since: Some(now), echo: Some(Duration::ZERO), ..Asking::default() };
        }
    }

    /// This node stood still for so long: nobody's silence counts meanwhile.
    pub(super) fn excuse(&mut self, late: Duration) {
        self.since = self.since.map(|since| since.plus(late));
    }

    /// An own question has come back: the bus works.
    pub(super) fn on_echo(&mut self, now: Moment, request: u64) {
        if let Some(asked) = self.asked(request) {
            let took = now.since(asked);
            self.echo = Some(self.echo.map_or(took, |known| known.min(took)));
        }
    }

    /// A node answers; false if that is no answer to one of the last questions, or the same process has answered a
    /// later one.
    pub(super) fn on_answer(&mut self, now: Moment, state: &wire::State) -> bool {
        let Some(asked) = self.asked(state.request) else { return false };
        let wire::Sender { node, incarnation, .. } = &state.sender;
        let last = self.answered.entry((node.clone(), *incarnation)).or_insert(asked);
        if asked < *last {
            return false;
        }
        *last = asked;
        let took = now.since(asked);
        self.round_trips.entry(node.clone()).and_modify(|known| *known = took.min(*known)).or_insert(took);
        true
    }

    fn asked(&self, request: u64) -> Option<Moment> {
        self.questions.iter().rev().find(|(known, _)| *known == request).map(|(_, at)| *at)
    }

    /// How long silent nodes are waited for: twice what a round trip takes, if that is more than was configured. An
    /// answer makes the way of an echo twice.
    pub(super) fn wait(&self, configured: Duration) -> Duration {
        let echo = self.echo.map(|echo| 2 * echo);
        let longest = self.round_trips.values().copied().chain(echo).max().unwrap_or_default();
        configured.max((2 * longest).min(MAX_RAISED_WAIT))
    }

    /// Whether nodes that have not answered are still waited for.
    pub(super) fn waits(&self, now: Moment, configured: Duration) -> bool {
        self.silent_for(now).is_none_or(|silence| {
            silence < self.wait(configured) || self.echo.is_none() && silence < MAX_RAISED_WAIT
        })
    }

    /// How long everybody who is there could have been heard; none while nothing was asked.
    pub(super) fn silent_for(&self, now: Moment) -> Option<Duration> {
        self.since.map(|since| now.since(since))
    }

    /// When to look again, if not before: the first of these times that is still to come.
    pub(super) fn next_look(&self, now: Moment, after: [Duration; 2]) -> Option<Moment> {
        let since = self.since?;
        after.into_iter().map(|after| since.plus(after)).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use replog_shared::{Digest, Outline};

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn state(request: u64, incarnation: u64) -> wire::State {
        let (node, incarnation) = ("s1".parse().unwrap(), Incarnation::from_random(incarnation));
        wire::State {
            sender: wire::Sender { v: wire::VERSION, log_id: None, node, incarnation },
            request,
            promised: None,
            fence: None,
            outline: Outline::default(),
            digest: Digest::EMPTY,
            turn: None,
            whole: false,
            hears: None,
        }
    }

    const WAIT: Duration = Duration::from_millis(50);

    #[test]
    fn the_wait_begins_with_a_question_and_lasts_for_a_round_trip_at_least() {
        let mut asking = Asking::default();
        assert!(asking.waits(at(900), WAIT), "nothing was asked");
        asking.ask(at(1_000), 1);
        assert!(asking.waits(at(1_100), WAIT), "the bus may not even work");
        asking.on_echo(at(1_100), 1);
        assert_eq!(asking.wait(WAIT), Duration::from_millis(400));
        assert!(asking.waits(at(1_399), WAIT) && !asking.waits(at(1_400), WAIT));
        assert_eq!(asking.wait(Duration::from_secs(1)), Duration::from_secs(1));
        asking.start_over(at(0));
        assert!(asking.waits(at(9_000), WAIT));
    }

    #[test]
    fn a_bus_that_gives_nothing_back_is_not_waited_for_without_end() {
        let mut asking = Asking::default();
        asking.ask(at(0), 1);
        assert!(asking.waits(at(4_999), WAIT) && !asking.waits(at(5_000), WAIT));
    }

    #[test]
    fn an_answer_to_any_of_the_last_questions_counts_and_none_that_is_older_than_another() {
        let mut asking = Asking::default();
        for nth in 0..10 {
            asking.ask(at(100 * nth), nth);
        }
        assert!(asking.on_answer(at(1_000), &state(3, 7)));
        asking.start_over(at(0));
        assert!(asking.on_answer(at(1_000), &state(5, 7)));
        assert!(!asking.on_answer(at(1_000), &state(4, 7)), "it is of before");
        assert!(asking.on_answer(at(1_000), &state(4, 8)), "another process");
        assert!(!asking.on_answer(at(1_000), &state(77, 7)), "nobody asked that");
        for nth in 10..100 {
            asking.ask(at(100 * nth), nth);
        }
        assert!(!asking.on_answer(at(10_000), &state(9, 9)) && asking.questions.len() == MAX_QUESTIONS);
        asking.on_bus_down();
        assert!(!asking.on_answer(at(10_000), &state(99, 9)));
    }

    #[test]
    fn of_several_round_trips_of_a_node_the_quickest_counts_and_of_several_nodes_the_slowest() {
        let mut asking = Asking::default();
        asking.ask(at(0), 1);
        asking.on_echo(at(10), 1);
        let _counts = asking.on_answer(at(400), &state(1, 7));
        assert_eq!(asking.wait(WAIT), Duration::from_millis(800));
        asking.ask(at(500), 2);
        let _counts = asking.on_answer(at(530), &state(2, 7));
        assert_eq!(asking.wait(WAIT), Duration::from_millis(60));
    }
}
