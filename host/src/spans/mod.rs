//! Spans: what this node did for a traced append, and for how long, sent to a collector over OTLP where one is named.
//!
//! Only appends whose `traceparent` says that they are sampled have spans: who traces decides how many there are.
//! Nothing waits for a collector, and one that is away costs the spans and nothing else.
//!
//! | file | holds |
//! | --- | --- |
//! | `collector` | where the collector is |
//! | `client` | how HTTP is spoken with it |
//! | `export` | the way there: the OpenTelemetry SDK, which no other file knows |

mod client;
mod collector;
mod export;

use std::{sync::Arc, time::Duration};

use replog_shared::{LogName, NodeName, trace::TraceParent};

pub use collector::{Collector, CollectorError};
pub use export::{ExportError, Span, SpanKind};

use export::Export;

/// Where a node's spans go; nowhere by default. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Spans(Option<Arc<Export>>);

/// An append's place in its trace, as one node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    onward: TraceParent,
    caller: TraceParent,
}

impl Segment {
    /// What is passed on with the append: this node's own span, or the caller's where this node tells of none.
    pub const fn onward(&self) -> TraceParent {
        self.onward
    }

    /// Whether this node tells of a span here.
    pub fn has_span(&self) -> bool {
        self.onward != self.caller
    }
}

impl Spans {
    /// Sends spans to this collector, as those of `node`, one of the nodes that run `program` for `log`.
    ///
    /// # Errors
    /// The system has nothing to speak TLS with.
    pub fn to(
        collector: &Collector,
        program: &'static str,
        log: &str,
        node: &str,
    ) -> Result<Spans, ExportError> {
        Ok(Spans(Some(Arc::new(Export::start(collector, program, log, node)?))))
    }

    /// Those of `node` go to the collector that its operator named, if any.
    ///
    /// # Errors
    /// As [`Spans::to`].
    pub fn to_any(
        collector: Option<&Collector>,
        program: &'static str,
        log: &LogName,
        node: &NodeName,
    ) -> Result<Spans, ExportError> {
        collector.map_or_else(
            || Ok(Spans::default()),
            |collector| Spans::to(collector, program, log.as_str(), node.as_str()),
        )
    }

    /// What the append of a caller becomes here: a span of its own, where one is wanted.
    pub fn enter(&self, caller: TraceParent) -> Segment {
        let wanted = self.0.is_some() && caller.is_sampled();
        let onward = if wanted { caller.child(fastrand::u64(1..)) } else { caller };
        Segment { onward, caller }
    }

    /// Tells of a span that ends now and has lasted so long. What `describe` does is done only where it is wanted.
    pub fn tell(&self, segment: Segment, lasted: Duration, describe: impl FnOnce() -> Span) {
        if let Some(export) = self.0.as_deref().filter(|_| segment.has_span()) {
            export.tell(segment.caller, segment.onward, lasted, describe());
        }
    }

    /// Tells of a span below the one of `segment` that ends now and has lasted so long.
    pub fn tell_part(&self, segment: Segment, lasted: Duration, describe: impl FnOnce() -> Span) {
        if segment.has_span() {
            self.tell(self.enter(segment.onward), lasted, describe);
        }
    }

    /// Sends what is left, within a second; then nothing more is sent.
    pub async fn close(self) {
        if let Some(export) = self.0 {
            // The thread that sends has its own end; whoever waits for it must not hold up the runtime.
            let closed = tokio::task::spawn_blocking(move || export.close()).await;
            debug_assert!(closed.is_ok(), "closing panicked");
        }
    }
}
