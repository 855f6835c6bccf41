//! What a secondary counts of itself, beside what its core counts.

mod figures;

use replog_host::{
    bus::{BusEvent, Refused},
    metrics::BusFigures,
    traces::Traces,
};
use replog_shared::{Lines, trace::Trace};
use tracing::debug;

pub(crate) use figures::SecondaryFigures;

/// A secondary's books. The node's task owns them.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    bus: BusFigures,
    traces: Traces,
}

impl Telemetry {
    /// The bus told something.
    pub(crate) fn on_bus(&mut self, event: &BusEvent) {
        self.bus.on_event(event);
    }

    /// Entries of traced appends have come.
    pub(crate) fn on_traces(&mut self, traces: &[Trace]) {
        for trace in traces {
            let Trace { order, count, traceparent } = *trace;
            debug!(entry.order = %order, count, trace_id = %traceparent.trace_id(), "entries of a traced append came");
            self.traces.note(*trace);
        }
    }

    /// A run was appended to the log.
    pub(crate) fn on_appended(&self, lines: &Lines) {
        for Trace { order, count, traceparent } in self.traces.among(lines.from(), lines.tip().place.length) {
            debug!(entry.order = %order, count, trace_id = %traceparent.trace_id(), "appended entries of a traced append");
        }
    }

    /// The log was cut.
    pub(crate) fn on_cut(&mut self) {
        self.traces.clear();
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
