//! Faults on purpose: a slow, failing or losing secondary, for tests and demonstrations.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use replog_shared::{Moment, Order, limits::REORDER_BUFFER_BYTES, wire::EntriesHeader};

/// Which faults a node has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// How long entries wait before they are stored, from when this node first heard that the master has them: so what is
    /// fetched in several rounds waits once.
    pub delay: Duration,
    /// The share of envelopes, 0 to 1, that are stored and then answered with an error.
    pub error_rate: f64,
    /// The share of envelopes, 0 to 1, that are dropped.
    pub drop_rate: f64,
}

/// An envelope of entries that passed the faults (or waits to).
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) header: EntriesHeader,
    pub(super) lines: Bytes,
    /// Answer with an error once it is stored.
    pub(super) fails: bool,
    /// When it was first heard that the master has these entries.
    heard: Moment,
}

/// What becomes of an envelope at first.
pub(super) enum Passage {
    /// It is processed now.
    Through(Arrival),
    /// It waits until this moment.
    Held(Moment),
    /// It is lost.
    Dropped,
}

/// Lets envelopes through, late, marked to fail, or not at all.
#[derive(Debug, Default)]
pub(super) struct FaultInjector {
    faults: Faults,
    /// In the order in which they came: a delay never reorders.
    held: VecDeque<Arrival>,
    held_bytes: usize,
    /// When the master's log was first heard to have which length, the shortest first. Empty while there is no delay.
    heard: VecDeque<(Order, Moment)>,
}

/// Lengths that are kept: more than heartbeats bring within a delay that anybody waits for. Of what is forgotten the delay
/// counts from its arrival.
const MAX_HEARD_LENGTHS: usize = 1_024;

impl FaultInjector {
    pub(super) fn new(faults: Faults) -> FaultInjector {
        FaultInjector { faults, ..FaultInjector::default() }
    }

    pub(super) const fn faults(&self) -> Faults {
        self.faults
    }

    /// A shorter delay also holds for what waits already.
    pub(super) const fn set(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// A session begins: the master's log has this length, and what was heard before is of another one.
    pub(super) fn on_session(&mut self, now: Moment, length: Order) {
        self.heard.clear();
        self.on_length(now, length);
    }

    /// The master's log has this length at least.
    pub(super) fn on_length(&mut self, now: Moment, length: Order) {
        if self.faults.delay.is_zero() {
            return self.heard.clear();
        }
        if self.heard.back().is_none_or(|(known, _)| *known < length) {
            if self.heard.len() >= MAX_HEARD_LENGTHS {
                self.heard.pop_front();
            }
            self.heard.push_back((length, now));
        }
    }

    /// When this node first heard that the master has all of `0..end`.
    fn heard_of(&self, end: Order, now: Moment) -> Moment {
        let at = self.heard.partition_point(|(length, _)| *length < end);
        self.heard.get(at).map_or(now, |(_, heard)| *heard)
    }

    pub(super) fn on_arrival(
        &mut self,
        now: Moment,
        header: EntriesHeader,
        lines: Bytes,
        random: &mut fastrand::Rng,
    ) -> Passage {
        if is_hit(self.faults.drop_rate, random) {
            return Passage::Dropped;
        }
        let fails = self.draw_error(random);
        self.on_length(now, header.length);
        let heard = self.heard_of(header.from.plus(header.count), now);
        let arrival = Arrival { header, lines, fails, heard };
        if self.faults.delay.is_zero() && self.held.is_empty() {
            return Passage::Through(arrival);
        }
        self.hold(arrival)
    }

    /// Whether this time an error is answered.
    pub(super) fn draw_error(&self, random: &mut fastrand::Rng) -> bool {
        is_hit(self.faults.error_rate, random)
    }

    fn hold(&mut self, arrival: Arrival) -> Passage {
        if self.held_bytes + arrival.lines.len() > REORDER_BUFFER_BYTES {
            return Passage::Dropped;
        }
        let until = arrival.heard.plus(self.faults.delay);
        self.held_bytes += arrival.lines.len();
        self.held.push_back(arrival);
        Passage::Held(until)
    }

    /// The first envelope whose delay is over.
    pub(super) fn release(&mut self, now: Moment) -> Option<Arrival> {
        if self.next_deadline()? > now {
            return None;
        }
        let arrival = self.held.pop_front()?;
        self.held_bytes -= arrival.lines.len();
        Some(arrival)
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.held.front().map(|arrival| arrival.heard.plus(self.faults.delay))
    }
}

/// Draws; draws nothing where the outcome is certain, so that a run without faults has no use of chance.
fn is_hit(rate: f64, random: &mut fastrand::Rng) -> bool {
    rate > 0.0 && random.f64() < rate
}
