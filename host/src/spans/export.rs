//! The way to the collector: the OpenTelemetry SDK, its types and its thread.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _},
};
use replog_shared::trace::TraceParent;
use tracing::{info, warn};

use super::{Collector, client::Client};

pub use opentelemetry::trace::SpanKind;

/// How long a stop waits for the last spans to be taken.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
#[error("spans cannot be exported: {0}")]
pub struct ExportError(String);

/// What a node tells of a span beside its times and its place.
#[derive(Debug)]
pub struct Span {
    name: &'static str,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
    failed: Option<&'static str>,
}

impl Span {
    /// A span of this name.
    pub const fn new(name: &'static str, kind: SpanKind) -> Span {
        Span { name, kind, attributes: Vec::new(), failed: None }
    }

    /// With a number, such as an order.
    #[must_use]
    pub fn number(mut self, name: &'static str, value: u64) -> Span {
        // OTLP knows signed numbers only. An order above them is none that any log reaches.
        self.attributes.push(KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX)));
        self
    }

    /// With a word.
    #[must_use]
    pub fn word(mut self, name: &'static str, value: &'static str) -> Span {
        self.attributes.push(KeyValue::new(name, value));
        self
    }

    /// With a fact that holds or does not.
    #[must_use]
    pub fn flag(mut self, name: &'static str, value: bool) -> Span {
        self.attributes.push(KeyValue::new(name, value));
        self
    }

    /// What it is about failed, for this reason.
    #[must_use]
    pub const fn failed(mut self, why: &'static str) -> Span {
        self.failed = Some(why);
        self
    }
}

/// Hands spans to the SDK, which collects them and sends them from a thread of its own. Up to 2,048 wait there; it drops
/// more, and says so.
#[derive(Debug)]
pub(super) struct Export {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Export {
    pub(super) fn start(
        collector: &Collector,
        program: &'static str,
        log: &str,
        node: &str,
    ) -> Result<Export, ExportError> {
        let client = Client::new().map_err(|error| ExportError(error.to_string()))?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(collector.traces_url())
            .build()
            .map_err(|error| ExportError(error.to_string()))?;
        let exporter = Watched { exporter, collector: collector.clone(), lost: Arc::default() };
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource(program, log, node));
        let scope = InstrumentationScope::builder("replog").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Export { processor, scope })
    }

    pub(super) fn tell(&self, caller: TraceParent, own: TraceParent, lasted: Duration, span: Span) {
        let end_time = SystemTime::now();
        self.processor.on_end(SpanData {
            span_context: context_of(own),
            parent_span_id: SpanId::from(caller.parent_id()),
            parent_span_is_remote: true,
            span_kind: span.kind,
            name: Cow::Borrowed(span.name),
            start_time: end_time - lasted,
            end_time,
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: span.failed.map_or(Status::Ok, Status::error),
            instrumentation_scope: self.scope.clone(),
        });
    }

    pub(super) fn close(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(CLOSE_TIMEOUT) {
            warn!(%error, "the last spans were not exported");
        }
    }
}

/// Who tells of the spans.
fn resource(program: &'static str, log: &str, node: &str) -> Resource {
    let attributes = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", node.to_owned()),
        KeyValue::new("replog.log", log.to_owned()),
    ];
    Resource::builder().with_service_name(program).with_attributes(attributes).build()
}

fn context_of(trace: TraceParent) -> SpanContext {
    let (trace_id, span_id) = (TraceId::from(trace.trace_id().get()), SpanId::from(trace.parent_id()));
    SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::NONE)
}

/// An exporter that says once when spans get lost, and once when they arrive again.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    collector: Collector,
    /// Since the last ones that arrived.
    lost: Arc<AtomicU64>,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        match self.exporter.export(batch).await {
            Ok(()) => {
                let lost = self.lost.swap(0, Relaxed);
                if lost > 0 {
                    info!(collector = %self.collector, lost, "spans are exported again");
                }
            }
            Err(error) => {
                if self.lost.fetch_add(count, Relaxed) == 0 {
                    let collector = &self.collector;
                    warn!(%collector, %error, "spans cannot be exported: they are lost until the collector takes them again");
                }
            }
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
