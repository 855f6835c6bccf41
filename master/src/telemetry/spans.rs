//! What a collector is told of a traced append, in the words of the log lines.

use replog_host::spans::{Span, SpanKind};
use replog_shared::Order;

use super::{Arrival, appends::Outcome};
use replog_core::master::events::{WriteOutcome, Written};

/// An append, from its arrival until its caller was answered.
pub(super) fn answered(arrival: Arrival, outcome: &WriteOutcome) -> Span {
    let became = Outcome::of(outcome);
    match outcome {
        WriteOutcome::Met { written, .. } => placed(append(arrival, became), written),
        WriteOutcome::Unconfirmed { written, .. } | WriteOutcome::Interrupted { written, .. } => {
            placed(append(arrival, became), written).failed(became.as_str())
        }
        WriteOutcome::Refused(refusal) => append(arrival, became).failed(refusal.code().word()),
    }
}

/// An append whose caller hung up: nobody knows when, so it ends when this was noticed.
pub(super) fn hung_up(arrival: Arrival) -> Span {
    append(arrival, Outcome::HungUp).failed(Outcome::HungUp.as_str())
}

/// From an append's arrival until its entries, which end here, were durable on this node.
pub(super) fn durable(end: Order) -> Span {
    Span::new("make durable", SpanKind::Internal).number("entry.end", end.get())
}

fn append(arrival: Arrival, became: Outcome) -> Span {
    let span = Span::new("append", SpanKind::Server).number("write.w", arrival.w.get().into());
    span.word("became", became.as_str())
}

fn placed(span: Span, written: &Written) -> Span {
    let span = span.number("entry.order", written.first.get()).number("count", written.count);
    span.flag("duplicate", written.duplicate)
}
