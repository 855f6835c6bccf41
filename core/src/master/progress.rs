//! One secondary as the master sees it: how far it is, and when to send again.

use std::{collections::VecDeque, time::Duration};

use replog_shared::{
    Durability, Incarnation, LogId, Moment, Order,
    backoff::Backoff,
    limits::{
        ANSWER_TIMEOUT, ENVELOPE_BYTES, PUSH_BACKLOG_ENTRIES, PUSH_RESUME_ENTRIES, PUSH_WINDOW_BYTES,
        PUSH_WINDOW_ENVELOPES,
    },
    store::{LogView, Span},
    wire,
};

use super::{
    Health,
    mutant::{self, Mutant},
};
use crate::checks::assert_sum;

/// What the master does about a secondary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has not joined this epoch. Nothing is sent.
    Absent,
    /// It is behind and fetches by itself. Nothing is pushed.
    Syncing,
    /// It is up to date but for what is on its way. Everything new is pushed.
    Streaming,
    /// What was pushed was not acked in time: one envelope is pushed again and again, at growing intervals.
    Probing,
    /// It holds another log.
    Foreign(LogId),
    /// It holds what this log lacks, or something else in its place.
    Diverged,
}

impl Stage {
    /// As it is written in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Absent => "absent",
            Stage::Syncing => "syncing",
            Stage::Streaming => "streaming",
            Stage::Probing => "probing",
            Stage::Foreign(_) => "foreign",
            Stage::Diverged => "diverged",
        }
    }
}

/// One secondary's progress.
///
/// Invariant: `acked_through <= next <= ` what is durable here; what is in flight begins behind `acked_through`, ends at
/// `next`, and is pushed again when its time is over. Nothing is in flight but to a process that was admitted.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) stage: Stage,
    /// The process that was admitted to this epoch.
    pub(super) admitted: Option<Incarnation>,
    /// The request of the join that admitted it.
    joined: u64,
    /// It has acked `0..` this since then; none: it does not hold the epoch's mark.
    acked_through: Option<Order>,
    /// What holding means on that node, as its last ack said.
    durability: Durability,
    /// Its last sign of life.
    pub(super) heard: Option<Moment>,
    /// The first order that was not pushed yet.
    next: Order,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    retry_at: Option<Moment>,
    backoff: Backoff,
    /// Envelopes that were pushed again.
    pub(super) retries: u64,
    /// The entry at this order is larger than what the bus takes: nothing is pushed until it takes more.
    pub(super) too_large: Option<Order>,
}

/// How much is pushed at one secondary. Small ones make a simulation meet every edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushLimits {
    /// Bytes of lines in one envelope; a single entry may have more.
    pub envelope_bytes: usize,
    /// Envelopes on their way without an ack.
    pub window_envelopes: usize,
    /// Bytes of lines on their way without an ack.
    pub window_bytes: usize,
    /// Who lacks more entries is not pushed at.
    pub backlog_entries: u64,
    /// Who fetches is pushed at again when it lacks no more entries than this.
    pub resume_entries: u64,
}

impl Default for PushLimits {
    fn default() -> PushLimits {
        PushLimits {
            envelope_bytes: ENVELOPE_BYTES,
            window_envelopes: PUSH_WINDOW_ENVELOPES,
            window_bytes: PUSH_WINDOW_BYTES,
            backlog_entries: PUSH_BACKLOG_ENTRIES,
            resume_entries: PUSH_RESUME_ENTRIES,
        }
    }
}

/// Under which terms something is pushed now.
#[derive(Clone, Copy, Debug)]
pub(super) struct PushTerms {
    pub(super) now: Moment,
    pub(super) limits: PushLimits,
    /// Bytes of lines that the bus takes at the most.
    pub(super) most: usize,
    /// How far callers wait for secondaries.
    pub(super) awaited: Order,
}

/// An envelope without an ack.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    to: Order,
    bytes: usize,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress {
            stage: Stage::Absent,
            admitted: None,
            joined: 0,
            acked_through: None,
            durability: Durability::Memory,
            heard: None,
            next: Order::ZERO,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            retry_at: None,
            backoff: Backoff::default(),
            retries: 0,
            too_large: None,
        }
    }

    pub(super) const fn acked_through(&self) -> Option<Order> {
        self.acked_through
    }

    /// How far it holds the log for all that is known: what a process has in memory ends with it, and one that was
    /// silent for long is taken for dead.
    pub(super) fn holds_through(&self, now: Moment, interval: Duration) -> Option<Order> {
        let in_memory = self.durability == Durability::Memory;
        let may_be_lost = in_memory && Health::of(self.heard, now, interval) == Health::Unhealthy;
        self.acked_through.filter(|_| !may_be_lost)
    }

    pub(super) const fn retry_at(&self) -> Option<Moment> {
        self.retry_at
    }

    /// Another epoch begins: nobody is admitted to it.
    pub(super) fn reset(&mut self) {
        *self = Progress { heard: self.heard, retries: self.retries, ..Progress::new() };
    }

    /// A process joins by this request. Nothing that was acked before counts for it: it may be another process, or the
    /// same one about to begin its log afresh.
    pub(super) fn admit(&mut self, incarnation: Incarnation, request: u64) {
        let acked_through = self.acked_through.filter(|_| mutant::is(Mutant::AckedSurvivesJoin));
        self.reset();
        self.acked_through = acked_through;
        (self.admitted, self.joined) = (Some(incarnation), request);
        self.stage = Stage::Syncing;
    }

    /// Whether a join is one that this process has followed up by a later one: it comes late, or twice.
    pub(super) fn is_late(&self, incarnation: Incarnation, request: u64) -> bool {
        self.admitted == Some(incarnation) && request <= self.joined
    }

    /// Whether an ack is of the session that the last join began. Nodes of before do not say so.
    pub(super) fn is_of_session(&self, joined: Option<u64>) -> bool {
        joined.is_none_or(|joined| joined == self.joined)
    }

    /// It gave a sign of life after a long silence: the next attempt is made at once.
    pub(super) fn on_sign_of_life(&mut self, now: Moment, was_silent: bool) {
        self.heard = Some(now);
        if was_silent {
            self.backoff.reset();
            self.retry_at = self.retry_at.map(|_| now);
        }
    }

    /// It acked in this epoch.
    pub(super) fn on_ack(&mut self, now: Moment, ack: &wire::Ack, log: &dyn LogView, limits: &PushLimits) {
        let through = ack.through;
        self.durability = ack.durability;
        let advanced = self.acked_through < Some(through);
        self.acked_through = self.acked_through.max(Some(through));
        while self.in_flight.front().is_some_and(|sent| sent.to <= through) {
            self.in_flight_bytes -= self.in_flight.pop_front().map_or(0, |sent| sent.bytes);
        }
        self.next = self.next.max(through);
        if advanced || self.in_flight.is_empty() {
            self.backoff.reset();
            self.retry_at = (!self.in_flight.is_empty()).then(|| now.plus(ANSWER_TIMEOUT));
        }
        let near =
            log.durable().length.since(through) <= limits.resume_entries && self.next >= log.recent_from();
        match self.stage {
            Stage::Probing if advanced || self.in_flight.is_empty() => self.stage = Stage::Streaming,
            Stage::Syncing if near => self.start_streaming(),
            Stage::Diverged => self.stage = Stage::Syncing,
            _ => {}
        }
    }

    /// Its log differs from this one: nothing is pushed. False if that was known.
    pub(super) fn on_diverged(&mut self) -> bool {
        self.forget_in_flight();
        std::mem::replace(&mut self.stage, Stage::Diverged) != Stage::Diverged
    }

    fn start_streaming(&mut self) {
        self.stage = Stage::Streaming;
        self.forget_in_flight();
    }

    fn forget_in_flight(&mut self) {
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.retry_at = None;
        self.next = self.acked_through.unwrap_or(Order::ZERO);
    }

    /// What is in flight is lost, or nobody listens: try again after a while.
    pub(super) fn on_lost(&mut self, now: Moment, random: &mut fastrand::Rng) {
        if matches!(self.stage, Stage::Streaming | Stage::Probing) && !self.in_flight.is_empty() {
            self.forget_in_flight();
            self.stage = Stage::Probing;
            self.retry_at = Some(now.plus(self.backoff.next_delay(random)));
        }
    }

    /// The connection is back: what was in flight may be lost, and is sent again at once.
    pub(super) fn on_bus_up(&mut self) {
        self.too_large = None;
        if matches!(self.stage, Stage::Streaming | Stage::Probing) {
            self.backoff.reset();
            self.start_streaming();
        }
    }

    /// The next run to push now, if there is one.
    ///
    /// What nobody waits for is held back while something is in flight, until it fills an envelope: the ack
    /// lets it go, together with all that came meanwhile (Nagle's algorithm, RFC 896). There is no timer.
    pub(super) fn next_push(
        &mut self,
        log: &dyn LogView,
        terms: &PushTerms,
        random: &mut fastrand::Rng,
    ) -> Option<Span> {
        if self.retry_at.is_some_and(|at| at <= terms.now) {
            return self.push_again(log, terms, random);
        }
        if self.stage != Stage::Streaming || self.window_is_full(&terms.limits) {
            return None;
        }
        let durable = log.durable().length;
        if durable.since(self.next) > terms.limits.backlog_entries || self.next < log.recent_from() {
            self.leave_it_to_fetch();
            return None;
        }
        let fills =
            || Span::of_entries(log, self.next, durable, terms.limits.envelope_bytes).to.length < durable;
        if self.in_flight.is_empty() || terms.awaited > self.next || fills() {
            return self.push(log, terms);
        }
        None
    }

    fn push_again(
        &mut self,
        log: &dyn LogView,
        terms: &PushTerms,
        random: &mut fastrand::Rng,
    ) -> Option<Span> {
        self.forget_in_flight();
        if self.next < log.recent_from() {
            self.leave_it_to_fetch();
            return None;
        }
        self.stage = Stage::Probing;
        let push = self.push(log, terms);
        if push.is_some() {
            self.retries += 1;
            self.retry_at = Some(terms.now.plus(self.backoff.next_delay(random)));
        } else {
            self.stage = Stage::Streaming;
        }
        push
    }

    /// It is too far behind to be pushed at, or what it lacks is not in memory any more: the disk is read for answers
    /// alone, by threads that may wait for it.
    fn leave_it_to_fetch(&mut self) {
        self.stage = Stage::Syncing;
        self.forget_in_flight();
    }

    /// Who is pushed to holds the epoch's mark, which is the log's last one: so it holds all marks, and gets entries
    /// alone.
    fn push(&mut self, log: &dyn LogView, terms: &PushTerms) -> Option<Span> {
        let push = Span::of_entries(log, self.next, log.durable().length, terms.limits.envelope_bytes);
        if push.entries() == 0 {
            return None;
        }
        let bytes = push.size(log);
        if bytes > terms.most {
            self.too_large = Some(self.next);
            return None;
        }
        let to = push.to.length;
        self.in_flight.push_back(InFlight { to, bytes });
        self.in_flight_bytes += bytes;
        self.next = to;
        self.retry_at.get_or_insert(terms.now.plus(ANSWER_TIMEOUT));
        Some(push)
    }

    fn window_is_full(&self, limits: &PushLimits) -> bool {
        self.in_flight.len() >= limits.window_envelopes || self.in_flight_bytes >= limits.window_bytes
    }

    /// Asserts the invariant, in a log that is durable up to `durable`.
    pub(super) fn check(&self, durable: Order, limits: &PushLimits) {
        let is_admitted = !matches!(self.stage, Stage::Absent | Stage::Foreign(_));
        assert_eq!(is_admitted, self.admitted.is_some(), "{:?} does not say who is admitted", self.stage);
        assert!(is_admitted || self.acked_through.is_none(), "an ack counts of nobody who is admitted");
        let acked = self.acked_through.unwrap_or(Order::ZERO);
        assert!(acked <= self.next, "what is acked through {acked} is pushed from {}", self.next);
        assert!(self.next <= durable, "{} is pushed or acked, and {durable} is durable", self.next);
        self.check_in_flight(acked, limits);
    }

    fn check_in_flight(&self, acked: Order, limits: &PushLimits) {
        assert_sum("what is in flight", self.in_flight_bytes, self.in_flight.iter().map(|sent| sent.bytes));
        assert!(
            self.in_flight.len() <= limits.window_envelopes.max(1),
            "more is in flight than the window takes"
        );
        let is_pushed_to = matches!(self.stage, Stage::Streaming | Stage::Probing);
        assert!(is_pushed_to || self.retry_at.is_none(), "{:?} is pushed to again", self.stage);
        let waits = self.stage == Stage::Probing || !self.in_flight.is_empty();
        assert!(!waits || self.retry_at.is_some(), "what is in flight is never pushed again");
        let mut ends = self.in_flight.iter().map(|sent| sent.to);
        assert!(ends.clone().is_sorted_by(|one, next| one < next), "what is in flight is out of order");
        assert!(ends.clone().all(|end| end > acked), "what is acked is in flight");
        let last = ends.next_back();
        assert!(last.is_none_or(|last| last == self.next), "what is in flight does not end at the next push");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An admitted process that has acked 3 entries of 9, and to which 2 are on their way.
    fn streaming() -> Progress {
        Progress {
            stage: Stage::Streaming,
            admitted: Some(Incarnation::from_random(1)),
            acked_through: Some(Order::new(3)),
            next: Order::new(5),
            in_flight: [4, 5].map(|to| InFlight { to: Order::new(to), bytes: 10 }).into(),
            in_flight_bytes: 20,
            retry_at: Some(Moment::default()),
            ..Progress::new()
        }
    }

    fn check(progress: &Progress) {
        progress.check(Order::new(9), &PushLimits::default());
    }

    #[test]
    fn what_is_sound_passes() {
        check(&Progress::new());
        check(&streaming());
    }

    #[test]
    #[should_panic(expected = "Streaming does not say who is admitted")]
    fn a_push_to_nobody_is_found() {
        check(&Progress { admitted: None, ..streaming() });
    }

    #[test]
    #[should_panic(expected = "an ack counts of nobody who is admitted")]
    fn an_ack_of_another_epoch_is_found() {
        check(&Progress { acked_through: Some(Order::ZERO), ..Progress::new() });
    }

    #[test]
    #[should_panic(expected = "what is acked through 6 is pushed from 5")]
    fn a_push_of_what_is_acked_is_found() {
        check(&Progress { acked_through: Some(Order::new(6)), ..streaming() });
    }

    #[test]
    #[should_panic(expected = "5 is pushed or acked, and 4 is durable")]
    fn a_push_of_what_is_not_durable_is_found() {
        streaming().check(Order::new(4), &PushLimits::default());
    }

    #[test]
    #[should_panic(expected = "the bytes of what is in flight are miscounted")]
    fn a_window_that_would_stay_closed_is_found() {
        check(&Progress { in_flight_bytes: 30, ..streaming() });
    }

    #[test]
    #[should_panic(expected = "more is in flight than the window takes")]
    fn a_window_that_is_too_full_is_found() {
        let limits = PushLimits { window_envelopes: 1, ..PushLimits::default() };
        streaming().check(Order::new(9), &limits);
    }

    #[test]
    #[should_panic(expected = "Syncing is pushed to again")]
    fn a_push_to_one_that_fetches_is_found() {
        check(&Progress { stage: Stage::Syncing, ..streaming() });
    }

    #[test]
    #[should_panic(expected = "what is in flight is never pushed again")]
    fn a_push_without_a_retry_is_found() {
        check(&Progress { retry_at: None, ..streaming() });
    }

    #[test]
    #[should_panic(expected = "what is in flight is out of order")]
    fn pushes_out_of_order_are_found() {
        let mut progress = streaming();
        progress.in_flight.swap(0, 1);
        check(&progress);
    }

    #[test]
    #[should_panic(expected = "what is acked is in flight")]
    fn a_push_that_is_acked_is_found() {
        check(&Progress { acked_through: Some(Order::new(4)), ..streaming() });
    }

    #[test]
    #[should_panic(expected = "what is in flight does not end at the next push")]
    fn a_push_that_leaves_a_gap_is_found() {
        check(&Progress { next: Order::new(6), ..streaming() });
    }
}
