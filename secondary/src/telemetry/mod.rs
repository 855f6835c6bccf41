//! What a secondary counts of itself, beside what its core counts.

mod figures;
mod spans;

use replog_host::{
    bus::{BusEvent, Refused},
    metrics::BusFigures,
    spans::Spans,
    traces::Traces,
};
use replog_shared::{Lines, Moment, Order, trace::Trace};
use tracing::debug;

pub(crate) use figures::SecondaryFigures;

use spans::ReplicationSpans;

/// A secondary's books. The node's task owns them.
#[derive(Debug)]
pub(crate) struct Telemetry {
    bus: BusFigures,
    traces: Traces,
    replications: ReplicationSpans,
}

impl Telemetry {
    /// Of a secondary whose spans go there.
    pub(crate) fn new(spans: Spans) -> Telemetry {
        let (bus, traces) = (BusFigures::default(), Traces::default());
        Telemetry { bus, traces, replications: ReplicationSpans::new(spans) }
    }

    /// The bus told something.
    pub(crate) fn on_bus(&mut self, event: &BusEvent) {
        self.bus.on_event(event);
    }

    /// Entries of traced appends have come.
    pub(crate) fn on_traces(&mut self, now: Moment, traces: &[Trace]) {
        for trace in traces {
            let Trace { order, count, traceparent } = *trace;
            debug!(entry.order = %order, count, trace_id = %traceparent.trace_id(), "entries of a traced append came");
            self.traces.note(*trace);
            self.replications.on_arrived(now, trace);
        }
    }

    /// A run was appended to the log.
    pub(crate) fn on_appended(&self, lines: &Lines) {
        for Trace { order, count, traceparent } in self.traces.among(lines.from(), lines.tip().place.length) {
            debug!(entry.order = %order, count, trace_id = %traceparent.trace_id(), "appended entries of a traced append");
        }
    }

    /// This node says that it holds `0..through`.
    pub(crate) fn on_acked(&mut self, now: Moment, through: Order) {
        self.replications.on_acked(now, through);
    }

    /// The log was cut.
    pub(crate) fn on_cut(&mut self) {
        self.traces.clear();
        self.replications.on_cut();
    }

    /// The bus did not take a packet.
    pub(crate) fn on_not_sent(&mut self, refused: Refused) {
        self.bus.on_refused(refused);
    }

    /// The bus, as it was counted.
    pub(crate) const fn bus(&self) -> &BusFigures {
        &self.bus
    }
}
