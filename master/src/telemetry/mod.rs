//! What a master counts of itself: one function an observation.
//!
//! The node's task owns it and counts in plain numbers; whoever asks is given a copy. So an append costs one look
//! at the clock and a few comparisons, and times are told for a whole burst at once.
//!
//! | file | holds |
//! | --- | --- |
//! | `appends` | what became of appends, and how long it took |
//! | `timeline` | when what became durable: a secondary's lag in seconds and bytes |
//! | `spans` | what a collector is told of a traced append |
//! | `figures` | all of it as `/metrics` shows it |

mod appends;
mod figures;
mod spans;
mod timeline;

use replog_host::{
    metrics::BusFigures,
    spans::{Segment, Spans},
    traces::Traces,
};
use replog_shared::{
    Histogram, Lines, Moment, Order, WriteConcern,
    limits::MAX_TRACES_IN_ENVELOPE,
    trace::{Trace, TraceParent},
};

use replog_core::master::events::WriteOutcome;

use appends::{AppendFigures, Undurable};
use timeline::Timeline;

pub use figures::MasterFigures;

/// When an append came, and what it asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When its request had been read.
    pub(crate) at: Moment,
    pub(crate) w: WriteConcern,
    /// Its place in the trace of its request.
    pub(crate) segment: Option<Segment>,
}

/// A master's books.
#[derive(Debug)]
pub(crate) struct Telemetry {
    /// The bus.
    pub(crate) bus: BusFigures,
    appends: AppendFigures,
    push_entries: Histogram,
    /// Runs of the log that are not durable yet.
    undurable: Undurable,
    timeline: Timeline,
    traces: Traces,
    spans: Spans,
}

impl Telemetry {
    /// Of a master of so many nodes that starts with a log of this length and size, and whose spans go there.
    pub(crate) fn new(nodes: usize, length: Order, bytes: u64, spans: Spans) -> Telemetry {
        Telemetry {
            bus: BusFigures::default(),
            appends: AppendFigures::new(nodes),
            push_entries: Histogram::of_entries(),
            undurable: Undurable::new(bytes),
            timeline: Timeline::new(Moment::default(), length, bytes),
            traces: Traces::default(),
            spans,
        }
    }

    /// What the append of a caller in this trace becomes here.
    pub(crate) fn enter(&self, trace: TraceParent) -> Segment {
        self.spans.enter(trace)
    }

    /// What is appended from now on is of this caller; of none between two callers.
    pub(crate) fn on_caller(&mut self, arrival: Option<Arrival>) {
        self.undurable.on_caller(arrival);
    }

    /// A run was appended to the log.
    pub(crate) fn on_appended(&mut self, lines: &Lines) {
        self.appends.on_entries(lines.entries().len() as u64);
        self.undurable.on_appended(lines);
        if let Some(traceparent) = self.trace() {
            let (order, count) = (lines.from(), lines.entries().len() as u64);
            self.traces.note(Trace { order, count, traceparent });
        }
    }

    /// The trace of what is appended now, as it is passed on.
    pub(crate) fn trace(&self) -> Option<TraceParent> {
        let segment = self.undurable.caller().and_then(|caller| caller.segment);
        segment.map(|segment| segment.onward())
    }

    /// Traces that entries of `from..to` belong to, as many as an envelope takes.
    pub(crate) fn traces(&self, from: Order, to: Order) -> Vec<Trace> {
        self.traces.among(from, to).take(MAX_TRACES_IN_ENVELOPE).copied().collect()
    }

    /// A caller was told what became of its append.
    pub(crate) fn on_answered(&mut self, now: Moment, arrival: Arrival, outcome: &WriteOutcome) {
        self.appends.on_answered(now, arrival, outcome);
        if let Some(segment) = arrival.segment {
            self.spans.tell(segment, now.since(arrival.at), || spans::answered(arrival, outcome));
        }
    }

    /// A caller hung up before it was told.
    pub(crate) fn on_hung_up(&mut self, now: Moment, arrival: Arrival) {
        self.appends.on_hung_up(arrival);
        if let Some(segment) = arrival.segment {
            self.spans.tell(segment, now.since(arrival.at), || spans::hung_up(arrival));
        }
    }

    /// So many entries were pushed to a secondary.
    pub(crate) fn on_pushed(&mut self, entries: u64) {
        self.push_entries.observe(entries);
    }

    /// The burst is over, and the log is durable through `length`.
    pub(crate) fn on_burst_end(&mut self, now: Moment, length: Order) {
        self.appends.on_taken(now, self.undurable.taken());
        while let Some(run) = self.undurable.pop_durable(length) {
            self.appends.on_durable(now, run.caller);
            if let Some(Arrival { at, segment: Some(segment), .. }) = run.caller {
                self.spans.tell_part(segment, now.since(at), || spans::durable(run.end));
            }
            self.timeline.on_durable(now, run.end, run.bytes);
        }
    }

    /// The log was cut, and now has this length and size.
    pub(crate) fn on_cut(&mut self, now: Moment, length: Order, bytes: u64) {
        self.undurable = Undurable::new(bytes);
        self.timeline = Timeline::new(now, length, bytes);
        self.traces.clear();
    }
}
