//! What a collector is told of entries of traced appends: how long they took to be held here.

use std::collections::BTreeMap;

use replog_host::spans::{Segment, Span, SpanKind, Spans};
use replog_shared::{Moment, Order, limits::MAX_TRACES_IN_ENVELOPE, trace::Trace};

/// Traced appends that are on their way into the log. Of more, the first ones give way: their spans are not told.
const UNDERWAY_MAX: usize = 16 * MAX_TRACES_IN_ENVELOPE;

/// Entries of a traced append that have come and are not acked.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    at: Moment,
    count: u64,
    segment: Segment,
}

/// Times entries of traced appends from when they came until this node acked them.
#[derive(Debug)]
pub(super) struct ReplicationSpans {
    spans: Spans,
    /// By the order of their first entry. What comes twice came when it came first.
    underway: BTreeMap<Order, Arrived>,
    /// What this node has acked: what comes of it once more is not replicated once more.
    acked_through: Order,
}

impl ReplicationSpans {
    pub(super) const fn new(spans: Spans) -> ReplicationSpans {
        ReplicationSpans { spans, underway: BTreeMap::new(), acked_through: Order::ZERO }
    }

    pub(super) fn on_arrived(&mut self, now: Moment, trace: &Trace) {
        let segment = self.spans.enter(trace.traceparent);
        if segment.has_span() && trace.end() > self.acked_through {
            let arrived = Arrived { at: now, count: trace.count, segment };
            self.underway.entry(trace.order).or_insert(arrived);
            if self.underway.len() > UNDERWAY_MAX {
                self.underway.pop_first();
            }
        }
    }

    pub(super) fn on_acked(&mut self, now: Moment, through: Order) {
        self.acked_through = through;
        let held = self.underway.extract_if(..through, |order, arrived| order.plus(arrived.count) <= through);
        for (order, Arrived { at, count, segment }) in held {
            self.spans.tell(segment, now.since(at), || {
                let span = Span::new("replicate", SpanKind::Consumer);
                span.number("entry.order", order.get()).number("count", count)
            });
        }
    }

    pub(super) fn on_cut(&mut self) {
        self.underway.clear();
        self.acked_through = Order::ZERO;
    }
}
