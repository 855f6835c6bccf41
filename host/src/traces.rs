//! Traces of appends: taken from requests, and kept while their entries are on their way.

use std::{collections::BTreeMap, convert::Infallible};

use axum::extract::FromRequestParts;
use http::{HeaderName, request::Parts};
use replog_shared::{
    Order,
    trace::{Trace, TraceParent},
};

use crate::limits::MAX_TRACES;

/// Of W3C Trace Context.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Extracts the trace that a request belongs to. A header that is none is passed over, as W3C Trace Context wants
/// it, and so are two of them.
#[derive(Clone, Copy, Debug)]
pub struct Traced(pub Option<TraceParent>);

impl<S: Sync> FromRequestParts<S> for Traced {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Traced, Infallible> {
        let mut given = parts.headers.get_all(TRACE_PARENT).iter();
        let (first, second) = (given.next(), given.next());
        let text = first.filter(|_| second.is_none()).and_then(|value| value.to_str().ok());
        Ok(Traced(text.and_then(|text| text.parse().ok())))
    }
}

/// The latest traced appends, by where their entries stand in the log.
#[derive(Debug, Default)]
pub struct Traces {
    by_order: BTreeMap<Order, Trace>,
}

impl Traces {
    /// Remembers one.
    pub fn note(&mut self, trace: Trace) {
        self.by_order.insert(trace.order, trace);
        if self.by_order.len() > MAX_TRACES {
            self.by_order.pop_first();
        }
    }

    /// Those of which some entry is in `from..to`, the last one first.
    pub fn among(&self, from: Order, to: Order) -> impl Iterator<Item = &Trace> {
        self.by_order.range(..to).rev().map(|(_, trace)| trace).take_while(move |trace| trace.end() > from)
    }

    /// Forgets all: the log was cut, and orders stand for other entries from now on.
    pub fn clear(&mut self) {
        self.by_order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(order: u64, count: u64) -> Trace {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        Trace { order: Order::new(order), count, traceparent }
    }

    fn among(traces: &Traces, from: u64, to: u64) -> Vec<u64> {
        traces.among(Order::new(from), Order::new(to)).map(|trace| trace.order.get()).collect()
    }

    #[test]
    fn a_batch_is_among_entries_that_have_a_part_of_it() {
        let mut traces = Traces::default();
        [trace(3, 4), trace(9, 1), trace(9, 1)].into_iter().for_each(|trace| traces.note(trace));
        assert!(among(&traces, 0, 3).is_empty());
        assert_eq!(among(&traces, 6, 7), [3]);
        assert!(among(&traces, 7, 9).is_empty());
        assert_eq!(among(&traces, 0, 10), [9, 3]);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut traces = Traces::default();
        (0..2 * MAX_TRACES as u64).for_each(|order| traces.note(trace(order, 1)));
        assert_eq!(among(&traces, 0, u64::MAX).len(), MAX_TRACES);
        assert!(among(&traces, 0, MAX_TRACES as u64).is_empty(), "the oldest gave way");
    }
}
