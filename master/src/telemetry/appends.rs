//! What became of appends, and how long it took.

use std::collections::{BTreeMap, VecDeque, vec_deque};

use replog_shared::{Code, Histogram, Lines, Moment, Order};

use super::Arrival;
use replog_core::master::events::{WriteOutcome, Written};

/// How an append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Met,
    Unconfirmed,
    Interrupted,
    HungUp,
    Refused,
}

impl Outcome {
    /// All of them, in the order of [`OfW::outcomes`].
    pub(super) const ALL: [Outcome; 5] =
        [Outcome::Met, Outcome::Unconfirmed, Outcome::Interrupted, Outcome::HungUp, Outcome::Refused];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Outcome::Met => "met",
            Outcome::Unconfirmed => "unconfirmed",
            Outcome::Interrupted => "interrupted",
            Outcome::HungUp => "hung_up",
            Outcome::Refused => "refused",
        }
    }

    pub(super) const fn of(outcome: &WriteOutcome) -> Outcome {
        match outcome {
            WriteOutcome::Met { .. } => Outcome::Met,
            WriteOutcome::Unconfirmed { .. } => Outcome::Unconfirmed,
            WriteOutcome::Interrupted { .. } => Outcome::Interrupted,
            WriteOutcome::Refused(_) => Outcome::Refused,
        }
    }
}

/// Appends that asked for one w.
#[derive(Clone, Debug)]
pub(super) struct OfW {
    outcomes: [u64; Outcome::ALL.len()],
    /// From the arrival of those that were met until they were.
    pub(super) met: Histogram,
}

impl OfW {
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().zip(self.outcomes)
    }

    /// Whether anybody has asked for this w.
    pub(super) fn was_used(&self) -> bool {
        self.outcomes.iter().any(|count| *count > 0)
    }
}

/// Appends since the start.
#[derive(Clone, Debug)]
pub(super) struct AppendFigures {
    /// By w - 1.
    pub(super) by_w: Vec<OfW>,
    /// By why.
    pub(super) refused: BTreeMap<Code, u64>,
    /// Of those that were met, the ones whose messages were in the log already.
    pub(super) duplicates: u64,
    pub(super) entries: u64,
    /// From an append's arrival until the log has it, and until it is durable here.
    pub(super) local: Histogram,
    pub(super) durable: Histogram,
}

impl AppendFigures {
    pub(super) fn new(nodes: usize) -> AppendFigures {
        let none = OfW { outcomes: [0; Outcome::ALL.len()], met: Histogram::of_times() };
        AppendFigures {
            by_w: vec![none; nodes],
            refused: BTreeMap::new(),
            duplicates: 0,
            entries: 0,
            local: Histogram::of_times(),
            durable: Histogram::of_times(),
        }
    }

    pub(super) const fn on_entries(&mut self, count: u64) {
        self.entries += count;
    }

    pub(super) fn on_taken<'r>(&mut self, now: Moment, runs: impl Iterator<Item = &'r Run>) {
        runs.filter_map(|run| run.caller).for_each(|caller| self.local.observe_time(now.since(caller.at)));
    }

    pub(super) fn on_durable(&mut self, now: Moment, caller: Option<Arrival>) {
        if let Some(caller) = caller {
            self.durable.observe_time(now.since(caller.at));
        }
    }

    pub(super) fn on_answered(&mut self, now: Moment, arrival: Arrival, outcome: &WriteOutcome) {
        let of_w = &mut self.by_w[usize::from(arrival.w.get()) - 1];
        of_w.outcomes[Outcome::of(outcome) as usize] += 1;
        match outcome {
            WriteOutcome::Met { written: Written { duplicate, .. }, .. } => {
                of_w.met.observe_time(now.since(arrival.at));
                self.duplicates += u64::from(*duplicate);
            }
            WriteOutcome::Refused(refusal) => *self.refused.entry(refusal.code()).or_default() += 1,
            WriteOutcome::Unconfirmed { .. } | WriteOutcome::Interrupted { .. } => {}
        }
    }

    pub(super) fn on_hung_up(&mut self, arrival: Arrival) {
        self.by_w[usize::from(arrival.w.get()) - 1].outcomes[Outcome::HungUp as usize] += 1;
    }
}

/// A run of the log that became durable at once, or not yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Exclusive end of its entries.
    pub(super) end: Order,
    /// Bytes of the log through it.
    pub(super) bytes: u64,
    /// Who appended it; none for marks, and for appends that came before this node led: how long those waited
    /// for the start to end says nothing of the log.
    pub(super) caller: Option<Arrival>,
}

/// Runs that are not durable, oldest first. Bounded by what a store lets wait: appends are refused above
/// [`replog_shared::limits::STORE_PENDING_BYTES`].
#[derive(Debug)]
pub(super) struct Undurable {
    runs: VecDeque<Run>,
    /// How many of them are of this burst.
    fresh: usize,
    bytes: u64,
    caller: Option<Arrival>,
}

impl Undurable {
    /// None, behind so many bytes.
    pub(super) const fn new(bytes: u64) -> Undurable {
        Undurable { runs: VecDeque::new(), fresh: 0, bytes, caller: None }
    }

    pub(super) const fn caller(&self) -> Option<Arrival> {
        self.caller
    }

    pub(super) const fn on_caller(&mut self, arrival: Option<Arrival>) {
        self.caller = arrival;
    }

    pub(super) fn on_appended(&mut self, lines: &Lines) {
        self.bytes += lines.bytes().len() as u64;
        self.runs.push_back(Run { end: lines.tip().place.length, bytes: self.bytes, caller: self.caller });
        self.fresh += 1;
    }

    /// Those of the burst that is over.
    pub(super) fn taken(&mut self) -> vec_deque::Iter<'_, Run> {
        let fresh = std::mem::take(&mut self.fresh);
        self.runs.range(self.runs.len() - fresh..)
    }

    /// Takes the oldest out, if a log that is durable through `length` has it.
    pub(super) fn pop_durable(&mut self, length: Order) -> Option<Run> {
        self.runs.pop_front_if(|run| run.end <= length)
    }
}
